# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run recipes of the cookbook and of the guides Waves and gates, and Planned work, with other paths and commands."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from system.plays import Play, run_playbook
from system.support import AGENTS, Response, ScriptedServer, run_payload
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import Row, read_code_blocks

pytestmark = pytest.mark.slow

KEY = "new-key-0123456789"


def recipe(name: str, page: str = "cookbook", **replaced: str) -> list[Row]:
    """Return the play of this name, with other text."""
    [text] = [block for block in read_code_blocks(page, "yaml") if block.startswith(f"- name: {name}\n")]
    for old, new in replaced.items():
        assert old in text, f"docs/docsite/rst/{page}.rst lacks a text of the recipe {name}"
        text = text.replace(old, new)
    plays: list[Row] = yaml.safe_load(text)
    return plays


def run_recipe(workspace: Workspace, folder: Path, plays: list[Row], **variables: Any) -> Play:
    own = {"ansible_python_interpreter": "{{ ansible_playbook_python }}", **variables}
    groups: Row = {"web": {"hosts": {host: {} for host in AGENTS}}, "canary": {"hosts": {AGENTS[0]: {}}}}
    return run_playbook(workspace, folder, plays, {"all": {"children": groups, "vars": own}})


def write_program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_patching_stops_after_the_canaries_and_leaves_out_patched_servers(current: Workspace, tmp_path: Path) -> None:
    patchable = tmp_path / "patchable"
    line = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qyo Dpkg::Options::=--force-confold upgrade"
    play = recipe("Patch the servers", **{line: f"grep -q $HOSTNAME {patchable}"})
    submitted, left = [], []
    current.change_server("web-02", offline_alert_enabled=False)
    for hosts in ([], ["web-01", "web-03"], AGENTS):
        before = len(current.commands())
        patchable.write_text(" ".join(hosts), encoding="utf-8")
        done = run_recipe(current, tmp_path, play)
        assert done.code == (0 if hosts == AGENTS else 2), done.log
        submitted.append(len(current.commands()) - before)
        rows = list(csv.DictReader((tmp_path / "left.csv").open(encoding="utf-8"), doublequote=False, escapechar="\\"))
        left.append([(row["server"], row["outcome"]) for row in rows])
    assert submitted == [1, 3, 1]
    muted_and_restored = [(name, alert) for alert in (False, True) for name in ("web-01", "web-03")]
    assert list_alerts(current) == 3 * muted_and_restored, "web-02 was muted before"
    not_tried = [("web-02", "not_tried"), ("web-03", "not_tried")]
    assert left == [[("web-01", "failed"), *not_tried], [("web-02", "failed")], []]


def test_the_old_key_is_revoked_once_every_server_has_the_new_one(
    current: Workspace, tmp_path: Path, serve: Callable[..., ScriptedServer]
) -> None:
    keys = serve([Response(status=204)])
    [script] = read_code_blocks("cookbook", "sh")
    (tmp_path / "files").mkdir()
    restart = write_program(tmp_path / "restart", 'touch "$HOME/restarted"')
    (tmp_path / "files/install_key.sh").write_text(script.replace("systemctl", restart), encoding="utf-8")
    play = recipe("Rotate the key", **{"/etc/app/api_key": "api_key"})
    variables = {"vault_new_key": KEY, "key_service": keys.url, "old_key_id": "7"}
    run_payload(current, argv=["sh", "-c", "echo old >api_key && chmod 640 api_key"], servers=list(AGENTS))
    current.disconnect("web-02")
    first = run_recipe(current, tmp_path, play, **variables)
    assert (first.code, keys.requests) == (2, []), first.log
    current.connect("web-02")
    second = run_recipe(current, tmp_path, play, **variables)
    assert second.code == 0, second.log
    assert [(request.method, request.path) for request in keys.requests] == [("DELETE", "/keys/7")]
    assert KEY not in first.log + second.log
    show = "cat api_key; ls restarted; stat -c %a api_key"
    read = run_payload(current, argv=["sh", "-c", show], servers=list(AGENTS))
    assert {row["stdout"] for row in read.commands} == {f"{KEY}\nrestarted\n640"}


def test_a_full_disk_stops_the_patches_before_the_next_zone(
    current: Workspace, tmp_path: Path, serve: Callable[..., ScriptedServer]
) -> None:
    shop = serve([Response()] * 6)
    (tmp_path / "patch.sh").write_text("#!/bin/sh\necho patched\n", encoding="utf-8")
    play = recipe("Patch by zone", "waves", **{"https://shop.example.com": shop.url, "username: root": "shell: system"})
    current.add_servers("db-01", agent=True)
    current.wait_connected("db-01")
    zones = {"zone_a": ["web-01", "web-02"], "zone_b": ["web-03"], "zone_c": ["db-01"]}
    variables = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    groups = {zone: {"hosts": dict.fromkeys(hosts, variables)} for zone, hosts in zones.items()}
    submitted = []
    for used in (96.5, 50):
        for host in ("web-01", "web-02", "web-03", "db-01"):
            cell = {"value": used if host == "web-02" else 50, "unit": "percent"}
            current.change_server(host, facts={"metrics": [{"disk-usage": cell}]})
        done = run_playbook(current, tmp_path, play, {"all": {"children": groups}})
        assert done.code == (2 if used > 90 else 0), done.log
        submitted.append(len(current.commands()))
    # The waves are the first server of zone A, its other server, zone B and zone C.
    assert (submitted, len(shop.requests)) == ([2, 4], 2 + 4)
    alerts = list_alerts(current)
    assert {host for host, _alert in alerts} == {"web-01", "web-02", "web-03", "db-01"}
    assert [alert for _host, alert in alerts] == [False, True] * (len(alerts) // 2)


def rebooting_play(folder: Path) -> Row:
    """Return the play that reboots in waves, for servers whose files are below their home."""
    [play] = recipe("Reboot in waves", "planned_work", **{"/run/reboot-required": "$HOME/reboot-required"})
    reboot = play["tasks"][1]["block"][1]
    reboot["ansible.builtin.reboot"] |= {
        "reboot_command": write_program(folder / "reboot", 'echo second >"$HOME/boot_id"; sleep 60'),
        "boot_time_command": "cat boot_id",
        "test_command": "true",
    }
    reboot["vars"]["alpacon_wait_timeout"] = "15s"
    return play


def list_alerts(workspace: Workspace) -> list[tuple[str, bool]]:
    """List the changes of alerts that a run sent, in order, with the name of each server."""
    names = {server_id: name for name, server_id in workspace.server_ids().items()}
    sent = [entry for entry in workspace.log() if entry["method"] == "PATCH"]
    return [(names[entry["path"].split("/")[-2]], json.loads(entry["body"])["offline_alert_enabled"]) for entry in sent]


def test_a_reboot_waits_until_the_agent_is_back(current: Workspace, tmp_path: Path) -> None:
    run_payload(current, argv=["sh", "-c", "echo first >boot_id"], servers=list(AGENTS))
    run_payload(current, argv=["touch", "reboot-required"], servers=["web-01"])
    # The second command of the action is the one that reboots.
    current.fault("kill", line="command:ansible.builtin.reboot", after=1, times=1, seconds=0.5, away=5)
    done = run_recipe(current, tmp_path, [rebooting_play(tmp_path)])
    assert done.code == 0, done.log
    [rebooted] = done.tasks["Reboot the server"]
    assert rebooted["rebooted"]
    assert list_alerts(current) == [("web-01", False), ("web-01", True)]


@pytest.mark.parametrize("unreachable", [False, True])
def test_servers_that_cannot_be_rebooted_are_muted_as_before(
    current: Workspace, tmp_path: Path, unreachable: bool
) -> None:
    run_payload(current, argv=["touch", "reboot-required"], servers=["web-01", "web-02"])
    current.change_server("web-02", offline_alert_enabled=False)
    play = rebooting_play(tmp_path) | {"serial": 3}
    block = play["tasks"][1]["block"]
    # The commands before the reboot need their time, too.
    block[1]["vars"]["alpacon_wait_timeout"] = "2s" if unreachable else "10s"
    if unreachable:
        url = f"{current.url}/_control/servers/{{{{ inventory_hostname }}}}/disconnect/"
        request = {"ansible.builtin.uri": {"url": url, "method": "POST"}, "connection": "local"}
        block.insert(1, {"name": "Disconnect the agent", **request})
    else:
        current.fault("never_ack", line="command:ansible.builtin.reboot")
    done = run_recipe(current, tmp_path, [play])
    assert done.code == 2, done.log
    assert [row.get("unreachable", False) for row in done.tasks["Reboot the server"]] == [unreachable] * 2
    assert list_alerts(current) == [("web-01", False), ("web-01", True)], "web-02 was muted before"


def test_the_workflow_audits_the_servers(current: Workspace, tmp_path: Path) -> None:
    [text] = [block for block in read_code_blocks("cookbook", "yaml") if block.startswith("name: ")]
    file = tmp_path / "audit.yml"
    file.write_text(text, encoding="utf-8")
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    subprocess.run([*schema, str(file)], check=True)
    job = yaml.safe_load(text)["jobs"]["audit"]
    [command] = [step["run"] for step in job["steps"] if step.get("run", "").startswith("ansible-playbook ")]
    (tmp_path / "my.alpacon.yml").write_text("plugin: herdops.alpacon.alpacon\n", encoding="utf-8")
    playbook, *arguments = shlex.split(command)[1:]
    arguments += ["-e", "audit_check_sets=capacity", "-e", "audit_fail_on=never", "-e", "audit_min_coverage=0"]
    environ = {name: value for name, value in job["env"].items() if not name.startswith("ALPACON_")}
    done = run_playbook(current, tmp_path, playbook, None, *arguments, **environ)
    assert done.code == 0, done.log
    assert all((tmp_path / "audit-report" / name).exists() for name in ("audit.html", "audit.md"))
