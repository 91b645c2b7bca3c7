# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.
"""What stands on the page of a report: checks with their answers, figures and filters, and the data of its script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..outcomes import FAILED, NOT_APPLICABLE, OUTCOMES, PASSED, SEVERITIES, UNKNOWN, WAIVED
from ..verdict import FAIL, INCONCLUSIVE, PASS, answered, failing, is_covered, passed_share, score_of, share
from .differences import Differences, of_all_hosts
from .text import duration, inline, line, moment, output, parsed, plain
from .words import unasked_words, waiver_words

#: Bytes of output in one file: of what did not pass, and of what did.
_FINDINGS_BUDGET = 3_000_000
_PASSED_BUDGET = 1_500_000

#: Characters of an output that is short.
_SHORT = 200

#: Answers and servers that a check shows before it is asked for more.
SHOWN_ANSWERS = 12
SHOWN_SERVERS = 60

#: Rows of a table of groups, and audits in a curve.
_GROUPS = 40
_AUDITS = 60

_FINDINGS = (FAILED, UNKNOWN)


@dataclass
class SameAnswers:
    """What one or several servers answered to a check, word for word the same."""

    number: int
    outcome: str
    severity: str
    message: str
    output: str | None
    note: str
    waiver: str
    servers: list[int] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What its badge says."""
        return self.severity if self.outcome == FAILED else self.outcome

    @property
    def rank(self) -> tuple[int, int, int]:
        """What puts the worst and the most frequent first."""
        worst = SEVERITIES.index(self.severity) + len(SEVERITIES) * (self.outcome == FAILED)
        return (-worst, -len(self.servers), self.number)


@dataclass(frozen=True)
class CheckSection:
    """A check with its answers."""

    number: int
    given: Mapping[str, Any]
    answers: list[SameAnswers] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    #: What is different on other hosts, in words, and their names.
    elsewhere: dict[str, list[str]] = field(default_factory=dict)

    @property
    def findings(self) -> list[SameAnswers]:
        """What failed or is unknown, the worst first."""
        return sorted((one for one in self.answers if one.outcome in _FINDINGS), key=lambda one: one.rank)

    @property
    def rank(self) -> tuple[tuple[int, ...], int, int]:
        """What puts the check with the worst findings first."""
        worst = min((one.rank[:1] for one in self.answers if one.outcome in _FINDINGS), default=(1,))
        return (worst, -self.counts[FAILED], self.number)


class Content:
    """A report, put together as the page shows it."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._differences = Differences(report)
        self.report = report = of_all_hosts(report)
        self.hosts = [line(server["host"]) for server in report["servers"]]
        self.checks = [CheckSection(number, check) for number, check in enumerate(report["checks"])]
        self._texts = _Texts()
        self._answers: list[list[int]] = []
        self._columns = [[-1] * len(self.hosts) for _check in self.checks]
        self._commands = _Commands(len(self.hosts), len(self.checks))
        self._read()

    def _read(self) -> None:
        server_numbers = {server["host"]: number for number, server in enumerate(self.report["servers"])}
        check_numbers = {check["name"]: number for number, check in enumerate(self.report["checks"])}
        known: dict[tuple[Any, ...], SameAnswers] = {}
        for result in self.report["results"]:
            server, number = server_numbers[result["host"]], check_numbers[result["check"]]
            check = self.checks[number]
            waiver = result["waiver"]
            own = self._differences.words(result["host"], result["check"])
            key = (
                own,
                number,
                *(result[name] for name in ("outcome", "severity", "message", "output", "rc")),
                *(str(result["value"]), result["output_truncated"], result["output_complete"]),
                tuple(map(str, waiver.values())) if waiver else None,
            )
            if key not in known:
                known[key] = self._answer(result, own)
                check.answers.append(known[key])
            known[key].servers.append(server)
            if own:
                check.elsewhere.setdefault(line(own, 600), []).append(self.hosts[server])
            check.counts[result["outcome"]] += 1
            self._columns[number][server] = known[key].number
            self._commands.add(number, server, result)

    def _answer(self, result: Mapping[str, Any], own: str) -> SameAnswers:
        is_finding = result["outcome"] in (FAILED, UNKNOWN, WAIVED)
        text, is_cut = output(result["output"]) if self._texts.may_take(result["output"], is_finding) else (None, False)
        notes = []
        if is_cut or result["output_truncated"]:
            notes.append("Only a part of the output is shown.")
        # Where there was no answer, there is nothing to complete.
        if not result["output_complete"] and (result["output"] or result["outcome"] != UNKNOWN):
            notes.append("The output that the workspace has is not complete.")
        if result["rc"]:
            notes.append(f"Exit code {result['rc']}.")
        if own:
            notes.append(f"Here the check has: {line(own, 600)}.")
        answer = SameAnswers(
            number=len(self._answers),
            outcome=result["outcome"],
            severity=result["severity"],
            message=line(result["message"], 600),
            output=text,
            note=" ".join(notes),
            waiver=waiver_words(result["waiver"]),
        )
        place = -1 if text is None else self._texts.place_output(text, is_finding)
        if place < 0:
            answer.output = None
        texts = [self._texts.place(one) for one in (answer.message, answer.note, answer.waiver)]
        self._answers.append(
            [OUTCOMES.index(answer.outcome), SEVERITIES.index(answer.severity), texts[0], place, *texts[1:]]
        )
        return answer

    @property
    def without_findings(self) -> list[CheckSection]:
        """The checks that found nothing, but for those whose results have checks of their own."""
        parents = {check.given["of"] for check in self.checks}
        return [
            check
            for check in self.checks
            if not check.findings and (check.counts or check.given["name"] not in parents)
        ]

    @property
    def data(self) -> dict[str, Any]:
        """What the script works with: columns, with each text once."""
        servers = self.report["servers"]
        place = self._texts.place

        def column(name: str) -> list[int]:
            return [place(line(server[name] or "", 200)) for server in servers]

        columns = {name: column(name) for name in ("host", "name", "id", "workspace", "os", "agent", "ip", "owner")}
        return {
            "servers": {
                **columns,
                "groups": [[place(line(group)) for group in server["groups"]] for server in servers],
                "reason": [place(unasked_words(server)) for server in servers],
            },
            "checks": [
                {
                    "name": line(check.given["name"]),
                    "set": line(check.given["set"] or ""),
                    "title": line(check.given["title"]),
                    "severity": SEVERITIES.index(check.given["severity"]),
                    "remedy": line(check.given["remedy"], 400),
                }
                for check in self.checks
            ],
            "answers": self._answers,
            "columns": self._columns,
            "commands": self._commands.all,
            "commandColumns": self._commands.columns,
            "commandOf": self._commands.of,
            "texts": self._texts.all,
        }

    def unasked(self) -> list[tuple[str, list[str]]]:
        """Why servers were not reached or not asked, and which, the most frequent reason first."""
        reasons: dict[str, list[str]] = {}
        for host, server in zip(self.hosts, self.report["servers"], strict=True):
            if words := unasked_words(server):
                reasons.setdefault(words, []).append(host)
        return sorted(reasons.items(), key=lambda pair: -len(pair[1]))

    def waived(self) -> list[tuple[CheckSection, SameAnswers]]:
        """What is waived, by check."""
        return [(check, one) for check in self.checks for one in check.answers if one.outcome == WAIVED]

    def hosts_of(self, answer: SameAnswers) -> list[str]:
        """The hosts that gave an answer."""
        return [self.hosts[number] for number in answer.servers]

    def by_set(self) -> list[Share]:
        """How each set of checks went, the worst first."""
        shares: dict[str, Share] = {}
        for check in self.checks:
            name = line(check.given["set"] or "")
            if name:
                one = shares.setdefault(name, Share(name))
                one.members += 1
                for answer in check.answers:
                    one.add(answer.outcome, answer.severity, len(answer.servers))
        return sorted(shares.values(), key=lambda one: one.rank)

    def by_group(self) -> tuple[list[Share], int]:
        """How each group of hosts went, the worst first, and how many more groups there are."""
        shares: dict[str, Share] = {}
        members: list[list[Share]] = []
        for server in self.report["servers"]:
            mine = [shares.setdefault(name, Share(name)) for name in map(line, server["groups"])]
            for one in mine:
                one.members += 1
                one.unasked += not (server["reached"] and server["asked"])
            members.append(mine)
        for check in self.checks:
            for answer in check.answers:
                for server_number in answer.servers:
                    for one in members[server_number]:
                        one.add(answer.outcome, answer.severity, 1)
        ranked = sorted(shares.values(), key=lambda one: one.rank)
        return ranked[:_GROUPS], max(0, len(ranked) - _GROUPS)


@dataclass
class Share:
    """How a part of an audit went: a set of checks, or a group of hosts."""

    name: str
    members: int = 0
    unasked: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, outcome: str, severity: str, number: int) -> None:
        """Count results."""
        self.counts[outcome, severity] += number

    @property
    def score(self) -> float | None:
        """The score, as a summary has it; nothing where nothing passed or failed."""
        return score_of((*key, number) for key, number in self.counts.items()) if self._judged else None

    @property
    def passed(self) -> float | None:
        """The share that passed of what passed or failed."""
        passed = sum(number for (outcome, _severity), number in self.counts.items() if outcome == PASSED)
        return share(passed, self._judged) if self._judged else None

    @property
    def _judged(self) -> int:
        return sum(number for (outcome, _severity), number in self.counts.items() if outcome in (PASSED, FAILED))

    @property
    def failed(self) -> list[tuple[str, int]]:
        """How much failed of each severity, the worst first."""
        return [(severity, self.counts[FAILED, severity]) for severity in reversed(SEVERITIES)]

    @property
    def rank(self) -> tuple[float, list[int], str]:
        """What puts the worst first."""
        score = self.score
        return (101 if score is None else score, [-number for _severity, number in self.failed], self.name)


class _Texts:
    """Texts of the data, each once, and outputs within a budget."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._places: dict[str, int] = {}
        self._left = {True: _FINDINGS_BUDGET, False: _PASSED_BUDGET}
        self._is_full = {True: False, False: False}

    def place(self, text: str) -> int:
        """Where a text stands."""
        if text not in self._places:
            self._places[text] = len(self.all)
            self.all.append(text)
        return self._places[text]

    def may_take(self, raw: str, is_finding: bool) -> bool:
        """Whether an output may have room: where one had none, only what is short is looked at."""
        return len(raw) <= _SHORT or not self._is_full[is_finding]

    def place_output(self, text: str, is_finding: bool) -> int:
        """Where an output stands, or -1 if it has no room."""
        if text not in self._places:
            size = len(inline(text).encode())
            if size > self._left[is_finding]:
                self._is_full[is_finding] = True
                return -1
            self._left[is_finding] -= size
        return self.place(text)


class _Commands:
    """The commands behind the results: most checks of a server share one."""

    def __init__(self, servers: int, checks: int) -> None:
        self.all: list[list[str]] = []
        self._places: dict[tuple[str, str], int] = {}
        self._columns = [[-1] * servers for _check in range(checks)]

    def add(self, check: int, server: int, result: Mapping[str, Any]) -> None:
        """Note what command a result rests on."""
        words = f"{'reused from' if result['reused'] else 'ran'} {moment(result['ended_at'])}"
        key = (line(result["command"] or "", 40), words if result["ended_at"] else "")
        if any(key):
            if key not in self._places:
                self._places[key] = len(self.all)
                self.all.append(list(key))
            self._columns[check][server] = self._places[key]

    @property
    def _distinct(self) -> dict[tuple[int, ...], int]:
        return {column: place for place, column in enumerate(dict.fromkeys(map(tuple, self._columns)))}

    @property
    def columns(self) -> list[tuple[int, ...]]:
        """The columns that differ."""
        return list(self._distinct)

    @property
    def of(self) -> list[int]:
        """Which of the columns is each check's."""
        distinct = self._distinct
        return [distinct[tuple(column)] for column in self._columns]


def choices_in(report: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """What the filters offer: values and their words."""
    groups: Iterable[str] = (group for server in report["servers"] for group in server["groups"])
    sets = (check["set"] for check in report["checks"] if check["set"])
    worse = [(severity, f"{severity} or worse") for severity in SEVERITIES[-2:0:-1]]
    choices = {
        "outcome": [(name, name.replace("_", " ")) for name in (FAILED, UNKNOWN, WAIVED, PASSED, NOT_APPLICABLE)],
        "severity": [(SEVERITIES[-1], SEVERITIES[-1]), *worse],
        "group": [(group, group) for group in sorted(set(map(line, groups)))],
        "set": [(name, name) for name in sorted(set(map(line, sets)))],
    }
    return {name: values for name, values in choices.items() if values}


def figures_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """Headline figures beside those of the summary."""
    summary = report["summary"]
    by_severity = summary["failed_by_severity"]
    parts = [(severity, by_severity.get(severity, 0)) for severity in reversed(SEVERITIES)]
    segments = _bar([*parts, *((name, summary[name]) for name in (UNKNOWN, WAIVED, PASSED))])
    start, end = parsed(report["started_at"]), parsed(report["finished_at"])
    return {
        "results": sum(summary[name] for name in OUTCOMES),
        "share": f"{passed_share(summary):g}",
        "bar": segments,
        "spoken": ", ".join(f"{count} {name}" for name, count, _start, _width in segments) or "no results",
        "failing": len(failing(report)),
        "answered": plain(answered(report)),
        "covered": is_covered(report),
        "tone": _tone(report),
        "took": duration((end - start).total_seconds()) if start and end else "",
        "window": duration(report["reuse_within"]) if report["reuse_within"] else "",
    }


def _tone(report: Mapping[str, Any]) -> str:
    """How the head of the page looks."""
    if report["verdict"] != PASS:
        return {FAIL: "bad", INCONCLUSIVE: "open"}.get(report["verdict"], "fair")
    return "fair" if report["summary"][FAILED] or report["summary"][UNKNOWN] else "good"


def _bar(parts: Sequence[tuple[str, int]]) -> list[tuple[str, int, float, float]]:
    """Parts of a bar that is 100 wide: name, count, where it starts and how wide it is."""
    total = sum(count for _name, count in parts) or 1
    segments = []
    start = 0.0
    for name, count in parts:
        if count:
            width = count * 100 / total
            segments.append((name, count, round(start, 3), round(width, 3)))
            start += width
    return segments


@dataclass(frozen=True)
class Curve:
    """A figure over several audits, in a box of 100 by 28."""

    name: str
    first: str
    last: str
    points: str
    end: tuple[float, float]
    spoken: str


def curves_of(trend: Mapping[str, Any] | None) -> list[Curve]:
    """The curves of a trend; none where there are fewer than three audits."""
    history = (trend or {}).get("history", [])[-_AUDITS:]
    if len(history) < 3:
        return []
    curves = [_curve(name, unit, [one[key] for one in history]) for name, key, unit in _CURVES]
    worst = [one["failed_by_severity"].get("critical", 0) + one["failed_by_severity"].get("high", 0) for one in history]
    return [*curves, _curve("Failed, high or critical", "", worst)]


_CURVES = (("Score", "score", "%"), ("Answered", "coverage", "%"), ("Failed", "failed", ""))


def _curve(name: str, unit: str, values: Sequence[float]) -> Curve:
    low, high = min(values), max(values)
    places = [
        (
            round(2 + 96 * number / (len(values) - 1), 2),
            round(25 - 22 * (value - low) / (high - low), 2) if high > low else 14,
        )
        for number, value in enumerate(values)
    ]
    first, last = (f"{value:,g}{unit}" for value in (values[0], values[-1]))
    return Curve(
        name=name,
        first=first,
        last=last,
        points=" ".join(f"{x:g},{y:g}" for x, y in places),
        end=places[-1],
        spoken=f"{name} in {len(values)} audits: from {first} to {last}, at least {low:,g} and at most {high:,g}",
    )


def shell_summary(code: str) -> str:
    """The first line of shell code, and how many there are."""
    lines = plain(code).splitlines() or [""]
    return line(lines[0], 80) if len(lines) == 1 else f"{line(lines[0], 80)} ({len(lines)} lines)"
