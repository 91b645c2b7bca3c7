# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers for the inventory plugin, in this process or in Ansible's programs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import collection_tree
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from system.fork_server import run_program
from system.plays import TIMEOUT, environment
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.plugin_utils import _settings

Row = dict[str, Any]

_SERVERS = Path(__file__).with_name("servers.json")
#: A file that a template in the name of a server creates if it is evaluated.
MARKER = Path("/tmp/alpacon-was-templated")
APP, DB, NEW = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "123")
TWINS = ("twin-44444444", "twin-55555555")
ODD = "___lookup__pipe____touch__tmp_alpacon-was-templated_____"
#: What a server has for times, so that nothing of it moves.
TIMES = {
    "boot_time": None,
    "last_connectivity": "2026-11-24T10:30:44Z",
    "started_at": "2026-11-24T08:00:00Z",
    "added_at": "2026-03-02T08:00:00Z",
    "updated_at": "2026-11-24T10:30:44Z",
}


def add_servers(workspace: Workspace) -> None:
    rows = json.loads(_SERVERS.read_text(encoding="utf-8"))
    workspace.call("POST", "servers/", [{**TIMES, **row} for row in rows])


@dataclass(frozen=True)
class Listing:
    arguments: tuple[str, ...]
    code: int
    out: str
    log: str

    @property
    def data(self) -> Row:
        """Return the inventory without ansible-core's marks of untrusted values."""
        text = self.out[self.out.index("\n{") :] if "-vvvv" in self.arguments else self.out
        data: Row = json.loads(text, object_hook=lambda row: row.get("__ansible_unsafe", row))
        return data

    @property
    def hosts(self) -> dict[str, Row]:
        hosts: dict[str, Row] = self.data["_meta"]["hostvars"]
        return hosts

    @property
    def groups(self) -> dict[str, list[str]]:
        return {name: sorted(group["hosts"]) for name, group in self.data.items() if group.get("hosts")}

    @property
    def warnings(self) -> str:
        return re.sub(r"\s+", " ", self.log)


class RecordingDisplay:
    """Replace Ansible's display: record warnings and everything that is shown."""

    def __init__(self) -> None:
        self.warned: list[str] = []
        self.shown: list[str] = []

    def warning(self, msg: str, *_more: Any, **_named: Any) -> None:
        self.warned.append(msg)
        self.shown.append(msg)

    def __getattr__(self, _name: str) -> Any:
        return lambda msg="", *_more, **_named: self.shown.append(str(msg))


@dataclass(frozen=True)
class Parsed:
    """The result of inventory plugins in this process.

    Attributes:
        failure: why the last of them failed; empty if it did not.
    """

    inventory: Any
    warnings: str
    shown: str
    failure: str

    @property
    def hosts(self) -> dict[str, Row]:
        left_out = ("inventory_file", "inventory_dir")
        return {
            name: {key: value for key, value in host.vars.items() if key not in left_out}
            for name, host in self.inventory.hosts.items()
        }

    @property
    def groups(self) -> dict[str, list[str]]:
        groups = self.inventory.groups.items()
        return {name: sorted(host.name for host in group.hosts) for name, group in groups if group.hosts}

    def children(self, name: str) -> list[str]:
        return sorted(group.name for group in self.inventory.groups[name].child_groups)


def parse_sources(*sources: Path | str) -> Parsed:
    """Parse files in this process in this order: YAML with our plugin, others as INI."""
    inventory: Any = InventoryData()
    notes, failure = RecordingDisplay(), ""
    with patch.object(_settings, "_inventories", {}):
        for source in map(str, sources):
            ours = source.endswith((".yml", ".yaml"))
            plugin: Any = inventory_loader.get("herdops.alpacon.alpacon" if ours else "ansible.builtin.ini")
            plugin.display = notes
            inventory.current_source = source
            try:
                plugin.parse(inventory, DataLoader(), source, cache=True)
                if hasattr(plugin, "_cache"):
                    plugin.update_cache_if_changed()
            except AnsibleError as error:
                failure = str(error)
    inventory.reconcile_inventory()
    return Parsed(inventory, " ".join(notes.warned), " ".join(notes.shown), failure)


def run_inventory(
    program: Path, source: Path, arguments: tuple[str, ...], environ: dict[str, str | None], folder: Path
) -> Listing:
    """Run a program with an inventory; a variable that is None is removed from its environment."""
    given = {name: value for name, value in environ.items() if value is not None}
    out, err = folder / "printed", folder / "complained"
    _pid, code = run_program([str(program), "-i", str(source), *arguments], given, folder, out, err, TIMEOUT)
    return Listing(arguments, code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Source:
    workspace: Workspace
    folder: Path
    programs: Path = collection_tree.TOOLS
    name: str = "my.alpacon.yml"

    @property
    def path(self) -> Path:
        return self.folder / self.name

    def write(self, text: str = "", **options: Any) -> None:
        lines = "".join(f"{name}: {json.dumps(value)}\n" for name, value in options.items())
        self.path.write_text(f"plugin: herdops.alpacon.alpacon\n{lines}{text}", encoding="utf-8")

    def parse(self, text: str = "", **options: Any) -> Parsed:
        self.write(text, **{"url": self.workspace.url, "token": self.workspace.token, **options})
        read = parse_sources(self.path)
        assert self.workspace.token not in read.shown + read.failure
        return read

    def refuse(self, text: str = "", **options: Any) -> str:
        """Parse a file that must fail before any request, and return the reason."""
        before = self.workspace.requests_made()
        read = self.parse(text, **options)
        assert read.failure, read.hosts
        assert read.hosts == {}
        assert self.workspace.requests_made() == before
        return read.failure

    def run(self, *arguments: str, program: str = "ansible-inventory", **environ: str | None) -> Listing:
        (self.folder / "ansible.cfg").touch()
        every: dict[str, str | None] = {
            **environment(self.workspace, self.folder),
            "ANSIBLE_CALLBACKS_ENABLED": None,
            **environ,
        }
        return run_inventory(self.programs / program, self.path, arguments, every, self.folder)

    def list(self, *arguments: str, **options: Any) -> Listing:
        """Write the file and list the inventory, which must succeed."""
        self.write(**options)
        run_inventory = self.run("--list", *arguments)
        assert run_inventory.code == 0, run_inventory.log
        assert "Failed to parse" not in run_inventory.log, run_inventory.log
        return run_inventory

    def fail(self, text: str = "", **options: Any) -> str:
        """Write the file, list the inventory, which must fail, and return its error messages."""
        self.write(text, **options)
        run_inventory = self.run("--list", "-vvvv", ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="1")
        assert run_inventory.code != 0, run_inventory.out
        assert self.workspace.token not in run_inventory.out + run_inventory.log
        return run_inventory.warnings
