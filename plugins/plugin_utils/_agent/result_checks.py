# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the types and values that alpamon_info returns, since a compromised host could return anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._agent.reading import FILES

_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,1000}")
_TEXT = re.compile(r"[^\x00]{0,1048576}")
_VERSION = re.compile(r"\d[\w.+-]{0,63}")
#: A machine id, or C(uninitialized) in images that have not been started.
_MACHINE = re.compile(r"[\w-]{0,64}")
_UNIT = {"active": bool, "enabled": bool}
#: By key of the result: the type, pattern or keys to expect; a tuple lists alternatives.
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
#: Expected in the configuration if it is complete.
_CREDENTIALS = {"url": _LINE, "id": re.compile(r"[0-9A-Fa-f-]{32,36}"), "key": re.compile(r"[!-~]{1,1000}")}


def find_result_problem(agent: Mapping[str, Any]) -> str:
    """Return a message that names unexpected values in the result; empty if there are none."""
    unexpected = list(_unexpected(agent, _EXPECTED, ""))
    if not unexpected and agent["configuration"]["complete"]:
        unexpected = list(_unexpected(agent["configuration"], _CREDENTIALS, "configuration"))
    if not unexpected:
        return ""
    return (
        f"The host returned an unexpected value for {', '.join(unexpected[:3])} of alpamon_info. Check what runs on it."
    )


def _unexpected(value: Any, expected: Any, name: str) -> Iterator[str]:
    if isinstance(expected, Mapping):
        if not isinstance(value, Mapping):
            yield name
            return
        for key, inner in expected.items():
            yield from _unexpected(value.get(key), inner, f"{name}.{key}" if name else key)
    elif isinstance(expected, list):
        if not isinstance(value, list) or any(not _matches(item, expected[0]) for item in value):
            yield name
    elif not _matches(value, expected):
        yield name


def _matches(value: Any, expected: Any) -> bool:
    if isinstance(expected, tuple):
        return any(_matches(value, choice) for choice in expected)
    if isinstance(expected, re.Pattern):
        return isinstance(value, str) and expected.fullmatch(value) is not None
    if expected is None:
        return value is None
    return isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
