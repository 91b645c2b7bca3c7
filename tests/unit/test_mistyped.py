# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that are nearly those of a playbook or role, and runs that would do nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_cores import CORES
from unit.playing import play_out
from unit.rolling import DEBIAN, Paper, roll
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.filter.mistyped import mistyped

ROOT = Path(__file__).resolve().parents[2]
RUN = "herdops.alpacon.run"
ROLE = {
    name: list(
        yaml.safe_load((ROOT / f"roles/{name}/meta/argument_specs.yml").read_text())["argument_specs"]["main"][
            "options"
        ]
    )
    for name in ("alpamon", "audit")
}
PLAYBOOK = {
    name: list(yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())[0]["vars"]["playbook_arguments"])
    for name in ("run", "schedule", "cancel")
}


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("alpacon_usernam", PLAYBOOK["run"], "alpacon_username"),
        ("alpacon_server", PLAYBOOK["cancel"], "alpacon_servers"),
        ("alpacon_sheduled_at", PLAYBOOK["schedule"], "alpacon_scheduled_at"),
        ("alpacon_tokne", PLAYBOOK["run"], "alpacon_token"),
        ("alpamon_versoin", ROLE["alpamon"], "alpamon_version"),
        ("audit_fail_onn", ROLE["audit"], "audit_fail_on"),
        ("audit_chek_sets", ROLE["audit"], "audit_check_sets"),
    ],
)
def test_a_slip_is_told(name: str, known: list[str], meant: str) -> None:
    assert mistyped([name], known) == [f"There is no variable {name}. Did you mean {meant}?"]


def test_what_is_the_users_own_is_left_alone() -> None:
    own = [
        "alpacon_team_contacts",
        "alpacon_dev",
        "alpacon_os_name",
        "alpacon_server_id",
        "alpacon_id",
        "alpacon_groups",
    ]
    for known in PLAYBOOK.values():
        assert mistyped(["alpacon_workspace", "alpacon_workspaces", *own, *known], known) == []
    for name, options in ROLE.items():
        assert mistyped([f"{name}_owner", f"{name}_contact", *options], options) == []


@pytest.mark.parametrize("core", CORES)
def test_runs_that_would_do_nothing(current: Workspace, tmp_path: Path, core: str) -> None:
    line, servers = ("-e", "alpacon_line=uptime"), ("-e", "alpacon_servers=web-01")
    (tmp_path / "refused.alpacon.yml").write_text(
        "plugin: herdops.alpacon.alpacon\ntoken: alpat-wrong\n", encoding="utf-8"
    )
    refused = ("-i", str(tmp_path / "refused.alpacon.yml"))
    cases: dict[str, tuple[str, list[str] | None, tuple[str, ...], str]] = {
        "typo": (RUN, None, (*line, *servers, "-e", "alpacon_usernam=x"), "Did you mean alpacon_username?"),
        "no servers": (RUN, ["web-01"], (*line, "-e", "alpacon_servers="), "alpacon_servers is empty."),
        "no servers, limited": (
            RUN,
            ["web-01"],
            (*line, "-e", "alpacon_servers=", "--limit", "web-01"),
            "alpacon_servers is empty.",
        ),
        "servers, limited": (RUN, ["web-01"], (*line, *servers, "--limit", "web-01"), "Give one of both."),
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
            ("-e", "alpamon_versoin=2"),
            "Did you mean alpamon_version?",
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
            if name in ("typo", "servers, limited", "nobody", "token", "rollout of nobody")
        }
    for name, (playbook, hosts, arguments, text) in cases.items():
        done = play_out(current, tmp_path / name.replace(" ", "-"), playbook, hosts, *arguments, core=core)
        assert done.code not in (0, None), f"{name}: {done.said}"
        assert text in " ".join(done.said.split()), f"{name}: {done.said}"
        assert "NoneType" not in done.said, f"{name}: {done.said}"
    assert current.commands() == []


def test_the_role_of_the_agent_tells_as_well(current: Workspace, tmp_path: Path) -> None:
    done = roll(tmp_path, current, {"a": Paper(DEBIAN)}, "--extra-vars", json.dumps({"alpamon_versoin": "2.5.0"}))
    assert done.code == 2, done.said
    assert "Did you mean alpamon_version?" in done.said
