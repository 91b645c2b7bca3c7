# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: alpacon
short_description: Servers of an Alpacon workspace as hosts
version_added: 1.0.0
description:
  - Makes each server of a workspace a host, with the fields that the workspace lists about it as variables.
  - It makes one request for every hundred servers, and one more if the workspace lists only the ids of IAM groups. The
    pages of a longer list overlap, so that no server is missed because others joined or left in the meantime; 1,000
    servers take 11 requests.
  - The name of the inventory file must end in C(alpacon.yml) or C(alpacon.yaml).
  - The variable C(alpacon_server_id) contains the UUID of the server, so that M(herdops.alpacon.alpacon_command) does
    not have to look up its name.
  - The variable C(alpacon_workspace) contains the URL of the workspace. Tasks and lookups of this collection use the
    workspace of their host, so that an inventory can have servers of several workspaces.
  - Nothing in the data of the workspace is run as a template or an expression.
author:
  - herdops.alpacon contributors (@herdops)
options:
  plugin:
    description: Always V(herdops.alpacon.alpacon).
    type: str
    required: true
    choices: [herdops.alpacon.alpacon]
  url:
    description:
      - Base URL of the workspace, such as V(https://my-workspace.us1.alpacon.io). It may be a template.
  token:
    description:
      - API token or service token. It may be a template, such as a lookup, or encrypted with Ansible Vault.
  hostname:
    description:
      - The names of hosts, as a template, the name of a field, or a list of these, of which the first one that is not
        empty is used.
      - Fields are those of RV(herdops.alpacon.alpacon_server_info#module:servers), such as V(name), V(id),
        V(remote_ip), V(owner.name) or V(tags.fqdn).
      - Templates have the variables of the host, such as C({{ alpacon_name }}.example.com), and with
        O(use_extra_vars=true) extra variables (C(-e)).
      - Servers that would have the same host name all get a part of their UUID added, and a warning names them. So does
        a server that has the name of a group, of C(localhost), or of a server of another workspace that is already in
        the inventory.
      - Letters and digits of all languages stay, and so do dots, hyphens, underscores, V(@) and V(+). All other
        characters, such as blanks, quotes, parentheses, brackets, colons, commas and slashes, become underscores, with
        a warning, since plays put the names of hosts into expressions, lines of shells, patterns and paths. Addresses
        of IPv6 stay as they are.
    type: raw
    default: [name, id]
  hostvars_prefix:
    description:
      - Prefix of the names of all host variables, except for C(alpacon_server_id) and C(alpacon_workspace).
    type: str
    default: alpacon_
  default_groups:
    description:
      - Which groups are made by default.
      - V(groups) makes C(group_NAME) for each IAM group, V(os) C(os_NAME), V(platform) C(platform_NAME), and
        V(connected) C(connected) and C(disconnected). Names are in lower case, with underscores for characters that a
        group name cannot have.
    type: list
    elements: str
    choices: [groups, os, platform, connected]
    default: [groups, os, platform, connected]
  connection:
    description:
      - Whether hosts get the connection plugin P(herdops.alpacon.alpacon#connection), so that any module reaches them
        through the workspace, without SSH.
      - The variable C(ansible_connection) is then V(herdops.alpacon.alpacon), and C(alpacon_is_connected) is there
        whatever O(hostvars_prefix) says. Like all variables of hosts, they take precedence over those of groups;
        O(compose) can change them for some hosts.
      - A host that another inventory has named before keeps its connection, with a warning, if that inventory has
        C(ansible_connection), C(ansible_host), C(ansible_port), C(ansible_user) or a variable that begins with
        C(ansible_ssh_) for it or one of its groups. Any other host that is called like a server is reached through the
        workspace, and a warning names it as well, unless the other inventory says that C(ansible_connection) is
        V(herdops.alpacon.alpacon). Inventories that are read later and C(group_vars) are not seen.
      - Windows servers get no connection, since their agent has no POSIX shell; a warning names them.
      - If V(false), no variable of a connection is set, and modules that connect to a host use SSH as usual.
    type: bool
    default: false
  cache_allow_stale:
    description:
      - Whether to use servers from an expired cache if the workspace cannot be reached. A warning says how old they
        are.
      - This needs O(cache=true) and a cache plugin that keeps expired entries, such as C(ansible.builtin.jsonfile).
    type: bool
    default: false
extends_documentation_fragment:
  - herdops.alpacon.server_filters
  - herdops.alpacon.connection
  - herdops.alpacon.connection.plugins
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
notes:
  - An inventory belongs to no task and no host. Its connection settings are looked for in its file, then in extra
    variables (C(-e)), then in the environment.
  - The values in O(filters) may be templates. Like those of O(url) and O(token), they have extra variables (C(-e)) and
    no others. O(request_timeout) must be a number; to set it for each run, leave it out and use
    E(ALPACON_REQUEST_TIMEOUT).
  - The token does not become a variable of the hosts. Tasks of the same run that have no settings of their own for a
    workspace use those that its inventory was read with; of several inventories, the first one that lists the server
    of the host.
seealso:
  - module: herdops.alpacon.alpacon_server_info
  - module: herdops.alpacon.alpacon_command
  - plugin: herdops.alpacon.alpacon
    plugin_type: connection
"""

EXAMPLES = r"""
# my.alpacon.yml, all servers of the workspace in ALPACON_URL; each of these examples is a file of its own
plugin: herdops.alpacon.alpacon

# any.alpacon.yml: the same, and any module reaches the servers without SSH
# plugin: herdops.alpacon.alpacon
# connection: true

# prod.alpacon.yml: connected servers of two IAM groups, kept for ten minutes
# plugin: herdops.alpacon.alpacon
# url: https://my-workspace.us1.alpacon.io
# token: "{{ lookup('ansible.builtin.env', 'PROD_TOKEN') }}"
# filters:
#   connected: true
#   groups: [Operations, Databases]
# cache: true
# cache_plugin: ansible.builtin.jsonfile
# cache_connection: ~/.cache/alpacon
# cache_timeout: 600
# cache_allow_stale: true

# web.alpacon.yml: hosts named by a tag, and variables and groups of one's own
# plugin: herdops.alpacon.alpacon
# hostname: [tags.fqdn, name]
# default_groups: [connected]
# compose:
#   memory_gb: (alpacon_physical_memory / 1024 ** 3) | round | int
# groups:
#   small: (alpacon_physical_memory or 0) < 4 * 1024 ** 3
# keyed_groups:
#   - key: alpacon_tags.role | default('')
#     prefix: role
#   - key: alpacon_groups | map(attribute='name')
#     prefix: iam
"""

import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable, get_cache_plugin
from ansible.utils.vars import combine_vars

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    ConnectionFailed,
    LostResponse,
    UntrustedCertificate,
    UsageError,
    clean_line,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import (
    is_uuid,
    normalize_uuid,
    parse_time,
    to_iso,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import VERSION, Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION, parse_settings
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import (
    FIELDS,
    Described,
    GroupNames,
    ServerFilter,
    explain_filters,
    list_servers,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import (
    check_booleans,
    check_filters,
    check_option_names,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._inventory import (
    FILE_ENDINGS,
    Naming,
    OtherConnections,
    SharedGroupNames,
    connection_of,
    group_name,
    inert,
    plainly_listed,
    safe_group_name,
    tell,
    tell_without_connection,
    undoing,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import prepare_workers
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import (
    SERVER_ID,
    WORKSPACE,
    WORKSPACES,
    find_settings,
    forget_inventory,
    normalize_url,
    remember_inventory,
    run_folder,
)

if TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader

_DEFAULT_GROUPS = ("groups", "os", "platform", "connected")
#: Fields that hold more than one value; names are made of single ones.
_NESTED = {"owner": ("id", "name", "email"), "tags": None}
_NO_NAMES = ("status", "groups")
#: What a file says that is meant for this plugin.
_PLUGIN = re.compile(rb"""^[{\s"']*plugin["']?\s*:\s*["']?herdops\.alpacon\.alpacon\b""", re.MULTILINE)
#: What connections are made of.
_CONNECTION = "ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.connection"


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Servers of a workspace as hosts."""

    NAME = "herdops.alpacon.alpacon"
    # Names of groups are made of what the workspace sends, and Ansible takes them for templates, too.
    _sanitize_group_name = staticmethod(safe_group_name)

    def verify_file(self, path: str) -> bool:
        """Whether a file is an inventory of this plugin, by its name."""
        if not super().verify_file(path):
            return False
        if path.endswith(FILE_ENDINGS):
            return True
        # What is no file, as of <(a command), can be read once only.
        if Path(path).is_file() and _PLUGIN.search(Path(path).read_bytes()):
            self.display.warning(f"{path} is not read: its name must end in {' or '.join(FILE_ENDINGS)}.")
        return False

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        """Add the servers of the workspace to the inventory."""
        super().parse(inventory, loader, path, cache)
        self._given = self._read_config_data(path)
        undo = undoing(inventory)
        try:
            # Ansible takes options that there are not without a word.
            otherwise = f"ansible-doc -t inventory {self.NAME} lists those that there are."
            check_option_names(f"the inventory {self.NAME}", self._given, _names(self), otherwise)
            # Settings may be templates.
            check_booleans(
                {name: self._given[name] for name in self._given.keys() - CONNECTION}, self.option_definitions
            )
            preferences = _preferences(self.get_option("hostname"))
            prefix = _prefix(self.get_option("hostvars_prefix"))
            default_groups = _default_groups(self.get_option("default_groups"))
            _check_keyed_groups(self.get_option("keyed_groups"))
            self.templar.available_variables = self._vars or {}
            wanted = self._wanted()
            settings = self._settings(inventory)
            servers = self._readable(self._servers(settings, self.get_cache_key(path), cache, wanted))
            for warning in explain_filters(wanted, servers):
                self.display.warning(clean_line(warning))
            chosen = [server for server in servers if wanted.accepts(server)]
            if self.get_option("connection"):
                tell_without_connection(chosen, self.display.warning)
                prepare_workers()
                importlib.import_module(_CONNECTION)  # once, and not by each worker for each of its tasks
            # Templates in compose may look up commands already.
            remember_inventory(path, settings, [normalize_uuid(server["id"]) for server in chosen])
            self._populate(inventory, normalize_url(settings.url), chosen, preferences, prefix, default_groups)
        except Exception as error:
            # Ansible goes on without it, and plays would run on a part of the servers.
            undo()
            forget_inventory(path)
            if isinstance(error, AlpaconError):
                raise AnsibleParserError(str(error)) from None
            raise

    # Reading

    def _wanted(self) -> ServerFilter:
        given = dict(self._given)
        if "filters" in given:
            given["filters"] = self._worked_out("filters", given["filters"])
        check_filters(given)
        return ServerFilter.from_options(given.get("filters"))

    def _servers(self, settings: Settings, key: str, may_read_cache: bool, wanted: ServerFilter) -> list[Described]:
        """The servers that the workspace lists for these filters, or the cache."""
        caches = self.get_option("cache")
        origin = _digest(settings, wanted)
        entry = _entry(self._cache, key, origin) if caches and may_read_cache else None
        if entry is None:
            try:
                # As one text, of which no cache makes anything else.
                servers = json.dumps(self._read(settings, wanted))
                entry = {"origin": origin, "read_at": _now(), "servers": servers}
            except (ApiError, ConnectionFailed, LostResponse) as error:
                entry = self._stale_entry(key, origin, error)
                if entry is None:
                    raise
            else:
                if caches:
                    self._cache[key] = entry
        described: list[Described] = json.loads(entry["servers"])
        return described

    def _settings(self, inventory: InventoryData) -> Settings:
        # As they are written: Ansible takes for false whatever is no word for true.
        given = {name: self._worked_out(name, self._given[name]) for name in CONNECTION if name in self._given}
        variables = {**(self._vars or {}), WORKSPACES: _workspaces(inventory)}
        variables.pop(WORKSPACE, None)
        found = find_settings(given, variables, os.environ, self.templar.template, run_folder())
        try:
            return parse_settings({**given, **found.options}, self.display.warning)
        except UsageError as error:
            raise AlpaconError(found.explain(error)) from None

    def _worked_out(self, name: str, value: Any) -> Any:
        try:
            return self.templar.template(value)
        except AnsibleError as error:
            raise UsageError(name, f"its template cannot be worked out: {error}") from None

    def _read(self, settings: Settings, wanted: ServerFilter) -> list[Described]:
        # What is told goes to standard error, since the inventory may be listed on standard output.
        with Client(settings, report=self.display.warning) as client:
            return list(list_servers(client, wanted, GroupNames(client, self.display.warning)))

    def _readable(self, servers: list[Described]) -> list[Described]:
        """Each server once; a warning tells of rows that are no servers."""
        by_id = {normalize_uuid(server["id"]): server for server in reversed(servers) if is_uuid(server.get("id"))}
        without = sum(not is_uuid(server.get("id")) for server in servers)
        if without:
            self.display.warning(f"{without} of the servers that the workspace lists have no UUID, and are left out.")
        # A workspace has no order of its own for servers of one name.
        return sorted(by_id.values(), key=lambda server: (str(server.get("name")), server["id"]))

    def _stale_entry(self, key: str, origin: str, error: AlpaconError) -> dict[str, Any] | None:
        """What an expired cache has, if the user allows it and the workspace cannot be reached."""
        if not (self.get_option("cache") and self.get_option("cache_allow_stale") and _is_unreachable(error)):
            return None
        options = {"_uri": self.get_option("cache_connection"), "_prefix": self.get_option("cache_prefix")}
        given = {name: value for name, value in options.items() if value is not None}
        entry = _entry(get_cache_plugin(self.get_option("cache_plugin"), _timeout=0, **given), key, origin)
        if entry:
            age = _age(entry["read_at"])
            self.display.warning(f"The workspace cannot be reached: {error} Its servers are taken as of {age} ago.")
        return entry

    # Hosts

    def _populate(
        self,
        inventory: InventoryData,
        workspace: str,
        servers: list[Described],
        preferences: list[str],
        prefix: str,
        default_groups: frozenset[str],
    ) -> None:
        inventory.set_variable("all", WORKSPACES, [*dict.fromkeys([*_workspaces(inventory), inert(workspace)])])
        variables = [_variables(server, prefix, workspace) for server in servers]
        if self.get_option("connection"):
            variables = [{**own, **connection_of(server)} for own, server in zip(variables, servers, strict=True)]
        wished = [
            (self._wished_name(server, own, preferences), own[SERVER_ID])
            for server, own in zip(servers, variables, strict=True)
        ]
        shared = SharedGroupNames(servers, self.display.warning) if "groups" in default_groups else None
        groups = [list(_groups_of(server, default_groups, shared)) for server in servers]
        for group in dict.fromkeys(chain.from_iterable(groups)):
            inventory.add_group(group)
        naming = Naming(inventory, self.display.warning)
        others = OtherConnections(self.display.warning)
        left_out: dict[str, tuple[str, list[str]]] = {}
        for name, own, mine in zip(naming.names(wished, workspace), variables, groups, strict=True):
            keeps = "ansible_connection" in own and others.keep(inventory.hosts.get(name))
            inventory.add_host(name)
            for variable, value in own.items():
                if not (keeps and variable == "ansible_connection"):
                    inventory.set_variable(name, variable, value)
            for group in mine:
                inventory.add_host(name, group)
            self._construct(inventory, name, own)
            for key, reason in dict(self._add_to_keyed_groups(name, own)).items():
                left_out.setdefault(key, (reason, []))[1].append(name)
        naming.leave_names_to_groups()
        others.tell()
        for key, (reason, hosts) in left_out.items():
            what = f"for which {key} in keyed_groups makes no valid group ({clean_line(reason)}):"
            tell(hosts, what, self.display.warning)

    def _wished_name(self, server: Described, variables: dict[str, Any], preferences: list[str]) -> str:
        remedy = "Add id to it, as the last of a list."
        for preference in preferences:
            try:
                name = self._template(preference, variables) if _is_template(preference) else _field(server, preference)
            except AnsibleError as error:
                why = f"{preference} cannot be worked out: {clean_line(error).rstrip('.')}"
                if self.get_option("strict"):
                    raise UsageError("hostname", why) from None
                remedy += f" {why}."
                continue
            if name.strip():
                return name.strip()
        raise UsageError("hostname", f"it gives no name for the server {server.get('id')}", remedy)

    def _template(self, template: str, variables: dict[str, Any]) -> str:
        extra = self._vars if self.get_option("use_extra_vars") else {}
        self.templar.available_variables = combine_vars(variables, extra)
        return str(self.templar.template(template) or "")

    def _construct(self, inventory: InventoryData, name: str, variables: dict[str, Any]) -> None:
        strict = self.get_option("strict")
        if self.get_option("compose"):
            self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
            for variable in self.get_option("compose"):
                value = inventory.hosts[name].vars.get(variable)
                if isinstance(value, str):
                    inventory.set_variable(name, variable, plainly_listed(value))
        if self.get_option("groups"):
            self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)

    def _add_to_keyed_groups(self, name: str, variables: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Add a host to groups by its values; gives the keys whose value makes none, each with the reason."""
        strict = self.get_option("strict")
        for entry in self.get_option("keyed_groups") or ():
            try:
                self._add_host_to_keyed_groups([entry], variables, name, strict=strict)
            except Exception as error:  # of Ansible's own, for what one server has in its tags
                key = str(entry.get("key"))
                if strict:
                    problem = f"{key} makes no valid group for the host {name}: {error}"
                    raise UsageError("keyed_groups", problem) from None
                yield key, str(error)


# Options


def _names(plugin: InventoryModule) -> set[str]:
    """The names of all options, those of Ansible's own among them."""
    known = plugin.option_definitions
    return {alias for name, option in known.items() for alias in (name, *(option.get("aliases") or ()))}


def _preferences(given: Any) -> list[str]:
    """Check the option hostname."""
    preferences = given if isinstance(given, list) else [given]
    for preference in preferences:
        if not isinstance(preference, str) or not (_is_template(preference) or _is_field(preference)):
            raise UsageError(
                "hostname",
                f"'{preference}' is neither a template nor a field",
                "Give a template such as {{ alpacon_name }}.example.com, a field such as name, id, remote_ip,"
                " owner.name or tags.KEY, or a list of these.",
            )
    if not preferences:
        raise UsageError("hostname", "it is an empty list", "Give name, or leave it out.")
    return preferences


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def _is_field(text: str) -> bool:
    field, dot, part = text.partition(".")
    if not dot:
        return field in FIELDS and field not in _NESTED and field not in _NO_NAMES
    return field in _NESTED and bool(part) and part in (_NESTED[field] or (part,))


def _prefix(given: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", given or ""):
        raise UsageError(
            "hostvars_prefix",
            f"no variable's name can begin with '{given}'",
            "Give letters, digits and underscores, such as alpacon_; without any, names that are Ansible's own would"
            " be overwritten.",
        )
    return given


def _check_keyed_groups(given: Any) -> None:
    """Check what would be wrong for every host, and so is never skipped."""
    example = "Give entries such as {key: alpacon_name, prefix: name}."
    for entry in given or ():
        if not entry or not isinstance(entry, Mapping):
            raise UsageError("keyed_groups", f"'{entry}' is not a dictionary", example)
        if not str(entry.get("key") or "").strip():
            raise UsageError("keyed_groups", f"there is no key in '{entry}'", example)
        if entry.get("default_value") is not None and entry.get("trailing_separator") is not None:
            raise UsageError(
                "keyed_groups", "default_value and trailing_separator exclude each other", "Give one of them."
            )


def _default_groups(given: list[str]) -> frozenset[str]:
    for name in given:
        if name not in _DEFAULT_GROUPS:
            raise UsageError("default_groups", f"there is no {name}", f"Give some of {', '.join(_DEFAULT_GROUPS)}.")
    return frozenset(given)


# Servers


def _workspaces(inventory: InventoryData) -> list[str]:
    """The URLs of the workspaces whose servers the inventory has so far."""
    return list(inventory.groups["all"].get_vars().get(WORKSPACES) or [])


def _variables(server: Described, prefix: str, workspace: str) -> dict[str, Any]:
    variables = {f"{prefix}{name}": inert(value) for name, value in server.items()}
    return {**variables, SERVER_ID: inert(normalize_uuid(server["id"])), WORKSPACE: inert(workspace)}


def _field(server: Described, path: str) -> str:
    field, _dot, part = path.partition(".")
    value = server.get(field)
    if part:
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None or isinstance(value, (Mapping, list)) else str(value)


def _groups_of(server: Described, chosen: frozenset[str], shared: SharedGroupNames | None) -> Iterator[str]:
    """The default groups that a server is in."""
    if shared:
        yield from map(shared.name_of, server.get("groups") or [])
    for option, field in (("os", "os_name"), ("platform", "platform")):
        if option in chosen and server.get(field):
            yield group_name(option, str(server[field]))
    if "connected" in chosen and isinstance(server.get("is_connected"), bool):
        yield "connected" if server["is_connected"] else "disconnected"


# The cache


def _digest(settings: Settings, wanted: ServerFilter) -> str:
    """Tells whether cached servers are those of this workspace, this token and what is asked of the workspace."""
    origin = [VERSION, normalize_url(settings.url), settings.token, sorted(wanted.parameters.items())]
    return hashlib.sha256(json.dumps(origin).encode()).hexdigest()


def _entry(cache: Any, key: str, origin: str) -> dict[str, Any] | None:
    """What the cache has under a key, if it is of this origin."""
    try:
        entry = cache[key]
    except Exception:
        # None, or one that no core can read any more, each in its own words: it is written anew.
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("servers"), str):
        return None
    return entry if entry.get("origin") == origin else None


def _is_unreachable(error: AlpaconError) -> bool:
    if isinstance(error, ApiError):
        return error.status >= 500
    return not isinstance(error, UntrustedCertificate)


def _now() -> str:
    return str(to_iso(datetime.now(timezone.utc)))


def _age(read_at: str) -> str:
    read = parse_time(read_at)
    return str(datetime.now(timezone.utc) - read).split(".", maxsplit=1)[0] if read else "an unknown time"
