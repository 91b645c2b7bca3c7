# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The daemon: it checks its session, reports, and serves the websocket until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import ssl
import threading
import time
import typing as t
from pathlib import Path

from . import config, log
from .agent import Agent, Options
from .api import Api, ApiError
from .reports import Poster
from .version import CONNECTS, VERSION

PID_FILE = Path("/run/alpamon.pid")
SERVER_PATH = "/api/servers/servers/-/"
#: Only the tests' hosts set it: a fraction of every pause between two attempts.
PACE = float(os.environ.get("ALPAMON_PACE", "1"))
SESSION_PAUSES = (10, 20, 40, 80, 160, 300)
SOCKET_PAUSES = (0, 5, 10, 20, 40, 60)


def main() -> int:
    parser = argparse.ArgumentParser(prog="alpamon", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=VERSION)
    parser.parse_args()
    log.info(f"Starting alpamon... (version: {VERSION})")
    try:
        settings = config.load()
        write_pid_file()
    except (config.ConfigError, FileExistsError) as error:
        log.error(f"{error}")
        log.error("Aborting...")
        return 1
    log.DEBUGGING = settings.debug
    if settings.url.startswith("https://") and not settings.verify:
        log.warn("SSL verification is turned off. This is not recommended.")
    signal.signal(signal.SIGTERM, _stop)
    try:
        return Daemon(settings).run()
    except KeyboardInterrupt:
        return 0
    finally:
        PID_FILE.unlink(missing_ok=True)


def _stop(number: int, frame: object) -> t.NoReturn:
    raise KeyboardInterrupt


def write_pid_file() -> None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        if Path(f"/proc/{int(PID_FILE.read_text())}").exists():
            raise FileExistsError("pidfile already exists")
    PID_FILE.write_text(f"{os.getpid()}\n")


class Daemon:
    def __init__(self, settings: config.Config) -> None:
        self.settings = settings
        self.api = Api.of(settings)

    def run(self) -> int:
        log.info("Initialized global worker pool with 20 workers and queue capacity 200")
        server = self.check_session()
        log.info("alpamon initialized and running.")
        threading.Thread(target=self.report_start, args=[server["commissioned"]], daemon=True).start()
        asyncio.run(self.serve())
        return 0

    async def serve(self) -> None:
        agent = HostAgent(self.settings, self.api)
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        log.info(f"Connecting to websocket at {agent.address('backhaul')}...")
        serving, stopping = asyncio.ensure_future(agent.run()), asyncio.ensure_future(ended.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if ended.is_set():
            await agent.stop()
        for task in (serving, stopping):
            task.cancel()

    def check_session(self) -> dict[str, t.Any]:
        attempts = pauses(SESSION_PAUSES)
        while (answer := self.read_own_server() if CONNECTS else None) is None:
            time.sleep(next(attempts))
        return answer

    def read_own_server(self) -> dict[str, t.Any] | None:
        """Return the row of this server; None, with a debug message, if there is none."""
        try:
            status, text = self.api.send("GET", SERVER_PATH)
            answer = json.loads(text) if status == 200 else None
        except (ApiError, ValueError) as error:
            log.debug(f"Failed to check the session: {error}")
            return None
        if isinstance(answer, dict) and isinstance(answer.get("commissioned"), bool):
            return answer
        log.debug(f"Failed to check the session: status {status}")
        return None

    def report_start(self, commissioned: bool) -> None:
        self.report_event("started", f"alpamon {VERSION} started running.")
        if not commissioned:
            log.info("Committing essential system information (lightweight).")
            self.api.report("PUT", f"{SERVER_PATH}commit/", system_information())
            self.report_event("committed", f"Committed system information. version: {VERSION}")
            log.info("Essential system information committed.")
        self.api.report("GET", "/api/metrics/config/")
        self.api.report("PATCH", f"{SERVER_PATH}sync/", {"version": VERSION, "load": os.getloadavg()[0]})
        self.api.report("POST", f"{SERVER_PATH}sync-check/", {"hashes": {}})

    def report_event(self, record: str, description: str) -> None:
        body = {"reporter": "alpamon", "record": record, "description": description}
        self.api.report("POST", "/api/events/events/", body)


class HostAgent(Agent):
    def __init__(self, settings: config.Config, api: Api) -> None:
        super().__init__(
            settings.url,
            settings.id,
            settings.key,
            Poster(settings.url, api.context),
            _websocket_trust(settings),
            Options(repeat_unit=PACE),
        )

    def pauses(self) -> t.Iterator[float]:
        return pauses(SOCKET_PAUSES)

    def on_connect(self) -> None:
        log.debug("Backhaul connection established.")

    def on_disconnect(self, error: Exception) -> None:
        log.debug(f"Backhaul connection lost: {error}")


def _websocket_trust(settings: config.Config) -> ssl.SSLContext:
    """Trust what the system trusts: `ca_cert` does not apply to websockets."""
    context = ssl.create_default_context()
    if not settings.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def pauses(seconds: t.Sequence[float]) -> t.Iterator[float]:
    """Yield these pauses, then the last one for ever."""
    yield from (PACE * each for each in seconds)
    while True:
        yield PACE * seconds[-1]


def system_information() -> dict[str, t.Any]:
    lines = (line.partition("=") for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines())
    release = {key: value.strip('"') for key, _sign, value in lines}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "version": VERSION,
        "sshd_use_pam": "yes",
        "load": os.getloadavg()[0],
        "info": {"cpu_type": os.uname().machine, "cpu_logical_cores": os.cpu_count(), "physical_memory": memory},
        "os": {
            "name": release.get("NAME", ""),
            "version": release.get("VERSION_ID", ""),
            "platform": release.get("ID", ""),
            "platform_like": release.get("ID_LIKE", release.get("ID", "")),
        },
        "sync_hashes": {},
    }
