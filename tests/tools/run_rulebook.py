# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the rulebook in the documentation of the event source with ansible-rulebook, which needs Java.

A server goes offline, and the playbook of the rulebook posts a ticket.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ansible_cores
import collection_tree
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from workspace.client import Workspace

SOURCE = collection_tree.ROOT / "extensions/eda/plugins/event_source/alpacon_commands.py"
PLACE = collection_tree.BUILD / "rulebook"
PACKAGES = (
    *("ansible-rulebook==1.3.2", "drools-jpy==0.4.1", "jpy==2.2.0"),
    *(f"{name}=={importlib.metadata.version(name)}" for name in ("ansible-core", "requests")),
)
#: The address of the ticket system in the documentation.
TICKETS = "https://tickets.example.com/"
#: The name of a server that would be a template in extra variables.
HOSTILE = "{{ lookup('ansible.builtin.pipe', 'echo was run') }}"
SECONDS = 120


def main() -> int:
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        print("ERROR: ansible-rulebook needs Java 17 or newer: install it, such as openjdk-17-jre-headless")
        return 1
    ansible_cores.install(PLACE, ">=3.12", PACKAGES)
    with tempfile.TemporaryDirectory() as name, Workspace("current", servers=0, agents=False) as workspace:
        workspace.add_servers("web-01", HOSTILE, connected=True)
        with ticket_system() as tickets, rulebook(Path(name), tickets.url, workspace) as program:
            await_source(workspace, program)
            titles = []
            for server in ("web-01", HOSTILE):
                workspace.change_server(server, is_connected=False)
                titles.append(tickets.posted.get(timeout=SECONDS)["title"])
    expected = ["web-01 is offline", f"{HOSTILE.replace('{{', '{ {')} is offline"]
    if titles != expected or not tickets.posted.empty():
        print(f"ERROR: the tickets are {titles}, and not {expected}")
        return 1
    print(f"ansible-rulebook opened the tickets: {titles}")
    return 0


class TicketSystem(ThreadingHTTPServer):
    """Puts the JSON of each POST into a queue."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: queue.Queue[Any] = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: TicketSystem

    def do_POST(self) -> None:
        self.server.posted.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return None


@contextlib.contextmanager
def ticket_system() -> Iterator[TicketSystem]:
    with TicketSystem() as system:
        threading.Thread(target=system.serve_forever, daemon=True).start()
        yield system
        system.shutdown()


def read_examples() -> list[str]:
    """Return the rulebook and its playbook, as the documentation has them."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    [examples] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES"
    ]
    return [yaml.safe_dump(document) for document in yaml.safe_load_all(examples)]


@contextlib.contextmanager
def rulebook(folder: Path, url: str, workspace: Workspace) -> Iterator[subprocess.Popen[bytes]]:
    """Run ansible-rulebook in a folder with the rulebook, its playbook and an inventory."""
    rules, playbook = read_examples()
    (folder / "rulebook.yml").write_text(rules.replace("interval: 30", "interval: 5"))
    (folder / "open_ticket.yml").write_text(playbook.replace(TICKETS, url))
    (folder / "inventory.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
    environ = {
        **ansible_cores.environ(PLACE / "bin"),
        "ANSIBLE_COLLECTIONS_PATH": str(collection_tree.link()),
        "ANSIBLE_HOME": str(folder / ".ansible"),
        "ALPACON_URL": workspace.url,
        "ALPACON_TOKEN": workspace.token,
    }
    command = [str(PLACE / "bin/ansible-rulebook"), "--rulebook", "rulebook.yml", "--inventory", "inventory.yml"]
    program = subprocess.Popen([*command, "--shutdown-delay", "1"], cwd=folder, env=environ, stdin=subprocess.DEVNULL)
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(timeout=30)
        except subprocess.TimeoutExpired:
            program.kill()


def await_source(workspace: Workspace, program: subprocess.Popen[bytes]) -> None:
    """Wait until the source has read the list of servers."""

    def has_read() -> bool:
        if program.poll() is not None:
            raise SystemExit("ERROR: ansible-rulebook ended")
        return any("/servers/servers/" in request["path"] for request in workspace.log())

    workspace._until(has_read, "the source has not read the servers", SECONDS)


if __name__ == "__main__":
    sys.exit(main())
