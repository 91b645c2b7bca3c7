# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks about registrations: every state, every answer to every question, in every dialect; no record too many."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from system.registering import REFUSED, REGISTER, ask, manage_token, new_agent, register
from system.support import Clock, Outcome, Reply, Request, ScriptedServer, in_every_dialect, paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, RunIsOver, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import (
    connected as _connected,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import (
    left_records as _left_records,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import (
    registered as _registered,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import (
    registration as _registration,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import (
    registration_task as _registration_task,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_order import MACHINE, MARKER

UUID = "550e8400-e29b-41d4-a716-446655440000"
CREDENTIALS: dict[str, Any] = {"id": UUID, "key": "a-key-of-nobody"}
MYSELF = "/servers/-/$"
#: What a proxy or a broken workspace answers, which says nothing of credentials.
NO_WORD: list[dict[str, Any]] = [
    {"kind": "status", "status": 401, "body": "<h1>Sign in</h1>"},
    {"kind": "status", "status": 403, "body": '{"message": "Forbidden"}'},
    {"kind": "status", "status": 404, "body": "no such page"},
    {"kind": "status", "status": 500, "body": '{"detail": "Oops."}'},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429, "body": '{"code": "api_rate_limited"}', "headers": {"Retry-After": "500"}},
    {"kind": "status", "status": 200, "body": "{}"},
    {"kind": "status", "status": 200, "body": '["commissioned"]'},
    {"kind": "html"},
    {"kind": "lose_before"},
    {"kind": "lose_after"},
]
#: Answers to a registration that are lost, and whether it made a record.
LOST: list[tuple[dict[str, Any], bool]] = [
    ({"kind": "lose_before"}, False),
    ({"kind": "lose_after"}, True),
    ({"kind": "reset"}, True),
    ({"kind": "truncate"}, True),
    ({"kind": "html"}, True),
    ({"kind": "status", "status": 500}, False),
    ({"kind": "status_after", "status": 502}, True),
    ({"kind": "status_after", "status": 201, "body": '{"id": null}'}, True),
]


def named(fault: Any) -> str:
    """A fault as the name of a test."""
    return "-".join(str(value) for value in fault.values()) if isinstance(fault, dict) else str(fault)


@pytest.fixture
def patient(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock, for waits for a connection and looks at what became of a lost request as well."""
    for module in (_registration_task, _registered, _connected, _left_records):
        monkeypatch.setattr(module, "time", clock)
    return clock


def enrol(workspace: Workspace, name: str = "web", **given: Any) -> Outcome:
    """Register with a token that is good."""
    tokens = workspace.registration_tokens() or [workspace.add_registration_token(groups=["Operations"])]
    return register(workspace, registration_token=tokens[0]["key"], name=name, platform="debian", **given)


def only_record(workspace: Workspace) -> dict[str, Any]:
    """The one record that registrations made."""
    [record] = workspace.registered()
    return record


def comes_up(workspace: Workspace, name: str, **fields: Any) -> None:
    """Another host's record is made, and its agent is not there yet."""
    workspace.add_servers(name, commissioned=False, connected=False, version=None, **fields)


def posts(workspace: Workspace) -> int:
    """How many registrations were sent."""
    return sum(entry["method"] == "POST" and entry["path"].endswith("/register/") for entry in workspace.log())


# state: registered, without credentials


@in_every_dialect
def test_registered(workspace: Workspace) -> None:
    done = enrol(workspace, "web.example.com", tags={"env": "prod"}, diff_mode=True)
    record = only_record(workspace)
    assert done.changed
    assert (done["id"], done["key"], done["name"]) == (record["id"], record["key"], record["name"])
    assert (done["credentials"], done["commissioned"], done["is_connected"]) == ("valid", False, False)
    assert record["name"].startswith("web-")
    assert (record["platform"], record["tags"], record["groups"]) == ("debian", {"env": "prod"}, ["Operations"])
    assert done["msg"] == f"Registered as {record['name']}."
    assert done["diff"] == {"before": "", "after": f"{record['name']}\n"}
    assert (done["requests"], done["orphans"]) == (1, [])


@pytest.mark.parametrize("platform", ["rhel", "darwin", "windows"])
def test_platforms(current: Workspace, platform: str) -> None:
    key = current.add_registration_token()["key"]
    assert register(current, registration_token=key, name="web", platform=platform).changed
    assert only_record(current)["platform"] == platform


def test_registered_stays_so(workspace: Workspace) -> None:
    first = enrol(workspace)
    second = enrol(workspace, id=first["id"], key=first["key"])
    assert not second.changed
    assert (second["id"], second["key"], second["name"]) == (first["id"], None, first["name"])
    assert second["requests"] == 1
    assert len(workspace.registered()) == 1


@in_every_dialect
def test_with_an_api_token_orphans_are_named(workspace: Workspace) -> None:
    orphan, connected, other = new_agent(workspace), new_agent(workspace), new_agent(workspace, "web-2")
    connected.commit()
    for record in workspace.registered():
        workspace.change_server(record["name"], added_at=-7200)
    starting = new_agent(workspace)
    done = enrol(workspace, token=workspace.token)
    names = {record["id"]: record["name"] for record in workspace.registered()}
    assert done["orphans"] == [{"id": orphan.id, "name": names[orphan.id]}]
    assert {orphan.id, connected.id, other.id, starting.id, done["id"]} == set(names)
    # Lists of older workspaces do not say how old a record is.
    assert done["requests"] == (2 if workspace.dialect == "current" else 4)


@in_every_dialect
def test_with_an_api_token_offline_records_of_the_name_are_named(workspace: Workspace) -> None:
    old, connected = new_agent(workspace), new_agent(workspace)
    names = {record["id"]: record["name"] for record in workspace.registered()}
    for agent in (old, connected):
        workspace.change_server(names[agent.id], commissioned=True, is_connected=agent is connected)
    done = enrol(workspace, token=workspace.token)
    assert (done["duplicates"], done["orphans"]) == ([{"id": old.id, "name": names[old.id]}], [])


def test_a_run_that_is_over_registers_nothing(current: Workspace) -> None:
    options = {name: option.get("default") for name, option in _registration.SPEC.items()}
    key = current.add_registration_token()["key"]
    options |= {"url": current.url, "registration_token": key, "name": "web", "platform": "debian"}
    with pytest.raises(RunIsOver):
        _registration.run_registration(options, Run(is_over=lambda: True))
    assert current.registered() == []


# records of the same machine

MACHINE_ID = "0123456789abcdef0123456789abcdef web-01"


def test_the_tag_of_a_machine_does_not_say_which_one_it_is(current: Workspace) -> None:
    told: list[str] = []
    key = current.add_registration_token()["key"]
    options = {
        "url": current.url,
        "registration_token": key,
        "name": "web",
        "platform": "debian",
        "state": "registered",
    }
    options |= {"wait_timeout": "2m", "machine": MACHINE_ID}
    done = _registration.run_registration({**options, "tags": {"env": "prod"}}, Run(tell=told.append))
    record = only_record(current)
    assert re.fullmatch("[0-9a-f]{32}", record["tags"][MACHINE])
    assert (record["tags"]["env"], len(record["tags"])) == ("prod", 2)
    assert "0123456789abcdef" not in str(current.log())
    # It is known before anybody has written the key.
    assert told == [f"alpacon: registered {record['name']}, {done['id']}"]


@in_every_dialect
def test_records_of_the_machine_whose_keys_were_lost_are_deleted(workspace: Workspace) -> None:
    lost = [enrol(workspace, machine=MACHINE_ID), enrol(workspace, machine=f" {MACHINE_ID}\n")]
    others = [enrol(workspace, machine="0123456789abcdef0123456789abcdef web-02"), enrol(workspace)]
    done = enrol(workspace, machine=MACHINE_ID, token=workspace.token)
    kept = {done["id"], *(other["id"] for other in others)}
    listed = workspace.dialect == "current"
    if not listed:
        kept |= {record["id"] for record in lost}
    assert {record["id"] for record in workspace.registered()} == kept
    # None of them is old enough to be named.
    assert (done["orphans"], done.warnings) == ([], [])


def test_records_of_the_machine_that_are_in_use_stay(current: Workspace) -> None:
    used = enrol(current, machine=MACHINE_ID)
    current.change_server(used["name"], commissioned=True, added_at=-7200)
    other = enrol(current, machine="another")
    current.change_server(other["name"], added_at=-7200)
    done = enrol(current, machine=MACHINE_ID, token=current.token)
    assert {record["id"] for record in current.registered()} == {used["id"], other["id"], done["id"]}
    assert done["orphans"] == []


@pytest.mark.parametrize(("machine", "named"), [(MACHINE_ID, ["bare"]), ("", ["bare", "other"])])
def test_old_records_are_named_that_may_be_of_this_machine(current: Workspace, machine: str, named: list[str]) -> None:
    old = {"bare": enrol(current), "other": enrol(current, machine="another"), "young": enrol(current)}
    for name, seconds in (("bare", -3700), ("other", -3700), ("young", -3500)):
        current.change_server(old[name]["name"], added_at=seconds)
    done = enrol(current, machine=machine, token=current.token)
    assert {orphan["id"] for orphan in done["orphans"]} == {old[name]["id"] for name in named}


def test_a_record_of_the_machine_that_cannot_be_deleted_is_named(current: Workspace) -> None:
    lost = enrol(current, machine=MACHINE_ID)
    current.fault("status", method="DELETE", status=403, body='{"code": "forbidden"}')
    done = enrol(current, machine=MACHINE_ID, token=current.token)
    assert not done.failed
    assert done["orphans"] == [{"id": lost["id"], "name": lost["name"]}]
    assert "is left behind and could not be deleted" in done.warnings[0]


@pytest.mark.parametrize(("fault", "made"), LOST, ids=named)
def test_a_lost_answer_with_a_machine(current: Workspace, patient: Clock, fault: dict[str, Any], made: bool) -> None:
    lost = enrol(current, machine=MACHINE_ID)
    current.fault(method="POST", path=REGISTER, times=1, **fault)
    done = enrol(current, machine=MACHINE_ID, token=current.token)
    assert lost["id"] != done["id"]
    assert (only_record(current)["id"], done["orphans"]) == (done["id"], [])


def test_the_mark_is_a_tag(workspace: Workspace) -> None:
    enrol(workspace, token=workspace.token, tags={"env": "prod"})
    tags = only_record(workspace)["tags"]
    assert tags.pop(MARKER)
    assert tags == {"env": "prod"}


def test_a_look_for_orphans_that_fails_loses_no_key(workspace: Workspace, patient: Clock) -> None:
    workspace.fault("status", method="GET", status=500)
    done = enrol(workspace, token=workspace.token)
    assert not done.failed
    assert done["key"] == only_record(workspace)["key"]
    assert "left behind is not known" in done.warnings[0]


def test_check_mode_sends_nothing(workspace: Workspace) -> None:
    done = enrol(workspace, check_mode=True, diff_mode=True)
    assert done.changed
    assert (done["id"], done["key"], done["name"]) == (None, None, "web")
    assert done["diff"]["after"] == "web\n"
    assert workspace.requests_made() == 0


@in_every_dialect
@pytest.mark.parametrize("token", ["unknown", "expired", "api"])
def test_a_registration_token_that_is_refused(workspace: Workspace, token: str) -> None:
    keys = {
        "unknown": "nothing-like-it",
        "expired": workspace.add_registration_token(expires_at=-1)["key"],
        "api": workspace.token,
    }
    done = register(workspace, registration_token=keys[token], name="web", platform="debian")
    assert done.failed
    assert not done.changed
    assert done["msg"].startswith("registration_token: the workspace refuses it.")
    assert posts(workspace) == 1
    assert workspace.registered() == []


def test_a_refused_registration_is_not_repeated(workspace: Workspace) -> None:
    workspace.fault("status", method="POST", path=REGISTER, status=400, body='{"code": "invalid", "source": "name"}')
    done = enrol(workspace)
    assert done.failed
    assert "HTTP 400 invalid source: name" in done["msg"]
    assert posts(workspace) == 1


def test_what_was_not_accepted_is_sent_again(workspace: Workspace, patient: Clock) -> None:
    body = '{"detail": "Request was throttled. Expected available in 1 second."}'
    workspace.fault("status", method="POST", path=REGISTER, times=2, status=429, body=body)
    assert enrol(workspace)["id"] == only_record(workspace)["id"]
    assert posts(workspace) == 3


# lost answers


@pytest.mark.parametrize(("fault", "made"), LOST, ids=named)
def test_a_lost_answer_without_an_api_token(
    workspace: Workspace, patient: Clock, fault: dict[str, Any], made: bool
) -> None:
    workspace.fault(method="POST", path=REGISTER, **fault)
    done = enrol(workspace)
    assert done.failed
    assert done.changed
    assert "A record named web-xxxxxx may be left behind" in done["msg"]
    assert done["orphans"] == [{"id": None, "name": "web-xxxxxx"}]
    assert posts(workspace) == 1
    assert len(workspace.registered()) == made


@in_every_dialect
@pytest.mark.parametrize(("fault", "made"), LOST, ids=named)
def test_a_lost_answer_with_an_api_token(
    workspace: Workspace, patient: Clock, fault: dict[str, Any], made: bool
) -> None:
    workspace.settings(date_header=True)
    workspace.fault(method="POST", path=REGISTER, times=1, **fault)
    done = enrol(workspace, token=workspace.token)
    record = only_record(workspace)
    assert (done["id"], done["key"]) == (record["id"], record["key"])
    assert done["orphans"] == []
    assert posts(workspace) == 2
    assert len(patient.slept) == (1 if made else 3)  # one look finds it, three looks find nothing
    assert patient.slept[0] == 0


@pytest.mark.parametrize(
    "key",
    [{"a": 1}, [1], 5, True, "", "abc\n[server]\nurl = http://evil", "\ud800", 'x", id="y', "ключ"],
    ids=lambda key: ascii(key)[:20],
)
@pytest.mark.parametrize("with_token", [False, True])
def test_a_key_that_is_none_is_a_lost_answer(current: Workspace, patient: Clock, key: Any, with_token: bool) -> None:
    answer = json.dumps({"id": UUID, "name": "web-1a2b3c", "key": key})
    current.fault("status_after", method="POST", path=REGISTER, times=1, status=201, body=answer)
    done = enrol(current, token=current.token if with_token else None)
    assert done.failed is not with_token
    if with_token:
        assert (done["id"], done["key"]) == (only_record(current)["id"], only_record(current)["key"])
    else:
        assert "the answer has no id and key in it" in done["msg"]
        assert done["orphans"] == [{"id": None, "name": "web-xxxxxx"}]


@pytest.mark.parametrize(
    ("name", "told"),
    [({"a": 1}, "web"), (["x"], "web"), ("a\ud800b", "a?b"), (None, "web"), ("web-1a2b3c", "web-1a2b3c")],
)
def test_a_name_that_is_none_is_not_told(serve: Callable[..., ScriptedServer], name: Any, told: str) -> None:
    server = serve([Reply({"id": UUID.upper(), "name": name, "key": " fresh\n"}, 201)])
    options = {"url": server.url, "state": "registered", "wait_timeout": "2m", "registration_token": "x"}
    done = _registration.run_registration({**options, "name": "web", "platform": "debian"}, Run())
    assert (done["id"], done["key"], done["name"]) == (UUID, "fresh", told)
    assert done["msg"] == f"Registered as {told}."


def test_three_lost_answers(current: Workspace, patient: Clock) -> None:
    current.fault("lose_after", method="POST", path=REGISTER)
    done = enrol(current, token=current.token)
    assert done.failed
    assert "the connection broke" in done["msg"]
    assert posts(current) == 3
    assert current.registered() == []


def test_records_of_other_hosts_stay(current: Workspace, patient: Clock) -> None:
    """Another host of that name registers at the very same time."""
    patient.at(0, lambda: comes_up(current, "web-abcdef", tags={"env": "test"}))
    current.fault("lose_before", method="POST", path=REGISTER, times=1)
    done = enrol(current, token=current.token)
    assert only_record(current)["id"] == done["id"]
    assert "web-abcdef" in current.server_ids()
    assert done["orphans"] == []


@pytest.mark.parametrize("dialect", ["published", "2024"])
def test_where_no_tags_are_listed_nothing_is_deleted_on_a_guess(
    running: Callable[[str], Workspace], patient: Clock, dialect: str
) -> None:
    workspace = running(dialect)
    workspace.reset()
    patient.at(0, lambda: comes_up(workspace, "web-abcdef"))
    workspace.fault("lose_after", method="POST", path=REGISTER, times=1)
    done = enrol(workspace, token=workspace.token)
    assert done.failed
    assert "It may have made one of these records" in done["msg"]
    ids = {only_record(workspace)["id"], workspace.server_ids()["web-abcdef"]}
    assert {orphan["id"] for orphan in done["orphans"]} == ids


def test_older_records_are_not_taken_for_the_lost_one(workspace: Workspace, patient: Clock) -> None:
    old = new_agent(workspace)
    workspace.change_server(workspace.registered()[0]["name"], added_at=-7200)
    workspace.fault("lose_after", method="POST", path=REGISTER, times=1)
    done = enrol(workspace, token=workspace.token)
    assert {record["id"] for record in workspace.registered()} == {done["id"], old.id}
    assert [orphan["id"] for orphan in done["orphans"]] == [old.id]


def test_a_record_that_comes_late_is_deleted(current: Workspace, patient: Clock) -> None:
    """The request was on its way for longer than anybody looked for what it made."""
    current.fault("lose_before", method="POST", path=REGISTER, times=1)
    late: list[dict[str, Any]] = []

    def arrive() -> None:
        [sent, _again] = [entry for entry in current.log() if entry["path"].endswith("/register/")]
        key = current.registration_tokens()[0]["key"]
        body = json.loads(sent["body"])
        late.append(current.api("POST", "servers/servers/register/", token=key, json=body).json())

    original = _registered._post_safely

    def post_safely(task: Any) -> Any:
        answer = original(task)
        arrive()
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_registered, "_post_safely", post_safely)
        current.add_registration_token()
        key = current.registration_tokens()[0]["key"]
        options = {"url": current.url, "token": current.token, "registration_token": key, "name": "web"}
        options |= {"platform": "debian", "state": "registered", "wait_timeout": "2m"}
        done = _registration.run_registration(options, Run())
    assert late
    assert only_record(current)["id"] == done["id"] != late[0]["id"]
    assert done["orphans"] == []


@pytest.mark.parametrize("fault", [{"status": 403, "body": '{"detail": "No."}'}, {"status": 500}], ids=named)
def test_a_look_that_fails_after_a_lost_answer(workspace: Workspace, patient: Clock, fault: dict[str, Any]) -> None:
    workspace.fault("lose_after", method="POST", path=REGISTER, times=1)
    workspace.fault("status", method="GET", **fault)
    done = enrol(workspace, token=workspace.token)
    assert done.failed
    assert "could not be seen" in done["msg"]
    assert done["orphans"] == [{"id": None, "name": "web-xxxxxx"}]
    assert posts(workspace) == 1


def test_an_api_token_that_does_not_see_the_record(workspace: Workspace, patient: Clock) -> None:
    workspace.add_registration_token(groups=["Legacy"])
    workspace.fault("lose_after", method="POST", path=REGISTER, times=1)
    done = enrol(workspace, token=workspace.tokens()["bob"])
    assert done["key"] in {record["key"] for record in workspace.registered()}
    assert done["orphans"] == [{"id": None, "name": "web-xxxxxx"}]
    assert "does not see the new record" in done.warnings[0]


def test_a_record_that_cannot_be_deleted(workspace: Workspace, patient: Clock) -> None:
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
@pytest.mark.parametrize("check_mode", [False, True])
def test_stale_credentials_are_replaced_only_where_allowed(workspace: Workspace, check_mode: bool) -> None:
    kept = enrol(workspace, **CREDENTIALS, check_mode=check_mode)
    assert kept.failed
    assert not kept.changed
    assert kept["credentials"] == "stale"
    assert "Set replace_stale" in kept["msg"]
    assert str(REFUSED[workspace.dialect]) in kept["msg"]
    assert posts(workspace) == 0
    replaced = enrol(workspace, **CREDENTIALS, replace_stale=True, check_mode=check_mode)
    assert replaced.changed
    assert posts(workspace) == (0 if check_mode else 1)
    if not check_mode:
        assert replaced["key"] == only_record(workspace)["key"]


@pytest.mark.parametrize("fault", NO_WORD, ids=named)
def test_no_word_about_credentials_never_registers(workspace: Workspace, patient: Clock, fault: dict[str, Any]) -> None:
    workspace.fault(path=MYSELF, **fault)
    done = enrol(workspace, **CREDENTIALS, replace_stale=True)
    assert done.failed
    assert not done.changed
    assert done["credentials"] == "unreachable"
    assert "so nothing was registered" in done["msg"]
    assert posts(workspace) == 0


def test_nobody_listens(current: Workspace, patient: Clock) -> None:
    options: dict[str, Any] = {
        "url": "http://127.0.0.1:9",
        "registration_token": "x",
        "name": "web",
        "platform": "debian",
    }
    options |= {"state": "registered", "replace_stale": True, "wait_timeout": "2m"}
    done = _registration.run_registration({**options, **CREDENTIALS}, Run())
    assert (done["failed"], done["credentials"]) == (True, "unreachable")
    done = _registration.run_registration(options, Run())
    assert (done["failed"], done["changed"]) == (True, False)
    assert "no connection" in done["msg"]


# alpacon_registration_info


@in_every_dialect
def test_credentials_are_asked_about(workspace: Workspace) -> None:
    agent = new_agent(workspace)
    agent.commit()
    done = ask(workspace, **agent.options)
    assert not done.changed
    assert (done["credentials"], done["commissioned"], done["version"]) == ("valid", True, "2.5.0")
    assert (done["name"], done["requests"]) == (only_record(workspace)["name"], 1)
    stale = ask(workspace, id=agent.id, key="wrong-key")
    assert not stale.failed
    assert (stale["credentials"], stale["name"]) == ("stale", None)
    assert workspace.counters()["writes"] == 0
    assert [entry["token"] for entry in workspace.log() if entry["token"] == "admin"] == []


@pytest.mark.parametrize("fault", NO_WORD, ids=named)
def test_asking_never_fails(workspace: Workspace, patient: Clock, fault: dict[str, Any]) -> None:
    workspace.fault(path=MYSELF, **fault)
    done = ask(workspace, **new_agent(workspace).options)
    assert not done.failed
    assert done["credentials"] == "unreachable"
    assert len(done["msg"]) > len("The workspace did not say whether the stored credentials are valid.")


def test_asking_takes_both(current: Workspace) -> None:
    for given, text in (({"id": UUID, "key": ""}, "key: it is missing"), ({"id": "", "key": "x"}, "id: it is missing")):
        with pytest.raises(UsageError, match=text):
            ask(current, **given)
    assert current.requests_made() == 0


# a workspace without registration by token


@in_every_dialect
@pytest.mark.parametrize("with_token", [False, True])
def test_a_workspace_without_registration_says_so(workspace: Workspace, patient: Clock, with_token: bool) -> None:
    agent = new_agent(workspace)
    workspace.settings(registration=False)
    token = workspace.token if with_token else None
    done = register(workspace, registration_token="x", name="db", platform="debian", token=token)
    assert (done.failed, done.changed, done["orphans"], done["requests"]) == (True, False, [], 1)
    assert "This workspace has no registration by token" in done["msg"]
    for state in ("present", "absent", "rotated"):
        with pytest.raises(AlpaconError, match="This workspace has no registration by token"):
            manage_token(workspace, state=state)
    assert ask(workspace, **agent.options)["credentials"] == "valid"
    # Its page of a missing route for the end of a registration leaves the record to the API token.
    page = "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"
    workspace.fault("status", method="DELETE", path="/unregister/$", status=404, body=page)
    gone = register(workspace, state="unregistered", token=token, **agent.options)
    assert (gone.failed, gone.changed, len(workspace.registered())) == (not with_token, with_token, not with_token)


# state: connected


@in_every_dialect
def test_connected(workspace: Workspace, patient: Clock) -> None:
    agent = new_agent(workspace)
    agent.commit()
    with agent.dial():
        workspace.wait_connected(only_record(workspace)["name"])
        done = register(workspace, state="connected", **agent.options)
    assert not done.changed
    assert (done["commissioned"], done["is_connected"], done["connected"], done["requests"]) == (True, True, True, 1)
    assert done["msg"] == f"{only_record(workspace)['name']} is connected."
    assert patient.slept == []


def test_connected_later(workspace: Workspace, patient: Clock) -> None:
    agent = new_agent(workspace)
    with ExitStack() as stack:

        def dial() -> None:
            stack.enter_context(agent.dial())
            workspace.wait_connected(only_record(workspace)["name"])

        patient.at(5, agent.commit)
        patient.at(20, dial)
        done = register(workspace, state="connected", **agent.options)
    assert done["is_connected"] is True
    assert 20 <= patient.passed < 40
    assert patient.slept == sorted(patient.slept)


@pytest.mark.parametrize(("commits", "text"), [(False, "has not sent its first report"), (True, "holds no websocket")])
def test_not_connected_in_time(workspace: Workspace, patient: Clock, commits: bool, text: str) -> None:
    agent = new_agent(workspace)
    if commits:
        agent.commit()
    done = register(workspace, state="connected", wait_timeout="3m", **agent.options)
    assert done.failed
    assert "Not connected within 180 s." in done["msg"]
    assert text in done["msg"]
    assert "journalctl -u alpamon" in done["msg"]
    assert (done["credentials"], done["commissioned"], done["connected"]) == ("valid", commits, False)
    assert 160 < patient.passed <= 185
    assert done["requests"] == 25


@pytest.mark.parametrize(
    ("stated", "wanted", "comes"),
    [
        ("2.5.0", "2.5.0", True),
        ("v2.6.0-rc1", "2.6.0~rc1", True),
        ("dev", "2.5.0", True),
        (None, "2.5.0", True),
        ("2.4.0", "2.5.0", False),
        ("2.4.0", "", True),
    ],
)
def test_connected_on_a_version(
    serve: Callable[..., ScriptedServer], patient: Clock, stated: str | None, wanted: str, comes: bool
) -> None:
    row = {"id": UUID, "name": "web-1a2b3c", "commissioned": True, "is_connected": True, "version": stated}
    given = {"url": serve([Reply(row)]).url, "state": "connected", "version": wanted, "wait_timeout": "3s"}
    options = {name: option.get("default") for name, option in _registration.SPEC.items()}
    done = _registration.run_registration({**options, **given, **CREDENTIALS}, Run())
    assert done.get("failed", False) is not comes
    assert ("An agent of version 2.4.0 is connected, not 2.5.0." in done["msg"]) is not comes


@pytest.mark.parametrize(
    ("policy", "given", "tells"),
    [
        ("latest", {"pinned": True}, True),
        ("latest", {}, False),
        ("latest", {"pinned": True, "token": None}, False),
        ("manual", {"pinned": True}, False),
        ("", {"pinned": True}, False),
    ],
)
def test_a_workspace_that_upgrades_what_is_pinned(
    current: Workspace, policy: str, given: dict[str, Any], tells: bool
) -> None:
    current.settings(agent_rollout_policy=policy)
    agent = new_agent(current)
    current.change_server(only_record(current)["name"], commissioned=True, is_connected=True, version="2.5.0")
    options = {name: option.get("default") for name, option in _registration.SPEC.items()}
    options |= {"url": current.url, "token": current.token, "state": "connected", "version": "2.5.0"}
    alerts: list[str] = []
    marks: set[str] = set()
    run = Run(alert=alerts.append, first=lambda mark: mark not in marks and not marks.add(mark))  # type: ignore[func-returns-value]
    for _worker in range(2):
        done = _registration.run_registration({**options, **agent.options, **given}, run)
        assert not done.get("failed")
    assert len(alerts) == tells
    assert all("so 2.5.0 will not stay. Hold the package" in alert for alert in alerts)


@pytest.mark.parametrize(
    ("answer", "tells"),
    [
        ({"agent_rollout_policy": "latest"}, True),
        ({"agent_rollout_policy": {"mode": "latest"}}, True),
        ({"agent_rollout_policy": {"mode": "manual"}}, False),
        ({"agent_rollout_policy": None}, False),
        (["latest"], False),
    ],
    ids=str,
)
def test_the_policy_for_upgrades_is_a_word_or_an_object(
    serve: Callable[..., ScriptedServer], answer: Any, tells: bool
) -> None:
    row = {"id": UUID, "commissioned": True, "is_connected": True, "version": "2.5.0"}
    server = serve(lambda request: Reply(row if "/servers/-/" in request.path else answer))
    options = {"url": server.url, "token": "x", "state": "connected", "wait_timeout": "2m", "pinned": True}
    alerts: list[str] = []
    done = _registration.run_registration({**options, **CREDENTIALS}, Run(alert=alerts.append))
    assert not done.get("failed")
    assert ["so their version will not stay" in alert for alert in alerts] == [True] * tells


@in_every_dialect
def test_a_workspace_that_does_not_say_whether_it_upgrades(workspace: Workspace) -> None:
    agent = new_agent(workspace)
    workspace.change_server(only_record(workspace)["name"], commissioned=True, is_connected=True, version="2.5.0")
    workspace.fault("status", path="/preferences/", status=403, body='{"code": "forbidden"}', times=1)
    given = {"state": "connected", "pinned": True, "token": workspace.token, **agent.options}
    for _answer in ("refused", "missing"):
        assert not register(workspace, **given).failed
        assert "/api/workspaces/preferences/-/" in paths(workspace)
        assert [fault["times"] for fault in workspace.faults()] == [0]
        workspace.reset_counters()


def test_connected_rides_out_what_passes(workspace: Workspace, patient: Clock) -> None:
    agent = new_agent(workspace)
    agent.commit()
    workspace.fault("html", path=MYSELF, times=2)
    workspace.fault("status", path=MYSELF, status=503, times=8)
    with agent.dial():
        workspace.wait_connected(only_record(workspace)["name"])
        done = register(workspace, state="connected", **agent.options)
    assert not done.failed
    assert done["requests"] == 11


#: Answers by which nobody knows whether an agent is connected, how long they come, and what the task says.
NOT_KNOWN: list[tuple[dict[str, Any], float, str]] = [
    ({"status": 503}, 999, "The workspace could not be asked whether the agent is connected."),
    ({"status": 401, "body": '{"code": "unauthorized"}'}, 999, "The workspace refuses the stored credentials, so"),
    ({"status": 503}, 100, "The agent is not connected yet, and takes a minute after the workspace was away."),
]


@pytest.mark.parametrize(("fault", "seconds", "text"), NOT_KNOWN, ids=["away", "refused", "away-before"])
def test_a_workspace_that_cannot_be_asked_leaves_the_connection_unknown(
    current: Workspace, patient: Clock, fault: dict[str, Any], seconds: float, text: str
) -> None:
    agent = new_agent(current)
    current.fault("status", path=MYSELF, **fault)
    patient.at(seconds, current.clear_faults)
    done = register(current, state="connected", **agent.options)
    assert (done.failed, done["connected"]) == (True, None)
    assert done["msg"].startswith(text)
    assert done["msg"].endswith("Check that the workspace answers, then run the task again.")


def test_a_workspace_that_was_away_long_ago_knows_what_is_not_connected(current: Workspace, patient: Clock) -> None:
    current.fault("status", path=MYSELF, status=503, times=1)
    done = register(current, state="connected", **new_agent(current).options)
    assert (done.failed, done["connected"]) == (True, False)
    assert done["msg"].startswith("Not connected within 120 s.")


def test_a_workspace_that_does_not_say_whether_it_is_connected(serve: Callable[..., ScriptedServer]) -> None:
    server = serve(lambda _request: Reply({"id": UUID, "commissioned": True}))
    options = {"url": server.url, "state": "connected", "wait_timeout": "2m", **CREDENTIALS}
    done = _registration.run_registration(options, Run())
    assert (done["commissioned"], done["is_connected"]) == (True, None)
    assert done["msg"] == f"{UUID} is connected."


OTHER = "1a50ea6c-2138-4d3f-9633-e50694c847c4"


@pytest.mark.parametrize(
    ("row", "credentials"),
    [
        ({"id": OTHER, "name": "other", "commissioned": True, "is_connected": True}, "unreachable"),
        ({"commissioned": True, "is_connected": True}, "unreachable"),
        ({"id": UUID, "commissioned": "yes", "is_connected": True}, "unreachable"),
        ({"id": UUID, "commissioned": True, "is_connected": "no"}, "valid"),
        ({"id": UUID, "commissioned": True, "is_connected": None}, "valid"),
        ({"id": UUID, "commissioned": False, "is_connected": True}, "valid"),
    ],
)
def test_only_its_own_row_says_that_a_server_is_connected(
    serve: Callable[..., ScriptedServer], patient: Clock, row: dict[str, Any], credentials: str
) -> None:
    options = {"url": serve([Reply(row)]).url, "state": "connected", "wait_timeout": "3s", **CREDENTIALS}
    done = _registration.run_registration(options, Run())
    known = False if credentials == "valid" else None
    assert (done.get("failed"), done["credentials"], done["connected"]) == (True, credentials, known)
    stale = {**options, "state": "registered", "replace_stale": True, "registration_token": "x", "name": "web"}
    kept = _registration.run_registration({**stale, "platform": "debian"}, Run())
    assert (kept.get("failed", False), kept["changed"]) == (credentials == "unreachable", False)


def test_facts_of_other_types_are_not_told(serve: Callable[..., ScriptedServer], patient: Clock) -> None:
    row = {"id": UUID, "name": {"a": [5]}, "commissioned": True, "is_connected": "no", "version": [1]}
    options = {"url": serve([Reply(row)]).url, "state": "registered", "wait_timeout": "3s", **CREDENTIALS}
    done = _registration.run_registration(options, Run())
    assert (done["name"], done["commissioned"], done["is_connected"], done["version"]) == (None, True, None, None)


# state: unregistered


@in_every_dialect
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
        assert not again.changed
        assert not again.failed


@in_every_dialect
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


def test_without_clean_up_the_api_token_is_sent_nowhere(workspace: Workspace) -> None:
    agent = new_agent(workspace)
    given: dict[str, Any] = {"id": agent.id, "key": "wrong-key", "token": workspace.token, "clean_up": False}
    assert not register(workspace, state="unregistered", **given).changed
    assert only_record(workspace)["id"] == agent.id
    assert [entry["token"] for entry in workspace.log() if entry["token"] == "admin"] == []
    assert [entry["method"] for entry in workspace.log()] == ["POST", "DELETE"], "the agent's own two requests"


def test_unregistering_spares_what_is_connected_with_other_credentials(workspace: Workspace) -> None:
    agent = new_agent(workspace)
    with agent.dial():
        workspace.wait_connected(only_record(workspace)["name"])
        done = register(workspace, state="unregistered", id=agent.id, key="wrong-key", token=workspace.token)
    assert done.failed
    assert [orphan["id"] for orphan in done["orphans"]] == [agent.id]
    assert only_record(workspace)["id"] == agent.id


@pytest.mark.parametrize("kind", ["lose_before", "lose_after"])
def test_a_lost_unregistration_is_sent_again(workspace: Workspace, kind: str) -> None:
    workspace.fault(kind, method="DELETE", times=1)
    done = register(workspace, state="unregistered", **new_agent(workspace).options)
    assert done.changed
    assert not done.failed
    assert workspace.registered() == []


@pytest.mark.parametrize(
    "fault",
    [{"status": 403, "body": "<h1>No</h1>"}, {"status": 500}, {"status": 405, "body": '{"detail": "No."}'}],
    ids=named,
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_an_orphan_is_named(workspace: Workspace, patient: Clock, fault: dict[str, Any], check_mode: bool) -> None:
    agent = new_agent(workspace)
    workspace.fault("status", path="/(unregister|-)/$", **fault)
    done = register(workspace, state="unregistered", check_mode=check_mode, **agent.options)
    assert done.failed
    assert done["orphans"] == [{"id": agent.id, "name": None}]
    assert agent.id in done["msg"]
    assert only_record(workspace)["id"] == agent.id


def test_an_unregistration_that_is_lost_twice_may_have_changed_something(current: Workspace, patient: Clock) -> None:
    current.fault("lose_before", method="DELETE")
    done = register(current, state="unregistered", **new_agent(current).options)
    assert (done.failed, done.changed) == (True, True)


def test_an_orphan_that_check_mode_cannot_look_for_is_named(current: Workspace) -> None:
    agent = new_agent(current)
    current.fault("status", method="GET", path=f"{agent.id}/$", status=403, body='{"code": "forbidden"}')
    done = register(current, state="unregistered", check_mode=True, id=agent.id, token=current.token)
    assert (done.failed, done.changed, done["orphans"]) == (True, False, [{"id": agent.id, "name": None}])
    assert f"Not known to be unregistered: the record {agent.id} may be left behind." in done["msg"]


def left_behind(workspace: Workspace, **given: Any) -> Outcome:
    """The task that ends what registrations of the machine have left."""
    given = {"token": workspace.token, "name": "web", "machine": MACHINE_ID, **given}
    return register(workspace, state="unregistered", **given)


def test_what_a_machine_left_behind_is_ended_without_an_id(current: Workspace) -> None:
    used, other = enrol(current, machine=MACHINE_ID), enrol(current, machine="another")
    current.change_server(used["name"], commissioned=True)
    for _time in range(2):
        enrol(current, machine=MACHINE_ID)
    everything = {record["id"] for record in current.registered()}
    assert not left_behind(current, token=None).changed
    predicted = left_behind(current, check_mode=True)
    assert (predicted.changed, predicted["msg"]) == (True, "2 of 2 records of the machine would be deleted.")
    assert {record["id"] for record in current.registered()} == everything
    done = left_behind(current)
    assert (done.changed, done["id"], done["orphans"]) == (True, None, [])
    assert {record["id"] for record in current.registered()} == {used["id"], other["id"]}
    assert not left_behind(current).changed


def test_what_a_machine_left_behind_and_cannot_be_deleted_is_named(current: Workspace) -> None:
    lost = enrol(current, machine=MACHINE_ID)
    current.fault("status", method="DELETE", status=403, body='{"code": "forbidden"}')
    done = left_behind(current)
    assert (done.changed, done["orphans"]) == (False, [{"id": lost["id"], "name": lost["name"]}])
    assert "is left behind and could not be deleted" in done.warnings[0]
    current.clear_faults()
    other = enrol(current, machine=MACHINE_ID)
    current.fault("status", method="DELETE", path=lost["id"], status=403, body='{"code": "forbidden"}')
    done = left_behind(current)
    assert (done.changed, done["msg"]) == (True, "1 of 2 records of the machine were deleted.")
    assert other["id"] not in {record["id"] for record in current.registered()}


# bad input


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"name": "web", "platform": "debian"}, "registration_token: it is missing"),
        ({"registration_token": "x", "platform": "debian"}, "name: it is missing"),
        ({"registration_token": "x", "name": "web"}, "platform: it is missing"),
        ({"registration_token": "x y", "name": "web", "platform": "debian"}, "registration_token: .* character"),
        ({"registration_token": "x", "name": "...", "platform": "debian"}, "name: nothing is left"),
        ({"registration_token": "x", "name": "10.0.0.1", "platform": "debian"}, "name: 10.0.0.1 is an address"),
        ({**CREDENTIALS, "replace_stale": True}, "registration_token: it is missing"),
        ({**CREDENTIALS, "tags": {"env": 1}}, "tags: the value of env is not a string"),
        ({**CREDENTIALS, "tags": {" ": "x"}}, "tags: ' ' is no name"),
        ({**CREDENTIALS, "tags": {MARKER: "x"}}, f"tags: '{MARKER}' is no name"),
        ({**CREDENTIALS, "tags": {MACHINE: "x"}}, f"tags: '{MACHINE}' is no name"),
        ({**CREDENTIALS, "wait_timeout": "soon"}, "wait_timeout: 'soon' is not a duration"),
        ({"id": UUID}, "key: it is missing"),
        ({"key": "x"}, "id: it is missing"),
        ({"id": "web", "key": "x"}, "id: 'web' is not a UUID"),
        ({"id": UUID, "key": 'x", id="y'}, "key: it has a character that no key has"),
        ({"state": "connected"}, "id: it is missing"),
        ({"state": "unregistered", "id": UUID}, "key: it is missing"),
        ({"state": "unregistered", "name": "web"}, "id: it is missing"),
        ({"state": "unregistered", "machine": MACHINE_ID}, "id: it is missing"),
        ({"url": ""}, "url: .* is missing"),
    ],
)
def test_bad_options(current: Workspace, given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        register(current, **given)
    assert current.requests_made() == 0


# secrets


def test_secrets_stay_where_they_belong(workspace: Workspace) -> None:
    done = enrol(workspace, token=workspace.token, diff_mode=True)
    rest = {name: value for name, value in done.result.items() if name != "key"}
    shown = json.dumps([rest, done.warnings])
    assert done["key"] not in shown
    assert workspace.token not in shown
    assert workspace.registration_tokens()[0]["key"] not in shown


def test_each_request_carries_the_one_credential_that_it_needs(serve: Callable[..., ScriptedServer]) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "POST":
            return Reply({"id": UUID, "key": "fresh", "name": "web-1a2b3c"}, status=201)
        if request.path.endswith("/-/"):
            return Reply({"code": "unauthorized"}, status=401)
        return Reply({"count": 0, "next": None, "results": []})

    server = serve(answer)
    options = {"url": server.url, "state": "registered", "wait_timeout": "2m", "replace_stale": True, **CREDENTIALS}
    options |= {"registration_token": "for-newcomers", "name": "web", "platform": "debian", "token": "of-the-user"}
    done = _registration.run_registration(options, Run())
    assert (done["id"], done["key"]) == (UUID, "fresh")
    assert [(request.method, request.headers["Authorization"]) for request in server.requests] == [
        ("GET", f'id="{UUID}", key="a-key-of-nobody"'),
        ("POST", 'token="for-newcomers"'),
        ("GET", 'token="of-the-user"'),
    ]
