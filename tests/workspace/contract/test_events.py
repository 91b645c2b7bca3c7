# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test event sessions, subscriptions and the websocket."""

from __future__ import annotations

import json

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from workspace.client import Row, Workspace


def open_session(workspace: Workspace) -> Row:
    response = workspace.api("POST", "events/sessions/", json={})
    assert response.status_code == 201
    return dict(response.json())


def subscribe(
    workspace: Workspace, channel: str, target: str, token: str | None = None, event_type: str = "command_fin"
) -> requests.Response:
    body = {"channel": channel, "event_type": event_type, "target_id": target}
    return workspace.api("POST", "events/subscriptions/", token=token, json=body)


def test_a_websocket_hears_of_the_ends_of_one_server(current: Workspace) -> None:
    session, server = open_session(current), current.server_ids()["web-01"]
    assert session.keys() == {"id", "websocket_url", "channel_id"}
    refused = subscribe(current, session["channel_id"], server)
    assert refused.status_code == 400, "subscriptions are accepted after the websocket is connected"
    with connect(session["websocket_url"]) as socket:
        assert subscribe(current, session["channel_id"], server).status_code == 201
        other = current.tokens()["bob"]
        assert subscribe(current, session["channel_id"], server, other).status_code == 400
        current.wait_for_command(current.submit("web-02", "true"))
        command = current.submit("web-01", "false")
        assert json.loads(socket.recv(10)) == {"event_type": "command_fin", "payload": {"id": command}}
        with pytest.raises(InvalidStatus), connect(session["websocket_url"]):
            pass
        current.drop_events()
        with pytest.raises(ConnectionClosed):
            socket.recv(10)


def test_a_websocket_hears_of_the_chunks_of_one_command(current: Workspace) -> None:
    session = open_session(current)
    with connect(session["websocket_url"]) as socket:
        command = current.submit("web-01", "until [ -e go ]; do sleep 0.05; done; echo printed")
        assert subscribe(current, session["channel_id"], command, event_type="command_output").status_code == 201
        current.submit("web-01", "echo other; touch go")
        event = {"command_id": command, "seq": 0, "content": "printed\n"}
        assert json.loads(socket.recv(10)) == {"event_type": "command_output", "payload": event}


def test_a_token_without_the_scopes_gets_403(current: Workspace) -> None:
    current.settings(event_scopes=False)
    response = current.api("POST", "events/sessions/", json={})
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


def test_a_workspace_of_2024_has_no_events(old: Workspace) -> None:
    assert old.api("POST", "events/sessions/", json={}).status_code == 404
