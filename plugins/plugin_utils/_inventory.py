# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make names of hosts and groups from text of the workspace, and values that Ansible never runs as templates."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ansible import constants as C
from ansible import template
from ansible.inventory.group import to_safe_group_name
from ansible.inventory.helpers import get_group_vars
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils._api.errors import UsageError, join_first
from ..module_utils._api.records import CORE_KEY_PREFIX, is_uuid, normalize_uuid
from ._settings import SERVER_ID, WORKSPACE, normalize_if_url

if TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.inventory.host import Host

#: Before ansible-core 2.19, texts are templates unless they are marked as unsafe; since then, only if they are trusted.
TRUSTS_ALL_TEXT = not hasattr(template, "trust_as_template")
CONNECTION_PLUGIN = "herdops.alpacon.alpacon"
FILE_ENDINGS = ("alpacon.yml", "alpacon.yaml")
#: Variables that configure the connection to a host, besides those of SSH.
_CONNECTION_VARIABLES = frozenset(("ansible_connection", "ansible_host", "ansible_port", "ansible_user"))
_SHORT_ID = 8
#: Maximum bytes of a name, so that a suffix and the ending of a file can be added.
_MAX_BYTES = 180
_MAX_NAMES = 20
#: Unsafe characters of a name; accents of letters are safe. A text without unsafe characters is harmless in templates,
#: conditions (before ansible-core 2.19, they evaluate the result of {{ }} again), shell lines, patterns and paths.
_UNSAFE_IN_NAMES = re.compile(r"[^\w.@+-]")
#: Unsafe characters of other texts. Blanks, colons and slashes only separate words.
_UNSAFE_IN_TEXTS = re.compile(r"[^\w.@+ :/-]")
#: Names that Ansible does not use as hosts or groups of the inventory.
_RESERVED = frozenset(("all", "ungrouped", *C.LOCALHOST))

Warn = Callable[[str], None]


def disable_templates(value: Any, trusts_all_text: bool = TRUSTS_ALL_TEXT) -> Any:
    """Return a value of the workspace that no ansible-core runs as a template or an expression.

    Harmless texts are trusted, so that ansible-inventory lists them as plain texts.
    """
    if not trusts_all_text:
        return _trust_harmless(value)
    return value if _is_harmless(value) else _mark_unsafe(value)


def _is_harmless(value: Any) -> bool:
    # An expression of the user may join several texts. Harmless texts are still harmless then.
    if isinstance(value, str):
        return all(map(_is_accent, _UNSAFE_IN_TEXTS.findall(value)))
    if isinstance(value, Mapping):
        return all(_is_harmless(key) and _is_harmless(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_is_harmless, value))


def _mark_unsafe(value: Any, always: bool = False) -> Any:
    """Mark the unsafe texts of a value. With always, convert all of its values to texts and mark them."""
    if value and isinstance(value, Mapping):
        # Ansible ignores marks of keys, so mark all values of an unsafe key.
        return {
            (key if _is_harmless(key) else wrap_var(key)): _mark_unsafe(item, always or not _is_harmless(key))
            for key, item in value.items()
        }
    if value and isinstance(value, list):
        return [_mark_unsafe(item, always) for item in value]
    if always:
        return wrap_var(str(value))
    return value if _is_harmless(value) else wrap_var(value)


def _trust_harmless(value: Any) -> Any:
    if isinstance(value, str):
        return template.trust_as_template(value) if _is_harmless(value) else value
    if isinstance(value, Mapping):
        return {key: _trust_harmless(item) for key, item in value.items()}
    return [_trust_harmless(item) for item in value] if isinstance(value, list) else value


def trust_result(text: str) -> Any:
    """Trust the result of an expression if it is harmless. Since 2.19, ansible-core does not trust results."""
    return text if TRUSTS_ALL_TEXT else _trust_harmless(text)


def _is_accent(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


# Names


@cache
def to_group_name(name: str) -> str:
    """Convert a name to a valid group name, independently of the settings of Ansible."""
    safe = _strip_core_key(str(to_safe_group_name(name, force=True, silent=True)))
    if len(safe.encode()) > _MAX_BYTES:
        safe = f"{_cut(safe)}_{_hash(safe)}"
    return f"{safe}_" if safe in _RESERVED else safe


def make_group_name(prefix: str, name: str) -> str:
    return to_group_name(f"{prefix}_{name.lower()}")


def to_host_name(name: str) -> str:
    """Convert a name to a safe host name.

    Ansible uses host names in templates, patterns, file names and messages, and removes marks from them.
    """
    with suppress(ValueError):
        # The zone of an address may be any text.
        if ip_address(name) and "%" not in name:
            return name
    text = _UNSAFE_IN_NAMES.sub(lambda found: found[0] if _is_accent(found[0]) else "_", name)
    # @ and - have a meaning at the start of patterns and options.
    bare = text.lstrip("@-")
    text = _strip_core_key("_" * (len(text) - len(bare)) + bare)
    return text.replace(".", "_") if not text.strip(".") else _cut(text)


def _strip_core_key(name: str) -> str:
    # Names become keys in the output of ansible-inventory, where this prefix has a meaning.
    return name[1:] if name.startswith(CORE_KEY_PREFIX) else name


def _cut(name: str) -> str:
    return name.encode()[:_MAX_BYTES].decode(errors="ignore")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SHORT_ID]


def make_distinct(wanted: Iterable[tuple[str, str]], warn: Warn) -> list[str]:
    """Return a distinct name for each pair of a name and an id. Names that are not distinct get a part of the id."""
    pairs = list(wanted)
    counts = Counter(name for name, _id in pairs)
    short = [name if counts[name] == 1 else f"{name}-{server_id[:_SHORT_ID]}" for name, server_id in pairs]
    taken = Counter(short)
    distinct = [
        new if taken[new] == 1 or counts[name] == 1 else f"{name}-{server_id}"
        for new, (name, server_id) in zip(short, pairs, strict=True)
    ]
    hosts: dict[str, list[str]] = {}
    for new, (name, _id) in zip(distinct, pairs, strict=True):
        hosts.setdefault(name, []).append(new)
    _warn_of_shared_names(hosts, "servers", "host", warn)
    return distinct


def _warn_of_shared_names(names: Mapping[str, Sequence[str]], objects: str, kind: str, warn: Warn) -> None:
    """Warn of each name that several objects of the workspace would share as hosts or groups.

    Args:
        names: the names that the objects have instead, by the name that they would share.
    """
    shared = sorted(name for name, instead in names.items() if len(instead) > 1)
    for name in shared[:_MAX_NAMES]:
        count, instead = len(names[name]), join_first(names[name], _MAX_NAMES)
        warn(f"{count:,} {objects} would share the {kind} name {name}. Their names are {instead}.")
    if len(shared) > _MAX_NAMES:
        warn(f"{len(shared) - _MAX_NAMES} more {kind} names would be shared.")


class GroupNaming:
    """Name the groups of the workspace. Names that are not distinct get a part of a digest.

    Otherwise, a user who may create a group could add servers to the plays and variables of another group.
    """

    def __init__(self, servers: Iterable[Mapping[str, Any]], warn: Warn) -> None:
        self._ids: dict[str, set[str]] = {}
        for group in (group for server in servers for group in server.get("groups") or ()):
            self._ids.setdefault(make_group_name("group", group["name"]), set()).add(_identify(group))
        names = {name: sorted(f"{name}_{_hash(one)}" for one in ids) for name, ids in self._ids.items()}
        _warn_of_shared_names(names, "groups of the workspace", "group", warn)

    def get_name(self, group: Mapping[str, Any]) -> str:
        name = make_group_name("group", group["name"])
        return f"{name}_{_hash(_identify(group))}" if len(self._ids[name]) > 1 else name


def _identify(group: Mapping[str, Any]) -> str:
    return str(group.get("id") or group["name"])


class HostNaming:
    """Give servers host names that no other server and no group of an inventory has."""

    def __init__(self, inventory: InventoryData, warn: Warn) -> None:
        self._inventory = inventory
        self._warn = warn

    def assign_names(self, wanted: Sequence[tuple[str, str]], workspace: str) -> Iterator[str]:
        """Yield the host name of each server. The caller adds the host before it requests the next name.

        Args:
            wanted: the name and the UUID of each server.
        """
        counts = Counter(to_host_name(name) for name, _id in wanted)
        pairs, is_changed = [], []
        for name, server_id in wanted:
            safe = to_host_name(name)
            is_changed.append(safe != name)
            # The server that really has this name keeps it.
            pairs.append((f"{safe}-{server_id[:_SHORT_ID]}" if safe != name and counts[safe] > 1 else safe, server_id))
        unsafe: list[str] = []
        of_groups: list[str] = []
        of_servers: list[str] = []
        names = make_distinct(pairs, self._warn)
        for name, changed, (_name, server_id) in zip(names, is_changed, wanted, strict=True):
            free = self._find_free_name(name, server_id, workspace, may_join=not changed)
            if changed:
                unsafe.append(free)
            elif free != name:
                (of_servers if name in self._inventory.hosts else of_groups).append(f"{name} ({free})")
            yield free
        warn_of_servers(unsafe, "had a name that is not safe for a host, so the host has another name:", self._warn)
        added = "so a part of the UUID was added:"
        warn_of_servers(of_groups, f"had the name of a group or of this machine, {added}", self._warn)
        warn_of_servers(of_servers, f"of {workspace} had the name of another server's host, {added}", self._warn)

    def rename_hosts_like_groups(self) -> None:
        """Rename hosts of workspaces whose name is that of a group which was added after them."""
        hosts = self._inventory.hosts
        renamed = []
        for name in [name for name in hosts if name in self._inventory.groups and is_from_workspace(hosts[name])]:
            host = hosts[name]
            new = self._find_free_name(name, str(host.vars[SERVER_ID]), str(host.vars[WORKSPACE]), may_join=False)
            groups = [group.name for group in self._inventory.groups.values() if host in group.hosts]
            self._inventory.remove_host(host)
            self._inventory.add_host(new)
            for group in groups:
                self._inventory.add_host(new, group)
            for variable, value in host.vars.items():
                self._inventory.set_variable(new, variable, value)
            renamed.append(f"{name} ({new})")
        warn_of_servers(renamed, "had the name of a group, so a part of the UUID was added:", self._warn)

    def _find_free_name(self, name: str, server_id: str, workspace: str, may_join: bool) -> str:
        """Return the name, or the name with the first suffix that makes it free.

        Args:
            may_join: True if a host of another inventory may become the host of the server.
        """
        longer = f"{name}-{server_id}"
        for candidate in (name, f"{name}-{server_id[:_SHORT_ID]}", longer, f"{longer}-{_hash(workspace)}"):
            if self._is_free(candidate, server_id, workspace, may_join):
                return candidate
        problem = f"hosts or groups already have every name that the server {server_id} could get"
        raise UsageError("hostname", problem, f"Rename the server, or the host or group {name}.")

    def _is_free(self, name: str, server_id: str, workspace: str, may_join: bool) -> bool:
        if name in _RESERVED or name in self._inventory.groups:
            return False
        host = self._inventory.hosts.get(name)
        if host is None or SERVER_ID not in host.vars:
            return host is None or may_join
        stated = str(host.vars[SERVER_ID])
        stated_id = normalize_uuid(stated) if is_uuid(stated) else stated
        return (stated_id, normalize_if_url(host.vars.get(WORKSPACE, workspace))) == (server_id, workspace)


def is_from_workspace(host: Host) -> bool:
    """Return True if an inventory of this plugin was the first one to add the host."""
    source = str(host.vars.get("inventory_file") or "")
    return WORKSPACE in host.vars and SERVER_ID in host.vars and source.endswith(FILE_ENDINGS)


# Connections


def classify_shared_host(host: Host | None) -> str:
    """Classify a host that has the name of a server.

    Returns:
        C(connected) if another inventory gives the host a connection, which does not change; C(joined) if another
        inventory has the host without one; else empty.
    """
    if host is None:
        return ""
    variables = {**get_group_vars(host.get_groups()), **host.vars}
    connection = variables.get("ansible_connection")
    if connection == CONNECTION_PLUGIN or (connection is None and is_from_workspace(host)):
        return ""
    connected = any(name in _CONNECTION_VARIABLES or name.startswith("ansible_ssh_") for name in variables)
    return "connected" if connected else "joined"


def make_undo(inventory: InventoryData) -> Callable[[], None]:
    hosts, groups = inventory.hosts, inventory.groups
    contents: list[dict[str, Any]] = [hosts, groups, *map(vars, hosts.values()), *map(vars, groups.values())]
    saved = [
        {name: copy(value) if isinstance(value, (dict, list, set)) else value for name, value in each.items()}
        for each in contents
    ]

    def undo() -> None:
        for each, before in zip(contents, saved, strict=True):
            each.clear()
            each.update(before)

    return undo


def warn_of_servers(hosts: Sequence[str], problem: str, warn: Warn) -> None:
    if hosts:
        count = "1 server" if len(hosts) == 1 else f"{len(hosts)} servers"
        warn(f"{count} {problem} {join_first(hosts, _MAX_NAMES)}.")
