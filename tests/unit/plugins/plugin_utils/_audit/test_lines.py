# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A check in one line, run by the shells that servers have; and which of the shipped ones fit into one of 2024."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_options import read_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.lines import LONG, NOT_APPLIED, SHORT, line_of
from ansible_collections.herdops.alpacon.tests.unit.support import Row

SHELLS = [shell for shell in ("dash", "bash", "busybox ash") if shutil.which(shell.split()[0])]
FUNCTIONS = """
# tell: not to be confused with told
form='<%s>'
tell() { printf "$form" "$@"; }
told() {
  tell "$@"
}

# shout ?
shout() (
  echo never
)
"""
CODE = [f"  # note {number}\n  [ {number} = {number} ] || problem number {number}\n" for number in range(60)]
LONG_CODE = "".join(CODE)


def check_of(given: Row, functions: str = "") -> Check:
    """One check."""
    [check] = read_checks("checks", [{"name": "c", **given}], functions)
    return check


def run(shell: str, line: str) -> str:
    """What a line prints."""
    assert "\n" not in line
    done = subprocess.run(
        [*shlex.split(shell), "-c", line], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """A shell of servers."""
    return str(request.param)


def test_one_line_can_be_read() -> None:
    assert line_of(check_of({"line": "  echo hello "}), SHORT) == "export LC_ALL=C; echo hello"


def test_a_line_has_values_functions_and_the_condition(shell: str) -> None:
    given = {
        "line": "told \"$word\" 'a\\tb'\nprintf '%s' '\\n' \"$LC_ALL\"",
        "parameters": {"word": "x\ny"},
        "applies_if": '[ -n "$word" ] # here',
    }
    assert run(shell, line_of(check_of(given, FUNCTIONS), LONG)) == "<x\ny><a\\tb>\\nC"
    assert "shout" not in line_of(check_of(given, FUNCTIONS), LONG)
    absent = {**given, "applies_if": "false # not here"}
    assert run(shell, line_of(check_of(absent, FUNCTIONS), LONG)) == f"{NOT_APPLIED}\n"


@pytest.mark.parametrize("most", [SHORT, LONG])
def test_a_form_is_as_plain_as_fits(shell: str, most: int) -> None:
    code = "".join(CODE[: len(CODE) * most // LONG])
    check = check_of({"line": f"{code}echo done", "kind": "problems"}, 'problem() { echo "problem: $*"; }\n')
    line = line_of(check, most)
    assert len(line) <= most
    assert run(shell, line) == "done\n"


def test_what_stands_in_quotes_keeps_its_form(shell: str) -> None:
    text = (
        "cat <&- 2>/dev/null\n  # a comment with a ' in it\n  printf '%s' 'one\n  # two\n\n   three' \"\n  # four\"\n"
    )
    check = check_of({"line": f"{text}{LONG_CODE}echo done", "kind": "problems"}, 'problem() { echo "$*"; }\n')
    line = line_of(check, SHORT)
    assert "base64" in line
    assert run(shell, line) == "one\n  # two\n\n   three\n  # fourdone\n"


def test_what_cannot_be_unpacked_is_no_answer() -> None:
    line = line_of(check_of({"line": f"{LONG_CODE}echo done", "kind": "problems"}), SHORT)
    assert run("dash", line.replace("base64 -d", "cat").replace("zcat", "zcat 2>/dev/null")) == ""
    # An output that is compared may be good when it is empty.
    assert "base64" not in line_of(check_of({"line": LONG_CODE}), SHORT)
