# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What an inventory makes of the workspace's text: names of hosts and groups, and values that are no templates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from ansible import template
from ansible.inventory.group import to_safe_group_name
from ansible.utils.unsafe_proxy import wrap_var

#: Whether ansible-core takes every text for a template that does not say otherwise, as it did before 2.19.
TRUSTS_ALL_TEXT = not hasattr(template, "trust_as_template")

_SHORT_ID = 8


def inert(value: Any, trusts_all_text: bool = TRUSTS_ALL_TEXT) -> Any:
    """A value of the workspace that is never taken for a template, on any ansible-core.

    Text that no template can be made of stays as it is, so that inventories are listed plainly.
    """
    return _wrapped(value) if trusts_all_text and _has_brace(value) else value


def _has_brace(value: Any) -> bool:
    # One brace is enough: an expression of the user's may put two texts together.
    if isinstance(value, str):
        return "{" in value
    if isinstance(value, Mapping):
        return any(_has_brace(key) or _has_brace(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_brace, value))


def _wrapped(value: Any) -> Any:
    if isinstance(value, Mapping):
        # Ansible looks for marked values, never at keys: numbers become texts, so that they can be marked.
        return {wrap_var(str(key)): _wrapped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    return wrap_var(value if isinstance(value, str) else str(value))


@cache
def safe_group_name(name: str) -> str:
    """A name that a group can have, whatever the settings of Ansible say."""
    return str(to_safe_group_name(name, force=True, silent=True))


def safe_host_name(name: str) -> str:
    """A name that a host can have: Ansible takes the names of hosts for templates, too."""
    return re.sub(r"[{}]|\s", "_", name)


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
    for shared in sorted(name for name, count in counts.items() if count > 1):
        hosts = ", ".join(new for new, (name, _id) in zip(distinct, pairs, strict=True) if name == shared)
        warn(f"{counts[shared]} servers would be the host {shared}. They are the hosts {hosts}.")
    return distinct
