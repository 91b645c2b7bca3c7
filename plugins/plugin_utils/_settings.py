# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which workspace a task means, and the token that goes there and nowhere else."""

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

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import is_uuid, normalize_uuid
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION, parse_settings


def decrypt(value: Any) -> Any:
    """A value in which all that is encrypted is text; before ansible-core 2.19 it is of a type that is none."""
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    if isinstance(value, Mapping):
        return {key: decrypt(item) for key, item in value.items()}
    return [decrypt(item) for item in value] if isinstance(value, (list, tuple)) else value


#: Host variable: the UUID of the host's server.
SERVER_ID = "alpacon_server_id"
#: Host variable: the URL of the workspace that the host is a server of.
WORKSPACE = "alpacon_workspace"
#: Variable of the group all: the URLs of all workspaces that the inventory has servers of.
WORKSPACES = "alpacon_workspaces"
#: Variable of the user's: a dictionary of tokens by the URLs of their workspaces.
TOKENS = "alpacon_tokens"

_PORTS = {"http": 80, "https": 443}

#: Variables that settings are read from. ansible-core itself ignores facts named as its own, such as ansible_user.
_SETTING_NAMES = re.compile(r"_*(alpacon|alpamon|audit|rollout)_|(inventory_hostname|awx_user_name|tower_user_name)$")


@dataclass(frozen=True)
class _Source:
    """What an inventory was read with, and the servers that it lists."""

    workspace: str
    settings: Settings
    servers: frozenset[str]


#: The inventories of this run by their files, as they were read. The workers of a run are forks, and so have them, too.
_read_with: dict[str, _Source] = {}


@dataclass(frozen=True)
class TaskSettings:
    """Connection settings that a task or plugin was not given itself.

    Attributes:
        options: their values, by the names of the options.
        hint: where a token is missing, what to do about it besides the usual.
    """

    options: dict[str, Any]
    hint: str = ""

    def explain(self, error: AlpaconError) -> str:
        """An error in words, with the hint where it is about a token that is missing."""
        missing = isinstance(error, UsageError) and error.option == "token" and "token" not in self.options
        return f"{error} {self.hint}" if missing and self.hint else str(error)


def normalize_url(url: Any) -> str:
    """The URL of a workspace in the one form in which URLs are compared.

    Raises:
        UsageError: it is no URL of a workspace.
    """
    base = parse_settings({"url": url}, needs_token=False).url
    parts = urlsplit(base)
    host = parts.hostname or ""
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def run_folder() -> Path:
    """The temporary folder of this run, which its workers share."""
    return Path(C.DEFAULT_LOCAL_TMP)  # type: ignore[attr-defined]


def remember_inventory(path: str, settings: Settings, servers: Iterable[str]) -> None:
    """Let tasks of this run reach these servers, given by their UUIDs, as the inventory of that file did."""
    # One that is read again, with meta: refresh_inventory, keeps its place.
    _read_with[path] = _Source(normalize_url(settings.url), settings, frozenset(servers))


def forget_inventory(path: str) -> None:
    """Let no task do anything as an inventory that failed."""
    _read_with.pop(path, None)


def find_settings(
    given: Mapping[str, Any],
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    template: Callable[[Any], Any] = lambda value: value,
    folder: Path | None = None,
) -> TaskSettings:
    """The connection settings beside those that are given.

    The workspace is the one that is given, else the host's own, else that of ``alpacon_url``, else that of the
    environment. A token goes to its own workspace only: see :func:`_token`.

    Args:
        given: options of the task or plugin.
        variables: of the host, with its ``ansible_facts``, as ``template`` takes them.
        folder: temporary folder of the run, which remembers where a token went first; None for none.

    Raises:
        UsageError: ``alpacon_url`` and the host's own workspace differ, or a URL is none.
        AlpaconError: a fact is named as a setting.
    """
    refuse_facts_named_as_settings(variables, template)
    sources = _SettingSources(variables, environ, lambda value: decrypt(template(value)), folder)
    options = {name: sources.setting(name) for name in CONNECTION if not _is_given(given.get(name))}
    if "url" in options:
        options["url"] = _url(sources, options["url"])
    url, hint = options.get("url", given.get("url")), ""
    if _is_given(url):
        workspace = normalize_url(url)
        if "token" in options:
            options["token"], hint = _token(sources, workspace)
        known = _settings_read_with(workspace, sources.variable(SERVER_ID))
        options.update(_common([name for name, value in options.items() if value is None], known))
        if known and options.get("token", "given") is None:
            hint = (
                f"The inventory was read with several tokens of {workspace}, and nothing says which of them is meant."
                f" Name one under that URL in the variable {TOKENS}."
            )
    return TaskSettings({name: value for name, value in options.items() if value is not None}, hint)


def refuse_facts_named_as_settings(variables: Mapping[str, Any], template: Callable[[Any], Any]) -> None:
    """Refuse facts that are named as settings: facts come from managed hosts, and override the inventory.

    ansible-core lists each fact in ``ansible_facts``, without the prefix ``ansible_``.

    Raises:
        AlpaconError: the host returned one.
    """
    facts = variables.get("ansible_facts") or {}
    # A task that takes the settings of another host takes the facts of that host, too.
    facts = template(facts) if isinstance(facts, str) else facts
    names = sorted(name for name in facts if _SETTING_NAMES.match(str(name)))
    if names:
        raise AlpaconError(
            f"Host {variables.get('inventory_hostname')} returned settings as facts: {', '.join(names)}."
            " Facts come from the managed host and are not trusted."
            " Find the task that returned them, and clear a fact cache with --flush-cache."
        )


def _url(sources: _SettingSources, stated: Any) -> Any:
    """The workspace of the host, or else the one that is stated for all hosts."""
    own = sources.variable(WORKSPACE)
    if not _is_given(own):
        return stated
    named = sources.variable("alpacon_url")
    if _is_given(named) and normalize_url(named) != normalize_url(own):
        raise UsageError(
            "alpacon_url",
            f"it names {named}, and the host is a server of {own}",
            "Leave it out for this host, or name the workspace in the option url of the task.",
        )
    return own


def _common(names: Sequence[str], known: Sequence[Settings]) -> dict[str, Any]:
    """The values that all inventories were read with alike, of these settings."""
    values = {name: {getattr(settings, name) for settings in known} for name in names}
    common = {name: found.pop() for name, found in values.items() if len(found) == 1}
    if "request_timeout" in common:
        # An option that is an int takes no float before ansible-core 2.19.
        common["request_timeout"] = int(common["request_timeout"])
    return common


def drop_empty_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a task; a connection setting that is empty counts as left out."""
    return {name: value for name, value in given.items() if name not in CONNECTION or _is_given(value)}


def refuse_foreign_server(given: Mapping[str, Any], own: Any) -> None:
    """Check that a task that means the server of its host does not name another workspace.

    Raises:
        UsageError: it does.
    """
    url = given.get("url")
    if _is_given(url) and _is_given(own) and normalize_url(url) != normalize_url(own):
        raise UsageError(
            "url", f"it names {url}, and the host is a server of {own}", "Leave it out, or name servers, too."
        )


def refuse_shared_name(host: str, variables: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> None:
    """Check that a server's host has its name for itself: a group that another inventory made since may have it, too.

    Raises:
        UsageError: a play for that name reaches this host, and none of the group.
    """
    if WORKSPACE in variables and set(groups.get(host, (host,))) != {host}:
        raise UsageError(
            "hosts",
            f"{host} is a host and a group of the inventory, and in patterns means the host only",
            "Rename the group, or name the inventory that has the group before the one of the workspace.",
        )


@dataclass(frozen=True)
class _SettingSources:
    """Where connection settings are looked for."""

    variables: Mapping[str, Any]
    environ: Mapping[str, str]
    template: Callable[[Any], Any]
    folder: Path | None

    def variable(self, name: str) -> Any:
        return self.template(self.variables[name]) if name in self.variables else None

    def setting(self, name: str) -> Any:
        variable = f"alpacon_{name}"
        value = self.variable(variable) if variable in self.variables else self.environ.get(variable.upper())
        return value if _is_given(value) else None


def _settings_read_with(workspace: str, server: Any) -> list[Settings]:
    """What the inventory was read with that lists a server first; for all others, each one of the workspace."""
    server_id = normalize_uuid(str(server)) if is_uuid(server) else None
    sources = [source for source in _read_with.values() if source.workspace == workspace]
    lists = [source for source in sources if server_id in source.servers]
    return [source.settings for source in lists[:1] or sources]


def _token(sources: _SettingSources, workspace: str) -> tuple[Any, str]:
    """The token of a workspace; or None, and what to do about that.

    It is the one that ``alpacon_tokens`` has for the workspace, else ``alpacon_token`` or ``ALPACON_TOKEN`` if that is
    the workspace's. ``alpacon_token`` belongs to the workspace of ``alpacon_url``; where that is not set, and for
    ``ALPACON_TOKEN``, it is the workspace of ``ALPACON_URL``; where that is not set either, the only one in play.
    Either goes to one workspace only in a run: hosts do not know of each other's ``alpacon_url``.
    """
    remedy = f"Name the token of {workspace} under that URL in the variable {TOKENS}."
    tokens, urls = _tokens(sources)
    if workspace in urls:
        named = sources.template(tokens[urls[workspace]])
        return (named, "") if _is_given(named) else (None, f"{TOKENS} has an empty one for {workspace}.")
    default_url = sources.environ.get("ALPACON_URL")
    defaults = [
        ("alpacon_token", sources.variable("alpacon_token"), sources.variable("alpacon_url") or default_url),
        ("ALPACON_TOKEN", sources.environ.get("ALPACON_TOKEN"), default_url),
    ]
    hints = []
    for name, token, url in defaults:
        if not _is_given(token):
            continue
        if not _is_given(url) and not _in_play(sources) <= {workspace}:
            why = "there are several workspaces, and nothing says which one it is for"
            hints.append(f"{name} is not sent to {workspace}: {why}.")
            continue
        owner = (
            url if _is_given(url) and normalize_if_url(url) != workspace else _first(sources, name, token, workspace)
        )
        if owner == workspace:
            return token, ""
        hints.append(f"{name} is the token of {owner}, and is not sent to {workspace}.")
    own = sources.variable(WORKSPACE)
    return None, " ".join([*hints[:1], remedy]) if hints or _is_given(own) else ""


def _first(sources: _SettingSources, name: str, token: Any, workspace: str) -> str:
    """The workspace that a token of this name and place was for first in this run, which becomes this one if none."""
    if sources.folder is None:
        return workspace
    # Two groups may each have the token written down; then somebody has said twice where it belongs.
    place = _place(sources.variables.get(name))
    digest = hashlib.sha256(json.dumps([name, place, str(token)]).encode()).hexdigest()[:32]
    mark = sources.folder / f"alpacon-token-{digest}"
    # A link is made and has its text in one step, whichever worker comes first.
    with contextlib.suppress(OSError):
        os.symlink(workspace, mark)
    try:
        return os.readlink(mark)
    except OSError:
        return workspace  # the disk is full, say


def _place(value: Any) -> str:
    """Where a variable is written, as far as Ansible tells."""
    try:
        tags = importlib.import_module("ansible._internal._datatag._tags")
    except ImportError:  # before ansible-core 2.19
        return str(getattr(value, "ansible_pos", None))
    return str(tags.Origin.get_tag(value))


def _tokens(sources: _SettingSources) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """The user's tokens, and the key of each workspace: only the token that is needed is worked out."""
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


def _in_play(sources: _SettingSources) -> set[str]:
    listed = sources.variable(WORKSPACES)
    return {normalize_if_url(url) for url in listed} if isinstance(listed, (list, tuple)) else set()


def normalize_if_url(url: Any) -> str:
    """A URL as URLs are compared; what is none stays as it is, and so is no workspace's."""
    try:
        return normalize_url(url)
    except UsageError:
        return str(url)


def _is_given(value: Any) -> bool:
    return value is not None and bool(str(value).strip())
