# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The line in which a package manager says why it failed."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._failure_causes import failure_reason

APT = "'/usr/bin/apt-get -y install 'alpamon=2.5.0*'' failed: E: Sub-process /usr/bin/dpkg returned an error code (1)"
FULL = (
    "cannot copy extracted data for './usr/bin/alpamon' to '/usr/bin/alpamon.dpkg-new': failed to write (No space left"
    " on device)"
)
DPKG = f"""\
Unpacking alpamon (2.5.0) ...
dpkg: error processing archive /var/cache/apt/archives/alpamon_2.5.0_amd64.deb (--unpack):
 {FULL}
Errors were encountered while processing:
 /var/cache/apt/archives/alpamon_2.5.0_amd64.deb
"""
NEEDS = "installing package alpamon-2.5.0-1.x86_64 needs 12MB more space on the / filesystem"
DENIED = "Permission denied: /etc/alpamon"
SHIM = "shim: python3.12: not found\n\nNote: See 'shim help'\n for tips on several versions.\n"


SSH = "Failed to connect to the host via ssh: "
AT = "@" * 59
CHANGED = (
    f"{SSH}{AT}\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n{AT}\nHost key verification failed.\n"
)
SUDO = "Task failed: Premature end of stream waiting for become success.\n>>> Standard Error\n"
SUDOERS = "deploy is not in the sudoers file."
CHANNEL = "value of alpamon_channel must be one of: stable, rc, dev, got: beta"


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        ({"msg": CHANGED}, "Host key verification failed."),
        ({"msg": f"{SUDO}{SUDOERS}\nThis incident has been reported to the administrator."}, SUDOERS),
        ({"msg": APT, "stderr": "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", "stdout": DPKG}, FULL),
        ({"msg": f"Unknown Error occurred: Transaction test error:\n  {NEEDS}\n"}, NEEDS),
        (
            {"msg": "Failed to install.", "failures": ["No package alpamon-9 available."], "results": []},
            "No package alpamon-9 available.",
        ),
        ({"msg": "One or more items failed", "results": [{"failed": True, "msg": DENIED}, {}]}, DENIED),
    ],
)
def test_the_line_that_states_the_cause(result: dict[str, Any], cause: str) -> None:
    assert failure_reason(result)[0] == f"{result['msg'].splitlines()[0]} {cause}"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"msg": "No.", "stderr": "One.\ndpkg: no.\n\n"}, ["No. dpkg: no."]),
        ({"msg": "MODULE FAILURE", "rc": 127, "module_stderr": SHIM}, ["MODULE FAILURE shim: python3.12: not found"]),
        # The summary of a rollout has the first line only.
        ({"msg": "First.\nMore.\nLast.\n", "stderr": ""}, ["First. Last.", "More.", "Last."]),
        (
            {"msg": f"Validation of arguments failed:\n{CHANNEL}"},
            [f"Validation of arguments failed: {CHANNEL}", CHANNEL],
        ),
        ({"msg": ["First.", "More."]}, ["First.", "More."]),
        ({}, ["It failed as shown above."]),
        ({"msg": "No.", "stderr": "\x1b[2Jgone"}, ["No. \\x1b[2Jgone"]),
    ],
)
def test_without_one_it_is_the_last_line_of_the_errors(result: dict[str, Any], said: list[str]) -> None:
    assert failure_reason(result) == said


def test_any_amount_of_output_is_told_in_one_short_line() -> None:
    much = f"{'no space left ' * 100}\n" + "line\n" * 900
    [said] = failure_reason({"msg": "No.", "stdout": much})
    assert said.startswith("No. no space left")
    assert len(said) < 320
    assert failure_reason({"msg": "No.", "stdout": much * 2000}) == [said]
    assert failure_reason({"msg": "No.", "stdout": "line\n" * 2000 + "no space left"}) == ["No. no space left"]
