# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts and programs that are carried to servers, in every state."""

from __future__ import annotations

import hashlib
import random
import re

import pytest
from system.support import AGENTS, carry, content, info, methods, run
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import outputs as _outputs
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, error_from_body
from ansible_collections.herdops.alpacon.plugins.module_utils._carrier.packing import LARGEST_PAYLOAD
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_order import Order
from ansible_collections.herdops.alpacon.tests.unit import support
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

#: The dialects that know no variables.
dropping = pytest.mark.parametrize("workspace", ["published", "2024"], indirect=True)
BOTH_STREAMS = b"#!/bin/sh\necho out $1\necho err >&2\nexit 3\n"


def test_a_script_gives_its_code_and_both_streams_exactly(current: Workspace) -> None:
    result = carry(current, BOTH_STREAMS, script="job.sh 'a  b'").result
    assert (result["rc"], result["stdout"], result["stderr"]) == (3, "out a b", "err")
    assert result["outcome"] == "failed"
    assert result["output_complete"]
    assert result["changed"]
    assert result["line"].startswith("/bin/sh -c $RUN script:job.sh sha256:")
    assert methods(current)["POST"] == 1


def test_a_server_without_a_shell_runs_it_as_well(current: Workspace) -> None:
    current.change_server("web-01", allow_sh=False)
    result = carry(current, BOTH_STREAMS).result
    assert (result["rc"], result["stdout"], result["stderr"]) == (3, "out", "err")
    result = carry(current, argv=["printf", "%s|", "$HOME", "*", "a  b", "it's"]).result
    assert result["stdout"] == "$HOME|*|a  b|it's|"


def test_arguments_reach_a_program_as_they_are(current: Workspace) -> None:
    words = ["$HOME", "*", "~", "a  b", "", "it's", '"', "\\", "`id`", "line\nbreak", "ä", "-n"]
    result = carry(current, argv=["printf", "%s|", *words]).result
    assert result["stdout"] == "".join(f"{word}|" for word in words)


def test_what_a_script_reads_is_exact_to_the_byte(current: Workspace) -> None:
    stdin = bytes(range(256)) * 300 + b"\n\n  "
    result = carry(current, argv=["sha256sum"], stdin=stdin.decode("utf-8", "surrogateescape")).result
    assert result["stdout"] == f"{hashlib.sha256(stdin).hexdigest()}  -"


@dropping
@pytest.mark.parametrize("allow_sh", [True, False])
def test_a_workspace_that_hands_no_variables_on_runs_nothing(workspace: Workspace, allow_sh: bool) -> None:
    workspace.change_server("web-01", allow_sh=allow_sh)
    outcome = carry(workspace, BOTH_STREAMS)
    assert outcome.failed
    assert not outcome.warnings
    assert (outcome["outcome"], outcome["ran"], outcome["rc"]) == ("failed", False, None)
    assert "did not pass on the variables that carry it" in outcome["msg"]


# One submit decides, and each server for itself


def test_creates_and_removes_are_decided_by_each_server(current: Workspace) -> None:
    current.change_server("web-03", allow_sh=False)
    carry(current, argv=["touch", "a mark"], servers=["web-02"])  # in the home of one of them
    created = carry(current, argv=["touch", "made"], creates="a mar[k]", servers=list(AGENTS))
    assert [row["changed"] for row in created.commands] == [True, False, True]
    assert created.changed
    assert created.commands[1]["stdout"] == "skipped, since a mar[k] exists"
    assert created.commands[1]["msg"] == "skipped, since a mar[k] exists"
    removed = carry(current, argv=["rm", "a mark"], removes="~/a mark", servers=list(AGENTS))
    assert [row["changed"] for row in removed.commands] == [False, True, False]
    assert removed.commands[0]["stdout"] == "skipped, since ~/a mark does not exist"
    again = carry(current, argv=["rm", "a mark"], removes="~/a mark", servers=list(AGENTS))
    assert not again.changed
    assert {(row["rc"], row["outcome"]) for row in again.commands} == {(0, "success")}
    assert methods(current)["POST"] == 10


def test_each_server_of_a_fleet_answers_for_itself(current: Workspace) -> None:
    names = [f"fleet-{number}" for number in range(36)]
    current.add_servers(*names, agent=True)
    current.wait_connected(*names)
    for name in names[::3]:
        current.change_server(name, allow_sh=False)
    script = b'#!/bin/sh\necho "out $HOSTNAME $1"\necho "err $HOSTNAME" >&2\nexit "$((${HOSTNAME#fleet-} % 2))"\n'
    before = current.requests_made()
    outcome = carry(current, script, script="job.sh '*'", servers=names, max_errors="100%")
    assert [row["stdout"] for row in outcome.commands] == [f"out {name} *" for name in names]
    assert [row["stderr"] for row in outcome.commands] == [f"err {name}" for name in names]
    assert [row["rc"] for row in outcome.commands] == [number % 2 for number in range(36)]
    assert outcome["summary"] == {"success": 18, "failed": 18}
    assert current.requests_made() - before <= 36 + 12


def test_a_folder_that_is_not_there_runs_nothing(current: Workspace) -> None:
    result = carry(current, b"echo ran\n", chdir="/nonexistent/folder").result
    assert result["outcome"] == "failed"
    assert result["stdout"] == ""
    assert "/nonexistent/folder" in result["stderr"]


def test_another_program_runs_the_script(current: Workspace) -> None:
    result = carry(current, b"import sys; print(sys.argv[1:])\n", script="job.py 'a b'", executable="python3").result
    assert result["stdout"] == "['a b']"


def test_variables_of_the_user_arrive_beside_those_that_carry(current: Workspace) -> None:
    script = b'echo "$WORD"; echo "${RUN-none} ${BODY-none} ${P0-none}"\n'
    result = carry(current, script, env={"WORD": "hunter22"}).result
    assert result["stdout_lines"] == ["********", "none none none"]


def test_bytes_that_are_no_text_are_told_as_such(current: Workspace) -> None:
    result = carry(current, argv=["printf", r"\377ab\n\n"]).result
    assert result["stdout"] == "\ufffdab"


def test_the_end_of_both_outputs_is_kept(current: Workspace) -> None:
    script = b"seq 1 2000\nseq 1 2000 >&2\n"
    result = carry(current, script, output_limit=9).result
    assert (result["stdout"], result["stderr"]) == ("1999\n2000", "1999\n2000")
    assert not result["output_complete"]
    assert "output_limit cut" in result["msg"]


def test_a_secret_on_the_standard_error_that_is_cut_in_two_stays_hidden(current: Workspace) -> None:
    argv = ["sh", "-c", "printf '%s-end' \"$S\" >&2"]
    result = carry(current, argv=argv, env={"S": "s3cret-value"}, output_limit=9).result
    assert result["stderr"] == "*****-end"
    assert "value" not in str(result)


def test_what_is_too_large_is_refused_before_anything_is_sent(current: Workspace) -> None:
    with pytest.raises(UsageError, match=r"^script: 2000\d\d\d bytes of script take \d+ bytes, compressed") as caught:
        carry(current, random.Random(1).randbytes(2_000_000))
    assert "one submit carries 1500000" in str(caught.value)
    assert current.requests_made() == 0


# In every state


@pytest.mark.parametrize("what", ["script", "stdin"])
def test_what_a_proxy_in_front_does_not_take_is_told_with_its_limit(current: Workspace, what: str) -> None:
    current.settings(body_max=1024 * 1024)
    large = random.Random(1).randbytes(900_000)
    if what == "script":
        outcome = carry(current, large, servers=["web-01", "web-02"])
    else:
        stdin = large.decode("utf-8", "surrogateescape")
        outcome = carry(current, argv=["wc"], stdin=stdin, servers=["web-01", "web-02"])
    assert outcome.failed
    assert [(row["outcome"], row["ran"]) for row in outcome.commands] == [("unknown", None)] * 2
    for row in outcome.commands:
        assert "The request is larger than the workspace, or a proxy in front of it, takes." in row["msg"]
        assert "client_max_body_size" in row["msg"]
        assert "nginx/1" not in row["msg"]
    assert methods(current)["POST"] == 2


def test_with_the_limit_that_is_advised_everything_passes(current: Workspace) -> None:
    sentence = str(error_from_body("POST", "/", 413, None))
    advised = re.search(r"client_max_body_size (\d+)m", sentence)
    assert advised
    current.settings(body_max=int(advised[1]) * 1024 * 1024)
    # Of one byte each, the report of the agent has six characters; a submit is never larger than what it carries.
    codes = "head -c 1048576 /dev/zero | tr '\\000' '\\033'"
    written = run(current, servers=["web-01"], line=codes, output_limit=5, wait_timeout="1m").result
    assert (written["outcome"], written["stdout"]) == ("success", "\033" * 5)
    largest = random.Random(1).randbytes(LARGEST_PAYLOAD * 3 // 4 - 5000)
    assert carry(current, argv=["wc", "-c"], stdin=largest.decode("utf-8", "surrogateescape")).result["rc"] == 0


def test_it_is_scheduled_once_and_found_by_its_digest(current: Workspace) -> None:
    later: Row = {"state": "scheduled", "scheduled_at": FAR}
    first = carry(current, BOTH_STREAMS, **later)
    again = carry(current, BOTH_STREAMS, **later)
    other = carry(current, BOTH_STREAMS + b"\n", **later)
    argued = carry(current, BOTH_STREAMS, script="job.sh a", **later)
    assert [outcome.changed for outcome in (first, again, other, argued)] == [True, False, True, True]
    assert again["id"] == first["id"]
    withdrawn = carry(current, BOTH_STREAMS, state="cancelled")
    assert [(row["id"], row["outcome"]) for row in withdrawn.commands] == [(first["id"], "cancelled")]
    assert not carry(current, BOTH_STREAMS, state="cancelled").changed
    left = {row["id"] for row in current.commands() if row["status"] == "scheduled"}
    assert left == {other["id"], argued["id"]}


def test_it_is_scheduled_for_another_time(current: Workspace) -> None:
    first = carry(current, argv=["id"], state="scheduled", scheduled_at=FAR)
    moved = carry(current, argv=["id"], state="scheduled", scheduled_at="2998-01-01T00:00:00Z", reschedule=True)
    assert moved.changed
    assert [row["id"] for row in current.commands() if row["status"] == "scheduled"] == [moved["id"]]
    assert first["id"] != moved["id"]


@pytest.mark.parametrize("output", ["result", "chunks"])
def test_what_is_skipped_is_no_failure_whatever_codes_count_as_success(current: Workspace, output: str) -> None:
    current.settings(output=output)
    limits: Row = {"max_errors": "0", "max_concurrency": "1"}
    done = carry(current, argv=["false"], creates="/", success_codes=[1], servers=list(AGENTS), **limits)
    assert (done.failed, done.changed, done["summary"]) == (False, False, {"success": 3})
    assert {(row["outcome"], row["success"], row["rc"], row["msg"]) for row in done.commands} == {
        ("success", True, 0, "skipped, since / exists")
    }


@pytest.mark.parametrize(("lost", "outcome"), [(False, "failed"), (True, "unknown")])
def test_an_outcome_counts_as_it_is_once_the_answer_is_there(
    current: Workspace, lost: bool, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outputs, "_CHUNK_PAUSES", (0.1,))
    current.settings(output="chunks")
    if lost:
        current.fault("drop_chunk")
    argv = ["true"] if lost else ["false"]
    done = carry(current, argv=argv, servers=list(AGENTS), max_errors="0", max_concurrency="1")
    assert done["summary"] == {outcome: 1, "not_tried": 2}


def test_it_is_awaited_later_by_its_id(current: Workspace) -> None:
    submitted = carry(current, BOTH_STREAMS, wait=False)
    result = run(current, state="finished", ids=[submitted["id"]]).result
    assert (result["rc"], result["stdout"], result["stderr"]) == (3, "out", "err")
    [listed] = info(current, ids=[submitted["id"]]).commands
    assert (listed["rc"], listed["stdout"], listed["stderr"]) == (3, "out", "err")


def test_what_succeeded_lately_is_reused(current: Workspace) -> None:
    first = carry(current, argv=["echo", "a"])
    again = carry(current, argv=["echo", "a"], reuse_within="1h")
    other = carry(current, argv=["echo", "b"], reuse_within="1h")
    assert (again["id"], again["stdout"], again.changed) == (first["id"], "a", False)
    assert (other["stdout"], other.changed) == ("b", True)


@pytest.mark.parametrize("by", ["bob", "service", "root"])
def test_what_others_had_carried_is_not_reused(current: Workspace, by: str) -> None:
    other: Row = {"username": by} if by == "root" else {"token": current.tokens()[by]}
    first = carry(current, argv=["echo", "a"], **other)
    again = carry(current, argv=["echo", "a"], reuse_within="1h")
    assert first["line"] == again["line"]
    assert (again["id"] != first["id"], again.changed) == (True, True)


def test_check_and_diff_mode_submit_nothing_and_show_the_line(current: Workspace) -> None:
    predicted = carry(current, BOTH_STREAMS, check_mode=True)
    assert predicted.changed
    options = {"servers": ["web-01"], "script": "job.sh", "_script_content": content(BOTH_STREAMS)}
    shown = run(current, check_mode=True, diff_mode=True, state="scheduled", scheduled_at=FAR, **options)
    assert shown["diff"]["before"] == ""
    assert shown["diff"]["after"].startswith("web-01: /bin/sh -c $RUN script:job.sh sha256:")
    assert shown["diff"]["after"].endswith(f" at {FAR}\n")
    assert not current.commands()


def test_a_variable_arrives_with_both_of_its_ends(current: Workspace) -> None:
    argv = ["/bin/sh", "-c", 'printf "[%s]" "$PAD" "$KEY" | od -An -c']
    ran = run(current, servers=["web-01"], argv=argv, env={"PAD": " x ", "KEY": "y\n"})
    assert (ran["stdout"].split(), ran.warnings) == (["[", "x", "]", "[", "y", "\\n", "]"], [])
    assert "[       x       ]" in ran["stdout"]


# Answers that are not whole


LONG = b"#!/bin/sh\nseq 1 30000\necho err >&2\n"


@pytest.mark.parametrize("seq", [0, 1, None], ids=["the first chunk", "the second chunk", "all chunks"])
def test_lost_chunks_never_make_an_answer(current: Workspace, seq: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outputs, "_CHUNK_PAUSES", (0.1,))
    current.settings(output="chunks")
    current.fault("drop_chunk", **({} if seq is None else {"seq": seq}))
    result = carry(current, LONG).result
    assert not result["output_complete"]
    assert result["stderr"] == ""
    whole = "".join(f"{number}\n" for number in range(1, 30001))
    assert whole.startswith(result["stdout"])
    if seq == 1:
        assert (result["outcome"], result["rc"]) == ("success", 0)
    else:
        assert (result["outcome"], result["rc"], result["ran"], result["stdout"]) == ("unknown", None, None, "")
        assert "The workspace says that it succeeded, and nothing of its answer is there." in result["msg"]


@pytest.mark.parametrize("seq", [None, 1], ids=["all chunks", "the last chunk"])
def test_an_answer_whose_end_comes_late_is_waited_for(current: Workspace, seq: int | None) -> None:
    current.settings(output="chunks")
    current.fault("late_chunk", seconds=2, **({} if seq is None else {"seq": seq}))
    result = carry(current, b"#!/bin/sh\nseq 1 1000\n").result
    assert (result["outcome"], result["rc"], result["output_complete"]) == ("success", 0, True)
    assert result["stdout"].endswith("\n1000")


def test_an_answer_that_took_too_long_says_so_however_much_it_wrote(current: Workspace) -> None:
    current.fault("time_out", seconds=3)
    result = carry(current, b"#!/bin/sh\nseq 1 300000\nsleep 77\n").result
    assert (result["outcome"], result["rc"], result["output_complete"]) == ("failed", 124, False)
    assert "the agent ended it after 3s, the longest that it lets a command run" in result["msg"]
    assert "never arrived" not in result["msg"]


def test_an_output_that_the_agent_cut_is_no_answer(current: Workspace) -> None:
    current.settings(output="result")
    result = carry(current, b"#!/bin/sh\nseq 1 300000\n").result
    assert (result["outcome"], result["rc"], result["output_complete"]) == ("success", 0, False)
    assert result["stdout"].startswith("1\n2\n3\n")
    assert "What it wrote is not known: " in result["msg"]


def test_a_line_that_was_cut_off_is_told_with_what_it_wrote(current: Workspace) -> None:
    current.fault("time_out", seconds=1.0)
    result = carry(current, b"#!/bin/sh\nseq 1 30000\nsleep 60\n").result
    assert (result["outcome"], result["rc"], result["output_complete"]) == ("failed", 124, False)
    assert result["stdout"].startswith("1\n2\n3\n")


def test_a_digest_that_differs_runs_nothing(current: Workspace) -> None:
    order = Order.from_options(support.command_options(servers=["web-01"], argv=["touch", "/nonexistent"]))
    other = Order.from_options(support.command_options(servers=["web-01"], argv=["id"]))
    command = current.submit("web-01", order.line, env=other.extra["env"])
    current.wait_for_command(command)
    result = run(current, state="finished", ids=[command]).result
    assert (result["outcome"], result["ran"], result["rc"]) == ("failed", False, None)
    assert "the digest differs" in result["msg"]
