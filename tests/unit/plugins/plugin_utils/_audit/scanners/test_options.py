# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a check says where its results are."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.options import read_results

JSON: dict[str, Any] = {"format": "json", "outcome": "ok", "words": {"passed": ["yes"]}}


def test_words_of_yaml_are_those_of_json() -> None:
    read = read_results("results", {**JSON, "words": {"passed": [True, 0, "Yes"], "failed": False, "unknown": [None]}})
    assert read["words"] == {"passed": ["true", "0", "Yes"], "failed": ["false"], "unknown": ["null"]}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("xccdf", "results: it is not a dictionary"),
        ({}, "results.format: it is missing"),
        ({"format": "xcdf"}, "results.format: 'xcdf' is not a format. Did you mean xccdf?"),
        ({"format": "tap", "fromat": 1}, "results.fromat: there is no such key. Did you mean format?"),
        ({"format": "tap", "name": "id"}, "results.name: the format tap has no such key"),
        ({"format": "json", "words": {"passed": ["a"]}}, "results.outcome: it is missing"),
        ({"format": "json", "outcome": "ok"}, "results.words: it is missing"),
        ({**JSON, "words": {"good": ["yes"]}}, "results.words.good: there is no such key"),
        ({**JSON, "words": {"passed": ["A"], "failed": ["a"]}}, "results.words: 'a' means both passed and failed"),
        ({**JSON, "words": {"passed": [{}]}}, "results.words.passed: it is not a list of texts"),
        ({"format": "tap", "rules": "a"}, "results.rules: it is not a list"),
        ({"format": "tap", "rules": [{"title": "A"}]}, "results.rules, rule 1.name: it is missing"),
        ({**JSON, "name": ["id"]}, "results.name: it is not a text"),
        ({"format": "tap", "rules": ["a"]}, "results.rules, rule 1: it is not a dictionary"),
        ({"format": "tap", "rules": [{"name": "a"}, {"name": "a"}]}, "results.rules: two rules have the same name"),
        ({"format": "tap", "rules": [{"name": "a", "severity": "bad"}]}, "rule 1.severity: 'bad' is not a severity"),
        ({"format": "tap", "rules": [{"name": "a", "why": "b"}]}, "results.rules, rule 1.why: there is no such key"),
    ],
)
def test_bad_options_are_refused(given: Any, told: str) -> None:
    with pytest.raises(UsageError) as error:
        read_results("results", given)
    assert told in str(error.value)
