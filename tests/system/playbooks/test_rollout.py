# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the playbook rollout on scripted hosts: waves, stops and results."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from system.certificates import authority
from system.plays import TIMEOUT, run_playbook, wait_until
from system.scripted_hosts import (
    DEBIAN,
    Answer,
    Distribution,
    RoleRun,
    ScriptedHost,
    agent_facts,
    configuration,
    connect_agents,
    installed,
    make_signing_key,
    run_role,
    start_role,
    summary_lines,
)
from workspace.client import Workspace

FORBIDDEN: dict[str, Any] = {"kind": "status", "status": 403, "body": '{"code": "forbidden"}'}
OOPS: dict[str, Any] = {"kind": "status", "status": 500, "body": '{"detail": "Oops."}'}
PLAYBOOK = "herdops.alpacon.rollout"
WHY = "There is no such package. dpkg: no."
BROKEN = ("^apt ", {"failed": True, "msg": "There is no such package.", "stderr": "One.\ndpkg: no.\n"})
FULL = ("^copy .*alpamon.conf", {"failed": True, "msg": "No space left on device"})
GONE = {"lost": "No route to host."}
#: How many task banners a wave may take, with those of the play before.
FRESH, CONVERGED = 45, 20

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]


def run_rollout(
    folder: Path,
    workspace: Workspace,
    hosts: Mapping[str, ScriptedHost],
    *arguments: str,
    but: Collection[str] = (),
    environ: dict[str, str] | None = None,
    **variables: object,
) -> RoleRun:
    """Run a rollout; agents of the servers in `but` do not connect."""
    workspace.settings(instant=True)
    given = ["-e", json.dumps({"alpamon_connect_timeout": "20s", **variables}), *arguments]
    with connect_agents(workspace, but):
        return run_role(folder, workspace, hosts, *given, playbook=PLAYBOOK, **(environ or {}))


def outcomes(done: RoleRun) -> dict[str, str]:
    return {host: row["outcome"] for host, row in done.rows.items()}


def count_banners(done: RoleRun) -> list[int]:
    first, *others = done.log.split("\nPLAY [")[1:]
    return [len(re.findall(r"(?m)^(?:TASK|RUNNING HANDLER) \[", first + wave)) for wave in others]


def make_host(name: str, *answers: Answer, **variables: object) -> ScriptedHost:
    return ScriptedHost(Distribution("Debian", "13.1", hostname=name), answers, variables)


def registered(workspace: Workspace) -> list[Answer]:
    """Return the facts of a registered host with a current agent."""
    record = workspace.register()
    return [*configuration(workspace.url, record["id"], record["key"]), *installed("2.5.0")]


def server_ids(workspace: Workspace) -> dict[str, str]:
    return {record["name"][:-7]: record["id"] for record in workspace.registered()}


def count_created_tokens(workspace: Workspace) -> int:
    rows = [row for row in workspace.log() if row["path"].endswith("/registration-tokens/")]
    return sum(row["method"] == "POST" for row in rows)


# What is given

WRONG: dict[str, tuple[Any, str]] = {
    "alpamon_serial": ("abc", "alpamon_serial is abc. Give numbers of hosts or percentages"),
    "alpamon_serial=": (0, "alpamon_serial is 0. Give"),
    "alpamon_serial==": ("1,-1", "alpamon_serial is 1,-1. Give"),
    "alpamon_max_fail_percentage": ("many", "alpamon_max_fail_percentage is many. Give a percentage"),
    "alpamon_become": ("maybe", "alpamon_become is maybe. Give true or false."),
    "alpamon_results": ("nowhere/results.jsonl", "alpamon_results: the controller has no folder nowhere."),
    "alpamon_version": ("newest", "alpamon_version is 'newest'. Give a version such as"),
    "alpamon_verson": ("2.5.0", "There is no variable alpamon_verson. Did you mean alpamon_version?"),
    "alpamon_package_file": (
        "gone/alpamon_2.5.0_amd64.deb",
        "alpamon_package_file (gone/alpamon_2.5.0_amd64.deb): the",
    ),
    "alpamon_ca_cert": ("gone.pem", "alpamon_ca_cert (gone.pem): the controller has no such readable file"),
    "alpamon_groups": ("Nobody", "groups: no group is named Nobody"),
    "alpamon_token": ("alpat-unknown", "The token is unknown, disabled or expired."),
    "alpamon_registration_token": ("unknown-token", "alpamon_registration_token: the workspace refuses it."),
}
CHECKED_BY_WORKSPACE = ("alpamon_groups", "alpamon_token", "alpamon_registration_token")


@pytest.mark.promise
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_variable_is_refused_before_any_change(current: Workspace, tmp_path: Path, name: str) -> None:
    value, message = WRONG[name]
    done = run_rollout(tmp_path, current, {"a": make_host("a"), "b": make_host("b")}, **{name.rstrip("="): value})
    assert done.code == 2, done.log
    assert message in done.log
    # Only what the workspace has to check needs the state of a host first.
    expected = {"alpamon_info"} if name in CHECKED_BY_WORKSPACE else set()
    assert {call.module for host in done.hosts.values() for call in host.calls} == expected
    assert current.registered() == []
    assert current.registration_tokens() == []


@pytest.mark.promise
def test_a_rollout_with_lists_numbers_and_tags_as_text(current: Workspace, tmp_path: Path) -> None:
    fingerprint, key = make_signing_key(tmp_path / "keys")
    serves = ("^uri ", {"changed": False, "status": 200, "content": key})
    spaced = " ".join(fingerprint[i : i + 4] for i in range(0, 40, 4))
    given: dict[str, Any] = {
        "alpamon_serial": "1, 2",
        "alpamon_groups": "Operations",
        "alpamon_max_fail_percentage": "10",
        "alpamon_key_fingerprints": f"{'0' * 40}, {spaced}",
        "alpamon_tags": "env=prod, team=a=b",
        "alpamon_settings": "max_workers=7",
    }
    done = run_rollout(tmp_path / "fresh", current, {name: make_host(name, serves) for name in "abc"}, **given)
    assert done.code == 0, done.log
    assert "\nwave 2 of 2: 2 of 2 connected\n" in done.log
    assert summary_lines(done)[0] == "rollout: 3 of 3 connected"
    # The key of the repository is usually not checked, which takes three tasks.
    assert max(count_banners(done)) - 3 <= FRESH
    ids = server_ids(current)
    for name in "abc":
        row = done.rows[name]
        assert (row["server_id"], row["version"], row["cause"], row["notes"]) == (ids[name], "2.5.0", "", [])
    # Each answers a command.
    assert [command["line"] for command in current.commands()] == ["hostname"] * 3
    # The registration tokens are gone, and no secret was shown.
    assert current.registration_tokens() == []
    assert all(record["key"] not in done.log for record in current.registered())
    for record in current.registered():
        assert record["groups"] == ["Operations"]
        assert {("env", "prod"), ("team", "a=b")} <= record["tags"].items()
    assert "max_workers = 7\n" in done["a"].files["/etc/alpamon/alpamon.conf"]
    again = run_rollout(
        tmp_path / "again", current, {name: make_host(name, *done[name].left()) for name in "abc"}, **given
    )
    assert again.code == 0, again.log
    assert max(count_banners(again)) <= CONVERGED
    assert server_ids(current) == ids
    assert count_created_tokens(current) == 2


@pytest.mark.parametrize("arguments", [["alpamon_hosts=db"], ["alpamon_hosts="], ["alpamon_hosts=b", "--limit", "a"]])
def test_an_empty_selection_is_refused(current: Workspace, tmp_path: Path, arguments: list[str]) -> None:
    done = run_role(tmp_path, current, {"a": make_host("a"), "b": make_host("b")}, "-e", *arguments, playbook=PLAYBOOK)
    assert done.code == 2, done.log
    assert "There are no hosts to roll out to." in done.log
    assert done["a"].calls == done["b"].calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--skip-tags", "verify,mine"), "--skip-tags verify would skip the whole role."),
        (("--tags", "instal,register"), "There are no tasks with the tags instal."),
    ],
)
def test_tags_that_select_nothing_are_refused(
    current: Workspace, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run_role(tmp_path, current, {"a": make_host("a")}, *arguments, playbook=PLAYBOOK)
    assert message in done.rows["a"]["cause"]
    assert done.code == 2, done.log
    assert not done["a"].calls


def test_a_limit_without_an_inventory_is_left_to_ansible(current: Workspace, tmp_path: Path) -> None:
    done = run_playbook(current, tmp_path, PLAYBOOK, None, "--limit", "web")
    assert "no hosts matched" in done.log
    assert "alpacon_rollout" not in done.log


@pytest.mark.parametrize("core", ["oldest", "development", "newest"])
def test_hosts_that_only_their_own_agent_reaches_are_refused(current: Workspace, tmp_path: Path, core: str) -> None:
    variables = {"ansible_connection": "herdops.alpacon.alpacon"}
    inventory = {"all": {"hosts": dict.fromkeys("abc", variables)}}
    done = run_playbook(current, tmp_path, PLAYBOOK, inventory, "-e", "alpamon_serial=2", core=core)
    assert done.code == 2, done.log
    [file] = tmp_path.glob("rollout-*.jsonl")
    rows = {row["host"]: row for row in map(json.loads, file.read_text(encoding="utf-8").splitlines())}
    assert {host: row["outcome"] for host, row in rows.items()} == {"a": "failed", "b": "failed", "c": "not tried"}
    assert "ansible_connection=ssh" in rows["a"]["cause"]
    assert "\nwave 1 of 2: 2 of 2 failed\n" in done.log
    assert (tmp_path / "rollout.retry").read_text(encoding="utf-8") == "a\nb\nc\n"
    assert current.counters()["writes"] == 0


def test_a_registration_token_is_created_only_if_needed(current: Workspace, tmp_path: Path) -> None:
    shared = registered(current)
    [by_hand] = current.registration_tokens()
    hosts = {
        # The first ones of the wave do not need it.
        "own": make_host("own", alpamon_registration_token=by_hand["key"]),
        "state": make_host("state", alpamon_state="installed"),
        "option": make_host("option", alpamon_version="newest"),
        "typo": make_host("typo", alpamon_verson="2.5.0"),
        "lookup": make_host("lookup", alpamon_registration_token="{{ lookup('ansible.builtin.file', '/no/b.txt') }}"),
        "empty": make_host("empty", alpamon_registration_token=""),
        **{name: make_host(name, *shared) for name in ("original", "clone")},
    }
    every = {"alpamon_serial": "100%", "alpamon_max_fail_percentage": "100"}
    done = run_rollout(tmp_path, current, hosts, "-e", json.dumps(every))
    assert outcomes(done) == {
        **dict.fromkeys(("own", "empty"), "connected"),
        "state": "installed",
        **dict.fromkeys(("option", "typo", "lookup", "original", "clone"), "failed"),
    }
    causes = {host: done.rows[host]["cause"] for host in hosts}
    assert causes["option"].startswith("alpamon_version is 'newest'.")
    assert "alpamon_verson" in causes["typo"]
    assert "/no/b.txt" in causes["lookup"]
    assert causes["clone"].startswith("The host has the same credentials as original.")
    assert count_created_tokens(current) == 1
    assert [token["id"] for token in current.registration_tokens()] == [by_hand["id"]]


def test_facts_in_a_cache_name_no_file_of_the_controller(current: Workspace, tmp_path: Path) -> None:
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path)}
    facts = json.dumps({"alpamon_results": str(tmp_path / "elsewhere")})
    (tmp_path / "s1_cached").write_text(json.dumps({"__payload__": facts}), encoding="utf-8")
    hosts = {name: make_host(name) for name in ("cached", "other")}
    done = run_rollout(tmp_path, current, hosts, environ=cache, alpamon_serial="100%")
    assert outcomes(done) == dict.fromkeys(hosts, "failed")
    assert all("Host cached returned settings as facts" in row["cause"] for row in done.rows.values())
    assert not (tmp_path / "elsewhere").exists()
    assert current.registered() == []


def test_registered_hosts_need_no_permission_to_create_tokens(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": ScriptedHost(DEBIAN, registered(current)), "b": ScriptedHost(DEBIAN)}
    current.fault(method="POST", path="registration-tokens/$", times=9, **FORBIDDEN)
    done = run_rollout(tmp_path, current, hosts, alpamon_serial=2, alpamon_max_fail_percentage=50)
    assert outcomes(done) == {"a": "connected", "b": "failed"}
    assert done.rows["b"]["cause"].startswith("No registration token could be created.")
    assert len(current.registered()) == 1


def test_each_workspace_has_its_own_token_and_certificate(current: Workspace, tmp_path: Path) -> None:
    ca = authority(tmp_path, "Our CA")
    with Workspace("current", servers=0, agents=False, tls=(ca.chain, ca.chain), ca=ca.file) as other:
        other.settings(instant=True)
        trusts = {"alpamon_ca_cert": str(ca.file)}
        theirs = {"alpacon_url": f"{other.url}/", "alpacon_token": other.token, **trusts}
        hosts = {name: make_host(name, **({}, theirs)[index % 2]) for index, name in enumerate("abcd")}
        # Without an API token of its workspace, it gets no command.
        given = other.add_registration_token("by hand")
        hosts["e"] = make_host("e", alpamon_url=other.url, alpamon_registration_token=given["key"], **trusts)
        with connect_agents(other):
            done = run_rollout(tmp_path, current, hosts, alpamon_serial=5)
        assert set(outcomes(done).values()) == {"connected"}, done.log
        assert [sorted(server_ids(workspace)) for workspace in (current, other)] == [["a", "c"], ["b", "d", "e"]]
        assert [len(workspace.commands()) for workspace in (current, other)] == [2, 2]
        assert current.registration_tokens() == []
        assert [token["id"] for token in other.registration_tokens()] == [given["id"]]
        # None was sent where it does not belong, and each was made once. The check of the given one gets a 400.
        for workspace, checks in ((current, 0), (other, 1)):
            statuses = [row["status"] for row in workspace.log() if row["path"].endswith("/register/")]
            assert sorted(set(statuses)) == [201, 400][: 1 + checks]
            assert statuses.count(400) == checks
            assert count_created_tokens(workspace) == 1


def test_accounts_for_ssh_cause_no_warning(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": make_host("a", ansible_user="deploy", ansible_become=True), "b": make_host("b")}
    done = run_rollout(tmp_path, current, hosts, "--user", "ubuntu", alpamon_serial="100%")
    assert set(outcomes(done).values()) == {"connected"}, done.log
    assert "no effect" not in done.log


def test_check_mode(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": make_host("a"), "b": make_host("b", *registered(current), alpamon_state="absent")}
    current.reset_counters()
    done = run_rollout(tmp_path, current, hosts, "--check", alpamon_results=str(tmp_path / "rollout-check.jsonl"))
    assert done.code == 0, done.log
    assert outcomes(done) == {"a": "would be connected", "b": "would be removed"}
    assert current.counters()["writes"] == 0


# Waves


@pytest.mark.promise
def test_a_failed_canary_stops_the_rollout(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": make_host("a", BROKEN, *agent_facts(clock_ahead=90000)), "b": make_host("b"), "c": make_host("c")}
    done = run_rollout(tmp_path, current, hosts)
    assert done.code == 2, done.log
    assert outcomes(done) == {"a": "failed", "b": "not tried", "c": "not tried"}
    assert done.rows["a"]["cause"] == WHY
    assert any("1500 minutes ahead" in note for note in done.rows["a"]["notes"])
    assert done["b"].calls == done["c"].calls == []
    assert current.registered() == current.registration_tokens() == []


def test_waves_continue_within_the_limit_with_any_settings(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: make_host(name, *([BROKEN] if name in "bde" else [])) for name in "abdefg"}
    hosts["c"] = make_host("c", ("^apt ", GONE))
    hosts["d"] = make_host("d", *agent_facts(**GONE))
    given: dict[str, Any] = {"alpamon_hosts": ["a", "b:c:d:e:f:g:!g"], "alpamon_serial": [3, 2]}
    set_to = {"ANSIBLE_ANY_ERRORS_FATAL": "1", "ANSIBLE_SHOW_CUSTOM_STATS": "1"}
    given.update(alpamon_max_fail_percentage=50, alpamon_state="installed")
    done = run_rollout(tmp_path, current, hosts, environ=set_to, **given)
    assert done.code != 0, done.log
    assert "\nwave 1 of 3: 1 of 3 installed, 1 failed, 1 unreachable\n" in done.log
    assert summary_lines(done)[:4] == [
        "rollout: 1 of 6 installed, 2 failed, 2 unreachable, 1 not tried",
        f"  2 x {WHY} (b, e)",
        "  2 x Task failed: No route to host. (c, d)",
        "The rollout stopped after wave 2 of 3: 1 of 2 failed, 1 unreachable. alpamon_max_fail_percentage is 50.",
    ]
    assert done["f"].calls == done["g"].calls == []
    # Automation controller gets the same.
    artifact = json.loads(done.log.partition("\tRUN: ")[2].splitlines()[0])["alpamon_rollout"]
    assert {host: row["outcome"] for host, row in artifact.items()} == outcomes(done)


def test_the_next_run_uses_the_records_of_unreachable_hosts(current: Workspace, tmp_path: Path) -> None:
    lost_at = {"before": "^apt ", "later": "^systemd_service "}
    names = ("before", "between", "later", "leaves", "stays")
    hosts = {name: make_host(name, (lost_at.get(name, "^copy .*alpamon.conf"), GONE)) for name in names}
    done = run_rollout(tmp_path / "lost", current, hosts, but=hosts, alpamon_serial="100%")
    assert done.code != 0, done.log
    assert outcomes(done) == dict.fromkeys(hosts, "unreachable")
    ids = server_ids(current)
    assert set(ids) == set(hosts) - {"before"}
    assert {host: row["server_id"] for host, row in done.rows.items() if row["server_id"]} == ids
    for host, record in ids.items():
        assert f"  {host}: its key might not be on the host: {record}" in summary_lines(done)
    assert all(record["key"] not in done.log for record in current.registered())
    left = {"later": done["later"].left()}
    again = {name: make_host(name, *left.get(name, [])) for name in ("before", "between", "later")}
    absent = {name: make_host(name, alpamon_state="absent") for name in ("leaves", "stays")}
    current.fault(method="DELETE", path=f"servers/servers/{ids['stays']}", times=9, **FORBIDDEN)
    unused = [record["name"] for record in current.registered() if record["name"][:-7] != "later"]
    done = run_rollout(tmp_path / "again", current, {**again, **absent}, but=unused, alpamon_serial="100%")
    assert done.code == 0, done.log
    assert outcomes(done) == {**dict.fromkeys(again, "connected"), **dict.fromkeys(absent, "removed")}
    now = server_ids(current)
    assert set(now) == {"before", "between", "later", "stays"}
    assert [now[name] == ids[name] for name in ("later", "between")] == [True, False]
    assert done.rows["stays"]["notes"] == [f"left behind in the workspace: {ids['stays']}"]
    # That of the first run was left, as all of its hosts were lost.
    assert current.registration_tokens() == []


# Runs that end early


def run_and_signal(
    folder: Path,
    workspace: Workspace,
    hosts: Mapping[str, ScriptedHost],
    number: signal.Signals,
    but: Collection[str],
) -> RoleRun:
    """Run a rollout and send a signal while its second wave waits for an agent."""
    # A process that is started in the background may ignore interrupts, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    workspace.settings(instant=True)
    log = folder / "log"
    arguments = ["-e", json.dumps({"alpamon_serial": [1, 2]})]
    # What it prints is read while it goes on.
    run = start_role(folder, workspace, hosts, *arguments, playbook=PLAYBOOK, PYTHONUNBUFFERED="1")
    moment = re.compile("1 of 1 connected.*Wait until the agent is connected", re.DOTALL)
    with connect_agents(workspace, but), run as (play, ended):
        wait_until(lambda: moment.search(log.read_text(encoding="utf-8")), TIMEOUT * 8)
        # While it forks, Python may lose an interrupt. A process that asks has been forked.
        wait_until(lambda: workspace.log(1)[0]["path"].endswith("/servers/servers/-/"), TIMEOUT)
        os.killpg(play.pid, number)
        return ended()


@pytest.mark.promise
def test_an_interrupted_run_and_the_next_one(current: Workspace, tmp_path: Path) -> None:
    hosts = {
        "a": make_host("a"),
        "broken": make_host("broken", BROKEN),
        "waits": make_host("waits"),
        "next": make_host("next"),
    }
    done = run_and_signal(tmp_path, current, hosts, signal.SIGINT, but=["waits"])
    assert done.code not in (0, 2), done.log
    assert outcomes(done) == {"a": "connected", "broken": "failed", "waits": "interrupted", "next": "not tried"}
    assert done.rows["broken"]["cause"] == WHY
    assert done.rows["waits"]["server_id"] == server_ids(current)["waits"]
    assert summary_lines(done)[0] == "rollout: 1 of 4 connected, 1 failed, 1 interrupted, 1 not tried"
    assert "The run was interrupted in wave 2 of 3." in summary_lines(done)
    # The token is left, and expires by itself.
    [token] = current.registration_tokens()
    expires = datetime.fromisoformat(token["expires_at"].replace("Z", "+00:00"))
    assert expires <= datetime.now(UTC) + timedelta(hours=1)
    left = {name: make_host(name, *(done[name].left() if name == "waits" else [])) for name in hosts}
    limit = f"@{tmp_path}/rollout.retry"
    again = run_rollout(tmp_path / "again", current, left, "--limit", limit, alpamon_serial="100%")
    assert again.code == 0, again.log
    assert outcomes(again) == dict.fromkeys(("broken", "waits", "next"), "connected")
    assert current.registration_tokens() == []


def test_a_run_that_is_terminated_shows_its_summary(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: make_host(name) for name in "ab"}
    done = run_and_signal(tmp_path, current, hosts, signal.SIGTERM, but=["b"])
    assert outcomes(done) == {"a": "connected", "b": "interrupted"}
    assert "The run was interrupted in wave 2 of 2." in summary_lines(done)


# What is not known, or left behind


@pytest.mark.promise
def test_no_token_is_deleted_with_settings_from_facts(current: Workspace, tmp_path: Path) -> None:
    forged = ("^file ", {"changed": False, "ansible_facts": {"alpamon_validate_certs": False}})
    done = run_rollout(tmp_path, current, {"a": make_host("a", forged), "b": make_host("b")}, alpamon_serial=2)
    assert outcomes(done) == {"a": "failed", "b": "failed"}
    for row in done.rows.values():
        assert "Host a returned settings as facts: alpamon_validate_certs." in row["cause"]
    assert len(current.registration_tokens()) == 1


@pytest.mark.promise
def test_an_outage_of_the_workspace_only_causes_failures(current: Workspace, tmp_path: Path) -> None:
    hosts = {
        "full": make_host("full", FULL),
        "waits": make_host("waits"),
        # It must not get its previous version back.
        "old": make_host("old", *installed("2.4.0"), *registered(current), alpamon_version="2.5.0"),
    }
    # The first answer says that the credentials of old are valid.
    current.fault(method="GET", path="servers/servers/", after=1, **OOPS)
    current.fault(method="DELETE", path="servers/servers/", **OOPS)
    done = run_rollout(tmp_path, current, hosts, but=hosts, alpamon_serial="100%", alpamon_connect_timeout="1s")
    assert done.code == 2, done.log
    ids = server_ids(current)
    assert outcomes(done) == {"full": "failed", "waits": "unknown", "old": "unknown"}
    assert "No space left on device" in done.rows["full"]["cause"]
    assert f"left behind in the workspace: {ids['full']}" in done.rows["full"]["notes"]
    assert done.rows["waits"]["server_id"] == ids["waits"]
    assert [row["name"] for row in done["old"].of("apt")] == ["alpamon=2.5.0"]
    assert done.rows["old"]["version"] == "2.5.0"
    assert "left running" not in done.rows["old"]["cause"]
    assert "500" in done.rows["old"]["cause"]
