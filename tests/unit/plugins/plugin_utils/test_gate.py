# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test gates between waves: their variables, the answers of commands, and bounds on metrics."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils import _gate as gate
from ansible_collections.herdops.alpacon.tests.unit.support import Row

NOW = datetime(2026, 12, 2, 20, 30, tzinfo=timezone.utc)
NEW, OLD = "2026-12-02T20:29:10Z", "2026-12-02T20:27:59Z"


def measured(**values: Any) -> Row:
    """Return the result that alpacon_server_info has for these servers, each with a cell of cpu."""
    servers = [{"name": name, "gathered": {"metrics": {"cpu": cell}}} for name, cell in values.items()]
    return {"servers": servers}


def explain(result: Row, count: int = 1, **variables: Any) -> str:
    return gate.explain_metrics(result, {"metric": "cpu<=80", **variables}, count, NOW)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"line": "true"},
        {"line": "true", "server": "web-01", "pause": "90s"},
        {"metric": "cpu<=80, disk-usage <= 90.5", "pause": 0},
    ],
)
def test_variables_of_a_gate(variables: Row) -> None:
    assert gate.find_gate_problem(variables) == ""


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"server": "web-01"}, "alpacon_gate_line"),
        ({"pause": "2m"}, "alpacon_gate_pause"),
        ({"line": "true", "pause": "soon"}, "alpacon_gate_pause"),
        ({"metric": "load<=1"}, "disk-usage"),
        ({"metric": "cpu>=80"}, "cpu>=80"),
        ({"metric": "cpu<=80,"}, "''"),
        ({"metric": "cpu<=80,cpu<=90"}, "second bound"),
        ({"metric": {"cpu": 80}}, "alpacon_gate_metric"),
    ],
)
def test_wrong_variables_of_a_gate_are_refused(variables: Row, named: str) -> None:
    assert named in gate.find_gate_problem(variables)


def test_the_pause_is_longer_for_metrics() -> None:
    assert (gate.get_pause({"line": "true"}), gate.get_pause({"metric": "cpu<=1"})) == (0, 120)
    assert gate.get_pause({"metric": "cpu<=1", "pause": "1m30s"}) == 90


@pytest.mark.parametrize(
    ("result", "opens"),
    [
        ({"rc": 0}, True),
        ({"rc": 1, "stderr": ""}, False),
        ({"outcome": "success", "rc": 0}, True),
        ({"outcome": "success", "rc": None}, True),
        ({"outcome": "pending", "rc": 0, "msg": "Not awaited."}, False),
        ({"outcome": "failed", "rc": 1, "msg": "Exit code 1."}, False),
        ({"failed": True, "msg": "There is no server."}, False),
        ({}, False),
    ],
)
def test_only_a_success_opens_the_gate(result: Row, opens: bool) -> None:
    assert (gate.explain_command(result) == "") is opens


def test_the_last_line_of_an_output_is_the_reason() -> None:
    reason = gate.explain_command({"rc": 22, "stderr": "first\ncurl: \x1b[31m(22) 503\n", "stdout": "page"})
    assert "exit code 22: curl: " in reason
    assert "(22) 503" in reason
    assert "\x1b" not in reason
    assert "first" not in reason


def test_new_values_within_the_bounds_open_the_gate() -> None:
    cells = {"value": 80, "sampled_at": NEW}, {"value": 0.5, "sampled_at": NEW}
    assert explain(measured(a=cells[0], b=cells[1]), 2) == ""


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        ({"value": 80.1, "sampled_at": NEW}, "cpu of a is 80.1%, at most 80%"),
        ({"value": float("nan"), "sampled_at": NEW}, "nan"),
        ({"value": 10**400, "sampled_at": NEW}, "at most 80%"),
        ({"value": 5, "sampled_at": OLD}, f"a has no new value of cpu since {OLD}"),
        ({"value": None, "sampled_at": NEW}, "no new value"),
        ({"value": None, "sampled_at": None}, "no new value"),
        ({"value": True, "sampled_at": NEW}, "no new value"),
        ({"value": "5", "sampled_at": NEW}, "no new value"),
        ({"value": 5}, "no new value"),
        ([5], "no new value"),
        (None, "no new value"),
    ],
)
def test_other_values_keep_the_gate_closed(cell: Any, named: str) -> None:
    assert named in explain(measured(a=cell))


@pytest.mark.parametrize("metrics", [None, [], "cpu", {}])
def test_a_server_without_metrics_keeps_the_gate_closed(metrics: Any) -> None:
    assert "web-01 has no new value" in explain({"servers": [{"name": "web-01", "gathered": {"metrics": metrics}}]})


def test_a_longer_pause_accepts_older_values() -> None:
    assert explain(measured(a={"value": 1, "sampled_at": OLD}), pause="3m") == ""
    # However short the pause is, values of the last minute do.
    assert explain(measured(a={"value": 1, "sampled_at": NEW}), pause=1) == ""


def test_a_missing_server_or_answer_keeps_the_gate_closed() -> None:
    assert "1 of 2 servers" in explain(measured(a={"value": 1, "sampled_at": NEW}), 2)
    assert "not allowed" in explain({"failed": True, "msg": "The token is not allowed to read it."})


def test_invalid_waves_and_percentages_become_the_default_that_is_refused() -> None:
    assert gate.parse_waves("1, 10%", "100%") == ["1", "10%"]
    assert gate.parse_waves([1, "50%"], "100%") == ["1", "50%"]
    serials: list[Any] = [0, "0", "0%", "a", "1;2", [], {"a": 1}, None]
    for serial in serials:
        assert gate.parse_waves(serial, "1,50%") == ["1", "50%"]
        assert gate.find_wave_problem(serial, "alpacon_serial")
    assert [gate.parse_percentage(value, 10) for value in ("5%", 0, "x", None)] == [5, 0, 10, 10]
    assert gate.find_percentage_problem(101, "alpacon_max_fail_percentage")


def test_an_empty_answer_of_a_survey_is_the_default() -> None:
    assert (gate.find_wave_problem("", ""), gate.parse_waves("", "1,50%")) == ("", ["1", "50%"])
    assert (gate.find_percentage_problem("", ""), gate.parse_percentage("", 10)) == ("", 10)
