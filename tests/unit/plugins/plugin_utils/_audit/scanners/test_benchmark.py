# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Benchmarks: which rules a profile selects, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.benchmark import (
    LEFT_OUT,
    Benchmark,
    benchmarks,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.xml_tree import read_xml

FILES = Path(__file__).parent / "files"
PREFIX = "xccdf_org.example_rule_"


@pytest.fixture
def benchmark() -> Benchmark:
    """The benchmark in the little data stream, of which OpenSCAP evaluated the profile strict."""
    [found] = benchmarks(read_xml((FILES / "little-ds.xml").read_text(), LEFT_OUT))
    return found


@pytest.mark.parametrize(
    ("profile", "names"),
    [
        ("strict", ["motd", "passwd", "by_hand", "elsewhere", "told"]),
        ("base", ["motd", "passwd", "by_hand"]),
    ],
)
def test_profiles_select_what_openscap_evaluates(benchmark: Benchmark, profile: str, names: list[str]) -> None:
    chosen = benchmark.profile(profile)
    assert chosen
    assert [rule.name for rule in benchmark.rules(chosen)] == [PREFIX + name for name in names]


@pytest.mark.parametrize(("profile", "owner", "severity"), [("strict", "daemon", "high"), ("base", "root", "low")])
def test_values_and_severities_are_those_of_the_profile(
    benchmark: Benchmark, profile: str, owner: str, severity: str
) -> None:
    motd, passwd, *_others = benchmark.rules(benchmark.profile(profile))
    assert passwd.rationale == f"They belong to {owner}."
    assert motd.severity == severity


def test_a_fix_that_nobody_reads_gives_way_to_the_description(benchmark: Benchmark) -> None:
    fix = next(one for one in benchmark.element.iter("fix") if one.get("system") == "urn:xccdf:fix:script:sh")
    fix.text = "true\n" * 1000
    motd, *_others = benchmark.rules()
    assert motd.remedy == "Remove /etc/motd:\n$ rm /etc/motd"
