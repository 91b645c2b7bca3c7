# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the workspace of a task and its token, which goes to that workspace only."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible import constants as C

from ..module_utils._api.errors import AlpaconError, UsageError
from ..module_utils._api.records import is_uuid, normalize_uuid
from ..module_utils._api.settings import Settings
from ..module_utils._options.connection import CONNECTION, is_given, parse_settings

#: Host variables: the UUID of the server, and the URL of its workspace.
SERVER_ID, WORKSPACE = "alpacon_server_id", "alpacon_workspace"
#: Variable of the group all: the URLs of all workspaces of the inventory.
WORKSPACES = "alpacon_workspaces"
#: Variable of the user: a dictionary of tokens by the URLs of their workspaces.
TOKENS = "alpacon_tokens"

#: Variables that settings are read from. ansible-core itself ignores facts named as its own, such as ansible_user.
_SETTING_NAMES = re.compile(r"_*(alpacon|alpamon|audit|rollout)_|(inventory_hostname|awx_user_name|tower_user_name)$")


@dataclass(frozen=True)
class _Inventory:
    workspace: str
    settings: Settings
    servers: frozenset[str]


#: The inventories of this run by their files. Workers inherit them, since they are forks.
_inventories: dict[str, _Inventory] = {}


@dataclass(frozen=True)
class TaskSettings:
    """Connection settings that are not options of the task itself; C(hint) says why a token is missing."""

    options: dict[str, Any]
    hint: str = ""

    def explain(self, error: AlpaconError) -> str:
        """Return the text of an error, with the hint if the token is missing."""
        missing = isinstance(error, UsageError) and error.option == "token" and "token" not in self.options
        return f"{error} {self.hint}" if missing and self.hint else str(error)


def decrypt(value: Any) -> Any:
    """Convert encrypted values to text; before ansible-core 2.19 they have a type of their own."""
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    if isinstance(value, Mapping):
        return {key: decrypt(item) for key, item in value.items()}
    return [decrypt(item) for item in value] if isinstance(value, (list, tuple)) else value


def normalize_url(url: Any) -> str:
    """Normalise the URL of a workspace for comparison.

    Raises:
        UsageError: It is not such a URL.
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


def get_run_folder() -> Path:
    """Return the temporary folder that the workers of this run share."""
    return Path(C.DEFAULT_LOCAL_TMP)  # type: ignore[attr-defined]


def register_inventory(path: str, settings: Settings, servers: Iterable[str]) -> None:
    """Use the settings of an inventory file for its servers, given by their UUIDs, in this run."""
    # With meta: refresh_inventory, a file keeps its place.
    _inventories[path] = _Inventory(normalize_url(settings.url), settings, frozenset(servers))


def unregister_inventory(path: str) -> None:
    """Do not use the settings of an inventory file that failed."""
    _inventories.pop(path, None)


def find_settings(
    given: Mapping[str, Any],
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    template: Callable[[Any], Any] = lambda value: value,
    folder: Path | None = None,
) -> TaskSettings:
    """Find the connection settings that are not given.

    The workspace is the given one, else that of the host, else that of ``alpacon_url``, else that of the environment.

    Args:
        given: Options of the task or plugin.
        variables: Of the host, with its ``ansible_facts``, not yet templated.
        folder: Temporary folder of the run, which records the workspace of each default token.

    Raises:
        UsageError: ``alpacon_url`` and the workspace of the host differ, or a URL is wrong.
        AlpaconError: A fact is named as a setting.
    """
    refuse_facts_named_as_settings(variables, template)
    sources = _SettingSources(variables, environ, lambda value: decrypt(template(value)), folder)
    options = {name: sources.setting(name) for name in CONNECTION if not is_given(given.get(name))}
    if "url" in options:
        options["url"] = _find_url(sources, options["url"])
    url, hint = options.get("url", given.get("url")), ""
    if is_given(url):
        workspace = normalize_url(url)
        if "token" in options:
            options["token"], hint = _find_token(sources, workspace)
        known = _find_inventory_settings(workspace, sources.variable(SERVER_ID))
        options.update(_get_common_values([name for name, value in options.items() if value is None], known))
        if known and options.get("token", "given") is None:
            hint = (
                f"The inventory was read with several tokens of {workspace}, and nothing says which of them is meant."
                f" Name one under that URL in the variable {TOKENS}."
            )
    return TaskSettings({name: value for name, value in options.items() if value is not None}, hint)


def refuse_facts_named_as_settings(variables: Mapping[str, Any], template: Callable[[Any], Any]) -> None:
    """Refuse facts named as settings: facts come from managed hosts, and override the inventory.

    ansible-core lists each fact in ``ansible_facts``, without the prefix ``ansible_``.
    """
    facts = variables.get("ansible_facts") or {}
    # The facts of another host may be a template.
    facts = template(facts) if isinstance(facts, str) else facts
    names = sorted(name for name in facts if _SETTING_NAMES.match(str(name)))
    if names:
        raise AlpaconError(
            f"Host {variables.get('inventory_hostname')} returned settings as facts: {', '.join(names)}."
            " Facts come from the managed host and are not trusted."
            " Find the task that returned them, and clear a fact cache with --flush-cache."
        )


def _find_url(sources: _SettingSources, stated: Any) -> Any:
    """Return the workspace of the host, or else the one for all hosts."""
    own = sources.variable(WORKSPACE)
    if not is_given(own):
        return stated
    named = sources.variable("alpacon_url")
    if is_given(named) and normalize_url(named) != normalize_url(own):
        raise UsageError(
            "alpacon_url",
            f"it names {named}, and the host is a server of {own}",
            "Leave it out for this host, or name the workspace in the option url of the task.",
        )
    return own


def _get_common_values(names: Sequence[str], known: Sequence[Settings]) -> dict[str, Any]:
    """Return those of these settings that have one value in all inventories."""
    values = {name: {getattr(settings, name) for settings in known} for name in names}
    common = {name: found.pop() for name, found in values.items() if len(found) == 1}
    if "request_timeout" in common:
        # Before ansible-core 2.19, an int option refuses a float.
        common["request_timeout"] = int(common["request_timeout"])
    return common


def drop_empty_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Remove null options and empty connection settings; rules of an argument spec count null as given."""
    return {
        name: value
        for name, value in given.items()
        if value is not None and (name not in CONNECTION or is_given(value))
    }


def refuse_foreign_server(given: Mapping[str, Any], own: Any) -> None:
    """Refuse another workspace in a task for the server of its host."""
    url = given.get("url")
    if is_given(url) and is_given(own) and normalize_url(url) != normalize_url(own):
        raise UsageError(
            "url", f"it names {url}, and the host is a server of {own}", "Leave it out, or name servers, too."
        )


def refuse_shared_name(host: str, variables: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> None:
    """Refuse a server whose name is also a group: a pattern with that name matches the host only."""
    if WORKSPACE in variables and set(groups.get(host, (host,))) != {host}:
        raise UsageError(
            "hosts",
            f"{host} is a host and a group of the inventory, and in patterns means the host only",
            "Rename the group, or name the inventory that has the group before the one of the workspace.",
        )


@dataclass(frozen=True)
class _SettingSources:
    variables: Mapping[str, Any]
    environ: Mapping[str, str]
    template: Callable[[Any], Any]
    folder: Path | None

    def variable(self, name: str) -> Any:
        return self.template(self.variables[name]) if name in self.variables else None

    def setting(self, name: str) -> Any:
        variable = f"alpacon_{name}"
        value = self.variable(variable) if variable in self.variables else self.environ.get(variable.upper())
        return value if is_given(value) else None


def _find_inventory_settings(workspace: str, server: Any) -> list[Settings]:
    """Return the settings of the first inventory with this server, or else of all inventories of the workspace."""
    server_id = normalize_uuid(str(server)) if is_uuid(server) else None
    inventories = [inventory for inventory in _inventories.values() if inventory.workspace == workspace]
    listing = [inventory for inventory in inventories if server_id in inventory.servers]
    return [inventory.settings for inventory in listing[:1] or inventories]


def _find_token(sources: _SettingSources, workspace: str) -> tuple[Any, str]:
    """Return the token of a workspace; or None, and the reason with its remedy.

    ``alpacon_tokens`` comes first, then ``alpacon_token``, then ``ALPACON_TOKEN``. ``alpacon_token`` belongs to the
    workspace of ``alpacon_url``. Without that, and for ``ALPACON_TOKEN``, it is the workspace of ``ALPACON_URL``.
    Without that, it is the only workspace of the inventory. A default token goes to one workspace only in a run, since
    hosts may have different ``alpacon_url``.
    """
    remedy = f"Name the token of {workspace} under that URL in the variable {TOKENS}."
    tokens, urls = _get_tokens(sources)
    if workspace in urls:
        named = sources.template(tokens[urls[workspace]])
        return (named, "") if is_given(named) else (None, f"{TOKENS} has an empty one for {workspace}.")
    default_url = sources.environ.get("ALPACON_URL")
    defaults = [
        ("alpacon_token", sources.variable("alpacon_token"), sources.variable("alpacon_url") or default_url),
        ("ALPACON_TOKEN", sources.environ.get("ALPACON_TOKEN"), default_url),
    ]
    hints = []
    for name, token, url in defaults:
        if not is_given(token):
            continue
        if not is_given(url):
            listed = sources.variable(WORKSPACES)
            workspaces = {normalize_if_url(each) for each in listed} if isinstance(listed, (list, tuple)) else set()
            if not workspaces <= {workspace}:
                why = "there are several workspaces, and nothing says which one it is for"
                hints.append(f"{name} is not sent to {workspace}: {why}.")
                continue
        elsewhere = is_given(url) and normalize_if_url(url) != workspace
        owner = url if elsewhere else _claim_token(sources, name, token, workspace)
        if owner == workspace:
            return token, ""
        hints.append(f"{name} is the token of {owner}, and is not sent to {workspace}.")
    own = sources.variable(WORKSPACE)
    return None, " ".join([*hints[:1], remedy]) if hints or is_given(own) else ""


def _claim_token(sources: _SettingSources, name: str, token: Any, workspace: str) -> str:
    """Return the first workspace of this token in this run, and make it this one if there is none."""
    if sources.folder is None:
        return workspace
    # The same token may be written for two groups, each with its own workspace.
    place = _get_origin(sources.variables.get(name))
    digest = hashlib.sha256(json.dumps([name, place, str(token)]).encode()).hexdigest()[:32]
    mark = sources.folder / f"alpacon-token-{digest}"
    # Making a link is atomic, with its text.
    with contextlib.suppress(OSError):
        os.symlink(workspace, mark)
    try:
        return os.readlink(mark)
    except OSError:
        return workspace  # the disk is full, say


def _get_origin(value: Any) -> str:
    """Return the file and line of a variable, if Ansible knows them."""
    try:
        tags = importlib.import_module("ansible._internal._datatag._tags")
    except ImportError:  # before ansible-core 2.19
        return str(getattr(value, "ansible_pos", None))
    return str(tags.Origin.get_tag(value))


def _get_tokens(sources: _SettingSources) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """Return the tokens, not templated, and the key of each workspace in them."""
    given = sources.variables.get(TOKENS)
    if given is not None and not isinstance(given, Mapping):
        given = sources.template(given)
    if not given:
        return {}, {}
    if not isinstance(given, Mapping):
        raise UsageError(TOKENS, "it is not a dictionary", "Give URLs of workspaces, each with its token.")
    try:
        return given, {normalize_url(sources.template(url)): url for url in given}
    except UsageError as error:
        raise UsageError(TOKENS, str(error).removeprefix("url: ")) from None
