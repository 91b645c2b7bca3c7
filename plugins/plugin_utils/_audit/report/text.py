# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clean texts of servers, format figures, and describe a report in sentences that all formats share."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....module_utils._api.errors import clean, join_first
from ....module_utils._api.records import parse_time
from ..scanners.results import (
    FAILED,
    NOT_APPLICABLE,
    OUTCOMES,
    PASS,
    SEVERITIES,
    WEIGHTS,
    count_answered,
    is_attested,
    is_covered,
)

TREND_LISTS = {
    "newly_failed": "Newly failed",
    "newly_fixed": "Newly fixed",
    "still_failing": "Still failing",
    "no_longer_failed": "Failed before, now waived, unknown or not applicable",
    "newly_unknown": "Unknown now",
    "newly_asked": "Asked for the first time",
    "changed": "Other changes",
    "no_longer_asked": "Not asked any more",
}
TREND_COUNTS = {
    "new_servers": "New servers",
    "gone_servers": "Servers gone",
    "new_checks": "New checks",
    "gone_checks": "Checks gone",
}

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title or a link
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # a colour or a movement
    r"|\x1b[ -/]*[0-Z\\^-~]"
)


def clean_text(value: Any) -> str:
    """Return text without terminal escapes; other control characters become visible escapes such as ``\\x07``.

    The text is valid in XML 1.0 and HTML, and no character changes its direction.
    """
    return clean(_ESCAPES.sub("", str(value)).replace("\r\n", "\n").replace("\r", "\n"))


def to_line(value: Any, limit: int = 300) -> str:
    text = " ".join(clean_text(str(value)[: limit * 8]).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}\u2026"


def fold_text(value: Any, limit: int = 160) -> str:
    """Return clean text on one line, cut at a comma or full stop: "p1, p2, p3 and 54 more"."""
    text = to_line(value, 5000)
    if len(text) <= limit:
        return text
    # A message of many problems ends with the number of those that it omits.
    omitted = re.search(r"And (\d+) more\.$", text)
    for separator, least in ((", ", 3), (". ", 1)):
        shown = text[: limit + 1].rpartition(separator)[0]
        more = text[len(shown) :].count(separator)
        if len(shown) > limit // 3 and more >= least:
            count = "" if text.endswith("\u2026") else f"{more + (int(omitted[1]) - 1 if omitted else 0):,} "
            return f"{shown} and {count}more"
    return f"{text[:limit].rpartition(' ')[0] or text[:limit]} \u2026"


def cut_sentences(value: Any, limit: int) -> str:
    """Return the whole sentences at the beginning of a text that fit on one line; at least the first."""
    text = to_line(value, 2000)
    if len(text) <= limit:
        return text
    ends = [found.end() for found in re.finditer(r"[.!?](?= )", text)]
    end = max((end for end in ends if end <= limit), default=ends[0] if ends else len(text))
    return to_line(text[:end], max(limit, 500))


def format_time(value: str | None) -> str:
    time = parse_time(value)
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else to_line(value or "", 40)


def count_seconds(report: Mapping[str, Any]) -> float | None:
    start, end = parse_time(report["started_at"]), parse_time(report["finished_at"])
    return (end - start).total_seconds() if start and end else None


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    whole = round(seconds)
    units = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    return " ".join([f"{count} {unit}" for count, unit in units if count][:2]) or "0 s"


def format_age(server: Mapping[str, Any]) -> str:
    """Return the age of the oldest earlier answer, such as " (3 h old)"; empty if the server was asked now."""
    age = server["age_seconds"]
    return "" if age is None else f" ({format_duration(age)} old)"


def pluralize(number: int, noun: str) -> str:
    """Return "1 server" or "2,000 servers"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def describe_verdict(report: Mapping[str, Any]) -> str:
    """Return the verdict of a report or of a trend's earlier report; "not judged" if no finding can fail the audit."""
    if report["verdict"] == PASS and report["fail_on"] is None:
        return "not judged"
    return str(report["verdict"] or "none")


def describe_coverage(report: Mapping[str, Any]) -> str:
    number, asked = count_answered(report["summary"]), report["summary"]["questions"]
    words = f"{number:,} of {pluralize(asked, 'question')} answered ({report['coverage']:g}%)."
    if not asked:
        words = "No check applied to any server."
    elif not number and not report["min_coverage"]:
        words = f"None of {pluralize(asked, 'question')} was answered."
    elif not is_covered(report):
        words = f"Only {words[:-1]}; the minimum is {report['min_coverage']:g}%."
    return f"{words} {describe_reused_servers(report)}".rstrip()


def describe_grace(report: Mapping[str, Any]) -> str:
    """Return the number of findings that are too young to fail the audit; empty if there are none."""
    due = sorted(result["fails_from"] for result in report["results"] if result.get("fails_from"))
    if not due:
        return ""
    verb = "does" if len(due) == 1 else "do"
    return f"{pluralize(len(due), 'finding')} {verb} not fail the audit yet; the first will from {format_time(due[0])}."


def describe_reused_servers(report: Mapping[str, Any]) -> str:
    """Return the servers that cannot be asked now and have earlier answers; empty if there are none."""
    names = [f"{server['host']}{format_age(server)}" for server in report["servers"] if describe_reuse(server)]
    servers = f"{pluralize(len(names), 'server')} cannot be asked now, and only earlier answers count"
    return f"{servers}: {join_first(names, 10)}." if names else ""


def describe_reuse(server: Mapping[str, Any]) -> str:
    """Return why only earlier answers of a server count; empty if the server was asked now."""
    if not server["reached"] or not server["reason"]:
        return ""
    return f"Cannot be asked now, and only earlier answers count: {to_line(server['reason'])}"


def describe_unreached(server: Mapping[str, Any]) -> str:
    """Return why a server has no results; empty if it has some."""
    if server["reached"]:
        return ""
    return f"Not reached: {to_line(server['reason'])}".removesuffix(": ")


def group_unreached(report: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Group the servers that were not asked now by the first sentence of the reason, the largest group first."""
    groups: dict[str, list[str]] = {}
    for server in report["servers"]:
        words = describe_unreached(server) or describe_reuse(server)
        # In check mode, servers that were not asked have no reason.
        if words and server["reason"]:
            host = f"{to_line(server['host'], 80)}{format_age(server)}"
            groups.setdefault(words.partition(". ")[0].removesuffix("."), []).append(host)
    return sorted(groups.items(), key=lambda pair: -len(pair[1]))


def describe_outcomes(summary: Mapping[str, Any]) -> str:
    by_severity = [f"{count:,} {name}" for name, count in summary["failed_by_severity"].items() if count]
    failed = f"{summary[FAILED]:,} failed" + (f" ({', '.join(by_severity)})" if by_severity else "")
    others = [name for name in OUTCOMES if name != FAILED and summary[name]]
    attested = [f"{summary['attested']:,} of these attested"] if summary.get("attested") else []
    return ", ".join([failed, *(f"{summary[name]:,} {name.replace('_', ' ')}" for name in others), *attested])


def describe_cost(summary: Mapping[str, Any]) -> str:
    return f"{pluralize(summary['commands'], 'command')} run, {pluralize(summary['reused'], 'answer')} reused"


def describe_evidence(report: Mapping[str, Any]) -> str:
    """Return how many files of scanners there are, and where, or why not; empty if none were asked for."""
    files = [(server["host"], file) for server in report["servers"] for file in server.get("files", ())]
    if not files:
        return ""
    missing: dict[str, list[str]] = {}
    for host, file in files:
        if file["problem"]:
            missing.setdefault(to_line(file["problem"], 100).removesuffix("."), []).append(to_line(host, 60))
    kept, sums = len(files) - sum(map(len, missing.values())), report.get("evidence")
    where = f", with their digests in {sums['path']} (SHA-256 {sums['sha256']})" if sums else ""
    reasons = [
        f"{len(hosts):,} missing ({problem}): {join_first(list(dict.fromkeys(hosts)), 3)}"
        for problem, hosts in missing.items()
    ]
    return "; ".join([f"{pluralize(kept, 'file')} of scanners{where}", *reasons[:5]])


def describe_result(result: Mapping[str, Any]) -> str:
    """Return the message of a result, its attestation and its waiver. Expired ones are in the message already."""
    waiver, message = result["waiver"], to_line(result["message"])
    attestation = describe_attestation(result["attestation"]) if is_attested(result) else ""
    words = "" if not waiver or waiver["expired"] else describe_waiver(waiver)
    if not attestation and not words:
        return message
    return ". ".join(filter(None, (message.removesuffix("."), attestation, words)))


def describe_attestation(attestation: Mapping[str, Any] | None) -> str:
    """Return who attested what and for how long: "Attested as passed by Kim on 2026-11-02, until ..."."""
    if not attestation:
        return ""
    outcome = to_line(attestation["outcome"], 40).replace("_", " ")
    person, day = to_line(attestation["checked_by"], 100), to_line(attestation["checked_on"], 40)
    until = f"until {to_line(attestation['until'], 40)}{' (expired)' if attestation['expired'] else ''}"
    return f"Attested as {outcome} by {person} on {day}, {until}, proof: {to_line(attestation['proof'])}"


def describe_waiver(waiver: Mapping[str, Any] | None) -> str:
    if not waiver:
        return ""
    words = f"{to_line(waiver['reason']).removesuffix('.')}: waived until {to_line(waiver['until'], 40)}"
    words = f"{words} (expired)" if waiver["expired"] else words
    return ", ".join(filter(None, (words, describe_approval(waiver))))


def describe_reason(waiver: Mapping[str, Any]) -> str:
    """Return the reason of a waiver as a sentence, and its approval as another one."""
    approval = describe_approval(waiver)
    reason = to_line(waiver["reason"])
    return f"{reason.removesuffix('.')}. {approval[0].upper()}{approval[1:]}." if approval else reason


def describe_approval(waiver: Mapping[str, Any]) -> str:
    """Return who approved a waiver, since when and where: "approved by Kim, since 2026-11-02, ticket OPS-7"."""
    titles = {"approved_by": "approved by", "since": "since", "ticket": "ticket"}
    return ", ".join(f"{title} {to_line(waiver[key], 100)}" for key, title in titles.items() if waiver.get(key))


def count_changes(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of results in a list of a trend, whose rows are about one or several hosts."""
    return sum(len(row["hosts"]) if "hosts" in row else 1 for row in rows)


def describe_changes(trend: Mapping[str, Any]) -> list[str]:
    """Return a line for each list of a trend with its number of results and commonest reasons, except empty lists."""
    lines = []
    for key, title in TREND_LISTS.items():
        reasons: Counter[str] = Counter()
        for row in trend[key]:
            reasons[to_line(row["reason"], 120)] += count_changes([row])
        del reasons[""]
        words = " ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common(3))
        more = f" and {pluralize(len(reasons) - 3, 'other reason')}" if len(reasons) > 3 else ""
        if trend[key]:
            lines.append(f"{title}: {count_changes(trend[key])}{f' ({words}{more})' if words else ''}")
    return lines


def describe_change(row: Mapping[str, Any]) -> str:
    """Return a row of a trend: the check, the host or the hosts, and the reason."""
    hosts = [to_line(host, 80) for host in row.get("hosts") or [row["host"]]]
    words = f"{row['severity']}: {to_line(row['check'])} on {join_first(hosts, 3)}"
    return f"{words}: {to_line(row['reason'])}" if row["reason"] else words


@dataclass(frozen=True)
class Remediation:
    check: str
    severity: str
    message: str
    where: str
    remedy: str
    host_count: int


def describe_remediations(report: Mapping[str, Any], limit: int) -> list[str]:
    """Return a line for each of the first ten remediations, and one that counts the others.

    Args:
        limit: characters of a remedy; its first sentence is never cut.
    """
    found = list_remediations(report)
    lines = []
    for one in found[:10]:
        remedy = f": {cut_sentences(one.remedy, limit)}" if one.remedy else ""
        lines.append(f"{one.severity}: {one.message}, {one.where} ({to_line(one.check, 80)}){remedy}")
    return [*lines, f"and {pluralize(len(found) - 10, 'check')} more"] if len(found) > 10 else lines


def list_remediations(report: Mapping[str, Any]) -> list[Remediation]:
    asked = Counter(result["check"] for result in report["results"] if result["outcome"] != NOT_APPLICABLE)
    failed: dict[str, list[Mapping[str, Any]]] = {}
    for result in report["results"]:
        if result["outcome"] == FAILED:
            failed.setdefault(result["check"], []).append(result)
    checks = {check["name"]: check for check in report["checks"]}
    differences = get_differences(report)
    remediations = []
    for name, rows in failed.items():
        messages = Counter(row["message"] for row in rows)
        where = f"on {to_line(rows[0]['host'], 80)}"
        if len(rows) > 1:
            where = f"on {len(rows):,} of {pluralize(asked[name], 'server')}"
        if len(messages) > 1:
            where = f"{where}, with {len(messages):,} different answers"
        remedies = dict.fromkeys(
            _get_first_paragraph(get_remedy(differences, row["host"], checks[name])) for row in rows
        )
        severity = max((row["severity"] for row in rows), key=SEVERITIES.index)
        message = fold_text(messages.most_common(1)[0][0], 120).removesuffix(".")
        remedy = cut_sentences(" On other servers: ".join(filter(None, remedies)), 400)
        remediations.append(Remediation(name, severity, message, where, remedy, len(rows)))
    return sorted(remediations, key=lambda one: rank_remediation(one.severity, one.host_count, report["fail_on"]))


def rank_remediation(severity: str, host_count: int, fail_on: str | None) -> tuple[int, float, int]:
    """Sort key: severities that fail the audit first, the worst of them first.

    Of the others, ten times as many servers count about four times as much.
    """
    # An audit that nothing fails has the order of the default.
    badness = SEVERITIES.index(severity) + 1
    failing = badness if badness > SEVERITIES.index(fail_on or "high") else 0
    return (-failing, -WEIGHTS[severity] * (1 + math.log2(host_count)), -badness)


def _get_first_paragraph(remedy: str) -> str:
    """Return the part of a remedy for failed results. Further paragraphs are about unknown ones, or details."""
    return re.split(r"\n\s*\n", remedy.strip(), maxsplit=1)[0]


def get_differences(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {server["host"]: server["differs"] for server in report["servers"] if server.get("differs")}


def get_remedy(differences: Mapping[str, Mapping[str, Any]], host: str, check: Mapping[str, Any]) -> str:
    return str(differences.get(host, {}).get(check["name"], check).get("remedy", check["remedy"]))
