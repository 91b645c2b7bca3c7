# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an inventory makes of the workspace's text: names of hosts and groups, and values that are no templates."""

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

#: Whether ansible-core takes every text for a template that does not say otherwise, as it did before 2.19.
TRUSTS_ALL_TEXT = not hasattr(template, "trust_as_template")

#: What the variable ansible_connection has for servers that any module is to reach.
CONNECTION_PLUGIN = "herdops.alpacon.alpacon"
#: Host variable: whether the agent was connected when the inventory was read, as the connection plugin reads it.
IS_CONNECTED = "alpacon_is_connected"

#: Variables that say how a host is reached, beside those of SSH.
_WAYS = frozenset(("ansible_connection", "ansible_host", "ansible_port", "ansible_user"))

#: How the files of the inventory plugin end.
FILE_ENDINGS = ("alpacon.yml", "alpacon.yaml")

_SHORT_ID = 8
#: Bytes that a name may have, so that a suffix and the ending of a file still go with it.
_LONGEST = 180
#: So many names are in a warning, and so many shared ones have a warning of their own.
_NAMED = 20
#: What is not harmless in a name, except for the accents of letters. Without it, a text ends no quotes, calls nothing
#: and passes nothing on, wherever a play puts it: into a template, a condition (ansible-core before 2.19 takes what
#: {{ }} in one gives for an expression), a line of a shell, a pattern or a path.
_UNFIT_IN_NAMES = re.compile(r"[^\w.@+-]")
#: What is not harmless in a text; blanks, colons and slashes split, and do no more.
_UNFIT_IN_TEXTS = re.compile(r"[^\w.@+ :/-]")
#: Names that mean something else to Ansible than a host or a group of the inventory.
_RESERVED = frozenset(("all", "ungrouped", *C.LOCALHOST))


def inert(value: Any, trusts_all_text: bool = TRUSTS_ALL_TEXT) -> Any:
    """A value of the workspace of which nothing is ever run as a template or an expression, on any ansible-core.

    Text that is harmless is left to be trusted, since ansible-inventory lists only such text plainly.
    """
    if not trusts_all_text:
        return _trusted(value)
    return value if _is_harmless(value) else _marked(value)


def _is_harmless(value: Any) -> bool:
    # Two such texts that an expression of the user's puts together are one again.
    if isinstance(value, str):
        return all(map(_is_accent, _UNFIT_IN_TEXTS.findall(value)))
    if isinstance(value, Mapping):
        return all(_is_harmless(key) and _is_harmless(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_is_harmless, value))


def _marked(value: Any, anyway: bool = False) -> Any:
    """A value whose texts are marked where they are not harmless; or anyway, whatever they are."""
    if value and isinstance(value, Mapping):
        # Ansible looks for marked values, never at keys: what such a key has becomes a text, so that it can be marked.
        return {
            (key if _is_harmless(key) else wrap_var(key)): _marked(item, anyway or not _is_harmless(key))
            for key, item in value.items()
        }
    if value and isinstance(value, list):
        return [_marked(item, anyway) for item in value]
    if anyway:
        return wrap_var(str(value))
    return value if _is_harmless(value) else wrap_var(value)


def plainly_listed(text: str) -> Any:
    """A text that an expression of the user's gave, which ansible-core does not trust since 2.19, as :func:`inert`."""
    return text if TRUSTS_ALL_TEXT else _trusted(text)


def _trusted(value: Any) -> Any:
    """A value whose harmless texts are trusted."""
    if isinstance(value, str):
        return template.trust_as_template(value) if _is_harmless(value) else value
    if isinstance(value, Mapping):
        return {key: _trusted(item) for key, item in value.items()}
    return [_trusted(item) for item in value] if isinstance(value, list) else value


def _is_accent(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


@cache
def safe_group_name(name: str) -> str:
    """A name that a group can have, whatever the settings of Ansible say."""
    safe = _no_key_of_core(str(to_safe_group_name(name, force=True, silent=True)))
    if len(safe.encode()) > _LONGEST:
        safe = f"{_cut(safe)}_{_digest(safe)}"
    return f"{safe}_" if safe in _RESERVED else safe


def group_name(prefix: str, name: str) -> str:
    """The name of one of the groups that an inventory makes by itself."""
    return safe_group_name(f"{prefix}_{name.lower()}")


class SharedGroupNames:
    """Names for the workspace's groups: those that would share one get part of a digest added, each of them.

    Whoever may make a group would else add servers to the plays and variables of another one.
    """

    def __init__(self, servers: Iterable[Mapping[str, Any]], warn: Callable[[str], None]) -> None:
        self._groups: dict[str, set[str]] = {}
        for group in (group for server in servers for group in server.get("groups") or ()):
            self._groups.setdefault(group_name("group", group["name"]), set()).add(self._identity(group))
        shared = sorted(name for name, groups in self._groups.items() if len(groups) > 1)
        for name in shared[:_NAMED]:
            groups = sorted(f"{name}_{_digest(identity)}" for identity in self._groups[name])
            would_be = f"{len(groups)} groups of the workspace would be the group {name}."
            warn(f"{would_be} They are the groups {_some(groups)}.")
        _tell_of_more(shared, "groups", warn)

    def name_of(self, group: Mapping[str, Any]) -> str:
        """The name of a group of a server."""
        name = group_name("group", group["name"])
        return f"{name}_{_digest(self._identity(group))}" if len(self._groups[name]) > 1 else name

    @staticmethod
    def _identity(group: Mapping[str, Any]) -> str:
        return str(group.get("id") or group["name"])


def safe_host_name(name: str) -> str:
    """A name that a host can have.

    Ansible takes names of hosts for templates, for patterns and for names of files, and prints them; no mark would stay
    on them.
    """
    with suppress(ValueError):
        # A zone may be any text.
        if ip_address(name) and "%" not in name:
            return name
    text = _UNFIT_IN_NAMES.sub(lambda found: found[0] if _is_accent(found[0]) else "_", name)
    # What a pattern or an option may begin with.
    bare = text.lstrip("@-")
    text = _no_key_of_core("_" * (len(text) - len(bare)) + bare)
    return text.replace(".", "_") if not text.strip(".") else _cut(text)


def _no_key_of_core(name: str) -> str:
    # Names of hosts and groups are keys in the JSON of ansible-inventory, which other inventories are made of.
    return name[1:] if name.startswith(CORE_KEY_PREFIX) else name


def _cut(name: str) -> str:
    return name.encode()[:_LONGEST].decode(errors="ignore")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SHORT_ID]


class Naming:
    """Gives servers names in an inventory that are no other server's and no group's.

    Args:
        inventory: what there is already; the hosts are added to it as soon as they are named.
        warn: takes a sentence about names that are not as they were wished for.
    """

    def __init__(self, inventory: InventoryData, warn: Callable[[str], None]) -> None:
        self._inventory = inventory
        self._warn = warn

    def names(self, wished: Sequence[tuple[str, str]], workspace: str) -> Iterator[str]:
        """A name for each server, given as the wished name and the UUID; ask for the next when the host is there."""
        safe = [safe_host_name(name) for name, _id in wished]
        counts = Counter(safe)
        unsafe = [new != name for new, (name, _id) in zip(safe, wished, strict=True)]
        # A name that had to be changed never takes that of another server away.
        named = [
            (f"{name}-{server_id[:_SHORT_ID]}" if changed and counts[name] > 1 else name, server_id)
            for name, changed, (_name, server_id) in zip(safe, unsafe, wished, strict=True)
        ]
        distinct = distinct_names(named, self._warn)
        altered: list[str] = []
        taken: list[str] = []
        foreign: list[str] = []
        for name, changed, (_name, server_id) in zip(distinct, unsafe, wished, strict=True):
            own = self._free(name, server_id, workspace, joins=not changed)
            if changed:
                altered.append(own)
            elif own != name:
                (foreign if name in self._inventory.hosts else taken).append(f"{name} ({own})")
            yield own
        self._tell(altered, "had a name that is not safe for a host, which is now:")
        self._tell(taken, "had the name of a group or of this machine, so a part of the UUID was added:")
        self._tell(foreign, f"of {workspace} had the name of another server's host, so a part of the UUID was added:")

    def leave_names_to_groups(self) -> None:
        """Rename hosts of workspaces that are called like a group which was made since."""
        hosts = self._inventory.hosts
        shared = [name for name in hosts if name in self._inventory.groups and is_ours(hosts[name])]
        renamed = []
        for name in shared:
            variables = hosts[name].vars
            new = self._free(name, str(variables[SERVER_ID]), str(variables[WORKSPACE]), joins=False)
            self._rename(name, new)
            renamed.append(f"{name} ({new})")
        self._tell(renamed, "had the name of a group, so a part of the UUID was added:")

    def _free(self, name: str, server_id: str, workspace: str, joins: bool) -> str:
        """The name, or the first with a suffix that is neither a group's nor another server's.

        Args:
            joins: whether the server may be a host that other inventories know without knowing its server.
        """
        longer = f"{name}-{server_id}"
        candidates = (name, f"{name}-{server_id[:_SHORT_ID]}", longer, f"{longer}-{_digest(workspace)}")
        for candidate in candidates:
            if self._may_be(candidate, server_id, workspace, joins):
                return candidate
        problem = f"every name for the server {server_id} is taken"
        raise UsageError("hostname", problem, "Rename the server, or what has its name.")

    def _may_be(self, name: str, server_id: str, workspace: str, joins: bool) -> bool:
        if name in _RESERVED or name in self._inventory.groups:
            return False
        host = self._inventory.hosts.get(name)
        if host is None or SERVER_ID not in host.vars:
            return host is None or joins
        known = str(host.vars[SERVER_ID])
        known_id = normalize_uuid(known) if is_uuid(known) else known
        return (known_id, normalize_if_url(host.vars.get(WORKSPACE, workspace))) == (server_id, workspace)

    def _rename(self, name: str, new: str) -> None:
        host = self._inventory.hosts[name]
        groups = [group.name for group in self._inventory.groups.values() if host in group.hosts]
        self._inventory.remove_host(host)
        self._inventory.add_host(new)
        for group in groups:
            self._inventory.add_host(new, group)
        for variable, value in host.vars.items():
            self._inventory.set_variable(new, variable, value)

    def _tell(self, hosts: Sequence[str], what: str) -> None:
        tell(hosts, what, self._warn)


def connection_of(server: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that any module needs to reach a server through the workspace; none where no module can."""
    if is_windows(server):
        return {}
    return {"ansible_connection": inert(CONNECTION_PLUGIN), IS_CONNECTED: server.get("is_connected")}


class OtherConnections:
    """Hosts that other inventories know already: a server that is called like one must not take it from its connection.

    Args:
        warn: takes a sentence about such hosts, once all are known.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._kept: list[str] = []
        self._joined: list[str] = []

    def keep(self, host: Host | None) -> bool:
        """Whether a host, if there is one already, is reached in another way."""
        if host is None:
            return False
        said = {**get_group_vars(host.get_groups()), **host.vars}
        connection = said.get("ansible_connection")
        if connection == CONNECTION_PLUGIN or (connection is None and is_ours(host)):
            return False
        keeps = any(name in _WAYS or name.startswith("ansible_ssh_") for name in said)
        (self._kept if keeps else self._joined).append(host.name)
        return keeps

    def tell(self) -> None:
        """Warn of them."""
        what = "had the name of a host"
        tell(self._kept, f"{what} that another inventory gives a connection, which stays:", self._warn)
        tell(self._joined, f"{what} of another inventory, which is reached through the workspace now:", self._warn)


def is_ours(host: Host) -> bool:
    """Whether an inventory of a workspace was the first to know the host."""
    source = str(host.vars.get("inventory_file") or "")
    return WORKSPACE in host.vars and SERVER_ID in host.vars and source.endswith(FILE_ENDINGS)


def tell_without_connection(servers: Iterable[Mapping[str, Any]], warn: Callable[[str], None]) -> None:
    """Warn of the servers that :func:`connection_of` has nothing for."""
    names = [safe_host_name(str(server.get("name") or server.get("id"))) for server in servers if is_windows(server)]
    tell(names, "got no connection, since the agent for Windows has no POSIX shell:", warn)


def undoing(inventory: InventoryData) -> Callable[[], None]:
    """What takes back all that is done to an inventory from now on."""
    hosts, groups = inventory.hosts, inventory.groups
    contents: list[dict[str, Any]] = [hosts, groups, *map(vars, hosts.values()), *map(vars, groups.values())]
    kept = [
        {name: copy(value) if isinstance(value, (dict, list, set)) else value for name, value in each.items()}
        for each in contents
    ]

    def undo() -> None:
        for each, were in zip(contents, kept, strict=True):
            each.clear()
            each.update(were)

    return undo


def tell(hosts: Sequence[str], what: str, warn: Callable[[str], None]) -> None:
    """Warn of some servers, by the names of their hosts."""
    if hosts:
        count = "1 server" if len(hosts) == 1 else f"{len(hosts)} servers"
        warn(f"{count} {what} {_some(hosts)}.")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _tell_of_more(shared: Sequence[str], of_what: str, warn: Callable[[str], None]) -> None:
    """Warn of the shared names that have no warning of their own."""
    if len(shared) > _NAMED:
        warn(f"{len(shared) - _NAMED} more names of {of_what} are shared in this way.")


def distinct_names(named: Iterable[tuple[str, str]], warn: Callable[[str], None]) -> list[str]:
    """Names for servers, given with their ids: those that share one get part of their id added, each of them."""
    pairs = list(named)
    counts = Counter(name for name, _id in pairs)
    short = [name if counts[name] == 1 else f"{name}-{server_id[:_SHORT_ID]}" for name, server_id in pairs]
    taken = Counter(short)
    distinct = [
        new if taken[new] == 1 or counts[name] == 1 else f"{name}-{server_id}"
        for new, (name, server_id) in zip(short, pairs, strict=True)
    ]
    shared = sorted(name for name, count in counts.items() if count > 1)
    for wanted in shared[:_NAMED]:
        hosts = [new for new, (name, _id) in zip(distinct, pairs, strict=True) if name == wanted]
        warn(f"{counts[wanted]} servers would be the host {wanted}. They are the hosts {_some(hosts)}.")
    _tell_of_more(shared, "hosts", warn)
    return distinct
