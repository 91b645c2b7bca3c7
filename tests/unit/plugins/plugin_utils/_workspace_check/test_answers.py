# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the lines and the rows of answers, which show no token and no escape, and names only if they are wanted."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.answers import (
    NOT_ASKED,
    OK,
    QUESTIONS,
    WARNING,
    Answers,
    Names,
)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def answers(lines: list[str]) -> Answers:
    return Answers(lambda line, _level: lines.append(line), Names("alpat-secret"))


def test_names_are_whole_words_of_any_case() -> None:
    names = Names()
    names.add("server", "web", "web-01", "db.example.com", None, "")
    text = "web-01, WEB and db.example.com, but not webhook or web-010"
    assert names.replace(text) == "<server>, <server> and <server>, but not webhook or web-010"


def test_a_row_has_names_and_words_of_the_workspace_only_if_they_are_wanted(answers: Answers, lines: list[str]) -> None:
    answers.names.add("user", "ann\x1b[31m")
    answers.add("token", WARNING, "Of ann\x1b[31m.", "Take alpat-secret.", quoted="Hello ann", facts={"status": 403})
    [line] = lines
    assert "\x1b" not in line
    assert "alpat-secret" not in line
    assert 'The workspace says: "Hello ann".' in line
    [row] = answers.to_rows(with_names=False)
    assert row["finding"] == "Of <user>."
    assert "workspace_says" not in row
    [row] = answers.to_rows(with_names=True)
    assert row["finding"] == "Of ann\\x1b[31m."
    assert row["workspace_says"] == "Hello ann"
    assert "alpat-secret" not in row["remedy"]


def test_a_question_has_one_answer(answers: Answers, lines: list[str]) -> None:
    answers.add("url", OK, "It answers.")
    answers.add("url", WARNING, "It does not.")
    answers.skip(["url", "tls", "proxy"], "Not now.")
    assert [line.split()[0] for line in lines] == ["ok", "not"]
    assert answers.count_levels()[NOT_ASKED] == 2
    assert [row["question"] for row in answers.to_rows(False)] == ["url", "proxy", "tls"]


def test_many_questions_without_an_answer_are_counted(answers: Answers, lines: list[str]) -> None:
    answers.skip(QUESTIONS, "Not now.")
    assert f"{len(QUESTIONS)} questions: Not now." in lines[0]


def test_a_long_answer_is_cut(answers: Answers, lines: list[str]) -> None:
    answers.add("url", WARNING, "x" * 5000, quoted="y" * 5000)
    assert len(lines[0]) <= 1000
    [row] = answers.to_rows(True)
    assert max(len(str(value)) for value in row.values()) <= 1000


def test_names_match_letters_without_a_lower_case_of_their_own() -> None:
    names = Names()
    names.add("server", "s1")
    names.add("user", "\u0130brahim", "n" * 10**6)
    assert names.replace("\u0130brahim, \u017f1") == "<user>, <server>"


def test_values_of_settings_are_names() -> None:
    names = Names()
    names.add("workspace", "https://acme.example")
    text = "It is not sent to https://acme.example. 'ftp://x' and /home/ann/ca.pem: no https_proxy."
    names.add_values(text)
    assert names.replace(text) == "It is not sent to <workspace>. '<value>' and <value>: no https_proxy."


def test_a_token_of_blanks_hides_nothing() -> None:
    assert Names("  ").hide_token("ok  url") == "ok  url"
