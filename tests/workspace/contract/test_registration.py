# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test registration tokens, registration, the first start of an agent, and its removal.

The workspace of 2024 had no registration tokens; here it has them as well, so that agents can come to it the same way.
"""

from __future__ import annotations

import re
import typing as t

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from workspace.client import Workspace

TOKENS = "servers/registration-tokens/"
REGISTER = "servers/servers/register/"
MYSELF = "servers/servers/-/"
REFUSED = {
    "current": (401, {"code": "auth_authentication_failed"}),
    "published": (401, {"code": "UNAUTHORIZED", "detail": "Invalid token."}),
    "2024": (403, {"detail": "Authentication credentials were not provided."}),
}
in_every_dialect = pytest.mark.parametrize("workspace", ["current", "published", "2024"], indirect=True)


class Agent:
    def __init__(self, workspace: Workspace) -> None:
        answer = register(workspace, workspace.add_registration_token()["key"]).json()
        self.url, self.id, self.name = workspace.url, answer["id"], answer["name"]
        self.headers = {"Authorization": f'id="{self.id}", key="{answer["key"]}"', "User-Agent": "alpamon/2.5.0"}

    def ask(self, method: str, path: str, body: t.Any = None) -> requests.Response:
        return requests.request(method, f"{self.url}/api/{path}", headers=self.headers, json=body, timeout=30)

    def dial(self, kind: str = "backhaul") -> ClientConnection:
        url = f"{self.url.replace('http', 'ws', 1)}/ws/servers/{kind}/"
        return connect(url, additional_headers=self.headers, proxy=None)


def register(workspace: Workspace, key: str, **fields: t.Any) -> requests.Response:
    body = {"name": "web", "platform": "debian", "tags": {"env": "prod"}, **fields}
    return workspace.api("POST", REGISTER, token=key, json=body)


def test_the_key_of_a_token_is_shown_once(current: Workspace) -> None:
    row = current.api("POST", TOKENS, json={"name": "fleet", "expires_at": "2031-01-01T00:00:00Z"}).json()
    key = row.pop("key")
    assert row["enabled"] is True
    assert current.api("GET", f"{TOKENS}?search=flee").json()["results"] == [row]
    assert current.api("GET", f"{TOKENS}{row['id']}/").json() == row
    assert [token["key"] for token in current.registration_tokens()] == [key]
    assert current.api("GET", TOKENS, token=current.tokens()["bob"]).status_code == 403
    assert current.api("POST", TOKENS, json={"name": ""}).status_code == 400
    assert current.api("DELETE", f"{TOKENS}{row['id']}/").status_code == 204
    assert current.api("GET", f"{TOKENS}{row['id']}/").status_code == 404


@in_every_dialect
def test_every_registration_makes_a_record(workspace: Workspace) -> None:
    key = workspace.add_registration_token(groups=["Operations"])["key"]
    answers = [register(workspace, key) for _number in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    bodies = [answer.json() for answer in answers]
    assert all(set(body) == {"id", "key", "name"} for body in bodies)
    assert all(re.fullmatch(r"web-[0-9a-f]{6}", body["name"]) for body in bodies)
    rows = workspace.registered("web")
    assert {row["id"] for row in rows} == {body["id"] for body in bodies}
    for row in rows:
        assert (row["commissioned"], row["is_connected"], row["version"]) == (False, False, None)
        assert (row["platform"], row["tags"], row["groups"]) == ("debian", {"env": "prod"}, ["Operations"])


@in_every_dialect
@pytest.mark.parametrize("fields", [{"name": "web.example"}, {"platform": "bsd"}])
def test_a_bad_registration_is_refused(workspace: Workspace, fields: dict[str, str]) -> None:
    answer = register(workspace, workspace.add_registration_token()["key"], **fields)
    assert answer.status_code == 400
    [source] = fields
    if workspace.dialect == "current":
        assert answer.json() == {"code": "invalid", "source": source}
    else:
        assert list(answer.json()) == [source]
    assert workspace.registered() == []


@in_every_dialect
@pytest.mark.parametrize("token", [{"enabled": False}, {"expires_at": -1}, None])
def test_a_token_that_is_not_valid_is_refused(workspace: Workspace, token: dict[str, t.Any] | None) -> None:
    key = "unknown" if token is None else workspace.add_registration_token(**token)["key"]
    answer = register(workspace, key)
    assert (answer.status_code, answer.json()) == REFUSED[workspace.dialect]
    assert register(workspace, workspace.token).status_code == 403
    assert workspace.registered() == []


def test_start_up_calls(current: Workspace) -> None:
    agent = Agent(current)
    myself = agent.ask("GET", MYSELF).json()
    assert (myself["name"], myself["commissioned"], myself["is_connected"]) == (agent.name, False, False)
    commit = {"version": "2.5.0", "os": {"name": "Debian"}, "time": {"boot_time": 1700000000}}
    assert agent.ask("PUT", f"{MYSELF}commit/", commit).ok
    assert agent.ask("PATCH", f"{MYSELF}sync/", {"version": "2.5.1", "load": 0.3}).ok
    assert agent.ask("PATCH", "proc/os/-/sync/", {}).ok
    myself = agent.ask("GET", MYSELF).json()
    assert (myself["commissioned"], myself["version"], myself["load"]) == (True, "2.5.1", 0.3)
    assert (myself["os_name"], myself["boot_time"]) == ("Debian", "2023-11-14T22:13:20Z")
    with agent.dial(), agent.dial("control"):
        current._until(lambda: agent.ask("GET", MYSELF).json()["is_connected"], "it did not connect", 30)
    current._until(lambda: not agent.ask("GET", MYSELF).json()["is_connected"], "it did not disconnect", 30)
    assert current.counters()["requests"] == 1  # the registration; the agent's own calls are counted apart


@in_every_dialect
@pytest.mark.parametrize("path", [MYSELF, "anything/else/"])
def test_wrong_credentials(workspace: Workspace, path: str) -> None:
    agent = Agent(workspace)
    agent.headers["Authorization"] = f'id="{agent.id}", key="wrong"'
    answer = agent.ask("GET", path)
    assert (answer.status_code, answer.json()) == REFUSED[workspace.dialect]


@pytest.mark.parametrize("place", ["-", "{id}"])
def test_unregistering(current: Workspace, place: str) -> None:
    agent, other = Agent(current), Agent(current)
    path = f"servers/servers/{place.format(id=agent.id)}/unregister/"
    with agent.dial() as backhaul:
        assert agent.ask("DELETE", f"servers/servers/{other.id}/unregister/").status_code == 403
        assert agent.ask("DELETE", path).status_code == 204
        with pytest.raises(ConnectionClosed):
            backhaul.recv(timeout=30)
    assert [server["id"] for server in current.registered()] == [other.id]
    assert agent.ask("DELETE", path).status_code == REFUSED[current.dialect][0]
    with pytest.raises(InvalidStatus):
        agent.dial()


@in_every_dialect
def test_changing_the_groups_of_a_record(workspace: Workspace) -> None:
    agent = Agent(workspace)
    path = f"servers/servers/{agent.id}/"
    groups = {group["name"]: group["id"] for group in workspace.state()["groups"]}
    wanted = [groups["Operations"], groups["Alpacon users"]]
    answer = workspace.api("PATCH", path, json={"groups": wanted})
    assert (answer.status_code, set(answer.json()["groups"])) == (200, set(wanted))
    assert set(workspace.api("GET", path).json()["groups"]) == set(wanted)
    assert workspace.api("PATCH", path, json={"groups": wanted[:1]}).json()["groups"] == wanted[:1]
    assert workspace.api("PATCH", path, json={"groups": [agent.id]}).status_code == 400
    assert workspace.api("PATCH", path, token=workspace.tokens()["bob"], json={"groups": []}).status_code == 403
    assert workspace.registered()[0]["groups"] == ["Operations"]


@in_every_dialect
def test_deleting_a_record(workspace: Workspace) -> None:
    agent = Agent(workspace)
    path = f"servers/servers/{agent.id}/"
    with agent.dial() as backhaul:
        workspace.wait_connected(agent.name)
        assert workspace.api("DELETE", f"{path}?auto=false").status_code == 400
        assert workspace.api("DELETE", path, token=workspace.tokens()["bob"]).status_code in (403, 404)
        assert workspace.api("DELETE", f"{path}?auto=true").status_code == 204
        with pytest.raises(ConnectionClosed):
            backhaul.recv(timeout=30)
    assert workspace.api("DELETE", path).status_code == 404
