# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results in TAP, from what bats 1.11.1 printed, and from the specification."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import parse

BATS = """1..4
ok 1 hostname is set
not ok 2 passwd is not writable # really
# (in test file /tmp/t/host.bats, line 2)
#   `[ "$(stat -c %a /etc/passwd)" = 600 ]' failed
ok 3 no telnet # skip telnet is not installed
ok 4 plain skip # skip
"""
BATS_13 = """TAP version 13
1..4
ok 1 hostname is set
not ok 2 passwd is not writable # really
  ---
  message: |
    (in test file /tmp/t/host.bats, line 2)
      `[ "$(stat -c %a /etc/passwd)" = 600 ]' failed
  ...
not ok 3 no telnet # SKIP telnet is not installed
not ok 4 plain skip # SKIP
"""
Found = list[tuple[str, str]]


def found(output: str) -> Found:
    """Names and outcomes."""
    return [(result.name, result.outcome) for result in parse({"format": "tap"}, output)]


@pytest.mark.parametrize("output", [BATS, BATS_13])
def test_bats(output: str) -> None:
    assert found(output) == [
        ("hostname is set", "passed"),
        ("passwd is not writable # really", "failed"),
        ("no telnet", "not_applicable"),
        ("plain skip", "not_applicable"),
    ]
    _passed, failed, skipped, plain = parse({"format": "tap"}, output)
    assert failed.message.startswith("(in test file /tmp/t/host.bats, line 2)\n")
    assert failed.message.endswith("failed")
    assert (skipped.message, plain.message) == ("SKIP telnet is not installed", "SKIP")


MISSING = ("missing-results", "unknown")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ok 1 - a\n1..1\n", [("a", "passed")]),
        ("ok\nnot ok\n1..2\n", [("test 1", "passed"), ("test 2", "failed")]),
        ("1..1\nok 1 a \\# b \\\\ c\n", [("a # b \\ c", "passed")]),
        ("1..2\nok 1 - done # TODO was late\nnot ok 2 - x # TODO\n", [("done", "passed"), ("x", "not_applicable")]),
        ("1..0 # SKIP no systemd\n", [("all tests", "not_applicable")]),
        ("1..2\nok 1 - a\n", [("a", "passed"), MISSING]),
        ("1..3\nok 1 - a\nBail out! disk is full\nok 2 - b\n", [("a", "passed"), MISSING]),
        # What a test of tests found is in the line of the outer one.
        ("1..1\n    1..2\n    ok 1 - in\n    not ok 2 - in too\nnot ok 1 - out\n", [("out", "failed")]),
        ("1..0 # SKIP no systemd\n1..1\nnot ok 1 - a\n", [("all tests", "not_applicable"), ("a", "failed")]),
        ("1..1\nok 1 - a\nok 1 - b\n1..1\n1..1\nnot ok 1 - c", [("a", "passed"), ("b", "passed"), ("c", "failed")]),
        ("ok 1 - a\n", [("a", "passed"), MISSING]),
        ("1..2\nok 1 - a\nnot ok 2 - a\n", [("a", "failed")]),
    ],
)
def test_the_protocol(output: str, expected: Found) -> None:
    assert found(output) == expected
