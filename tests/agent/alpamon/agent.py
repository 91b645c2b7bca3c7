# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registered agent: its backhaul websocket and how it handles commands."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import ssl
import time
import typing as t
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from . import lines
from .faults import CommandFaults, Fault
from .lines import Account, AccountRefusedError, Line, NotStartedError
from .output import CommandOutput, OutputMode
from .reports import EVENT, THEN, Poster, Reports
from .transfers import Transfers
from .version import VERSION

#: The most bytes of a verified file.
_MAX_VERIFIED = 65_536
#: How long a stop waits for its reports.
STOP_SECONDS = 5.0

Command = dict[str, t.Any]


@dataclasses.dataclass
class Options:
    output: OutputMode = "both"
    ack_delay: float = 0.0
    #: Time limit of a line, in seconds.
    line_seconds: float = 1800.0
    #: Seconds before the first repeat of a report.
    repeat_unit: float = 1.0


class Pool:
    def __init__(self, size: int = 20, queue: int = 200) -> None:
        self._size, self._queue, self._busy = size, queue, 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._closed = False

    async def acquire(self) -> None:
        """Wait for a free worker; raise NotStartedError if the queue is full or the agent stops."""
        if self._closed:
            raise NotStartedError(lines.CANCELLED)
        if self._busy < self._size:
            self._busy += 1
        elif len(self._waiting) < self._queue:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place
        else:
            raise NotStartedError(lines.QUEUE_FULL)

    def release(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._busy -= 1

    def close(self) -> None:
        self._closed = True
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(NotStartedError(lines.CANCELLED))


class Agent:
    def __init__(
        self, url: str, server_id: str, key: str, poster: Poster, tls: ssl.SSLContext | None, options: Options
    ) -> None:
        self.url, self.options = url.removesuffix("/"), options
        self.authorization = f'id="{server_id}", key="{key}"'
        self.reports = Reports(poster, self.authorization, options.repeat_unit)
        self._tls = tls
        self._socket: ClientConnection | None = None
        #: It was started again, and reports that as soon as it is connected.
        self._is_new_start = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: dict[str, asyncio.Task[None]] = {}
        self._lines: set[Line] = set()
        self._pool = Pool()
        self._transfers = Transfers(tls)
        #: Seconds to stay away after the websocket is lost.
        self.away = 0.0

    # What differs from one agent to another

    def pauses(self) -> t.Iterator[float]:
        raise NotImplementedError

    def accepts(self, command_id: str) -> bool:
        return True

    def get_faults(self, line: str) -> list[Fault]:
        return []

    def find_account(self, user: str, group: str) -> Account:
        return lines.find_account(user, group)

    def make_environment(self, account: Account, own: dict[str, str]) -> dict[str, str]:
        return lines.make_environment(account, own)

    def find_file(self, account: Account, path: str) -> Path:
        """Return a file of the server by its path, which may begin at the home of the account."""
        return Path(account.home, path)

    async def run_internal(self, line: str) -> tuple[int, str]:
        """Return the exit code and result of an internal command."""
        return (0, _now()) if line == "ping" else (1, f"Unknown command: {line}")

    def record_run(self, command_id: str) -> None:
        """Do nothing by default."""

    def on_disconnect(self, error: Exception) -> None:
        """Do nothing by default."""

    def on_connect(self) -> None:
        """Do nothing by default."""

    # The backhaul

    async def run(self) -> None:
        attempts = self.pauses()
        while True:
            await asyncio.sleep(next(attempts) + self.away)
            self.away = 0.0
            try:
                socket = await self.dial("backhaul")
                attempts = self.pauses()
                async with socket:
                    self.on_connect()
                    if self._is_new_start:
                        self._is_new_start = False
                        self.report_start()
                    if await self._serve(socket) == "quit":
                        return
            except (OSError, WebSocketException, TimeoutError) as error:
                self.on_disconnect(error)

    def address(self, name: str) -> str:
        """Return the address of a websocket by the genuine agent's rule for ports."""
        return f"{self.url.replace('http', 'ws', 1).replace('8000', '8081', 1)}/ws/servers/{name}/"

    async def dial(self, name: str) -> ClientConnection:
        return await connect(
            self.address(name),
            additional_headers={"Authorization": self.authorization},
            origin=t.cast(t.Any, self.url),
            user_agent_header=f"alpamon/{VERSION}",
            ssl=self._tls if self.url.startswith("https://") else None,
            compression=None,
            ping_interval=None,
            proxy=None,
            max_size=None,
        )

    async def _serve(self, socket: ClientConnection) -> str:
        self._socket = socket
        async for message in socket:
            query = await self.handle(socket, message)
            if query in ("quit", "reconnect"):
                return query
        return "closed"

    async def handle(self, socket: ClientConnection, message: str | bytes) -> str:
        frame = json.loads(message)
        query = str(frame.get("query"))
        if query == "command":
            command = frame["command"]
            if not self.accepts(command["id"]):
                return query
            task = self._commands[command["id"]] = self.start(self._execute(command))
            task.add_done_callback(lambda _: self._commands.pop(command["id"], None))
        elif query == "ping":
            await socket.send(json.dumps({"query": "pong", "timestamp": _now()}))
        return query

    def start(self, work: t.Coroutine[t.Any, t.Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Its end, and a new beginning

    async def stop(self, results: bool = True) -> None:
        """End all commands as the service manager does, and report them if `results` is true."""
        if not results:
            self.drop_all(kill=True)
            return
        self._pool.close()
        for line in list(self._lines):
            line.stop()
        own = asyncio.current_task()
        if others := {task for task in self._tasks if task is not own}:
            await asyncio.wait(others, timeout=STOP_SECONDS)

    def drop_all(self, kill: bool) -> set[int]:
        """Forget all commands, as after a kill, and return the process groups that live on."""
        left = {line.process_group for line in self._lines} if not kill else set()
        for line in self._lines:
            line.left_alone = not kill
        own = _own_task()
        for task in list(self._tasks):
            if task is not own:
                task.cancel()
        self.reports.drop(lambda path: True)
        return {group for group in left if group is not None}

    def drop_commands(self, ids: set[str]) -> None:
        for command_id in ids & self._commands.keys():
            self._commands[command_id].cancel()
        self.reports.drop(lambda path: path.rsplit("/", 3)[1] in ids)

    def set(self, options: Options) -> None:
        self.options, self.reports.unit = options, options.repeat_unit

    async def restart(self, results: bool = True) -> None:
        await self.stop(results)
        await self.reconnect()

    async def reconnect(self) -> None:
        self._pool = Pool()
        if self._socket is not None:
            await self._socket.close()
        self._is_new_start = True

    def report_start(self) -> None:
        self.report_event("started", f"alpamon {VERSION} started running.")

    def report_event(self, record: str, description: str) -> None:
        event = {"reporter": "alpamon", "record": record, "description": description}
        self.reports.put("/api/events/events/", event, EVENT)

    async def drop(self, seconds: float) -> None:
        self.away = seconds
        if self._socket is not None:
            await self._socket.close()

    # Commands

    async def _execute(self, command: Command) -> None:
        faults = CommandFaults(self.get_faults(command["line"]))
        if faults.get("disconnect"):
            await self.drop(faults.seconds("disconnect", 1.0))
            return
        if faults.get("never_ack"):
            return
        place = f"/api/events/commands/{command['id']}"
        if rejection := faults.get("reject"):
            await self.reports.put(f"{place}/reject/", {"reason": rejection.get("reason", "invalid_signature")}, THEN)
            return
        if delay := faults.seconds("slow_ack") + self.options.ack_delay:
            await asyncio.sleep(delay)
        await self._acknowledge(place)
        if faults.get("vanish") or not _is_json(command.get("data")):
            return
        started = time.monotonic()
        output = CommandOutput(self.reports, place, faults, self.options.output)
        exit_code, result = await self._perform(command, faults, output)
        elapsed = time.monotonic() - started
        await output.end()
        if faults.get("late_fin"):
            await asyncio.sleep(faults.seconds("late_fin"))
        report = {"success": exit_code == 0, "result": result, "elapsed_time": elapsed, "exit_code": exit_code}
        await self.reports.put(f"{place}/fin/", report, THEN)

    async def _acknowledge(self, place: str) -> None:
        """Give the report a moment, so that it usually arrives before others."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.options.repeat_unit):
                await asyncio.shield(self.reports.put(f"{place}/ack/"))

    async def _perform(self, command: Command, faults: CommandFaults, output: CommandOutput) -> tuple[int, str]:
        pool = self._pool
        try:
            await pool.acquire()
        except NotStartedError as error:
            return 1, str(error)
        try:
            if command["shell"] == "internal":
                failure = faults.failure("", "")
                if failure:
                    return 1, failure
                self.record_run(command["id"])
                if command["line"] in Transfers.VERBS:
                    return await self._transfer(command, faults)
                return await self.run_internal(command["line"])
            if command["shell"] not in ("system", "file"):
                return 1, "Invalid command shell argument."
            return await self._run(command, faults, output)
        finally:
            pool.release()

    async def _transfer(self, command: Command, faults: CommandFaults) -> tuple[int, str]:
        try:
            account = self.find_account(command.get("user") or "", command.get("group") or "")
        except NotStartedError as error:
            return 1, str(error)
        order = json.loads(command.get("data") or "{}")
        file = self.find_file(account, order["path"])
        return await asyncio.to_thread(self._transfers.run, command["line"], order, file, account, faults)

    async def _run(self, command: Command, faults: CommandFaults, output: CommandOutput) -> tuple[int, str]:
        user, group = command.get("user") or "", command.get("group") or ""
        seconds = faults.seconds("time_out", self.options.line_seconds)
        line: Line | None = None
        try:
            if failure := faults.failure(user, group):
                refused = faults.get("fail_start")["reason"] in ("user", "group", "membership")
                raise (AccountRefusedError if refused else NotStartedError)(failure)
            account = self.find_account(user, group)
            environment = self.make_environment(account, command.get("env") or {})
            program = self._verify(account, command) if command["shell"] == "file" else None
            line = Line(account, environment, output, seconds, lambda: self.record_run(command["id"]))
            self._lines.add(line)
            self._schedule_faults(faults)
            code = await line.run(command["line"], bool(command.get("allow_sh", True)), program)
        except NotStartedError as error:
            if isinstance(error, AccountRefusedError):
                output.add_message(str(error))
            return 1, str(error)
        except asyncio.CancelledError:
            if line is not None:
                line.kill()
            raise
        finally:
            if line is not None:
                self._lines.discard(line)
        if line.timed_out:
            return 124, f"{output.text()}Command timed out after {duration(seconds)}"
        return code, output.text()

    def _verify(self, account: Account, command: Command) -> list[str]:
        """Return the words of a verified file; raise NotStartedError if it is not there, or is another one."""
        order = json.loads(command["data"])
        file = self.find_file(account, order["path"])
        try:
            content = file.read_bytes()
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise NotStartedError(f"file_open_failed: open {order['path']}: {why}") from None
        if len(content) > _MAX_VERIFIED:
            raise NotStartedError(f"file_too_large: {order['path']} has {len(content)} bytes")
        digest = hashlib.sha256(content).hexdigest()
        if digest != order["sha256"]:
            raise NotStartedError(f"file_hash_mismatch: {order['path']} has another content")
        return [order["interpreter"], str(file), *order["args"]]

    def _schedule_faults(self, faults: CommandFaults) -> None:
        loop = asyncio.get_running_loop()
        if restart := faults.get("restart"):
            results = bool(restart.get("results", True))
            loop.call_later(faults.seconds("restart"), lambda: self.start(self.restart(results)))
        if kill := faults.get("kill"):
            away = float(kill.get("away", 0))
            loop.call_later(faults.seconds("kill"), lambda: self.start(self.simulate_kill(away)))

    async def simulate_kill(self, away: float) -> None:
        """Stop as if killed: lose all results, leave lines running, and reconnect after `away` seconds."""
        self.drop_all(kill=False)
        self.away = away
        await self.reconnect()


def duration(seconds: float) -> str:
    """Format seconds as Go does."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:g}m{rest:g}s" if minutes else f"{rest:g}s"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


def _own_task() -> asyncio.Task[t.Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _is_json(text: str | None) -> bool:
    try:
        json.loads(text or "{}")
    except ValueError:
        return False
    return True
