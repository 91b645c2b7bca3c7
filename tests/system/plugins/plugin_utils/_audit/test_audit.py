# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test audits of a workspace: commands, reused answers, and servers without an answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from system.audits import HELLO, UNAUTHENTICATED, AuditedHost, answered_command, audit, audit_hosts, hosts, options
from system.support import AGENTS, FakeClock, in_every_dialect
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    RunIsOver,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import query_servers
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit import collection
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import build_result, run_audit
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import Host
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import AuditOptions
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanner_files import EvidenceFolder
from ansible_collections.herdops.alpacon.tests.unit.support import NO_COMMAND, SERVER, Row

FOUND = {"hello": "passed", "space": "failed"}


def test_checks_on_a_fleet(workspace: Workspace) -> None:
    space = {"name": "space", "line": "echo 83%", "number": "<= 80", "severity": "high"}
    given: Row = {"of": hosts(*AGENTS, groups={"web": ["web-01"]}), "reuse_within": "90m"}
    done = audit(workspace, HELLO, space, **given)
    assert done.outcomes == {(name, check): word for name in AGENTS for check, word in FOUND.items()}
    assert done.result["changed"]
    about: Row = {"workspace": workspace.url, "id": workspace.server_ids()["web-01"], "name": "web-01"}
    about |= {"ip": "127.0.0.1", "groups": ["web"], "os": "Debian 13"}
    about |= {"agent": "2.5.0", "owner": "admin"}
    assert about.items() <= done.report["servers"][0].items()
    counted = {"servers": 3, "checks": 2, "questions": 6, "passed": 3, "failed": 3, "score": 50.0, "commands": 3}
    assert counted.items() <= done.summary.items()
    assert done.summary["failed_by_severity"]["high"] == 3
    options_in_report = {"reuse_within": 5400.0, "fail_on": "high"}
    assert options_in_report.items() <= done.report.items()
    assert audit(workspace, HELLO).report["title"] == f"Audit of {workspace.url.removeprefix('http://')}"


@in_every_dialect
def test_a_result_has_output_time_and_command(workspace: Workspace) -> None:
    done = audit(workspace, {"name": "it", "line": "echo ' 7 apples'; exit 3", "number": "<= 8"})
    result = done.the_result
    # The other dialects state no exit codes.
    stated = "The exit code is 3." if workspace.dialect == "current" else "The exit code is not 0."
    assert (result["outcome"], result["value"]) == ("failed", 7)
    assert result["message"].startswith(stated)
    made = workspace.commands()[-1]
    assert (result["command"], result["reused"], result["output_truncated"]) == (made["id"], False, False)
    assert result["output"].strip() == "7 apples"
    assert result["ended_at"].endswith("Z")


def test_files_of_an_answer_that_is_not_reused_are_not_kept(current: Workspace, tmp_path: Path) -> None:
    lines = {"good": "true", "bad": "false"}
    given = options(current, reuse_within="1h", dest=str(tmp_path))
    rows = [{"name": name, "line": f'echo {name} >"$audit_files/arf.xml"; {end}'} for name, end in lines.items()]
    checks = [replace(check, files=("arf.xml",)) for check in parse_checks("checks", rows)]
    host = Host("web-01", "web-01", frozenset(), checks, parse_settings(given, print))

    def find_files(folder: Path) -> tuple[list[str], list[str]]:
        folder.mkdir()
        audit_options = replace(AuditOptions.from_options(given, [checks]), evidence=EvidenceFolder(folder))
        report = run_audit(audit_options, [host], Run(warn=print)).report
        named = [file["path"] for server in report["servers"] for file in server["files"] if file["path"]]
        return sorted(named), sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))

    both = [f"evidence/web-01.{name}.arf.xml.xz" for name in ("bad", "good")]
    assert find_files(tmp_path / "first") == (both, both)
    current.disconnect("web-01")
    assert find_files(tmp_path / "second") == (both[1:], both[1:])


def test_one_command_runs_all_checks_of_a_server_and_account(current: Workspace) -> None:
    done = audit(
        current,
        {"name": "one", "line": "echo a b", "matches": "a"},
        {"name": "two", "line": "echo a b; exit 3", "matches": "c"},
        {"name": "three", "line": "id -un", "matches": "root", "username": "root"},
        {"name": "four", "line": "exec 1>&-; kill -9 $$"},
        {"name": "five", "line": "cat; echo b", "matches": "b"},
        of=[
            AuditedHost("here", "web-01"),
            AuditedHost("again", current.server_ids()["web-01"]),
            AuditedHost("other", "web-02"),
        ],
    )
    assert Counter(done.outcomes.values()) == {"passed": 9, "failed": 6}
    ended = [one["message"] for one in done.report["results"] if one["check"] == "four"]
    assert all(message.startswith("The exit code is 137.") for message in ended)
    made = Counter((made["server"], made["username"]) for made in current.commands())
    assert made == {("web-01", "root"): 1, ("web-01", "admin"): 1, ("web-02", "root"): 1, ("web-02", "admin"): 1}
    assert all(made["line"].startswith("/bin/sh -c $RUN alpacon-audit sha256:") for made in current.commands())


def test_results_say_what_their_check_looked_at(current: Workspace) -> None:
    done = audit(current, {"name": "one", "line": "true", "looks_at": "echo as it is"}, HELLO)
    assert [(one["outcome"], one["looked_at"]) for one in done.report["results"]] == [
        ("passed", "as it is"),
        ("passed", ""),
    ]


def test_other_checks_are_answered_beside_a_slow_check(current: Workspace) -> None:
    slow = [{"name": name, "line": "sleep 60", "timeout": 90} for name in ("slow", "slower")]
    done = audit(current, *slow, HELLO, wait_timeout="4s")
    late, untried, answered = done.report["results"]
    assert [result["outcome"] for result in (late, untried, answered)] == ["unknown", "unknown", "passed"]
    assert late["message"].endswith(" s, the rest of wait_timeout.")
    assert untried["message"].startswith("Out of time: ")


def test_named_results_of_another_tool(current: Workspace) -> None:
    printed = "1..3\\nok 1 - tidy\\nnot ok 2 - safe\\nok 3 - later # SKIP not here\\n"
    check = {"name": "tap", "line": f"printf '{printed}'; exit 2", "results": {"format": "tap"}, "severity": "high"}
    done = audit(current, check, HELLO)
    named = {"tap/tidy": "passed", "tap/safe": "failed", "tap/later": "not_applicable"}
    assert {name: outcome for (_host, name), outcome in done.outcomes.items()} == {**named, "hello": "passed"}
    parents = [(check["name"], check["of"]) for check in done.report["checks"]]
    assert parents == [("tap", None), *((name, "tap") for name in named), ("hello", None)]


def test_rules_of_a_scanner_that_did_not_run_are_unknown(current: Workspace) -> None:
    current.add_servers("off-01", connected=False)
    rules = [{"name": f"r{number}", "title": f"Rule {number}", "severity": "high"} for number in range(4)]
    line = "[ $HOSTNAME = web-01 ] || exec no-program\nprintf '%s:pass\\n' r0 r1 r2 r3"
    check = {"name": "scap", "line": line, "results": {"format": "xccdf", "rules": rules}}
    given: Row = {"skip": ["scap/r2", "scap/r3"], "severities": {"scap/r0": "low"}}
    done = audit(current, check, of=hosts("web-01", "web-02", "off-01"), **given)
    assert (done.summary["questions"], done.summary["passed"], done.summary["unknown"]) == (6, 2, 2)
    assert (done.result["verdict"], done.result["coverage"]) == ("inconclusive", 33.3)
    why = "The program no-program was not found."
    open_ones = [result for result in done.report["results"] if result["host"] == "web-02"]
    assert [(one["check"], one["outcome"], one["message"]) for one in open_ones] == [
        (name, "unknown", why) for name in ("scap/r0", "scap/r1")
    ]
    titles = [(check["title"], check["severity"]) for check in done.report["checks"] if check["of"]]
    assert titles == [("Rule 0", "low"), ("Rule 1", "high")]


def test_severities_of_one_server_do_not_count_for_others(current: Workspace) -> None:
    of_json: Row = {"format": "json", "list": "r", "name": "id", "outcome": "ok", "title": "title", "severity": "sev"}
    of_json |= {"words": {"passed": [True], "failed": [False]}, "remedy": "fix"}
    low = {"id": "a", "title": "Trust me", "sev": "info", "fix": "Do nothing.", "ok": True}
    printed = {"web-01": low, "web-02": {"id": "a", "title": "Mode of /a", "sev": "critical", "ok": False}}
    cases = "\n".join(f"{host}) printf '%s' '{json.dumps({'r': [row]})}' ;;" for host, row in printed.items())
    check = {"name": "base", "line": f"case $HOSTNAME in\n{cases}\nesac", "results": of_json}
    done = audit(current, check, of=hosts("web-01", "web-02"))
    [about] = [check for check in done.report["checks"] if check["name"] == "base/a"]
    assert (about["title"], about["severity"], about["remedy"]) == ("Trust me", "info", "")
    assert "Do nothing." not in json.dumps(done.report["results"])
    assert [result["severity"] for result in done.report["results"]] == ["info", "critical"]
    assert {(result["output"], result["output_truncated"]) for result in done.report["results"]} == {("", True)}
    assert done.report["verdict"] == "fail"


def test_workspaces_without_env_get_lines(running: Callable[[str], Workspace]) -> None:
    old = running("2024")
    old.reset()
    old.settings(date_header=True)
    checks: list[Row] = [
        HELLO,
        {**HELLO, "name": "with", "line": 'echo "$word"', "parameters": {"word": "hello"}, "applies_if": "true"},
        {**HELLO, "name": "without", "applies_if": "false"},
        {**HELLO, "name": "long", "line": f"echo hello # {'x' * 600}"},
    ]
    done = audit(old, *checks, of=hosts("web-01", "web-02"), reuse_within="1h")
    assert {name: outcome for (host, name), outcome in done.outcomes.items() if host == "web-02"} == {
        "hello": "passed",
        "with": "passed",
        "without": "not_applicable",
        "long": "unknown",
    }
    assert "characters, and at most 512 fit." in done.report["results"][3]["message"]
    assert done.result["verdict"] == "inconclusive"
    again = audit(old, *checks, of=hosts("web-01", "web-02"), reuse_within="1h")
    assert (again.summary["commands"], again.outcomes) == (0, done.outcomes)


def test_long_outputs_are_cut_in_the_report_only(current: Workspace) -> None:
    line = "for i in $(seq 1 9000); do printf 'é'; done; echo; echo end"
    done = audit(current, {"name": "it", "line": line, "matches": "^end$"})
    result = done.the_result
    assert (result["outcome"], result["output"], result["output_truncated"]) == ("passed", "é" * 2000, True)


# Reuse


def test_only_passed_checks_are_reused(current: Workspace) -> None:
    checks = [
        HELLO,
        {"name": "fails", "line": "echo no; exit 1", "severity": "high"},
        {"name": "cannot", "line": "echo unknown: it cannot be read", "kind": "problems"},
        {"name": "quiet", "line": "true", "applies_if": "false"},
    ]
    first = audit(current, *checks, of=hosts(*AGENTS), reuse_within="1h")
    second = audit(current, *checks, of=hosts(*AGENTS), reuse_within="1h")
    assert second.outcomes == first.outcomes
    assert (first.summary["commands"], second.summary["commands"], second.summary["reused"]) == (3, 3, 6)
    reused = {result["check"] for result in second.report["results"] if result["reused"]}
    assert reused == {"hello", "quiet"}
    ended = {(result["host"], result["check"]): result["ended_at"] for result in first.report["results"]}
    kept = [result for result in second.report["results"] if result["reused"]]
    assert all(result["ended_at"] == ended[result["host"], result["check"]] for result in kept)


def test_fixed_findings_pass_in_the_next_audit(current: Workspace, tmp_path: Path) -> None:
    fixable = {"name": "fixable", "line": f"test ! -e {tmp_path / 'wrong'}"}

    def run() -> tuple[list[str], int]:
        done = audit(current, HELLO, fixable, reuse_within="1h", fail_on="never")
        return list(done.outcomes.values()), done.summary["reused"]

    (tmp_path / "wrong").touch()
    assert run() == (["passed", "failed"], 0)
    (tmp_path / "wrong").unlink()
    assert run() == (["passed", "passed"], 1)
    # The answer of the smaller command is reused as well.
    assert run() == (["passed", "passed"], 2)
    (tmp_path / "wrong").touch()
    audit(current, HELLO, fixable)
    # A later failed check counts more than an earlier passed one.
    assert run() == (["passed", "failed"], 1)


def test_answers_of_a_command_that_the_agent_ended_count(current: Workspace) -> None:
    more = {"name": "more", "line": "echo hello"}
    row = answered_command(HELLO, more)
    torn = f"{row['result'].partition('[part]')[0]}[part]\nZm9v"
    current.add_commands([{"server": "web-01", **row, "status": "failed", "exit_code": -1, "result": torn}])
    done = audit(current, HELLO, more, reuse_within="1h")
    assert set(done.outcomes.values()) == {"passed"}
    assert (done.summary["reused"], done.summary["commands"]) == (1, 1)


def test_commands_without_a_reusable_answer(current: Workspace) -> None:
    old = dict.fromkeys(("added_at", "scheduled_at", "delivered_at", "acked_at"), -7300)
    rows: list[Row] = [
        {"line": answered_command({**HELLO, "line": "echo hello there"})["line"]},
        {"server": "web-02"},
        {"username": "root"},
        {"status": "denied"},
        {"result": "hello"},
        {**old, "handled_at": -7200},
        {"status": "failed", "error_phase": "agent_timeout"},
        {"status": "failed", "exit_code": 1, "result": "Failed to submit command: job queue is full"},
        {"status": "failed", "exit_code": -1, "result": "half of"},
    ]
    current.add_commands([{"server": "web-01", **answered_command(HELLO), **row} for row in rows])
    done = audit(current, HELLO, reuse_within="1h")
    assert (done.summary["reused"], done.summary["commands"], done.the_result["outcome"]) == (0, 1, "passed")
    # A command of the account that the check names is reused.
    assert not audit(current, {**HELLO, "username": "root"}, reuse_within="1h").result["changed"]


@pytest.mark.parametrize(("status", "requester"), [("success", "bob"), ("awaiting_approval", "bob"), ("success", None)])
@in_every_dialect
def test_commands_of_other_requesters_are_not_reused(workspace: Workspace, status: str, requester: str | None) -> None:
    forged = {**answered_command(HELLO), "requested_by": requester, "username": "admin", "status": status}
    [made] = workspace.add_commands([{"server": "web-01", **forged}])
    done = audit(workspace, HELLO, reuse_within="1h")
    assert (done.summary["reused"], done.the_result["command"] != made) == (0, True)


def test_recent_answers_of_an_offline_server_are_reused(workspace: Workspace) -> None:
    workspace.add_servers("off-01", connected=False)
    more = {"name": "more", "line": "echo more", "matches": "more"}
    workspace.add_commands([{"server": "off-01", **answered_command(HELLO, more)}])
    done = audit(workspace, HELLO, more, of=hosts("off-01"), reuse_within="1h")
    assert done.outcomes == {("off-01", "hello"): "passed", ("off-01", "more"): "unknown"}
    assert workspace.counters()["writes"] == 0


# Waivers


def waiver(**given: Any) -> Row:
    """Return a waiver of all checks that begin with b."""
    return {"check": "b*", "groups": ["all"], "reason": "it is old", "until": "2999-12-31", **given}


BAD = {"name": "bad", "line": "exit 1", "severity": "critical"}


def test_waived_findings_do_not_fail(current: Workspace) -> None:
    approval = {"approved_by": "Kim", "since": "2026-11-02", "ticket": "OPS-7"}
    own = waiver(groups=[], hosts=["web-0[13]"], **approval)
    done = audit(current, HELLO, BAD, of=hosts(*AGENTS), waivers=[own])
    assert [done.outcomes[name, "bad"] for name in AGENTS] == ["waived", "failed", "waived"]
    kept = {"reason": "it is old", "until": "2999-12-31", "expired": False, **approval}
    assert done.report["results"][1]["waiver"] == kept
    assert (done.report["waivers"][0]["matched"], done.result["failing"], done.warnings) == (2, 1, [])
    everybody = audit(current, HELLO, BAD, of=hosts(*AGENTS), waivers=[waiver()])
    assert (everybody.result["verdict"], everybody.report["coverage"]) == ("pass", 100)


def test_attested_results_count_as_others_do(current: Workspace) -> None:
    printed = "a:pass\\nb:notchecked\\nc:notchecked\\nd:notchecked\\ne:error\\n"
    check = {"name": "scap", "line": f"printf '{printed}'", "results": {"format": "xccdf"}, "severity": "high"}
    given = {"groups": ["all"], "checked_by": "Kim", "proof": "a.pdf"}
    given |= {"checked_on": "2026-11-02", "until": "2999-12-31"}
    attestations = [
        {**given, "check": "scap/[abe]", "outcome": "passed"},
        {**given, "check": "scap/[cd]", "outcome": "failed"},
    ]
    waived = waiver(check="scap/d")
    done = audit(current, check, attestations=attestations, waivers=[waived])
    outcomes = {name.removeprefix("scap/"): outcome for (_host, name), outcome in done.outcomes.items()}
    assert outcomes == {"a": "passed", "b": "passed", "c": "failed", "d": "waived", "e": "unknown"}
    counted = {"attested": 3, "passed": 2, "failed": 1, "waived": 1, "unknown": 1, "score": 66.6}
    assert counted.items() <= done.summary.items()
    assert (done.result["coverage"], done.result["verdict"], done.result["failing"]) == (80.0, "fail", 1)
    assert [row["matched"] for row in done.report["attestations"]] == [1, 2]


def test_an_expired_waiver_does_not_apply(current: Workspace) -> None:
    done = audit(current, BAD, waivers=[waiver(until="2020-01-31")])
    assert (done.the_result["outcome"], done.the_result["waiver"]["expired"]) == ("failed", True)
    assert done.the_result["message"].endswith("Its waiver expired on 2020-01-31: it is old")


# Servers that do not answer


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ({"connected": False}, "The server is offline: its agent is not connected."),
        ({"connected": True, "commissioned": False}, "The server is not commissioned"),
        ({"connected": True, "platform": "windows"}, "The server runs Windows, and checks need a POSIX shell."),
        (None, "The workspace has no such server, or the token has no access to it."),
    ],
)
def test_servers_without_a_command(current: Workspace, server: Row | None, reason: str) -> None:
    if server:
        current.add_servers("odd-01", **server)
    by_id = AuditedHost("id", current.server_ids().get("odd-01", NO_COMMAND))
    done = audit(current, HELLO, of=[by_id, *hosts("odd-01", "web-01")])
    assert done.outcomes == {("web-01", "hello"): "passed"}
    assert all(done.reasons[name].startswith(reason) for name in ("id", "odd-01"))
    assert (done.summary["not_reached"], done.report["coverage"]) == (2, 33.3)
    assert {made["server"] for made in current.commands()} == {"web-01"}


@in_every_dialect
def test_the_cost_is_reported_before_it_accrues(workspace: Workspace) -> None:
    reports: list[tuple[str, int]] = []

    def report(text: str) -> None:
        reports.append((text, len(workspace.commands())))

    given = options(workspace, HELLO, {**HELLO, "name": "again", "line": "echo  hello"}, requests_per_hour=20)
    given["progress"] = None
    for check_mode in (True, False):
        audit_hosts(given, hosts(*AGENTS), Run(RunContext(report=report), check_mode=check_mode))
    # Without env, each check is a command.
    has_env = len(workspace.commands()) == 3
    cost = "alpacon: about 7 requests are expected for 6 commands; the token has 20 an hour"
    assert reports == ([] if has_env else [(cost, 0)])


@pytest.mark.parametrize(
    (("status", "reason", "last_status")),
    [
        ("denied", "Never ran: the workspace's verification denied it.", "denied"),
        ("queued", "Not finished within wait_timeout", "cancelled"),
    ],
)
def test_commands_that_never_run(current: Workspace, status: str, reason: str, last_status: str) -> None:
    current.settings(holds=[{"line": "alpacon-audit", "servers": ["web-02"], "status": status}])
    done = audit(current, HELLO, of=hosts(*AGENTS), wait_timeout="1s")
    assert Counter(done.outcomes.values()) == {"passed": 2}
    [held] = [made for made in current.commands() if made["server"] == "web-02"]
    assert done.reasons["web-02"].startswith(reason)
    assert (held["status"], held["id"] in done.reasons["web-02"]) == (last_status, True)


def test_a_held_command_is_adopted_by_the_next_audit(current: Workspace) -> None:
    row = {
        "server": "web-01",
        **answered_command(HELLO),
        "status": "awaiting_approval",
        "result": None,
        "exit_code": None,
    }
    [held] = current.add_commands([row])
    done = audit(current, HELLO, wait_timeout="1s", reuse_within="1h")
    [made] = current.commands()
    # The audit that submitted it may still wait for it.
    assert (made["id"], made["status"], done.summary["commands"]) == (held, "awaiting_approval", 0)


# The token


@pytest.mark.parametrize("at_the_submit", [False, True])
def test_a_refused_token_fails_the_audit(current: Workspace, at_the_submit: bool) -> None:
    if at_the_submit:
        current.fault("status", method="POST", status=401, body=UNAUTHENTICATED)
    with pytest.raises(ApiError, match="The token is unknown"):
        audit(current, HELLO, of=hosts(*AGENTS), token=current.token if at_the_submit else "alpat-wrong")
    assert current.commands() == []


def test_a_token_that_is_refused_during_the_audit(current: Workspace) -> None:
    current.fault("status", method="POST", status=401, after=1, body=UNAUTHENTICATED)
    done = audit(current, HELLO, of=hosts(*AGENTS), max_concurrency="1", fail_on="never")
    assert list(done.outcomes.values()) == ["passed"]
    assert done.summary["not_reached"] == 2
    refusal = f"The workspace {current.url} refused the token during the audit: The token"
    assert done.result["msg"].startswith(f"Inconclusive: {refusal}")
    assert (done.result["failing"], done.result["verdict"], done.result["failed"]) == (0, "inconclusive", True)


def test_a_refused_token_is_the_reason_of_a_server_with_earlier_answers(current: Workspace) -> None:
    given = options(current, HELLO, {"name": "bad", "line": "false"}, reuse_within="1h")
    audit_hosts(given, hosts("web-01"), Run())
    current.fault("status", method="POST", status=401, times=1, body=UNAUTHENTICATED)
    other = AuditedHost("other", "web-02", settings=parse_settings({**given, "request_timeout": 99}))
    done = audit_hosts(given, [*hosts("web-01"), other], Run())
    server = done.report["servers"][0]
    assert (server["reached"], server["age_seconds"] is None) == (True, False)
    assert server["reason"].startswith(f"The workspace {current.url} could not be asked: The token")


def test_an_unexpected_error_ends_the_audit_of_one_workspace(
    current: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = AuditedHost("there", SERVER, settings=parse_settings({"url": "http://127.0.0.1:9", "token": "alpat-x"}))

    def fail(client: Client, references: list[str], whole_rows: bool) -> Any:
        if client.settings == elsewhere.settings:
            raise ZeroDivisionError("out of the blue")
        return query_servers(client, references, whole_rows)

    monkeypatch.setattr(collection, "query_servers", fail)
    with pytest.raises(AlpaconError, match=r"could not be processed: ZeroDivisionError\('out of the blue'\)"):
        audit_hosts(options(current, HELLO), [elsewhere], Run(warn=pytest.fail))
    done = audit_hosts(options(current, HELLO), [elsewhere, *hosts("web-01")], Run(warn=pytest.fail))
    assert [(result["host"], result["outcome"]) for result in done.report["results"]] == [("web-01", "passed")]
    assert "could not be asked: A response could not be processed: ZeroDivisionError" in done.report["refusal"]
    assert build_result(done)["failed"]


def test_an_unexpected_error_loses_no_answers_and_no_ids(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Fleet, jobs: list[Job]) -> None:
        run(self, jobs)
        raise ZeroDivisionError("out of the blue")

    run = Fleet.run
    monkeypatch.setattr(Fleet, "run", fail)
    done = audit(current, HELLO, of=hosts("web-01", "web-02"))
    assert list(done.outcomes.values()) == ["passed", "passed"]
    ids = {row["server"]: row["id"] for row in current.commands()}
    assert {result["host"]: result["command"] for result in done.report["results"]} == ids
    assert (done.result["changed"], done.result["failed"]) == (True, True)


def test_a_run_that_is_over_returns_no_report(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Fleet, jobs: list[Job]) -> None:
        raise RunIsOver

    monkeypatch.setattr(Fleet, "run", fail)
    with pytest.raises(RunIsOver):
        audit(current, HELLO)


def test_a_list_of_servers_that_may_not_be_read(workspace: Workspace) -> None:
    workspace.fault("status", method="GET", path="servers", status=403, body='{"code": "forbidden"}')
    done = audit(workspace, HELLO, of=[AuditedHost("here", workspace.server_ids()["web-01"]), *hosts("web-02")])
    assert (done.outcomes, list(done.reasons)) == ({("here", "hello"): "passed"}, ["web-02"])
    [warning] = done.warnings
    assert warning.startswith("The list of servers cannot be read, so hosts need alpacon_server_id:")


# Check mode


def test_check_mode_writes_nothing(current: Workspace) -> None:
    audit(current, HELLO, BAD)
    current.reset_counters()
    options_of_audit: Row = {
        "of": hosts("web-01", "web-02"),
        "check_mode": True,
        "reuse_within": "1h",
        "fail_on": "info",
    }
    done = audit(current, HELLO, BAD, **options_of_audit)
    assert (current.counters()["writes"], done.result["changed"]) == (0, True)
    assert done.outcomes == {("web-01", "hello"): "passed"}
    assert done.result["msg"] == "1 passed, 0 failed, 0 unknown. 2 commands would be submitted."
    assert (done.result["verdict"], done.result["coverage"], done.result["failed"]) == (None, None, False)
    assert done.summary["not_reached"] == 1


# Costs

IDLE = [f"idle-{number:03}" for number in range(200)]


@pytest.fixture
def idle(running: Callable[[str], Workspace]) -> Workspace:
    """Return a workspace with 200 servers that answer at once."""
    workspace = running("current")
    workspace.reset()
    workspace.settings(instant=True)
    workspace.add_servers(*IDLE, connected=True)
    workspace.reset_counters()
    return workspace


def test_two_hundred_servers_and_fifteen_checks(idle: Workspace) -> None:
    fleet = hosts(*IDLE)
    checks = [{"name": f"check-{number}", "line": f"echo {number}", "matches": str(number)} for number in range(15)]
    done = audit(idle, *checks, of=fleet, reuse_within="1h")
    assert idle.counters()["writes"] == 200
    assert max(idle.counters()["requests"], done.summary["requests"]) <= 1.1 * 200
    prints = " ".join(map(str, range(15)))
    idle.add_commands([{"server": host.server, **answered_command(*checks, prints=prints)} for host in fleet])
    idle.reset_counters()
    again = audit(idle, *checks, of=fleet, reuse_within="1h")
    assert set(again.outcomes.values()) == {"passed"}
    assert (idle.counters()["writes"], again.result["changed"], again.summary["reused"]) == (0, False, 3_000)
    # One list of recent commands, and two requests for the user of the token.
    assert idle.counters()["requests"] <= 2 + 400 / 100 + 1 + 2


def test_slow_servers_are_polled_seldom(
    workspace: Workspace, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "Fleet", partial(Fleet, sleep=clock.sleep))
    workspace.add_servers("slow-1", "slow-2", connected=True)

    def end(name: str) -> None:
        [made] = [row for row in workspace.commands() if row["server"] == name]
        workspace.change_command(
            made["id"], **{key: answered_command(HELLO)[key] for key in ("status", "exit_code", "result")}
        )

    for seconds, name in ((60, "slow-1"), (120, "slow-2")):
        clock.at(seconds, partial(end, name))
    done = audit(workspace, HELLO, of=hosts("slow-1", "slow-2"))
    assert list(done.outcomes.values()) == ["passed", "passed"]
    assert done.summary["requests"] <= 12
    assert clock.passed < 2 * 120


# Results


def test_findings_fail_the_task_from_a_severity_on(workspace: Workspace) -> None:
    workspace.add_servers("off-01", connected=False)
    checks = [{"name": name, "line": "echo 1; exit 1", "severity": name} for name in ("low", "high")]
    done = audit(workspace, *checks, of=hosts("web-01", "off-01"))
    result = done.result
    assert (result["failed"], result["failing"]) == (True, 1)
    assert result["msg"].startswith("1 finding of severity high or worse: web-01: high (high): ")
    found = [("high", True, True), ("low", False, True)]
    assert [(one["check"], one["fails"], "output" not in one) for one in result["findings"]] == found


# Workspaces without env


def test_a_workspace_without_env_is_detected_before_the_first_submit(running: Callable[[str], Workspace]) -> None:
    old = running("2024")
    old.reset()
    # Only the list of commands shows that there is no env.
    for name in AGENTS:
        old.change_server(name, owner=None)
    old.add_commands([{"server": "web-03", "line": "uptime", "status": "success", "result": "up"}])
    before = old.requests_made()
    done = audit(old, HELLO, of=hosts("web-01", "web-02"))
    assert set(done.outcomes.values()) == {"passed"}
    made = Counter(made["line"] for made in old.commands() if made["line"] != "uptime")
    assert made == {"export LC_ALL=C; echo hello": 2}
    # The list of servers, the list of commands, two submits, and their polls.
    assert old.requests_made() - before <= 4 + 4


def test_published_workspaces_accept_longer_lines(running: Callable[[str], Workspace]) -> None:
    published = running("published")
    published.reset()
    published.add_commands([{"server": "web-03", "line": "uptime", "status": "success", "result": "up"}])
    long = {**HELLO, "line": f"echo hello # {'x' * 1000}\n:"}
    assert audit(published, long).the_result["outcome"] == "passed"
