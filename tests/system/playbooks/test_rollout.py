# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook rollout, on hosts that answer by script: waves, where it stops, and what it says in the end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from system.certificates import authority
from system.playing import PATIENCE, until
from system.scripted_hosts import (
    DEBIAN,
    MACHINE,
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

FORBIDDEN: dict[str, Any] = {"status": 403, "body": '{"code": "forbidden"}'}
PLAYBOOK = "herdops.alpacon.rollout"
WHY = "FAILED. There is no such package. dpkg: no."
FAILURE = {"failed": True, "changed": False, "msg": "There is no such package.", "stderr": "One.\ndpkg: no.\n"}
BROKEN = [("^(apt) ", FAILURE)]
OLD_ID = "550e8400-e29b-41d4-a716-446655440000"
LOST = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]


def rolled(
    folder: Path,
    workspace: Workspace,
    hosts: dict[str, ScriptedHost],
    but: Collection[str] = (),
    **variables: object,
) -> RoleRun:
    """A rollout that has ended; agents of servers of these names do not come up."""
    workspace.settings(instant=True)
    extra = json.dumps({"alpamon_connect_timeout": "20s", **variables})
    with agents_come(workspace, but):
        return run_role(folder, workspace, hosts, "--extra-vars", extra, playbook=PLAYBOOK)


def summary(done: RoleRun) -> dict[str, str]:
    """What the summary says of each host."""
    return dict(line.split(": ", 1) for line in summary_lines(done)[:-1] if re.match(r"\w+: ", line))


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
        alpamon_settings="max_workers=7",
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


@pytest.mark.parametrize(
    ("serial", "wrong"),
    [
        ("1,[2, 3 hosts,ten,0.5,0,-1,x%,0.0%,100.5%,50%%,", "[2|3 hosts|ten|0.5|0|-1|x%|0.0%|100.5%|50%%|"),
        ([2, "10 percent", True, 0, -1, "", "100%", "0.5%"], "10 percent|True|0|-1|"),
        (0, "0"),
    ],
)
def test_a_wave_of_no_known_size_is_refused(current: Workspace, tmp_path: Path, serial: object, wrong: str) -> None:
    hosts = {"a": a_host("a"), "b": a_host("b")}
    done = rolled(tmp_path, current, hosts, alpamon_serial=serial, alpamon_max_fail_percentage=500)
    assert done.code == 2, done.said
    sizes = "' or '".join(wrong.split("|"))
    assert f"alpamon_serial: no wave has the size '{sizes}'. Give numbers of hosts and" in done.said
    assert "percentages, as in 1,10%,50%." in done.said
    assert "alpamon_max_fail_percentage is 500. Give a percentage from 0 to 100." in done.said
    assert done["a"].calls == done["b"].calls == []


def registered(workspace: Workspace) -> list[Any]:
    """What a host answers that is registered and has the agent in the version that the workspace knows."""
    token = workspace.add_registration_token("by hand")
    headers = {"Authorization": f'token="{token["key"]}"'}
    body = {"name": "Web", "platform": "debian"}
    record = workspace.api("POST", "servers/servers/register/", headers=headers, json=body).json()
    return [*configuration(workspace.url, record["id"], record["key"]), *installed("2.5.0")]


def test_hosts_that_are_registered_need_no_right_to_make_tokens(current: Workspace, tmp_path: Path) -> None:
    current.fault(
        "status", method="POST", path="registration-tokens/$", status=403, body='{"code": "forbidden"}', times=9
    )
    hosts = {"a": ScriptedHost(DEBIAN, registered(current)), "b": ScriptedHost(DEBIAN)}
    done = rolled(tmp_path, current, hosts, alpamon_serial=2)
    assert done.code == 2, done.said
    said = summary(done)
    assert said["a"].startswith("connected as Web-")
    assert said["b"].startswith("FAILED. The host has to be registered, and no registration token could be made.")
    assert "failed: ['" not in done.said
    assert len(current.registered()) == 1


def test_hosts_are_chosen_by_a_list_as_by_a_text(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: a_host(name) for name in "abc"}
    done = rolled(tmp_path, current, hosts, alpamon_hosts=["a", "b:c:!c"], alpamon_state="installed")
    assert done.code == 0, done.said
    assert set(summary(done)) == {"a", "b"}
    assert done["c"].calls == []


@pytest.mark.parametrize("first", ["token", "state", "option"])
def test_the_first_host_of_a_wave_needs_no_token_of_the_run(current: Workspace, tmp_path: Path, first: str) -> None:
    by_hand = current.add_registration_token("by hand")
    variables = {
        "token": {"alpamon_registration_token": by_hand["key"]},
        "state": {"alpamon_state": "installed"},
        "option": {"alpamon_version": "newest"},
    }
    hosts = {"a": a_host("a", **variables[first]), "b": a_host("b"), "c": a_host("c")}
    done = rolled(tmp_path, current, hosts, alpamon_serial=3, alpamon_max_fail_percentage=50)
    said = summary(done)
    assert said["b"].startswith("connected as b-"), done.said
    assert said["c"].startswith("connected as c-"), done.said
    assert done.said.count("is made for this run.") == 1
    assert [token["id"] for token in current.registration_tokens()] == [by_hand["id"]]


def test_a_registration_token_that_is_empty_is_made(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: a_host(name, alpamon_registration_token=token) for name, token in {"a": "", "b": None}.items()}
    hosts["c"] = a_host("c", alpamon_ca_cert=None)
    done = rolled(tmp_path, current, hosts, alpamon_serial=3)
    said = summary(done)
    assert said["a"].startswith("connected as a-"), done.said
    assert said["b"].startswith("connected as b-")
    assert said["c"] == "FAILED. alpamon_ca_cert has no value. Give one, or leave it out."
    assert current.registration_tokens() == []


@pytest.mark.parametrize("option", ["alpamon_registration_token", "alpamon_token", "alpamon_state"])
def test_a_host_whose_variables_cannot_be_worked_out_fails_alone(
    current: Workspace, tmp_path: Path, option: str
) -> None:
    its = {option: "{{ lookup('ansible.builtin.file', '/no/b.txt') }}"}
    hosts = {"a": a_host("a", alpamon_state="installed"), "c": a_host("c"), "b": a_host("b", **its)}
    done = rolled(tmp_path, current, hosts, alpamon_serial=[1, 2], alpamon_max_fail_percentage=50)
    assert done.code == 2, done.said
    said = summary(done)
    assert re.match("FAILED. .*/no/b.txt", said["b"])
    assert said["c"].startswith("connected as c-")
    assert summary_lines(done)[-1] == "3 hosts, 2 of them well, 1 failed, 0 not tried."


@pytest.fixture(scope="module")
def other() -> Iterator[Workspace]:
    """A second workspace."""
    with Workspace("current", servers=0, agents=False) as workspace:
        yield workspace


def in_two_workspaces(current: Workspace, other: Workspace, *answers: Answer) -> dict[str, ScriptedHost]:
    """Hosts of which every other one is for the other workspace, with what its group has written down."""
    other.reset()
    other.settings(instant=True)
    current.settings(instant=True)
    groups: tuple[dict[str, str], ...] = ({}, {"alpacon_url": f"{other.url}/", "alpacon_token": other.token})
    return {name: a_host(name, *answers, **groups[index % 2]) for index, name in enumerate("abcd")}


def test_each_workspace_gets_its_own_token(current: Workspace, other: Workspace, tmp_path: Path) -> None:
    hosts = in_two_workspaces(current, other)
    with agents_come(other):
        done = rolled(tmp_path, current, hosts, alpamon_serial=[2])
    assert done.code == 0, done.said
    assert sorted(record["name"][0] for record in current.registered()) == ["a", "c"]
    assert sorted(record["name"][0] for record in other.registered()) == ["b", "d"]
    assert current.registration_tokens() == other.registration_tokens() == []
    # None was sent where it does not belong, and each was made once.
    for workspace in (current, other):
        asked = [(row["method"], row["status"]) for row in workspace.log() if row["path"].endswith("/register/")]
        assert asked == [("POST", 201)] * 2
        made = [row for row in workspace.log() if row["path"].endswith("/registration-tokens/")]
        assert [row["method"] for row in made].count("POST") == 1


def test_a_host_of_a_workspace_without_an_api_token_need_not_answer(
    current: Workspace, other: Workspace, tmp_path: Path
) -> None:
    other.reset()
    other.settings(instant=True)
    its = {"alpamon_url": other.url, "alpamon_registration_token": other.add_registration_token()["key"]}
    with agents_come(other):
        done = rolled(tmp_path, current, {"a": a_host("a"), "b": a_host("b", **its)}, alpamon_serial=2)
    assert done.code == 0, done.said
    said = summary(done)
    assert said["a"].endswith(", version 2.5.0, answers as hostname")
    assert said["b"].startswith("connected as b-")
    assert said["b"].endswith(", version 2.5.0")


def test_a_host_that_moves_and_does_not_connect_leaves_no_record_that_nobody_names(
    current: Workspace, other: Workspace, tmp_path: Path
) -> None:
    other.reset()
    full = ("^copy .*ansible-registered", {"failed": True, "msg": "No space left on device"})
    kept = ("^copy .*alpamon.conf", {"failed": True, "msg": "No space left on device"})
    away = configuration("http://127.0.0.1:9", OLD_ID, "k")
    hosts = {
        "silent": a_host("silent", *registered(other)),
        "away": a_host("away", *away, *installed("2.5.0")),
        "full": a_host("full", full, *registered(other)),
        "kept": a_host("kept", kept, *(its := registered(other))),
    }
    moving = {"alpamon_allow_workspace_change": True, "alpamon_connect_timeout": "2s", "alpamon_serial": 4}
    done = rolled(tmp_path, current, hosts, but=hosts, **moving)
    assert done.code == 2, done.said
    assert all(line.startswith("FAILED. ") for line in summary(done).values())
    # Only that one still has its old key.
    assert [record["id"] for record in other.registered()] == [its[0][1]["configuration"]["id"]]
    assert done["away"].facts["alpamon_orphans"] == [OLD_ID]
    behind = [line.strip() for line in summary_lines(done) if "left behind" in line]
    assert behind == [f"left behind in the workspace: {OLD_ID}"]


def two_rollouts(folder: Path, *chosen: str) -> str:
    """A playbook with a rollout to each of these hosts."""
    book = folder / "site.yml"
    rows = [{"import_playbook": PLAYBOOK, "vars": {"alpamon_hosts": hosts, "its_hosts": hosts}} for hosts in chosen]
    book.write_text(json.dumps(rows), encoding="utf-8")
    return str(book)


def test_a_rollout_knows_nothing_of_another_one_of_the_same_run(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": a_host("a"), "x": ScriptedHost(DEBIAN, registered(current)), "b": a_host("b")}
    current.settings(instant=True)
    with agents_come(current):
        done = run_role(tmp_path / "ended", current, hosts, playbook=two_rollouts(tmp_path, "x:a", "x"))
    assert done.code == 0, done.said
    assert "could not be deleted" not in done.said
    book, waits = two_rollouts(tmp_path, "x:a", "x:b"), "alpacon: registered b-"
    broken = interrupted(tmp_path / "broken", current, hosts, waits, but="b", chosen="{{ its_hosts }}", playbook=book)
    assert "could not be deleted" not in broken.said
    assert broken.said.endswith("2 hosts, 1 of them well, 1 failed, 0 not tried.\n")
    assert [token["name"] for token in current.registration_tokens()] == ["by hand"]


def test_tokens_of_hosts_that_are_lost_are_deleted_in_both(
    current: Workspace, other: Workspace, tmp_path: Path
) -> None:
    hosts = in_two_workspaces(current, other, ("^copy .*alpamon.conf", {"lost": "No route to host."}))
    done = rolled(tmp_path, current, hosts, alpamon_serial=[2])
    assert summary(done)["d"] == "not tried", done.said
    assert len(current.registered()) == len(other.registered()) == 1
    assert current.registration_tokens() == other.registration_tokens() == []


def test_what_cannot_be_deleted_is_named_for_each_workspace(
    current: Workspace, other: Workspace, tmp_path: Path
) -> None:
    hosts = in_two_workspaces(current, other)
    for workspace in (current, other):
        workspace.fault(
            "status", method="DELETE", path="registration-tokens/", status=403, body='{"code": "forbidden"}'
        )
    with agents_come(other):
        done = rolled(tmp_path, current, hosts, alpamon_serial=[4])
    assert done.code == 0, done.said
    [mine], [its] = current.registration_tokens(), other.registration_tokens()
    named = [line.partition(", and expires")[0] for line in summary_lines(done) if "could not be deleted" in line]
    assert sorted(named) == sorted(
        f"The registration token {token['name']} could not be deleted from {workspace.url}"
        for token, workspace in ((mine, current), (its, other))
    )
    assert mine["key"] not in done.said
    assert its["key"] not in done.said


def test_an_interrupted_run_deletes_the_tokens_of_both_workspaces(
    current: Workspace, other: Workspace, tmp_path: Path
) -> None:
    hosts = in_two_workspaces(current, other)
    waits = "Wait until the workspace says.*Note that it is tried.*Wait until the workspace says"
    with agents_come(other, but="b"):
        done = interrupted(tmp_path, current, hosts, waits)
    assert "4 hosts, 1 of them well, 1 failed, 2 not tried." in done.said
    assert current.registration_tokens() == other.registration_tokens() == []


def test_tags_choose_parts_of_the_role(current: Workspace, tmp_path: Path) -> None:
    host = ScriptedHost(DEBIAN, registered(current))
    current.settings(instant=True)
    with agents_come(current):
        done = run_role(tmp_path / "verify", current, {"a": host}, "--tags", "verify", playbook=PLAYBOOK)
    assert done.code == 0, done.said
    assert summary(done)["a"].startswith("connected as Web-")
    assert {call.module for call in done["a"].calls} <= {"alpamon_info", "command"}
    done = run_role(tmp_path / "unknown", current, {"a": host}, "--tags", "verified", playbook=PLAYBOOK)
    assert done.code == 2, done.said
    assert "There are no tasks with the tags verified." in done.said
    assert done["a"].calls == []


def test_tags_that_skip_the_whole_role_are_refused(current: Workspace, tmp_path: Path) -> None:
    done = run_role(tmp_path, current, {"a": a_host("a")}, "--skip-tags", "verify,mine", playbook=PLAYBOOK)
    assert done.code == 2, done.said
    assert "--skip-tags verify would skip the role as a whole. Name the parts" in done.said
    assert done["a"].calls == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tags", "install"), "not removed, since uninstall is not among the tags"),
        (("--tags", "uninstall", "--check"), "would be removed"),
    ],
)
def test_what_is_left_is_not_called_removed(
    current: Workspace, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    hosts = {"a": ScriptedHost(DEBIAN, registered(current), {"alpamon_state": "absent"})}
    done = run_role(tmp_path, current, hosts, *arguments, playbook=PLAYBOOK)
    assert done.code == 0, done.said
    assert summary(done) == {"a": said}
    assert len(current.registered()) == 1


@pytest.mark.promise
def test_rest_is_left_alone_when_the_canary_fails(current: Workspace, tmp_path: Path) -> None:
    tomorrow = [*BROKEN, *found(clock_ahead=90000)]
    hosts = {"a": ScriptedHost(DEBIAN, tomorrow), "b": ScriptedHost(DEBIAN), "c": ScriptedHost(DEBIAN)}
    done = rolled(tmp_path, current, hosts)
    assert done.code == 2, done.said
    assert summary(done) == {"a": WHY, "b": "not tried", "c": "not tried"}
    clock = "    The clock of the host is 1500 minutes ahead of that of the controller"
    assert any(line.startswith(clock) for line in summary_lines(done))
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


def test_a_host_that_fails_fails_alone_whatever_ansible_is_set_to(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": a_host("a"), "b": a_host("b", alpamon_version="newest"), "c": a_host("c"), "d": a_host("d")}
    current.settings(instant=True)
    extra = ("-e", json.dumps({"alpamon_serial": [1, 3]}))
    with agents_come(current):
        done = run_role(tmp_path, current, hosts, *extra, playbook=PLAYBOOK, ANSIBLE_ANY_ERRORS_FATAL="1")
    assert done.code == 2, done.said
    said = summary(done)
    assert said["b"].startswith("FAILED. alpamon_version is 'newest'.")
    for name in "acd":
        assert said[name].startswith(f"connected as {name}-")
    assert current.registration_tokens() == []


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


def a_host(name: str, *answers: Answer, **variables: object) -> ScriptedHost:
    """A host of that name."""
    return ScriptedHost(Distribution("Debian", "13.1", hostname=name), answers, variables)


def after(done: RoleRun, name: str) -> ScriptedHost:
    """A host as a run has left it that has written the configuration."""
    return a_host(name, *done[name].left())


def test_when_all_hosts_are_lost_midway_the_summary_comes_and_the_next_run_takes_what_is_left(
    current: Workspace, tmp_path: Path
) -> None:
    gone = {"lost": "No route to host."}
    hosts = {
        "before": a_host("before", ("^apt ", gone)),
        "between": a_host("between", ("^copy .*alpamon.conf", gone)),
        "later": a_host("later", ("^systemd_service ", gone)),
    }
    done = rolled(tmp_path / "lost", current, hosts, but=hosts, alpamon_serial="100%")
    assert done.code != 0, done.said
    lost = dict.fromkeys(hosts, "FAILED. It became unreachable while the role was at work.")
    assert summary(done) == lost
    assert summary_lines(done)[-1] == "3 hosts, 0 of them well, 3 failed, 0 not tried."
    records = {record["name"][:-7]: record for record in current.registered()}
    assert set(records) == {"between", "later"}
    named = [line.strip() for line in summary_lines(done) if line.startswith(" ")]
    assert named == [
        f"its record in the workspace: {records['between']['id']}, whose key may not be on the host",
        f"its record in the workspace: {records['later']['id']}, whose key may not be on the host",
    ]
    assert current.registration_tokens() == []
    written = {"before": a_host("before"), "between": a_host("between"), "later": after(done, "later")}
    again = rolled(tmp_path / "again", current, written, but=[records["between"]["name"]], alpamon_serial="100%")
    assert again.code == 0, again.said
    kept = {record["name"][:-7]: record["id"] for record in current.registered()}
    assert len(current.registered()) == len(kept) == 3
    assert kept["later"] == records["later"]["id"]
    assert kept["between"] != records["between"]["id"]
    assert "left behind" not in "".join(summary_lines(again))


def test_when_all_hosts_of_a_limit_are_lost_the_summary_comes_below_the_recap(
    current: Workspace, tmp_path: Path
) -> None:
    current.settings(instant=True)
    lost = a_host("a", ("^copy .*alpamon.conf", {"lost": "No route to host."}))
    hosts = {"a": lost, "b": a_host("b")}
    done = run_role(tmp_path, current, hosts, "--limit", "a", playbook=PLAYBOOK)
    assert done.code not in (0, 2), done.said
    [record] = current.registered()
    assert done.said.partition("PLAY RECAP")[2].splitlines()[-3:] == [
        "a: FAILED. It became unreachable while the role was at work.",
        f"    its record in the workspace: {record['id']}, whose key may not be on the host",
        "1 hosts, 0 of them well, 1 failed, 0 not tried.",
    ]
    assert current.registration_tokens() == []


def interrupted(
    folder: Path,
    workspace: Workspace,
    hosts: dict[str, ScriptedHost],
    moment: str,
    but: Collection[str] = (),
    chosen: str = "all",
    playbook: str = PLAYBOOK,
) -> RoleRun:
    """A rollout, host by host, that was interrupted as soon as its output had this in it."""
    # Who is started in the background may ignore interrupts, and would hand that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    workspace.settings(instant=True)
    log, given = folder / "log", ("-e", json.dumps({"alpamon_serial": 1, "alpamon_hosts": chosen}))
    # What it prints is read while it goes on.
    run = started_role(folder, workspace, hosts, *given, playbook=playbook, PYTHONUNBUFFERED="1")
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
    current.fault("status", method="DELETE", status=403, body='{"code": "forbidden"}')
    done = interrupted(tmp_path, current, {"a": a_host("a")}, "alpacon: registered")
    [record], [token] = current.registered(), current.registration_tokens()
    assert f"alpacon: registered {record['name']}, {record['id']}" in done.said
    assert f"The registration token {token['name']} could not be deleted" in done.said
    assert token["key"] not in done.said


def test_a_run_that_is_interrupted_before_its_first_host_has_nothing_to_tell(
    current: Workspace, tmp_path: Path
) -> None:
    # Each play chooses its hosts as it begins.
    chosen = "{{ lookup('ansible.builtin.pipe', 'sleep 3; echo all') }}"
    done = interrupted(tmp_path, current, {"a": a_host("a")}, "Check for variables that are misspelt", chosen=chosen)
    assert "1 hosts" not in done.said
    assert "Traceback" not in done.said


def test_what_the_role_is_told_of_certificates_holds_for_the_whole_playbook(tmp_path: Path) -> None:
    ca = authority(tmp_path, "Our CA")
    with Workspace("current", servers=0, agents=False, tls=(ca.chain, ca.chain), ca=ca.file) as workspace:
        hosts = {"a": a_host("a", alpamon_ca_cert=str(ca.file))}
        done = rolled(tmp_path / "ca", workspace, hosts)
        assert done.code == 0, done.said
        assert summary(done)["a"].endswith(", version 2.5.0, answers as hostname")
        assert workspace.registration_tokens() == []
        # A relative path is one of the folder that the playbook is started in.
        started = tmp_path / "started"
        started.mkdir()
        for name in ("ca.pem", "alpamon_2.5.0.deb", "key.asc"):
            shutil.copy(ca.file, started / name)
        hosts = {"b": a_host("b", alpamon_package_file="alpamon_2.5.0.deb"), "c": a_host("c")}
        given = {"alpamon_ca_cert": "ca.pem", "alpamon_repository_key": "key.asc"}
        done = rolled(started, workspace, hosts, alpamon_serial=2, **given)
        assert done.code == 0, done.said
        assert all(line.endswith(", version 2.5.0, answers as hostname") for line in summary(done).values())
        assert workspace.registration_tokens() == []
        for name, given in (("verified", {"alpamon_ca_cert": str(ca.file)}), ("not", {"alpamon_validate_certs": "no"})):
            interrupted(tmp_path / name, workspace, {name: a_host(name, **given)}, "alpacon: registered", but=[name])
            assert len([row for row in workspace.registered() if row["name"].startswith(f"{name}-")]) == 1
            assert workspace.registration_tokens() == []


def test_the_token_of_a_run_that_was_killed_goes_with_the_next_run(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": a_host("a")}
    run = started_role(tmp_path / "killed", current, hosts, playbook=PLAYBOOK, PYTHONUNBUFFERED="1")
    with run as (process, _ended):
        until(lambda: "is made for this run." in (tmp_path / "killed/log").read_text(encoding="utf-8"), PATIENCE * 4)
        os.killpg(process.pid, signal.SIGKILL)
    [token] = current.registration_tokens()
    assert f"The registration token {token['name']} is made" in (tmp_path / "killed/log").read_text(encoding="utf-8")
    other = current.add_registration_token("rollout-by-hand")["id"]
    again = rolled(tmp_path / "again", current, hosts)
    assert again.code == 0, again.said
    assert [left["id"] for left in current.registration_tokens()] == [other]


def shared_with_other_runs(folder: Path) -> list[Answer]:
    """What a host answers of the lock and of the configuration, which are files in a folder."""
    folder.mkdir(parents=True)
    lock, conf = folder / "lock", folder / "conf"
    settings = f'sed -n \'s/^\\(url\\|id\\|key\\) = \\(.*\\)/"\\1": "\\2",/p\' {conf}'
    facts = '{"configuration": { %s "complete": true}, "registered_machine_id": "' + MACHINE + '"}'
    return [
        ("^command .*set -C", {"shell": f"set -C; (: >{lock}) 2>/dev/null; printf '{{\"rc\": %d}}' $?"}),
        ("^file .*alpamon-registering", {"shell": f"rm -f {lock}; echo '{{\"changed\": true}}'"}),
        ("agent", {"shell": f"! test -f {conf} || printf '{facts}' \"$({settings})\""}),
        # As a whole, since the other run may read it meanwhile.
        ("^copy .*alpamon.conf", {"shell": f"cat >{conf}.$$ && mv {conf}.$$ {conf}; echo '{{\"changed\": true}}'"}),
    ]


def test_two_runs_at_once_make_one_record_for_each_host(current: Workspace, tmp_path: Path) -> None:
    current.settings(instant=True)
    current.fault("slow", method="POST", path="/register/$", delay=2)
    hosts = {name: a_host(name, *shared_with_other_runs(tmp_path / name)) for name in "ab"}
    extra = json.dumps({"alpamon_serial": "100%", "__alpamon_lock_delay": 1})
    with ExitStack() as stack:
        stack.enter_context(agents_come(current))
        begin = [
            started_role(tmp_path / run, current, hosts, "--extra-vars", extra, playbook=PLAYBOOK)
            for run in ("one", "other")
        ]
        ends = [stack.enter_context(started)[1] for started in begin]
        runs = [ended() for ended in ends]
    assert [run.code for run in runs] == [0, 0], runs[0].said + runs[1].said
    names = {record["name"][:-7]: record["name"] for record in current.registered()}
    assert len(current.registered()) == len(names) == 2
    for run in runs:
        assert {name: line.split(",")[0] for name, line in summary(run).items()} == {
            name: f"connected as {record}" for name, record in names.items()
        }
    assert current.registration_tokens() == []


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


OOPS: dict[str, Any] = {"kind": "status", "status": 500, "body": '{"detail": "Oops."}'}


def test_a_workspace_that_is_away_before_it_registers(current: Workspace, tmp_path: Path) -> None:
    for method, path in (("POST", "/register/$"), ("GET", "servers/servers/"), ("DELETE", "")):
        current.fault(method=method, path=path, **OOPS)
    done = rolled(tmp_path / "away", current, {"a": a_host("a"), "b": a_host("b")})
    assert done.code == 2, done.said
    said = summary(done)
    assert "[POST /api/servers/servers/register/: HTTP 500] The request may have been carried out." in said["a"]
    assert "Whether it made a record named a-xxxxxx could not be seen." in said["a"]
    assert said["b"] == "not tried"
    assert "    left behind in the workspace: a-xxxxxx" in summary_lines(done)
    [token] = current.registration_tokens()
    [line] = [line for line in summary_lines(done) if line.startswith("The registration token")]
    assert line.startswith(f"The registration token {token['name']} could not be deleted")
    assert current.registered() == []
    current.clear_faults()
    again = rolled(tmp_path / "again", current, {"a": a_host("a"), "b": a_host("b")})
    assert again.code == 0, again.said
    assert len(current.registered()) == 2
    # That was of a run that is over.
    assert current.registration_tokens() == []


def test_a_workspace_that_is_away_after_it_registered(current: Workspace, tmp_path: Path) -> None:
    for method, path in (("GET", "servers/servers/"), ("DELETE", "servers/servers/")):
        current.fault(method=method, path=path, **OOPS)
    full = ("^copy .*alpamon.conf", {"failed": True, "msg": "No space left on device"})
    hosts = {"full": a_host("full", full), "waits": a_host("waits")}
    done = rolled(tmp_path / "away", current, hosts, but=hosts, alpamon_serial="100%", alpamon_connect_timeout="1s")
    assert done.code == 2, done.said
    records = {record["name"][:-7]: record["id"] for record in current.registered()}
    [orphan] = [record["name"] for record in current.registered() if record["name"].startswith("full-")]
    said = summary(done)
    assert said["full"].startswith("FAILED. The configuration could not be written. No space left on device")
    assert f"The record {records['full']} is left behind in the workspace" in said["full"]
    assert f"    left behind in the workspace: {records['full']}" in summary_lines(done)
    assert said["waits"].startswith("NOT KNOWN. The workspace could not be asked whether the agent is connected. GET ")
    assert summary_lines(done)[-1] == "2 hosts, 0 of them well, 1 failed, 1 not known, 0 not tried."
    assert f"    its record in the workspace: {records['waits']}" in summary_lines(done)
    assert current.registration_tokens() == []
    current.clear_faults()
    hosts = {"full": a_host("full"), "waits": after(done, "waits")}
    again = rolled(tmp_path / "again", current, hosts, but=[orphan])
    assert again.code == 0, again.said
    kept = {record["name"][:-7]: record["id"] for record in current.registered()}
    assert len(current.registered()) == len(kept) == 2
    assert kept["waits"] == records["waits"]
    assert kept["full"] != records["full"]


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


def test_the_record_of_a_host_before_it_was_installed_anew_is_named(current: Workspace, tmp_path: Path) -> None:
    registered(current)
    [old] = current.registered()
    current.change_server(old["name"], commissioned=True, is_connected=False)
    done = rolled(tmp_path, current, {"a": ScriptedHost(DEBIAN)}, but=[old["name"]])
    assert done.code == 0, done.said
    assert f"    offline in the workspace under the same name: {old['name']}, {old['id']}" in summary_lines(done)
    assert f"offline records of the same name: {old['name']}, {old['id']}. If one is this host's" in done.said


def test_waves_go_on_within_the_limit(current: Workspace, tmp_path: Path) -> None:
    hosts = {"a": ScriptedHost(DEBIAN), "b": ScriptedHost(DEBIAN, BROKEN), "c": ScriptedHost(DEBIAN)}
    limit: dict[str, Any] = {"alpamon_max_fail_percentage": 50, "alpamon_serial": 1, "alpamon_state": "installed"}
    done = rolled(tmp_path, current, hosts, **limit)
    assert done.code == 2, done.said
    assert summary(done)["c"] == "version 2.5.0, not connected"


def test_removal(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: ScriptedHost(DEBIAN, installed("2.5.0")) for name in "ab"}
    done = rolled(tmp_path, current, hosts, alpamon_state="absent")
    assert done.code == 0, done.said
    assert summary(done) == {"a": "removed", "b": "removed"}
    assert current.counters()["writes"] == 0


def test_removal_takes_records_along_whose_keys_were_never_written(current: Workspace, tmp_path: Path) -> None:
    lost = ("^copy .*alpamon.conf", {"lost": "No route to host."})
    hosts = {"a": a_host("a", lost), "b": a_host("b", lost)}
    interrupted = rolled(tmp_path / "lost", current, hosts, but=hosts, alpamon_serial=2)
    assert len(current.registered()) == 2, interrupted.said
    done = rolled(tmp_path / "gone", current, {"a": a_host("a")}, but=hosts, alpamon_state="absent")
    assert done.code == 0, done.said
    [record] = current.registered()
    assert record["name"].startswith("b-")
    current.fault("status", method="DELETE", path="servers/servers/", status=403, body='{"code": "forbidden"}')
    done = rolled(tmp_path / "kept", current, {"b": a_host("b")}, but=hosts, alpamon_state="absent")
    assert done.code == 0, done.said
    assert f"    left behind in the workspace: {record['id']}" in summary_lines(done)


def test_a_record_that_was_made_on_another_machine_stays_and_is_named(current: Workspace, tmp_path: Path) -> None:
    elsewhere = found(registered_machine_id="f" * 32)
    answers = {name: registered(current) for name in ("present", "installed", "absent")}
    hosts = {state: a_host(state, *elsewhere, *its, alpamon_state=state) for state, its in answers.items()} | {
        "own": a_host("own", *registered(current))
    }
    done = rolled(tmp_path, current, hosts, alpamon_serial=4)
    assert done.code == 0, done.said
    assert summary(done)["absent"] == "removed"
    ids = [its[0][1]["configuration"]["id"] for its in answers.values()]
    assert set(ids) < {record["id"] for record in current.registered()}
    lines = summary_lines(done)
    told = "    registered on a machine of another id, and left in the workspace: "
    assert [line for line in lines if line.startswith(told)] == [told + record for record in ids]
    assert all(f"the record {record} in {current.url}" in done.said for record in ids)


@pytest.mark.parametrize("serial", [[1, 7], 8])
def test_hosts_with_one_record_fail_and_name_each_other(current: Workspace, tmp_path: Path, serial: object) -> None:
    its, theirs, gone = registered(current), registered(current), registered(current)
    records = [answers[0][1]["configuration"] for answers in (its, theirs)]
    upper = found(configuration={**records[0], "id": records[0]["id"].upper()})
    hosts = {
        "original": a_host("original", *its),
        "clone": a_host("clone", *upper, *its),
        "stays": a_host("stays", *theirs),
        "leaves": a_host("leaves", *theirs, alpamon_state="absent"),
        # That one the role itself can tell from its original.
        "known": a_host("known", *found(registered_machine_id="f" * 32), *theirs),
        # Nobody keeps their record.
        "one": a_host("one", *gone, alpamon_state="absent"),
        "other": a_host("other", *gone, alpamon_state="installed"),
        "fresh": a_host("fresh"),
    }
    done = rolled(tmp_path, current, hosts, alpamon_serial=serial, alpamon_max_fail_percentage=100)
    assert done.code == 2, done.said
    said = summary(done)
    for name, other in {"original": "clone", "clone": "original", "stays": "leaves", "leaves": "stays"}.items():
        assert said[name].startswith(f"FAILED. It has the same credentials as {other}. One of them is a clone"), name
    assert said["known"].startswith("connected as known-")
    assert said["fresh"].startswith("connected as fresh-")
    assert (said["one"], said["other"]) == ("removed", "version 2.5.0, not connected")
    assert {record["id"] for record in records} < {row["id"] for row in current.registered()}
    assert len(current.registered()) == 4


def test_two_names_of_a_machine_that_is_registered_under_the_first_one(current: Workspace, tmp_path: Path) -> None:
    machine = shared_with_other_runs(tmp_path / "machine")
    hosts = {name: a_host(name, *machine) for name in "ab"}
    done = rolled(tmp_path / "run", current, hosts, alpamon_serial=1)
    assert done.code == 2, done.said
    assert summary(done)["a"].startswith("FAILED. It has the same credentials as b.")
    assert summary(done)["b"].startswith("FAILED. It has the same credentials as a.")
    assert len(current.registered()) == 1


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
