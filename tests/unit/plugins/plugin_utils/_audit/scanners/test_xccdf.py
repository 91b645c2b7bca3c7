# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of OpenSCAP, from what it printed and wrote: 1.4.2, on Debian."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import NamedResult, ScannerError, parse

FILES = Path(__file__).parent / "files"
OUTCOMES = {
    "motd": "failed",
    "passwd": "passed",
    "by_hand": "unknown",
    "elsewhere": "not_applicable",
    "told": "not_applicable",
}


def of_file(name: str) -> list[NamedResult]:
    """The results in a file, in which the carriage returns that oscap prints are written as such."""
    return parse({"format": "xccdf"}, (FILES / name).read_text().replace("\\r", "\r"))


@pytest.mark.parametrize(
    "name", ["openscap-default.txt", "openscap-progress-full.txt", "openscap-results.xml", "openscap-arf.xml"]
)
def test_each_form_has_the_same_outcomes_and_titles(name: str) -> None:
    results = of_file(name)
    assert {result.name: result.outcome for result in results} == OUTCOMES
    assert [result.title for result in results][:2] == ["No message of the day is shown", "There are accounts"]


def test_progress_has_each_rule_as_it_is_printed() -> None:
    printed = (FILES / "openscap-ssg-progress.txt").read_text()
    means = {"pass": "passed", "fail": "failed", "notapplicable": "not_applicable"}
    rows = dict(line.removeprefix("xccdf_org.ssgproject.content_rule_").split(":") for line in printed.splitlines())
    assert {result.name: result.outcome for result in of_file("openscap-ssg-progress.txt")} == {
        name: means[word] for name, word in rows.items()
    }
    assert len(rows) == 44


@pytest.mark.parametrize("name", ["openscap-results.xml", "openscap-arf.xml"])
def test_xml_tells_all_about_a_rule(name: str) -> None:
    motd, passwd, by_hand, *_others = of_file(name)
    assert motd == NamedResult(
        "motd",
        "failed",
        "No message of the day is shown",
        "Messages tell strangers & robots what runs here.",
        "high",
        "rm -f /etc/motd",
        ("CCE-00001-1", "NIST SP 800-53 CM-6(a), AC-8", "https://example.org/guide 1.2"),
        "The rule is not met: No message of the day is shown",
    )
    assert (passwd.severity, passwd.rationale) == (None, "They belong to daemon.")
    assert (by_hand.severity, by_hand.remedy) == ("medium", "Lock it.")
    assert by_hand.message.splitlines() == [
        "The scanner has no check for it; look at it yourself.",
        "No candidate or applicable check found.",
    ]


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("pass", "passed"),
        ("fixed", "passed"),
        ("fail", "failed"),
        ("error", "unknown"),
        ("unknown", "unknown"),
        ("notchecked", "unknown"),
        ("notapplicable", "not_applicable"),
        ("informational", "not_applicable"),
    ],
)
def test_every_word_of_xccdf_has_a_meaning(word: str, outcome: str) -> None:
    assert [result.outcome for result in parse({"format": "xccdf"}, f"rule_x:{word}\n")] == [outcome]


def test_a_word_that_xccdf_does_not_have_is_unknown() -> None:
    text = "<TestResult><rule-result idref='a'><result>perfect</result></rule-result></TestResult>"
    [result] = parse({"format": "xccdf"}, text)
    assert (result.outcome, result.message) == (
        "unknown",
        "The scanner says 'perfect', which XCCDF does not know.",
    )


def test_what_is_not_selected_is_left_out() -> None:
    assert [result.name for result in parse({"format": "xccdf"}, "a:notselected\nb:pass\n")] == ["b"]


def test_the_worst_of_several_results_of_a_rule_counts() -> None:
    [result] = parse({"format": "xccdf"}, "a:pass\na:notchecked\na:fail\na:notapplicable\n")
    assert (result.name, result.outcome) == ("a", "failed")


def test_names_are_whole_where_short_ones_are_alike() -> None:
    text = "xccdf_org.one_rule_a:pass\nxccdf_org.two_rule_a:fail\n"
    assert [result.name for result in parse({"format": "xccdf"}, text)] == [
        "xccdf_org.one_rule_a",
        "xccdf_org.two_rule_a",
    ]


def test_other_output_around_results_is_no_result() -> None:
    text = "WARNING: Skipping ./x.xml file\nW: oscap: rule:passed\nxccdf_org.x_rule_a:pass\r\nDownloading: x ... ok\n"
    assert [(result.name, result.outcome) for result in parse({"format": "xccdf"}, text)] == [("a", "passed")]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "It is empty."),
        ("sh: 1: oscap: not found\n", "It ends with: sh: 1: oscap: not found"),
        ("OpenSCAP Error: No such profile\n", "It ends with: OpenSCAP Error: No such profile"),
        ("<Benchmark><TestResult/></Benchmark>", "The output has no result of a rule."),
    ],
)
def test_no_result_is_told_with_the_end_of_the_output(output: str, reason: str) -> None:
    with pytest.raises(ScannerError) as error:
        parse({"format": "xccdf"}, output)
    assert reason in str(error.value)


def test_xml_that_was_cut_is_refused() -> None:
    text = (FILES / "openscap-results.xml").read_text()
    with pytest.raises(ScannerError, match="is not complete XML"):
        parse({"format": "xccdf"}, text[: len(text) - 100])
