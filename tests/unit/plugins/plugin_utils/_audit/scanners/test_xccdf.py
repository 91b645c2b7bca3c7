# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results that OpenSCAP prints, and what a benchmark says about its rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import ScannerError, parse
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.xccdf import Benchmark, benchmarks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.xml_tree import read_xml

FILES = Path(__file__).parent / "files"
RULE = "xccdf_org.example_rule_"


@pytest.mark.parametrize(
    ("output", "outcomes"),
    [
        ("a:pass\nb:fixed\n", {"a": "passed", "b": "passed"}),
        ("a:fail\n", {"a": "failed"}),
        ("a:error\nb:unknown\nc:notchecked\n", {"a": "unknown", "b": "unknown", "c": "unknown"}),
        ("a:notapplicable\nb:informational\nc:pass", dict.fromkeys("ab", "not_applicable") | {"c": "passed"}),
        ("a:notselected\nb:pass\n", {"b": "passed"}),
        ("a:pass\na:notchecked\na:fail\na:notapplicable\nb:pass\nb:fail\n", {"a": "failed", "b": "failed"}),
        ("a|A|pass\na|severity=high|fail\nb|severity=low|pass\n", {"a": "failed", "b": "passed"}),
        ("a|A|pass\nmissing-results: It broke off.\n", {"a": "passed", "missing-results": "unknown"}),
        ("xccdf_x_rule_a:pass\nxccdf_y_rule_a:fail", {"xccdf_x_rule_a": "passed", "xccdf_y_rule_a": "failed"}),
        ("WARNING: no x.xml\nW: oscap: rule:passed\nxccdf_x_rule_a:pass\r\nDownloading: x ... ok\n", {"a": "passed"}),
    ],
)
def test_words_of_xccdf(output: str, outcomes: dict[str, str]) -> None:
    assert {result.name: result.outcome for result in parse({"format": "xccdf"}, output)} == outcomes


def test_content_for_another_system_passes_nothing() -> None:
    with pytest.raises(ScannerError, match="may be for another operating system"):
        parse({"format": "xccdf"}, "a:notapplicable\nb:notapplicable\n")


@pytest.fixture
def benchmark() -> Benchmark:
    """The benchmark in the little data stream, of which OpenSCAP evaluated the profile strict."""
    [found] = benchmarks(read_xml((FILES / "little-ds.xml").read_text()))
    return found


@pytest.mark.parametrize(
    ("profile", "names", "owner", "severity"),
    [
        ("strict", ["motd", "passwd", "by_hand", "elsewhere", "told"], "daemon", "high"),
        ("base", ["motd", "passwd", "by_hand"], "root", "low"),
    ],
)
def test_a_profile_selects_rules_and_changes_them(
    benchmark: Benchmark, profile: str, names: list[str], owner: str, severity: str
) -> None:
    chosen = benchmark.profile(profile)
    assert chosen is not None
    motd, passwd, *others = benchmark.rules(chosen)
    assert [rule.name for rule in (motd, passwd, *others)] == [RULE + name for name in names]
    assert (motd.severity, passwd.rationale) == (severity, f"They belong to {owner}.")


def test_a_fix_that_nobody_reads_gives_way_to_the_description(benchmark: Benchmark) -> None:
    fix = next(one for one in benchmark.element.iter("fix") if one.get("system") == "urn:xccdf:fix:script:sh")
    fix.text = "true\n" * 1000
    chosen = benchmark.profile("base")
    assert chosen is not None
    assert benchmark.rules(chosen)[0].remedy == "Remove /etc/motd:\n$ rm /etc/motd"
