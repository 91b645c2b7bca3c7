# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random mutations of the core: first the place, then the operator."""

from __future__ import annotations

import ast
import difflib
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

Span = tuple[tuple[int, int], tuple[int, int]]
#: An operator and the number of its place.
Choice = tuple[str, int]

CORE = ("_api", "_options", "_payload", "_fleet", "_tasks")
#: Operators that replace == by is: Python decides whether equal values are identical.
IDENTITY = ("_Eq_Is", "_NotEq_IsNot", "_Is_Eq", "_IsNot_NotEq")
PUNCTUATION = frozenset("()[]{},.:=")


@dataclass(frozen=True)
class Mutation:
    """A mutation of one file: its line, the operator of cosmic-ray, a diff, and the mutated code."""

    file: Path
    line: int
    operator: str
    diff: str
    code: str

    @property
    def title(self) -> str:
        return f"{self.file}:{self.line} {self.operator}"


def draw_mutations(root: Path, seed: str, size: int, layers: tuple[str, ...] = CORE) -> list[Mutation]:
    """Choose `size` places in these layers, and one mutation at each."""
    rng = random.Random(seed)
    files = [file for layer in layers for file in sorted((root / "plugins/module_utils" / layer).glob("*.py"))]
    places = [(file, span, choices) for file in files for span, choices in _find_choices(file.read_text()).items()]
    drawn = rng.sample(places, len(places))
    mutations = (_make_mutation(root, file, span, rng.sample(choices, len(choices))) for file, span, choices in drawn)
    return list(islice(filter(None, mutations), size))


def _find_choices(source: str) -> dict[Span, list[Choice]]:
    hints = list(_find_hints(source))
    # No operator mutates these nodes, and trying them takes long.
    skipped = ("name", "string", "newline")
    nodes = [
        node
        for node in ast_nodes(get_ast(source))
        if node.type not in skipped and getattr(node, "value", None) not in PUNCTUATION
    ]
    choices: dict[Span, list[Choice]] = {}
    for name, operator in _get_operators().items():
        spans = (span for node in nodes for span in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(spans):
            if not any(first <= start < last for first, last in hints):
                choices.setdefault((start, end), []).append((name, occurrence))
    return dict(sorted(choices.items()))


@cache
def _get_operators() -> dict[str, Any]:
    """Return the operators without arguments by name."""
    classes = {name: get_operator(name) for name in operator_names() if not name.endswith(IDENTITY)}
    return {name: kind() for name, kind in classes.items() if not kind.arguments()}


def _find_hints(source: str) -> Iterator[Span]:
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            hint = getattr(node, name, None)
            if hint is not None:
                yield (hint.lineno, hint.col_offset), (hint.end_lineno, hint.end_col_offset)


def _make_mutation(root: Path, file: Path, span: Span, choices: list[Choice]) -> Mutation | None:
    """Return the first of these that compiles: stars of parameters look like operators."""
    source = file.read_text()
    for choice in choices:
        if code := _mutate(source, choice):
            diff = list(difflib.unified_diff(source.splitlines(), code.splitlines(), lineterm=""))[2:]
            operator = choice[0].removeprefix("core/")
            return Mutation(file.relative_to(root), span[0][0], operator, "\n".join(diff), code)
    return None


def _mutate(source: str, choice: Choice) -> str:
    name, occurrence = choice
    try:
        code: str = mutate_code(source, _get_operators()[name], occurrence)
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            compile(code, "", "exec")
    except (AttributeError, SyntaxError):
        return ""
    return code
