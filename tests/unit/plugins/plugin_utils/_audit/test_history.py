# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the history of findings: its states, its file, and the verdict that asks for the age of findings."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import lock_folder
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.history import History
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.history_file import (
    FILE,
    find_history_folder,
    read_history,
    record_audit,
)
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

SCHEMA = json.loads((ROOT / "docs/audit-report.schema.json").read_text(encoding="utf-8"))
DAY = 86400
KEY = ("web-01", "disk")


def day(number: int) -> str:
    return f"2026-{number // 28 + 1:02}-{number % 28 + 1:02}T03:00:00Z"


def make_report(number: int, *answers: Sequence[str], unreached: Sequence[str] = (), **given: Any) -> Row:
    """Return a report of a day with these answers: host, check, outcome, and severity."""
    rows = [(*answer, "high")[:4] for answer in answers]
    results = [
        {"host": host, "check": check, "outcome": outcome, "severity": severity, "ended_at": None}
        for host, check, outcome, severity in rows
    ]
    hosts = dict.fromkeys([row["host"] for row in results])
    outcomes = ("passed", "failed", "unknown", "not_applicable", "waived")
    summary = {name: sum(row["outcome"] == name for row in results) for name in outcomes}
    servers = [
        *({"host": host, "reached": True} for host in hosts),
        *({"host": h, "reached": False} for h in unreached),
    ]
    return {
        "finished_at": day(number),
        "verdict": "pass",
        "coverage": 100.0,
        "min_coverage": 0,
        "refusal": None,
        "fail_on": "high",
        "fail_after": {},
        "summary": {**summary, "questions": len(results), "score": 50.0},
        "servers": servers,
        "checks": [{"name": name} for name in dict.fromkeys(row["check"] for row in results)],
        "results": results,
        **given,
    }


def fail_to_warn(message: str) -> None:
    raise AssertionError(message)


def record(folder: Path, report: Row, warn: Callable[[str], None] = fail_to_warn) -> Row:
    record_audit(report, folder, warn)
    return report


def test_a_finding_is_followed_until_it_is_mended(tmp_path: Path) -> None:
    failed, passed = (*KEY, "failed"), (*KEY, "passed")
    first = record(tmp_path, make_report(0, failed))
    assert first["results"][0]["failing_since"] == day(0)
    assert first["history"]["previous"] is None
    second = record(tmp_path, make_report(3, failed))
    assert second["results"][0]["failing_since"] == day(0)
    third = record(tmp_path, make_report(5, passed))
    assert "failing_since" not in third["results"][0]
    [mended] = third["history"]["mended"]
    assert (mended["failing_since"], mended["mended"]) == (day(0), day(5))
    times = {"count": 1, "median_seconds": 5 * DAY, "worst_seconds": 5 * DAY}
    assert third["history"]["time_to_mend"] == {"all": times, "high": times}
    assert record(tmp_path, make_report(6, passed))["history"]["mended"] == []
    again = record(tmp_path, make_report(7, failed))
    assert again["results"][0]["failing_since"] == day(7)
    part = {"$schema": SCHEMA["$schema"], "$defs": SCHEMA["$defs"], "$ref": "#/$defs/history"}
    jsonschema.validate(again["history"], part)


@pytest.mark.parametrize(
    "report",
    [
        make_report(1, (*KEY, "unknown")),
        make_report(1, ("web-02", "disk", "passed"), unreached=["web-01"]),
        make_report(1, ("web-01", "time", "passed")),
        make_report(1, ("db-01", "disk", "passed")),
        make_report(1, (*KEY, "waived")),
    ],
    ids=["unknown", "not reached", "another check", "another host", "waived"],
)
def test_only_an_answer_to_the_question_mends_a_finding(report: Row, tmp_path: Path) -> None:
    record(tmp_path, make_report(0, (*KEY, "failed")))
    record(tmp_path, report)
    finding = read_history(tmp_path / FILE).open[KEY]
    assert finding.first_seen == day(0)
    assert finding.last_seen == (day(1) if finding.waived else day(0))
    assert report["history"]["open"]["high"] == (0 if finding.waived else 1)


def test_a_question_that_does_not_apply_any_more_is_not_mended(tmp_path: Path) -> None:
    record(tmp_path, make_report(0, (*KEY, "failed")))
    history = record(tmp_path, make_report(1, (*KEY, "not_applicable")))["history"]
    assert (history["mended"], history["time_to_mend"], sum(history["open"].values())) == ([], {}, 0)


def test_a_rule_keeps_its_age_under_another_name_of_the_profile(tmp_path: Path) -> None:
    record(tmp_path, make_report(0, ("web-01", "cis/a", "failed"), ("web-01", "cis/b", "failed")))
    answers = (("web-01", "ours/a", "failed"), ("web-01", "ours/b", "passed"), ("web-02", "ours/a", "failed"))
    report = record(tmp_path, make_report(5, *answers))
    assert [row.get("failing_since") for row in report["results"]] == [day(0), None, day(5)]
    # The picture shows what this audit asked about.
    assert sum(report["history"]["runs"][-1]["open"].values()) == 2


def test_a_rule_that_fails_again_under_another_name_of_the_profile_is_new(tmp_path: Path) -> None:
    record(tmp_path, make_report(0, ("web-01", "cis/a", "failed")))
    for number, outcome in enumerate(("failed", "passed", "failed"), start=5):
        report = record(tmp_path, make_report(number, ("web-01", "ours/a", outcome)))
    assert report["results"][0]["failing_since"] == day(7)


def with_servers(report: Row, **ids: str) -> Row:
    """Give the servers of a report these IDs."""
    workspace = "https://my-workspace.us1.alpacon.io"
    servers = [{**row, "workspace": workspace, "id": ids.get(row["host"])} for row in report["servers"]]
    return {**report, "servers": servers}


def test_a_finding_keeps_its_age_under_another_name_of_the_host(tmp_path: Path) -> None:
    names = [("old", "kept", "gone"), ("new", "kept", "added")]
    ids = {"old": "1", "new": "1", "kept": "2", "gone": "3", "added": "4"}
    for number, hosts in enumerate(names):
        answers = [(host, check, "failed") for host in hosts for check in "ab"]
        report = record(tmp_path, with_servers(make_report(number, *answers), **ids))
    since = {row["host"]: row["failing_since"] for row in report["results"]}
    assert since == {"new": day(0), "kept": day(0), "added": day(1)}
    assert sum(report["history"]["open"].values()) == 8, "those of the host that is gone, too"
    report = record(tmp_path, with_servers(make_report(2, ("new", "a", "passed"), ("old", "b", "failed")), new="1"))
    [mended] = report["history"]["mended"]
    assert (mended["host"], mended["check"], mended["failing_since"]) == ("new", "a", day(0))
    assert report["results"][1]["failing_since"] == day(2), "a host with an old name and another server"


def test_hosts_without_open_findings_leave_the_history(tmp_path: Path) -> None:
    for number, outcome in enumerate(("failed", "passed")):
        record(tmp_path, with_servers(make_report(number, (*KEY, outcome)), **{KEY[0]: "1"}))
        assert list(read_history(tmp_path / FILE).servers) == [KEY[0]] * (outcome == "failed")


def test_two_profiles_of_one_audit_have_findings_of_their_own(tmp_path: Path) -> None:
    record(tmp_path, make_report(0, ("web-01", "cis/a", "failed")))
    report = record(tmp_path, make_report(5, ("web-01", "cis/a", "failed"), ("web-01", "ours/a", "failed")))
    assert [row["failing_since"] for row in report["results"]] == [day(0), day(5)]


def test_an_older_answer_changes_nothing() -> None:
    history = History()
    history.update(make_report(5, (*KEY, "failed")))
    assert not history.update(make_report(4, (*KEY, "passed")))
    [mended] = history.update(make_report(6, (*KEY, "passed")))
    assert mended.mended == day(6)
    history.update(make_report(5, (*KEY, "failed")))
    assert not history.open


def at(time: str, report: Row) -> Row:
    """Return a report whose answers ended at this time of the workspace."""
    return {**report, "results": [{**row, "ended_at": time} for row in report["results"]]}


def test_times_of_an_audit_whose_clock_was_ahead_are_corrected(tmp_path: Path) -> None:
    failed, passed, future = (*KEY, "failed"), (*KEY, "passed"), "2031-01-01T00:00:00Z"
    record(tmp_path, at(day(0), make_report(0, passed, ("web-01", "time", "failed"))))
    record(tmp_path, at(future, make_report(1, failed, ("web-01", "time", "passed"), finished_at=future)))
    given: Row = {"fail_after": {"high": DAY}}
    second = record(tmp_path, at(day(2), make_report(2, failed, ("web-01", "time", "failed"), **given)))
    assert [row["failing_since"] for row in second["results"]] == [day(2), day(2)]
    third = record(tmp_path, at(day(4), make_report(4, failed, ("web-01", "time", "passed"), **given)))
    assert (third["verdict"], third["history"]["previous"]) == ("fail", day(2))
    last = record(tmp_path, at(day(5), make_report(5, passed, ("web-01", "time", "passed"))))
    assert [row["check"] for row in last["history"]["mended"]] == ["disk"]
    assert last["history"]["runs"][-1]["until"] == day(5)


@pytest.mark.parametrize("end", [day(2), None])
def test_an_audit_whose_clock_is_behind_corrects_no_time(end: str | None, tmp_path: Path) -> None:
    record(tmp_path, make_report(1, (*KEY, "failed")))
    report = make_report(2, (*KEY, "failed"), finished_at="1970-01-01T00:00:00Z")
    report["results"][0]["ended_at"] = end
    record(tmp_path, report)
    assert report["results"][0]["failing_since"] == day(1)


def test_young_findings_do_not_fail_the_audit(tmp_path: Path) -> None:
    answers = (("web-01", "a", "failed", "high"), ("web-01", "b", "passed", "critical"))
    fail_after = {"high": 14 * DAY}
    first = record(tmp_path, make_report(0, *answers, fail_after=fail_after))
    assert (first["verdict"], first["results"][0]["fails_from"]) == ("pass", day(14))
    assert record(tmp_path, make_report(13, *answers, fail_after=fail_after))["verdict"] == "pass"
    last = record(tmp_path, make_report(14, *answers, fail_after=fail_after))
    assert (last["verdict"], "fails_from" in last["results"][0]) == ("fail", False)
    critical = make_report(1, ("web-02", "b", "failed", "critical"), fail_after=fail_after)
    assert record(tmp_path, critical)["verdict"] == "fail"


def _damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    lines = gzip.decompress(content).splitlines(keepends=True)
    run, finding = json.loads(lines[1]), json.loads(lines[2])
    changed = {
        "empty": b"",
        "cut": content[:-20],
        "foreign": b"not a history\n",
        "no header": gzip.compress(b"".join(lines[1:])),
        "no end of a line": gzip.compress(b"".join(lines)[:-1]),
        "not JSON": gzip.compress(lines[0] + b"\xff{\n"),
        "another kind": gzip.compress(lines[0] + b"[]\n"),
    }
    rows: dict[str, Row] = {
        "a time": {**finding, "first_seen": "soon"},
        "a far future": {**finding, **dict.fromkeys(("first_seen", "last_seen", "last_asked"), "9999-01-01T00:00:00Z")},
        "a severity": {**finding, "severity": ["high"]},
        "a name": {**finding, "host": {}},
        "a key": {**finding, "more": 1},
        "a share": {**run, "score": float("nan")},
        "a large share": {**run, "score": 10**400},
        "counts": {**run, "open": []},
        "a server": {"kind": "server", "host": KEY[0], "workspace": "https://example.com", "id": 5},
    }
    path.write_bytes(
        changed[kind] if kind in changed else gzip.compress(lines[0] + json.dumps(rows[kind]).encode() + b"\n")
    )


@pytest.mark.parametrize(
    "kind",
    [
        *("empty", "cut", "foreign", "no header", "no end of a line", "not JSON", "another kind"),
        *("a time", "a far future", "a severity", "a name", "a key", "a share", "a large share", "counts", "a server"),
    ],
)
def test_a_damaged_file_is_kept_aside(kind: str, tmp_path: Path) -> None:
    failed = (*KEY, "failed")
    record(tmp_path, make_report(0, failed))
    _damage(tmp_path / FILE, kind)
    damaged = (tmp_path / FILE).read_bytes()
    warnings: list[str] = []
    report = record(tmp_path, make_report(1, failed, fail_after={"high": 14 * DAY}), warnings.append)
    assert len(warnings) == 1
    assert report["verdict"] == "fail", "without its age, a finding is not young"
    [aside] = tmp_path.glob(f"{FILE}.damaged-*")
    assert aside.read_bytes() == damaged
    assert read_history(tmp_path / FILE).open[KEY].first_seen == day(1)


@pytest.mark.parametrize("problem", ["a folder", "no folder", "full"])
def test_an_audit_without_history_goes_on(problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "none" if problem == "no folder" else tmp_path
    if problem == "a folder":
        (tmp_path / FILE).mkdir()
    if problem == "full":

        def refuse(*_paths: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.replace", refuse)
    warnings: list[str] = []
    answers = (*KEY, "failed")
    report = record(folder, make_report(0, answers, fail_after={"high": DAY}), warnings.append)
    assert len(warnings) == 1
    assert (report["verdict"], "fails_from" in report["results"][0]) == ("fail", False)
    assert ("failing_since" in report["results"][0], "history" in report) == (False, False)
    assert [path.name for path in tmp_path.iterdir()] == ([FILE] if problem == "a folder" else [])


def test_an_audit_counts_only_what_it_asked_about(tmp_path: Path) -> None:
    record(tmp_path, make_report(0, ("web-01", "disk", "failed"), finished_at="2026-01-01T03:00:09Z"))
    report = record(tmp_path, make_report(0, ("db-01", "disk", "failed")))
    assert [run["open"]["high"] for run in report["history"]["runs"]] == [1]
    assert report["history"]["open"]["high"] == 2


def _record_hosts(folder: Path, name: str) -> None:
    for number in range(20):
        record(folder, make_report(number, (f"{name}-{number}", "disk", "failed")))


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_audits_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_record_hosts, args=(tmp_path, name)) for name in ("web", "db", "mail")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    history = read_history(tmp_path / FILE)
    assert len(history.open) == 60
    assert sum(run["runs"] for run in history.runs) == 60


def test_an_audit_waits_until_another_has_added_its_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 10_000, 20))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    released: list[float] = []
    with lock_folder(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", released.append)
        warnings: list[str] = []
        record(tmp_path, make_report(0, (*KEY, "failed")), warnings.append)
    # Twenty seconds pass at each look, so two minutes are six of them.
    assert len(released) == 5
    assert "another process has held the lock" in warnings[0]


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    record(tmp_path, make_report(0, (*KEY, "failed")))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_equal_runs_share_an_entry(tmp_path: Path) -> None:
    for number in range(5):
        report = record(tmp_path, make_report(number, (*KEY, "failed")))
    record(tmp_path, make_report(5, (*KEY, "passed")))
    [first, second] = read_history(tmp_path / FILE).runs
    assert (first["time"], first["until"], first["runs"]) == (day(0), day(4), 5)
    assert (second["runs"], second["open"]["high"]) == (1, 0)
    assert report["history"]["previous"] == day(3)


def test_a_finding_is_dropped_if_its_check_is_only_asked_of_other_hosts(tmp_path: Path) -> None:
    rules = (("web-01", "cis/a", "failed"), ("db-01", "cis/a", "failed"), ("db-01", "disk", "passed"))
    record(tmp_path, make_report(0, *rules, ("web-01", "disk", "failed"), ("web-01", "time", "failed")))
    answers = (("db-01", "cis/a", "failed"), ("db-01", "disk", "passed"), ("web-01", "time", "unknown"))
    report = record(tmp_path, make_report(89, *answers))
    assert report["history"]["runs"][-1]["open"]["high"] == 2
    record(tmp_path, make_report(91, *answers))
    assert set(read_history(tmp_path / FILE).open) == {("db-01", "cis/a"), ("web-01", "time")}


@pytest.mark.parametrize("unknown", ["cis", "cis/missing-results"])
def test_findings_of_a_scanner_without_results_are_asked_about(unknown: str, tmp_path: Path) -> None:
    record(tmp_path, make_report(0, ("web-01", "cis/a", "failed"), ("web-01", "disk", "failed")))
    answers = (("web-01", unknown, "unknown"), ("web-01", "time", "passed"))
    report = record(tmp_path, make_report(80, *answers))
    assert report["history"]["runs"][-1]["open"]["high"] == 1
    record(tmp_path, make_report(100, *answers))
    assert set(read_history(tmp_path / FILE).open) == {("web-01", "cis/a")}


def test_what_is_old_is_dropped() -> None:
    history = History()
    history.update(make_report(0, ("web-01", "a", "failed"), ("gone-01", "a", "failed"), ("web-01", "b", "failed")))
    history.add_run(make_report(0))
    history.update(make_report(1, ("web-01", "b", "passed")))
    history.update(make_report(100, ("web-02", "a", "passed"), unreached=["web-01"]))
    history.compact(day(100))
    assert list(history.open) == [("web-01", "a")], "nobody asks about gone-01, and web-01 is not reached"
    assert (len(history.mended), len(history.runs)) == (1, 1)
    history.compact("2027-12-31T00:00:00Z")
    assert (history.open, history.mended, history.runs) == ({}, [], [])


@pytest.mark.parametrize(
    ("folder", "found"),
    [("audit-report/2026-11-24T091204Z", "audit-report"), ("audit-report", "audit-report"), ("r/2026-11-24-web", "r")],
)
def test_the_history_is_beside_dated_reports(folder: str, found: str) -> None:
    assert find_history_folder(Path(folder)) == Path(found)
