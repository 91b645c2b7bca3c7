# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what a host says of its agent before anything is decided by it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._agent.reading import FILES

_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,1000}")
_TEXT = re.compile(r"[^\x00]{0,1048576}")
_VERSION = re.compile(r"\d[\w.+-]{0,63}")
#: A host that has not started yet may have the word C(uninitialized).
_MACHINE = re.compile(r"[\w-]{0,64}")
_UNIT = {"active": bool, "enabled": bool}
#: Types and patterns of the keys that M(herdops.alpacon.alpamon_info) returns; one of several in a tuple.
_EXPECTED: Mapping[str, Any] = {
    "version": (_VERSION, None),
    "held": bool,
    "package_file_version": (_VERSION, None),
    "service_manager": _LINE,
    "service": _UNIT,
    "restart_timer": _UNIT,
    "process": {"state": _LINE},
    "configuration": {"url": (_LINE, None), "id": (_LINE, None), "key": (_LINE, None), "complete": bool, "text": _TEXT},
    "machine_id": _MACHINE,
    "registered_machine_id": _LINE,
    "pending": [_LINE],
    "files": {path: {"exists": bool} for path in FILES},
    "distribution": {"id": _LINE, "name": _LINE, "version": _LINE},
    "hostname": _LINE,
    "proxies": [_LINE],
    "uid": int,
    "clock_ahead": (int, None),
    "check_mode": bool,
}
#: A configuration that counts as complete has them.
_CREDENTIALS = {"url": _LINE, "id": re.compile(r"[0-9A-Fa-f-]{32,36}"), "key": re.compile(r"[!-~]{1,1000}")}


def problem_of_result(agent: Mapping[str, Any]) -> str:
    """Return why the result of the module cannot be its own; empty if it may be."""
    odd = list(_odd(agent, _EXPECTED, ""))
    if not odd and agent["configuration"]["complete"]:
        odd = list(_odd(agent["configuration"], _CREDENTIALS, "configuration"))
    if not odd:
        return ""
    return f"The host returned an unexpected value for {', '.join(odd[:3])} of alpamon_info. Check what runs on it."


def _odd(value: Any, expected: Any, name: str) -> Iterator[str]:
    if isinstance(expected, Mapping):
        if not isinstance(value, Mapping):
            yield name
            return
        for key, inner in expected.items():
            yield from _odd(value.get(key), inner, f"{name}.{key}" if name else key)
    elif isinstance(expected, list):
        if not isinstance(value, list) or any(not _is(item, expected[0]) for item in value):
            yield name
    elif not _is(value, expected):
        yield name


def _is(value: Any, expected: Any) -> bool:
    if isinstance(expected, tuple):
        return any(_is(value, each) for each in expected)
    if isinstance(expected, re.Pattern):
        return isinstance(value, str) and expected.fullmatch(value) is not None
    if expected is None:
        return value is None
    return isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
