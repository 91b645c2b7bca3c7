# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The goals for the figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.results import COLUMNS, Rows
from benchmark.scenarios import (
    FLEET,
    FOLD,
    LISTED,
    NIGHTS,
    ON_HOSTS,
    PER_HOST,
    PLAYBOOK,
    REPORT,
    ROLE,
    RULES,
    SCENARIOS,
    TRANSFERS,
)

#: "The same cost" allows for this.
SAME = 1.25
#: A host costs at most twice what a task that does nothing costs.
PER_HOST_RATIO = 2
MISSED = "**no**"
INI, ENABLED, OURS = (variant.name for variant in ON_HOSTS[1:])


@dataclass(frozen=True)
class Target:
    """The largest allowed value of a column, or of its ratio to that column in a row of another scenario."""

    scenario: str
    variant: str
    column: str
    limit: float
    base: str = ""

    def value(self, rows: Rows) -> float | None:
        names = [name for name in (self.scenario, self.base) if name]
        measured = [rows.get((name, self.variant), {}) for name in names]
        found = [row[self.column] for row in measured if self.column in row]
        machines = [row.get("machine") for row in measured]
        if len(found) < len(names) or machines[0] != machines[-1]:
            return None
        return float(found[0] / found[1] if self.base else found[0])

    def cells(self, rows: Rows) -> list[str]:
        """Return the cells of the table of goals: scenario, figure, goal, measured, met."""
        heading, digits = COLUMNS[self.column]
        if self.base:
            heading, digits = f"{heading}, ratio to `{self.base}`", 2
        value = self.value(rows)
        measured = "not measured" if value is None else f"{value:,.{digits}f}"
        met = "" if value is None else "yes" if value <= self.limit else MISSED
        title = f"{SCENARIOS[self.scenario].title}: {self.variant}"
        return [f"`{self.scenario}`", title, heading, f"{self.limit:.3g}", measured, met]


def _on_hosts(column: str, limits: dict[str, float], names: Iterable[str]) -> list[Target]:
    return [Target(f"ssh_{name}", variant, column, limit) for name in names for variant, limit in limits.items()]


PLAYS = ("ping_1", "ping_20", "ping_100", "tasks_1", "tasks_10", "setup_10")
TARGETS = [
    Target("tasks_quick", "polling", "requests", 45),
    Target("tasks_1s", "polling", "requests", 65),
    Target("tasks_15s", "polling", "requests", 90),
    *(Target(f"tasks_{name}", "push", "requests", 45) for name in ("quick", "1s", "15s")),
    # A task is a submit and a poll, so it takes longer than over a connection that is open.
    *_on_hosts("wall_ratio", {INI: 2, ENABLED: 2, OURS: 2}, PLAYS),
    *_on_hosts("cpu_ratio", {ENABLED: 1.5, OURS: 1.5}, PLAYS),
    *(Target("batches_1", "in batches", *limit) for limit in (("writes", 5), ("requests", 16), ("wall_ratio", 0.7))),
    *(Target("batches_10", "in batches", *limit) for limit in (("writes", 50), ("requests", 120), ("wall_ratio", 0.8))),
    Target("lag_2", "polling", "requests", 3),
    Target("lag_20", "polling", "requests", 5),
    Target("lag_60", "polling", "requests", 8),
    Target("lag_60", "polling", "lag_s", 3),
    Target("lag_60", "push", "requests", 8),
    Target("lag_60", "push", "lag_s", 0.5),
    Target("lag_600", "polling", "requests", 15),
    Target("follow_60", "polling", "requests", 35),
    *(Target("follow_20x150", variant, "line_lag_s", 3) for variant in ("polling", "push")),
    *(Target("follow_20x150", variant, "gap_s", 10) for variant in ("polling", "push")),
    Target("ssh_copy_20MB", INI, "writes", 25),
    Target("ssh_copy_20MB", INI, "requests", 60),
    *(Target(f"transfer_{size}MB", TRANSFERS[1].name, "writes", 2) for size in (20, 200)),
    *(Target(f"transfer_{size}MB", TRANSFERS[1].name, "requests", 10) for size in (20, 200)),
    *(Target("transfer_200MB", variant.name, "peak_mb", 80) for variant in TRANSFERS[1::2]),
    Target("verified_100", NIGHTS[1].name, "writes", 100),
    *(Target("verified_100", NIGHTS[1].name, column, 0) for column in ("approvals", "uploads")),
    Target("fleet_1000", FLEET.name, "requests_per_command", 1.02),
    Target("fleet_1000_published", FLEET.name, "requests_per_command", 1.05),
    Target("fleet_10000", FLEET.name, "requests_per_command", 1.05),
    Target("fleet_10000", FLEET.name, "cpu_ms", SAME, base="fleet_1000"),
    Target("fleet_10000", FLEET.name, "peak_mb", 300),
    Target("fleet_50000", FLEET.name, "peak_mb", 300),
    Target("script_1000", FLEET.name, "requests_per_command", 1.1),
    Target("outputs_1000", FLEET.name, "peak_mb", 450),
    Target("outputs_1000", "output_limit: 2000", "peak_mb", 160),
    Target("perhost_300", PER_HOST.name, "requests_per_command", 1.2),
    Target("perhost_300_https", PER_HOST.name, "cpu_ms", SAME, base="perhost_300"),
    Target("uri_300", PER_HOST.name, "cpu_ratio", 1 / 15),
    *(Target(f"hosts_{count}", PER_HOST.name, "cpu_ratio", PER_HOST_RATIO) for count in (300, 1000, 3000)),
    *(Target(f"hosts_{count}", PER_HOST.name, "cpu_ms", SAME, base="hosts_300") for count in (1000, 3000)),
    Target("connection_100", "polling", "requests_per_command", 1.2),
    Target("inventory_5000", LISTED.name, "requests", 58),
    Target("inventory_5000", LISTED.name, "wall_ratio", 1.3),
    Target("names_10000", FLEET.name, "requests", 3),
    Target("audit_1000", PLAYBOOK.name, "wall_s", 8),
    Target("audit_role_1000", ROLE.name, "wall_s", 8),
    Target("audit_role_1000", ROLE.name, "cpu_s", 6),
    Target("audit_report_5000", REPORT.name, "peak_mb", 250),
    Target("audit_report_5000", REPORT.name, "page_mb", 10),
    Target("audit_report_2000", RULES.name, "wall_s", 60),
    Target("audit_report_2000", RULES.name, "peak_mb", 950),
    Target("audit_report_2000", RULES.name, "page_mb", 40),
    Target("audit_report_2000", RULES.name, "history_mb", 20),
    Target("fold_2000", FOLD.name, "wall_s", 1),
    Target("rollout_100", "second run", "cpu_s", 150),
]
