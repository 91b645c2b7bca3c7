# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the stand-in agent: it behaves as the genuine one was seen to, and its faults work."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t
from pathlib import Path

import pytest
from workspace.client import Workspace

COMMANDS = "events/commands/"
FIN = "/fin/$"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes accounts as root only")


def detail(workspace: Workspace, key: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", workspace.api("GET", f"{COMMANDS}{key}/").json())


def output(workspace: Workspace, key: str) -> str:
    rows = workspace.api("GET", f"{COMMANDS}{key}/chunks/?ordering=seq&page_size=100").json()["results"]
    return "".join(row["content"] for row in rows)


def run(workspace: Workspace, line: str, **fields: t.Any) -> dict[str, t.Any]:
    key = workspace.submit("web-01", line, **fields)
    workspace.wait_for_command(key)
    return detail(workspace, key)


def alive(process: str) -> bool:
    # Where nothing reaps orphans, a killed one stays as a zombie.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.strip()}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_child_in_the_background_is_killed_with_its_line(current: Workspace) -> None:
    row = run(current, "nohup sleep 60 >/dev/null 2>&1 & echo $!")
    current._until(lambda: not alive(row["result"]), "the child lives", 30)


@pytest.mark.parametrize(
    ("line", "env", "code", "result"),
    [
        ("kill -9 $$", {}, -1, ""),
        ("sh -c 'kill -9 $$'; exit $?", {}, 137, None),
        ("pwd", {"HOME": "/usr"}, 0, "/usr\n"),
        ("pwd", {"HOME": "/proc/nonexistent"}, 1, "fork/exec /bin/sh: no such file or directory"),
        ("true", {"BIG": "x" * 131_068}, 1, "fork/exec /bin/sh: argument list too long"),
    ],
    ids=["signal", "signal below", "home", "no home", "too large"],
)
def test_how_a_line_ends(current: Workspace, line: str, env: dict[str, str], code: int, result: str | None) -> None:
    row = run(current, line, env=env)
    assert (row["exit_code"], row["result"]) == (code, row["result"] if result is None else result)


def test_a_child_with_a_session_of_its_own_survives(current: Workspace) -> None:
    child = "setsid sh -c 'echo $$ >pid; exec sleep 60' >/dev/null 2>&1"
    row = run(current, f"{child} & until [ -s pid ]; do sleep 0.05; done; cat pid")
    assert alive(row["result"])
    os.kill(int(row["result"]), signal.SIGKILL)


def test_a_child_that_holds_the_output_is_cut_off(current: Workspace) -> None:
    row = run(current, "setsid sh -c 'echo $$; sleep 0.5; echo in time; sleep 4; echo too late' & sleep 0.3; exit 3")
    first, *rest = row["result"].splitlines()
    assert (row["exit_code"], rest) == (3, ["in time"])
    os.kill(int(first), signal.SIGKILL)


@pytest.mark.parametrize(
    ("line", "code", "result"),
    [
        ("echo a | cat", 0, "a | cat\n"),
        ("exit 3", 1, 'exec: "exit": executable file not found in $PATH'),
        ("/proc/nonexistent/tool", 1, "fork/exec /proc/nonexistent/tool: no such file or directory"),
        ("echo $WORD ${WORD} $WORD.", 0, "one two one two $WORD.\n"),
        ("false && echo no", 1, ""),
        ("true || echo no ; echo no", 0, ""),
        ("false ; echo yes", 0, "yes\n"),
        ("/bin/sh -c $RUN", 0, "body\n"),
    ],
)
def test_a_server_without_a_shell(current: Workspace, line: str, code: int, result: str) -> None:
    current.change_server("web-01", allow_sh=False)
    row = run(current, line, env={"WORD": "one two", "RUN": 'eval${IFS}"$BODY"', "BODY": "echo body"})
    assert (row["exit_code"], row["result"]) == (code, result)


@pytest.mark.parametrize(("refusals", "status"), [(5, "success"), (6, "running")])
def test_a_report_is_repeated_five_times(current: Workspace, refusals: int, status: str) -> None:
    current.settings(repeat_unit=0.01)
    current.fault("status", agents=True, path=FIN, status=503, times=refusals)
    key = current.submit("web-01", "true")
    current._until(lambda: current.faults()[0]["times"] == 0, "the reports came to an end", 30)
    assert run(current, "true")["status"] == "success"
    assert detail(current, key)["status"] == status


@needs_root
@pytest.mark.parametrize(
    ("username", "groupname", "result"),
    [
        ("backup", "", "backup backup /var/backups"),
        ("", "", "root root /root"),  # a member of the workspace, whose account was never made
        ("deploy", "deploy", "there is no corresponding deploy username in this server"),
        ("backup", "www-data", "groupname www-data is not in user backup's group list"),
        ("root", "ubuntu", "root root /root"),
        ("www-data", "ubuntu", "there is no corresponding ubuntu groupname in this server"),
    ],
)
def test_accounts_are_really_taken(current: Workspace, username: str, groupname: str, result: str) -> None:
    current.change_server("web-01", accounts="host")
    row = run(current, "echo $(id -un) $(id -gn) $(pwd)", username=username, groupname=groupname)
    assert row["result"].strip() == result


def test_the_environment_of_a_line(current: Workspace) -> None:
    row = run(current, "env; umask; readlink /proc/self/fd/0", username="root", env={"OWN": "yes", "TERM": "dumb"})
    *lines, mask, stdin = row["result"].splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    assert (mask, stdin) == ("0022", "/dev/null")
    assert found["HOME"] == found["PWD"]
    assert {name: found[name] for name in ("USER", "LOGNAME", "MAIL", "SHELL", "TERM", "LANG", "OWN")} == {
        "USER": "root",
        "LOGNAME": "root",
        "MAIL": "/var/mail/root",
        "SHELL": "/bin/bash",
        "TERM": "dumb",
        "LANG": "en_US.UTF-8",
        "OWN": "yes",
    }
    assert {"LS_COLORS", "PATH"} <= set(found)


def test_cut_output_divides_characters(current: Workspace) -> None:
    row = run(current, "printf x; head -c 1200000 /dev/zero | sed 's/\\x00\\x00\\x00/✓/g'")
    size = 1 + 1_200_000
    head, marker, tail = row["result"].split("\n")
    assert marker == f"... [{size - 1024 * 1024} bytes truncated] ..."
    assert head.startswith("x✓")
    assert head.endswith("✓\N{REPLACEMENT CHARACTER}")
    assert tail.startswith("\N{REPLACEMENT CHARACTER}")
    assert tail.endswith("✓")


def test_flush_between_two_writes_cuts_a_character(current: Workspace) -> None:
    row = run(current, r"printf 'a\303'; sleep 0.4; printf '\251b\360\237'; sleep 0.4; printf '\231\202'")
    assert row["result"] == "aéb🙂"
    cut = "\N{REPLACEMENT CHARACTER}"
    assert output(current, row["id"]) == f"a{cut}{cut}b{cut}{cut}{cut}{cut}"
