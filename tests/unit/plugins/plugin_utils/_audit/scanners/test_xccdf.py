# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of OpenSCAP, from what it printed and wrote: 1.4.2, on Debian."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners import NamedResult, parse

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


PREFIX = "xccdf_org.x_rule_"


@pytest.mark.parametrize(
    ("output", "outcomes"),
    [
        ("a:pass\nb:fixed\n", {"a": "passed", "b": "passed"}),
        ("a:fail\n", {"a": "failed"}),
        ("a:error\nb:unknown\nc:notchecked\n", {"a": "unknown", "b": "unknown", "c": "unknown"}),
        ("a:notapplicable\nb:informational\n", {"a": "not_applicable", "b": "not_applicable"}),
        ("a:notselected\nb:pass\n", {"b": "passed"}),
        ("a:pass\na:notchecked\na:fail\na:notapplicable\nb:pass\nb:fail\n", {"a": "failed", "b": "failed"}),
        (
            "xccdf_org.one_rule_a:pass\n" + f"{PREFIX}a:fail\n",
            {"xccdf_org.one_rule_a": "passed", f"{PREFIX}a": "failed"},
        ),
        (
            f"WARNING: Skipping ./x.xml file\nW: oscap: rule:passed\n{PREFIX}a:pass\r\nDownloading: x ... ok\n",
            {"a": "passed"},
        ),
    ],
)
def test_words_of_xccdf(output: str, outcomes: dict[str, str]) -> None:
    assert {result.name: result.outcome for result in parse({"format": "xccdf"}, output)} == outcomes


def test_a_word_that_xccdf_does_not_have_is_unknown() -> None:
    text = "<TestResult><rule-result idref='a'><result>perfect</result></rule-result></TestResult>"
    [result] = parse({"format": "xccdf"}, text)
    assert (result.outcome, result.message) == ("unknown", "The scanner says 'perfect', which XCCDF does not know.")
