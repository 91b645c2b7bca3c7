# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the numbers must be."""

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
    """A number that must not be exceeded.

    Attributes:
        needs: the scenarios that it takes.
        value: finds the number among their figures.
    """

    text: str
    unit: str
    limit: float
    needs: tuple[str, ...]
    value: t.Callable[[Rows], float]

    def met(self, rows: Rows) -> bool | None:
        return self.value(rows) <= self.limit if self.measured(rows) else None

    def measured(self, rows: Rows) -> bool:
        return all(name in rows for name in self.needs)

    def describe(self, rows: Rows) -> str:
        met = self.met(rows)
        if met is None:
            return f"not measured  {self.text}"
        word = "met" if met else "NOT MET"
        return f"{word:<12}  {self.text}: {self.value(rows):.3g} of at most {self.limit:.3g} {self.unit}".rstrip()


def _requests(name: str, limit: float) -> Target:
    return Target(f"{name}: requests per command", "", limit, (name,), lambda rows: rows[name].requests_per_command)


def _cpu(name: str, other: str, limit: float) -> Target:
    def value(rows: Rows) -> float:
        return rows[name].cpu_ms_per_command / rows[other].cpu_ms_per_command

    return Target(f"{name}: CPU per command, in those of {other}", "", limit, (name, other), value)


def _of_noop(name: str, limit: float) -> Target:
    def value(rows: Rows) -> float:
        whole = rows[name].cpu_s * 1000 / rows[name].commands
        return whole / (whole - rows[name].cpu_ms_per_command)

    return Target(f"{name}: CPU per host, in those of a task that does nothing", "", limit, (name,), value)


def _lag(seconds: str, limit: float) -> Target:
    name = f"lag_{seconds}"
    return Target(f"{name}: lag after the finish", "s", limit, (name,), lambda rows: rows[name].lag_s or 0.0)


def _per_host(name: str, hosts: int, limit: float) -> Target:
    return Target(f"{name}: CPU per host", "s", limit, (name,), lambda rows: rows[name].cpu_s / hosts)


def _tasks(name: str, limit: float) -> Target:
    return Target(
        f"{name}: tasks per host, those that are skipped included",
        "",
        limit,
        (name,),
        lambda rows: rows[name].tasks or 0,
    )


def _wall(name: str, limit: float) -> Target:
    return Target(f"{name}: wall time", "s", limit, (name,), lambda rows: rows[name].wall_s)


def _memory(name: str, limit: float) -> Target:
    return Target(f"{name}: peak memory", "MB", limit, (name,), lambda rows: rows[name].peak_mb)


def _page(name: str, limit: float) -> Target:
    return Target(f"{name}: size of the page", "MB", limit, (name,), lambda rows: rows[name].page_mb or 0.0)


TARGETS = [
    _requests("fleet_1000", 1.05),
    _requests("fleet_1000_published", 1.05),
    _requests("fleet_10000", 1.05),
    _requests("script_1000", 1.05),
    _requests("perhost_300", 1.2),
    _requests("connection_100", 1.2),
    Target(
        "connection_20: wall time, in that of ssh_20",
        "",
        1.5,
        ("connection_20", "ssh_20"),
        lambda rows: rows["connection_20"].wall_s / rows["ssh_20"].wall_s,
    ),
    _tasks("rollout_20", 30),
    _per_host("rollout_20", 20, 2),
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
    Target(
        "names_10000: requests to resolve two names",
        "",
        3,
        ("names_10000",),
        lambda rows: rows["names_10000"].requests or 0.0,
    ),
    _requests("lag_5", 10),
    _memory("fleet_10000", 300),
    _memory("fleet_50000", 300),
    _memory("outputs_1000", 450),
    _memory("outputs_1000_limited", 160),
    Target(
        "inventory_5000: requests, pages that overlap and one for the names of groups",
        "",
        58,
        ("inventory_5000",),
        lambda rows: rows["inventory_5000"].requests or 0.0,
    ),
    Target(
        "inventory_5000: wall time, in those of static_5000",
        "",
        1.3,
        ("inventory_5000", "static_5000"),
        lambda rows: rows["inventory_5000"].wall_s / rows["static_5000"].wall_s,
    ),
    _wall("audit_1000", 15),
    _wall("audit_role_1000", 15),
    Target("audit_role_1000: CPU", "s", 8, ("audit_role_1000",), lambda rows: rows["audit_role_1000"].cpu_s),
    _memory("audit_report_5000", 250),
    _page("audit_report_5000", 10),
    _lag("0.05", 0.3),
    _lag("10", 1),
    _lag("60", 6),
]
