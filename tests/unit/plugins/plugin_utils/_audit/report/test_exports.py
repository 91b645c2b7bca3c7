# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The formats that other tools read: each fits its published schema, whatever the texts in it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from types import ModuleType
from typing import Any

import jsonschema
import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.outcomes import OUTCOMES
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import (
    csv_file,
    hdf,
    html_page,
    oscal,
    sarif,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.differences import together
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.priorities import fixes
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.trend import compare
from ansible_collections.herdops.alpacon.tests.browser import reports
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

EXAMPLE = reports.report(left_out=2)
CASES = {
    "example": EXAMPLE,
    "trend": {**EXAMPLE, "trend": compare(EXAMPLE, reports.history(EXAMPLE))},
    "hostile": reports.hostile(),
    "empty": reports.summed({**reports.report(servers=1, checks=1), "servers": [], "checks": [], "results": []}),
}
SCHEMAS = {"sarif": "sarif-2.1.0.json", "hdf": "hdf-exec-json.json", "oscal": "oscal-assessment-results-1.2.1.json"}
FOLDER = ROOT / "tests/unit/plugins/plugin_utils/_audit/report/schemas"


def rendered(writer: ModuleType, report: reports.Report) -> str:
    """What a writer makes of a report."""
    return "".join(writer.render(report))


def schema_of(name: str) -> Any:
    """A published schema, with the classes of characters that Python's regular expressions know."""
    text = (FOLDER / SCHEMAS[name]).read_text(encoding="utf-8")
    return json.loads(text.replace(r"(\\p{L}|_)(\\p{L}|\\p{N}|[.\\-_])*", r"[^\\W\\d][\\w.\\-]*"))


VALIDATORS = {name: jsonschema.Draft7Validator(schema_of(name)) for name in SCHEMAS}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("writer", [sarif, hdf, oscal], ids=SCHEMAS)
def test_fits_its_published_schema(writer: ModuleType, case: str) -> None:
    document = json.loads(rendered(writer, CASES[case]))
    name = writer.__name__.rpartition(".")[2]
    assert [
        f"{'/'.join(map(str, error.path))}: {error.message[:300]}" for error in VALIDATORS[name].iter_errors(document)
    ] == []


@pytest.mark.parametrize(
    ("writer", "place"),
    [
        (sarif, ("runs", 0, "tool", "driver", "name")),
        (hdf, ("profiles", 0, "sha256")),
        (oscal, ("assessment-results", "uuid")),
    ],
    ids=SCHEMAS,
)
def test_the_schema_refuses_what_lacks_something(writer: ModuleType, place: tuple[Any, ...]) -> None:
    document = json.loads(rendered(writer, EXAMPLE))
    *path, last = place
    part = document
    for step in path:
        part = part[step]
    del part[last]
    assert list(VALIDATORS[writer.__name__.rpartition(".")[2]].iter_errors(document))


@pytest.mark.parametrize("writer", [sarif, hdf, oscal], ids=SCHEMAS)
def test_is_the_same_each_time(writer: ModuleType) -> None:
    assert rendered(writer, EXAMPLE) == rendered(writer, EXAMPLE)


# SARIF


def test_sarif_has_what_did_not_pass() -> None:
    run = json.loads(rendered(sarif, CASES["trend"]))["runs"][0]
    summary = EXAMPLE["summary"]
    kinds = Counter((result["kind"], "suppressions" in result) for result in run["results"])
    assert kinds == {
        ("fail", False): summary["failed"],
        ("fail", True): summary["waived"],
        ("open", False): summary["unknown"],
    }
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert len({result["partialFingerprints"]["hostAndCheck/v1"] for result in run["results"]}) == len(run["results"])
    still = len(CASES["trend"]["trend"]["still_failing"])
    states = Counter(result.get("baselineState") for result in run["results"])
    others = summary["waived"] + summary["unknown"]
    assert states == {"unchanged": still, "new": summary["failed"] - still, None: others}
    notices = run["invocations"][0]["toolExecutionNotifications"]
    assert len(notices) == summary["not_reached"] + summary["not_asked"]


def test_sarif_calls_nothing_new_that_was_there_before() -> None:
    report = {**EXAMPLE, "trend": compare(EXAMPLE, [EXAMPLE])}
    results = json.loads(rendered(sarif, report))["runs"][0]["results"]
    assert {result.get("baselineState") for result in results} == {"unchanged", None}
    assert sum("baselineState" in result for result in results) == EXAMPLE["summary"]["failed"]


def test_sarif_has_as_many_tags_as_code_hosts_take() -> None:
    check = {**EXAMPLE["checks"][0], "references": ["A", "A ", *(f"R {number}" for number in range(30))]}
    report = {**EXAMPLE, "checks": [check, *EXAMPLE["checks"][1:]]}
    rule = json.loads(rendered(sarif, report))["runs"][0]["tool"]["driver"]["rules"][0]
    assert rule["properties"]["tags"] == [check["set"], "A", *(f"R {number}" for number in range(18))]


# HDF


def test_hdf_has_a_control_for_each_check() -> None:
    (profile,) = json.loads(rendered(hdf, EXAMPLE))["profiles"]
    controls = {control["id"]: control for control in profile["controls"]}
    reached = controls.pop("server-reached")
    summary = EXAMPLE["summary"]
    assert [result["status"] for result in reached["results"]] == ["skipped"] * (
        summary["not_reached"] + summary["not_asked"]
    )
    assert list(controls) == [check["name"] for check in EXAMPLE["checks"]]
    statuses = Counter(result["status"] for control in controls.values() for result in control["results"])
    assert statuses == {
        "passed": summary["passed"],
        "failed": summary["failed"],
        "skipped": summary["unknown"] + summary["waived"] + summary["not_applicable"] - 1,
        # The one that is unknown where the check passed elsewhere, and failed nowhere.
        "error": 1,
    }
    assert controls["sshd-root-login"]["tags"]["nist"] == ["AC-6"]
    assert controls["sshd-passwords"]["tags"]["nist"] == ["CM-6"]


@pytest.mark.parametrize(
    ("outcomes", "statuses"),
    [
        (("passed", "unknown"), ["passed", "error"]),
        (("passed", "unknown", "failed"), ["passed", "skipped", "failed"]),
        (("unknown", "not_applicable"), ["skipped", "skipped"]),
        (("passed", "waived"), ["passed", "skipped"]),
    ],
)
def test_hdf_lets_no_control_pass_of_which_something_is_unknown(outcomes: list[str], statuses: list[str]) -> None:
    check, row = EXAMPLE["checks"][0], EXAMPLE["results"][0]
    rows = [{**row, "check": check["name"], "outcome": outcome, "message": "m"} for outcome in outcomes]
    (profile,) = json.loads(rendered(hdf, {**EXAMPLE, "checks": [check], "results": rows}))["profiles"]
    results = profile["controls"][0]["results"]
    assert [result["status"] for result in results] == statuses
    messages = [result["message" if result["status"] != "skipped" else "skip_message"] for result in results]
    assert all(
        ("Unknown" in message) == (outcome == "unknown") for message, outcome in zip(messages, outcomes, strict=True)
    )


# OSCAL


def test_oscal_names_each_server_once_for_each_check() -> None:
    (result,) = json.loads(rendered(oscal, EXAMPLE))["assessment-results"]["results"]
    items = {item["uuid"] for item in result["local-definitions"]["inventory-items"]}
    assert len(items) == len(EXAMPLE["servers"])
    subjects = [one["subject-uuid"] for observation in result["observations"] for one in observation["subjects"]]
    assert len(subjects) == len(EXAMPLE["results"])
    assert set(subjects) <= items
    known = {observation["uuid"] for observation in result["observations"]}
    assert {
        one["observation-uuid"] for finding in result["findings"] for one in finding["related-observations"]
    } == known
    states = {finding["props"][0]["value"]: finding["target"]["status"]["state"] for finding in result["findings"]}
    bad = {row["check"] for row in EXAMPLE["results"] if row["outcome"] in ("failed", "unknown", "waived")}
    names = [check["name"] for check in EXAMPLE["checks"]]
    assert states == {name: "not-satisfied" if name in bad else "satisfied" for name in names}
    assert "The budget of requests was used up" in result["remarks"]


# CSV


@pytest.mark.parametrize("case", CASES)
def test_csv_has_a_row_for_each_result_and_each_server_without(case: str) -> None:
    report = CASES[case]
    rows = list(csv.DictReader(io.StringIO(rendered(csv_file, report), newline="")))
    without = report["summary"]["not_reached"] + report["summary"]["not_asked"]
    assert len(rows) == len(report["results"]) + without
    counts = Counter(row["outcome"] for row in rows)
    assert {name: counts[name] for name in OUTCOMES} == {name: report["summary"][name] for name in OUTCOMES}
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+@\t\r" and cell]


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd", "'+1+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1", "'\uff1d1"),
        ("-2.5", "-2.5"),
        (-3, "-3"),
        (None, ""),
        ("a\x1b[31m", "a"),
        ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
        ("x;\t@SUM(A1);+1", "x;' @SUM(A1);'+1"),
        ("ok\t=1+1\u2028=2", "ok =1+1 =2"),
        ("\u200b=1+1", "'=1+1"),
        ("x;\u2060\u00ad=1", "x;'=1"),
        ("AC-6; CM-7", "AC-6; CM-7"),
        ("'=1", "'=1"),
    ],
)
def test_no_cell_is_a_formula(cell: Any, safe: str) -> None:
    assert csv_file.safe(cell) == safe


# Hosts that have checks of their own


def where_hosts_differ() -> reports.Report:
    """A report of two servers, on the second of which a check is worse, has another remedy, and fails."""
    report = reports.summed(reports.report(servers=2, checks=1, offline=0))
    [check], [first, second] = report["checks"], report["servers"]
    own = {"severity": "critical", "remedy": "Call the web team.", "line": "echo 50", "parameters": {"load_max": 40}}
    row = report["results"][0]
    rows = [
        {**row, "host": first["host"], "outcome": "passed", "severity": "low"},
        {**row, "host": second["host"], "outcome": "failed", "severity": "critical", "message": "It is 50."},
    ]
    common = {"severity": "low", "remedy": "Call the dba.", "line": "echo 5", "parameters": {"load_max": 10}}
    servers = [
        {**first, "host": "db-01", "differs": {}},
        {**second, "host": "web-01", "differs": {check["name"]: own}},
    ]
    hosts = dict(zip((first["host"], second["host"]), ("db-01", "web-01"), strict=True))
    results = [{**one, "host": hosts[one["host"]]} for one in rows]
    return reports.summed({**report, "checks": [{**check, **common}], "servers": servers, "results": results})


DIFFERENT = where_hosts_differ()
BOTH = "On db-01: Call the dba.\nOn web-01: Call the web team."


def test_tools_are_told_the_worst_severity_and_each_remedy() -> None:
    [rule] = json.loads(rendered(sarif, DIFFERENT))["runs"][0]["tool"]["driver"]["rules"]
    assert (rule["properties"]["severity"], rule["properties"]["security-severity"]) == ("critical", "9.5")
    assert (rule["defaultConfiguration"]["level"], rule["help"]["text"]) == ("error", BOTH)
    [control] = json.loads(rendered(hdf, DIFFERENT))["profiles"][0]["controls"]
    assert (control["impact"], control["tags"]["severity"]) == (0.9, "critical")
    assert {one["label"]: one["data"] for one in control["descriptions"]}["fix"] == BOTH
    assert control["code"] == "On db-01: echo 5\nOn web-01: echo 50"
    [finding] = json.loads(rendered(oscal, DIFFERENT))["assessment-results"]["results"][0]["findings"]
    assert (finding["props"][1]["value"], finding["remarks"]) == ("critical", BOTH.replace("\n", " "))


def test_severities_of_unknown_results_are_not_those_of_the_check() -> None:
    rows = [{**row, "outcome": "unknown", "severity": "high"} for row in DIFFERENT["results"]]
    [rule] = json.loads(rendered(sarif, {**DIFFERENT, "results": rows}))["runs"][0]["tool"]["driver"]["rules"]
    assert rule["properties"]["severity"] == "low"


def test_a_result_of_another_tool_is_as_bad_as_where_it_failed() -> None:
    [parent], [passed, failed] = DIFFERENT["checks"], DIFFERENT["results"]
    check = {**parent, "name": "scan/rule", "of": parent["name"]}
    # Not all of them name a severity where a rule passes.
    rows = [{**passed, "check": "scan/rule", "severity": "high"}, {**failed, "check": "scan/rule", "severity": "low"}]
    report = {**DIFFERENT, "checks": [parent, check], "results": rows}
    rules = json.loads(rendered(sarif, report))["runs"][0]["tool"]["driver"]["rules"]
    assert (rules[1]["properties"]["severity"], rules[1]["help"]["text"]) == ("low", BOTH)


def test_people_are_told_the_remedy_of_the_host() -> None:
    rows = list(csv.DictReader(io.StringIO(rendered(csv_file, DIFFERENT), newline="")))
    assert {row["host"]: row["remedy"] for row in rows} == {"db-01": "Call the dba.", "web-01": "Call the web team."}
    [fix] = fixes(DIFFERENT)
    assert fix.remedy == "Call the web team."
    failed = [{**row, "outcome": "failed"} for row in DIFFERENT["results"]]
    [fix] = fixes({**DIFFERENT, "results": failed})
    assert fix.remedy == BOTH.replace("\n", " ")


def test_so_many_hosts_are_named_with_a_text_and_no_more() -> None:
    hosts = [f"h{number}" for number in range(12)]
    assert together({"Call.": hosts}) == "Call."
    assert together({"Call.": hosts, "": ["a"]}) == f"On {', '.join(hosts[:10])} and 2 more: Call.\nOn a: -"


def test_the_page_says_what_is_different_on_a_host() -> None:
    page = rendered(html_page, DIFFERENT)
    assert "Here the check has: severity critical; load_max 40." in page
    assert "<dt>Other values</dt><dd>severity critical; load_max 40 on web-01</dd>" in page
    assert "severity critical:" in page
    assert "Call the dba." in page.partition('<h2 id="findings-title">')[2]
