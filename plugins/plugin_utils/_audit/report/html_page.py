# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Render a report as audit.html: one page that contains its data, style and script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..scanners.results import (
    FAIL,
    FAILED,
    FINDINGS,
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
    is_attested,
    list_failing,
)
from . import paper, text
from .history_section import describe_age, describe_section

_PAGE = Path(__file__).parent / "page"
#: JSON with these escapes neither ends a script element nor starts one.
_SCRIPT_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
#: Characters of all outputs before outputs are cut, and of each output after that.
_MAX_OUTPUTS, _SHORT_OUTPUT = 4_000_000, 200
#: Characters of all texts on what checks looked at; audit.json has the others.
_MAX_LOOKED_AT = 4_000_000
#: Servers whose results are equal in these keys share one answer.
_ANSWER_KEYS = ("check", "outcome", "severity", "message", "output", "rc", "output_truncated", "output_complete")

_Row = dict[str, Any]


def render_html(report: Mapping[str, Any]) -> Iterator[str]:
    content = PageData(report)
    style, script = ((_PAGE / f"report.{suffix}").read_text(encoding="utf-8") for suffix in ("css", "js"))
    hashes = (base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() for source in (style, script))
    style_hash, script_hash = (f"'sha256-{digest}'" for digest in hashes)
    environment = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        line=text.to_line,
        approved=text.describe_reason,
        attested=text.describe_attestation,
        changed=text.count_changes,
        plain=text.clean_text,
        time=text.format_time,
        duration=text.format_duration,
        shell=_format_shell,
        figure="{:,}".format,
        change=lambda number: f"{number:+,}".replace("-", "\N{MINUS SIGN}"),
    )
    checks = sorted(content.checks, key=_rank_check)
    yield from environment.get_template("report.html.j2").generate(
        report=report,
        verdict=text.describe_verdict(report),
        trend=report.get("trend"),
        earlier_verdict=text.describe_verdict(report["trend"]) if report.get("trend") else "",
        grace=text.describe_grace(report),
        evidence=text.describe_evidence(report),
        **describe_section(report),
        trend_lists=text.TREND_LISTS,
        trend_counts=text.TREND_COUNTS,
        content=content,
        checks=checks,
        paper=paper.collect_tables(report, checks, content.hosts),
        numbers={check["name"]: check["number"] for check in content.checks},
        remediations=text.list_remediations(report),
        unreached=text.group_unreached(report),
        figures=_collect_figures(report),
        filters=_list_filters(report),
        severities=SEVERITIES[::-1],
        data=map(Markup, _dump_for_script(content.build_script_data())),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src {style_hash}; script-src {script_hash};"
        " base-uri 'none'; form-action 'none'",
    )


def _dump_for_script(data: Mapping[str, Any]) -> Iterator[str]:
    """Return a dictionary as JSON for a script element, in pieces, since the whole is long."""
    comma = "{"
    for key, value in data.items():
        yield f'{comma}"{key}":'
        comma = ","
        if isinstance(value, list):
            yield "["
            for start in range(0, len(value), 500):
                yield ("," if start else "") + _dump(value[start : start + 500])[1:-1]
            yield "]"
        else:
            yield _dump(value)
    yield "}"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_SCRIPT_ESCAPES)


def _format_shell(code: str) -> str:
    lines = text.clean_text(code).splitlines() or [""]
    return text.to_line(lines[0], 80) + (f" ({len(lines)} lines)" if len(lines) > 1 else "")


# A command answers hundreds of questions.
@lru_cache(maxsize=4096)
def _describe_command(command: str | None, ended_at: str, reused: bool) -> str:
    ran = f"{'reused from' if reused else 'ran'} {text.format_time(ended_at)}"
    return f"{ran}, command {text.to_line(command or '', 40)}"


def _rank_answer(answer: _Row) -> tuple[int, int, int]:
    """Sort key: the worst and the most frequent first."""
    badness = SEVERITIES.index(answer["severity"]) + len(SEVERITIES) * (answer["outcome"] == FAILED)
    return (-badness, -len(answer["servers"]), answer["number"])


def _rank_check(check: _Row) -> tuple[int, int, int]:
    """Sort key: the check with the worst findings first."""
    badness = _rank_answer(check["findings"][0])[0] if check["findings"] else 1
    return (badness, -check["counts"][FAILED], check["number"])


def _rank_score(row: _Row) -> tuple[float, list[int], str]:
    """Sort key: the lowest score first, then the most failures of the worst severity."""
    return (
        101 if row["score"] is None else row["score"],
        [-number for _severity, number in row["failed"]],
        row["name"],
    )


class PageData:
    """The servers, checks and answers of a report, which refer to each other by number.

    Attributes:
        checks: each with its answers, its findings, its counts of outcomes, and its worst severity on any server.
    """

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._servers = report["servers"]
        self.hosts = [text.to_line(server["host"]) for server in self._servers]
        self.checks: list[_Row] = [
            {**check, "number": number, "answers": [], "counts": Counter(), "attested": 0}
            for number, check in enumerate(report["checks"])
        ]
        self._outputs_left, self._looked_at_left = _MAX_OUTPUTS, _MAX_LOOKED_AT
        self._texts: dict[str, int] = {}
        self._answers: list[list[int]] = []
        # Check and server -> number of the answer, and of the text that describes the command.
        self._columns, self._commands = ([[-1] * len(self.hosts) for _check in self.checks] for _table in range(2))
        #: Check and server -> number of the text on what the check looked at.
        self._looked_at: dict[int, dict[int, int]] = {}
        servers = {server["host"]: number for number, server in enumerate(self._servers)}
        checks = {check["name"]: check for check in self.checks}
        differences = text.get_differences(report)
        answers: dict[tuple[Any, ...], _Row] = {}
        for result in report["results"]:
            server, check = servers[result["host"]], checks[result["check"]]
            differs = differences.get(result["host"], {})
            difference = {**differs.get(check["of"], {}), **differs.get(check["name"], {})}
            exceptions = (str(result["waiver"]), str(result.get("attestation")))
            key = (str(difference), *exceptions, *(result[name] for name in _ANSWER_KEYS))
            if key not in answers:
                answers[key] = self._add_answer(result, _describe_difference(difference, check))
                check["answers"].append(answers[key])
            answers[key]["servers"].append(server)
            answers[key]["results"].append(result)
            check["counts"][result["outcome"]] += 1
            check["attested"] += is_attested(result)
            self._columns[check["number"]][server] = answers[key]["number"]
            if result["ended_at"]:
                command = _describe_command(result["command"], result["ended_at"], result["reused"])
                self._commands[check["number"]][server] = self._add_text(command)
            if result["looked_at"]:
                self._add_looked_at(check["number"], server, text.clean_text(result["looked_at"]))
        for answer in answers.values():
            answer["age"] = describe_age(report, answer.pop("results"))
        for check in self.checks:
            findings = (answer for answer in check["answers"] if answer["outcome"] in FINDINGS)
            check["findings"] = sorted(findings, key=_rank_answer)
            failed = [answer["severity"] for answer in check["answers"] if answer["outcome"] in (FAILED, WAIVED)]
            check["severity"] = max(failed, key=SEVERITIES.index, default=check["severity"])

    def _add_text(self, value: str) -> int:
        """Return the number of a text, so that the data contains each text once."""
        return self._texts.setdefault(value, len(self._texts))

    def _add_looked_at(self, check: int, server: int, value: str) -> None:
        self._looked_at_left -= 0 if value in self._texts else len(value)
        if self._looked_at_left >= 0:
            self._looked_at.setdefault(check, {})[server] = self._add_text(value)

    def _add_answer(self, result: Mapping[str, Any], difference: str) -> _Row:
        output = result["output"] if self._outputs_left > 0 else result["output"][:_SHORT_OUTPUT]
        self._outputs_left -= len(output)
        is_cut = output and (result["output_truncated"] or output != result["output"])
        # Without an answer, no output is missing.
        is_damaged = not result["output_complete"] and (result["output"] or result["outcome"] != UNKNOWN)
        notes = (
            "Only a part of the output is shown." if is_cut else "",
            "The output in the workspace is not complete." if is_damaged else "",
            f"Exit code {result['rc']}." if result["rc"] else "",
            f"Here the check has: {text.to_line(difference, 600)}." if difference else "",
        )
        outcome, severity = result["outcome"], result["severity"]
        attestation = text.describe_attestation(result["attestation"]) if is_attested(result) else ""
        message, whole = text.fold_text(result["message"]), text.to_line(result["message"], 5000)
        texts = {
            "output": text.clean_text(output).strip("\n"),
            "message": message,
            "whole": "" if whole == message else whole,
            "note": " ".join(filter(None, notes)),
            "waiver": ". ".join(filter(None, (attestation, text.describe_waiver(result["waiver"])))),
        }
        number, places = len(self._answers), [OUTCOMES.index(outcome), SEVERITIES.index(severity)]
        self._answers.append([*places, *map(self._add_text, texts.values())])
        kind = severity if outcome == FAILED else outcome
        about = {"number": number, "outcome": outcome, "severity": severity, "kind": kind}
        return {**about, "servers": [], "results": [], "attested": bool(attestation), **texts}

    def list_clean_checks(self) -> list[_Row]:
        """Return the checks without findings, except scanners whose rules are checks of their own."""
        parents = {check["of"] for check in self.checks}
        clean = [check for check in self.checks if not check["findings"]]
        return [check for check in clean if check["counts"] or check["name"] not in parents]

    def list_waived(self) -> list[tuple[_Row, _Row]]:
        return [(check, one) for check in self.checks for one in check["answers"] if one["outcome"] == WAIVED]

    def list_attested(self) -> list[tuple[_Row, _Row]]:
        """Return the attested answers, except the failed and the waived ones, which have sections of their own."""
        shown = (FAILED, WAIVED)
        answers = ((check, one) for check in self.checks for one in check["answers"] if one["attested"])
        return [(check, one) for check, one in answers if one["outcome"] not in shown]

    def build_script_data(self) -> _Row:
        """Return the data for the page's script: columns of numbers, and the texts with these numbers."""
        add, servers = self._add_text, self._servers
        names = ("host", "name", "id", "workspace", "os", "agent", "ip", "owner")
        columns: dict[str, list[Any]] = {
            **{name: [add(text.to_line(server[name] or "", 200)) for server in servers] for name in names},
            "groups": [[add(text.to_line(group)) for group in server["groups"]] for server in servers],
            "reason": [add(text.describe_unreached(server)) for server in servers],
            "earlier": [add(text.describe_reuse(server) + text.format_age(server)) for server in servers],
        }
        keys = ("name", "of", "set", "title")
        return {
            "servers": columns,
            "checks": [{key: text.to_line(check[key] or "") for key in keys} for check in self.checks],
            "answers": self._answers,
            "columns": self._columns,
            "commands": self._commands,
            "lookedAt": self._looked_at,
            "texts": list(self._texts),
        }

    def rank_sets(self) -> list[_Row]:
        checks = [(text.to_line(check["set"]), check) for check in self.checks if check["set"]]
        rows = ((name, answer, len(answer["servers"])) for name, check in checks for answer in check["answers"])
        return _score_members(Counter(name for name, _check in checks), rows, Counter())

    def rank_groups(self) -> list[_Row]:
        groups = [list(map(text.to_line, server["groups"])) for server in self._servers]
        answers = (answer for check in self.checks for answer in check["answers"])
        rows = ((name, answer, 1) for answer in answers for server in answer["servers"] for name in groups[server])
        members, unreached = Counter[str](), Counter[str]()
        for names, server in zip(groups, self._servers, strict=True):
            members.update(names)
            unreached.update([] if server["reached"] else names)
        return _score_members(members, rows, unreached)


def _score_members(members: Counter[str], rows: Iterable[tuple[str, _Row, int]], unreached: Counter[str]) -> list[_Row]:
    """Return the score and the failures of sets or groups, the worst first.

    Args:
        rows: names of sets or groups, each with an answer and its number of results.
    """
    counts: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in members}
    for name, answer, number in rows:
        counts[name][answer["outcome"], answer["severity"]] += number
    scored = []
    for name, counted in counts.items():
        has_score = any(outcome in (PASSED, FAILED) for outcome, _severity in counted)
        score = compute_score((*pair, number) for pair, number in counted.items()) if has_score else None
        failed = [(severity, counted[FAILED, severity]) for severity in reversed(SEVERITIES)]
        row = {"name": name, "members": members[name], "unreached": unreached[name], "score": score, "failed": failed}
        scored.append(row)
    return sorted(scored, key=_rank_score)


def _describe_difference(difference: Mapping[str, Any], check: Mapping[str, Any]) -> str:
    keys = ("severity", "username", "remedy", "line")
    words = [f"{key} {difference[key] or 'none'}" for key in keys if key in difference]
    parameters = difference.get("parameters", {}).items()
    words += [f"{key} {value}" for key, value in parameters if value != check["parameters"].get(key)]
    return "; ".join([*words, *(one for one in difference.get("expected", ()) if one not in check["expected"])])


def _list_filters(report: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    groups = {text.to_line(group) for server in report["servers"] for group in server["groups"]}
    sets = {text.to_line(check["set"]) for check in report["checks"] if check["set"]}
    worst, *others = SEVERITIES[:0:-1]
    filters = {
        "outcome": [(name, name.replace("_", " ")) for name in (FAILED, UNKNOWN, WAIVED, PASSED, NOT_APPLICABLE)],
        "severity": [(worst, worst), *((severity, f"{severity} or worse") for severity in others)],
        "group": [(group, group) for group in sorted(groups)],
        "set": [(name, name) for name in sorted(sets)],
    }
    return {name: values for name, values in filters.items() if values}


def _collect_figures(report: Mapping[str, Any]) -> dict[str, Any]:
    summary, seconds = report["summary"], text.count_seconds(report)
    parts = {**summary["failed_by_severity"], **{name: summary[name] for name in (UNKNOWN, WAIVED, PASSED)}}
    counts = [(name, count) for name, count in parts.items() if count]
    tone = {FAIL: "high", INCONCLUSIVE: "medium"}.get(report["verdict"], UNKNOWN)
    if report["verdict"] == PASS and report["fail_on"] and not summary[FAILED] and not summary[UNKNOWN]:
        tone = PASSED
    return {
        "results": sum(summary[name] for name in OUTCOMES),
        "passed_share": compute_passed_share(summary),
        "bar": counts,
        "bar_label": ", ".join(f"{count} {name}" for name, count in counts) or "no results",
        "failing": len(list_failing(report)),
        "coverage": text.clean_text(text.describe_coverage(report)),
        "tone": tone,
        "duration": "" if seconds is None else text.format_duration(seconds),
        "reuse_within": text.format_duration(report["reuse_within"]) if report["reuse_within"] else "",
    }
