# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: alpacon
short_description: Servers of an Alpacon workspace as hosts
version_added: 1.0.0
description:
  - Adds each server of a workspace as a host, with its fields as host variables and in groups.
  - The name of the inventory file must end in C(alpacon.yml) or C(alpacon.yaml).
  - The host variables C(alpacon_server_id) and C(alpacon_workspace) are the UUID of the server and the URL of its
    workspace. Tasks and lookups of this collection use them.
  - Reading takes one request per hundred servers that the workspace lists, and at most one more for the names of
    groups.
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
      - URL of the workspace, such as V(https://my-workspace.us1.alpacon.io). Required, here, as an extra variable or in
        the environment. It may be a template.
  token:
    description:
      - API token or service token. Required, here, as an extra variable or in the environment. It may be a template, or
        encrypted with Ansible Vault. It does not become a host variable.
  hostname:
    description:
      - Names of the hosts, as a field, a template, or a list of these. The first value that is not empty is used.
      - Fields are those of RV(herdops.alpacon.alpacon_server_info#module:servers), such as V(name), V(remote_ip),
        V(owner.name) or V(tags.fqdn). Templates can use the variables of the host.
      - If a name is used twice, or is the name of a group or C(localhost), a part of the UUID is appended, with a
        warning. Characters other than letters, digits and C(. - _ @ +) become underscores.
    type: raw
    default: [name, id]
  hostvars_prefix:
    description: Prefix of host variables. C(alpacon_server_id) and C(alpacon_workspace) keep their names.
    type: str
    default: alpacon_
  default_groups:
    description:
      - Groups to add. V(groups) adds C(group_NAME) for each IAM group, V(os) adds C(os_NAME), V(platform) adds
        C(platform_NAME), and V(connected) adds C(connected) and C(disconnected). Names are in lower case.
    type: list
    elements: str
    choices: [groups, os, platform, connected]
    default: [groups, os, platform, connected]
  connection:
    description:
      - Whether hosts get the connection plugin P(herdops.alpacon.alpacon#connection), so that any module reaches them
        through the workspace, without SSH. Windows servers do not get it.
      - A host of an earlier inventory keeps its connection, with a warning, if that inventory sets
        C(ansible_connection), C(ansible_host), C(ansible_port), C(ansible_user) or C(ansible_ssh_*) for it. Files in
        C(group_vars) and C(host_vars) are not considered.
    type: bool
    default: false
extends_documentation_fragment:
  - herdops.alpacon.server_filters
  - herdops.alpacon.connection
  - herdops.alpacon.connection.plugins
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
notes:
  - Connection settings are read from the inventory file, then from extra variables (C(-e)), then from the environment.
    Templates in O(url), O(token) and O(filters) can use extra variables only.
  - Text of the workspace never runs as a template. Before ansible-core 2.19, an expression that reads the text from
    C(hostvars) or decodes it, such as with C(b64decode), removes this protection. Do not use such expressions in
    C(set_fact) or C(vars).
seealso:
  - name: Inventory
    description: Guide to this plugin.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/inventory.html
  - module: herdops.alpacon.alpacon_server_info
  - module: herdops.alpacon.alpacon_command
  - plugin: herdops.alpacon.alpacon
    plugin_type: connection
"""

EXAMPLES = r"""
# my.alpacon.yml: all servers of the workspace in ALPACON_URL. Each of these examples is a separate file.
plugin: herdops.alpacon.alpacon

# any.alpacon.yml: any module reaches the servers without SSH
# plugin: herdops.alpacon.alpacon
# connection: true

# prod.alpacon.yml: connected servers of two IAM groups
# plugin: herdops.alpacon.alpacon
# url: https://my-workspace.us1.alpacon.io
# token: "{{ lookup('ansible.builtin.env', 'PROD_TOKEN') }}"
# filters:
#   connected: true
#   groups: [Operations, Databases]

# cached.alpacon.yml: read the list again after ten minutes, or with --flush-cache
# plugin: herdops.alpacon.alpacon
# cache: true
# cache_plugin: ansible.builtin.jsonfile
# cache_connection: ~/.cache/alpacon
# cache_timeout: 600

# named.alpacon.yml: hosts named by a tag, or else by their name with a domain
# plugin: herdops.alpacon.alpacon
# hostname:
#   - tags.fqdn
#   - "{{ alpacon_name }}.example.com"

# grouped.alpacon.yml: more variables and groups
# plugin: herdops.alpacon.alpacon
# default_groups: [connected]
# compose:
#   memory_gb: ((alpacon_physical_memory or 0) / 1024 ** 3) | round(1)
# groups:
#   small: (alpacon_physical_memory or 0) < 4 * 1024 ** 3
# keyed_groups:
#   - key: alpacon_tags.role | default('none')
#     prefix: role
#   - key: alpacon_groups | map(attribute='name')
#     prefix: iam
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.plugins.loader import connection_loader
from ansible.utils.vars import combine_vars
from jinja2 import Environment, TemplateSyntaxError

import ansible_collections.herdops.alpacon.plugins.plugin_utils._bytecode  # noqa: F401 # pylint: disable=unused-import
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError, clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import is_uuid, is_windows, normalize_uuid
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
    CONNECTION_PLUGIN,
    FILE_ENDINGS,
    GroupNaming,
    HostNaming,
    classify_shared_host,
    disable_templates,
    make_group_name,
    make_undo,
    to_group_name,
    to_host_name,
    trust_result,
    warn_of_servers,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import make_printer, prepare_workers
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import (
    SERVER_ID,
    WORKSPACE,
    WORKSPACES,
    find_settings,
    get_run_folder,
    normalize_url,
    register_inventory,
    unregister_inventory,
)

if TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader

#: Fields with several values, by name: the keys that host names may use; None for all.
_NESTED = {"owner": ("id", "name", "email"), "tags": None}
_PLUGIN = re.compile(rb"""^[{\s"']*plugin["']?\s*:\s*["']?herdops\.alpacon\.alpacon\b""", re.MULTILINE)


def _prepare_connection() -> None:
    """Load the connection plugin before ansible-core forks workers, so that they do not load it for each task."""
    prepare_workers()
    connection_loader.get(CONNECTION_PLUGIN, class_only=True)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    NAME = "herdops.alpacon.alpacon"
    # Ansible would use the workspace's names of groups as templates.
    _sanitize_group_name = staticmethod(to_group_name)

    def verify_file(self, path: str) -> bool:
        if not super().verify_file(path):
            return False
        if path.endswith(FILE_ENDINGS):
            return True
        # A pipe, such as <(command), can be read only once.
        if Path(path).is_file() and _PLUGIN.search(Path(path).read_bytes()):
            self.display.warning(f"{path} is ignored: its name must end in {' or '.join(FILE_ENDINGS)}.")
        # Whoever enables this plugin for another inventory most likely uses the connection.
        _prepare_connection()
        return False

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._file_options = self._read_config_data(path)
        undo = make_undo(inventory)
        try:
            self._check_options()
            self.templar.available_variables = self._vars or {}
            wanted = self._parse_filters()
            settings = self._find_settings(inventory)
            servers = self._drop_unidentified(self._read_servers(settings, self.get_cache_key(path), cache, wanted))
            for warning in explain_filters(wanted, servers):
                self.display.warning(clean_line(warning))
            chosen = [server for server in servers if wanted.accepts(server)]
            if self.get_option("connection"):
                names = [to_host_name(str(one.get("name") or one["id"])) for one in chosen if is_windows(one)]
                reason = "got no connection, since the agent for Windows has no POSIX shell:"
                warn_of_servers(names, reason, self.display.warning)
                _prepare_connection()
            # Templates in compose may use the lookup of this collection.
            register_inventory(path, settings, [normalize_uuid(server["id"]) for server in chosen])
            self._add_hosts(inventory, normalize_url(settings.url), chosen)
        except Exception as error:
            # Ansible continues after errors, and plays would run on those servers that were added before.
            undo()
            unregister_inventory(path)
            if isinstance(error, AlpaconError):
                raise AnsibleParserError(str(error)) from None
            raise

    # Options

    def _check_options(self) -> None:
        definitions = self.option_definitions
        names = {alias for name, option in definitions.items() for alias in (name, *(option.get("aliases") or ()))}
        # Ansible ignores options that do not exist.
        remedy = f"ansible-doc -t inventory {self.NAME} lists the options."
        check_option_names(f"the inventory {self.NAME}", self._file_options, names, remedy)
        # Connection settings may be templates.
        check_booleans(
            {name: value for name, value in self._file_options.items() if name not in CONNECTION}, definitions
        )
        hostname = self.get_option("hostname")
        self._name_sources = _check_name_sources(hostname if isinstance(hostname, list) else [hostname])
        prefix = self.get_option("hostvars_prefix") or ""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", prefix):
            raise UsageError(
                "hostvars_prefix",
                f"names of variables cannot begin with '{prefix}'",
                "Give letters, digits and underscores, such as alpacon_. Without a prefix, the fields would overwrite"
                " variables of Ansible.",
            )
        _check_keyed_groups(self.get_option("keyed_groups") or ())
        for option in ("groups", "compose"):
            for name, expression in (self.get_option(option) or {}).items():
                _check_expression(f"{option}: {name}", expression)

    def _parse_filters(self) -> ServerFilter:
        options = dict(self._file_options)
        if "filters" in options:
            options["filters"] = self._render("filters", options["filters"])
        check_filters(options)
        return ServerFilter.from_options(options.get("filters"))

    def _find_settings(self, inventory: InventoryData) -> Settings:
        # get_option() converts every invalid boolean to false.
        given = {name: self._render(name, value) for name, value in self._file_options.items() if name in CONNECTION}
        variables = {**(self._vars or {}), WORKSPACES: _get_workspaces(inventory)}
        variables.pop(WORKSPACE, None)
        found = find_settings(given, variables, os.environ, self.templar.template, get_run_folder())
        try:
            return parse_settings({**given, **found.options}, self.display.warning)
        except UsageError as error:
            raise AlpaconError(found.explain(error)) from None

    def _render(self, name: str, value: Any) -> Any:
        try:
            return self.templar.template(value)
        except AnsibleError as error:
            raise UsageError(name, f"its template cannot be rendered: {error}") from None

    # Servers

    def _read_servers(self, settings: Settings, key: str, use_entry: bool, wanted: ServerFilter) -> list[Described]:
        """Read servers from the cache or the workspace, filtered only as far as the workspace filters them."""
        use_cache = self.get_option("cache")
        # An entry is valid for one workspace, one token and one query.
        origin = [VERSION, normalize_url(settings.url), settings.token, sorted(wanted.parameters.items())]
        digest = hashlib.sha256(json.dumps(origin).encode()).hexdigest()
        entry = _read_entry(self._cache, key, digest) if use_cache and use_entry else None
        if entry is None:
            # Messages go to standard error, since ansible-inventory prints to standard output.
            with Client(settings, report=self.display.warning, log=make_printer(4)) as client:
                listed = list(list_servers(client, wanted, GroupNames(client, self.display.warning)))
            # Caches may change values, but not a text.
            entry = {"origin": digest, "servers": json.dumps(listed)}
            if use_cache:
                self._cache[key] = entry
        servers: list[Described] = json.loads(entry["servers"])
        return servers

    def _drop_unidentified(self, servers: list[Described]) -> list[Described]:
        """Return each server once, sorted by name; leave out rows without a UUID, with a warning."""
        by_id = {normalize_uuid(server["id"]): server for server in reversed(servers) if is_uuid(server.get("id"))}
        without = sum(not is_uuid(server.get("id")) for server in servers)
        if without:
            self.display.warning(f"The inventory leaves out {without} servers that have no UUID in the workspace.")
        # Workspaces do not sort servers of the same name.
        return sorted(by_id.values(), key=lambda server: (str(server.get("name")), server["id"]))

    # Hosts

    def _add_hosts(self, inventory: InventoryData, workspace: str, servers: list[Described]) -> None:
        warn = self.display.warning
        workspaces = [*_get_workspaces(inventory), disable_templates(workspace)]
        inventory.set_variable("all", WORKSPACES, list(dict.fromkeys(workspaces)))
        variables = [self._make_variables(server, workspace) for server in servers]
        pairs = zip(servers, variables, strict=True)
        wanted = [(self._make_host_name(server, own), own[SERVER_ID]) for server, own in pairs]
        default_groups = self.get_option("default_groups")
        group_naming = GroupNaming(servers, warn) if "groups" in default_groups else None
        groups = [list(_list_groups(server, default_groups, group_naming)) for server in servers]
        for group in dict.fromkeys(chain.from_iterable(groups)):
            inventory.add_group(group)
        naming = HostNaming(inventory, warn)
        shared: dict[str, list[str]] = {"connected": [], "joined": []}
        failures: dict[str, tuple[str, list[str]]] = {}
        for name, own, own_groups in zip(naming.assign_names(wanted, workspace), variables, groups, strict=True):
            kind = classify_shared_host(inventory.hosts.get(name)) if "ansible_connection" in own else ""
            if kind:
                shared[kind].append(name)
            inventory.add_host(name)
            for variable, value in own.items():
                if kind != "connected" or variable != "ansible_connection":
                    inventory.set_variable(name, variable, value)
            for group in own_groups:
                inventory.add_host(name, group)
            self._construct(inventory, name, own)
            for key, reason in dict(self._add_to_keyed_groups(name, own)).items():
                failures.setdefault(key, (reason, []))[1].append(name)
        naming.rename_hosts_like_groups()
        problem = "got no connection, since another inventory has a host of that name with a connection:"
        warn_of_servers(shared["connected"], problem, warn)
        problem = "had the name of a host of another inventory, which now has the connection of the server:"
        warn_of_servers(shared["joined"], problem, warn)
        for key, (reason, hosts) in failures.items():
            problem = f"got no group from {key} in keyed_groups, since the value is not valid ({clean_line(reason)}):"
            warn_of_servers(hosts, problem, warn)

    def _make_variables(self, server: Described, workspace: str) -> dict[str, Any]:
        prefix = self.get_option("hostvars_prefix")
        variables = {
            **{f"{prefix}{name}": disable_templates(value) for name, value in server.items()},
            SERVER_ID: disable_templates(normalize_uuid(server["id"])),
            WORKSPACE: disable_templates(workspace),
        }
        if self.get_option("connection") and not is_windows(server):
            variables["ansible_connection"] = disable_templates(CONNECTION_PLUGIN)
            variables["alpacon_is_connected"] = server.get("is_connected")
        return variables

    def _make_host_name(self, server: Described, variables: dict[str, Any]) -> str:
        remedy = "Add id to it, as the last of a list."
        for source in self._name_sources:
            try:
                if _is_template(source):
                    extra = self._vars if self.get_option("use_extra_vars") else {}
                    self.templar.available_variables = combine_vars(variables, extra)
                    name = str(self.templar.template(source) or "")
                else:
                    name = _get_field(server, source)
            except AnsibleError as error:
                why = f"{source} cannot be rendered: {clean_line(error).rstrip('.')}"
                if self.get_option("strict"):
                    raise UsageError("hostname", why) from None
                remedy += f" {why}."
                continue
            if name.strip():
                return name.strip()
        raise UsageError("hostname", f"it gives no name for the server {server.get('id')}", remedy)

    def _construct(self, inventory: InventoryData, name: str, variables: dict[str, Any]) -> None:
        strict, compose = self.get_option("strict"), self.get_option("compose")
        if compose:
            self._set_composite_vars(compose, variables, name, strict=strict)
            for variable in compose:
                value = inventory.hosts[name].vars.get(variable)
                if isinstance(value, str):
                    inventory.set_variable(name, variable, trust_result(value))
        if self.get_option("groups"):
            self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)

    def _add_to_keyed_groups(self, name: str, variables: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Add a host to its keyed groups; yield the key and the reason for each value that makes no valid group."""
        strict = self.get_option("strict")
        for entry in self.get_option("keyed_groups") or ():
            try:
                self._add_host_to_keyed_groups([entry], variables, name, strict=strict)
            except Exception as error:  # Ansible raises errors of several types for invalid values
                key = str(entry.get("key"))
                if strict:
                    problem = f"the value of {key} makes no valid group for the host {name}: {error}"
                    raise UsageError("keyed_groups", problem) from None
                yield key, str(error)


def _check_name_sources(sources: list[Any]) -> list[str]:
    for source in sources:
        if not isinstance(source, str) or not (_is_template(source) or _is_field(source)):
            raise UsageError(
                "hostname",
                f"'{source}' is neither a template nor a field",
                "Give a template such as {{ alpacon_name }}.example.com, a field such as name, id, remote_ip,"
                " owner.name or tags.KEY, or a list of these.",
            )
    if not sources:
        raise UsageError("hostname", "it is an empty list", "Give name, or leave it out.")
    return sources


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def _is_field(text: str) -> bool:
    field, dot, part = text.partition(".")
    if not dot:
        return field in FIELDS and field not in (*_NESTED, "status", "groups")
    return field in _NESTED and bool(part) and part in (_NESTED[field] or (part,))


def _check_keyed_groups(entries: Any) -> None:
    example = "Give entries such as {key: alpacon_name, prefix: name}."
    for entry in entries:
        if not entry or not isinstance(entry, Mapping):
            raise UsageError("keyed_groups", f"'{entry}' is not a dictionary", example)
        if not str(entry.get("key") or "").strip():
            raise UsageError("keyed_groups", f"there is no key in '{entry}'", example)
        _check_expression("keyed_groups: key", entry["key"])
        if entry.get("default_value") is not None and entry.get("trailing_separator") is not None:
            problem = "default_value and trailing_separator exclude each other"
            raise UsageError("keyed_groups", problem, "Give one of them.")


def _check_expression(option: str, text: Any) -> None:
    """Refuse an expression that cannot be parsed, which Ansible would ignore without C(strict)."""
    try:
        Environment().parse(f"{{{{ {text} }}}}")
    except TemplateSyntaxError as error:
        # The text may be a password.
        problem = f"it is not an expression: {error.message}"
        raise UsageError(option, problem, "Write no braces around it, and a text as \"'text'\".") from None


def _get_workspaces(inventory: InventoryData) -> list[str]:
    return list(inventory.groups["all"].get_vars().get(WORKSPACES) or [])


def _get_field(server: Described, path: str) -> str:
    field, _dot, part = path.partition(".")
    value = server.get(field)
    if part:
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None or isinstance(value, (Mapping, list)) else str(value)


def _list_groups(server: Described, default_groups: list[str], naming: GroupNaming | None) -> Iterator[str]:
    if naming:
        yield from map(naming.get_name, server.get("groups") or [])
    for option, field in (("os", "os_name"), ("platform", "platform")):
        if option in default_groups and server.get(field):
            yield make_group_name(option, str(server[field]))
    if "connected" in default_groups and isinstance(server.get("is_connected"), bool):
        yield "connected" if server["is_connected"] else "disconnected"


def _read_entry(cache: Any, key: str, digest: str) -> dict[str, Any] | None:
    """Return the entry of a cache; None if it is missing, damaged or of another origin."""
    try:
        entry = cache[key]
    except Exception:  # each cache plugin has its own errors
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("servers"), str):
        return None
    return entry if entry.get("origin") == digest else None
