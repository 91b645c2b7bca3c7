# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test payloads of checks in the shells of servers, and the parser of their output."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import IncompleteFrame, read_frame
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import pack
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import (
    LINE_LENGTH_2024,
    MAX_OUTPUT_BYTES,
    CheckAnswer,
    build_env,
    build_line,
    build_script,
    parse_answers,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.responses import evaluate
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import PART_WRITER, read_parts
from ansible_collections.herdops.alpacon.tests.unit.support import Row

#: Shells of servers, each with its path.
SHELLS = [
    f"{shutil.which(name)}{more}"
    for name, more in (("dash", ""), ("bash", ""), ("busybox", " ash"))
    if shutil.which(name)
]


def run_checks(
    shell: str,
    *given: Row,
    functions: str = "",
    path: str = "/usr/bin:/bin",
    seconds: int = 100,
    renice: str = "/bin/true",
    **parameters: Any,
) -> dict[str, CheckAnswer]:
    """Run checks with these keys on this machine, and return the answers.

    At the lowest priority they would get no time beside other tests, so renice does nothing.
    """
    checks = parse_checks("checks", [{"name": f"c{n}", **one} for n, one in enumerate(given)], functions)
    _label, body = build_script([check.with_parameters(parameters) for check in checks], shell)
    argv = [*shlex.split(shell), "-c", f"{PART_WRITER}{body}"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "renice").symlink_to(renice)
        env = {"PATH": f"{folder}:{path}", "LANG": "C.UTF-8", "AUDIT_SECONDS": str(seconds)}
        done = subprocess.run(argv, capture_output=True, timeout=120, check=False, env=env, stdin=subprocess.DEVNULL)
    return parse_answers(read_parts(done.stdout), checks)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_checks_of_openscap_have_the_function_that_explains(shell: str) -> None:
    line = "command -v explain || echo none"
    answers = run_checks(shell, {"line": line, "results": {"format": "xccdf"}}, {"line": line}, functions="true")
    assert [answer.output for answer in answers.values()] == ["explain\n", "none\n"]
    # It does not fit into a line.
    [check] = parse_checks("checks", [{"name": "c", "line": line, "results": {"format": "xccdf"}}], "")
    assert "awk" not in build_line(check)


def test_each_check_has_its_answer(shell: str) -> None:
    answers = run_checks(
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


def test_no_check_can_change_the_answer_of_another(shell: str) -> None:
    answers = run_checks(
        shell,
        {"line": "exec 1>&-; exit"},
        {"line": "eval if"},
        {"line": "kill -9 $$"},
        {"line": "set -eu; trap 'exit 9' EXIT; cd /; PATH=; alpacon_nl=x; $nothing_there"},
        {"line": "printf '\\nc5 rc 0 in 30 by 0\\n[part]\\n' >&2; echo '[part]' >&3; echo rc 0 >&4; exit 1"},
        {"line": "echo fine"},
    )
    assert answers["c5"] == CheckAnswer(0, "fine\n")
    assert set(answers) == {f"c{number}" for number in range(6)}
    assert answers["c1"].rc != 0
    assert answers["c4"].rc == 1
    assert answers["c4"].output.startswith("\nc5 rc 0 in 30 by 0\n[part]\n")


def test_what_a_check_looks_at_changes_no_answer(shell: str) -> None:
    bad = "echo 'problem: [part]'; printf '\\nc0 rc 9 in 30 by 0' >&2; kill -9 $$"
    answers = run_checks(
        shell,
        {"line": "echo yes", "looks_at": "tell $most", "parameters": {"most": 4}},
        {"line": "exit 3", "looks_at": bad},
        {"line": "true", "looks_at": "head -c 9999 /dev/zero | tr '\\0' x; sleep 60"},
        {"line": "true", "looks_at": "true", "applies_if": "false"},
        {"line": "echo c5 looked-at"},
        functions='tell() { echo "$1 <$(cat)>"; }',
    )
    assert answers == {
        "c0": CheckAnswer(0, "yes\n", looked_at="4 <>\n"),
        "c1": CheckAnswer(3, "", looked_at="problem: [part]\n"),
        "c2": CheckAnswer(0, "", looked_at="x" * 1500),
        "c3": CheckAnswer(0, "", applies=False),
        "c4": CheckAnswer(0, "c5 looked-at\n"),
    }


def test_parameters_and_functions(shell: str) -> None:
    words = {"most": 4, "names": ["a b", "c'd"], "strict": True, "text": "$HOME 'x' \"y\"\nz"}
    answers = run_checks(
        shell,
        {"line": 'tell "$most" "$names" "$strict" "$text"', "parameters": words},
        {"line": "tell ${most-unset}", "parameters": {"own": ""}},
        functions="tell() { printf '<%s>' \"$@\"; }",
        most=5,
        own="ignored by the first",
    )
    assert answers["c0"].output == "<5><a b c'd><true><$HOME 'x' \"y\"\nz>"
    assert answers["c1"].output == "<unset>"


@pytest.mark.parametrize(
    "given",
    [
        {"line": "no-program"},
        {"line": "no-program", "absent": "not found"},
        {"line": "echo 5; no-program | wc -l", "number": ">= 1"},
        {"line": "! no-program | grep -q bad"},
        {"line": "f() { echo ok; no-program; true; }\nf", "matches": "^ok"},
        {"line": 'if no-program; then echo "problem: bad"; fi\necho "done"', "kind": "problems"},
        {"line": 'no-program || echo "not applicable: none"\necho "done"', "kind": "problems"},
        {"line": "no-program", "results": {"format": "tap"}},
    ],
)
def test_a_check_whose_program_is_missing_is_unknown(shell: str, given: Row) -> None:
    [check] = parse_checks("checks", [{"name": "c0", **given}])
    by_line = subprocess.run(
        [*shlex.split(shell), "-c", build_line(check)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assumed = CheckAnswer(min(by_line.returncode, 1), by_line.stdout, rc_stated=False)
    for answer in (run_checks(shell, given)["c0"], assumed):
        evaluation = evaluate(check, answer)
        assert (evaluation.outcome, evaluation.message) == ("unknown", "The program no-program was not found.")


def test_functions_precede_the_line() -> None:
    [check] = parse_checks("checks", [{"name": "a", "line": "f", "applies_if": " "}], "f() { echo hi; }")
    assert subprocess.run(["/bin/sh", "-c", build_line(check)], capture_output=True, check=True).stdout == b"hi\n"


@pytest.mark.parametrize("blanks", [1, 400, 600])
def test_a_line_has_line_breaks_only_if_a_workspace_of_2024_refuses_it_anyway(shell: str, blanks: int) -> None:
    code = f"if true; then\n{' ' * blanks}printf '%s\\n' \"it's \\\\\"; fi\nexit 3"
    [check] = parse_checks("checks", [{"name": "a", "line": code}])
    line = build_line(check)
    assert ("\n" in line) == (len(line) > LINE_LENGTH_2024)
    done = subprocess.run([*shlex.split(shell), "-c", line], capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"it's \\\n", 3)


def test_a_check_that_does_not_apply(shell: str) -> None:
    answers = run_checks(
        shell,
        {"line": "echo ran", "applies_if": "echo no such thing; exit 127"},
        {"line": "echo ran", "applies_if": "[ $most = 4 ]", "parameters": {"most": 4}},
    )
    assert answers["c0"] == CheckAnswer(0, "", applies=False)
    assert answers["c1"] == CheckAnswer(0, "ran\n")


def test_each_check_has_its_timeout(shell: str) -> None:
    answers = run_checks(
        shell,
        {"line": "echo begun; sleep 60", "timeout": 1},
        {"line": "echo begun; sleep 61 & sleep 62; echo over", "timeout": 1},
        {"line": "echo begun; sleep 63 & exit 3", "timeout": 1},
        {"line": "trap '' TERM; sleep 64; sleep 65", "timeout": 1},
        {"line": "echo ran", "applies_if": "sleep 66", "timeout": 1},
        {"line": "exit 124", "timeout": 60},
        {"line": "kill -9 $$"},
    )
    late: Row = {"complete": False, "out_of_time": 1}
    assert answers == {
        "c0": CheckAnswer(124, "begun\n", **late),
        "c1": CheckAnswer(124, "begun\n", **late),
        "c2": CheckAnswer(3, "begun\n"),
        "c3": CheckAnswer(137, "", **late),
        "c4": CheckAnswer(124, "", **late),
        "c5": CheckAnswer(124, ""),
        "c6": CheckAnswer(137, answers["c6"].output),
    }


def test_all_checks_share_the_time_of_their_command(shell: str) -> None:
    answers = run_checks(
        shell, {"line": "sleep 60", "timeout": 50}, {"line": "sleep 60", "timeout": 51}, {"line": "id"}, seconds=3
    )
    assert answers["c2"].rc == 0
    assert 0 < answers["c0"].out_of_time <= 3
    assert answers["c1"] == CheckAnswer(0, "", ran=False)


def test_a_server_without_timeout(shell: str, tmp_path: Path) -> None:
    for name in ("base64", "head", "cat", "sh", "wc"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    answers = run_checks(shell, {"line": "echo fine", "applies_if": "true"}, {"line": "exit 124"}, path=str(tmp_path))
    assert answers == {"c0": CheckAnswer(0, "fine\n"), "c1": CheckAnswer(124, "")}


def test_checks_run_at_the_lowest_priority() -> None:
    assert run_checks("/bin/sh", {"line": "nice; ionice -p $$"}, renice="/usr/bin/renice")["c0"].output == "19\nidle\n"


@pytest.mark.parametrize(("wait_timeout", "seconds"), [(300.0, "240"), (0.5, "1"), (7200.0, "1500")])
def test_the_time_of_all_checks_is_less_than_that_of_their_command(wait_timeout: float, seconds: str) -> None:
    assert build_env(wait_timeout) == {"AUDIT_SECONDS": seconds}


def test_answers_of_a_killed_command_count(shell: str) -> None:
    checks = parse_checks("checks", [{"name": "a", "line": "echo a"}, {"name": "b", "line": "echo b; sleep 60"}])
    packed = pack(*build_script(checks, shell), in_parts=True)
    argv = [*shlex.split(shell), "-c", packed.env["BODY"], "label", f"sha256:{packed.digest}"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, env={"PATH": "/usr/bin:/bin", **packed.env}, text=True
    ) as process:
        assert process.stdout
        output = ""
        while "[part]" not in output:
            output += process.stdout.readline()
        process.kill()
    with pytest.raises(IncompleteFrame) as raised:
        read_frame(packed.digest, output)
    assert parse_answers(raised.value.stdout, checks) == {"a": CheckAnswer(0, "a\n")}


def test_long_outputs_are_cut(shell: str) -> None:
    answers = run_checks(
        shell,
        {"line": "yes | head -c 300000; exit 7"},
        {"line": "yes | head -c 60000"},
        {"line": "yes | head -c 300000", "results": {"format": "tap"}},
    )
    assert (answers["c0"].rc, answers["c0"].complete, len(answers["c0"].output)) == (7, False, MAX_OUTPUT_BYTES)
    assert (answers["c1"].complete, len(answers["c1"].output)) == (True, 60_000)
    assert (answers["c2"].complete, len(answers["c2"].output)) == (True, 300_000)


@pytest.mark.parametrize(
    ("printed", "names"),
    [
        (b"", []),
        (b"[part 21]\na\nhi\na rc 0 in 9 by 0\n", ["a"]),
        (b"[part 21]\na\nhi\na rc 0 in 9 by 0\n[part 21]\nb\nhi\nb rc 0 in 9 by ", ["a"]),
        (b"[part 12]\na\nhi\na in 9 by 0\n[part 21]\nb\nhi\nb rc 0 in 9 by 0\n", []),
        (b"[part 16]\na\nhi\na in 9 by 0\n[part 21]\nb\nhi\nb rc 0 in 9 by 0\n", ["b"]),
        (b"[part 21]\nb\nhi\na rc 0 in 9 by 0\n", []),
        (b"[part 9999]\na\nhi\na rc 0 in 9 by 0\n", []),
        (b"[part 25]\na\nhi\na rc 999999 in 9 by 0\n", []),
    ],
)
def test_incomplete_answers_are_ignored(printed: bytes, names: list[str]) -> None:
    checks = parse_checks("checks", [{"name": name, "line": "x"} for name in "ab"])
    assert list(parse_answers(printed, checks)) == names
