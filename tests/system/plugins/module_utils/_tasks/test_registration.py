# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test registrations: every state, lost responses, and other records of the same name."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from system.registrations import REFUSED, REGISTER, manage_token, new_agent, read_registrations, register
from system.support import FakeClock, Request, Response, ScriptedServer, TaskResult, in_every_dialect
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, RunIsOver
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration import SPEC, run_registration
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_task import MACHINE, MARKER

Serve = Callable[..., ScriptedServer]
UUID = "550e8400-e29b-41d4-a716-446655440000"
CREDENTIALS: dict[str, Any] = {"id": UUID, "key": "a-key-of-nobody"}
MYSELF = "/servers/-/$"
NOTHING_TO_DO = "Nothing to do: the record is gone, or belongs to other credentials."
#: Faults of a proxy or the workspace, after which credentials are neither valid nor invalid.
UNVERIFIED: list[dict[str, Any]] = [
    {"kind": "status", "status": 403, "body": '{"message": "Forbidden"}'},
    {"kind": "status", "status": 200, "body": "{}"},
    {"kind": "lose_after"},
]
#: Lost responses to a registration, and True if it made a record.
LOST: list[tuple[dict[str, Any], bool]] = [
    ({"kind": "lose_before"}, False),
    ({"kind": "lose_after"}, True),
    ({"kind": "status_after", "status": 201, "body": '{"id": null}'}, True),
]
#: The options of a host that registers for the first time.
NEW: dict[str, Any] = {"registration_token": "x", "name": "web", "platform": "debian"}


@pytest.fixture
def fake_time(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Replace the clock of the tasks too, so that they do not wait."""
    tasks = "ansible_collections.herdops.alpacon.plugins.module_utils._tasks"
    for module in ("orphaned_servers", "registration", "registration_task"):
        monkeypatch.setattr(f"{tasks}.{module}.time", clock)
    return clock


def scripted(server: ScriptedServer | Workspace, run: Run | None = None, **given: Any) -> dict[str, Any]:
    """Run a task against scripted responses."""
    options = {name: option.get("default") for name, option in SPEC.items()}
    return run_registration({**options, "url": server.url, **given}, run or Run())


def enrol(workspace: Workspace, name: str = "web", **given: Any) -> TaskResult:
    """Register with a valid token."""
    made = [token["key"] for token in workspace.registration_tokens() if token["name"] == "fleet"]
    key = made[0] if made else workspace.add_registration_token(groups=["Operations"])["key"]
    return register(workspace, registration_token=key, name=name, platform="debian", **given)


def only_record(workspace: Workspace) -> dict[str, Any]:
    """Return the only registered record."""
    [record] = workspace.registered()
    return record


def add_starting_record(workspace: Workspace, name: str, **fields: Any) -> None:
    """Add a record whose agent has not connected yet."""
    workspace.add_servers(name, commissioned=False, connected=False, version=None, **fields)


def posts(workspace: Workspace) -> int:
    """Count the registrations that were sent."""
    return sum(entry["method"] == "POST" and entry["path"].endswith("/register/") for entry in workspace.log())


# state: registered, without credentials


@in_every_dialect
def test_registered_once(workspace: Workspace) -> None:
    done = enrol(workspace, "web.example.com", tags={"env": "prod"}, diff_mode=True)
    record = only_record(workspace)
    assert (done.changed, done["requests"], done["orphans"]) == (True, 1, [])
    assert (done["id"], done["key"], done["name"]) == (record["id"], record["key"], record["name"])
    assert (done["credentials"], done["commissioned"], done["is_connected"]) == ("valid", False, False)
    assert record["name"].startswith("web-")
    assert (record["platform"], record["tags"], record["groups"]) == ("debian", {"env": "prod"}, ["Operations"])
    assert done["msg"] == f"Registered as {record['name']}."
    assert done["diff"] == {"before": "", "after": f"{record['name']}\n"}
    assert str(done.result).count(done["key"]) == 1
    again = enrol(workspace, id=done["id"], key=done["key"])
    assert (again.changed, again["id"], again["key"], again["name"]) == (False, done["id"], None, done["name"])
    assert (again["requests"], len(workspace.registered())) == (1, 1)


@in_every_dialect
def test_with_an_api_token_orphans_and_offline_records_are_named(workspace: Workspace) -> None:
    orphan, connected, offline, _other = (new_agent(workspace, name) for name in ("web", "web", "web", "web-2"))
    names = {record["id"]: record["name"] for record in workspace.registered()}
    for name in names.values():
        workspace.change_server(name, added_at=-7200)
    workspace.change_server(names[connected.id], commissioned=True, is_connected=True)
    workspace.change_server(names[offline.id], commissioned=True, is_connected=False)
    starting = new_agent(workspace)
    done = enrol(workspace, token=workspace.token, tags={"env": "prod"})
    assert done["orphans"] == [{"id": orphan.id, "name": names[orphan.id]}]
    assert done["duplicates"] == [{"id": offline.id, "name": names[offline.id]}]
    made = {record["id"]: record for record in workspace.registered()}
    assert set(made) == {*names, starting.id, done["id"]}
    assert set(made[done["id"]]["tags"]) == {"env", MARKER}
    # Lists of older workspaces do not have added_at.
    assert done["requests"] == (2 if workspace.dialect == "current" else 4)


def test_an_ended_run_registers_nothing(current: Workspace) -> None:
    with pytest.raises(RunIsOver):
        scripted(current, Run(RunContext(is_over=lambda: True)), **NEW)
    assert current.registered() == []


# records of the same machine

MACHINE_ID = "0123456789abcdef0123456789abcdef web-01"


def test_the_tag_of_a_machine_is_a_digest(current: Workspace) -> None:
    reported: list[str] = []
    given = {**NEW, "registration_token": current.add_registration_token()["key"], "tags": {"env": "prod"}}
    done = scripted(current, Run(RunContext(report=reported.append)), machine=MACHINE_ID, **given)
    record = only_record(current)
    assert re.fullmatch("[0-9a-f]{32}", record["tags"][MACHINE])
    assert (record["tags"]["env"], len(record["tags"])) == ("prod", 2)
    assert "0123456789abcdef" not in str(current.log())
    # The id is printed before the key is on the host.
    assert reported == [f"alpacon: registered {record['name']}, {done['id']}"]


@in_every_dialect
def test_unused_records_of_the_machine_are_deleted(workspace: Workspace) -> None:
    lost = [enrol(workspace, machine=MACHINE_ID), enrol(workspace, machine=f" {MACHINE_ID}\n")]
    used = enrol(workspace, machine=MACHINE_ID)
    workspace.change_server(used["name"], commissioned=True)
    others = [enrol(workspace, machine="0123456789abcdef0123456789abcdef web-02"), enrol(workspace), used]
    done = enrol(workspace, machine=MACHINE_ID, token=workspace.token)
    kept = {done["id"], *(other["id"] for other in others)}
    if workspace.dialect != "current":  # lists no tags
        kept |= {record["id"] for record in lost}
    assert {record["id"] for record in workspace.registered()} == kept
    # The records are too new to be orphans.
    assert (done["orphans"], done.warnings) == ([], [])


def test_a_failed_search_for_orphans_loses_no_key(workspace: Workspace, fake_time: FakeClock) -> None:
    workspace.fault("status", method="GET", status=500)
    done = enrol(workspace, token=workspace.token)
    assert not done.failed
    assert done["key"] == only_record(workspace)["key"]
    assert "may be left behind, since the search for them failed" in done.warnings[0]


def test_check_mode_sends_nothing(workspace: Workspace) -> None:
    done = enrol(workspace, check_mode=True, diff_mode=True)
    assert done.changed
    assert (done["id"], done["key"], done["name"]) == (None, None, "web")
    assert done["diff"]["after"] == "web\n"
    assert workspace.requests_made() == 0


@in_every_dialect
def test_a_registration_token_is_checked_without_a_registration(workspace: Workspace) -> None:
    key = workspace.add_registration_token()["key"]
    answers = []
    for token, fault in ((key, None), ("unknown-token", None), (key, 503)):
        if fault:
            workspace.fault(method="POST", path=REGISTER, kind="status", status=fault, body="Down.")
        done = read_registrations(workspace, registration_token=token)
        answers.append(done["accepted"])
        assert token not in str(done)
    assert answers == [True, False, None]
    assert workspace.registered() == []


@in_every_dialect
def test_a_registration_token_that_is_refused(workspace: Workspace) -> None:
    done = register(workspace, **{**NEW, "registration_token": "nothing-like-it"})
    assert (done.failed, done.changed, workspace.registered()) == (True, False, [])
    assert done["msg"].startswith("registration_token: the workspace refuses it.")
    assert posts(workspace) == 1


# lost responses


def test_a_lost_response_without_an_api_token(workspace: Workspace, fake_time: FakeClock) -> None:
    workspace.fault("lose_after", method="POST", path=REGISTER)
    done = enrol(workspace)
    assert (done.failed, done.changed) == (True, True)
    assert "A record named web-xxxxxx may be left behind" in done["msg"]
    assert done["orphans"] == [{"id": None, "name": "web-xxxxxx"}]
    assert posts(workspace) == len(workspace.registered()) == 1


@in_every_dialect
@pytest.mark.parametrize(("fault", "made"), LOST)
def test_a_lost_response_with_an_api_token(
    workspace: Workspace, fake_time: FakeClock, fault: dict[str, Any], made: bool
) -> None:
    workspace.settings(date_header=True)
    workspace.fault(method="POST", path=REGISTER, times=1, **fault)
    done = enrol(workspace, token=workspace.token)
    record = only_record(workspace)
    assert (done["id"], done["key"]) == (record["id"], record["key"])
    assert done["orphans"] == []
    assert posts(workspace) == 2
    assert len(fake_time.slept) == (1 if made else 3)  # searches
    assert fake_time.slept[0] == 0


def test_three_lost_responses(current: Workspace, fake_time: FakeClock) -> None:
    current.fault("lose_after", method="POST", path=REGISTER)
    done = enrol(current, token=current.token)
    assert done.failed
    assert "the connection broke" in done["msg"]
    assert posts(current) == 3
    assert current.registered() == []


def test_records_of_other_hosts_stay(current: Workspace, fake_time: FakeClock) -> None:
    """Register another host of that name at the same time."""
    fake_time.at(0, lambda: add_starting_record(current, "web-abcdef", tags={"env": "test"}))
    current.fault("lose_before", method="POST", path=REGISTER, times=1)
    done = enrol(current, token=current.token)
    assert only_record(current)["id"] == done["id"]
    assert "web-abcdef" in current.server_ids()
    assert done["orphans"] == []


def test_without_tags_no_uncertain_record_is_deleted(published: Workspace, fake_time: FakeClock) -> None:
    fake_time.at(0, lambda: add_starting_record(published, "web-abcdef"))
    published.fault("lose_after", method="POST", path=REGISTER, times=1)
    done = enrol(published, token=published.token)
    assert done.failed
    assert "The request may have made one of these records" in done["msg"]
    ids = {only_record(published)["id"], published.server_ids()["web-abcdef"]}
    assert {orphan["id"] for orphan in done["orphans"]} == ids


def test_a_record_that_cannot_be_deleted(workspace: Workspace, fake_time: FakeClock) -> None:
    workspace.fault("lose_after", method="POST", path=REGISTER, times=1)
    workspace.fault("status", method="DELETE", status=403, body='{"code": "forbidden"}')
    done = enrol(workspace, token=workspace.token)
    record = only_record(workspace)
    assert done.failed
    assert done["orphans"] == [{"id": record["id"], "name": record["name"]}]
    assert record["id"] in done["msg"]
    assert posts(workspace) == 1


# state: registered, with credentials


@in_every_dialect
def test_stale_credentials_are_replaced_only_where_allowed(workspace: Workspace) -> None:
    kept = enrol(workspace, **CREDENTIALS)
    assert (kept.failed, kept.changed, kept["credentials"]) == (True, False, "stale")
    assert "Set replace_stale" in kept["msg"]
    assert str(REFUSED[workspace.dialect]) in kept["msg"]
    assert enrol(workspace, **CREDENTIALS, replace_stale=True, check_mode=True).changed
    assert posts(workspace) == 0
    replaced = enrol(workspace, **CREDENTIALS, replace_stale=True)
    assert (replaced.changed, replaced["key"]) == (True, only_record(workspace)["key"])


@pytest.mark.parametrize("fault", UNVERIFIED)
def test_unverified_credentials_never_register(
    workspace: Workspace, fake_time: FakeClock, fault: dict[str, Any]
) -> None:
    workspace.fault(path=MYSELF, **fault)
    done = enrol(workspace, **CREDENTIALS, replace_stale=True)
    assert (done.failed, done.changed, done["credentials"]) == (True, False, "unreachable")
    assert "Nothing was registered" in done["msg"]
    assert posts(workspace) == 0
    asked = read_registrations(workspace, **CREDENTIALS)
    assert (asked.failed, asked["credentials"], asked["connected"]) == (False, "unreachable", None)
    assert asked["msg"].startswith("The stored credentials could not be verified. ")


# alpacon_registration_info


@in_every_dialect
def test_credentials_are_verified(workspace: Workspace) -> None:
    agent = new_agent(workspace)
    agent.commit()
    done = read_registrations(workspace, token=None, **agent.options)
    assert not done.changed
    assert (done["credentials"], done["commissioned"], done["version"]) == ("valid", True, "2.5.0")
    assert (done["connected"], done["name"], done["requests"]) == (False, only_record(workspace)["name"], 1)
    workspace.change_server(done["name"], is_connected=True)
    assert read_registrations(workspace, **agent.options)["connected"] is True
    stale = read_registrations(workspace, id=agent.id, key="wrong-key")
    assert not stale.failed
    assert (stale["credentials"], stale["name"], stale["connected"]) == ("stale", None, None)
    assert workspace.counters()["writes"] == 0
    assert [entry["token"] for entry in workspace.log() if entry["token"] == "admin"] == []


# a workspace without registration by token


@pytest.mark.parametrize("with_token", [False, True])
def test_a_workspace_without_registration(workspace: Workspace, fake_time: FakeClock, with_token: bool) -> None:
    agent = new_agent(workspace)
    workspace.settings(registration=False)
    token = workspace.token if with_token else None
    done = register(workspace, registration_token="x", name="db", platform="debian", token=token)
    assert (done.failed, done.changed, done["orphans"], done["requests"]) == (True, False, [], 1)
    assert "does not support registration by token" in done["msg"]
    with pytest.raises(AlpaconError, match="does not support registration by token"):
        manage_token(workspace)
    assert read_registrations(workspace, **agent.options)["credentials"] == "valid"


# state: connected


def test_connected_later(workspace: Workspace, fake_time: FakeClock) -> None:
    agent = new_agent(workspace)
    workspace.fault("status", path=MYSELF, status=503, times=2)
    with ExitStack() as stack:

        def dial() -> None:
            stack.enter_context(agent.dial())
            workspace.wait_connected(only_record(workspace)["name"])

        fake_time.at(5, agent.commit)
        fake_time.at(20, dial)
        done = register(workspace, state="connected", **agent.options)
        again = register(workspace, state="connected", **agent.options)
    assert 20 <= fake_time.passed < 40
    for result in (done, again):
        assert (result.changed, result.failed) == (False, False)
        assert (result["connected"], result["is_connected"]) == (True, True)
    assert (again["requests"], again["msg"]) == (1, f"{only_record(workspace)['name']} is connected.")


@pytest.mark.parametrize(("commits", "text"), [(False, "has not sent its first report"), (True, "no open websocket")])
def test_not_connected_in_time(workspace: Workspace, fake_time: FakeClock, commits: bool, text: str) -> None:
    agent = new_agent(workspace)
    if commits:
        agent.commit()
    done = register(workspace, state="connected", wait_timeout="3m", **agent.options)
    assert done.failed
    assert "Not connected within 180 s." in done["msg"]
    assert text in done["msg"]
    assert "journalctl -u alpamon" in done["msg"]
    assert (done["credentials"], done["commissioned"], done["connected"]) == ("valid", commits, False)
    assert 160 < fake_time.passed <= 185
    assert done["requests"] == 25


@pytest.mark.parametrize(
    ("stated", "wanted", "comes"), [("v2.6.0-rc1", "2.6.0~rc1", True), (None, "2.5.0", True), ("2.4.0", "2.5.0", False)]
)
def test_connected_on_a_version(
    serve: Serve, fake_time: FakeClock, stated: str | None, wanted: str, comes: bool
) -> None:
    row = {"id": UUID, "name": "web-1a2b3c", "commissioned": True, "is_connected": True, "version": stated}
    given: dict[str, Any] = {"state": "connected", "version": wanted, "wait_timeout": "3s"}
    done = scripted(serve([Response(row)]), **given, **CREDENTIALS)
    assert done.get("failed", False) is not comes
    assert ("An agent of version 2.4.0 is connected, not 2.5.0." in done["msg"]) is not comes


LATEST = Response({"agent_rollout_policy": "latest"})


@pytest.mark.parametrize(
    ("answer", "given", "alerted"),
    [
        (LATEST, {"pinned": True}, 1),
        (Response({"agent_rollout_policy": {"mode": "n_minus_1"}}), {"pinned": True}, 1),
        (Response({"agent_rollout_policy": {"mode": "manual"}}), {"pinned": True}, 0),
        (Response({}), {"pinned": True}, 0),
        (LATEST, {}, 0),
        (LATEST, {"pinned": True, "token": None}, 0),
        (Response({"code": "forbidden"}, 403), {"pinned": True}, 0),
    ],
)
def test_a_workspace_that_upgrades_pinned_agents_is_warned_of_once(
    serve: Serve, answer: Response, given: dict[str, Any], alerted: int
) -> None:
    row = {"id": UUID, "commissioned": True, "is_connected": True, "version": "2.5.0"}
    server = serve(lambda request: Response(row) if "/servers/-/" in request.path else answer)
    alerts: list[str] = []
    marks = iter([True, False])
    run = Run(RunContext(alert=alerts.append, is_first=lambda _mark: next(marks)))
    for _worker in range(2):
        scripted(server, run, **{"token": "x", "state": "connected", "version": "2.5.0", **CREDENTIALS, **given})
    assert ["so 2.5.0 might not stay. Hold the package" in alert for alert in alerts] == [True] * alerted


@pytest.mark.parametrize(
    ("fault", "seconds", "connected", "text"),
    [
        ({"status": 503}, 999, None, "The stored credentials could not be verified, so the state"),
        ({"status": 401, "body": '{"code": "unauthorized"}'}, 999, None, "The workspace refuses the stored"),
        ({"status": 503}, 5, False, "Not connected within 120 s."),
    ],
    ids=["away", "refused", "away long ago"],
)
def test_an_unreachable_workspace_leaves_the_connection_unknown(
    current: Workspace, fake_time: FakeClock, fault: dict[str, Any], seconds: float, connected: bool | None, text: str
) -> None:
    agent = new_agent(current)
    current.fault("status", path=MYSELF, **fault)
    fake_time.at(seconds, current.clear_faults)
    done = register(current, state="connected", **agent.options)
    assert (done.failed, done["connected"]) == (True, connected)
    assert done["msg"].startswith(text)


OTHER = "1a50ea6c-2138-4d3f-9633-e50694c847c4"


@pytest.mark.parametrize(
    ("row", "credentials"),
    [
        ({"id": OTHER, "name": "other", "commissioned": True, "is_connected": True}, "unreachable"),
        ({"id": UUID, "commissioned": "yes", "is_connected": True}, "unreachable"),
        ({"id": UUID, "commissioned": True, "is_connected": "no"}, "valid"),
    ],
)
def test_only_the_row_of_the_server_is_used(
    serve: Serve, fake_time: FakeClock, row: dict[str, Any], credentials: str
) -> None:
    server = serve([Response(row)])
    done = scripted(server, state="connected", wait_timeout="3s", **CREDENTIALS)
    known = False if credentials == "valid" else None
    assert (done.get("failed"), done["credentials"], done["connected"]) == (True, credentials, known)
    kept = scripted(server, replace_stale=True, **NEW, **CREDENTIALS)
    assert (kept.get("failed", False), kept["changed"]) == (credentials == "unreachable", False)


# state: unregistered


def test_unregistered(workspace: Workspace) -> None:
    agent = new_agent(workspace)
    predicted = register(workspace, state="unregistered", check_mode=True, diff_mode=True, **agent.options)
    assert (predicted.changed, predicted["msg"]) == (True, "Would be unregistered.")
    assert workspace.counters()["writes"] == 0
    done = register(workspace, state="unregistered", diff_mode=True, **agent.options)
    assert (done.changed, done["msg"]) == (True, "Unregistered.")
    assert done["diff"] == predicted["diff"] == {"before": f"{agent.id}\n", "after": ""}
    assert workspace.registered() == []
    for check_mode in (False, True):
        again = register(workspace, state="unregistered", check_mode=check_mode, **agent.options)
        assert (again.changed, again.failed) == (False, False)


@pytest.mark.parametrize("key", ["wrong-key", None])
@pytest.mark.parametrize("check_mode", [False, True])
def test_unregistered_by_the_api_token(workspace: Workspace, key: str | None, check_mode: bool) -> None:
    agent = new_agent(workspace)
    given: dict[str, Any] = {"id": agent.id, "key": key, "token": workspace.token, "check_mode": check_mode}
    done = register(workspace, state="unregistered", **given)
    assert done.changed
    assert len(workspace.registered()) == check_mode
    if check_mode:
        workspace.remove_server(only_record(workspace)["name"])
    assert not register(workspace, state="unregistered", **given).changed


OF_ANOTHER: dict[str, Any] = {"state": "unregistered", "token": "of-this-workspace", "clean_up": False}


@pytest.mark.parametrize("valid", [True, False])
def test_a_record_of_another_workspace_is_deleted_by_its_agent_alone(workspace: Workspace, valid: bool) -> None:
    agent = new_agent(workspace)
    given = {**OF_ANOTHER, **agent.options, **({} if valid else {"key": "wrong-key"})}
    done = register(workspace, **given)
    assert (done.failed, done.changed, done["orphans"]) == (False, valid, [])
    assert done["msg"] == ("Unregistered." if valid else NOTHING_TO_DO)
    assert len(workspace.registered()) == (0 if valid else 1)
    assert [(entry["method"], entry["token"]) for entry in workspace.log()][1:] == [("DELETE", None)]


def test_a_record_of_an_unreachable_workspace_is_named(fake_time: FakeClock) -> None:
    options = {name: option.get("default") for name, option in SPEC.items()}
    done = run_registration({**options, **OF_ANOTHER, **CREDENTIALS, "url": "http://127.0.0.1:9"}, Run())
    assert (done["failed"], done["changed"], done["orphans"]) == (True, False, [{"id": UUID, "name": None}])
    assert f"The record {UUID} may be left behind, since it could not be deleted. DELETE" in done["msg"]


def test_a_record_that_is_connected_with_other_credentials_is_not_deleted(workspace: Workspace) -> None:
    agent = new_agent(workspace)
    with agent.dial():
        workspace.wait_connected(only_record(workspace)["name"])
        done = register(workspace, state="unregistered", id=agent.id, key="wrong-key", token=workspace.token)
    assert done.failed
    assert [orphan["id"] for orphan in done["orphans"]] == [agent.id]
    assert only_record(workspace)["id"] == agent.id


def test_a_lost_unregistration_is_sent_again(workspace: Workspace) -> None:
    workspace.fault("lose_after", method="DELETE", times=1)
    done = register(workspace, state="unregistered", **new_agent(workspace).options)
    assert (done.changed, done.failed) == (True, False)
    assert workspace.registered() == []


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_orphan_is_named(workspace: Workspace, fake_time: FakeClock, check_mode: bool) -> None:
    agent = new_agent(workspace)
    workspace.fault("status", path="/(unregister|-)/$", status=403, body="<h1>No</h1>")
    done = register(workspace, state="unregistered", check_mode=check_mode, **agent.options)
    assert (done.failed, done["orphans"]) == (True, [{"id": agent.id, "name": None}])
    assert agent.id in done["msg"]
    assert only_record(workspace)["id"] == agent.id


def left_behind(workspace: Workspace, **given: Any) -> TaskResult:
    """Delete the records that registrations of the machine have left."""
    given = {"token": workspace.token, "name": "web", "machine": MACHINE_ID, **given}
    return register(workspace, state="unregistered", **given)


def test_records_left_by_a_machine_are_deleted_without_an_id(current: Workspace) -> None:
    used, other = enrol(current, machine=MACHINE_ID), enrol(current, machine="another")
    current.change_server(used["name"], commissioned=True)
    for _time in range(2):
        enrol(current, machine=MACHINE_ID)
    assert not left_behind(current, token=None).changed
    predicted = left_behind(current, check_mode=True)
    assert (predicted.changed, predicted["msg"]) == (True, "2 of 2 records of the machine would be deleted.")
    assert len(current.registered()) == 4
    done = left_behind(current)
    assert (done.changed, done["id"], done["orphans"]) == (True, None, [])
    assert {record["id"] for record in current.registered()} == {used["id"], other["id"]}
    assert not left_behind(current).changed


# secrets


def test_each_request_has_the_one_credential_that_it_needs(serve: Serve) -> None:
    def answer(request: Request) -> Response:
        if request.method == "POST":
            return Response({"id": UUID, "key": "fresh", "name": "web-1a2b3c"}, status=201)
        if request.path.endswith("/-/"):
            return Response({"code": "unauthorized"}, status=401)
        return Response({"count": 0, "next": None, "results": []})

    server = serve(answer)
    given = {**NEW, **CREDENTIALS, "registration_token": "for-newcomers", "token": "of-the-user"}
    done = scripted(server, replace_stale=True, **given)
    assert (done["id"], done["key"]) == (UUID, "fresh")
    assert [(request.method, request.headers["Authorization"]) for request in server.requests] == [
        ("GET", f'id="{UUID}", key="a-key-of-nobody"'),
        ("POST", 'token="for-newcomers"'),
        ("GET", 'token="of-the-user"'),
    ]


def test_older_records_are_not_deleted_as_the_lost_one(published: Workspace, fake_time: FakeClock) -> None:
    published.settings(date_header=True)
    old = new_agent(published)
    published.change_server(only_record(published)["name"], added_at=-7200)
    published.fault("lose_after", method="POST", path=REGISTER, times=1)
    done = enrol(published, token=published.token)
    assert {record["id"] for record in published.registered()} == {done["id"], old.id}
    assert [orphan["id"] for orphan in done["orphans"]] == [old.id]


def test_a_record_of_the_machine_that_cannot_be_deleted_is_named(current: Workspace) -> None:
    lost = enrol(current, machine=MACHINE_ID)
    current.fault("status", method="DELETE", status=403, body='{"code": "forbidden"}')
    done = enrol(current, machine=MACHINE_ID, token=current.token)
    assert not done.failed
    assert done["orphans"] == [{"id": lost["id"], "name": lost["name"]}]
    assert "is left behind and could not be deleted" in done.warnings[0]


# replace

RECORD = "/servers/[0-9a-f-]{36}/$"


def old_record(
    workspace: Workspace, name: str = "web", group_name: str = "Alpacon users", **fields: Any
) -> dict[str, Any]:
    """Add the offline record of a host from before it was reinstalled."""
    agent = new_agent(workspace, name)
    record = next(record for record in workspace.registered() if record["id"] == agent.id)
    ids = [group["id"] for group in workspace.state()["groups"] if group["name"] == group_name]
    workspace.api("PATCH", f"servers/servers/{agent.id}/", json={"groups": ids}).raise_for_status()
    workspace.change_server(record["name"], **{"commissioned": True, "is_connected": False, **fields})
    workspace.reset_counters()
    return {"id": agent.id, "name": record["name"], "groups": ids}


def replace(workspace: Workspace, **given: Any) -> TaskResult:
    """Register a reinstalled host."""
    return enrol(workspace, replace=True, token=workspace.token, **given)


@in_every_dialect
def test_the_old_record_is_replaced(workspace: Workspace) -> None:
    old, _other = old_record(workspace), old_record(workspace, "web-2")
    predicted = replace(workspace, check_mode=True, diff_mode=True)
    assert (predicted["replaced"], predicted["duplicates"], workspace.counters()["writes"]) == (old, [], 0)
    assert predicted["msg"] == f"Would be registered as web. It replaces {old['name']}."
    assert predicted["diff"] == {"before": f"{old['name']}\n", "after": "web\n"}
    done = replace(workspace)
    [record] = workspace.registered("web")
    assert record["id"] == done["id"]
    assert sorted(record["groups"]) == ["Alpacon users", "Operations"]
    assert (done["replaced"], done["duplicates"], done.warnings) == (old, [], [])
    assert done["msg"] == f"Registered as {record['name']}. It replaces {old['name']}."
    assert len(workspace.registered("web-2")) == 1
    assert done["requests"] == 5  # register, list, read the groups, change them, delete


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({}, "2 offline records have the name web"),
        ({"is_connected": True}, "another host has the name web: web-"),
    ],
)
def test_nothing_is_replaced_if_the_old_record_is_not_certain(
    current: Workspace, other: dict[str, Any], text: str
) -> None:
    records = [old_record(current), old_record(current, **other)]
    done = replace(current)
    assert {record["id"] for record in current.registered()} == {done["id"], *(record["id"] for record in records)}
    assert (done["replaced"], len(done["duplicates"])) == (None, 1 if other else 2)
    assert text in done.warnings[0]
    assert all(f"{duplicate['name']} ({duplicate['id']})" in done.warnings[0] for duplicate in done["duplicates"])


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "method": "PATCH", "status": 403, "body": '{"code": "forbidden"}'},
        {"kind": "lose_before", "method": "PATCH"},
        {"kind": "status_after", "method": "PATCH", "status": 200, "body": '{"groups": []}'},
        {"kind": "status", "method": "GET", "path": RECORD, "status": 404, "body": '{"code": "api_not_found"}'},
    ],
    ids=["refused", "lost", "not all groups", "unseen"],
)
def test_an_old_record_is_not_deleted_without_its_groups(
    current: Workspace, fake_time: FakeClock, fault: dict[str, Any]
) -> None:
    old = old_record(current)
    current.fault(**fault)
    done = replace(current)
    assert (done.failed, done["replaced"]) == (False, None)
    assert done["duplicates"] == [{"id": old["id"], "name": old["name"]}]
    assert old["id"] in current.server_ids().values()
    assert f"replace: {old['name']} ({old['id']}) is not deleted" in done.warnings[0]
    assert sum(entry["method"] == "PATCH" for entry in current.log()) <= 2, "one is of old_record"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lose_after", "method": "PATCH"},
        {"kind": "status_after", "method": "PATCH", "status": 200, "body": "{}"},
        {
            "kind": "status",
            "method": "GET",
            "path": RECORD,
            "status": 404,
            "body": '{"code": "api_not_found"}',
            "times": 1,
        },
        {"kind": "lose_after", "method": "DELETE", "times": 1},
        {"kind": "lose_after", "method": "DELETE"},
    ],
)
def test_lost_responses_while_a_record_is_replaced(
    current: Workspace, fake_time: FakeClock, fault: dict[str, Any]
) -> None:
    old = old_record(current)
    current.fault(**fault)
    done = replace(current)
    assert (done["replaced"], done["duplicates"], done.warnings) == (old, [], [])
    assert sorted(only_record(current)["groups"]) == ["Alpacon users", "Operations"]


def test_an_old_record_that_cannot_be_deleted_is_named(current: Workspace) -> None:
    old = old_record(current)
    current.fault("status", method="DELETE", status=403, body='{"code": "forbidden"}')
    done = replace(current)
    assert (done["replaced"], done["duplicates"]) == (None, [{"id": old["id"], "name": old["name"]}])
    assert f"the new record has the groups of {old['name']} ({old['id']})" in done.warnings[0]


def test_groups_of_records_without_keys_are_copied(current: Workspace) -> None:
    old_record(current)
    lost = replace(current, machine=MACHINE_ID)
    old = old_record(current, group_name="Legacy")
    current.fault("status", method="PATCH", status=403, body='{"code": "forbidden"}', times=1)
    kept = replace(current, machine=MACHINE_ID)
    assert kept["orphans"] == [{"id": lost["id"], "name": lost["name"]}]
    assert kept["duplicates"] == [{"id": old["id"], "name": old["name"]}]
    done = replace(current, machine=MACHINE_ID)
    assert only_record(current)["id"] == done["id"]
    assert sorted(only_record(current)["groups"]) == ["Alpacon users", "Legacy", "Operations"]
