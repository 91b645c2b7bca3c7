# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide after a wave of hosts whether the next one begins: the waves' sizes, a command, and bounds on metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ..module_utils._api.errors import UsageError, clean_line, join_first
from ..module_utils._api.records import parse_time
from ..module_utils._fleet.jobs import Outcome
from ..module_utils._options.values import parse_duration

#: Metrics of a server, and their units. Source: ``GET /api/metrics/latest/`` of workspaces of version 2.37 and newer.
METRICS = {"cpu": "%", "memory": "%", "disk-usage": "%", "disk-io": " bytes/s", "net": " bytes/s"}
_BOUND = re.compile(rf"\s*({'|'.join(METRICS)})\s*<=\s*(\d+(?:\.\d+)?)\s*")
#: How long to wait before metrics are read, in seconds: agents report once a minute.
DEFAULT_PAUSE = 120
_MAX_NAMED, _MAX_OUTPUT = 5, 300


def find_wave_problem(serial: Any, variable: str) -> str:
    """Return the problem of sizes of waves, a list or separated by commas; empty if they are valid or not given."""
    sizes = _split_waves(serial)
    if serial == "" or all(re.fullmatch(r"[1-9]\d*%?", size) for size in sizes):
        return ""
    return f"{variable} is {','.join(sizes)}. Give numbers of hosts or percentages above 0, such as 1,10%,50%."


def parse_waves(serial: Any, default: str) -> list[str]:
    """Return sizes for the keyword serial; if they are invalid, the default, whose first task refuses them."""
    return _split_waves(default if serial == "" or find_wave_problem(serial, "") else serial)


def _split_waves(serial: Any) -> list[str]:
    sizes = serial if isinstance(serial, (list, tuple)) else [serial]
    return [size.strip() for size in ",".join(map(str, sizes)).split(",")]


def find_percentage_problem(percentage: Any, variable: str) -> str:
    """Return the problem of a percentage; empty if it is valid or not given."""
    if percentage == "" or re.fullmatch(r"(100|\d{1,2})(\.\d+)?%?", str(percentage).strip()):
        return ""
    return f"{variable} is {percentage}. Give a percentage from 0 to 100, such as 10."


def parse_percentage(percentage: Any, default: float) -> float:
    """Return a value for the keyword max_fail_percentage; if it is invalid, the default. The first task refuses it."""
    is_given = percentage != "" and not find_percentage_problem(percentage, "")
    return float(str(percentage).strip().rstrip("%")) if is_given else default


def parse_bounds(text: Any) -> dict[str, float]:
    """Parse upper bounds on metrics, such as C(cpu<=80,disk-usage<=90).

    Raises:
        UsageError: one of them is invalid, or given twice.
    """
    bounds: dict[str, float] = {}
    for one in str(text).split(","):
        match = _BOUND.fullmatch(one)
        if not match or match[1] in bounds:
            problem = f"'{one!s:.80}' is {'a second bound on a metric' if match else 'not a bound'}"
            remedy = f"Give METRIC<=NUMBER, such as cpu<=80,disk-usage<=90. Metrics are {', '.join(METRICS)}."
            raise UsageError("alpacon_gate_metric", problem, remedy)
        bounds[match[1]] = float(match[2])
    return bounds


def find_gate_problem(variables: Mapping[str, Any]) -> str:
    """Return the problem of the variables of a gate; empty if there is none.

    Args:
        variables: those of line, server, metric and pause that were given.
    """
    try:
        if "metric" in variables:
            parse_bounds(variables["metric"])
        get_pause(variables)
    except UsageError as error:
        return str(error)
    if "server" in variables and "line" not in variables:
        return "alpacon_gate_server needs alpacon_gate_line, which runs on it. Give both, or leave it out."
    if variables.keys() <= {"pause"} and variables:
        return "alpacon_gate_pause needs a gate. Give alpacon_gate_line or alpacon_gate_metric, or leave it out."
    return ""


def get_pause(variables: Mapping[str, Any]) -> int:
    """Return the seconds between a wave and its gate.

    Raises:
        UsageError: it is not a duration.
    """
    default = DEFAULT_PAUSE if "metric" in variables else 0
    return int(parse_duration("alpacon_gate_pause", variables.get("pause", default)))


def explain_command(result: Mapping[str, Any]) -> str:
    """Return why the command of a gate keeps it closed; empty if it succeeded.

    Args:
        result: of ansible.builtin.shell or M(herdops.alpacon.alpacon_command).
    """
    outcome = result.get("outcome")
    if outcome == Outcome.SUCCESS.value or (outcome is None and result.get("rc") == 0):
        return ""
    if outcome is not None or result.get("rc") is None:
        return f"The command of the gate failed: {clean_line(result.get('msg') or 'no reason is stated.')}"
    output = str(result.get("stderr") or result.get("stdout") or "").strip()
    last = clean_line(output.rpartition("\n")[2])[:_MAX_OUTPUT]
    return f"The command of the gate ended with exit code {result['rc']}{f': {last}' if last else '.'}"


def explain_metrics(
    result: Mapping[str, Any], variables: Mapping[str, Any], count: int, now: datetime | None = None
) -> str:
    """Return which servers of a wave keep the gate closed, and why; empty if all values are new and within the bounds.

    Args:
        result: of M(herdops.alpacon.alpacon_server_info) with O(gather=metrics).
        variables: see :func:`find_gate_problem`. Values may be as old as the pause, but at least a minute.
        count: the number of servers of the wave.
    """
    if "servers" not in result:
        return f"The metrics cannot be read: {clean_line(result.get('msg') or 'no reason is stated.')}"
    oldest = (now or datetime.now(timezone.utc)) - timedelta(seconds=max(get_pause(variables), 60))
    bounds = parse_bounds(variables["metric"])
    problems = [
        problem
        for server in result["servers"]
        for metric, bound in bounds.items()
        if (problem := _explain_metric(server, metric, bound, oldest))
    ]
    if missing := count - len(result["servers"]):
        problems.append(f"{missing} of {count} servers of the wave are not in the workspace")
    return f"{join_first(problems, _MAX_NAMED, '; ')}." if problems else ""


def _explain_metric(server: Mapping[str, Any], metric: str, bound: float, oldest: datetime) -> str:
    name = clean_line(server.get("name") or server.get("id"))
    cells = (server.get("gathered") or {}).get("metrics") or {}
    cell = cells.get(metric) if isinstance(cells, Mapping) else None
    value, sampled = (cell.get("value"), parse_time(cell.get("sampled_at"))) if isinstance(cell, Mapping) else (0, None)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or sampled is None or sampled < oldest:
        since = f" since {sampled:%Y-%m-%dT%H:%M:%S}Z" if sampled else ""
        return f"{name} has no new value of {metric}{since}"
    unit = METRICS[metric]
    return f"{metric} of {name} is {value!s:.20}{unit}, at most {bound:g}{unit}" if not value <= bound else ""
