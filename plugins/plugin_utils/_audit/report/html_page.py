# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""The report as one page: audit.html."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..verdict import (
    FAIL,
    FAILED,
    INCONCLUSIVE,
    NOT_APPLICABLE,
    OUTCOMES,
    PASS,
    PASSED,
    SEVERITIES,
    UNKNOWN,
    WAIVED,
    age_words,
    answered,
    duration,
    failing,
    is_covered,
    passed_share,
    score_of,
)
from .fixes import SHOWN_FIXES, Differences, fixes
from .past import CHANGES
from .text import (
    OUTPUT_LIMIT,
    earlier_words,
    folded,
    inline,
    line,
    moment,
    output,
    parsed,
    plain,
    unasked_words,
    verdict_words,
    waiver_words,
)

_PAGE = Path(__file__).parent / "page"

#: Bytes of output in one file: of what did not pass, and of what did. A short one, in characters, always has room.
_BUDGETS = {True: 3_000_000, False: 1_500_000}
_SHORT = 200

#: So many are shown of each kind before the rest is counted.
_ANSWERS, _SERVERS, _NAMES, _GROUPS, _AUDITS = 12, 60, 25, 40, 60


def render(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.html in pieces."""
    to_fix = fixes(report)
    content = Content(report)
    style, script = ((_PAGE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters = {"line": line, "plain": plain, "moment": moment, "shell": _shell, "figure": "{:,}".format}
    environment.filters.update(filters, change=_change)
    groups = content.by_group()
    yield from environment.from_string((_PAGE / "report.html.j2").read_text(encoding="utf-8")).generate(
        report=report,
        verdict=verdict_words(report),
        trend=report.get("trend"),
        changed=CHANGES,
        curves=curves_of(report.get("trend")),
        content=content,
        checks=sorted(content.checks, key=lambda check: check.rank),
        numbers={check["name"]: number for number, check in enumerate(report["checks"])},
        fixes=to_fix[:SHOWN_FIXES],
        more_fixes=max(0, len(to_fix) - SHOWN_FIXES),
        sets=content.by_set(),
        groups=groups[:_GROUPS],
        more_groups=max(0, len(groups) - _GROUPS),
        figures=_figures(report),
        choices=_choices(report),
        severities=SEVERITIES[::-1],
        output_limit=OUTPUT_LIMIT,
        named=_NAMES,
        shown_answers=_ANSWERS,
        shown_servers=_SERVERS,
        data=Markup(inline(content.data)),
        style=Markup(style),
        script=Markup(script),
        # It may use its own style and script, and ask nobody for anything.
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " base-uri 'none'; form-action 'none'",
    )


def _change(number: float) -> str:
    return f"{number:+,}".replace("-", "\N{MINUS SIGN}")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _shell(code: str) -> str:
    """Return the first line of shell code, and how many there are."""
    lines = plain(code).splitlines() or [""]
    return line(lines[0], 80) if len(lines) == 1 else f"{line(lines[0], 80)} ({len(lines)} lines)"


@dataclass
class SameAnswers:
    """The same answer of one or several servers to a check, word for word.

    Attributes:
        message: its beginning, where it is long.
        whole: all of a long message, else empty.
        output: None where the page has no room for it.
    """

    number: int
    outcome: str
    severity: str
    message: str
    whole: str
    output: str | None
    note: str
    waiver: str
    servers: list[int] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The words of its badge."""
        return self.severity if self.outcome == FAILED else self.outcome

    @property
    def rank(self) -> tuple[int, int, int]:
        """Sort key: the worst and the most frequent first."""
        worst = SEVERITIES.index(self.severity) + len(SEVERITIES) * (self.outcome == FAILED)
        return (-worst, -len(self.servers), self.number)


@dataclass(frozen=True)
class CheckSection:
    """A check with its answers."""

    number: int
    given: Mapping[str, Any]
    answers: list[SameAnswers] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def severity(self) -> str:
        """Return the worst severity of its results: hosts and scanners may name their own."""
        # An unknown result has the severity of having no answer. Scanners may name one only where a rule fails.
        counting = (FAILED, WAIVED) if self.given["of"] else (FAILED, WAIVED, PASSED, NOT_APPLICABLE)
        found = [one.severity for one in self.answers if one.outcome in counting]
        return max(found, key=SEVERITIES.index, default=str(self.given["severity"]))

    @property
    def findings(self) -> list[SameAnswers]:
        """Return what failed or is unknown, the worst first."""
        return sorted((one for one in self.answers if one.outcome in (FAILED, UNKNOWN)), key=lambda one: one.rank)

    @property
    def rank(self) -> tuple[tuple[int, ...], int, int]:
        """Sort key: the check with the worst findings first."""
        worst = min((one.rank[:1] for one in self.findings), default=(1,))
        return (worst, -self.counts[FAILED], self.number)


@dataclass
class Share:
    """The results of a set of checks, or of a group of hosts."""

    name: str
    members: int = 0
    unasked: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def score(self) -> float | None:
        """Return the score, or None where nothing passed or failed."""
        judged = any(outcome in (PASSED, FAILED) for outcome, _severity in self.counts)
        return score_of((*key, number) for key, number in self.counts.items()) if judged else None

    @property
    def failed(self) -> list[tuple[str, int]]:
        """Count what failed of each severity, the worst first."""
        return [(severity, self.counts[FAILED, severity]) for severity in reversed(SEVERITIES)]

    @property
    def rank(self) -> tuple[float, list[int], str]:
        """Sort key: the worst first."""
        score = self.score
        return (101 if score is None else score, [-number for _severity, number in self.failed], self.name)


class Content:
    """A report, put together as the page shows it."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        differences = Differences(report)
        self._servers = report["servers"]
        self.hosts = [line(server["host"]) for server in report["servers"]]
        self.checks = [CheckSection(number, check) for number, check in enumerate(report["checks"])]
        self._texts = _Texts()
        self._answers: list[list[int]] = []
        # What each server answered to each check, and the command behind it: most checks of a server share one.
        self._columns, self._commands = ([[-1] * len(self.hosts) for _check in self.checks] for _twice in range(2))
        server_numbers = {server["host"]: number for number, server in enumerate(report["servers"])}
        check_numbers = {check["name"]: number for number, check in enumerate(report["checks"])}
        known: dict[tuple[Any, ...], SameAnswers] = {}
        for result in report["results"]:
            server, check = server_numbers[result["host"]], self.checks[check_numbers[result["check"]]]
            waiver = result["waiver"]
            own = differences.words(result["host"], result["check"])
            key = (
                own,
                check.number,
                *(result[name] for name in ("outcome", "severity", "message", "output", "rc")),
                *(str(result["value"]), result["output_truncated"], result["output_complete"]),
                tuple(map(str, waiver.values())) if waiver else None,
            )
            if key not in known:
                known[key] = self._answer(result, own)
                check.answers.append(known[key])
            known[key].servers.append(server)
            check.counts[result["outcome"]] += 1
            self._columns[check.number][server] = known[key].number
            if result["ended_at"]:
                ran = f"{'reused from' if result['reused'] else 'ran'} {moment(result['ended_at'])}"
                command = f"{ran}, command {line(result['command'] or '', 40)}"
                self._commands[check.number][server] = self._texts.place(command)

    def _answer(self, result: Mapping[str, Any], own: str) -> SameAnswers:
        is_finding = result["outcome"] in (FAILED, UNKNOWN, WAIVED)
        place, is_cut = self._texts.place_output(result["output"], is_finding)
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
        message, more = folded(result["message"])
        answer = SameAnswers(
            number=len(self._answers),
            outcome=result["outcome"],
            severity=result["severity"],
            message=f"{message} {more}".rstrip(),
            whole=line(result["message"], 5000) if more else "",
            output=None if place < 0 else self._texts.all[place],
            note=" ".join(notes),
            waiver=waiver_words(result["waiver"]),
        )
        texts = [self._texts.place(text) for text in (answer.message, answer.whole, answer.note, answer.waiver)]
        self._answers.append([OUTCOMES.index(answer.outcome), SEVERITIES.index(answer.severity), place, *texts])
        return answer

    @property
    def without_findings(self) -> list[CheckSection]:
        """Return the checks that found nothing, but for those whose results have checks of their own."""
        parents = {check.given["of"] for check in self.checks}
        clean = [check for check in self.checks if not check.findings]
        return [check for check in clean if check.counts or check.given["name"] not in parents]

    @property
    def data(self) -> dict[str, Any]:
        """Return the data of the script: columns, with each text once."""
        servers, place = self._servers, self._texts.place
        names = ("host", "name", "id", "workspace", "os", "agent", "ip", "owner")
        columns: dict[str, list[Any]] = {
            name: [place(line(server[name] or "", 200)) for server in servers] for name in names
        }
        columns["groups"] = [[place(line(group)) for group in server["groups"]] for server in servers]
        columns["reason"] = [place(unasked_words(server)) for server in servers]
        columns["earlier"] = [place(f"{earlier_words(server)}{age_words(server)}") for server in servers]
        checks = [
            {
                **{name: line(check.given[name] or "") for name in ("name", "set", "title")},
                "severity": SEVERITIES.index(check.severity),
            }
            for check in self.checks
        ]
        return {
            "servers": columns,
            "checks": checks,
            "answers": self._answers,
            "columns": self._columns,
            "commands": self._commands,
            "texts": self._texts.all,
        }

    def unasked(self) -> list[tuple[str, list[str]]]:
        """Return why servers were not asked now, with the ages of earlier answers; the most frequent reason first."""
        reasons: dict[str, list[str]] = {}
        for host, server in zip(self.hosts, self._servers, strict=True):
            if words := unasked_words(server) or earlier_words(server):
                reasons.setdefault(words, []).append(f"{host}{age_words(server)}")
        return sorted(reasons.items(), key=lambda pair: -len(pair[1]))

    def waived(self) -> list[tuple[CheckSection, SameAnswers]]:
        """Return what is waived, by check."""
        return [(check, one) for check in self.checks for one in check.answers if one.outcome == WAIVED]

    def by_set(self) -> list[Share]:
        """Return how each set of checks went, the worst first."""
        shares: dict[str, Share] = {}
        for check in self.checks:
            if name := line(check.given["set"] or ""):
                one = shares.setdefault(name, Share(name))
                one.members += 1
                for answer in check.answers:
                    one.counts[answer.outcome, answer.severity] += len(answer.servers)
        return sorted(shares.values(), key=lambda one: one.rank)

    def by_group(self) -> list[Share]:
        """Return how each group of hosts went, the worst first."""
        shares: dict[str, Share] = {}
        members: list[list[Share]] = []
        for server in self._servers:
            members.append([shares.setdefault(name, Share(name)) for name in map(line, server["groups"])])
            for one in members[-1]:
                one.members += 1
                one.unasked += not (server["reached"] and server["asked"])
        for check in self.checks:
            for answer in check.answers:
                for one in (one for number in answer.servers for one in members[number]):
                    one.counts[answer.outcome, answer.severity] += 1
        return sorted(shares.values(), key=lambda one: one.rank)


class _Texts:
    """Texts of the data, each once, and outputs within a budget."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._places: dict[str, int] = {}
        self._left = dict(_BUDGETS)
        self._is_full = dict.fromkeys(_BUDGETS, False)

    def place(self, text: str) -> int:
        """Return the place of a text."""
        if text not in self._places:
            self._places[text] = len(self.all)
            self.all.append(text)
        return self._places[text]

    def place_output(self, raw: str, is_finding: bool) -> tuple[int, bool]:
        """Return the place of an output, -1 if it has no room, and True if only its beginning is there."""
        if len(raw) > _SHORT and self._is_full[is_finding]:
            return -1, False
        text, is_cut = output(raw)
        if text not in self._places:
            size = len(inline(text).encode())
            if size > self._left[is_finding]:
                self._is_full[is_finding] = True
                return -1, False
            self._left[is_finding] -= size
        return self.place(text), is_cut


def _choices(report: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the values of each filter, with their words."""
    groups = {line(group) for server in report["servers"] for group in server["groups"]}
    sets = {line(check["set"]) for check in report["checks"] if check["set"]}
    worse = [(severity, f"{severity} or worse") for severity in SEVERITIES[-2:0:-1]]
    choices = {
        "outcome": [(name, name.replace("_", " ")) for name in (FAILED, UNKNOWN, WAIVED, PASSED, NOT_APPLICABLE)],
        "severity": [(SEVERITIES[-1], SEVERITIES[-1]), *worse],
        "group": [(group, group) for group in sorted(groups)],
        "set": [(name, name) for name in sorted(sets)],
    }
    return {name: values for name, values in choices.items() if values}


def _figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return headline figures beside those of the summary."""
    summary = report["summary"]
    by_severity = summary["failed_by_severity"]
    parts = [(severity, by_severity.get(severity, 0)) for severity in reversed(SEVERITIES)]
    segments = _bar([*parts, *((name, summary[name]) for name in (UNKNOWN, WAIVED, PASSED))])
    start, end = parsed(report["started_at"]), parsed(report["finished_at"])
    return {
        "results": sum(summary[name] for name in OUTCOMES),
        "share": passed_share(summary),
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
    """Return the class of the head of the page."""
    if report["verdict"] != PASS:
        return {FAIL: "bad", INCONCLUSIVE: "open"}.get(report["verdict"], "fair")
    return "fair" if report["summary"][FAILED] or report["summary"][UNKNOWN] or report["fail_on"] is None else "good"


def _bar(parts: Sequence[tuple[str, int]]) -> list[tuple[str, int, float, float]]:
    """Return the parts of a bar that is 100 wide: name, count, start and width."""
    total = sum(count for _name, count in parts) or 1
    segments: list[tuple[str, int, float, float]] = []
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
    spoken: str


def curves_of(trend: Mapping[str, Any] | None) -> list[Curve]:
    """Return the curves of a trend; none where there are fewer than three audits."""
    history = (trend or {}).get("history", [])[-_AUDITS:]
    return [_curve(*row, history) for row in _CURVES] if len(history) > 2 else []


def _worst(audit: Mapping[str, Any]) -> int:
    by_severity = audit["failed_by_severity"]
    return int(by_severity.get("critical", 0) + by_severity.get("high", 0))


_CURVES: tuple[tuple[str, str, Callable[[Mapping[str, Any]], float]], ...] = (
    ("Score", "%", lambda audit: float(audit["score"])),
    ("Answered", "%", lambda audit: float(audit["coverage"])),
    ("Failed", "", lambda audit: int(audit["failed"])),
    ("Failed, high or critical", "", _worst),
)


def _curve(name: str, unit: str, value_of: Callable[[Any], float], history: Sequence[Mapping[str, Any]]) -> Curve:
    values = [value_of(audit) for audit in history]
    low, high = min(values), max(values)
    step = 96 / (len(values) - 1)
    heights = [25 - 22 * (value - low) / (high - low) if high > low else 14 for value in values]
    first, last = (f"{value:,g}{unit}" for value in (values[0], values[-1]))
    return Curve(
        name=name,
        first=first,
        last=last,
        points=" ".join(f"{2 + step * number:.2f},{height:.2f}" for number, height in enumerate(heights)),
        spoken=f"{name} in {len(values)} audits: from {first} to {last}, at least {low:,g} and at most {high:,g}",
    )
