# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of the figures."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from benchmark.scenarios import Figures

Rows = t.Mapping[str, Figures]
#: What "the same cost per command" allows for.
SAME = 1.25
#: At most 30 ms a host where a task that does nothing takes 19.5 ms, on any machine.
PER_HOST = 30 / 19.5


@dataclass(frozen=True)
class Target:
    """A figure and its limit. `needs` are the scenarios that `value` reads."""

    text: str
    unit: str
    limit: float
    needs: tuple[str, ...]
    value: t.Callable[[Rows], float]

    def met(self, rows: Rows) -> bool | None:
        return self.value(rows) <= self.limit if rows.keys() >= set(self.needs) else None

    def describe(self, rows: Rows) -> str:
        met = self.met(rows)
        if met is None:
            return f"not measured  {self.text}"
        word = "met" if met else "NOT MET"
        return f"{word:<12}  {self.text}: {self.value(rows):.3g} of at most {self.limit:.3g} {self.unit}".rstrip()


def _requests(name: str, limit: float) -> Target:
    return _figure(name, "requests per command", "", limit, "requests_per_command")


def _cpu(name: str, other: str, limit: float) -> Target:
    def value(rows: Rows) -> float:
        return rows[name].cpu_ms_per_command / rows[other].cpu_ms_per_command

    return Target(f"{name}: CPU per command, in those of {other}", "", limit, (name, other), value)


def _of_noop(name: str, limit: float) -> Target:
    def value(rows: Rows) -> float:
        whole = rows[name].cpu_s * 1000 / rows[name].commands
        return whole / (whole - rows[name].cpu_ms_per_command)

    return Target(f"{name}: CPU per host, in those of a task that does nothing", "", limit, (name,), value)


def _figure(name: str, text: str, unit: str, limit: float, figure: str) -> Target:
    return Target(f"{name}: {text}", unit, limit, (name,), lambda rows: getattr(rows[name], figure) or 0)


def _lag(seconds: str, limit: float) -> Target:
    return _figure(f"lag_{seconds}", "lag after the finish", "s", limit, "lag_s")


def _memory(name: str, limit: float) -> Target:
    return _figure(name, "peak memory", "MB", limit, "peak_mb")


def _wall(name: str, other: str, limit: float) -> Target:
    text, needs = f"{name}: wall time, in that of {other}", (name, other)
    return Target(text, "", limit, needs, lambda rows: rows[name].wall_s / rows[other].wall_s)


TARGETS = [
    _requests("fleet_1000", 1.05),
    _requests("fleet_1000_published", 1.05),
    _requests("fleet_10000", 1.05),
    _requests("script_1000", 1.05),
    _requests("perhost_300", 1.2),
    _requests("connection_100", 1.2),
    _wall("connection_20", "ssh_20", 1.5),
    _figure("rollout_100_again", "CPU of the run", "s", 150, "cpu_s"),
    _cpu("fleet_1000", "floor_1000", 1.4),
    _cpu("fleet_1000_published", "floor_1000", 2),
    _cpu("fleet_10000", "fleet_1000", SAME),
    _cpu("perhost_300", "uri_300", 1 / 15),
    _cpu("perhost_300_https", "perhost_300", SAME),
    _cpu("hosts_1000", "hosts_300", SAME),
    _cpu("hosts_3000", "hosts_300", SAME),
    _of_noop("hosts_300", PER_HOST),
    _of_noop("hosts_1000", PER_HOST),
    _of_noop("hosts_3000", PER_HOST),
    _figure("names_10000", "requests to resolve two names", "", 3, "requests"),
    _requests("lag_5", 10),
    _memory("fleet_10000", 300),
    _memory("fleet_50000", 300),
    _memory("outputs_1000", 450),
    _memory("outputs_1000_limited", 160),
    _figure("inventory_5000", "requests, pages that overlap and one for the names of groups", "", 58, "requests"),
    _wall("inventory_5000", "static_5000", 1.3),
    _figure("audit_1000", "wall time", "s", 8, "wall_s"),
    _figure("audit_role_1000", "wall time", "s", 8, "wall_s"),
    _figure("audit_role_1000", "CPU", "s", 6, "cpu_s"),
    _memory("audit_report_5000", 250),
    _figure("audit_report_5000", "size of the page", "MB", 10, "page_mb"),
    _lag("0.05", 0.3),
    _lag("10", 1),
    _lag("60", 6),
]
