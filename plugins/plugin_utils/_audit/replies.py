# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What came back for the questions of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.herdops.alpacon.plugins.module_utils._api.agent_output import why_ended_early
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.outcomes import Outcome

from .checks import RESULTS, Check
from .judging import CheckOutcome, judge
from .questions import NOT_APPLIED, CheckAnswer, read
from .scanners import NamedResult, ScannerError, parse, silent
from .verdict import NOT_APPLICABLE, PASSED, UNKNOWN

#: So many characters of an output are in the report.
KEPT = 2000
_NO_ANSWER = "Its answer did not come, or not whole."


@dataclass(frozen=True)
class Reply:
    """What came back for a check: what its answer means, or why there is none.

    Attributes:
        output: as much of what was written as a report keeps, around what the outcome rests on.
        truncated: whether that is not all that was read.
        complete: whether nothing is missing of what the server wrote.
        reused: whether the answer is from before this audit.
        reached: whether the server dealt with the question.
        asked: whether it was asked at all.
        named: what another tool found, of a check of the kind C(results).
    """

    judged: CheckOutcome
    rc: int | None = None
    output: str = ""
    truncated: bool = False
    complete: bool = False
    command: Command | None = None
    reused: bool = False
    reached: bool = True
    asked: bool = True
    named: Sequence[NamedResult] = ()

    @property
    def stays(self) -> bool:
        """Whether the answer may be taken instead of asking again: what is bad may have been mended since."""
        bad = any(one.outcome not in (PASSED, NOT_APPLICABLE) for one in self.named)
        return self.judged.outcome in (PASSED, NOT_APPLICABLE) and not bad


def unanswered(reason: str, command: Command | None = None, reached: bool = False, asked: bool = True) -> Reply:
    """Why there is no answer."""
    return Reply(CheckOutcome(UNKNOWN, reason), command=command, reached=reached, asked=asked)


def named_of(check: Check, reply: Reply) -> Sequence[NamedResult]:
    """What another tool found; where it told nothing, that each rule is unknown, if the check knows its rules."""
    is_open = not reply.named and reply.judged.outcome == UNKNOWN
    return silent(check.results, reply.judged.message) if check.results and is_open else reply.named


def replies_of(job: Job, checks: Sequence[Check], carried: bool, reused: bool = False) -> dict[str, Reply]:
    """What came back for the checks of a job that is over, by their names.

    Args:
        carried: whether the answers of all checks are in the output, each in a part of it.
    """
    command, output = job.command, job.output or Output("")
    known = command.without_result() if command else None
    why = _why_not(job)
    answers: dict[str, CheckAnswer] = {}
    if carried:
        # What came counts, however the command ended.
        answers = read(output.text.encode("utf-8", "surrogateescape"), checks)
        why = why or f"{_NO_ANSWER} {output.note}".strip()
    elif command and command.rc is not None and not why:
        answers = dict.fromkeys(
            (check.name for check in checks), _plain(command.rc, output, command.exit_code is not None)
        )
    missing = unanswered(why, known, reached=bool(command and command.ran), asked=job.outcome != Outcome.NOT_TRIED)
    return {
        check.name: _judged(check, answers[check.name], known, reused) if check.name in answers else missing
        for check in checks
    }


def _why_not(job: Job) -> str:
    """Why the command of a job did not come to its end, or an empty string if it did."""
    command, output = job.command, job.output or Output("")
    if command is None or job.outcome not in (Outcome.SUCCESS, Outcome.FAILED):
        why = job.msg or (job.outcome.sentence if job.outcome else "What came of it was not awaited.")
    elif command.error_phase:
        why = f"The command got no result: {command.error_phase}."
    elif output.refused:
        why = f"Never ran: {output.refused}."
    elif ended := why_ended_early(command, output.text):
        why = f"It ended early: {ended}."
    elif not command.ran or command.rc is None:
        why = job.msg or "It failed, and no exit code came."
    else:
        return ""
    return f"{why} Id {job.id}." if job.id else why


def _plain(rc: int, output: Output, rc_stated: bool) -> CheckAnswer:
    """The answer of a line that was submitted as it is."""
    if output.text.strip() == NOT_APPLIED:
        return CheckAnswer(rc, "", applies=False)
    return CheckAnswer(rc, output.text, rc_stated, output.complete, gaps=not output.complete)


def _judged(check: Check, answer: CheckAnswer, command: Command | None, reused: bool) -> Reply:
    judged, named = _results(check, answer) if check.kind == RESULTS else (judge(check, answer), ())
    output = answer.output.rstrip("\r\n")
    return Reply(
        judged,
        answer.rc,
        _around(output, judged.evidence),
        len(output) > KEPT,
        answer.complete,
        command,
        reused,
        named=named,
    )


def _results(check: Check, answer: CheckAnswer) -> tuple[CheckOutcome, Sequence[NamedResult]]:
    """What another tool found, and what that means to the check as a whole."""
    judged = judge(check, answer)
    cut = judged.message if judged.outcome == UNKNOWN and not answer.gaps else ""
    if check.results is None or (judged.outcome != PASSED and not cut):
        return judged, ()
    try:
        named = parse(check.results, answer.output, cut)
    except ScannerError as error:
        return CheckOutcome(UNKNOWN, str(error)), ()
    return CheckOutcome(PASSED, f"It has {len(named)} results."), named


def _around(output: str, place: int | None, limit: int = KEPT) -> str:
    """So many characters of an output, with what begins at a place among them; the beginning where there is none."""
    if place is None or len(output) <= limit or place < limit // 2:
        return output[:limit]
    start = min(place - limit // 2, len(output) - limit)
    # A whole line is easier to read, where one begins before the place.
    start = output.find("\n", start, place) + 1 or start
    return output[start : start + limit]
