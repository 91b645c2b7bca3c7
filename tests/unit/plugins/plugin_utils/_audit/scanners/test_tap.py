# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results in TAP, from what bats 1.11.1 and Test::More printed, and from the specification."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import ScannerError, parse

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
TEST_MORE = """1..4
ok 1 - a file is there
not ok 2 - the mode is 600
#   Failed test 'the mode is 600'
#   at -e line 1.
ok 3 # skip no sshd
not ok 4 - it is signed # TODO soon
#   Failed (TODO) test 'it is signed'
# Looks like you failed 1 test of 4.
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
    assert (skipped.message, plain.message) == ("Skipped: telnet is not installed", "Skipped.")


def test_test_more() -> None:
    assert found(TEST_MORE) == [
        ("a file is there", "passed"),
        ("the mode is 600", "failed"),
        ("test 3", "not_applicable"),
        ("it is signed", "not_applicable"),
    ]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ok 1 - a\n1..1\n", [("a", "passed")]),
        ("ok\nnot ok\n1..2\n", [("test 1", "passed"), ("test 2", "failed")]),
        ("1..1\nok 1 a \\# b \\\\ c\n", [("a # b \\ c", "passed")]),
        ("1..1\nok 1 - done # TODO was late\n", [("done", "passed")]),
        ("1..2\nok 1 - a\nok 2 - a\n", [("a", "passed"), ("a (2)", "passed")]),
        ("1..0 # SKIP no systemd\n", [("all tests", "not_applicable")]),
        ("1..2\nok 1 - a\n", [("a", "passed"), ("missing-results", "unknown")]),
        ("1..1\nok 1 - a\nok 2 - b\n", [("a", "passed"), ("b", "passed"), ("missing-results", "unknown")]),
        ("ok 1 - a\n", [("a", "passed"), ("missing-results", "unknown")]),
        ("1..3\nok 1 - a\nBail out! disk is full\nok 2 - b\n", [("a", "passed"), ("missing-results", "unknown")]),
        ("1..2\n", [("missing-results", "unknown")]),
        # What a test of tests found is in the line of the outer one.
        ("1..1\n    1..2\n    ok 1 - in\n    not ok 2 - in too\nnot ok 1 - out\n", [("out", "failed")]),
        ("okay then\n1..1\nok 1 - a\n", [("a", "passed")]),
        # Files below each other, with plans of their own.
        ("1..0 # SKIP no systemd\n1..1\nnot ok 1 - a\n", [("all tests", "not_applicable"), ("a", "failed")]),
        ("1..1\nok 1 - a\nok 1 - b\n1..1\n1..1\nnot ok 1 - c", [("a", "passed"), ("b", "passed"), ("c", "failed")]),
        ("1..0\nnot ok 1 - a\n", [("all tests", "not_applicable"), ("a", "failed"), ("missing-results", "unknown")]),
        (
            "1..2\nok 1 - a\n1..1\nok 1 - b\nok 2 - c\n",
            [*((name, "passed") for name in "abc"), ("missing-results", "unknown")],
        ),
        ("1..1\nok 1 - a\nnot ok\n", [("a", "passed"), ("test 2", "failed"), ("missing-results", "unknown")]),
        ("1..2\nok 1 - a # time=5.1ms\nok 2 - b # time=7ms {\n", [("a", "passed"), ("b", "passed")]),
        ("1..1\nok 1 - a # SKIP not here # time=5.1ms\n", [("a", "not_applicable")]),
    ],
)
def test_the_protocol(output: str, expected: Found) -> None:
    assert found(output) == expected


@pytest.mark.parametrize("end", ["ok", "ok       29 ms ( 0.00 usr  0.00 sys +  0.02 cusr  0.00 csys =  0.02 CPU)"])
def test_prove(end: str) -> None:
    first = f"a.t .. \n1..2\nok 1 - one\nok 2 - two\n{end}\n"
    passed = [("one", "passed"), ("two", "passed")]
    assert found(f"{first}All tests successful.\nFiles=1, Tests=2, 0 wallclock secs\nResult: PASS\n") == passed
    second = f"b.t .. \nok 1 - three\n# Subtest: in\n    ok 1 - x\n    1..1\nok 2 - in\n1..2\n{end}\n"
    assert found(f"{first}{second}Result: PASS\n") == [*passed, ("three", "passed"), ("in", "passed")]
    torn = "d.t .. \n1..3\nok 1 - five\nDubious, test returned 255 (wstat 65280, 0xff00)\nFailed 2/3 subtests \n"
    assert found(f"{torn}{first}Result: FAIL\n") == [("five", "passed"), *passed, ("missing-results", "unknown")]


def test_a_file_without_tests_fails_the_run_of_prove() -> None:
    output = "a.t .. \n1..1\nok 1 - one\nok\ne.t .. \nDubious, test returned 2\nNo subtests run \nResult: FAIL\n"
    passed, missing = parse({"format": "tap"}, output)
    assert (passed.outcome, missing.outcome) == ("passed", "unknown")
    assert missing.message == "prove says that the run failed, and no test did."


def test_what_explains_a_test_within_another_is_not_about_the_one_before() -> None:
    inner = "# Subtest: second\n    not ok 1 - in\n      ---\n      found: 1\n      ...\n    1..1\n"
    output = f"1..2\nok 1 - first\n{inner}not ok 2 - second\n  ---\n  at:\n    line: 3\n  ...\n  Failed test: 2\n"
    first, second = parse({"format": "tap"}, output)
    assert (first.message, second.message) == ("", "at:\nline: 3")


def test_what_is_missing_is_told() -> None:
    several = "1..3\nok\nok\n1..1\nok 1 - a\nok 2 - b\n"
    assert parse({"format": "tap"}, several)[-1].message == "4 tests were planned, and 3 came."
    [*_found, missing] = parse({"format": "tap"}, "1..3\nok 1 - a\nBail out! disk is full\n")
    assert missing.message == "The run was given up: disk is full."
    [*_found, missing] = parse({"format": "tap"}, "1..3\nok 1 - a\n")
    assert missing.message == "3 tests were planned, and 1 came."


@pytest.mark.parametrize("output", ["", "sh: 1: bats: not found\n", "Bail out! no bats\n"])
def test_no_tap_is_refused(output: str) -> None:
    with pytest.raises(ScannerError):
        parse({"format": "tap"}, output)
