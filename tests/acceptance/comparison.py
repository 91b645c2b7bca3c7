# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The differences between the shapes of a workspace and those of the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from acceptance.shapes import Recording, Shape, get_parent

#: Types that say nothing about the type of other values of the field.
_EMPTY = frozenset({"null", "empty string"})


@dataclass(frozen=True, order=True)
class Difference:
    """A difference; `path` is empty if it concerns the status as a whole."""

    route: str
    status: int
    path: str
    text: str


@dataclass
class Comparison:
    """The differences, and what was seen in only one of the two workspaces."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[Difference] = field(default_factory=list)


def compare(workspace: Recording, stand_in: Recording) -> Comparison:
    result = Comparison()
    for route in sorted(set(workspace.routes) | set(stand_in.routes)):
        if route not in stand_in.routes:
            result.notes.append(Difference(route, 0, "", "requested from the workspace only"))
        elif route not in workspace.routes:
            result.notes.append(Difference(route, 0, "", "requested from the stand-in only"))
        else:
            _compare_route(route, workspace.routes[route], stand_in.routes[route], result)
    return result


def _compare_route(route: str, actual: dict[int, Shape], expected: dict[int, Shape], result: Comparison) -> None:
    additional, missing = sorted(set(actual) - set(expected)), sorted(set(expected) - set(actual))
    if len(additional) == len(missing) == 1:
        result.differences.append(Difference(route, additional[0], "", f"expected status {missing[0]}"))
    else:
        result.differences += [Difference(route, status, "", "additional status") for status in additional]
        result.differences += [Difference(route, status, "", "missing status") for status in missing]
    for status in sorted(set(actual) & set(expected)):
        _compare_shapes(route, status, actual[status], expected[status], result)


def _compare_shapes(route: str, status: int, actual: Shape, expected: Shape, result: Comparison) -> None:
    def report(found: list[Difference], path: str, text: str) -> None:
        found.append(Difference(route, status, path, text))

    if actual.media_types != expected.media_types:
        text = f"{_join(actual.media_types)}, expected {_join(expected.media_types)}"
        report(result.differences, "(content type)", text)
    for path in sorted(set(actual.fields) | set(expected.fields)):
        if path in actual.fields and path in expected.fields:
            for is_note, text in _compare_types(set(actual.fields[path]), set(expected.fields[path])):
                report(result.notes if is_note else result.differences, path, text)
            if actual.is_optional(path) and not expected.is_optional(path) and not path.endswith("[]"):
                report(result.differences, path, "missing from some objects")
        elif _has_parent(path, actual) and _has_parent(path, expected) and not path.endswith("*"):
            if path.endswith("[]"):
                report(result.notes, path, f"the list is empty in the {_name_other(path in actual.fields)}")
            elif path in actual.fields:
                report(result.differences, path, f"additional field: {_join(actual.fields[path])}")
            else:
                is_optional = expected.is_optional(path)
                report(result.notes if is_optional else result.differences, path, "missing field")


def _has_parent(path: str, shape: Shape) -> bool:
    parent = get_parent(path)
    if path.endswith("[]"):
        return "list" in shape.fields.get(parent, ())
    return shape.objects[parent] > 0


def _compare_types(actual: set[str], expected: set[str]) -> Iterator[tuple[bool, str]]:
    """Yield sentences about the types; True marks one that depends on the data."""
    known, wanted = actual - _EMPTY, expected - _EMPTY
    if known and wanted:
        additional = known - wanted - ({"integer"} if "number" in wanted else set())
        if additional:
            yield False, f"{_join(additional)}, expected {_join(wanted)}"
    elif known != wanted:
        yield True, f"{_join(actual)}, in the stand-in {_join(expected)}"
    if "null" in actual - expected and known:
        yield True, "may be null, which it never is in the stand-in"
    # A refusal for a reason of its own has a code of its own.
    missing = {word for word in wanted - known if word.startswith("code ")}
    if missing and known and not known - wanted:
        yield False, f"never {_join(missing)}"


def _name_other(is_in_workspace: bool) -> str:
    return "stand-in" if is_in_workspace else "workspace"


def _join(words: set[str] | dict[str, int]) -> str:
    return " or ".join(sorted(words)) or "nothing"
