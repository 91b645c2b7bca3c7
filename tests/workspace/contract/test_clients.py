# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the vendor's own clients ask: login, events as they happen, and the lists beside commands and servers."""

from __future__ import annotations

import json
import typing as t
import uuid

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from workspace.client import Workspace

COMMANDS = "events/commands/"
PAGE = {"count", "current", "next", "previous", "last", "results"}


def rows(workspace: Workspace, path: str, token: str | None = None) -> list[dict[str, t.Any]]:
    answer = workspace.api("GET", path, token=token)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == PAGE
    return t.cast("list[dict[str, t.Any]]", answer.json()["results"])


def login(workspace: Workspace, username: str = "admin") -> str:
    body = {"workspace_url": workspace.url, "username": username, "password": username}
    answer = requests.post(f"{workspace.url}/api/auth/login/", json=body, timeout=5)
    assert set(answer.json()) == {"token", "expires_at"}
    return str(answer.json()["token"])


# login


def test_the_way_to_log_in_is_told_to_anybody(current: Workspace) -> None:
    answer = requests.get(f"{current.url}/api/auth/env/?client=cli", timeout=5)
    assert answer.json() == {"auth0": {"method": "legacy"}, "language": "en"}


def test_login_and_logout(current: Workspace) -> None:
    token = login(current, "bob")
    assert current.api("GET", "iam/users/-/", token=token).json()["username"] == "bob"
    assert current.api("POST", "auth/logout/", token=token).status_code == 200
    assert current.api("GET", "status/", token=token).status_code == 401
    wrong = {"username": "bob", "password": "wrong"}
    assert requests.post(f"{current.url}/api/auth/login/", json=wrong, timeout=5).status_code == 401


def test_who_it_is(current: Workspace) -> None:
    whoami = current.api("GET", "auth/whoami/", token=current.tokens()["service"]).json()
    assert (whoami["principal_type"], set(whoami["application"])) == (
        "application",
        {"name", "service_type", "username"},
    )
    assert current.api("GET", "iam/users/-/", token=current.tokens()["service"]).status_code == 404
    assert set(current.api("GET", "iam/users/-/").json()) >= {
        *("id", "username", "email", "phone", "uid", "shell", "home_directory", "is_staff", "is_superuser"),
    }


# events


def session(workspace: Workspace) -> tuple[str, str]:
    answer = workspace.api("POST", "events/sessions/", json={})
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"id", "websocket_url", "channel_id"}
    return body["websocket_url"], body["channel_id"]


def dial(workspace: Workspace, address: str) -> ClientConnection:
    """As the vendor's client does: no credentials but the address."""
    return connect(address, origin=t.cast(t.Any, workspace.url), user_agent_header="alpacon-cli/1.11.1", proxy=None)


def subscribe(workspace: Workspace, channel: str, event_type: str, target: str, **options: t.Any) -> requests.Response:
    body = {"channel": channel, "event_type": event_type, "target_id": target}
    return workspace.api("POST", "events/subscriptions/", json=body, **options)


def test_output_is_streamed_as_it_comes(current: Workspace) -> None:
    address, channel = session(current)
    with dial(current, address) as socket:
        key = current.submit("web-01", "sleep 0.3; echo one; sleep 0.3; echo two")
        assert subscribe(current, channel, "command_output", key).status_code == 201
        frames = [json.loads(socket.recv(timeout=10)) for _turn in range(2)]
    assert frames == [
        {"event_type": "command_output", "payload": {"command_id": key, "seq": seq, "content": f"{word}\n"}}
        for seq, word in enumerate(("one", "two"))
    ]


def test_the_end_of_a_command_is_told_by_server(current: Workspace) -> None:
    address, channel = session(current)
    with dial(current, address) as socket:
        assert subscribe(current, channel, "command_fin", current.server_ids()["web-01"]).status_code == 201
        current.wait_for_command(current.submit("web-02", "true"))
        key = current.submit("web-01", "true")
        frame = json.loads(socket.recv(timeout=10))
        assert (frame["event_type"], frame["payload"]["id"]) == ("command_fin", key)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.2)


def test_an_address_is_good_for_one_connection(current: Workspace) -> None:
    address, channel = session(current)
    with dial(current, address), pytest.raises((InvalidStatus, ConnectionClosed)):
        dial(current, address).recv(timeout=5)
    current._until(
        lambda: subscribe(current, channel, "command_fin", current.server_ids()["web-01"]).status_code == 400,
        "the channel stayed",
        5,
    )


def test_a_subscription_needs_a_channel_that_is_connected_and_a_target_that_is_seen(current: Workspace) -> None:
    address, channel = session(current)
    key = current.submit("web-01", "true")
    assert subscribe(current, channel, "command_output", key).status_code == 400
    with dial(current, address):
        assert subscribe(current, channel, "nonsense", key).status_code == 400
        assert subscribe(current, channel, "command_output", str(uuid.uuid4())).status_code == 400
        assert subscribe(current, channel, "command_output", key, token=current.tokens()["carol"]).status_code == 400
        assert subscribe(current, channel, "command_output", key).status_code == 201


def test_nobody_listens_on_the_channel_of_another_token(current: Workspace) -> None:
    address, channel = session(current)
    server = current.server_ids()["web-01"]
    with dial(current, address):
        assert subscribe(current, channel, "command_fin", server, token=current.tokens()["bob"]).status_code == 400
        assert subscribe(current, channel, "command_fin", server).status_code == 201


def test_a_stream_that_is_cut_does_not_harm_the_command(current: Workspace) -> None:
    address, channel = session(current)
    with dial(current, address) as socket:
        key = current.submit("web-01", "for n in 1 2 3 4 5 6; do echo $n; sleep 0.2; done")
        assert subscribe(current, channel, "command_output", key).status_code == 201
        socket.recv(timeout=10)
    current.wait_for_command(key, "success")
    chunks = rows(current, f"{COMMANDS}{key}/chunks/?ordering=seq")
    assert "".join(row["content"] for row in chunks) == "1\n2\n3\n4\n5\n6\n"


def test_the_address_of_a_session_is_where_the_client_asked(current: Workspace) -> None:
    headers = {"Authorization": f'token="{current.token}"', "Host": "workspace.example:8443"}
    answer = requests.post(f"{current.url}/api/events/sessions/", json={}, headers=headers, timeout=5)
    assert answer.json()["websocket_url"].startswith("ws://workspace.example:8443/")


def test_reported_events_are_a_list_for_users(current: Workspace) -> None:
    assert rows(current, "events/events/") == []
    server = current.state()["servers"][0]
    headers = {"Authorization": f'id="{server["id"]}", key="{server["key"]}"', "User-Agent": "alpamon/2.5.0"}
    body = {"reporter": "alpamon", "record": "committed", "description": "Committed system information."}
    assert requests.post(f"{current.url}/api/events/events/", json=body, headers=headers, timeout=5).status_code == 201
    (row,) = rows(current, f"events/events/?server={server['id']}&reporter=alpamon&ordering=-added_at&page_size=50")
    assert {name: row[name] for name in body} == body
    assert row["server"]["name"] == server["name"]
    assert current.api("GET", f"events/events/{row['id']}/").json() == row
    assert rows(current, "events/events/?reporter=other") == []
    assert rows(current, "events/events/", token=current.tokens()["carol"]) == []


# lists


def test_users_and_memberships(current: Workspace) -> None:
    (bob,) = rows(current, "iam/users/?username=bob")
    assert (bob["first_name"], bob["last_name"], bob["num_groups"]) == ("Bob", "Builder", 2)
    assert set(bob) >= {"uid", "is_active", "is_staff", "is_superuser", "is_ldap_user", "date_joined", "tags", "email"}
    assert current.api("GET", f"iam/users/{bob['id']}/").json() == bob
    memberships = rows(current, f"iam/memberships/?user={bob['id']}")
    assert {row["group_name"] for row in memberships} == {"Alpacon users", "Operations"}
    assert all(row["user"] == {"id": bob["id"], "name": "Bob Builder", "email": bob["email"]} for row in memberships)
    group = memberships[0]["group"]
    assert len(rows(current, f"iam/memberships/?user={bob['id']}&group={group}")) == 1


def test_tokens_are_listed_for_who_has_logged_in_only(current: Workspace) -> None:
    refused = current.api("GET", "auth/tokens/")
    assert (refused.status_code, refused.json()) == (403, {"code": "forbidden"})
    listed = rows(current, "auth/tokens/", token=login(current))
    assert {row["name"] for row in listed} == {"admin", "noacl"}
    assert not any("key" in row for row in listed)
    assert {"id", "name", "enabled", "scopes", "updated_at", "expires_at"} <= set(listed[0])


def test_rules_of_commands(current: Workspace) -> None:
    current.settings(acl={"bob": ["uptime", "df *"]})
    rules = [row for row in rows(current, "security/command-acl/") if row["token_name"] == "bob"]
    assert [row["command"] for row in rules] == ["uptime", "df *"]
    assert set(rules[0]) == {"id", "token", "token_name", "command", "username", "groupname"}
    assert rows(current, f"security/command-acl/?token={rules[0]['token']}") == rules


def test_facts_are_what_the_agent_told_last(current: Workspace) -> None:
    server = current.state()["servers"][0]
    assert rows(current, f"proc/os/?server={server['id']}")[0]["name"] == "Debian"
    headers = {"Authorization": f'id="{server["id"]}", key="{server["key"]}"', "User-Agent": "alpamon/2.5.0"}
    body = {"users": [{"username": "root", "uid": 0}, {"username": "me", "uid": 1000}]}
    commit = f"{current.url}/api/servers/servers/-/commit/"
    requests.put(commit, json=body, headers=headers, timeout=5).raise_for_status()
    current.disconnect(server["name"])
    listed = rows(current, f"proc/users/?server={server['id']}")
    assert [(row["username"], row["server"]["is_connected"]) for row in listed] == [("root", False), ("me", False)]
    assert len(rows(current, "proc/info/")) == 2
    assert current.api("GET", "proc/info/?server=nonsense").status_code == 400
    assert requests.post(f"{current.url}/api/proc/users/", json=[], headers=headers, timeout=5).json() == {}


def test_logs_and_alert_rules(current: Workspace) -> None:
    server = current.state()["servers"][0]
    headers = {"Authorization": f'id="{server["id"]}", key="{server["key"]}"', "User-Agent": "alpamon/2.5.0"}
    body = {"date": "2026-11-25T00:00:00Z", "level": 30, "program": "alpamon", "lineno": 7, "pid": 1, "msg": "odd"}
    requests.post(f"{current.url}/api/history/logs/", json=body, headers=headers, timeout=5).raise_for_status()
    (row,) = rows(current, f"history/logs/?server={server['id']}&page_size=10")
    assert {name: row[name] for name in body} == body
    assert isinstance(row["id"], int)
    assert row["server"]["name"] == server["name"]
    assert rows(current, "metrics/alert-rules/") == []


@pytest.mark.parametrize(
    "route", ["alerts/", "metrics/alert-rules/", "proc/packages/", "audit/activity/", "history/webftp-logs/"]
)
def test_lists_that_are_empty(current: Workspace, route: str) -> None:
    assert rows(current, route) == []


@pytest.mark.parametrize("route", ["audit/activity/", "history/webftp-logs/"])
def test_a_cursor_that_was_never_given_out(current: Workspace, route: str) -> None:
    answer = current.api("GET", f"{route}?cursor=abc")
    assert (answer.status_code, answer.json()["code"]) == (400, "api_invalid_cursor")
