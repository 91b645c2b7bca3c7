# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test registration tokens: every state, and lost responses."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from system.registrations import manage_token
from system.support import FakeClock, in_every_dialect
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import LostResponse, RunIsOver, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext, get_process_key
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import registration_token as _registration_tokens
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, FAR

TOKENS = "/registration-tokens/"


@pytest.fixture
def fake_time(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Replace the clock of the task too, so that it does not wait."""
    monkeypatch.setattr(_registration_tokens, "time", clock)
    return clock


def ids(workspace: Workspace) -> list[str]:
    """List the IDs of all tokens."""
    return [token["id"] for token in workspace.registration_tokens()]


def group_id(workspace: Workspace, name: str) -> str:
    """Return the UUID of a group."""
    return str({group["name"]: group["id"] for group in workspace.state()["groups"]}[name])


@pytest.mark.parametrize("state", ["present", "absent", "rotated", "temporary"])
def test_an_ended_run_changes_no_tokens(current: Workspace, state: str) -> None:
    name = f"fleet-{GONE}" if state == "temporary" else "fleet"
    current.add_registration_token(name=name, enabled=state == "absent")
    before = ids(current)
    options = {option: given.get("default") for option, given in _registration_tokens.SPEC.items()}
    options |= {"url": current.url, "token": current.token, "name": "fleet", "state": state}
    with pytest.raises(RunIsOver):
        _registration_tokens.run_registration_token(options, Run(RunContext(is_over=lambda: True, process=os.getpid())))
    assert ids(current) == before


# temporary

GONE = "4194305-0"


def test_temporary_tokens_of_ended_runs_are_deleted(workspace: Workspace) -> None:
    mark = get_process_key(os.getpid())
    gone = mark.partition("-")[0] + "-4194305-7"
    stale = workspace.add_registration_token(f"fleet-{gone}")["id"]
    names = ("fleet", "fleet-web", f"fleet-{mark}", f"fleet-00000000-{GONE}", f"other-{gone}", f"a-fleet-{gone}")
    others = [workspace.add_registration_token(name)["id"] for name in names]
    workspace.reset_counters()
    predicted = manage_token(workspace, state="temporary", process=os.getpid(), check_mode=True)
    assert (predicted.changed, predicted["deleted"]) == (True, [stale])
    assert workspace.counters()["writes"] == 0
    made = manage_token(workspace, state="temporary", process=os.getpid())
    assert made["name"] == predicted["name"] == f"fleet-{mark}"
    assert made["deleted"] == [stale]
    assert sorted(ids(workspace)) == sorted([*others, made["id"]])
    assert made["key"]


# present


@in_every_dialect
def test_created_once(workspace: Workspace) -> None:
    wanted: dict[str, Any] = {"groups": ["Operations"], "expires_at": FAR, "description": "For the fleet"}
    made = manage_token(workspace, **wanted)
    [token] = workspace.registration_tokens()
    assert (made.changed, made.failed) == (True, False)
    assert (made["id"], made["key"], made["name"]) == (token["id"], token["key"], "fleet")
    assert made["groups"] == token["allowed_groups"] == [group_id(workspace, "Operations")]
    assert (made["expires_at"], token["description"]) == (FAR, "For the fleet")
    assert (made["deleted"], made["requests"]) == ([], 3)
    again = manage_token(workspace, **wanted)
    assert (again.changed, again["id"], again["key"]) == (False, made["id"], None)
    assert "state=rotated" in again["msg"]
    assert workspace.counters()["writes"] == 1


@pytest.mark.parametrize(
    ("stands", "wanted"),
    [
        ({"groups": ["Operations"]}, {}),
        ({"expires_at": FAR}, {"expires_at": "2999-01-01T09:00:00+09:00"}),
    ],
)
def test_a_matching_token_is_kept(workspace: Workspace, stands: dict[str, Any], wanted: dict[str, Any]) -> None:
    token = workspace.add_registration_token(**stands)
    kept = manage_token(workspace, **wanted)
    assert not kept.changed
    assert (kept["id"], kept["key"]) == (token["id"], None)


@pytest.mark.parametrize(
    ("stands", "wanted", "option"),
    [
        ({"groups": ["Operations"]}, {"groups": ["Legacy"]}, "groups"),
        ({"groups": ["Operations"]}, {"groups": []}, "groups"),
        ({"expires_at": "2999-01-01T00:00:01Z"}, {"expires_at": FAR}, "expires_at"),
    ],
)
def test_a_token_that_differs_cannot_be_changed(
    workspace: Workspace, stands: dict[str, Any], wanted: dict[str, Any], option: str
) -> None:
    token = workspace.add_registration_token(**stands)
    with pytest.raises(UsageError, match=f"{option}: .*{token['id']}.* Use state=rotated"):
        manage_token(workspace, **wanted)
    assert workspace.counters()["writes"] == 0


@pytest.mark.parametrize("stands", [{"enabled": False}, {"expires_at": -60}])
def test_an_unusable_token_is_replaced(workspace: Workspace, stands: dict[str, Any]) -> None:
    old = workspace.add_registration_token(**stands)
    made = manage_token(workspace, diff_mode=True)
    assert (made.changed, made["deleted"]) == (True, [old["id"]])
    assert ids(workspace) == [made["id"]]
    assert made["diff"]["before"].startswith("fleet: groups none, ")
    assert made["diff"]["after"] == "fleet: groups none, never expires\n"


# rotated, absent


def test_rotated(workspace: Workspace) -> None:
    other, *old = [workspace.add_registration_token(name)["id"] for name in ("fleet-2", "fleet", "fleet")]
    made = manage_token(workspace, state="rotated", groups=["Operations"], diff_mode=True)
    assert made.changed
    assert sorted(made["deleted"]) == sorted(old)
    assert set(ids(workspace)) == {other, made["id"]}
    methods = [entry["method"] for entry in workspace.log() if entry["method"] != "GET"]
    assert methods == ["POST", "DELETE", "DELETE"], "never without a token"
    assert str(made.result).count(made["key"]) == 1
    [token] = [token for token in workspace.registration_tokens() if token["id"] == made["id"]]
    assert re.fullmatch(r"Made by Ansible \([0-9a-f]{8}\)", token["description"])


def test_rotated_while_the_old_one_cannot_be_deleted(workspace: Workspace) -> None:
    old = workspace.add_registration_token()["id"]
    workspace.fault("status", method="DELETE", path=TOKENS, status=403, body='{"code": "forbidden"}')
    made = manage_token(workspace, state="rotated")
    assert (made.changed, made["deleted"]) == (True, [])
    [warning] = made.warnings
    assert old in warning
    assert set(ids(workspace)) == {old, made["id"]}


def test_absent(workspace: Workspace) -> None:
    old = [workspace.add_registration_token(enabled=enabled)["id"] for enabled in (True, False)]
    gone = manage_token(workspace, state="absent", diff_mode=True)
    assert (gone.changed, sorted(gone["deleted"])) == (True, sorted(old))
    assert (gone["id"], gone["key"], gone["diff"]["after"]) == (None, None, "")
    assert ids(workspace) == []
    again = manage_token(workspace, state="absent")
    assert (again.changed, again["msg"]) == (False, "There is no token with that name.")


# check mode


@pytest.mark.parametrize("state", ["present", "rotated", "absent"])
@pytest.mark.parametrize("stands", [False, True])
def test_check_mode_writes_nothing(workspace: Workspace, state: str, stands: bool) -> None:
    if stands:
        workspace.add_registration_token()
    before = ids(workspace)
    predicted = manage_token(workspace, state=state, check_mode=True, diff_mode=True)
    assert ids(workspace) == before
    assert workspace.counters()["writes"] == 0
    assert predicted["key"] is None
    assert predicted["msg"].startswith("Would be ") is predicted.changed
    done = manage_token(workspace, state=state, diff_mode=True)
    assert not done["msg"].startswith("Would be ")
    assert predicted.changed == done.changed
    assert predicted["deleted"] == done["deleted"]
    assert predicted.result.get("diff") == done.result.get("diff")


def test_unknown_groups(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=r"groups: no group is named Operation\. Did you mean Operations\?"):
        manage_token(workspace, groups=["Operation"])
    assert ids(workspace) == []


# lost responses


@in_every_dialect
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lose_before"},
        {"kind": "lose_after"},
        {"kind": "status_after", "status": 201, "body": f'{{"id": "{COMMAND}", "key": 5}}'},
    ],
)
def test_a_lost_response_leaves_one_token_with_a_known_key(
    workspace: Workspace, fake_time: FakeClock, fault: dict[str, Any]
) -> None:
    workspace.fault(method="POST", path=TOKENS, times=1, **fault)
    made = manage_token(workspace, groups=["Operations"])
    assert made.changed
    [token] = workspace.registration_tokens()
    assert (made["id"], made["key"]) == (token["id"], token["key"])
    assert len(fake_time.slept) == (2 if fault["kind"] == "lose_before" else 1)
    assert fake_time.slept[0] == 0


def test_two_lost_responses_end_in_an_error_that_names_the_token(workspace: Workspace, fake_time: FakeClock) -> None:
    workspace.fault("lose_after", method="POST", path=TOKENS)
    with pytest.raises(LostResponse) as caught:
        manage_token(workspace)
    [left] = ids(workspace)
    assert left in str(caught.value)
    assert workspace.counters()["routes"][f"POST /api/servers{TOKENS}"]["total"] == 2


def test_tokens_of_others_are_never_deleted(workspace: Workspace, fake_time: FakeClock) -> None:
    workspace.fault("lose_after", method="POST", path=TOKENS, times=1)
    fake_time.at(0, workspace.add_registration_token)
    with pytest.raises(LostResponse, match="unless another run has just created it"):
        manage_token(workspace)
    assert len(ids(workspace)) == 2
    assert [entry["method"] for entry in workspace.log()].count("DELETE") == 0


def test_a_failed_search_for_a_lost_token(workspace: Workspace, fake_time: FakeClock) -> None:
    workspace.fault("lose_after", method="POST", path=TOKENS, times=1)
    workspace.fault("status", method="GET", path=TOKENS, after=1, status=403, body='{"code": "forbidden"}')
    with pytest.raises(LostResponse, match="could not be listed"):
        manage_token(workspace)
