# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as one page: audit.html."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..results import (
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
    compute_passed_share,
    compute_score,
    describe_coverage,
    format_age,
    format_duration,
    list_failing,
)
from .remediation import get_host_checks, list_remediations
from .text import (
    clean_text,
    describe_reuse,
    describe_unreached,
    describe_verdict,
    describe_waiver,
    fold_text,
    format_time,
    group_unreached,
    parse_time,
    to_line,
    to_script_json,
)
from .trend import CHANGES, COUNTS

_PAGE = Path(__file__).parent / "page"

#: After so many characters of outputs, only so many of each further one are shown.
_MAX_OUTPUTS, _SHORT_OUTPUT = 4_000_000, 200

#: The keys of a result that servers with the same answer have alike.
_GROUP_KEYS = ("check", "outcome", "severity", "message", "output", "rc", "output_truncated", "output_complete")

_Row = dict[str, Any]


def render_html(report: Mapping[str, Any]) -> Iterator[str]:
    """Render audit.html in pieces."""
    content = PageData(report)
    style, script = ((_PAGE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters = {
        "line": to_line,
        "plain": clean_text,
        "moment": format_time,
        "shell": _format_shell,
        "figure": "{:,}".format,
    }
    environment.filters.update(filters, change=_format_change)
    yield from environment.from_string((_PAGE / "report.html.j2").read_text(encoding="utf-8")).generate(
        report=report,
        verdict=describe_verdict(report),
        trend=report.get("trend"),
        changed=CHANGES,
        counted=COUNTS,
        content=content,
        checks=sorted(content.checks, key=_check_rank),
        numbers={check["name"]: check["number"] for check in content.checks},
        fixes=list_remediations(report),
        unasked=group_unreached(report),
        figures=_collect_figures(report),
        choices=_list_filters(report),
        severities=SEVERITIES[::-1],
        data=Markup(to_script_json(content.data())),
        style=Markup(style),
        script=Markup(script),
        # It may use its own style and script, and ask nobody for anything.
        policy=f"default-src 'none'; style-src '{_hash_source(style)}'; script-src '{_hash_source(script)}';"
        " base-uri 'none'; form-action 'none'",
    )


def _format_change(number: float) -> str:
    return f"{number:+,}".replace("-", "\N{MINUS SIGN}")


def _hash_source(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _format_shell(code: str) -> str:
    """Return the first line of shell code, and how many there are."""
    lines = clean_text(code).splitlines() or [""]
    return to_line(lines[0], 80) if len(lines) == 1 else f"{to_line(lines[0], 80)} ({len(lines)} lines)"


def _answer_rank(answer: _Row) -> tuple[int, int, int]:
    """Sort key: the worst and the most frequent first."""
    worst = SEVERITIES.index(answer["severity"]) + len(SEVERITIES) * (answer["outcome"] == FAILED)
    return (-worst, -len(answer["servers"]), answer["number"])


def _check_rank(check: _Row) -> tuple[int, int, int]:
    """Sort key: the check with the worst findings first."""
    worst = _answer_rank(check["findings"][0])[0] if check["findings"] else 1
    return (worst, -check["counts"][FAILED], check["number"])


class PageData:
    """A report, put together as the page shows it.

    Attributes:
        hosts: the names of the servers, by their numbers.
        checks: those of the report, each with its number, its answers and findings, and how often each outcome came.
            Its severity is the worst that a server or a scanner named.
    """

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._servers = report["servers"]
        self.hosts = [to_line(server["host"]) for server in self._servers]
        self.checks: list[_Row] = [
            {**check, "number": number, "answers": [], "counts": Counter()}
            for number, check in enumerate(report["checks"])
        ]
        self._room = _MAX_OUTPUTS
        self._texts: dict[str, int] = {}
        self._answers: list[list[int]] = []
        # What each server answered to each check, and the command behind it: most checks of a server share one.
        self._columns, self._commands = ([[-1] * len(self.hosts) for _check in self.checks] for _twice in range(2))
        servers = {server["host"]: number for number, server in enumerate(self._servers)}
        checks = {check["name"]: check for check in self.checks}
        different = get_host_checks(report)
        known: dict[tuple[Any, ...], _Row] = {}
        for result in report["results"]:
            server, check = servers[result["host"]], checks[result["check"]]
            own = different.get(result["host"], {}).get(check["of"] or check["name"], {})
            key = (str(own), str(result["waiver"]), *(result[name] for name in _GROUP_KEYS))
            if key not in known:
                known[key] = self._answer(result, _describe_differences(own, check))
                check["answers"].append(known[key])
            known[key]["servers"].append(server)
            check["counts"][result["outcome"]] += 1
            self._columns[check["number"]][server] = known[key]["number"]
            if result["ended_at"]:
                ran = f"{'reused from' if result['reused'] else 'ran'} {format_time(result['ended_at'])}"
                command = f"{ran}, command {to_line(result['command'] or '', 40)}"
                self._commands[check["number"]][server] = self._place(command)
        for check in self.checks:
            check["findings"] = sorted(
                (one for one in check["answers"] if one["outcome"] in (FAILED, UNKNOWN)), key=_answer_rank
            )
            failed = [one["severity"] for one in check["answers"] if one["outcome"] in (FAILED, WAIVED)]
            check["severity"] = max(failed, key=SEVERITIES.index, default=check["severity"])

    def _place(self, text: str) -> int:
        """Return the place of a text among all texts of the data, each of which is there once."""
        return self._texts.setdefault(text, len(self._texts))

    def _answer(self, result: Mapping[str, Any], own: str) -> _Row:
        """Return an answer to a check. Servers whose answers are the same, word for word, share it."""
        output = result["output"] if self._room > 0 else result["output"][:_SHORT_OUTPUT]
        self._room -= len(output)
        is_cut = result["output_truncated"] or output != result["output"]
        # Where there was no answer, there is nothing to complete.
        is_damaged = not result["output_complete"] and (result["output"] or result["outcome"] != UNKNOWN)
        notes = (
            "Only a part of the output is shown." if is_cut else "",
            "The output that the workspace has is not complete." if is_damaged else "",
            f"Exit code {result['rc']}." if result["rc"] else "",
            f"Here the check has: {to_line(own, 600)}." if own else "",
        )
        message, more = fold_text(result["message"])
        outcome, severity = result["outcome"], result["severity"]
        texts = {
            "output": clean_text(output).strip("\n"),
            "message": f"{message} {more}".rstrip(),
            "whole": to_line(result["message"], 5000) if more else "",
            "note": " ".join(filter(None, notes)),
            "waiver": describe_waiver(result["waiver"]),
        }
        number = len(self._answers)
        self._answers.append([OUTCOMES.index(outcome), SEVERITIES.index(severity), *map(self._place, texts.values())])
        kind = severity if outcome == FAILED else outcome
        return {"number": number, "outcome": outcome, "severity": severity, "kind": kind, "servers": [], **texts}

    def without_findings(self) -> list[_Row]:
        """Return the checks that found nothing, but for those whose results have checks of their own."""
        parents = {check["of"] for check in self.checks}
        clean = [check for check in self.checks if not check["findings"]]
        return [check for check in clean if check["counts"] or check["name"] not in parents]

    def waived(self) -> list[tuple[_Row, _Row]]:
        """Return what is waived, by check."""
        return [(check, one) for check in self.checks for one in check["answers"] if one["outcome"] == WAIVED]

    def data(self) -> _Row:
        """Return the data of the script: columns, with each text once."""
        place = self._place
        names = ("host", "name", "id", "workspace", "os", "agent", "ip", "owner")
        columns: dict[str, list[Any]] = {
            name: [place(to_line(server[name] or "", 200)) for server in self._servers] for name in names
        }
        columns["groups"] = [[place(to_line(group)) for group in server["groups"]] for server in self._servers]
        columns["reason"] = [place(describe_unreached(server)) for server in self._servers]
        columns["earlier"] = [place(f"{describe_reuse(server)}{format_age(server)}") for server in self._servers]
        checks = [{name: to_line(check[name] or "") for name in ("name", "set", "title")} for check in self.checks]
        return {
            "servers": columns,
            "checks": checks,
            "answers": self._answers,
            "columns": self._columns,
            "commands": self._commands,
            "texts": list(self._texts),
        }

    def by_set(self) -> list[_Row]:
        """Return how each set of checks went, the worst first."""
        checks = [(to_line(check["set"]), check) for check in self.checks if check["set"]]
        rows = ((name, one, len(one["servers"])) for name, check in checks for one in check["answers"])
        return _rank_members(Counter(name for name, _check in checks), rows, Counter())

    def by_group(self) -> list[_Row]:
        """Return how each group of hosts went, the worst first."""
        groups = [list(map(to_line, server["groups"])) for server in self._servers]
        without = (of for of, one in zip(groups, self._servers, strict=True) if not one["reached"])
        answers = (one for check in self.checks for one in check["answers"])
        rows = ((name, one, 1) for one in answers for server in one["servers"] for name in groups[server])
        return _rank_members(
            Counter(name for of in groups for name in of), rows, Counter(name for of in without for name in of)
        )


def _rank_members(members: Counter[str], rows: Iterable[tuple[str, _Row, int]], unasked: Counter[str]) -> list[_Row]:
    """Return the score and the number of failures of sets or groups, the worst first.

    Args:
        rows: name of the set or group, an answer, and how often it came.
        unasked: how many members have no results.
    """
    counts: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in members}
    for name, answer, number in rows:
        counts[name][answer["outcome"], answer["severity"]] += number
    shares = []
    for name, counted in counts.items():
        is_judged = any(outcome in (PASSED, FAILED) for outcome, _severity in counted)
        score = compute_score((*pair, number) for pair, number in counted.items()) if is_judged else None
        failed = [(severity, counted[FAILED, severity]) for severity in reversed(SEVERITIES)]
        rank = (101 if score is None else score, [-number for _severity, number in failed], name)
        share = {"name": name, "members": members[name], "unasked": unasked[name], "score": score, "failed": failed}
        shares.append((rank, share))
    return [share for _rank, share in sorted(shares, key=lambda pair: pair[0])]


def _describe_differences(own: Mapping[str, Any], check: Mapping[str, Any]) -> str:
    """Say what is different of a check on a host, or nothing."""
    said = [f"{key} {own[key] or 'none'}" for key in ("severity", "username", "remedy", "line") if key in own]
    parameters = own.get("parameters", {}).items()
    said += [f"{key} {value}" for key, value in parameters if value != check["parameters"].get(key)]
    return "; ".join([*said, *(text for text in own.get("expected", ()) if text not in check["expected"])])


def _list_filters(report: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the values of each filter, with their words."""
    groups = {to_line(group) for server in report["servers"] for group in server["groups"]}
    sets = {to_line(check["set"]) for check in report["checks"] if check["set"]}
    worse = [(severity, f"{severity} or worse") for severity in SEVERITIES[-2:0:-1]]
    choices = {
        "outcome": [(name, name.replace("_", " ")) for name in (FAILED, UNKNOWN, WAIVED, PASSED, NOT_APPLICABLE)],
        "severity": [(SEVERITIES[-1], SEVERITIES[-1]), *worse],
        "group": [(group, group) for group in sorted(groups)],
        "set": [(name, name) for name in sorted(sets)],
    }
    return {name: values for name, values in choices.items() if values}


def _collect_figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return headline figures beside those of the summary."""
    summary = report["summary"]
    parts = {**summary["failed_by_severity"], **{name: summary[name] for name in (UNKNOWN, WAIVED, PASSED)}}
    segments = [(name, count) for name, count in parts.items() if count]
    start, end = parse_time(report["started_at"]), parse_time(report["finished_at"])
    return {
        "results": sum(summary[name] for name in OUTCOMES),
        "share": compute_passed_share(summary),
        "bar": segments,
        "spoken": ", ".join(f"{count} {name}" for name, count in segments) or "no results",
        "failing": len(list_failing(report)),
        "answered": clean_text(describe_coverage(report)),
        "tone": _choose_tone(report),
        "took": format_duration((end - start).total_seconds()) if start and end else "",
        "window": format_duration(report["reuse_within"]) if report["reuse_within"] else "",
    }


def _choose_tone(report: Mapping[str, Any]) -> str:
    """Return the class of the head of the page."""
    if report["verdict"] != PASS:
        return {FAIL: "bad", INCONCLUSIVE: "open"}.get(report["verdict"], "fair")
    return "fair" if report["summary"][FAILED] or report["summary"][UNKNOWN] or report["fail_on"] is None else "good"
