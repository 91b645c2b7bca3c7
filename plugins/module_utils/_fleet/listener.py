# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run as a process that hears of ended commands from a websocket, and writes files for the workers of a run."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, UnknownEndpoint
from .._api.quota import Quota
from .._api.settings import Settings, get_client_headers
from .journal import replace_file
from .push import MAX_SERVERS, PushFiles, give_up
from .run import has_process_ended
from .sharing import SharedState

with contextlib.suppress(ImportError):
    from websocket import ABNF, WebSocketTimeoutException, create_connection

_EVENTS_PATH = "/api/events/"
#: The most failed attempts in a row, and the seconds between two.
_ATTEMPTS, _PAUSE = 2, 2.0
#: The count starts again after a websocket that brought an event or lasted this many seconds: it has paid for itself.
_LASTING = 300.0
#: Seconds from the start of the connection to the end of the websocket's handshake.
_HANDSHAKE_TIMEOUT = 30.0
#: Seconds without a message before a ping; after twice as many, the websocket is lost.
_SILENCE = 30.0
#: Seconds between two checks for new servers, and for the end of the run.
_CHECK_EVERY = 0.25
#: The most bytes of the handshake and of a message, the most ended commands to remember, and commands to follow.
_MAX_HANDSHAKE, _MAX_MESSAGE, _MAX_ENDED, _MAX_FOLLOWED = 2**16, 2**20, 2000, 200
_PATH = re.compile(r"/[\w./~%?&=+:@-]*", re.ASCII)


class NoEvents(Exception):
    """The workspace offers no events to this token, or a websocket that must not be used."""


class LimitedSocket:
    """Limit the bytes of a handshake and of each message, and the time of the handshake.

    Args:
        deadline: end of the handshake in monotonic seconds.
    """

    def __init__(self, socket: Any, deadline: float) -> None:
        self._socket = socket
        self._deadline, self._left = deadline, _MAX_HANDSHAKE

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def begin_message(self) -> None:
        self._deadline, self._left = math.inf, _MAX_MESSAGE

    def recv(self, size: int) -> bytes:
        if self._deadline < math.inf:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
        data: bytes = self._socket.recv(min(size, 2**16))
        self._left -= len(data)
        if self._left < 0:
            raise OSError("a message is too large")
        return data


def main() -> None:
    """Read the order from standard input, and listen until the run ends."""
    order = json.load(sys.stdin)
    threading.Thread(target=_exit_after, args=(order["process"],), daemon=True).start()
    settings = Settings(**order["settings"])
    with contextlib.suppress(FileNotFoundError):  # the folder of the run is gone
        Listener(settings, SharedState(Path(order["folder"]), settings.url, settings.token)).listen()


def _exit_after(process: str) -> None:
    while not has_process_ended(process):
        time.sleep(_CHECK_EVERY)
    os._exit(0)


class Listener:
    """Subscribe to the servers that workers want, and write the commands that end."""

    def __init__(self, settings: Settings, shared: SharedState) -> None:
        self._settings = settings
        self._files = PushFiles(shared.folder / "push")
        quota = Quota(settings.requests_per_hour, shared.folder)
        self._client = Client(settings, pause=shared.pause, outage=shared.outage, quota=quota)
        self._ended: deque[Path] = deque()
        #: True if the current websocket has brought an event.
        self._has_heard = False
        #: By command ID, the number after that of the newest chunk.
        self._followed: dict[str, int] = {}

    def listen(self) -> None:
        """Listen until the websocket is lost for good."""
        attempts = 0
        while True:
            self._has_heard, began = False, time.monotonic()
            try:
                return self._listen()
            except NoEvents as error:
                return give_up(self._files, *error.args)
            except Exception as error:
                # The text of other errors may be that of the peer.
                reason = str(error) if isinstance(error, AlpaconError) else type(error).__name__
            finally:
                for file in (*self._files.listening.iterdir(), *self._files.following.iterdir()):
                    file.unlink()
                self._followed.clear()
            attempts = 0 if self._has_heard or time.monotonic() - began >= _LASTING else attempts + 1
            if attempts >= _ATTEMPTS:
                text = f"the websocket of the workspace was lost twice in a row: {reason.rstrip('.')}"
                return give_up(self._files, text, True)
            requests = 1 + len(os.listdir(self._files.wanted))
            time.sleep(max(_PAUSE, self._client.get_quota_pause(requests) or 0.0))

    def _listen(self) -> None:
        """Listen until a worker gives up."""
        session = self._post("sessions", {})
        channel, url = session["channel_id"], get_socket_url(self._settings.url, session)
        socket = connect_websocket(self._client, url)
        with contextlib.closing(socket):
            heard_at, is_tried = time.monotonic(), False
            subscribed: set[str] = set()
            while not self._files.given_up.exists():
                self._subscribe(channel, subscribed)
                try:
                    opcode, data = socket.recv_data(control_frame=True)
                except WebSocketTimeoutException:
                    silence = time.monotonic() - heard_at
                    if silence > 2 * _SILENCE:
                        raise
                    if silence > _SILENCE and not is_tried:
                        is_tried = True
                        socket.ping()
                    continue
                heard_at, is_tried = time.monotonic(), False
                socket.sock.begin_message()
                if opcode == ABNF.OPCODE_CLOSE:
                    raise ConnectionResetError
                if opcode == ABNF.OPCODE_TEXT:
                    self._handle(data)

    def _post(self, name: str, body: dict[str, Any]) -> Any:
        try:
            return self._client.write("POST", f"{_EVENTS_PATH}{name}/", body).body
        except (ApiError, UnknownEndpoint) as error:
            raise NoEvents(f"the workspace pushes no events to this token: {str(error).rstrip('.')}") from None

    def _subscribe(self, channel: str, subscribed: set[str]) -> None:
        for server in set(os.listdir(self._files.wanted)) - subscribed:
            if len(subscribed) < MAX_SERVERS:
                self._post("subscriptions", {"channel": channel, "event_type": "command_fin", "target_id": server})
                (self._files.listening / server).touch()
                subscribed.add(server)
        for command in set(os.listdir(self._files.followed)) - set(self._followed):
            if len(self._followed) < _MAX_FOLLOWED:
                self._followed[command] = 0
                # Without these events, workers read the output as often as without a websocket.
                with contextlib.suppress(NoEvents):
                    body = {"channel": channel, "event_type": "command_output", "target_id": command}
                    self._post("subscriptions", body)
                    (self._files.following / command).touch()

    def _handle(self, message: bytes) -> None:
        """Record the end or the chunk of an event. Drop other frames: workspaces send frames of more kinds."""
        try:
            event = json.loads(message)
            kind, payload = event["event_type"], event["payload"]
            if kind == "command_fin":
                self._note_end(str(payload["id"]))
            elif kind == "command_output":
                self._note_chunk(payload["command_id"], payload["seq"])
            else:
                return
        except (LookupError, RecursionError, TypeError, ValueError):
            return
        self._has_heard = True

    def _note_end(self, command: str) -> None:
        # The ID itself never becomes a path: workers compare digests of their own IDs.
        file = self._files.get_ended(command)
        file.touch()
        self._ended.append(file)
        if len(self._ended) > _MAX_ENDED:
            self._ended.popleft().unlink(missing_ok=True)

    def _note_chunk(self, command: str, seq: int) -> None:
        if seq >= self._followed.get(command, math.inf):
            self._followed[command] = seq + 1
            replace_file(self._files.printed / command, str(seq + 1))


def connect_websocket(client: Client, url: str) -> Any:
    """Connect to the websocket of an event session; its reads time out often, and its messages are limited in size."""
    own = urlsplit(client.settings.url)
    deadline = time.monotonic() + _HANDSHAKE_TIMEOUT
    socket = LimitedSocket(client.open_socket(), deadline)
    websocket = create_connection(
        url,
        socket=socket,
        origin=f"{own.scheme}://{own.netloc}",
        header=get_client_headers(client.settings, os.environ),
        redirect_limit=0,
    )
    socket.begin_message()
    websocket.settimeout(_CHECK_EVERY)
    return websocket


def get_socket_url(url: str, session: Any) -> str:
    """Return the URL of the websocket of an event session.

    Args:
        url: that of the workspace, whose scheme, host and port the websocket must have.

    Raises:
        NoEvents: the websocket is another server's.
    """
    own, stated = urlsplit(url), urlsplit(str(session["websocket_url"]))
    scheme, port = ("wss", 443) if own.scheme == "https" else ("ws", 80)
    path = stated._replace(scheme="", netloc="").geturl()
    is_own = (stated.scheme, stated.hostname, stated.port or port) == (scheme, own.hostname, own.port or port)
    if not is_own or not _PATH.fullmatch(path):
        raise NoEvents("the workspace states the websocket of another server, to which this run does not connect", True)
    return f"{scheme}://{own.netloc}{path}"
