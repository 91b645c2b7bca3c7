# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the answers to checks in the output of a command, and evaluate them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...module_utils._api.outputs import Output, explain_ended_early
from ...module_utils._api.records import Command
from ...module_utils._fleet.jobs import Job, Outcome
from .checks import PROBLEMS, RESULTS, Check, format_number
from .payloads import NOT_APPLICABLE_OUTPUT, CheckAnswer, parse_answers
from .scanner_files import ScannerFile, parse_files
from .scanners import LINE_FORMATS, parse_output
from .scanners.results import FAILED, NOT_APPLICABLE, PASSED, UNKNOWN, RuleResult, ScannerError

#: The longest output in a report, in characters.
MAX_REPORTED = 2000
#: The length of an output's beginning that is evaluated, in characters.
MAX_EVALUATED = 1024 * 1024
#: The longest line of an output in a message, in characters, and the largest number of problems.
_MAX_LINE, _MAX_PROBLEMS = 200, 20
#: The prefixes of lines in outputs of kind problems, and the last line.
_PROBLEM, _UNKNOWN, _NOT_APPLICABLE, _DONE = "problem:", "unknown:", "not applicable:", "done"
_NUMBER = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)?", re.ASCII)
#: Longer numbers are ignored: Python converts only some thousand digits.
_MAX_DIGITS = 40
_INCOMPLETE = "The output is incomplete."
#: The exit codes of a shell that did not find a program, or could not run it.
_NOT_RUN = {127: "was not found", 126: "cannot be run"}
#: The message of a check's shell about a program that it did not find. In functions, bash calls itself environment.
_NOT_FOUND = re.compile(
    r"^(?:check|environment|(?:/[\w/]+/)?[a-z]*sh): (?:(?:line )?\d+: )?(?:(?:eval|exec): )?"
    r"([^\s:]+): (?:command )?not found$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Evaluation:
    """The outcome of a check.

    Attributes:
        evidence: the position of the reason in the output.
        rules: the results of another tool.
        versions: what that tool printed of its version and of its content.
    """

    outcome: str
    message: str = ""
    value: float | int | None = None
    evidence: int | None = None
    rules: Sequence[RuleResult] = ()
    versions: tuple[str, ...] = ()


def evaluate(check: Check, answer: CheckAnswer) -> Evaluation:
    if not answer.ran:
        return Evaluation(UNKNOWN, "Out of time: the checks before it took all of wait_timeout.")
    if not answer.applies:
        return Evaluation(NOT_APPLICABLE, "It does not apply to this server.")
    output = answer.output[:MAX_EVALUATED]
    complete = answer.complete and len(output) == len(answer.output)
    if check.kind == PROBLEMS:
        return _evaluate_problems(check, answer, output, complete)
    if check.kind == RESULTS:
        return _evaluate_results(check, answer)
    if answer.out_of_time and answer.rc != 0:
        return Evaluation(UNKNOWN, _describe_timeout(check, answer))
    if missing := _describe_missing_program(answer, output):
        return missing
    return _evaluate_output(check, answer, output, complete)


def _describe_timeout(check: Check, answer: CheckAnswer) -> str:
    cause = ", the rest of wait_timeout" if answer.out_of_time < check.timeout else ""
    return f"The server took longer than {answer.out_of_time} s{cause}."


def _describe_missing_program(answer: CheckAnswer, output: str) -> Evaluation | None:
    """Return the outcome of a check that could not run a program, or None if it ran all of them."""
    if found := _NOT_FOUND.search(output):
        return Evaluation(UNKNOWN, f"The program {found[1]} was not found.", evidence=found.start())
    if answer.rc in _NOT_RUN:
        cause = f"The exit code is {answer.rc}: a program {_NOT_RUN[answer.rc]}."
        return Evaluation(UNKNOWN, f"{cause}{_quote_last_line(output)}", evidence=len(output.rstrip()) or None)
    return None


def _evaluate_results(check: Check, answer: CheckAnswer) -> Evaluation:
    signal, cut = answer.rc - 128, ""
    if answer.out_of_time and answer.rc != 0:
        cut = _describe_timeout(check, answer)
    elif not answer.complete:
        cut = _INCOMPLETE
    elif 0 < signal < 32 and check.results and check.results["format"] in LINE_FORMATS:
        cut = f"The scanner was ended by signal {signal}."
    if check.results is None or (cut and answer.gaps):
        return Evaluation(UNKNOWN, cut)
    try:
        rules = parse_output(check.results, answer.output, cut)
    except ScannerError as error:
        return _describe_missing_program(answer, answer.output) or Evaluation(UNKNOWN, str(error))
    return Evaluation(PASSED, f"It has {len(rules)} results.", rules=rules, versions=rules.versions)


def _evaluate_problems(check: Check, answer: CheckAnswer, output: str, complete: bool) -> Evaluation:
    lines = output.splitlines()
    unknown = _find_texts(lines, _UNKNOWN)
    is_cut = answer.out_of_time and _DONE not in lines
    for prefix, outcome in ((_PROBLEM, FAILED), (_UNKNOWN, UNKNOWN), (_NOT_APPLICABLE, NOT_APPLICABLE)):
        if outcome == UNKNOWN and is_cut:
            return Evaluation(UNKNOWN, _join_sentences([_describe_timeout(check, answer), *unknown]))
        texts = _find_texts(lines, prefix)
        if texts:
            found = re.search(f"^{prefix}", output, re.MULTILINE)
            return Evaluation(outcome, _join_sentences(texts), evidence=found.start() if found else None)
        if outcome == UNKNOWN and (missing := _describe_missing_program(answer, output)):
            return missing
    if not complete:
        return Evaluation(UNKNOWN, _INCOMPLETE)
    if not lines or lines[-1] != _DONE:
        return Evaluation(UNKNOWN, f"The check did not end with {_DONE}.{_quote_last_line(output)}")
    return Evaluation(PASSED, "No problem was found.")


def _find_texts(lines: Sequence[str], prefix: str) -> list[str]:
    texts = [line[len(prefix) :].strip() for line in lines if line.startswith(prefix)]
    limit = _MAX_LINE * _MAX_PROBLEMS // min(max(len(texts), 1), _MAX_PROBLEMS)
    shortened = [text if len(text) <= limit else f"{text[: limit - 1]}\u2026" for text in texts]
    return list(dict.fromkeys(text or "The check gives no reason." for text in shortened))


def _join_sentences(texts: Sequence[str]) -> str:
    sentences = [text if text.endswith((".", "!", "?", "\u2026")) else f"{text}." for text in texts[:_MAX_PROBLEMS]]
    more = len(texts) - len(sentences)
    return " ".join([*sentences, *([f"And {more} more."] if more else [])])


def _evaluate_output(check: Check, answer: CheckAnswer, output: str, complete: bool) -> Evaluation:
    value, number_at = _find_number(output) if check.number else (None, None)
    #: Sentences with their positions in the output.
    problems: list[tuple[str, int | None]] = []
    if answer.rc != 0:
        stated = f"The exit code is {answer.rc}" if answer.rc_stated else "The exit code is not 0"
        problems.append((f"{stated}.{_quote_last_line(output)}", len(output.rstrip()) or None))
    for match in filter(None, (pattern.search(output) for pattern in check.absent)):
        start = output.rfind("\n", 0, match.start()) + 1
        line = output[start:].partition("\n")[0]
        problems.append((f"The output has: {line.strip()[:_MAX_LINE]}", start))
    if not problems:
        if not complete and (check.matches or check.absent or check.number):
            return Evaluation(UNKNOWN, _INCOMPLETE)
        if check.number and value is None:
            return Evaluation(UNKNOWN, "There is no number in the output.")
        if not all(pattern.search(output) for pattern in check.matches):
            first = output.strip().splitlines()[:1]
            quote = f"It begins with: {first[0][:_MAX_LINE]}" if first else "It is empty."
            problems.append((f"The output is not as expected. {quote}", None))
        if value is not None and not check.is_within_limit(value):
            problems.append((f"It is {format_number(value)}, and must be {check.limit}.", number_at))
    if problems:
        evidence = next((start for _text, start in problems if start is not None), None)
        return Evaluation(FAILED, " ".join(text for text, _start in problems), value, evidence)
    return Evaluation(PASSED, "As expected." if value is None else f"It is {format_number(value)}.", value)


def _find_number(output: str) -> tuple[float | int, int] | tuple[None, None]:
    found = _NUMBER.search(output)
    if found is None or len(found[0]) > _MAX_DIGITS:
        return None, None
    return (float(found[0]) if "." in found[0] else int(found[0])), found.start()


def _quote_last_line(output: str) -> str:
    last = output.strip().splitlines()[-1:]
    return f" The output ends with: {last[0][:_MAX_LINE]}" if last else ""


@dataclass(frozen=True)
class Response:
    """The response of a server to a check.

    Attributes:
        reused: the command is older than this audit.
        files: those of the scanner.
        looked_at: what the check looked at.
        reached: the server ran the command.
    """

    evaluation: Evaluation
    rc: int | None = None
    output: str = ""
    truncated: bool = False
    complete: bool = False
    command: Command | None = None
    reused: bool = False
    reached: bool = True
    files: Sequence[ScannerFile] = ()
    looked_at: str = ""

    @property
    def is_reusable(self) -> bool:
        """Return True if the check passed or does not apply. Other findings may have been fixed since."""
        outcomes = [self.evaluation.outcome, *(rule.outcome for rule in self.evaluation.rules)]
        return all(outcome in (PASSED, NOT_APPLICABLE) for outcome in outcomes)


def missing_response(reason: str, command: Command | None = None, reached: bool = False) -> Response:
    return Response(Evaluation(UNKNOWN, reason), command=command, reached=reached)


def parse_responses(job: Job, checks: Sequence[Check], packed: bool, reused: bool = False) -> dict[str, Response]:
    """Return the responses in the output of a finished job, by the names of checks.

    Args:
        packed: the command ran a payload, whose output has a part for each check.
    """
    command, output = job.command, job.output or Output("")
    small_command = command.without_result() if command else None
    reason = _explain_failure(job)
    answers: dict[str, CheckAnswer] = {}
    files: Mapping[str, Sequence[ScannerFile]] = {}
    if packed:
        # A complete part counts even if the command failed.
        stdout = output.text.encode("utf-8", "surrogateescape")
        answers = parse_answers(stdout, checks)
        files = parse_files(stdout, {check.name: check.files for check in checks if check.files})
        reason = reason or f"The answer is missing or incomplete. {output.note}".strip()
    elif command and command.rc is not None and not reason:
        if output.text.strip() == NOT_APPLICABLE_OUTPUT:
            answer = CheckAnswer(command.rc, "", applies=False)
        else:
            stated = command.exit_code is not None
            answer = CheckAnswer(command.rc, output.text, stated, output.complete, gaps=not output.complete)
        answers = {check.name: answer for check in checks}
    missing = missing_response(reason, small_command, reached=bool(command and command.ran))
    responses = dict.fromkeys((check.name for check in checks), missing)
    for check in checks:
        if check.name in answers:
            own_files = files.get(check.name, ())
            responses[check.name] = _build_response(check, answers[check.name], small_command, reused, own_files)
    return responses


def _explain_failure(job: Job) -> str:
    """Return why the command of a job did not end normally; empty if it did."""
    command, output = job.command, job.output or Output("")
    if command is None or job.outcome not in (Outcome.SUCCESS, Outcome.FAILED):
        reason = job.msg or (job.outcome.sentence if job.outcome else "The command was not awaited.")
    elif command.error_phase:
        reason = f"The command got no result: {command.error_phase}."
    elif output.refused:
        reason = f"Never ran: {output.refused}."
    elif ended := explain_ended_early(command, output.text):
        reason = f"The command ended early: {ended}."
    elif not command.ran or command.rc is None:
        reason = job.msg or "The command failed without an exit code."
    else:
        return ""
    return f"{reason} Id {job.id}." if job.id and job.id not in reason else reason


def _build_response(
    check: Check, answer: CheckAnswer, command: Command | None, reused: bool, files: Sequence[ScannerFile]
) -> Response:
    evaluation = evaluate(check, answer)
    output = answer.output.rstrip("\r\n")
    return Response(
        evaluation,
        answer.rc,
        _excerpt(output, evaluation.evidence or 0),
        len(output) > MAX_REPORTED,
        answer.complete,
        command,
        reused,
        files=files,
        looked_at=answer.looked_at.strip(),
    )


def _excerpt(output: str, position: int) -> str:
    """Return the part of an output around a position, cut for a report."""
    start = max(0, min(position - MAX_REPORTED // 2, len(output) - MAX_REPORTED))
    if start:
        # Begin with a whole line if possible.
        start = output.find("\n", start, position) + 1 or start
    return output[start : start + MAX_REPORTED]
