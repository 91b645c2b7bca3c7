# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Booleans of roles and playbooks that are given as text: each use of one converts it, or hands it to an option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.playing import play_out
from unit.rolling import Host, Paper, agents_come, roll
from workspace.client import Workspace

_TOP = Path(__file__).resolve().parents[2]
_CONDITIONS = frozenset(("when", "that", "until", "failed_when", "changed_when"))
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def _specs(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The options of all argument specs within a file."""
    if isinstance(value, dict):
        for name, below in value.items():
            if isinstance(below, dict) and isinstance(below.get("type"), str):
                yield name, below
            yield from _specs(below)
    elif isinstance(value, list):
        for below in value:
            yield from _specs(below)


def _files() -> list[Path]:
    return [path for folder in ("roles", "playbooks") for path in sorted((_TOP / folder).rglob("*.yml"))]


def _booleans() -> set[str]:
    specs = [spec for path in _files() for spec in _specs(yaml.safe_load(path.read_text(encoding="utf-8")))]
    return {name for name, spec in specs if spec["type"] == "bool"}


def _expressions(value: Any, key: str = "") -> Iterator[str]:
    """What is evaluated: conditions, and what stands in braces."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _expressions(below, str(name))
    elif isinstance(value, list):
        for below in value:
            yield from _expressions(below, key)
    elif isinstance(value, str):
        inner = ["".join(found) for found in _EXPRESSION.findall(value)]
        yield from inner or ([value] if key in _CONDITIONS else [])


def _unconverted(expression: str, names: set[str]) -> list[str]:
    bare = re.compile(rf"\b({'|'.join(sorted(names))})\b(?!\s*\|\s*(?:default\([^)]*\)\s*\|\s*)?bool\b)")
    return [] if not names else bare.findall(_TEXT.sub("''", expression))


def _evaluated() -> list[tuple[str, str]]:
    found = [
        (path.relative_to(_TOP).as_posix(), expression)
        for path in _files()
        for expression in _expressions(yaml.safe_load(path.read_text(encoding="utf-8")))
    ]
    for path in sorted((_TOP / "roles").rglob("*.j2")):
        found += [(path.name, "".join(one)) for one in _EXPRESSION.findall(path.read_text(encoding="utf-8"))]
    return found


def test_booleans_are_found() -> None:
    assert {"alpamon_hold", "alpamon_rollback", "alpamon_become", "alpacon_wait", "alpacon_reschedule"} <= _booleans()


def test_each_use_of_a_boolean_converts_it() -> None:
    names = _booleans()
    # An option of a module converts by itself what it gets as it is, and omit is no boolean.
    handed = re.compile(r"^\s*\w+ \| default\(omit\)\s*$")
    bare = [
        f"{where}: {expression.strip()}"
        for where, expression in _evaluated()
        if not handed.match(expression) and _unconverted(expression, names)
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("expression", "bare"),
    [
        ("not hold", ["hold"]),
        ("not hold | bool", []),
        ("hold | default(true) | bool", []),
        ("hold | default(true)", ["hold"]),
        ("'hold' in it", []),
    ],
)
def test_what_counts_as_converted(expression: str, bare: list[str]) -> None:
    assert _unconverted(expression, {"hold"}) == bare


def test_role_does_with_text_what_it_does_with_booleans(current: Workspace, tmp_path: Path) -> None:
    current.settings(instant=True)
    specs = yaml.safe_load((_TOP / "roles/alpamon/meta/argument_specs.yml").read_text(encoding="utf-8"))
    usual = yaml.safe_load((_TOP / "roles/alpamon/defaults/main.yml").read_text(encoding="utf-8"))
    names = [name for name, spec in _specs(specs) if spec["type"] == "bool"]
    plain: dict[str, dict[str, Any]] = {
        "usual": {name: usual[name] for name in names},
        # Without it, logs would hold keys.
        "other": {name: not usual[name] for name in names if name != "alpamon_no_log"},
    }
    texts = {kind: {name: _as_text(value, name) for name, value in given.items()} for kind, given in plain.items()}
    hosts = {
        **{f"{kind}-plain": Paper(variables=given) for kind, given in plain.items()},
        **{f"{kind}-text": Paper(variables=given) for kind, given in texts.items()},
    }
    key = current.add_registration_token()["key"]
    with agents_come(current):
        done = roll(tmp_path, current, hosts, ALPACON_REGISTRATION_TOKEN=key)
    assert done.code == 0, done.said
    for kind in plain:
        assert _doings(done[f"{kind}-text"]) == _doings(done[f"{kind}-plain"])
    assert _doings(done["usual-text"]) != _doings(done["other-text"])


def test_playbooks_do_with_text_what_they_do_with_booleans(current: Workspace, tmp_path: Path) -> None:
    current.settings(instant=True)
    asked = {
        "run": {"alpacon_line": "true"},
        "schedule": {"alpacon_line": "reboot"},
        "cancel": {"alpacon_line": "reboot"},
    }
    plays = [
        {
            "ansible.builtin.import_playbook": f"herdops.alpacon.{name}",
            "vars": {
                "alpacon_servers": ["web-01"],
                **given,
                # Another time for each value: a schedule is moved only where that is asked for.
                **({"alpacon_scheduled_at": f"203{int(value)}-01-01T00:00:00Z"} if name == "schedule" else {}),
                **{boolean: write(value, boolean) for boolean in _booleans_of(name)},
            },
        }
        for write in (lambda value, _name: value, _as_text)
        for value in (False, True)
        for name, given in asked.items()
        if not (name == "cancel" and value is False)
    ]
    done = play_out(current, tmp_path, plays, None)
    assert done.code == 0, done.said
    for task in ("Run the command", "Schedule the command", "Cancel the commands"):
        told = [(result["changed"], re.sub(r"[0-9a-f-]{36}", "", result["msg"])) for result in done.tasks[task]]
        half = len(told) // 2
        assert told[:half] == told[half:], task
        assert len(set(told)) == half, "values make a difference"


def _booleans_of(playbook: str) -> list[str]:
    specs = yaml.safe_load((_TOP / f"playbooks/{playbook}.yml").read_text(encoding="utf-8"))
    return [name for name, spec in _specs(specs) if spec["type"] == "bool"]


def _as_text(value: bool, name: str) -> str:
    """It as people write it, each variable in another way."""
    words = ("true", "yes", "1") if value else ("false", "no", "0")
    return words[len(name) % len(words)]


def _doings(host: Host) -> list[str]:
    """What was done on a host, but for the id and the key that it got."""
    return [
        re.sub(r"(id|key) = [\w-]+|tmp[^\s'\"]*|checksum[^,]*", "", f"{call.module} {_steady(call.arguments)}")
        for call in host.calls
    ]


def _steady(arguments: dict[str, Any]) -> str:
    return str({name: value for name, value in sorted(arguments.items()) if name not in ("src", "_original_basename")})
