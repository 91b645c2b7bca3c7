# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorded exchanges of 2024, and the data that the recorded server had."""

from __future__ import annotations

import datetime
import json
import re
import typing as t
import uuid
from pathlib import Path

Row = dict[str, t.Any]
Exchange = dict[str, t.Any]

FOLDER = Path(__file__).with_name("2024")
EPOCH = datetime.datetime(2026, 11, 24, 13, 39, 43, 324482, tzinfo=datetime.UTC)
WEB_01, WEB_02 = "7a50ea6c-2138-4d3f-9633-e50694c847c4", "a7282bea-31d7-4b55-a43e-97e1240c90ab"
ADMIN, BOB = "e9d2acf6-76cf-40b8-a229-031e87ff8f0c", "9e2e4c06-8052-4d6b-92b7-9204081e4126"
GROUPS = {
    "Alpacon users": ("2e884487-c348-412a-9a5b-a9c1f548ddb5", "alpacon"),
    "Operations": ("7bf38068-4fc5-41ee-b987-4cfd59fbd0e8", "ops"),
    "Legacy": ("6f7f5a8f-5630-4bd2-92f7-00b925bcd7ec", "legacy"),
}
# Only their order shows in the recordings: later than, and earlier than, 2026-12-24.
UNSEEN_SCHEDULES = {
    "90f8c1d5-8afb-5820-b6cb-4290a7468296": "2027-01-23T13:39:43.324482Z",
    "06f436b9-f74c-5c77-9a69-2f67991341a5": "2026-12-04T13:39:43.324482Z",
}
HIDDEN_PING = "f2b30ad6-e7ba-5626-bbe0-8cd3112fa74a"
DELETED_UNRECORDED = "06f436b9-f74c-5c77-9a69-2f67991341a5"
NEW_01 = "0e995c88-09f5-4eea-9461-889e945da38d"
# PostgreSQL left ties in the order it found them in; one recording shows these two first.
FIRST_OF_TIES = ("cd5c6225-5fe1-5013-9ad4-1011ed54008a", "56bb8e06-9e65-56c8-bf72-65bb8e0bd055")
_ENDED = re.compile(r"(?:Finished|Failed) at (\S+) (\S+)\.$")


def exchanges() -> list[Exchange]:
    found = [exchange for path in FOLDER.glob("*.json") for exchange in json.loads(path.read_text(encoding="utf-8"))]
    return sorted(found, key=lambda exchange: exchange["name"])


def _recorded_rows() -> dict[str, Row]:
    """Return the commands before the first create, with all fields of all responses."""
    rows: dict[str, Row] = {}
    for exchange in exchanges():
        if exchange["request"]["method"] != "GET" or exchange["name"] > "068":
            continue
        body = exchange["response"].get("json")
        for row in body.get("results", [body]) if isinstance(body, dict) else []:
            if "shell" in row:
                rows.setdefault(row["id"], {}).update(row)
    return rows


def commands() -> list[Row]:
    """Return the rows to create with their recorded times, oldest tie last."""
    recorded = _recorded_rows()
    seen = {row["line"] for row in recorded.values()}
    rows = [_as_seed(row) for row in recorded.values()]
    rows += [_bulk_row(number) for number in range(80) if f"echo bulk {number}" not in seen]
    rows.append(
        {"id": HIDDEN_PING, "server": WEB_01, "shell": "internal", "line": "ping", "requested_by": None}
        | _times(_iso(EPOCH - datetime.timedelta(hours=14)), 0.125, _iso(EPOCH - datetime.timedelta(hours=13)))
    )
    # Three more that the lists count.
    rows += [_bulk_row(number) | {"id": str(uuid.uuid4()), "line": "true"} for number in (-14, -11, -3)]
    ties = {key: position for position, key in enumerate(FIRST_OF_TIES, start=1)}
    return sorted(rows, key=lambda row: ties.get(row["id"], 0))


def _iso(moment: datetime.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _times(added: str, delay: float | None, handled: str | None) -> Row:
    """Return times with a delivery 15 ms after the creation, as in complete recorded rows."""
    delivered = datetime.datetime.fromisoformat(added) + datetime.timedelta(milliseconds=15)
    times: Row = {"added_at": added, "scheduled_at": added}
    if delay is not None:
        acked = delivered + datetime.timedelta(seconds=delay)
        times |= {"delivered_at": _iso(delivered), "acked_at": _iso(acked), "handled_at": handled}
    return times


def _as_seed(row: Row) -> Row:
    requester = {ADMIN: "admin", BOB: "bob", None: None}[row["requested_by"]]
    fields = ("id", "server", "shell", "line", "data", "success", "result", "elapsed_time")
    # Details do not state an account.
    seed = {name: row.get(name) for name in fields} | {"requested_by": requester}
    seed |= {name: row.get(name) or "root" for name in ("username", "groupname")}
    if "handled_at" in row:
        names = ("added_at", "scheduled_at", "delivered_at", "acked_at", "handled_at")
        return seed | {name: row[name] for name in names}
    ended = _ENDED.search(row["status"]["message"])
    handled = f"{ended[1]}T{ended[2]}".replace("+00:00", "Z") if ended else None
    seed |= _times(row["added_at"], row["response_delay"], handled)
    return seed | {"scheduled_at": UNSEEN_SCHEDULES.get(row["id"], row["added_at"])}


def _bulk_row(number: int) -> Row:
    """Return one of the eighty bulk rows, which follow a rule."""
    added = EPOCH - datetime.timedelta(hours=24 + number)
    elapsed = round((number + 1) / 100, 2)
    failed = number % 5 == 4
    handled = added + datetime.timedelta(milliseconds=140, seconds=elapsed)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"bulk {number}")),
        "server": WEB_01 if number % 3 else WEB_02,
        "shell": "system",
        "line": f"echo bulk {number}",
        "success": not failed,
        "result": "boom" if failed else f"bulk {number}",
        "elapsed_time": elapsed,
        "username": "root",
        "groupname": "root",
        "requested_by": "admin" if number % 4 else "bob",
    } | _times(_iso(added), 0.125, _iso(handled))


def servers() -> list[Row]:
    """Return the three servers with the fields of their longest response."""
    found: dict[str, Row] = {}
    for exchange in exchanges():
        body = exchange["response"].get("json")
        if exchange["section"] != "Servers" or not isinstance(body, dict):
            continue
        for row in body.get("results", [body]):
            if "cpu_type" in row:
                found.setdefault(row["name"], {}).update(row)
    dropped = ("owner", "owner_name", "groups_name", "uptime", "is_connected")
    settings: dict[str, Row] = {
        "web-01": {"agent": True},
        "web-02": {"key": "dkfvkzk-web02"},
        "old-01": {"enabled": False},
    }
    return [
        {key: value for key, value in row.items() if key not in dropped} | settings[name] for name, row in found.items()
    ]
