# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the workspace and the other connection settings of a task, and send a token to its own workspace only."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible import constants as C

from ..module_utils._api.errors import AlpaconError, UsageError
from ..module_utils._api.records import is_uuid, normalize_uuid
from ..module_utils._api.settings import Settings
from ..module_utils._options.connection import CONNECTION, is_given, parse_settings
from ._facts import refuse_facts_named_as_settings

#: Variables that the inventory plugin sets for a host: the UUID of the server, and the URL of its workspace.
SERVER_ID, WORKSPACE = "alpacon_server_id", "alpacon_workspace"
#: Variable that the inventory plugin sets for all hosts: the URLs of all workspaces of the inventory.
WORKSPACES = "alpacon_workspaces"
#: Variable that users set: a dictionary of tokens by the URLs of their workspaces.
_TOKENS = "alpacon_tokens"


@dataclass(frozen=True)
class _Inventory:
    workspace: str
    settings: Settings
    servers: frozenset[str]


#: By inventory file. Workers are forks and inherit them.
_inventories: dict[str, _Inventory] = {}


@dataclass(frozen=True)
class TaskSettings:
    """Connection settings that are not options of the task.

    Attributes:
        hint: why there is no token, with the remedy.
        names: variable of Ansible or of the environment that has the value of an option.
    """

    options: dict[str, Any]
    hint: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def explain(self, error: AlpaconError) -> str:
        if not isinstance(error, UsageError):
            return str(error)
        if error.option == "token" and "token" not in self.options and self.hint:
            error = UsageError("token", error.problem, self.hint)
        return str(error.rename(self.names))


def decrypt(value: Any) -> Any:
    """Convert encrypted values to text. Before ansible-core 2.19, they have a type of their own."""
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    if isinstance(value, Mapping):
        return {key: decrypt(item) for key, item in value.items()}
    return [decrypt(item) for item in value] if isinstance(value, (list, tuple)) else value


def normalize_url(url: Any) -> str:
    """Normalise the URL of a workspace for comparison.

    Raises:
        UsageError: It cannot be the URL of a workspace.
    """
    parts = urlsplit(parse_settings({"url": url}, needs_token=False).url)
    host = parts.hostname or ""
    port = "" if parts.port in (None, {"http": 80, "https": 443}[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def normalize_if_url(url: Any) -> str:
    """Normalise the URL of a workspace for comparison; return other text unchanged."""
    try:
        return normalize_url(url)
    except UsageError:
        return str(url)


def list_workspaces(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the normalised URLs of the workspaces of hosts, given their variables; C(none) for no workspace."""
    default = os.environ.get("ALPACON_URL") or "none"
    urls = (host.get(WORKSPACE) or host.get("alpacon_url") or default for host in hosts)
    return sorted({normalize_if_url(url) for url in urls})


def get_run_folder() -> Path:
    return Path(C.DEFAULT_LOCAL_TMP)  # type: ignore[attr-defined]


def register_inventory(path: str, settings: Settings, servers: Iterable[str]) -> None:
    """Use the settings of an inventory file for its servers in this run.

    Args:
        servers: UUIDs.
    """
    # After meta: refresh_inventory, a file still has its place in this dictionary.
    _inventories[path] = _Inventory(normalize_url(settings.url), settings, frozenset(servers))


def unregister_inventory(path: str) -> None:
    _inventories.pop(path, None)


def find_settings(
    task_options: Mapping[str, Any],
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    template: Callable[[Any], Any] = lambda value: value,
    folder: Path | None = None,
) -> TaskSettings:
    """Find the connection settings that are not options of the task.

    The workspace is that of the option ``url``, else of the host, else of ``alpacon_url``, else of ``ALPACON_URL``.

    Args:
        variables: Variables of the host, not yet templated, with ``ansible_facts``.
        folder: Temporary folder of the run, which records the workspace of each default token.

    Raises:
        UsageError: ``alpacon_url`` is not the workspace of the host, or a URL is wrong.
        AlpaconError: A fact has the name of a setting.
    """
    refuse_facts_named_as_settings(variables, template)
    sources = _SettingSources(variables, environ, lambda value: decrypt(template(value)), folder)
    options = {name: sources.get_setting(name) for name in CONNECTION if not is_given(task_options.get(name))}
    if "url" in options:
        options["url"] = _find_url(sources, options["url"])
    url, hint = options.get("url", task_options.get("url")), ""
    if is_given(url):
        try:
            workspace = normalize_url(url)
        except UsageError as error:
            raise error.rename({"url": sources.find_name("url")} if "url" in options else {}) from None
        if "token" in options:
            options["token"], hint = _find_token(sources, workspace)
        inventories = _find_inventory_settings(workspace, sources.get_variable(SERVER_ID))
        options.update(_get_common_values([name for name, value in options.items() if value is None], inventories))
        if inventories and "token" in options and options["token"] is None:
            hint = (
                f"The inventory was read with several tokens of {workspace}, and none of the files has this host."
                f" Name one under that URL in the variable {_TOKENS}."
            )
    options = {name: value for name, value in options.items() if value is not None}
    names = {name: sources.find_name(name) for name, value in options.items() if value == sources.get_setting(name)}
    return TaskSettings(options, hint, names)


def _find_url(sources: _SettingSources, default: Any) -> Any:
    own = sources.get_variable(WORKSPACE)
    if not is_given(own):
        return default
    remedy = "Leave it out for this host, or name the workspace in the option url of the task."
    refuse_other_workspace(sources.get_variable("alpacon_url"), own, "alpacon_url", remedy)
    return own


def _get_common_values(names: Sequence[str], inventories: Sequence[Settings]) -> dict[str, Any]:
    values = {name: {getattr(settings, name) for settings in inventories} for name in names}
    common = {name: found.pop() for name, found in values.items() if len(found) == 1}
    if "request_timeout" in common:
        # Before ansible-core 2.19, an int option refuses a float.
        common["request_timeout"] = int(common["request_timeout"])
    return common


def drop_empty_options(options: Mapping[str, Any], kept: Collection[str] = ()) -> dict[str, Any]:
    """Remove null options and empty connection settings, since rules of argument specs count null as given.

    Args:
        kept: Options that stay if they are null.
    """
    return {
        name: value
        for name, value in options.items()
        if (is_given(value) if name in CONNECTION else value is not None or name in kept)
    }


def refuse_other_workspace(
    url: Any, own: Any, option: str = "url", remedy: str = "Leave it out, or give servers as well."
) -> None:
    if is_given(url) and is_given(own) and normalize_url(url) != normalize_url(own):
        raise UsageError(option, f"it is {url}, and the host is a server of {own}", remedy)


def refuse_shared_name(host: str, variables: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> None:
    """Refuse a server with the name of a group: patterns with that name match the host only."""
    if WORKSPACE in variables and set(groups.get(host, (host,))) != {host}:
        raise UsageError(
            "hosts",
            f"{host} is a host and a group of the inventory, and patterns with this name match the host only",
            "Rename the group, or list the inventory that has the group before the one of the workspace.",
        )


@dataclass(frozen=True)
class _SettingSources:
    variables: Mapping[str, Any]
    environ: Mapping[str, str]
    template: Callable[[Any], Any]
    folder: Path | None

    def get_variable(self, name: str) -> Any:
        return self.template(self.variables[name]) if name in self.variables else None

    def get_setting(self, name: str) -> Any:
        variable = f"alpacon_{name}"
        value = self.get_variable(variable) if variable in self.variables else self.environ.get(variable.upper())
        return value if is_given(value) else None

    def find_name(self, name: str) -> str:
        """Return the variable of Ansible or of the environment that sets this option."""
        variable = f"alpacon_{name}"
        return variable if variable in self.variables else variable.upper()


def _find_inventory_settings(workspace: str, server: Any) -> list[Settings]:
    """Return the settings of the first inventory with this server, or else of all inventories of the workspace."""
    server_id = normalize_uuid(str(server)) if is_uuid(server) else None
    inventories = [inventory for inventory in _inventories.values() if inventory.workspace == workspace]
    with_server = [inventory for inventory in inventories if server_id in inventory.servers]
    return [inventory.settings for inventory in with_server[:1] or inventories]


def _find_token(sources: _SettingSources, workspace: str) -> tuple[Any, str]:
    """Return the token of a workspace and an empty text; or None, and the reason with its remedy.

    The token is that of ``alpacon_tokens``, else ``alpacon_token``, else ``ALPACON_TOKEN``. The last two are default
    tokens: each belongs to one workspace in a run, even if hosts have different ``alpacon_url``. The workspace of
    ``alpacon_token`` is that of ``alpacon_url``, else of ``ALPACON_URL``, else the only one of the inventory. The
    workspace of ``ALPACON_TOKEN`` is that of ``ALPACON_URL``, else the only one of the inventory.
    """
    remedy = f"Name the token of {workspace} under that URL in the variable {_TOKENS}."
    tokens, urls = _get_tokens(sources)
    if workspace in urls:
        token = sources.template(tokens[urls[workspace]])
        return (token, "") if is_given(token) else (None, f"{_TOKENS} has an empty token for {workspace}.")
    default_url = sources.environ.get("ALPACON_URL")
    defaults = [
        ("alpacon_token", sources.get_variable("alpacon_token"), sources.get_variable("alpacon_url") or default_url),
        ("ALPACON_TOKEN", sources.environ.get("ALPACON_TOKEN"), default_url),
    ]
    hints = []
    for name, token, url in defaults:
        if not is_given(token):
            continue
        if not is_given(url):
            listed = sources.get_variable(WORKSPACES)
            workspaces = {normalize_if_url(each) for each in listed} if isinstance(listed, (list, tuple)) else set()
            if not workspaces <= {workspace}:
                hints.append(f"{name} is not sent to {workspace}, since the inventory has several workspaces.")
                continue
        is_other = is_given(url) and normalize_if_url(url) != workspace
        owner = url if is_other else _bind_token(sources, name, token, workspace)
        if owner == workspace:
            return token, ""
        hints.append(f"{name} is the token of {owner}, and is not sent to {workspace}.")
    own = sources.get_variable(WORKSPACE)
    return None, " ".join([*hints[:1], remedy]) if hints or is_given(own) else ""


def _bind_token(sources: _SettingSources, name: str, token: Any, workspace: str) -> str:
    """Bind a default token to a workspace for this run, and return the workspace that it is bound to."""
    if sources.folder is None:
        return workspace
    # Two groups may have the same token in their own files, each for its own workspace.
    origin = _get_origin(sources.variables.get(name))
    digest = hashlib.sha256(json.dumps([name, origin, str(token)]).encode()).hexdigest()[:32]
    link = sources.folder / f"alpacon-token-{digest}"
    # A link and its text are created at once.
    with contextlib.suppress(OSError):
        os.symlink(workspace, link)
    try:
        return os.readlink(link)
    except OSError:
        return workspace  # such as a full disk


def _get_origin(value: Any) -> str:
    try:
        tags = importlib.import_module("ansible._internal._datatag._tags")
    except ImportError:  # before ansible-core 2.19
        return str(getattr(value, "ansible_pos", None))
    return str(tags.Origin.get_tag(value))


def _get_tokens(sources: _SettingSources) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """Return the dictionary of tokens before templating, and its key for each workspace."""
    tokens = sources.variables.get(_TOKENS)
    if tokens is not None and not isinstance(tokens, Mapping):
        tokens = sources.template(tokens)
    if not tokens:
        return {}, {}
    if not isinstance(tokens, Mapping):
        raise UsageError(_TOKENS, "it is not a dictionary", "Give URLs of workspaces, each with its token.")
    try:
        return tokens, {normalize_url(sources.template(url)): url for url in tokens}
    except UsageError as error:
        raise UsageError(_TOKENS, str(error).removeprefix("url: ")) from None
