# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse facts with the names of settings: facts come from managed hosts, and override the inventory."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C

from ..module_utils._api.errors import AlpaconError, clean_line

#: Variables that are settings. ansible-core ignores facts with the names of its own variables, such as ansible_user.
_SETTING_NAMES = re.compile(
    r"(?:ansible_)?_*(?:alpacon|alpamon|audit|rollout)_|(?:inventory_hostname|awx_user_name|tower_user_name)$"
)
#: Text searches are much faster than a pattern.
_PARTS = ("alpacon_", "alpamon_", "audit_", "rollout_", "inventory_hostname", "awx_user_name", "tower_user_name")


def refuse_facts_named_as_settings(variables: Mapping[str, Any], template: Callable[[Any], Any]) -> None:
    """Refuse facts of the host with these variables that have names of settings.

    Raises:
        AlpaconError: A fact has the name of a setting.
    """
    facts = variables.get("ansible_facts") or {}
    # The facts of another host may be a template. ansible_facts has names without the prefix ansible_.
    names = list_fact_names(template(facts) if isinstance(facts, str) else facts)
    _refuse(variables.get("inventory_hostname"), names)


def list_fact_names(facts: Mapping[str, Any]) -> list[str]:
    """Return the names of the facts of a host, with those that earlier items of a loop returned."""
    # Older releases of ansible-core put the latter into a fact with this name.
    returned = facts.get("ansible_facts")
    return [*facts, *(returned if isinstance(returned, Mapping) else ())]


def refuse_settings_of_any_host(hostvars: Any = None) -> None:
    """Refuse facts of any host that have names of settings, since a task can read them in C(hostvars).

    The facts that a fact cache has from earlier runs are checked once in a run: an earlier task may have read them.

    Args:
        hostvars: the variable, for plugins that do not run in a worker.

    Raises:
        AlpaconError: A fact has the name of a setting.
    """
    # A connection plugin has no hostvars, and does run in a worker.
    manager = getattr(multiprocessing.current_process(), "_variable_manager", None)
    manager = manager or getattr(hostvars, "_variable_manager", None)
    cache = getattr(manager, "_fact_cache", None)
    if cache is None:
        return
    cache = getattr(cache, "_plugin", cache)
    hosts = getattr(getattr(manager, "_inventory", None), "hosts", ())
    # Tasks can add hosts.
    mark = Path(C.DEFAULT_LOCAL_TMP) / f"alpacon-facts-{len(hosts)}"  # type: ignore[attr-defined]
    is_first = not mark.exists()
    for host, names in _list_names(cache, hosts if is_first else ()):
        _refuse(host, names)
    if is_first:
        with contextlib.suppress(OSError):
            mark.touch(0o600)


def _list_names(cache: Any, hosts: Iterable[str]) -> Iterator[tuple[str, Iterable[Any]]]:
    """Yield the hosts whose facts may have names of settings, with the names of all facts of the host.

    Args:
        hosts: hosts whose facts are loaded if this process does not hold them.
    """
    held = getattr(cache, "_cache", None)
    if not isinstance(held, dict):  # such as a client of memcached, or none
        yield from ((host, cache.get(host)) for host in list(cache.keys()))
        return
    # A persistent cache of ansible-core 2.19 and later holds the facts of a host as JSON.
    is_encoded = hasattr(cache, "_restore_key")
    for host in hosts:
        key = cache._get_key(host) if is_encoded else host
        if key not in held:
            with contextlib.suppress(KeyError):
                facts = getattr(cache, "__wrapped__", cache).get(key) or {}
                # The facts of thousands of hosts would need much memory.
                held.pop(key, None)
                yield from _decode(host, facts) if is_encoded else [(host, facts)]
    if is_encoded:
        for key, facts in held.items():
            yield from _decode(cache._restore_key(key), facts)
    # For thousands of hosts, a union is much faster than a search for each host.
    elif any(map(_SETTING_NAMES.match, map(str, set().union(*held.values())))):
        yield from held.items()


def _decode(host: str, encoded: Mapping[str, str]) -> Iterator[tuple[str, Iterable[Any]]]:
    text = next(iter(encoded.values()), "")
    if any(part in text for part in _PARTS):
        yield host, json.loads(text)


def _refuse(host: Any, facts: Iterable[Any]) -> None:
    names = sorted(clean_line(name) for name in facts if _SETTING_NAMES.match(str(name)))
    if names:
        raise AlpaconError(
            f"Host {host} returned settings as facts: {', '.join(names)}."
            " Facts come from the managed host and are not trusted, so this task does not run for any host."
            " Find the task that returned them, or exclude the host with --limit; clear a cache with --flush-cache."
        )
