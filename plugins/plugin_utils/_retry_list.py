# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the hosts and servers on which to run a command again, and the commands to await instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..module_utils._fleet.jobs import UNCERTAIN
from ._retry_file import RetryFile

#: The number of command IDs in a line.
_MAX_IDS = 20


class RetryList:
    """Collect the results of the hosts of a playbook, and write those to retry to a file.

    Args:
        playbook: its name, which is also that of the file.
        folder: of the file.
    """

    def __init__(self, playbook: str, folder: str) -> None:
        self._files = [RetryFile(f"{folder}/{playbook}.retry"), RetryFile(f"{folder}/{playbook}.retry.yml", True)]
        #: By whether they are servers: all, and those by their state. They keep their order.
        self._all: tuple[dict[str, None], dict[str, None]] = ({}, {})
        self._left: set[str] = set()
        self._unknown: set[str] = set()
        self._done: set[str] = set()
        self._started: set[str] = set()
        #: IDs of the commands to await.
        self._ids: dict[str, None] = {}
        self._is_complete = True

    def add_hosts(self, hosts: Iterable[str]) -> None:
        """Add hosts, each of which is a server. Without a result, they are among those to retry."""
        self._all[0].update(dict.fromkeys(hosts))

    def host_started(self, host: str) -> None:
        if host in self._all[0]:
            self._started.add(host)

    def add_result(self, host: str, result: Mapping[str, Any]) -> None:
        """Record the result of the task that runs the commands; of several results of a host, the worst counts."""
        self._started.discard(host)
        if "censored" in result:
            self._is_complete = False
        if "hosts_left" in result:  # an audit of all hosts
            self._left.update(result["hosts_left"])
            self._done.update(self._all[0].keys() - self._left)
        if "servers_left" not in result:
            return  # nothing was sent
        left, unknown, commands = (result.get(key) or [] for key in ("servers_left", "servers_unknown", "commands"))
        uncertain = [command for command in commands if command.get("outcome") in UNCERTAIN]
        self._ids.update(dict.fromkeys(command["id"] for command in uncertain if command.get("id")))
        if host in self._all[0]:
            (self._unknown if unknown else self._left if left else self._done).add(host)
            return
        servers = [command["server"].get("id") or command["server"].get("name") for command in commands]
        self._all[1].update(dict.fromkeys(server for server in servers if server))
        self._left.update(left)
        self._unknown.update(unknown)
        self._done.update(self._all[1].keys() - self._left - self._unknown)

    def end(self, show: Callable[[str], None], warn: Callable[[str], None]) -> None:
        """Write the files, or remove those of earlier runs."""
        self._unknown |= self._started
        if not self._is_complete or not (self._left or self._unknown or self._done):
            return
        for file, names in zip(self._files, self._all, strict=True):
            left = [
                name for name in names if name not in self._unknown and (name in self._left or name not in self._done)
            ]
            # To retry a single server, the same command line does.
            if left and len(names) > 1:
                file.write(left, show, warn)
            elif not left:
                file.remove(names.keys())
        if self._unknown:
            show(self._describe_unknown())

    def _describe_unknown(self) -> str:
        count = f"{len(self._unknown)} {'server' if len(self._unknown) == 1 else 'servers'}"
        is_short = len(self._unknown) <= len(self._ids) <= _MAX_IDS
        # Without IDs, the playbook reads those of the journal.
        ids = f" -e alpacon_ids={','.join(self._ids)}" if is_short else ""
        return f"The command may still run on {count}. Await it: ansible-playbook herdops.alpacon.await{ids}"
