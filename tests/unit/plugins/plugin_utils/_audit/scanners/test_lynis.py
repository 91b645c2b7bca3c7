# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of Lynis 3.1.4, from the report that it wrote on Debian, shortened by what it lists of the system."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import NamedResult, ScannerError, parse

REPORT = (Path(__file__).parent / "files/lynis-report.dat").read_text()


def of(output: str) -> dict[str, NamedResult]:
    """The results by their names."""
    return {result.name: result for result in parse({"format": "lynis"}, output)}


def test_each_test_has_one_result() -> None:
    results = of(REPORT)
    outcomes = Counter(result.outcome for result in results.values())
    told = {line.partition("=")[2].split("|")[0] for line in REPORT.splitlines() if line.startswith(("warn", "sugg"))}
    executed, skipped = (
        {*line.partition("=")[2].strip("|").split("|")}
        for line in REPORT.splitlines()
        if line.startswith(("tests_executed", "tests_skipped"))
    )
    assert outcomes["failed"] == len(told) == 36
    assert outcomes["passed"] == len(executed - told)
    assert outcomes["not_applicable"] == len(skipped - told - executed)


def test_findings_say_what_is_to_be_done() -> None:
    results = of(REPORT)
    assert results["PKGS-7388"].severity == "high"
    assert results["BOOT-5264"].severity == "low"
    assert results["BOOT-5264"].message == (
        "Consider hardening system services (Run '/usr/bin/systemd-analyze security SERVICE' for each service)"
    )
    assert results["FILE-7524"].remedy == "Use chmod to change file permissions"
    assert results["FILE-6310"].message.count("\n") == 2
    assert results["FILE-6310"].references == ("Lynis FILE-6310",)


def test_a_warning_is_worse_than_a_suggestion_of_the_same_test() -> None:
    result = of("suggestion[]=X-1|a|-|-|\nwarning[]=X-1|b|-|-|\nfinish=true\n")["X-1"]
    assert (result.severity, result.message) == ("high", "a\nb")


def test_a_run_that_was_interrupted_is_told() -> None:
    assert of(REPORT.replace("finish=true", ""))["missing-results"].outcome == "unknown"


@pytest.mark.parametrize("output", ["", "sh: 1: lynis: not found\n", "# Lynis Report\nreport_version_major=1\n"])
def test_no_report_is_refused(output: str) -> None:
    with pytest.raises(ScannerError):
        of(output)
