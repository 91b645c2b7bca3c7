# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The responses of servers to checks, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output, explain_ended_early
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Outcome

from .checks import PROBLEMS, RESULTS, Check, Number, format_number
from .payloads import NOT_APPLICABLE_OUTPUT, CheckAnswer, parse_answers
from .results import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN
from .scanners import LINE_FORMATS, RuleResult, ScannerError, parse_output, unknown_results

#: So many characters of an output are in the report.
MAX_REPORTED = 2000
_NO_ANSWER = "Its answer did not come, or not whole."
#: So much of an output is looked at, in characters: patterns must come to an end whatever a server sends.
MAX_EVALUATED = 1024 * 1024
#: So much of a line of output is shown in a message, and so many problems are, in characters and in number.
_SHOWN, _SHOWN_PROBLEMS = 200, 20
#: All problems in a message have about so many characters.
_LONGEST_MESSAGE = _SHOWN * _SHOWN_PROBLEMS
#: What begins a line that means something, of the kind that tells problems; and the line that ends it.
_PROBLEM, _UNKNOWN, _NOT_APPLICABLE = "problem:", "unknown:", "not applicable:"
_DONE = "done"
#: What a shell adds to the number of the signal that ended a program, and how many signals there are.
_BY_SIGNAL, _SIGNALS = 128, 32


@dataclass(frozen=True)
class Evaluation:
    """An outcome of a check.

    Attributes:
        outcome: one of :data:`.verdict.OUTCOMES`, :data:`UNKNOWN` where the answer does not tell.
        message: why, for a person.
        value: the number that was found in the output, if the check looks for one.
        evidence: where in the output the reason stands, as its first character; None where it has no place.
    """

    outcome: str
    message: str = ""
    value: float | int | None = None
    evidence: int | None = None


def evaluate(check: Check, answer: CheckAnswer) -> Evaluation:
    """Compare an answer with what is expected."""
    if not answer.ran:
        return Evaluation(UNKNOWN, "Out of time: the checks before it took all the time that wait_timeout leaves.")
    if not answer.applies:
        return Evaluation(NOT_APPLICABLE, "It does not apply to this server.")
    output = answer.output[:MAX_EVALUATED]
    complete = answer.complete and len(output) == len(answer.output)
    if check.kind == PROBLEMS:
        return _evaluate_problems(check, answer, output, complete)
    if answer.out_of_time and answer.rc != 0:
        return Evaluation(UNKNOWN, _too_long(check, answer))
    if check.kind == RESULTS:
        return _evaluate_results(check, answer)
    return _evaluate_output(check, answer, output, complete)


def _evaluate_results(check: Check, answer: CheckAnswer) -> Evaluation:
    """Check that the output of another tool is whole."""
    if not answer.complete:
        return Evaluation(UNKNOWN, _INCOMPLETE)
    signal = answer.rc - _BY_SIGNAL
    if 0 < signal < _SIGNALS and check.results and check.results["format"] in LINE_FORMATS:
        return Evaluation(UNKNOWN, f"The scanner was ended by signal {signal}.")
    return Evaluation(PASSED)


def _too_long(check: Check, answer: CheckAnswer) -> str:
    left = ", which is what was left of wait_timeout" if answer.out_of_time < check.timeout else ""
    return f"The server took longer than {answer.out_of_time} s{left}."


# Lines that tell problems


def _evaluate_problems(check: Check, answer: CheckAnswer, output: str, complete: bool) -> Evaluation:
    lines = output.splitlines()
    problems = _find_texts(lines, _PROBLEM)
    if problems:
        return Evaluation(FAILED, _join_sentences(problems), evidence=_find_start(output, _PROBLEM))
    unknown = _find_texts(lines, _UNKNOWN)
    if answer.out_of_time and _DONE not in lines:
        return Evaluation(UNKNOWN, _join_sentences([_too_long(check, answer), *unknown]))
    if unknown:
        return Evaluation(UNKNOWN, _join_sentences(unknown), evidence=_find_start(output, _UNKNOWN))
    excuses = _find_texts(lines, _NOT_APPLICABLE)
    if excuses:
        return Evaluation(NOT_APPLICABLE, _join_sentences(excuses), evidence=_find_start(output, _NOT_APPLICABLE))
    if not complete:
        return Evaluation(UNKNOWN, _INCOMPLETE)
    if not lines or lines[-1] != _DONE:
        return Evaluation(UNKNOWN, f"The check did not come to its end.{_quote_last_line(output)}")
    return Evaluation(PASSED, "No problem was found.")


def _find_texts(lines: Sequence[str], begin: str) -> list[str]:
    """Return the texts behind this prefix, each once and short enough for a message."""
    told = [line[len(begin) :].strip() for line in lines if line.startswith(begin)]
    limit = _LONGEST_MESSAGE // min(max(len(told), 1), _SHOWN_PROBLEMS)
    cut = [text if len(text) <= limit else f"{text[: limit - 1]}\u2026" for text in told]
    return list(dict.fromkeys(text or "The check does not say what it is." for text in cut))


def _find_start(output: str, begin: str) -> int | None:
    found = re.search(f"^{re.escape(begin)}", output, re.MULTILINE)
    return found.start() if found else None


def _join_sentences(texts: Sequence[str]) -> str:
    words = [text if text.endswith((".", "!", "?", "\u2026")) else f"{text}." for text in texts[:_SHOWN_PROBLEMS]]
    more = len(texts) - len(words)
    return " ".join([*words, *([f"And {more} more."] if more else [])])


# Outputs that are compared


@dataclass(frozen=True)
class _Problem:
    """Words about an output, and where in it what they are about begins."""

    text: str
    start: int | None = None


def _evaluate_output(check: Check, answer: CheckAnswer, output: str, complete: bool) -> Evaluation:
    value, place = (check.number and Number.find(output)) or (None, None)
    problems = [*_check_rc(answer, output), *_check_absent(check, output)]
    if not problems:
        if not complete and (check.matches or check.absent or check.number):
            return Evaluation(UNKNOWN, _INCOMPLETE)
        if check.number and value is None:
            return Evaluation(UNKNOWN, "There is no number in the output.")
        problems = _check_matches(check, output)
        if value is not None and not check.is_within(value):
            problems.append(_Problem(f"It is {format_number(value)}, and must be {check.limit}.", place))
    if problems:
        evidence = next((one.start for one in problems if one.start is not None), None)
        return Evaluation(FAILED, " ".join(one.text for one in problems), value, evidence)
    return Evaluation(PASSED, "As expected." if value is None else f"It is {format_number(value)}.", value)


def _check_rc(answer: CheckAnswer, output: str) -> list[_Problem]:
    if answer.rc == 0:
        return []
    stated = f"The exit code is {answer.rc}" if answer.rc_stated else "The exit code is not 0"
    return [_Problem(f"{stated}.{_quote_last_line(output)}", len(output.rstrip()) or None)]


def _quote_last_line(output: str) -> str:
    words = output.strip().splitlines()[-1:]
    return f" The output ends with: {words[0][:_SHOWN]}" if words else ""


def _check_absent(check: Check, output: str) -> list[_Problem]:
    lines = [_find_line(pattern, output) for pattern in check.absent]
    return [_Problem(f"The server says: {line.text}", line.start) for line in lines if line is not None]


def _check_matches(check: Check, output: str) -> list[_Problem]:
    if all(pattern.search(output) for pattern in check.matches):
        return []
    begins = output.strip().splitlines()[:1]
    said = f"It begins with: {begins[0][:_SHOWN]}" if begins else "It is empty."
    return [_Problem(f"The output is not as expected. {said}")]


_INCOMPLETE = "Not all of the output is there, so that nobody can say what else it has."


def _find_line(pattern: re.Pattern[str], text: str) -> _Problem | None:
    """Return the first line that a pattern matches, cut to fit into a message, or None."""
    match = pattern.search(text)
    if match is None:
        return None
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.start())
    return _Problem(text[start : end if end >= 0 else len(text)].strip()[:_SHOWN], start)


# Responses of a command


@dataclass(frozen=True)
class Response:
    """The response to a check: an outcome, or the reason why there is none.

    Attributes:
        output: as much of what was written as a report keeps, around what the outcome rests on.
        truncated: whether that is not all that was read.
        complete: whether nothing is missing of what the server wrote.
        reused: whether the answer is from before this audit.
        reached: whether the server dealt with the question.
        named: what another tool found, of a check of the kind C(results).
    """

    evaluation: Evaluation
    rc: int | None = None
    output: str = ""
    truncated: bool = False
    complete: bool = False
    command: Command | None = None
    reused: bool = False
    reached: bool = True
    named: Sequence[RuleResult] = ()

    @property
    def is_reusable(self) -> bool:
        """Return True if the answer may be reused: what failed may have been mended since."""
        bad = any(one.outcome not in (PASSED, NOT_APPLICABLE) for one in self.named)
        return self.evaluation.outcome in (PASSED, NOT_APPLICABLE) and not bad


def missing_response(reason: str, command: Command | None = None, reached: bool = False) -> Response:
    """Return a response without an answer."""
    return Response(Evaluation(UNKNOWN, reason), command=command, reached=reached)


def get_rule_results(check: Check, response: Response) -> Sequence[RuleResult]:
    """Return the results of another tool, or an unknown result for each known rule if there are none."""
    is_open = not response.named and response.evaluation.outcome == UNKNOWN
    return unknown_results(check.results, response.evaluation.message) if check.results and is_open else response.named


def parse_responses(job: Job, checks: Sequence[Check], carried: bool, reused: bool = False) -> dict[str, Response]:
    """Return the responses to the checks of a finished job, by their names.

    Args:
        carried: whether the answers of all checks are in the output, each in a part of it.
    """
    command, output = job.command, job.output or Output("")
    known = command.without_result() if command else None
    why = _explain_failure(job)
    answers: dict[str, CheckAnswer] = {}
    if carried:
        # What came counts, however the command ended.
        answers = parse_answers(output.text.encode("utf-8", "surrogateescape"), checks)
        why = why or f"{_NO_ANSWER} {output.note}".strip()
    elif command and command.rc is not None and not why:
        answers = dict.fromkeys(
            (check.name for check in checks), _build_answer(command.rc, output, command.exit_code is not None)
        )
    missing = missing_response(why, known, reached=bool(command and command.ran))
    return {
        check.name: _build_response(check, answers[check.name], known, reused) if check.name in answers else missing
        for check in checks
    }


def _explain_failure(job: Job) -> str:
    """Say why the command of a job did not end normally; empty if it did."""
    command, output = job.command, job.output or Output("")
    if command is None or job.outcome not in (Outcome.SUCCESS, Outcome.FAILED):
        why = job.msg or (job.outcome.sentence if job.outcome else "What came of it was not awaited.")
    elif command.error_phase:
        why = f"The command got no result: {command.error_phase}."
    elif output.refused:
        why = f"Never ran: {output.refused}."
    elif ended := explain_ended_early(command, output.text):
        why = f"It ended early: {ended}."
    elif not command.ran or command.rc is None:
        why = job.msg or "It failed, and no exit code came."
    else:
        return ""
    return f"{why} Id {job.id}." if job.id else why


def _build_answer(rc: int, output: Output, rc_stated: bool) -> CheckAnswer:
    """Return the answer of a line that was submitted without a payload."""
    if output.text.strip() == NOT_APPLICABLE_OUTPUT:
        return CheckAnswer(rc, "", applies=False)
    return CheckAnswer(rc, output.text, rc_stated, output.complete, gaps=not output.complete)


def _build_response(check: Check, answer: CheckAnswer, command: Command | None, reused: bool) -> Response:
    evaluation, named = _parse_results(check, answer) if check.kind == RESULTS else (evaluate(check, answer), ())
    output = answer.output.rstrip("\r\n")
    return Response(
        evaluation,
        answer.rc,
        _excerpt(output, evaluation.evidence),
        len(output) > MAX_REPORTED,
        answer.complete,
        command,
        reused,
        named=named,
    )


def _parse_results(check: Check, answer: CheckAnswer) -> tuple[Evaluation, Sequence[RuleResult]]:
    """Return the outcome of a check of the kind results, and the results of its tool."""
    evaluation = evaluate(check, answer)
    cut = evaluation.message if evaluation.outcome == UNKNOWN and not answer.gaps else ""
    if check.results is None or (evaluation.outcome != PASSED and not cut):
        return evaluation, ()
    try:
        named = parse_output(check.results, answer.output, cut)
    except ScannerError as error:
        return Evaluation(UNKNOWN, str(error)), ()
    return Evaluation(PASSED, f"It has {len(named)} results."), named


def _excerpt(output: str, place: int | None, limit: int = MAX_REPORTED) -> str:
    """Return a part of an output that includes a position, or its beginning if there is none."""
    if place is None or len(output) <= limit or place < limit // 2:
        return output[:limit]
    start = min(place - limit // 2, len(output) - limit)
    # A whole line is easier to read, where one begins before the place.
    start = output.find("\n", start, place) + 1 or start
    return output[start : start + limit]
