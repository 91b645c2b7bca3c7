# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turn text of the workspace into names of hosts and groups, and into values that are never run as templates."""

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

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import (
    CORE_KEY_PREFIX,
    is_uuid,
    is_windows,
    normalize_uuid,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import SERVER_ID, WORKSPACE, normalize_if_url

if TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.inventory.host import Host

#: True before ansible-core 2.19, which runs every text as a template that is not marked as unsafe.
TRUSTS_ALL_TEXT = not hasattr(template, "trust_as_template")
CONNECTION_PLUGIN = "herdops.alpacon.alpacon"
#: Endings of the files of the inventory plugin.
FILE_ENDINGS = ("alpacon.yml", "alpacon.yaml")
#: Variables that select how a host is reached, besides those of SSH.
_CONNECTION_VARIABLES = frozenset(("ansible_connection", "ansible_host", "ansible_port", "ansible_user"))
_SHORT_ID = 8
#: Maximum bytes of a name, so that a suffix and the ending of a file can be added.
_MAX_BYTES = 180
#: Maximum number of names in a warning, and of warnings about names.
_NAMED = 20
#: Unsafe in a name, except for the accents of letters. Without these, a text ends no quotes, calls nothing and passes
#: nothing on, wherever a play puts it: into a template, a condition (before ansible-core 2.19, the result of {{ }} in
#: one is an expression), a line of a shell, a pattern or a path.
_UNSAFE_IN_NAMES = re.compile(r"[^\w.@+-]")
#: Unsafe in a text; blanks, colons and slashes only split.
_UNSAFE_IN_TEXTS = re.compile(r"[^\w.@+ :/-]")
#: Names that are no names of a host or group of the inventory for Ansible.
_RESERVED = frozenset(("all", "ungrouped", *C.LOCALHOST))

Warn = Callable[[str], None]


def make_inert(value: Any, trusts_all_text: bool = TRUSTS_ALL_TEXT) -> Any:
    """Return a value of the workspace that no ansible-core runs as a template or an expression.

    Harmless text is trusted, since ansible-inventory lists only such text without a mark.
    """
    if not trusts_all_text:
        return _trust_harmless(value)
    return value if _is_harmless(value) else _mark_unsafe(value)


def _is_harmless(value: Any) -> bool:
    # Two harmless texts are harmless together, if an expression of the user joins them.
    if isinstance(value, str):
        return all(map(_is_accent, _UNSAFE_IN_TEXTS.findall(value)))
    if isinstance(value, Mapping):
        return all(_is_harmless(key) and _is_harmless(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_is_harmless, value))


def _mark_unsafe(value: Any, always: bool = False) -> Any:
    """Mark the texts of a value that are not harmless, or all of its values as texts."""
    if value and isinstance(value, Mapping):
        # Ansible ignores marks of keys, so the value of an unsafe key becomes a text that can be marked.
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
    """Trust the harmless result of an expression, which ansible-core does not trust since 2.19."""
    return text if TRUSTS_ALL_TEXT else _trust_harmless(text)


def _is_accent(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


# Names


@cache
def to_group_name(name: str) -> str:
    """Return a name that a group can have, whatever the settings of Ansible are."""
    safe = _strip_core_key(str(to_safe_group_name(name, force=True, silent=True)))
    if len(safe.encode()) > _MAX_BYTES:
        safe = f"{_cut(safe)}_{_hash(safe)}"
    return f"{safe}_" if safe in _RESERVED else safe


def make_group_name(prefix: str, name: str) -> str:
    """Return the name of a default group."""
    return to_group_name(f"{prefix}_{name.lower()}")


def to_host_name(name: str) -> str:
    """Return a name that a host can have.

    Ansible uses names of hosts as templates, as patterns and as names of files, and prints them; no mark would stay on
    them.
    """
    with suppress(ValueError):
        # A zone may be any text.
        if ip_address(name) and "%" not in name:
            return name
    text = _UNSAFE_IN_NAMES.sub(lambda found: found[0] if _is_accent(found[0]) else "_", name)
    # Patterns and options begin with these.
    bare = text.lstrip("@-")
    text = _strip_core_key("_" * (len(text) - len(bare)) + bare)
    return text.replace(".", "_") if not text.strip(".") else _cut(text)


def _strip_core_key(name: str) -> str:
    # Names are keys in the JSON of ansible-inventory, which other inventories read.
    return name[1:] if name.startswith(CORE_KEY_PREFIX) else name


def _cut(name: str) -> str:
    return name.encode()[:_MAX_BYTES].decode(errors="ignore")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SHORT_ID]


def make_distinct(wanted: Iterable[tuple[str, str]], warn: Warn) -> list[str]:
    """Return a name for each pair of a name and an id; those that share a name all get a part of their id added."""
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
    _warn_of_shared(hosts, "servers", "host", warn)
    return distinct


def _warn_of_shared(names: Mapping[str, Sequence[str]], kind: str, becomes: str, warn: Warn) -> None:
    """Warn of each name that several servers or groups would have."""
    shared = sorted(name for name, own in names.items() if len(own) > 1)
    for name in shared[:_NAMED]:
        own = names[name]
        warn(f"{len(own)} {kind} would be the {becomes} {name}. They are the {becomes}s {_list_some(own)}.")
    if len(shared) > _NAMED:
        warn(f"{len(shared) - _NAMED} more names of {becomes}s are shared in this way.")


class GroupNaming:
    """Name the workspace's groups; those that would share a name all get a part of a digest added.

    Otherwise, whoever may make a group could add servers to the plays and variables of another one.
    """

    def __init__(self, servers: Iterable[Mapping[str, Any]], warn: Warn) -> None:
        self._ids: dict[str, set[str]] = {}
        for group in (group for server in servers for group in server.get("groups") or ()):
            self._ids.setdefault(make_group_name("group", group["name"]), set()).add(_identify(group))
        names = {name: sorted(f"{name}_{_hash(one)}" for one in ids) for name, ids in self._ids.items()}
        _warn_of_shared(names, "groups of the workspace", "group", warn)

    def get_name(self, group: Mapping[str, Any]) -> str:
        name = make_group_name("group", group["name"])
        return f"{name}_{_hash(_identify(group))}" if len(self._ids[name]) > 1 else name


def _identify(group: Mapping[str, Any]) -> str:
    return str(group.get("id") or group["name"])


class HostNaming:
    """Name servers in an inventory, with names that no other server and no group has.

    Args:
        inventory: the hosts are added to it as soon as they are named.
    """

    def __init__(self, inventory: InventoryData, warn: Warn) -> None:
        self._inventory = inventory
        self._warn = warn

    def assign_names(self, wanted: Sequence[tuple[str, str]], workspace: str) -> Iterator[str]:
        """Yield the name of each server; the host has to be added before the next one.

        Args:
            wanted: the name and the UUID of each server.
        """
        safe = [to_host_name(name) for name, _id in wanted]
        counts = Counter(safe)
        unsafe = [new != name for new, (name, _id) in zip(safe, wanted, strict=True)]
        # A name that had to be changed never replaces that of another server.
        pairs = [
            (f"{name}-{server_id[:_SHORT_ID]}" if changed and counts[name] > 1 else name, server_id)
            for name, changed, (_name, server_id) in zip(safe, unsafe, wanted, strict=True)
        ]
        changed_names: list[str] = []
        taken: list[str] = []
        foreign: list[str] = []
        for name, changed, (_name, server_id) in zip(make_distinct(pairs, self._warn), unsafe, wanted, strict=True):
            own = self._find_free_name(name, server_id, workspace, joins=not changed)
            if changed:
                changed_names.append(own)
            elif own != name:
                (foreign if name in self._inventory.hosts else taken).append(f"{name} ({own})")
            yield own
        warn_of_servers(changed_names, "had a name that is not safe for a host, which is now:", self._warn)
        warn_of_servers(
            taken, "had the name of a group or of this machine, so a part of the UUID was added:", self._warn
        )
        of_other = f"of {workspace} had the name of another server's host, so a part of the UUID was added:"
        warn_of_servers(foreign, of_other, self._warn)

    def rename_hosts_like_groups(self) -> None:
        """Rename hosts of workspaces that have the name of a group which was added since."""
        hosts = self._inventory.hosts
        renamed = []
        for name in [name for name in hosts if name in self._inventory.groups and is_from_workspace(hosts[name])]:
            host = hosts[name]
            new = self._find_free_name(name, str(host.vars[SERVER_ID]), str(host.vars[WORKSPACE]), joins=False)
            groups = [group.name for group in self._inventory.groups.values() if host in group.hosts]
            self._inventory.remove_host(host)
            self._inventory.add_host(new)
            for group in groups:
                self._inventory.add_host(new, group)
            for variable, value in host.vars.items():
                self._inventory.set_variable(new, variable, value)
            renamed.append(f"{name} ({new})")
        warn_of_servers(renamed, "had the name of a group, so a part of the UUID was added:", self._warn)

    def _find_free_name(self, name: str, server_id: str, workspace: str, joins: bool) -> str:
        """Return the name, or the first one with a suffix that no group and no other server has.

        Args:
            joins: True if the server may be a host of another inventory that does not know its server.
        """
        longer = f"{name}-{server_id}"
        for candidate in (name, f"{name}-{server_id[:_SHORT_ID]}", longer, f"{longer}-{_hash(workspace)}"):
            if self._is_free(candidate, server_id, workspace, joins):
                return candidate
        problem = f"every name for the server {server_id} is taken"
        raise UsageError("hostname", problem, "Rename the server, or what has its name.")

    def _is_free(self, name: str, server_id: str, workspace: str, joins: bool) -> bool:
        if name in _RESERVED or name in self._inventory.groups:
            return False
        host = self._inventory.hosts.get(name)
        if host is None or SERVER_ID not in host.vars:
            return host is None or joins
        known = str(host.vars[SERVER_ID])
        known_id = normalize_uuid(known) if is_uuid(known) else known
        return (known_id, normalize_if_url(host.vars.get(WORKSPACE, workspace))) == (server_id, workspace)


def is_from_workspace(host: Host) -> bool:
    """Return True if an inventory of a workspace was the first to add the host."""
    source = str(host.vars.get("inventory_file") or "")
    return WORKSPACE in host.vars and SERVER_ID in host.vars and source.endswith(FILE_ENDINGS)


# Connections


def make_connection_variables(server: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables that any module needs to reach a server through the workspace; none for Windows."""
    if is_windows(server):
        return {}
    return {"ansible_connection": make_inert(CONNECTION_PLUGIN), "alpacon_is_connected": server.get("is_connected")}


def find_shared_host(host: Host | None) -> str:
    """Return how a server joins a host that exists already.

    Returns:
        C(kept) if another inventory gives the host a connection, which it keeps; C(joined) if it has none; empty for
        hosts that are reached through a workspace, and without a host.
    """
    if host is None:
        return ""
    variables = {**get_group_vars(host.get_groups()), **host.vars}
    connection = variables.get("ansible_connection")
    if connection == CONNECTION_PLUGIN or (connection is None and is_from_workspace(host)):
        return ""
    keeps = any(name in _CONNECTION_VARIABLES or name.startswith("ansible_ssh_") for name in variables)
    return "kept" if keeps else "joined"


def make_undo(inventory: InventoryData) -> Callable[[], None]:
    """Return a function that undoes all changes of an inventory from now on."""
    hosts, groups = inventory.hosts, inventory.groups
    contents: list[dict[str, Any]] = [hosts, groups, *map(vars, hosts.values()), *map(vars, groups.values())]
    kept = [
        {name: copy(value) if isinstance(value, (dict, list, set)) else value for name, value in each.items()}
        for each in contents
    ]

    def undo() -> None:
        for each, before in zip(contents, kept, strict=True):
            each.clear()
            each.update(before)

    return undo


def warn_of_servers(hosts: Sequence[str], what: str, warn: Warn) -> None:
    """Warn of some servers, by the names of their hosts."""
    if hosts:
        count = "1 server" if len(hosts) == 1 else f"{len(hosts)} servers"
        warn(f"{count} {what} {_list_some(hosts)}.")


def _list_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
