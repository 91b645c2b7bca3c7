# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open an event session and its websocket, subscribe to the commands of a server, and wait until one has ended."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import time
from collections.abc import Callable, Collection
from typing import Any

from ...module_utils._api.client import Client
from ...module_utils._api.errors import AlpaconError, ApiError, UnknownEndpoint
from ...module_utils._api.records import Server
from ...module_utils._fleet.listener import NoEvents, connect_websocket, get_socket_url
from .answers import NOT_ASKED, OK, WARNING, Answers

_SESSIONS, _SUBSCRIPTIONS = "/api/events/sessions/", "/api/events/subscriptions/"
#: How long an event is awaited after its command has ended, in seconds, and the most frames to read.
_WAIT, _MAX_FRAMES = 3.0, 1000
#: Without push, results arrive later and cost more requests.
_POLLED = "Commands are polled instead, which works."


class PushCheck:
    """Check that the workspace pushes when a command of a server has ended; answers C(events) and C(push).

    Args:
        count_request: called before the request that opens the websocket.
    """

    def __init__(self, client: Client, server: Server, answers: Answers, count_request: Callable[[], None]) -> None:
        self._client = client
        self._server = server
        self._answers = answers
        self._count_request = count_request
        self._socket: Any = None

    def subscribe(self) -> None:
        if importlib.util.find_spec("websocket") is None:
            remedy = "Install it where Ansible runs: python3 -m pip install websocket-client"
            self._answers.skip(("events", "push"), "The Python library websocket-client is missing.", remedy)
            return
        try:
            session = self._client.write("POST", _SESSIONS, {}).body
            self._answers.add("events", OK, "The token may open an event session.")
            url = get_socket_url(self._client.settings.url, session)
            self._count_request()
            self._socket = connect_websocket(self._client, url)
            body = {"channel": session["channel_id"], "event_type": "command_fin", "target_id": self._server.id}
            self._client.write("POST", _SUBSCRIPTIONS, body)
        except (ApiError, UnknownEndpoint) as error:
            self._add_refusal(error)
        except NoEvents as error:
            self._answers.add("push", WARNING, f"No websocket: {error.args[0]}.", _POLLED)
        except Exception as error:
            # The text of other errors may be that of the peer.
            reason = str(error) if isinstance(error, AlpaconError) else type(error).__name__
            remedy = f"{_POLLED} Check that proxies let websockets through."
            self._answers.add("push", WARNING, f"The websocket could not be used: {reason}.", remedy)

    def _add_refusal(self, error: AlpaconError) -> None:
        status = error.status if isinstance(error, ApiError) else 404
        if status == 404:
            self._answers.skip(("events", "push"), "This workspace pushes no events.", _POLLED)
            return
        finding, remedy = str(error), _POLLED
        if status in (401, 403):
            finding = f"The token may not use events: HTTP {status}."
            remedy = f"{_POLLED} To have results sooner, grant it the scopes of event sessions and subscriptions."
        self._answers.add("events", WARNING, finding, remedy, facts={"status": status})
        self._answers.skip(("push",), "Push needs events.")

    def evaluate(self, ids: Collection[str]) -> None:
        """Wait until the end of one of these commands was pushed, and answer."""
        if self._socket is None or self._answers.get_level("push"):
            return
        if not ids:
            self._answers.add("push", NOT_ASKED, "No command was accepted.")
        elif self._receive(ids):
            self._answers.add("push", OK, "The workspace pushed the end of a command.")
        else:
            self._answers.add("push", WARNING, "The websocket is open, but no end of a command was pushed.", _POLLED)

    def _receive(self, ids: Collection[str]) -> bool:
        deadline = time.monotonic() + _WAIT
        for _frame in range(_MAX_FRAMES):
            if time.monotonic() > deadline:
                break
            try:
                data = self._socket.recv()
                self._socket.sock.begin_message()
                event = json.loads(data)
                if event["event_type"] == "command_fin" and event["payload"]["id"] in ids:
                    return True
            except (LookupError, RecursionError, TypeError, ValueError):
                continue
            except Exception as error:
                if type(error).__name__ != "WebSocketTimeoutException":
                    return False
        return False

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(Exception):
                self._socket.close()
