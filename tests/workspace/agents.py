# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents: one websocket per server, each line really run with /bin/sh. Needs nothing but `websockets`."""

from __future__ import annotations

import argparse
import asyncio
import codecs
import contextlib
import dataclasses
import datetime
import json
import os
import re
import shutil
import signal
import ssl
import sys
import time
import typing as t
import urllib.parse
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

CHUNK_BYTES = 4096
CHUNK_SECONDS = 0.1
AUDIT_BYTES = 1024 * 1024
LINE_SECONDS = 1800
POOL = 20
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Faults = list[dict[str, t.Any]]


class Poster:
    """POSTs over a few connections that are kept open; a whole HTTP library would cost more than the commands."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, connections: int = 16) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(connections)

    async def post(self, path: str, authorization: str, body: t.Any) -> bool:
        """Deliver a report, trying again for a while; false when it was refused or given up."""
        payload = b"" if body is None else json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nUser-Agent: alpamon/2.5.0\r\n"
            f"Authorization: {authorization}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n"
        )
        for pause in (0, 0.2, 1, 2, 4):
            await asyncio.sleep(pause)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                async with self._free:
                    status = await self._exchange(head.encode() + payload)
                if status < 500:
                    return status < 300
        return False

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, ssl=self._tls)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One that is open: the workspace closes those that were idle for long."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await self._dial()

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


class Audit:
    """The copy of the output that goes with the result: whole, or its two ends around a marker."""

    def __init__(self) -> None:
        self._head, self._tail, self._dropped = bytearray(), bytearray(), 0

    def add(self, data: bytes) -> None:
        room = AUDIT_BYTES // 2 - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        excess = len(self._tail) - AUDIT_BYTES // 2
        if excess > 64 * 1024:
            self._trim(excess)

    def _trim(self, excess: int) -> None:
        del self._tail[:excess]
        self._dropped += excess

    def text(self) -> str:
        excess = len(self._tail) - AUDIT_BYTES // 2
        if excess <= 0 and not self._dropped:
            return (self._head + self._tail).decode(errors="replace")
        # The marker has to fit into the limit as well.
        self._trim(max(excess, 0) + 64)
        marker = f"\n... [{self._dropped} bytes truncated] ...\n".encode()
        return (self._head + marker + self._tail).decode(errors="ignore")


@dataclasses.dataclass
class Options:
    output: str = "both"
    ack_delay: float = 0.0


class Agent:
    def __init__(self, office: Office, server: dict[str, t.Any]) -> None:
        self.name: str = server["name"]
        self._office, self._id = office, server["id"]
        self._authorization = f'id="{server["id"]}", key="{server["key"]}"'
        self.options = Options()
        self._pool = asyncio.Semaphore(POOL)
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: ClientConnection | None = None
        self._pause = 0.0
        self._home = office.scratch / self.name

    async def run(self) -> None:
        """Stay connected until cancelled, or told to quit."""
        wait = 0.2
        while True:
            try:
                async with self._office.dialling:
                    socket = await self._dial()
                wait = 0.2
                async with socket:
                    if await self._serve(socket) == "quit":
                        return
            except (OSError, WebSocketException, TimeoutError):
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5)
            await asyncio.sleep(self._pause)
            self._pause = 0.0

    async def _dial(self) -> ClientConnection:
        return await connect(
            self._office.url.replace("http", "ws", 1) + "/ws/servers/backhaul/",
            additional_headers={"Authorization": self._authorization},
            origin=t.cast(t.Any, self._office.url),
            user_agent_header="alpamon/2.5.0",
            ssl=self._office.tls,
            compression=None,
            ping_interval=None,
            proxy=None,
            max_size=2**23,
        )

    async def _serve(self, socket: ClientConnection) -> str:
        self._socket = socket
        async for message in socket:
            frame = json.loads(message)
            query = frame.get("query")
            if query == "command":
                self._start(self._execute(frame["command"]))
            elif query == "ping":
                now = datetime.datetime.now(datetime.UTC).isoformat()
                await socket.send(json.dumps({"query": "pong", "timestamp": now}))
            elif query in ("quit", "reconnect"):
                return str(query)
        return "closed"

    def _start(self, work: t.Coroutine[t.Any, t.Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    async def _post(self, command: dict[str, t.Any], action: str, body: t.Any = None) -> None:
        await self._office.poster.post(f"/api/events/commands/{command['id']}/{action}/", self._authorization, body)

    async def _execute(self, command: dict[str, t.Any]) -> None:
        faults = Campaign(self._office.faults_for(self.name, command["line"]))
        if faults.get("disconnect"):
            self._pause = float(faults.get("disconnect").get("seconds", 1.0))
            assert self._socket is not None
            await self._socket.close()
            return
        if faults.get("never_ack"):
            return
        await asyncio.sleep(float(faults.get("slow_ack").get("seconds", 0)) + self.options.ack_delay)
        await self._post(command, "ack")
        if faults.get("vanish") or not _is_json(command.get("data")):
            return
        async with self._pool:
            started = time.monotonic()
            exit_code, result = await self._dispatch(command, faults)
            elapsed = time.monotonic() - started
        await asyncio.sleep(float(faults.get("late_fin").get("seconds", 0)))
        report = {"success": exit_code == 0, "result": result, "elapsed_time": elapsed, "exit_code": exit_code}
        await self._post(command, "fin", report)

    async def _dispatch(self, command: dict[str, t.Any], faults: Campaign) -> tuple[int, str]:
        if command["shell"] == "internal":
            return _internal(command["line"])
        if command["shell"] != "system":
            return 1, "Invalid command shell argument."
        try:
            return await self._run_line(command, faults)
        except OSError as error:
            return 1, str(error)

    async def _run_line(self, command: dict[str, t.Any], faults: Campaign) -> tuple[int, str]:
        self._home.mkdir(parents=True, exist_ok=True)
        environment = {"PATH": PATH, "HOME": str(self._home), "LANG": "C.UTF-8", "HOSTNAME": self.name}
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command["line"],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._home,
            env=environment | (command.get("env") or {}),
            start_new_session=True,
        )
        audit, chunks = Audit(), Chunks(self, command, faults)
        try:
            async with asyncio.timeout(LINE_SECONDS):
                await self._pump(process, audit, chunks)
                code = await process.wait()
        except TimeoutError:
            _end(process)
            return 124, f"Command timed out after {LINE_SECONDS // 60}m0s"
        except asyncio.CancelledError:
            _end(process)
            raise
        return (128 - code if code < 0 else code), ("" if self.options.output == "chunks" else audit.text())

    async def _pump(self, process: asyncio.subprocess.Process, audit: Audit, chunks: Chunks) -> None:
        assert process.stdout is not None
        streams = self.options.output != "result"
        while True:
            try:
                async with asyncio.timeout(chunks.patience()):
                    data = await process.stdout.read(65536)
            except TimeoutError:
                await chunks.flush()
                continue
            audit.add(data)
            if streams:
                await chunks.add(data)
            if not data:
                await chunks.end()
                return

    async def post_chunk(self, command: dict[str, t.Any], seq: int, content: str) -> None:
        await self._post(command, "chunk", {"seq": seq, "content": content})

    def post_chunk_later(self, command: dict[str, t.Any], seq: int, content: str, seconds: float) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            await self.post_chunk(command, seq, content)

        self._start(later())


class Chunks:
    """The stream of a running line: sent at 4 KiB or after 100 ms, never in the middle of a character."""

    def __init__(self, agent: Agent, command: dict[str, t.Any], faults: Campaign) -> None:
        self._agent, self._command, self._faults = agent, command, faults
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending, self._since, self._seq = bytearray(), 0.0, 0
        self._reversed: list[tuple[int, str]] = []

    def patience(self) -> float | None:
        """How long more output may be waited for before what is pending has to go."""
        return max(0.0, self._since + CHUNK_SECONDS - time.monotonic()) if self._pending else None

    async def add(self, data: bytes) -> None:
        if data and not self._pending:
            self._since = time.monotonic()
        self._pending += data
        while len(self._pending) >= CHUNK_BYTES:
            await self._send(CHUNK_BYTES)

    async def flush(self) -> None:
        await self._send(len(self._pending))

    async def end(self) -> None:
        await self._send(len(self._pending), final=True)
        for seq, content in reversed(self._reversed):
            await self._agent.post_chunk(self._command, seq, content)

    async def _send(self, size: int, final: bool = False) -> None:
        content = self._decoder.decode(bytes(self._pending[:size]), final)
        del self._pending[:size]
        if not content:
            return
        seq, self._seq = self._seq, self._seq + 1
        if self._faults.get("drop_chunk", seq):
            return
        late = self._faults.get("late_chunk", seq)
        if late:
            self._agent.post_chunk_later(self._command, seq, content, float(late.get("seconds", 1)))
        elif self._faults.get("reverse_chunks"):
            self._reversed.append((seq, content))
        else:
            await self._agent.post_chunk(self._command, seq, content)
        if self._faults.get("duplicate_chunk", seq):
            await self._agent.post_chunk(self._command, seq, content)


class Campaign:
    """The faults that one command is to suffer."""

    def __init__(self, faults: Faults) -> None:
        self._faults = {fault["kind"]: fault for fault in faults}

    def get(self, kind: str, seq: int | None = None) -> dict[str, t.Any]:
        """The fault of that kind, or an empty dict; one without `seq` hits every chunk."""
        fault = self._faults.get(kind, {})
        return fault if seq is None or fault.get("seq", seq) == seq else {}


class Office:
    """All agents of a workspace, and the orders that it gives them."""

    def __init__(self, url: str, scratch: Path) -> None:
        address = urllib.parse.urlsplit(url)
        self.url, self.scratch = url, scratch
        # These agents belong to the workspace itself and take whatever certificate it shows.
        self.tls = ssl._create_unverified_context() if address.scheme == "https" else None
        self.poster = Poster(address.hostname or "127.0.0.1", address.port or 80, self.tls)
        self.dialling = asyncio.Semaphore(20)
        self._agents: dict[str, tuple[Agent, asyncio.Task[None]]] = {}
        self._faults: Faults = []

    def obey(self, order: dict[str, t.Any]) -> None:
        action = order.pop("order")
        if action == "start":
            for server in order["servers"]:
                self._start(server)
        elif action == "stop":
            self._stop(order["id"])
        elif action == "options":
            for agent, _task in self._chosen(order.get("id")):
                agent.options = dataclasses.replace(agent.options, **order["options"])
        elif action == "faults":
            self._faults = order["faults"]
        elif action == "add faults":
            self._faults += order["faults"]

    def _chosen(self, server_id: str | None) -> list[tuple[Agent, asyncio.Task[None]]]:
        if server_id is None:
            return list(self._agents.values())
        return [self._agents[server_id]] if server_id in self._agents else []

    def _start(self, server: dict[str, t.Any]) -> None:
        self._stop(server["id"])
        agent = Agent(self, server)
        agent.options = Options(**server["options"])
        self._agents[server["id"]] = agent, asyncio.ensure_future(agent.run())

    def _stop(self, server_id: str) -> None:
        agent, task = self._agents.pop(server_id, (None, None))
        if agent is not None and task is not None:
            agent.stop()
            task.cancel()

    def stop_all(self) -> None:
        for server_id in list(self._agents):
            self._stop(server_id)

    def faults_for(self, name: str, line: str) -> Faults:
        """Take the faults that this command of this server is to suffer, using up their counts."""
        taken = []
        for fault in self._faults:
            if fault.get("server") not in (None, "*", name) or not re.search(fault.get("line") or "", line):
                continue
            if fault.get("after", 0) > 0:
                fault["after"] -= 1
            elif fault.get("times") is None or fault["times"] > 0:
                fault["times"] = None if fault.get("times") is None else fault["times"] - 1
                taken.append(fault)
        return taken


def _is_json(text: str | None) -> bool:
    """The agent drops a command whose data is not JSON, after it has acknowledged it."""
    try:
        json.loads(text or "{}")
    except ValueError:
        return False
    return True


def _internal(line: str) -> tuple[int, str]:
    verb = (line.split() or [""])[0]
    if verb == "ping":
        return 0, datetime.datetime.now(datetime.UTC).isoformat()
    if verb == "help":
        return 0, "Available commands: commit, help, ping, sync"
    if verb == "commit":
        return 0, "Committed system information."
    if verb in ("sync", "update", "upgrade", "restart"):
        return 0, "ok"
    return 1, f"Unknown command: {verb}"


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _orders() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--scratch", required=True, type=Path)
    arguments = parser.parse_args()
    office = Office(arguments.url, arguments.scratch)
    orders = await _orders()
    while line := await orders.readline():
        office.obey(json.loads(line))
    office.stop_all()
    await asyncio.sleep(0.05)
    shutil.rmtree(arguments.scratch, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
