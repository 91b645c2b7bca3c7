# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._failure_reason import find_failure_reason

APT = "'/usr/bin/apt-get -y install 'alpamon=2.5.0*'' failed: E: Sub-process /usr/bin/dpkg returned an error code (1)"
DISK_FULL = "cannot copy extracted data for './usr/bin/alpamon': failed to write (No space left on device)"
DPKG = f"dpkg: error processing archive alpamon_2.5.0_amd64.deb (--unpack):\n {DISK_FULL}\nErrors were encountered.\n"
NEEDS = "installing package alpamon-2.5.0-1.x86_64 needs 12MB more space on the / filesystem"
CHANGED = "Failed to connect to the host via ssh: @@@@\n@ WARNING! @\n@@@@\nHost key verification failed.\n"
SUDO = "Task failed: Premature end of stream waiting for become success.\n>>> Standard Error\n"
SUDOERS = "deploy is not in the sudoers file."
NO_PACKAGE = "No package alpamon-9 available."
DENIED = "Permission denied: /etc/alpamon"


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        ({"msg": CHANGED}, "Host key verification failed."),
        ({"msg": f"{SUDO}{SUDOERS}\nThis incident has been reported to the administrator."}, SUDOERS),
        (
            {"msg": APT, "stderr": "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", "stdout": DPKG},
            DISK_FULL,
        ),
        ({"msg": f"Unknown Error occurred: Transaction test error:\n  {NEEDS}\n"}, NEEDS),
        ({"msg": "Failed to install.", "failures": [NO_PACKAGE], "results": []}, NO_PACKAGE),
        ({"msg": "One or more items failed", "results": [{"failed": True, "msg": DENIED}, {}]}, DENIED),
    ],
)
def test_known_causes(result: dict[str, Any], cause: str) -> None:
    assert find_failure_reason(result)[0] == f"{result['msg'].splitlines()[0]} {cause}"


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        ({"msg": "No.", "stderr": "One.\ndpkg: no.\n\n"}, ["No. dpkg: no."]),
        (
            {"msg": "FAILURE", "rc": 127, "module_stderr": "python3: not found\n\nSee help.\n"},
            ["FAILURE python3: not found"],
        ),
        ({"msg": "First.\nMore.\nLast.\n", "stderr": ""}, ["First. Last.", "More.", "Last."]),
        ({"msg": ["First.", "More."]}, ["First.", "More."]),
        ({}, ["It failed as shown above."]),
        ({"msg": "No.", "stderr": "\x1b[2Jgone"}, ["No. \\x1b[2Jgone"]),
    ],
)
def test_other_causes_are_the_last_line_of_the_errors(result: dict[str, Any], lines: list[str]) -> None:
    assert find_failure_reason(result) == lines


def test_causes_in_long_outputs_are_short() -> None:
    much = f"{'no space left ' * 100}\n" + "line\n" * 900
    [first] = find_failure_reason({"msg": "No.", "stdout": much})
    assert first.startswith("No. no space left")
    assert len(first) < 320
    assert find_failure_reason({"msg": "No.", "stdout": much * 2000}) == [first]
    assert find_failure_reason({"msg": "No.", "stdout": "line\n" * 2000 + "no space left"}) == ["No. no space left"]
