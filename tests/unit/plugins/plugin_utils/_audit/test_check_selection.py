# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test check sets, and the selection of checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_selection import (
    CheckSelector,
    filter_checks,
    load_check_sets,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check, parse_checks

CHECK = "{name: NAME, line: 'true'}"


def write_files(tmp_path: Path, **files: str) -> Path:
    """Write files into a folder. Their names have two underscores in place of the dot."""
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return tmp_path


def names_in(folder: Path) -> dict[str, list[str]]:
    """Return the names of the checks in each set of a folder."""
    return {name: [check.name for check in checks] for name, checks in load_check_sets(folder).items()}


def test_files_end_in_yml_or_yaml(tmp_path: Path) -> None:
    sets = {name: f"checks: [{CHECK.replace('NAME', name[0])}]" for name in ("b__yml", "a__yaml")}
    assert names_in(write_files(tmp_path, **sets)) == {"a": ["a"], "b": ["b"]}
    assert [check.set for checks in load_check_sets(tmp_path).values() for check in checks] == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "library: there is no file NAME.yml in"),
        (
            {"a__yml": f"checks: [{CHECK}]", "a__yaml": f"checks: [{CHECK}]"},
            "library: a.yaml and a.yml are files of the same check set. Rename one of them, or move its",
        ),
        ({"a__yml": "checks: {"}, "library, a.yml: it cannot be read: "),
        ({"a__yml": "check: []"}, "library, a.yml: it is not a check set."),
        ({"a__yml": "checks: [1]"}, "library, a.yml: checks is not a list of checks."),
        ({"a__yml": f"functions: [a]\nchecks: [{CHECK}]"}, "library, a.yml: functions is not a text."),
        ({"a__yml": f"functions: 'a() {{'\nchecks: [{CHECK}]"}, "library, a.yml: functions: the shell cannot parse it"),
        ({"a__yml": "checks: [{name: a, line: x, absent: yes}]"}, "library, a.yml, check 1 (a): absent: it is true or"),
    ],
)
def test_mistakes_in_check_sets_are_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_check_sets(write_files(tmp_path, **files))
    assert str(raised.value).startswith(message)


def test_names_may_be_numbers() -> None:
    selector = CheckSelector({}, {"checks": [{"name": name, "line": "true"} for name in ("1", "a")]})
    one, a = selector.select("web-01", {"audit_severities": {1: "low", "a": "info"}})
    assert (one.severity, a.severity) == ("low", "info")


def test_yaml_merge_keys(tmp_path: Path) -> None:
    text = """
checks:
- &first {name: a, line: x, parameters: &common {most: 1, least: 1}}
- <<: *first
  name: b
  parameters: {deep: 1, <<: *common, most: 2}
- {<<: *first, name: c}
"""
    [_a, b, c] = load_check_sets(write_files(tmp_path, a__yml=text))["a"]
    assert (b.parameters, c.name, c.line) == ({"deep": 1, "most": 2, "least": 1}, "c", "x")


def named(name: str) -> Check:
    """Return a check with this name."""
    [check] = parse_checks("checks", [{"name": name, "line": "true"}])
    return check


def test_an_account_with_a_blank_is_refused() -> None:
    selector = CheckSelector({}, {"checks": [{"name": "one", "line": "true"}]})
    with pytest.raises(UsageError, match=r"username: ' root' begins or ends with a blank.*Host: web-01"):
        selector.select("web-01", {"audit_username": " root"})


def test_skip_and_severities() -> None:
    checks = [named("one"), named("two"), named("three")]
    chosen = filter_checks(checks, ["two"], {"three": "critical", "two": "low"})
    assert [(one.name, one.severity) for one in chosen] == [("one", "high"), ("three", "critical")]


@pytest.mark.parametrize(
    ("skip", "severities", "message"),
    [
        (["tow"], {}, "skip: there is no check tow. Did you mean two?"),
        (["one", "two"], {}, "skip: no check is left. Leave at least one."),
        ([], {"on": "low"}, "severities: there is no check on. Did you mean one?"),
        (
            [],
            {"one": "bad"},
            "severities: one: 'bad' is not a severity. Give one of info, low, medium, high, critical.",
        ),
    ],
)
def test_invalid_skip_and_severities_are_refused(skip: list[str], severities: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        filter_checks([named("one"), named("two")], skip, severities)
    assert str(raised.value) == message
