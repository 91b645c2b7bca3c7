# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that are nearly those of a playbook or role, and runs that would do nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.playing import Row, play_out
from system.scripted_hosts import DEBIAN, ScriptedHost, run_role
from workspace.client import Workspace

pytestmark = pytest.mark.slow

RUN = "herdops.alpacon.run"


@pytest.mark.parametrize("core", CORES)
def test_runs_that_would_do_nothing(current: Workspace, tmp_path: Path, core: str) -> None:
    line, servers = ("-e", "alpacon_line=uptime"), ("-e", "alpacon_servers=web-01")
    (tmp_path / "refused.alpacon.yml").write_text(
        "plugin: herdops.alpacon.alpacon\ntoken: alpat-wrong\n", encoding="utf-8"
    )
    refused = ("-i", str(tmp_path / "refused.alpacon.yml"))
    cases: dict[str, tuple[str | list[Row], list[str] | None, tuple[str, ...], str]] = {
        "typo": (RUN, None, (*line, *servers, "-e", "alpacon_usernam=x"), "Did you mean alpacon_username?"),
        "no servers": (RUN, ["web-01"], (*line, "-e", "alpacon_servers="), "alpacon_servers is empty."),
        "no servers, limited": (
            RUN,
            ["web-01"],
            (*line, "-e", "alpacon_servers=", "--limit", "web-01"),
            "alpacon_servers is empty.",
        ),
        "servers, limited": (RUN, ["web-01"], (*line, *servers, "--limit", "web-01"), "Give only one of the two."),
        "null": (RUN, ["web-01"], (*line, "-e", '{"alpacon_servers": null}'), "alpacon_servers is empty."),
        "no ids": ("herdops.alpacon.cancel", ["web-01"], (*line, "-e", "alpacon_ids="), "alpacon_ids is empty."),
        "nobody": (RUN, None, (*line, "--limit", "web"), "no hosts that --limit could choose from"),
        "audit of nobody": (
            "herdops.alpacon.audit",
            None,
            ("--limit", "web"),
            "no hosts that --limit could choose from",
        ),
        "audit": ("herdops.alpacon.audit", ["web-01"], ("-e", "audit_fail_onn=low"), "Did you mean audit_fail_on?"),
        "audit, short": (
            "herdops.alpacon.audit",
            ["web-01"],
            ("-e", "audit_fail=low"),
            "There is no variable audit_fail. Did you mean audit_fail_on?",
        ),
        "short": (
            RUN,
            ["web-01"],
            (*line, "-e", "alpacon_user=deploy"),
            "There is no variable alpacon_user. Did you mean alpacon_username?",
        ),
        "audit of hosts": (
            "herdops.alpacon.audit",
            ["web-01", "web-02"],
            ("-e", "audit_hosts=web-01"),
            "There is no variable audit_hosts. Choose hosts with --limit, such as --limit web-01.",
        ),
        "rollout of nobody": ("herdops.alpacon.rollout", None, (), "There are no hosts to roll out to."),
        "rollout to whom": ("herdops.alpacon.rollout", ["web-01"], ("-e", "alpamon_hosts=nosuch"), "alpamon_hosts"),
        "rollout to nobody": (
            "herdops.alpacon.rollout",
            ["web-01"],
            ("-e", "alpamon_hosts="),
            "alpamon_hosts is empty.",
        ),
        "rollout to null": (
            "herdops.alpacon.rollout",
            ["web-01"],
            ("-e", '{"alpamon_hosts": null}'),
            "alpamon_hosts is empty.",
        ),
        "rollout without groups": (
            "herdops.alpacon.rollout",
            ["web-01"],
            ("-e", '{"alpamon_groups": [], "alpamon_serial": null}'),
            "alpamon_groups is empty. Give names or UUIDs of groups, or leave it out. alpamon_serial is empty.",
        ),
        "unknown server": (RUN, None, (*line, "-e", "alpacon_servers=web-0l"), "servers: no server is named web-0l"),
        "rollout": (
            "herdops.alpacon.rollout",
            ["web-01"],
            ("-e", "alpamon_versoin=2", "-e", "alpmon_hosts=web-01", "-e", "alpamon_serail=1"),
            "Did you mean alpamon_serial? There is no variable alpamon_versoin. Did you mean alpamon_version?"
            " There is no variable alpmon_hosts. Did you mean alpamon_hosts?",
        ),
        "rollout, token": ("herdops.alpacon.rollout", None, refused, "The inventory that was given has none;"),
        "prefix": (
            RUN,
            ["web-01", "web-02"],
            (*line, "-e", "alpcon_servers=web-01", "-e", "alpacon-servers=web-01", "-e", "alpacon_host=web-01"),
            "There is no variable alpacon-servers. Did you mean alpacon_servers? There is no variable alpacon_host. Did"
            " you mean alpacon_servers? There is no variable alpcon_servers. Did you mean alpacon_servers?",
        ),
        "prefix of cancel": (
            [{"ansible.builtin.import_playbook": "herdops.alpacon.cancel", "vars": {"alpcon_servers": "web-01"}}],
            ["web-01", "web-02"],
            line,
            "Did you mean alpacon_servers?",
        ),
        "token": (RUN, None, (*line, *refused), "The inventory that was given has no hosts"),
        "token, limited": (
            RUN,
            None,
            (*line, *refused, "--limit", "web-01"),
            "no hosts that --limit could choose from",
        ),
    }
    if core != "development":
        cases = {
            name: case
            for name, case in cases.items()
            if name in ("typo", "servers, limited", "nobody", "token", "rollout of nobody", "rollout", "prefix")
        }
    for name, (playbook, hosts, arguments, text) in cases.items():
        done = play_out(current, tmp_path / name.replace(" ", "-"), playbook, hosts, *arguments, core=core)
        assert done.code not in (0, None), f"{name}: {done.said}"
        assert text in " ".join(done.said.split()), f"{name}: {done.said}"
        assert "NoneType" not in done.said, f"{name}: {done.said}"
    assert current.commands() == []
    assert current.counters()["writes"] == 0


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("playbook", "given", "left"),
    [
        (RUN, "alpacon_line=uptime -p", "-p"),
        ("herdops.alpacon.audit", "audit_title=Q3 audit", "audit"),
        ("herdops.alpacon.rollout", "alpamon_groups=Web team", "team"),
        ("herdops.alpacon.rollout", 'alpamon_serial=[1, "10%", "50%"]', '"10%", "50%"]'),
    ],
)
def test_a_value_that_was_cut_at_a_blank_is_told_of(
    current: Workspace, tmp_path: Path, core: str, playbook: str, given: str, left: str
) -> None:
    nowhere = {"all": {"hosts": {"web-01": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}}
    done = play_out(current, tmp_path, playbook, nowhere, "-e", given, core=core)
    assert f"'{left}' belongs to no variable. Put a value" in re.sub(r"\s+", " ", done.said).replace('\\"', '"'), (
        done.said
    )
    assert done.code == 2
    assert current.requests_made() == 0


@pytest.mark.parametrize("core", CORES)
def test_no_host_starts_while_one_is_wrong(current: Workspace, tmp_path: Path, core: str) -> None:
    inventory = {
        "all": {
            "hosts": {"web-01": {}, "web-02": {}, "web-03": {}},
            "children": {"second": {"hosts": {"web-02": {}}, "vars": {"alpacon_usernam": "root", "audit_skp": ["x"]}}},
        }
    }
    given = tmp_path / "given.json"
    given.write_text(json.dumps(inventory), encoding="utf-8")
    arguments = ("-i", str(given), "-e", "alpacon_line=uptime")
    for playbook in (RUN, "herdops.alpacon.audit") if core == "development" else (RUN,):
        # Whatever the strategy is that the user has set.
        strategy = {"ANSIBLE_STRATEGY": "free"}
        done = play_out(current, tmp_path / playbook, playbook, None, *arguments, core=core, **strategy)
        meant = "alpacon_username" if playbook == RUN else "audit_skip"
        assert f"Did you mean {meant}?" in done.said
        assert (done.code, done.said.count("fatal: ")) == (2, 1), done.said
    assert current.requests_made() == 0


def test_the_role_of_the_agent_tells_as_well(current: Workspace, tmp_path: Path) -> None:
    done = run_role(
        tmp_path, current, {"a": ScriptedHost(DEBIAN)}, "--extra-vars", json.dumps({"alpamon_versoin": "2.5.0"})
    )
    assert done.code == 2, done.said
    assert "Did you mean alpamon_version?" in done.said


@pytest.mark.parametrize("core", CORES)
def test_what_a_play_has_registered_is_no_short_form(current: Workspace, tmp_path: Path, core: str) -> None:
    task = {"herdops.alpacon.alpacon_command": {"line": "echo before"}, "register": "alpacon_output"}
    plays: list[Row] = [
        {"hosts": "all", "gather_facts": False, "tasks": [task]},
        {"ansible.builtin.import_playbook": RUN, "vars": {"alpacon_line": "echo after"}},
    ]
    done = play_out(current, tmp_path, plays, ["web-01"], core=core)
    assert done.code == 0, done.said
    assert [row["line"] for row in current.commands()] == ["echo before", "echo after"]
