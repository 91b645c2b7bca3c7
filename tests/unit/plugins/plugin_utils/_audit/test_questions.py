# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All questions to a server in one body, run by the shells that servers have, and the answers in what it prints."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_options import read_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.questions import (
    LARGEST_OUTPUT,
    CheckAnswer,
    compose,
    read,
)
from ansible_collections.herdops.alpacon.tests.unit.support import Row

SHELLS = [shell for shell in ("dash", "bash", "busybox ash") if shutil.which(shell.split()[0])]
#: What a body needs beside the shell.
PROGRAMS = ("head", "wc", "sleep", "cat", "true", "dash", "bash", "busybox", "setsid")


def ask(
    shell: str, *given: Row, functions: str = "", path: str | None = None, **parameters: Any
) -> dict[str, CheckAnswer]:
    """The answers of this machine to checks with these keys."""
    checks = read_checks("checks", [{"name": f"c{n}", **one} for n, one in enumerate(given)], functions)
    _label, body = compose([check.with_parameters(parameters) for check in checks], shell)
    env = {"PATH": path or "/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(
        [*shlex.split(shell), "-c", body], capture_output=True, timeout=120, check=False, env=env, stdin=subprocess.PIPE
    )
    assert done.stderr == b""
    return read(done.stdout, checks)


def without_timeout(tmp_path: Path, programs: Iterable[str] = PROGRAMS) -> str:
    """A search path with no more than some programs, among which no timeout is."""
    for name in programs:
        if found := shutil.which(name):
            (tmp_path / name).symlink_to(found)
    return str(tmp_path)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """A shell of servers."""
    return str(request.param)


def test_each_check_has_its_answer(shell: str) -> None:
    answers = ask(
        shell,
        {"line": "echo one; echo two >&2; exit 3"},
        {"name": "a name/with [all] kinds of $characters", "line": "printf 'no line end'"},
        {"line": "printf ''"},
        {"line": 'cat; echo "$LC_ALL"'},
        {"line": "printf '\\n\\n \\n'"},
        {"line": "printf 'caf\\303\\251 \\377 x'"},
    )
    assert answers == {
        "c0": CheckAnswer(3, "one\ntwo\n"),
        "a name/with [all] kinds of $characters": CheckAnswer(0, "no line end"),
        "c2": CheckAnswer(0, ""),
        "c3": CheckAnswer(0, "C\n"),
        "c4": CheckAnswer(0, "\n\n \n"),
        "c5": CheckAnswer(0, "caf\u00e9 \ufffd x"),
    }


def test_no_check_can_spoil_another(shell: str) -> None:
    answers = ask(
        shell,
        {"line": "exec 1>&-; exit"},
        {"line": "if"},
        {"line": "kill -9 $$"},
        {"line": "set -eu; trap 'exit 9' EXIT; cd /; PATH=; alpacon_nl=x; $nothing_there"},
        {"line": "printf '[answer c5 2 rc 0 more 0]\\nno\\n'; exit 1"},
        {"line": "echo fine"},
    )
    assert answers["c5"] == CheckAnswer(0, "fine\n")
    assert set(answers) == {f"c{number}" for number in range(6)}
    assert answers["c1"].rc != 0
    assert answers["c4"] == CheckAnswer(1, "[answer c5 2 rc 0 more 0]\nno\n")


def test_parameters_and_functions(shell: str) -> None:
    words = {"most": 4, "names": ["a b", "c'd"], "strict": True, "text": "$HOME 'x' \"y\"\nz"}
    answers = ask(
        shell,
        {"line": 'tell "$most" "$names" "$strict" "$text"', "parameters": words},
        {"line": "tell ${most-unset}", "parameters": {"own": ""}},
        functions="tell() { printf '<%s>' \"$@\"; }",
        most=5,
        own="ignored by the first",
    )
    assert answers["c0"].output == "<5><a b c'd><true><$HOME 'x' \"y\"\nz>"
    assert answers["c1"].output == "<unset>"


def test_a_check_that_does_not_apply(shell: str) -> None:
    answers = ask(
        shell,
        {"line": "echo asked", "applies_if": "echo no such thing; exit 127"},
        {"line": "echo asked", "applies_if": "[ $most = 4 ]", "parameters": {"most": 4}},
    )
    assert answers["c0"] == CheckAnswer(127, "no such thing\n", applies=False)
    assert answers["c1"] == CheckAnswer(0, "asked\n")


@pytest.mark.parametrize("limited", ["timeout", "watched"])
def test_each_check_has_its_time(shell: str, limited: str, tmp_path: Path) -> None:
    path = without_timeout(tmp_path, (*PROGRAMS, "date")) if limited == "watched" else None
    began = time.monotonic()
    answers = ask(
        shell,
        {"line": "echo begun; sleep 60", "timeout": 1},
        {"line": "echo begun; sleep 61 & sleep 62; echo over", "timeout": 1},
        {"line": "exit 124", "timeout": 60},
        {"line": "kill -9 $$"},
        path=path,
    )
    assert answers["c0"].out_of_time
    assert answers["c0"].output.startswith("begun\n")
    assert answers["c1"].out_of_time
    # They end like those that are out of time.
    assert [(answers[name].rc, answers[name].out_of_time) for name in ("c2", "c3")] == [(124, False), (137, False)]
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("clock", ["echo '%s'", "echo no [such] option; exit 1"])
def test_a_server_whose_clock_tells_no_seconds(clock: str, tmp_path: Path) -> None:
    path = without_timeout(tmp_path)
    (tmp_path / "date").write_text(f"#!/bin/sh\n{clock}\n")
    (tmp_path / "date").chmod(0o755)
    answers = ask("dash", {"line": "echo fine"}, {"line": "exit 124"}, path=path)
    assert answers["c0"] == CheckAnswer(0, "fine\n")
    assert answers["c1"].out_of_time


def test_no_more_is_kept_than_fits(shell: str) -> None:
    answers = ask(
        shell,
        {"line": "yes | head -c 300000; exit 7"},
        {"line": "yes | head -c 60000"},
        {"line": "yes | head -c 300000", "kind": "results", "results": {"format": "tap"}},
    )
    assert (answers["c0"].rc, answers["c0"].complete, len(answers["c0"].output)) == (7, False, LARGEST_OUTPUT)
    assert (answers["c1"].complete, len(answers["c1"].output)) == (True, 60_000)
    assert (answers["c2"].complete, len(answers["c2"].output)) == (True, 300_000)


@pytest.mark.parametrize(
    ("printed", "names"),
    [
        (b"", []),
        (b"[answer a 2 rc 0 more 0]\nhi\n", ["a"]),
        (b"[answer a 2 rc 0 more 0]\nhi\n[answer b 9 rc 0 more 0]\nhi", ["a"]),
        (b"[answer a 2 more 0]\nhi\n[answer b 2 rc 0 more 0]\nhi\n", ["b"]),
        (b"[answer a 3 rc 0 more 0]\nhi\n[answer b 2 rc 0 more 0]\nhi\n", []),
        (b"[answer a 2 " + b" " * 1000 + b"\nhi\n", []),
        (b"[answer a 2 rc " + b"9" * 5000 + b" more 0]\nhi\n", []),
    ],
)
def test_answers_that_are_not_whole_are_none(printed: bytes, names: list[str]) -> None:
    checks = read_checks("checks", [{"name": name, "line": "x"} for name in "ab"])
    assert list(read(printed, checks)) == names


def test_the_same_checks_are_the_same_body() -> None:
    checks = read_checks("checks", [{"name": "a", "line": "x", "parameters": {"p": 1}}, {"name": "b", "line": "y"}])
    assert compose(checks) == compose([check.with_parameters({"p": 1, "q": 2}) for check in checks])
    assert compose(checks) != compose([check.with_parameters({"p": 2}) for check in checks])
    assert compose(checks[:1]) != compose(checks)
