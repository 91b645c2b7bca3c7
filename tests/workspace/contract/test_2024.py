# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the `2024` dialect: replay every recorded exchange in order."""

from __future__ import annotations

import dataclasses
import datetime
import http.client
import json
import re
import time
import typing as t

from workspace.client import Workspace
from workspace.contract import recordings
from workspace.contract.recordings import Exchange, Row

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_DISTANT = ("2020-", "2031-")
_SOON = "2026-11-24T13:40:07Z"

# These were requested some seconds after what they show; the replay waits for that instead.
AWAITED = {
    "070-create-minimal-after-2s",
    "072-create-failing-result",
    "074-create-slow-after-2s",
    "149-create-scheduled-soon-after",
}


@dataclasses.dataclass
class Answer:
    status: int
    body: t.Any
    kind: str | None = None
    location: str | None = None
    has_date: bool = False


class Replay:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._now = datetime.datetime.now(datetime.UTC)
        self._live_ids: dict[str, str] = {}
        self._moments: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._made: set[str] = set()

    def seed(self) -> None:
        workspace = self._workspace
        for name, (key, groupname) in recordings.GROUPS.items():
            workspace.add_group(name, id=key, groupname=groupname)
        everyone = list(recordings.GROUPS)
        admin = {"id": recordings.ADMIN, "is_staff": True, "is_superuser": True, "groups": everyone}
        workspace.add_user("admin", **admin)
        bob = {"id": recordings.BOB, "full_name": "Bob Builder", "groups": everyone[:2]}
        workspace.add_user("bob", **bob)
        workspace.add_user("carol", groups=everyone[:1])
        tokens = workspace.tokens()
        self._tokens = {f"<{name.upper()}_TOKEN>": key for name, key in tokens.items()}
        for server in recordings.servers():
            workspace.call("POST", "servers/", {**server, **self._shifted(server)})
        workspace.wait_connected("web-01")
        # The recorded agent never reported its start.
        workspace.change_server("web-01", started_at=None)
        workspace.add_commands([row | self._shifted(row) for row in recordings.commands()])
        # The recorded agent took its time to acknowledge, which one of the exchanges shows.
        workspace.settings(ack_delay=0.5)

    def _shifted(self, row: Row) -> Row:
        """Return the times of a row, moved from the recording to now."""
        moments = {
            key: value for key, value in row.items() if key.endswith(("_at", "_time")) and _MOMENT.fullmatch(str(value))
        }
        shifted = {}
        for key, value in moments.items():
            shifted[key] = (self._now - (recordings.EPOCH - datetime.datetime.fromisoformat(value))).isoformat()
            self._moments[_canonical(shifted[key])] = _canonical(value)
        return shifted

    def before(self, name: str) -> None:
        """Make the changes between the recordings that counts and later responses show."""
        if name.startswith("136"):
            self._workspace.add_commands([{"server": "web-01", "line": "true", "status": "success"}] * 5)
        if name.startswith("153"):
            self._workspace.delete_command(recordings.DELETED_UNRECORDED)
        if name.startswith("197"):
            self._workspace.add_servers("new-01", id=recordings.NEW_01, commissioned=False)
        if name.startswith("201"):
            self._workspace.remove_server("new-01")

    def play(self, exchange: Exchange) -> Answer:
        request = exchange["request"]
        self.before(exchange["name"])
        expected = self.expected(exchange)
        deadline = time.monotonic() + (15 if exchange["name"] in AWAITED else 0)
        while True:
            answer = self._send(request)
            self._learn_ids(exchange, answer)
            normal = shown(exchange, dataclasses.replace(answer, body=self._normal(answer.body)))
            if normal == expected or time.monotonic() > deadline:
                return normal
            time.sleep(0.05)

    def _send(self, request: Row) -> Answer:
        """Send what curl sent, except tokens, IDs and one time."""
        connection = http.client.HTTPConnection(self._workspace.url.removeprefix("http://"), timeout=60)
        connection.putrequest(request["method"], self._live(request["path"]), skip_host=True, skip_accept_encoding=True)
        body = None if request["body"] is None else self._body(request["body"])
        for name, value in request["headers"].items():
            length = len(body or b"")
            connection.putheader(name, str(length) if name == "Content-Length" else self._live(value))
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        try:
            answered = json.loads(content)
        except ValueError:
            answered = content.decode().strip()
        headers = response.headers
        return Answer(response.status, answered, headers["Content-Type"], headers["Location"], "Date" in headers)

    def _body(self, text: str) -> bytes:
        soon = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(seconds=2)
        text = self._live(text).replace(_SOON, soon.isoformat().replace("+00:00", "Z"))
        return text.encode()

    def _live(self, text: str) -> str:
        for recorded, live in {**self._live_ids, **self._tokens}.items():
            text = text.replace(recorded, live)
        return text

    def _learn_ids(self, exchange: Exchange, answer: Answer) -> None:
        recorded = exchange["response"].get("json")
        if exchange["request"]["method"] == "POST" and answer.status == 201 and isinstance(recorded, dict):
            self._live_ids[recorded["id"]] = answer.body["id"]
            self._made.add(recorded["id"])

    def expected(self, exchange: Exchange) -> Answer:
        recorded = exchange["response"]
        made_here = exchange["request"]["method"] == "POST" and recorded["status"] == 201
        if made_here:
            self._made.add(recorded["json"]["id"])
        body = recorded["json"] if "json" in recorded else recorded["text"].strip()
        headers = recorded["headers"]
        kind, location = headers.get("Content-Type"), headers.get("Location")
        return Answer(recorded["status"], self._normal(body), kind, location, "Date" in headers)

    def _normal(self, value: t.Any) -> t.Any:
        if isinstance(value, dict):
            recorded_id = self._recorded_text(value.get("id", ""))
            return {
                key: self._masked(key, self._normal(item), recorded_id in self._made) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._normal(item) for item in value]
        return self._recorded_text(value) if isinstance(value, str) else value

    def _masked(self, key: str, value: t.Any, made_here: bool) -> t.Any:
        # How long the line took depends on the machine.
        if made_here and key in ("response_delay", "elapsed_time") and isinstance(value, float):
            return "<seconds>"
        # The time since the machine's boot passes.
        if key == "uptime" and isinstance(value, float):
            return "<seconds>"
        # The recorded agent ran as nobody; this one runs as whoever runs the tests.
        if key == "result" and made_here and isinstance(value, str) and value.startswith("hello\n"):
            return re.sub(r"\n[\w.-]+$", "\n<account>", value)
        return value

    def _recorded_text(self, text: str) -> str:
        for recorded, live in self._live_ids.items():
            text = text.replace(live, recorded)
        return _MOMENT.sub(lambda match: self._recorded_moment(match[0]), text)

    def _recorded_moment(self, text: str) -> str:
        """Return the recorded value of a seeded time, and a placeholder for others."""
        moment = _canonical(text)
        if moment in self._moments:
            return self._moments[moment]
        known = moment in self._moments.values() or text.startswith(_DISTANT)
        return moment if known else "<moment>"


def _canonical(text: str) -> str:
    return datetime.datetime.fromisoformat(text).isoformat()


def shown(exchange: Exchange, answer: Answer) -> Answer:
    if "shown" not in exchange or not isinstance(answer.body, dict):
        return answer
    results = answer.body["results"]
    assert len(results) == exchange["rows"], exchange["name"]
    return dataclasses.replace(answer, body={**answer.body, "results": [results[row] for row in exchange["shown"]]})


def test_recorded_exchanges() -> None:
    with Workspace("2024", servers=0) as workspace:
        workspace.settings(ties="stable")
        player = Replay(workspace)
        player.seed()
        for exchange in recordings.exchanges():
            answer = player.play(exchange)
            expected = player.expected(exchange)
            differs = f"Dialect2024 in tests/workspace/dialects.py is not what contract/2024 has as {exchange['name']}"
            assert answer.body == expected.body, differs
            assert answer == expected, differs
