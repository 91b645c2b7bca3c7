# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Results of other scanners, one file for each format: what a server's output holds becomes results like ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..verdict import UNKNOWN
from . import inspec, json_path, junit, tap, xccdf
from .results import (
    MISSING,
    MOST_CHARACTERS,
    MOST_OF_NAME,
    MOST_RESULTS,
    NamedResult,
    ScannerError,
    missing,
    short,
    shown,
)

#: Keys of a rule that count instead of what a scanner says.
_ABOUT = ("title", "rationale", "severity", "remedy", "references")
_Reader = Callable[[str, Mapping[str, Any]], list[NamedResult]]


@dataclass(frozen=True)
class Format:
    """A format of results.

    Attributes:
        read: reads an output; the second argument is the key C(results) of the check.
        tells_end: whether an output shows that it ends too soon, so that what came is all even if a signal ended it.
        read_beginning: reads complete lines of an output whose end is missing. None if only a whole output can be read.
    """

    read: _Reader
    tells_end: bool
    read_beginning: _Reader | None = None


#: The formats by their names in checks.
FORMATS = {
    "xccdf": Format(xccdf.read, tells_end=False, read_beginning=xccdf.read_beginning),
    "tap": Format(tap.read, tells_end=False, read_beginning=tap.read),
    "junit": Format(junit.read, tells_end=True),
    "inspec": Format(inspec.read, tells_end=True),
    "json": Format(json_path.read, tells_end=False, read_beginning=json_path.read_beginning),
}

__all__ = ["FORMATS", "Format", "NamedResult", "ScannerError", "by_name", "parse", "silent"]


def parse(results: Mapping[str, Any], output: str, cut: str = "") -> list[NamedResult]:
    """Return the results in a scanner's output.

    Args:
        results: the key of a check, as :func:`options.read_results` returns it, and names to skip.
        cut: why the end of the output is missing, as a sentence; one more result then says so.

    Raises:
        ScannerError: no result could be read, and why.
    """
    if len(output) > MOST_CHARACTERS:
        raise ScannerError(f"The output has more than {MOST_CHARACTERS:,} characters.")
    try:
        found = _beginning(results, output, cut) if cut else FORMATS[results["format"]].read(output, results)
    except RecursionError:
        raise ScannerError("The output is nested too deeply.") from None
    if not found:
        raise ScannerError("The output has no result.")
    if len(found) > MOST_RESULTS:
        raise ScannerError(f"The output has {len(found):,} results, which is more than {MOST_RESULTS:,}.")
    return _chosen(results, found, cut or "The scanner did not say.")


def silent(results: Mapping[str, Any], why: str) -> list[NamedResult]:
    """Return an unknown result for each known rule of a scanner that said nothing."""
    return _chosen(results, [], why)


def _chosen(results: Mapping[str, Any], found: list[NamedResult], silence: str) -> list[NamedResult]:
    """Return results as a report has them: those of known rules among them, without those to skip."""
    skip, severities = results.get("skip", ()), results.get("severities", {})
    kept = shown(_with_rules(found, results.get("rules") or (), silence))
    return [replace(one, severity=severities.get(one.name, one.severity)) for one in kept if one.name not in skip]


def _beginning(results: Mapping[str, Any], output: str, cut: str) -> list[NamedResult]:
    """Return the results in an output whose end is missing, and one that says so."""
    read = FORMATS[results["format"]].read_beginning
    try:
        # The last line may be torn.
        found = read(output[: output.rfind("\n") + 1], results) if read else []
    except ScannerError:
        found = []
    told = [result.message for result in found if result.name == MISSING]
    whole = [result for result in found if result.name != MISSING]
    if not whole:
        raise ScannerError(cut)
    return [*whole, missing(" ".join([cut, *told]))]


def by_name(rules: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return rules by their names, as results have them."""
    return {short(rule["name"], MOST_OF_NAME): rule for rule in rules}


def _with_rules(found: list[NamedResult], rules: Any, silence: str) -> list[NamedResult]:
    """Return results with what is known about their rules, and an unknown result for each rule without one."""
    known = by_name(rules)
    told = [replace(result, name=short(result.name, MOST_OF_NAME)) for result in found]
    names = {result.name for result in told}
    untold = [NamedResult(name, UNKNOWN, message=silence) for name in known if name not in names]
    about = {name: {key: rule[key] for key in _ABOUT if rule.get(key)} for name, rule in known.items()}
    return [replace(result, **about.get(result.name, {})) for result in [*told, *untold]]
