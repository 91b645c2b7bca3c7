# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._carrier.frames import UNDONE
from ansible_collections.herdops.alpacon.plugins.plugin_utils._host_connection import HostConnection, NotDone
from ansible_collections.herdops.alpacon.plugins.plugin_utils._remote import Answer

FOLDER = "/root/.ansible/tmp/ansible-tmp-1"
MAKE = (
    f'/bin/sh -c \'( umask 77 && mkdir -p "` echo /root/.ansible/tmp `"&& mkdir "` echo {FOLDER} `"'
    f' && echo ansible-tmp-1="` echo {FOLDER} `" )\''
)
REMOVE = f"/bin/sh -c 'rm -f -r {FOLDER}/ > /dev/null 2>&1'"


class Remote:
    """A server that notes the files that come along with each submit, and may fail to write them."""

    def __init__(self, mark: str = "") -> None:
        self.submits: list[list[bytes]] = []
        self._mark = mark

    def run(
        self, label: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = (), alike: bool = False
    ) -> Answer:
        self.submits.append(list(files))
        return Answer(1 if self._mark else 0, b"", b"no such folder", self._mark)

    def recall(self, command: str) -> bytes | None:
        return b""

    def remember(self, command: str, written: bytes) -> None:
        pass


def connected(remote: Remote) -> HostConnection:
    return HostConnection(remote, "copy", None)  # type: ignore[arg-type]


def test_what_goes_into_a_temporary_folder_waits_for_the_command_that_needs_it() -> None:
    remote = Remote()
    host = connected(remote)
    host.run(MAKE)
    host.put(b"content", f"{FOLDER}/source")
    assert remote.submits == []
    host.run("/bin/sh -c 'python3 module'")
    assert remote.submits == [[b"content"]]


def test_what_goes_into_its_place_is_written_at_once() -> None:
    remote = Remote()
    host = connected(remote)
    host.run(MAKE)
    host.put(b"content", "/etc/motd")
    assert remote.submits == [[b"content"]]
    host.run(REMOVE)
    assert len(remote.submits) == 2


def test_what_cannot_be_written_into_its_place_fails_at_once() -> None:
    with pytest.raises(NotDone, match="no such folder"):
        connected(Remote(UNDONE)).put(b"content", "/nonexistent/motd")
