# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook rollout, on hosts that answer by script: waves, where it stops, and what it says in the end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from system.scripted_hosts import (
    DEBIAN,
    Distribution,
    RoleRun,
    ScriptedHost,
    agents_come,
    configuration,
    installed,
    run_role,
)
from workspace.client import Workspace

PLAYBOOK = "herdops.alpacon.rollout"
WHY = "FAILED. There is no such package. dpkg: no."
FAILURE = {"failed": True, "changed": False, "msg": "There is no such package.", "stderr": "One.\ndpkg: no.\n"}
BROKEN = [("^(apt) ", FAILURE)]
LOST = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}

pytestmark = pytest.mark.timeout(300)


def rolled(folder: Path, workspace: Workspace, hosts: dict[str, ScriptedHost], **variables: object) -> RoleRun:
    """A rollout that has ended."""
    workspace.settings(instant=True)
    extra = json.dumps({"alpamon_connect_timeout": "20s", **variables})
    with agents_come(workspace):
        return run_role(folder, workspace, hosts, "--extra-vars", extra, playbook=PLAYBOOK)


def summary(done: RoleRun) -> dict[str, str]:
    """What the summary says of each host."""
    shown = [result["msg"] for host in done.hosts.values() for result in host.results if _is_summary(result.get("msg"))]
    [lines] = shown
    return dict(line.split(": ", 1) for line in lines[:-1] if not line.startswith(" "))


def _is_summary(message: object) -> bool:
    return isinstance(message, list) and any(str(line).startswith("a: ") for line in message)


def test_all_go_well_with_lists_numbers_and_tags_as_text(current: Workspace, tmp_path: Path) -> None:
    fingerprint, key = a_signing_key(tmp_path / "keys")
    serves = [("^uri ", {"changed": False, "status": 200, "content": key})]
    spaced = " ".join(fingerprint[i : i + 4] for i in range(0, 40, 4))
    done = rolled(
        tmp_path,
        current,
        {name: ScriptedHost(DEBIAN, serves) for name in "abc"},
        alpamon_serial="1, 2",
        alpamon_max_fail_percentage="10",
        alpamon_key_fingerprints=f"{'0' * 40}, {spaced}",
        alpamon_tags="env=prod, team=a=b",
        alpamon_max_workers="7",
    )
    assert done.code == 0, done.said
    records = {record["name"] for record in current.registered()}
    assert len(records) == 3
    said = summary(done)
    assert {line.split(" as ")[1].split(",")[0] for line in said.values()} == records
    assert all(line.endswith(", version 2.5.0, answers as hostname") for line in said.values())
    assert done.said.count("Note that it is tried") == 2
    # The registration token of the run is gone, and was never shown.
    assert current.registration_tokens() == []
    assert all(record["key"] not in done.said for record in current.registered())
    assert {tuple(sorted(record["tags"].items()))[-2:] for record in current.registered()} == {
        (("env", "prod"), ("team", "a=b"))
    }
    assert "max_workers = 7\n" in done["a"].files["/etc/alpamon/alpamon.conf"]


def registered(workspace: Workspace) -> list[Any]:
    """What a host answers that is registered and has the agent in the version that the workspace knows."""
    token = workspace.add_registration_token("by hand")
    headers = {"Authorization": f'token="{token["key"]}"'}
    body = {"name": "Web", "platform": "debian"}
    record = workspace.api("POST", "servers/servers/register/", headers=headers, json=body).json()
    return [*configuration(workspace.url, record["id"], record["key"]), *installed("2.5.0")]


def test_hosts_that_are_registered_need_no_right_to_make_tokens(current: Workspace, tmp_path: Path) -> None:
    current.fault("status", method="POST", path="registration-tokens/$", status=403, body='{"detail": "No."}', times=9)
    hosts = {"a": ScriptedHost(DEBIAN, registered(current)), "b": ScriptedHost(DEBIAN)}
    done = rolled(tmp_path, current, hosts, alpamon_serial=2)
    assert done.code == 2, done.said
    said = summary(done)
    assert said["a"].startswith("connected as Web-")
    assert said["b"].startswith("FAILED. The host has to be registered, and no registration token could be made.")
    assert len(current.registered()) == 1


def test_tags_choose_parts_of_the_role(current: Workspace, tmp_path: Path) -> None:
    host = ScriptedHost(DEBIAN, registered(current))
    current.settings(instant=True)
    with agents_come(current):
        done = run_role(tmp_path / "verify", current, {"a": host}, "--tags", "verify", playbook=PLAYBOOK)
    assert done.code == 0, done.said
    assert summary(done)["a"].startswith("connected as Web-")
    assert {call.module for call in done["a"].calls} <= {"setup", "command", "stat", "slurp"}
    done = run_role(tmp_path / "unknown", current, {"a": host}, "--tags", "verified", playbook=PLAYBOOK)
    assert done.code == 2, done.said
    assert "There are no tasks with the tags verified." in done.said
    assert done["a"].calls == []


def test_rest_is_left_alone_when_the_canary_fails(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": ScriptedHost(DEBIAN, BROKEN), "b": ScriptedHost(DEBIAN), "c": ScriptedHost(DEBIAN)}
    done = rolled(tmp_path, current, hosts)
    assert done.code == 2, done.said
    assert summary(done) == {"a": WHY, "b": "not tried", "c": "not tried"}
    assert done["b"].calls == done["c"].calls == []
    assert current.registered() == []
    assert current.registration_tokens() == []


def test_waves_stop_when_too_many_fail(current: Workspace, tmp_path: Path) -> None:
    hosts = {
        "a": ScriptedHost(DEBIAN),
        "b": ScriptedHost(DEBIAN, variables=LOST),
        "c": ScriptedHost(DEBIAN),
        "d": ScriptedHost(DEBIAN),
        "e": ScriptedHost(DEBIAN),
    }
    done = rolled(tmp_path / "strict", current, hosts, alpamon_serial=[1, 2], alpamon_state="installed")
    assert done.code == 2, done.said
    said = summary(done)
    assert said["a"] == said["c"] == "version 2.5.0, not connected"
    assert said["b"].startswith("FAILED. ")
    assert said["d"] == said["e"] == "not tried"


def test_a_host_lost_midway_leaves_the_summary_to_others(current: Workspace, tmp_path: Path) -> None:
    lost = ScriptedHost(DEBIAN, [("^apt ", {"lost": "No route to host."})])
    done = rolled(
        tmp_path, current, {"a": lost, "b": ScriptedHost(DEBIAN), "c": ScriptedHost(DEBIAN)}, alpamon_serial=[2]
    )
    assert done.code != 0, done.said
    said = summary(done)
    assert said["a"] == "FAILED. It became unreachable while the role was at work."
    assert said["b"].startswith("connected as ")
    assert said["c"] == "not tried"
    assert current.registration_tokens() == []


def test_a_canary_lost_midway_leaves_the_summary_to_hosts_that_were_not_tried(
    current: Workspace, tmp_path: Path
) -> None:
    lost = ScriptedHost(DEBIAN, [("^copy .*alpamon.conf", {"lost": "No route to host."})])
    done = rolled(tmp_path, current, {"a": lost, "b": ScriptedHost(DEBIAN), "c": ScriptedHost(DEBIAN)})
    assert done.code != 0, done.said
    said = summary(done)
    assert said["a"] == "FAILED. It became unreachable while the role was at work."
    assert said["b"] == said["c"] == "not tried"
    [record] = current.registered()
    assert f"its record in the workspace: {record['id']}, whose key may not be on the host" in done.said
    assert "3 hosts, 0 of them well, 1 failed, 2 not tried." in done.said
    assert record["key"] not in done.said
    assert current.registration_tokens() == []
    assert done["b"].calls == done["c"].calls == []


def test_waves_go_on_within_the_limit(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": ScriptedHost(DEBIAN), "b": ScriptedHost(DEBIAN, BROKEN), "c": ScriptedHost(DEBIAN)}
    limit = {"alpamon_max_fail_percentage": 50, "alpamon_serial": 1, "alpamon_state": "installed"}
    done = rolled(tmp_path, current, hosts, **limit)
    assert done.code == 2, done.said
    assert summary(done)["c"] == "version 2.5.0, not connected"


def test_removal(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: ScriptedHost(DEBIAN, installed("2.5.0")) for name in "ab"}
    done = rolled(tmp_path, current, hosts, alpamon_state="absent")
    assert done.code == 0, done.said
    assert summary(done) == {"a": "removed", "b": "removed"}
    assert current.counters()["writes"] == 0


def test_prediction(current: Workspace, tmp_path: Path) -> None:
    done = run_role(tmp_path, current, {"a": ScriptedHost(DEBIAN)}, "--check", playbook=PLAYBOOK)
    assert done.code == 0, done.said
    assert summary(done) == {"a": "nothing installed yet, not connected"}
    assert current.counters()["writes"] == 0


@pytest.mark.parametrize("given", [True, False])
def test_hosts_of_a_wave_keep_their_own_facts(current: Workspace, tmp_path: Path, given: bool) -> None:
    hosts = {
        "a": ScriptedHost(Distribution("Debian", "13.1", hostname="deb-01")),
        "b": ScriptedHost(Distribution("Rocky", "9.4", "dnf", hostname="rocky-01")),
    }
    token = {"alpamon_registration_token": current.add_registration_token()["key"]} if given else {}
    done = rolled(tmp_path, current, hosts, alpamon_serial=[2], **token)
    assert done.code == 0, done.said
    platforms = {record["name"].rpartition("-")[0]: record["platform"] for record in current.registered()}
    assert platforms == {"deb-01": "debian", "rocky-01": "rhel"}
    assert (len(done["a"].of("apt")) > 0, len(done["b"].of("apt"))) == (True, 0)
    assert (len(done["a"].of("dnf")), len(done["b"].of("dnf")) > 0) == (0, True)
    said = summary(done)
    assert said["a"].startswith("connected as deb-01-")
    assert said["b"].startswith("connected as rocky-01-")
    assert len(current.registration_tokens()) == given


def a_signing_key(home: Path) -> tuple[str, str]:
    """The fingerprint of a new key, and its public part in the armoured form."""
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> str:
        command = ["gpg", "--homedir", str(home), "--batch", "--passphrase", "", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    try:
        gpg("--quick-generate-key", "alpamon@example.com", "ed25519", "sign", "never")
        listed = gpg("--with-colons", "--list-keys")
        return listed.partition("fpr:")[2].partition("\n")[0].strip(":"), gpg("--armor", "--export")
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
