# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a stand-in workspace until it is stopped: python -m workspace --dialect current --servers 10"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import typing as t
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import django
import uvicorn
from django.db import connections

from workspace.settings import DIALECTS, Switches, configure


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="workspace", description=__doc__)
    parser.add_argument("--dialect", choices=DIALECTS, default="current")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; the control API is open to it")
    parser.add_argument("--tls", nargs=2, type=Path, metavar=("CERT", "KEY"), help="serve https and wss with these")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--servers", type=int, help="so many servers named web-01, web-02, ... (default 3)")
    parser.add_argument("--server", action="append", metavar="NAME", help="a server of that name; may be repeated")
    parser.add_argument("--agents", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--tick", type=float, default=1.0, help="seconds between two looks at what is due")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when stdin is closed")
    return parser.parse_args()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, never on a port with 8000 in it: genuine agents would dial another one."""
    refused = []
    while True:
        listener = socket.create_server((host, port), backlog=4096)
        if "8000" not in str(listener.getsockname()[1]):
            break
        if port:
            raise SystemExit("the port must not contain 8000: agents would dial another one")
        refused.append(listener)
    for other in refused:
        other.close()
    # asyncio does not set this by itself on connections taken from a ready-made socket: each answer would cost 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> t.Iterator[None]:
        """Leave the signals alone, so that the workspace ends with status 0."""
        yield


async def serve(arguments: argparse.Namespace, folder: Path) -> None:
    from workspace import asgi, dialects, events, faults, fleet, hub, replica, state, storage, traffic

    loop = asyncio.get_running_loop()
    listener = listen(arguments.host, arguments.port)
    scheme = "https" if arguments.tls else "http"
    url = f"{scheme}://{arguments.host}:{listener.getsockname()[1]}"
    certificate, key = arguments.tls or (None, None)
    dialect = dialects.DIALECTS[arguments.dialect]()
    switches = Switches()
    switches.change({"tick": arguments.tick, **dialect.switches})
    injector = faults.Faults(asgi.router())
    counter = traffic.Traffic(injector)
    agents = fleet.Fleet(loop, url, folder / "homes")
    sockets = hub.Hub(loop)
    lagging, listeners = replica.Replica(loop), events.Events(loop)
    storage_listener = listen(arguments.host, 0)
    objects = folder / "objects"
    objects.mkdir()
    bucket = storage.Storage(f"{scheme}://{arguments.host}:{storage_listener.getsockname()[1]}", objects)
    state.current = state.State(
        dialect, sockets, agents, injector, counter, lagging, listeners, switches, {}, bucket, url
    )
    if arguments.agents:
        agents.start()

    options: dict[str, t.Any] = {
        "lifespan": "off",
        "proxy_headers": False,
        "access_log": False,
        "server_header": False,
        "date_header": False,
        "log_level": "warning",
        "loop": "asyncio",
        "ws": "websockets-sansio",
        "ws_ping_interval": None,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 1,
        "ssl_certfile": certificate,
        "ssl_keyfile": key,
    }
    server = Server(uvicorn.Config(counter, **options))
    storage_server = Server(uvicorn.Config(bucket, **options))

    def stop() -> None:
        # A thousand agents that are cut off at once are not an error here.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = storage_server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if arguments.exit_with_parent:

        def stop_at_end() -> None:
            if not os.read(sys.stdin.fileno(), 4096):
                stop()

        loop.add_reader(sys.stdin.fileno(), stop_at_end)

    # Every task shares the connections that are there before it begins, and would otherwise open its own.
    connections.all()
    _create_initial_data(arguments)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    storing = asyncio.ensure_future(storage_server.serve(sockets=[storage_listener]))
    ticking = asyncio.ensure_future(_tick())
    announcing = asyncio.ensure_future(_print_ready(arguments, url))
    try:
        await serving
        await storing
    finally:
        ticking.cancel()
        announcing.cancel()
        await loop.run_in_executor(None, agents.stop)


def _create_initial_data(arguments: argparse.Namespace) -> None:
    import dataclasses

    from workspace import seeding, state

    seeding.create_tables()
    seeding.fresh_workspace()
    count = 3 if arguments.servers is None and not arguments.server else arguments.servers or 0
    names = (arguments.server or []) + seeding.server_names(count)
    servers = seeding.add_servers(names, agent=arguments.agents, **({} if arguments.agents else {"connected": True}))
    state.current.initial = {
        "servers": [server.id for server in servers],
        "switches": dataclasses.asdict(state.current.switches),
    }


async def _tick() -> None:
    from workspace import lifecycle, state

    while True:
        await asyncio.sleep(state.current.switches.tick)
        lifecycle.tick()


async def _print_ready(arguments: argparse.Namespace, url: str) -> None:
    """Print the URL and a token once all agents are connected."""
    from workspace.models import Server, Token

    missing = Server.objects.filter(agent=True, is_connected=False)
    while missing.exists():
        await asyncio.sleep(0.02)
    token = Token.objects.get(name="admin").key
    print(json.dumps({"url": url, "token": token, "dialect": arguments.dialect}), flush=True)


def main() -> None:
    arguments = parse_arguments()
    # A thousand agents need many open files.
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = Path(tempfile.mkdtemp(prefix="workspace-"))
    try:
        configure(folder / "workspace.sqlite3")
        django.setup()
        logging.getLogger("django.request").setLevel(logging.CRITICAL)  # a 503 is not a failure of the stand-in
        asyncio.run(serve(arguments, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
