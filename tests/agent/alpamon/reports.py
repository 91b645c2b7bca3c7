# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports of the agent: a cheap HTTP client and a queue."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import heapq
import itertools
import json
import re
import ssl
import time
import typing as t
import urllib.parse

from .version import VERSION

#: Smaller goes first.
SOON, THEN, EVENT = 10, 11, 80
SENDERS = 4
REPEATS = 5
ANSWER_SECONDS = 5.0
#: While this many reports wait, output is not read.
QUEUE_LIMIT = 1000


class Poster:
    """HTTP client with a few open connections; a library would cost more than the commands."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, connections: int = 16) -> None:
        address = urllib.parse.urlsplit(url)
        self._host = address.hostname or "127.0.0.1"
        self._port = address.port or (443 if address.scheme == "https" else 80)
        self._tls = tls if address.scheme == "https" else None
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(connections)

    async def send(self, method: str, path: str, authorization: str, body: t.Any) -> int:
        """Send a request and return the status of the response; 0 after a timeout."""
        payload = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nUser-Agent: alpamon/{VERSION}\r\n"
            f"Authorization: {authorization}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n"
        )
        async with self._free:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await self._exchange(head.encode() + payload)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                return 0

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port, ssl=self._tls)

    async def _exchange(self, request: bytes) -> int:
        reader, writer = await self._connection()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])


@dataclasses.dataclass(order=True)
class Report:
    priority: int
    number: int
    path: str = dataclasses.field(compare=False)
    body: t.Any = dataclasses.field(compare=False)
    delivered: asyncio.Future[bool] = dataclasses.field(compare=False)
    failures: int = dataclasses.field(default=0, compare=False)
    due: float = dataclasses.field(default=0.0, compare=False)


class Reports:
    """The queue of one agent. A refused report stays first, and others wait until it was repeated."""

    def __init__(self, poster: Poster, authorization: str, unit: float = 1.0) -> None:
        #: Seconds before the first repeat; each further one waits for twice as long.
        self.unit = unit
        self._poster, self._authorization = poster, authorization
        self._heap: list[Report] = []
        self._numbers = itertools.count()
        self._senders: set[asyncio.Task[None]] = set()
        self._sending: list[Report] = []
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._waiting: asyncio.Task[None] | None = None
        self._room: collections.deque[asyncio.Future[None]] = collections.deque()

    def put(self, path: str, body: t.Any = None, priority: int = SOON) -> asyncio.Future[bool]:
        """Queue a POST and return a future: True if it was accepted."""
        delivered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, Report(priority, next(self._numbers), path, body, delivered))
        self._start_sender()
        return delivered

    def put_later(self, seconds: float, path: str, body: t.Any) -> None:
        self._later[path] = asyncio.get_running_loop().call_later(seconds, self.put, path, body)

    def _start_sender(self) -> None:
        if len(self._senders) < SENDERS:
            sender = asyncio.ensure_future(self._send_all())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    async def room(self) -> None:
        while len(self._heap) >= QUEUE_LIMIT:
            free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(free)
            await free

    def drop(self, matches: t.Callable[[str], bool]) -> None:
        """Drop queued reports by path; do not repeat those being sent."""
        for report in (*self._heap, *self._sending):
            if matches(report.path):
                report.delivered.cancel()
        for path in [path for path in self._later if matches(path)]:
            self._later.pop(path).cancel()
        self._heap = [report for report in self._heap if not report.delivered.cancelled()]
        heapq.heapify(self._heap)
        if self._waiting is not None:
            self._waiting.cancel()
            self._senders.discard(self._waiting)
            self._waiting = None
            self._start_sender()

    async def _send_all(self) -> None:
        while self._heap:
            pause = self._heap[0].due - time.monotonic()
            if pause > 0:
                if self._waiting is not None:
                    return
                self._waiting = asyncio.current_task()
                await asyncio.sleep(pause)
                self._waiting = None
                continue
            report = heapq.heappop(self._heap)
            self._sending.append(report)
            status = await self._poster.send("POST", report.path, self._authorization, report.body)
            self._sending.remove(report)
            self._finish(report, 200 <= status < 300)
            if self._room and len(self._heap) < QUEUE_LIMIT:
                with contextlib.suppress(asyncio.InvalidStateError):
                    self._room.popleft().set_result(None)

    def _finish(self, report: Report, accepted: bool) -> None:
        if report.delivered.cancelled():
            return
        if not accepted and report.failures < REPEATS:
            report.due = time.monotonic() + self.unit * 2**report.failures
            report.failures += 1
            heapq.heappush(self._heap, report)
        else:
            report.delivered.set_result(accepted)
