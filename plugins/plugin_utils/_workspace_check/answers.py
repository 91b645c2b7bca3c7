# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the answers of the playbook check_workspace, print a line for each, and make the file to attach to an issue.

The file has no names: texts of the workspace are left out, and names that are known are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._api.errors import clean_line
from ...module_utils._api.settings import REDACTED

OK, WARNING, PROBLEM, NOT_ASKED = "ok", "warning", "problem", "not asked"
LEVELS = (OK, WARNING, PROBLEM, NOT_ASKED)

#: Every question, in the order of the file.
QUESTIONS = (
    *("url", "proxy", "tls", "commands", "token", "clock", "quota", "servers", "dialect"),
    *("facts", "metrics", "transfers", "approvals", "preferences", "actions", "events"),
)
#: Those that need a server.
SERVER_QUESTIONS = (
    *("server", "line", "line limit", "exit code", "output", "env", "script", "sudo", "module", "push"),
)
COST = "cost"
#: The most characters of a line, and of a text of the workspace in it.
_MAX_LINE, MAX_QUOTED = 1000, 200
#: The most questions without an answer that a line names.
_MAX_NAMED = 10
#: Quoted words, URLs and paths in sentences.
_VALUES = (r"'([^']+)'", r"\b\w+://\S+", r"(?<![\w/])/\S+")


@dataclass(frozen=True)
class Answer:
    """Answer to a question.

    Attributes:
        level: one of :data:`LEVELS`. A problem keeps commands from running; a warning does not.
        remedy: sentences on what to do; empty if there is nothing to do.
        quoted: text of the workspace, which is printed and not written to the file.
        facts: numbers, codes and versions for the file.
    """

    question: str
    level: str
    finding: str
    remedy: str = ""
    quoted: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def format(self) -> str:
        quoted = f'The workspace says: "{self.quoted[:MAX_QUOTED]}".' if self.quoted else ""
        text = " ".join(part for part in (self.finding, quoted, self.remedy) if part)
        return clean_line(f"{self.level:<9}  {self.question}: {text}")[:_MAX_LINE]


class Names:
    """Replace the names of workspaces, servers and users in texts, and the token."""

    def __init__(self, token: str = "") -> None:
        self._kinds: dict[str, str] = {}
        self._token = token.strip()

    def add(self, kind: str, *names: Any) -> None:
        for name in names:
            # Texts are cut, so that a longer name is in none of them.
            if isinstance(name, str) and name.strip() and len(name) <= _MAX_LINE:
                # Lines have the escaped name.
                for text in (name, clean_line(name)):
                    self._kinds.setdefault(text, f"<{kind}>")

    def add_values(self, text: str) -> None:
        """Add what a sentence quotes, and its URLs and paths: values of settings, and names of certificates."""
        self.add("value", *(found.rstrip(".,;:)'") for pattern in _VALUES for found in re.findall(pattern, text)))

    def hide_token(self, text: str) -> str:
        return text.replace(self._token, REDACTED) if self._token else text

    def replace(self, text: str) -> str:
        text = self.hide_token(text)
        for name in sorted(self._kinds, key=len, reverse=True):
            pattern = rf"(?<![\w-]){re.escape(name)}(?![\w-])"
            text = re.sub(pattern, self._kinds[name], text, flags=re.IGNORECASE)
        return text


class Answers:
    """Collect answers, each question's once.

    Args:
        show: prints a line; the second argument is its level.
    """

    def __init__(self, show: Callable[[str, str], None], names: Names) -> None:
        self._show = show
        self.names = names
        self._answers: dict[str, Answer] = {}

    def add(self, question: str, level: str, finding: str, remedy: str = "", **more: Any) -> None:
        """Add and print an answer; see :class:`Answer`."""
        if question not in self._answers:
            answer = Answer(question, level, finding, remedy, **more)
            self._answers[question] = answer
            self._show(self.names.hide_token(answer.format()), level)

    def skip(self, questions: Iterable[str], reason: str, remedy: str = "") -> None:
        """Add the same reason for all of these questions that have no answer yet, and print it once."""
        left = [question for question in questions if question not in self._answers]
        if left:
            self._answers |= {question: Answer(question, NOT_ASKED, reason, remedy) for question in left}
            names = ", ".join(left) if len(left) <= _MAX_NAMED else f"{len(left)} questions"
            self._show(Answer(names, NOT_ASKED, reason, remedy).format(), NOT_ASKED)

    def get_level(self, question: str) -> str | None:
        answer = self._answers.get(question)
        return answer.level if answer else None

    def list_problems(self) -> list[Answer]:
        return [answer for answer in self._answers.values() if answer.level == PROBLEM]

    def count_levels(self) -> dict[str, int]:
        levels = [answer.level for answer in self._answers.values()]
        return {level: levels.count(level) for level in LEVELS}

    def to_rows(self, with_names: bool) -> list[dict[str, Any]]:
        """Return a row for each question, in the order of the questions.

        Args:
            with_names: keep names and texts of the workspace.
        """
        rows = []
        for question in (*QUESTIONS, *SERVER_QUESTIONS, COST):
            answer = self._answers.get(question)
            if answer:
                row: dict[str, Any] = {"question": question, "level": answer.level}
                row |= {"finding": self._to_text(answer.finding, with_names)}
                row |= {"remedy": self._to_text(answer.remedy, with_names)} if answer.remedy else {}
                quoted = answer.quoted[:MAX_QUOTED] if with_names else ""
                row |= {"workspace_says": self._to_text(quoted, with_names)} if quoted else {}
                row |= {"facts": dict(answer.facts)} if answer.facts else {}
                rows.append(row)
        return rows

    def _to_text(self, text: str, with_names: bool) -> str:
        text = clean_line(text)[:_MAX_LINE]
        return self.names.hide_token(text) if with_names else self.names.replace(text)
