# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook rollout, on hosts that answer by script: waves, where it stops, and what it says in the end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from system.certificates import authority
from system.playing import PATIENCE, until
from system.scripted_hosts import (
    DEBIAN,
    Answer,
    Distribution,
    RoleRun,
    ScriptedHost,
    a_signing_key,
    agents_come,
    configuration,
    found,
    installed,
    run_role,
    started_role,
    summary_lines,
)
from workspace.client import Workspace

FORBIDDEN: dict[str, Any] = {"kind": "status", "status": 403, "body": '{"code": "forbidden"}'}
OOPS: dict[str, Any] = {"kind": "status", "status": 500, "body": '{"detail": "Oops."}'}
PLAYBOOK = "herdops.alpacon.rollout"
WHY = "FAILED. There is no such package. dpkg: no."
FAILURE = {"failed": True, "changed": False, "msg": "There is no such package.", "stderr": "One.\ndpkg: no.\n"}
BROKEN = ("^(apt) ", FAILURE)
FULL = ("^copy .*alpamon.conf", {"failed": True, "msg": "No space left on device"})
GONE = {"lost": "No route to host."}

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]


def rolled(
    folder: Path,
    workspace: Workspace,
    hosts: dict[str, ScriptedHost],
    *arguments: str,
    but: Collection[str] = (),
    environ: dict[str, str] | None = None,
    **variables: object,
) -> RoleRun:
    """A rollout that has ended; agents of servers of these names do not come up."""
    workspace.settings(instant=True)
    extra = json.dumps({"alpamon_connect_timeout": "20s", **variables})
    with agents_come(workspace, but):
        return run_role(
            folder, workspace, hosts, "--extra-vars", extra, *arguments, playbook=PLAYBOOK, **(environ or {})
        )


def summary(done: RoleRun) -> dict[str, str]:
    """What the summary says of each host."""
    return dict(line.split(": ", 1) for line in summary_lines(done)[:-1] if re.match(r"\w+: ", line))


def a_host(name: str, *answers: Answer, **variables: object) -> ScriptedHost:
    """A host of that name."""
    return ScriptedHost(Distribution("Debian", "13.1", hostname=name), answers, variables)


def registered(workspace: Workspace) -> list[Answer]:
    """Answer as a registered host whose agent has the version that the workspace knows."""
    token = workspace.add_registration_token("by hand")
    headers = {"Authorization": f'token="{token["key"]}"'}
    body = {"name": "Web", "platform": "debian"}
    record = workspace.api("POST", "servers/servers/register/", headers=headers, json=body).json()
    return [*configuration(workspace.url, record["id"], record["key"]), *installed("2.5.0")]


# What is given


@pytest.mark.promise
def test_all_go_well_with_lists_numbers_and_tags_as_text(current: Workspace, tmp_path: Path) -> None:
    fingerprint, key = a_signing_key(tmp_path / "keys")
    serves = ("^uri ", {"changed": False, "status": 200, "content": key})
    spaced = " ".join(fingerprint[i : i + 4] for i in range(0, 40, 4))
    done = rolled(
        tmp_path,
        current,
        {name: a_host(name, serves) for name in "ab"},
        alpamon_serial="1, 2",
        alpamon_max_fail_percentage="10",
        alpamon_key_fingerprints=f"{'0' * 40}, {spaced}",
        alpamon_tags="env=prod, team=a=b",
        alpamon_settings="max_workers=7",
    )
    assert done.code == 0, done.said
    records = {record["name"] for record in current.registered()}
    assert len(records) == 2
    said = summary(done)
    assert {line.split(" as ")[1].split(",")[0] for line in said.values()} == records
    assert all(line.endswith(", version 2.5.0, answers as hostname") for line in said.values())
    assert done.said.count("Note that it is tried") == 2
    # The registration token of the run is gone, and was never shown.
    assert current.registration_tokens() == []
    assert all(record["key"] not in done.said for record in current.registered())
    for record in current.registered():
        assert {("env", "prod"), ("team", "a=b")} <= record["tags"].items()
    assert "max_workers = 7\n" in done["a"].files["/etc/alpamon/alpamon.conf"]


def test_arguments_and_tags_are_checked(current: Workspace, tmp_path: Path) -> None:
    wrong = {"alpamon_serial": [2, "10 percent", True, 0, -1, "", "100%", "0.5%"], "alpamon_max_fail_percentage": 500}
    told = "alpamon_serial: no wave has the size '10 percent' or 'True' or '0' or '-1' or ''. Give numbers of hosts"
    told += " and percentages, as in 1,10%,50%. alpamon_max_fail_percentage is 500. Give a percentage from 0 to 100."
    for name, arguments, text in (
        ("serial", ("-e", json.dumps(wrong)), told),
        ("skip", ("--skip-tags", "verify,mine"), "--skip-tags verify would skip the role as a whole. Name the parts"),
    ):
        done = rolled(tmp_path / name, current, {"a": a_host("a")}, *arguments)
        assert done.code == 2, done.said
        assert text in " ".join(done.said.split())
        assert done["a"].calls == []


def test_a_registration_token_is_made_only_where_one_is_needed(current: Workspace, tmp_path: Path) -> None:
    by_hand = current.add_registration_token("by hand")
    hosts = {
        # The first ones of the wave do not need it.
        "own": a_host("own", alpamon_registration_token=by_hand["key"]),
        "state": a_host("state", alpamon_state="installed"),
        "option": a_host("option", alpamon_version="newest"),
        "lookup": a_host("lookup", alpamon_registration_token="{{ lookup('ansible.builtin.file', '/no/b.txt') }}"),
        "empty": a_host("empty", alpamon_registration_token=""),
    }
    done = rolled(tmp_path, current, hosts, alpamon_serial="100%")
    said = summary(done)
    for name in ("own", "empty"):
        assert said[name].startswith(f"connected as {name}-"), done.said
    assert said["state"] == "version 2.5.0, not connected"
    assert said["option"].startswith("FAILED. alpamon_version is 'newest'.")
    assert re.match("FAILED. .*/no/b.txt", said["lookup"])
    assert summary_lines(done)[-1] == "5 hosts, 3 of them well, 2 failed, 0 not tried."
    assert done.said.count("is made for this run.") == 1
    assert [token["id"] for token in current.registration_tokens()] == [by_hand["id"]]


def test_hosts_that_are_registered_need_no_right_to_make_tokens(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": ScriptedHost(DEBIAN, registered(current)), "b": ScriptedHost(DEBIAN)}
    current.fault(method="POST", path="registration-tokens/$", times=9, **FORBIDDEN)
    done = rolled(tmp_path, current, hosts, alpamon_serial=2)
    assert done.code == 2, done.said
    said = summary(done)
    assert said["a"].startswith("connected as Web-")
    assert said["b"].startswith("FAILED. The host has to be registered, and no registration token could be made.")
    assert len(current.registered()) == 1


def test_each_workspace_gets_its_own_token(current: Workspace, tmp_path: Path) -> None:
    with Workspace("current", servers=0, agents=False) as other:
        other.settings(instant=True)
        theirs = {"alpacon_url": f"{other.url}/", "alpacon_token": other.token}
        hosts = {name: a_host(name, **({}, theirs)[index % 2]) for index, name in enumerate("abcd")}
        # Without an API token of its workspace, nobody asks it to answer a command.
        given = other.add_registration_token("by hand")
        hosts["e"] = a_host("e", alpamon_url=other.url, alpamon_registration_token=given["key"])
        with agents_come(other):
            done = rolled(tmp_path, current, hosts, alpamon_serial=[2])
        assert done.code == 0, done.said
        names = [sorted(record["name"][0] for record in workspace.registered()) for workspace in (current, other)]
        assert names == [["a", "c"], ["b", "d", "e"]]
        assert current.registration_tokens() == []
        assert [token["id"] for token in other.registration_tokens()] == [given["id"]]
        # None was sent where it does not belong, and each was made once.
        for workspace in (current, other):
            asked = {row["status"] for row in workspace.log() if row["path"].endswith("/register/")}
            assert asked == {201}
            made = [row["method"] for row in workspace.log() if row["path"].endswith("/registration-tokens/")]
            assert made.count("POST") == 1
        said = summary(done)
        assert said["a"].endswith(", version 2.5.0, answers as hostname")
        assert said["e"].endswith(", version 2.5.0")


def test_certificates_hold_for_the_whole_playbook(tmp_path: Path) -> None:
    ca = authority(tmp_path, "Our CA")
    with Workspace("current", servers=0, agents=False, tls=(ca.chain, ca.chain), ca=ca.file) as workspace:
        done = rolled(tmp_path / "ca", workspace, {"a": a_host("a", alpamon_ca_cert=str(ca.file))})
        assert done.code == 0, done.said
        assert summary(done)["a"].endswith(", version 2.5.0, answers as hostname")
        assert workspace.registration_tokens() == []
        host = a_host("b", alpamon_validate_certs="no")
        interrupted(tmp_path / "not", workspace, {"b": host}, "alpacon: registered", but="b")
        assert workspace.registration_tokens() == []


def test_check_mode(current: Workspace, tmp_path: Path) -> None:
    done = rolled(tmp_path, current, {"a": a_host("a"), "b": a_host("b", alpamon_state="absent")}, "--check")
    assert done.code == 0, done.said
    assert summary(done) == {"a": "nothing installed yet, not connected", "b": "would be removed"}
    assert current.counters()["writes"] == 0


# Waves


@pytest.mark.promise
def test_rest_is_left_alone_when_the_canary_fails(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": a_host("a", BROKEN, *found(clock_ahead=90000)), "b": a_host("b"), "c": a_host("c")}
    done = rolled(tmp_path, current, hosts)
    assert done.code == 2, done.said
    assert summary(done) == {"a": WHY, "b": "not tried", "c": "not tried"}
    clock = "    The clock of the host is 1500 minutes ahead of that of the controller"
    assert any(line.startswith(clock) for line in summary_lines(done))
    assert done["b"].calls == done["c"].calls == []
    assert current.registered() == []
    assert current.registration_tokens() == []


def test_waves_go_on_within_the_limit_whatever_ansible_is_set_to(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": a_host("a"), "b": a_host("b", BROKEN), "c": a_host("c"), "d": a_host("d")}
    given: dict[str, Any] = {"alpamon_hosts": ["a", "b:c:d:!d"], "alpamon_serial": 1, "alpamon_state": "installed"}
    strict = {"ANSIBLE_ANY_ERRORS_FATAL": "1"}
    done = rolled(tmp_path, current, hosts, environ=strict, alpamon_max_fail_percentage=50, **given)
    assert done.code == 2, done.said
    well = "version 2.5.0, not connected"
    assert summary(done) == {"a": well, "b": WHY, "c": well}
    assert done["d"].calls == []


def test_when_all_hosts_are_lost_midway_the_summary_comes_and_the_next_run_takes_what_is_left(
    current: Workspace, tmp_path: Path
) -> None:
    lost_at = {"before": "^apt ", "between": "^copy .*alpamon.conf", "later": "^systemd_service "}
    hosts = {name: a_host(name, (step, GONE)) for name, step in lost_at.items()}
    done = rolled(tmp_path / "lost", current, hosts, but=hosts, alpamon_serial="100%")
    assert done.code != 0, done.said
    assert summary(done) == dict.fromkeys(hosts, "FAILED. It became unreachable while the role was at work.")
    assert summary_lines(done)[-1] == "3 hosts, 0 of them well, 3 failed, 0 not tried."
    records = {record["name"][:-7]: record for record in current.registered()}
    assert set(records) == {"between", "later"}
    named = [line.strip() for line in summary_lines(done) if line.startswith(" ")]
    told = "its record in the workspace: {}, whose key may not be on the host"
    assert named == [told.format(records[name]["id"]) for name in ("between", "later")]
    assert all(record["key"] not in done.said for record in records.values())
    assert current.registration_tokens() == []
    left = {name: a_host(name, *(done[name].left() if name == "later" else [])) for name in hosts}
    again = rolled(tmp_path / "again", current, left, but=[records["between"]["name"]], alpamon_serial="100%")
    assert again.code == 0, again.said
    kept = {record["name"][:-7]: record["id"] for record in current.registered()}
    assert len(current.registered()) == len(kept) == 3
    assert kept["later"] == records["later"]["id"]
    assert kept["between"] != records["between"]["id"]
    assert "left behind" not in "".join(summary_lines(again))


# Runs that are interrupted


def interrupted(
    folder: Path,
    workspace: Workspace,
    hosts: dict[str, ScriptedHost],
    moment: str,
    but: Collection[str] = (),
) -> RoleRun:
    """A rollout, host by host, that was interrupted as soon as its output had this in it."""
    # Who is started in the background may ignore interrupts, and would hand that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    workspace.settings(instant=True)
    log = folder / "log"
    # What it prints is read while it goes on.
    run = started_role(folder, workspace, hosts, "-e", "alpamon_serial=1", playbook=PLAYBOOK, PYTHONUNBUFFERED="1")
    with agents_come(workspace, but), run as (process, ended):
        until(lambda: re.search(moment, log.read_text(encoding="utf-8"), re.DOTALL), PATIENCE * 8)
        # While it forks, Python may lose an interrupt.
        for _attempt in range(3):
            time.sleep(0.5)
            os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
                break
        done = ended()
    assert done.code not in (0, 2), done.said
    [told] = re.findall(f"(?s).*?{moment}(.*)", done.said)
    assert "Show the summary" not in told
    return done


@pytest.mark.promise
def test_an_interrupted_run_deletes_its_token_and_shows_the_summary(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: a_host(name) for name in "abc"}
    waits = "Wait until the workspace says.*Note that it is tried.*Wait until the workspace says"
    done = interrupted(tmp_path, current, hosts, waits, but="b")
    ids = {record["name"][0]: record["id"] for record in current.registered()}
    assert set(ids) == {"a", "b"}
    said = done.said.partition("\na: connected as a-")[2].splitlines()
    assert said[1:] == [
        "b: FAILED. The run was interrupted, or the host became unreachable, while the role was at work.",
        f"    its record in the workspace: {ids['b']}, whose key may not be on the host",
        "c: not tried",
        "3 hosts, 1 of them well, 1 failed, 1 not tried.",
    ]
    assert current.registration_tokens() == []


def test_an_interrupted_run_names_what_it_cannot_delete(current: Workspace, tmp_path: Path) -> None:
    current.fault(method="DELETE", **FORBIDDEN)
    done = interrupted(tmp_path, current, {"a": a_host("a")}, "alpacon: registered")
    [record], [token] = current.registered(), current.registration_tokens()
    assert f"alpacon: registered {record['name']}, {record['id']}" in done.said
    assert f"The registration token {token['name']} could not be deleted" in done.said
    assert token["key"] not in done.said


def test_the_token_of_a_run_that_was_killed_goes_with_the_next_run(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": a_host("a")}
    run = started_role(tmp_path / "killed", current, hosts, playbook=PLAYBOOK, PYTHONUNBUFFERED="1")
    log = tmp_path / "killed/log"
    with run as (process, _ended):
        until(lambda: "is made for this run." in log.read_text(encoding="utf-8"), PATIENCE * 4)
        os.killpg(process.pid, signal.SIGKILL)
    [token] = current.registration_tokens()
    assert f"The registration token {token['name']} is made" in log.read_text(encoding="utf-8")
    other = current.add_registration_token("rollout-by-hand")["id"]
    again = rolled(tmp_path / "again", current, hosts)
    assert again.code == 0, again.said
    assert [left["id"] for left in current.registration_tokens()] == [other]


# What is not known, or left behind


@pytest.mark.promise
def test_no_token_is_deleted_with_settings_from_facts(current: Workspace, tmp_path: Path) -> None:
    forged = ("^file ", {"changed": False, "ansible_facts": {"alpamon_validate_certs": False}})
    # The first host, for which the token is deleted, is not the one that made it.
    hosts = {"a": a_host("a", alpamon_registration_token="unknown"), "b": a_host("b", forged)}
    done = rolled(tmp_path, current, hosts, alpamon_serial=[2])
    refused = "Host b returned settings as facts: alpamon_validate_certs."
    assert refused in summary(done)["b"]
    [line] = [line for line in summary_lines(done) if line.startswith("The registration token")]
    assert "could not be deleted" in line
    assert len(current.registration_tokens()) == 1


def test_a_workspace_that_is_away_after_it_registered(current: Workspace, tmp_path: Path) -> None:
    for method, path in (("GET", "servers/servers/"), ("DELETE", "servers/servers/")):
        current.fault(method=method, path=path, **OOPS)
    hosts = {"full": a_host("full", FULL), "waits": a_host("waits")}
    done = rolled(tmp_path, current, hosts, but=hosts, alpamon_serial="100%", alpamon_connect_timeout="1s")
    assert done.code == 2, done.said
    records = {record["name"][:-7]: record["id"] for record in current.registered()}
    said = summary(done)
    assert said["full"].startswith("FAILED. The configuration could not be written. No space left on device")
    assert f"The record {records['full']} is left behind in the workspace" in said["full"]
    assert f"    left behind in the workspace: {records['full']}" in summary_lines(done)
    assert said["waits"].startswith("NOT KNOWN. The workspace could not be asked whether the agent is connected. GET ")
    assert summary_lines(done)[-1] == "2 hosts, 0 of them well, 1 failed, 1 not known, 0 not tried."
    assert f"    its record in the workspace: {records['waits']}" in summary_lines(done)
    assert current.registration_tokens() == []


@pytest.mark.promise
def test_an_upgraded_agent_is_not_replaced_when_the_workspace_is_away(current: Workspace, tmp_path: Path) -> None:
    its = registered(current)
    # Its first answer says that the credentials are valid.
    current.fault(method="GET", path="/servers/-/$", after=1, kind="status", status=503)
    hosts = {"a": a_host("a", *installed("2.4.0"), *its)}
    done = rolled(tmp_path, current, hosts, but=hosts, alpamon_version="2.5.0", alpamon_connect_timeout="1s")
    assert done.code == 2, done.said
    assert [row["name"] for row in done["a"].of("apt")] == ["alpamon=2.5.0"]
    assert summary(done)["a"].startswith("NOT KNOWN. The workspace could not be asked whether the agent is connected.")
    assert summary(done)["a"].endswith("alpamon 2.5.0 is left running.")


def test_removal_takes_records_along_whose_keys_were_never_written(current: Workspace, tmp_path: Path) -> None:
    lost = ("^copy .*alpamon.conf", GONE)
    hosts = {"a": a_host("a", lost), "b": a_host("b", lost)}
    rolled(tmp_path / "lost", current, hosts, but=hosts, alpamon_serial=2)
    assert len(current.registered()) == 2
    done = rolled(tmp_path / "gone", current, {"a": a_host("a")}, but=hosts, alpamon_state="absent")
    assert done.code == 0, done.said
    assert summary(done) == {"a": "removed"}
    [record] = current.registered()
    assert record["name"].startswith("b-")
    current.fault(method="DELETE", path="servers/servers/", **FORBIDDEN)
    done = rolled(tmp_path / "kept", current, {"b": a_host("b")}, but=hosts, alpamon_state="absent")
    assert done.code == 0, done.said
    assert f"    left behind in the workspace: {record['id']}" in summary_lines(done)


def test_hosts_with_one_record_fail_and_name_each_other(current: Workspace, tmp_path: Path) -> None:
    its, theirs = registered(current), registered(current)
    records = [answers[0][1]["configuration"] for answers in (its, theirs)]
    upper = found(configuration={**records[0], "id": records[0]["id"].upper()})
    hosts = {
        "original": a_host("original", *its),
        "clone": a_host("clone", *upper, *its),
        "stays": a_host("stays", *theirs),
        "leaves": a_host("leaves", *theirs, alpamon_state="absent"),
        # That one the role itself can tell from its original.
        "known": a_host("known", *found(registered_machine_id="f" * 32), *theirs),
        "fresh": a_host("fresh"),
    }
    done = rolled(tmp_path, current, hosts, alpamon_serial=[1, 5], alpamon_max_fail_percentage=100)
    assert done.code == 2, done.said
    said = summary(done)
    for name, other in {"original": "clone", "clone": "original", "stays": "leaves", "leaves": "stays"}.items():
        assert said[name].startswith(f"FAILED. It has the same credentials as {other}. One of them is a clone"), name
    assert said["known"].startswith("connected as known-")
    told = "    registered on a machine of another id, and left in the workspace: "
    assert [line for line in summary_lines(done) if line.startswith(told)] == [told + records[1]["id"]]
    assert said["fresh"].startswith("connected as fresh-")
    assert {record["id"] for record in records} < {row["id"] for row in current.registered()}
