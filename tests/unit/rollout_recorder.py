# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Record a rollout for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout import Rollout


class RolloutRecorder:
    """Record a rollout, its files and the lines that it shows."""

    def __init__(self, folder: Path, hosts: list[str], sizes: tuple[Any, ...] = ("100%",), limit: float = 10) -> None:
        self.file, self.hosts, self.sizes, self.limit = folder / "results.jsonl", hosts, sizes, limit
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.facts: dict[str, dict[str, Any]] = {}
        self.now = 100.0
        show, warn = self.lines.append, self.warnings.append
        self.rollout = Rollout(
            hosts, str(self.file), show, warn, lambda host: self.facts.get(host, {}), None, lambda: self.now
        )

    def wave(self, *hosts: str) -> Rollout:
        self.rollout.start_wave(hosts or self.hosts, self.sizes, self.limit)
        for host in hosts or self.hosts:
            self.rollout.host_started(host)
        return self.rollout

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        rows = [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]
        assert len({row["host"] for row in rows}) == len(rows)
        return {row["host"]: row for row in rows}

    @property
    def outcomes(self) -> dict[str, str]:
        return {host: row["outcome"] for host, row in self.rows.items()}

    @property
    def retried(self) -> list[str]:
        return (self.file.parent / "rollout.retry").read_text(encoding="utf-8").splitlines()
