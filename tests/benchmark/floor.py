# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that any client pays: POST a line to each server, then poll the list until all have ended.

Reads ALPACON_URL and ALPACON_TOKEN from the environment.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import requests

# Long enough that quick commands end before the first poll.
PAUSE = 1.0


def main(servers: list[str], line: str) -> None:
    url = f"{os.environ['ALPACON_URL']}/api/events/commands/"
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f'token="{os.environ["ALPACON_TOKEN"]}"'
        unfinished = {submit(session, url, server, line) for server in servers}
        while unfinished:
            time.sleep(PAUSE)
            poll(session, url, unfinished)


def submit(session: requests.Session, url: str, server: str, line: str) -> str:
    response = session.post(url, json={"server": server, "shell": "system", "line": line})
    response.raise_for_status()
    return str(response.json()[0]["id"])


def poll(session: requests.Session, url: str, unfinished: set[str]) -> None:
    page: int | None = 1
    while page and unfinished:
        response = session.get(f"{url}?ordering=-added_at&page_size=100&page={page}")
        response.raise_for_status()
        body = response.json()
        unfinished -= {row["id"] for row in body["results"] if row["status"] == "success"}
        page = body["next"]


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(encoding="utf-8").split(), sys.argv[2])
