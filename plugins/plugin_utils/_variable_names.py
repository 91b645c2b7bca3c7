# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find misspelt names of variables of a playbook or role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..module_utils._api.errors import clean_line
from ..module_utils._options.connection import CONNECTION
from ..module_utils._tasks.server_info import FIELDS

_SETTINGS = frozenset(f"alpacon_{name}" for name in (*CONNECTION, "tokens"))
_OTHERS = frozenset(f"alpacon_{name}" for name in (*FIELDS, "result", "server_id", "workspace", "workspaces")) | {
    "alpamon_url",
    "alpamon_token",
    "alpamon_validate_certs",
    "audit_result",
}
_SYNONYMS = ("host", "hosts", "server", "servers", "limit")
#: Minimum length of a word that may have two typos; shorter words may have one.
_LONG = 7


def find_misspelt_names(
    names: Iterable[str], known: Iterable[str], selection: str = "", extra_vars: Iterable[str] = ()
) -> list[str]:
    """Return a sentence for each misspelt name of a variable.

    Names that begin with an underscore or have more words than a known name are the user's own.

    Args:
        selection: the known variable that selects hosts or servers; its synonyms count as misspelt.
        extra_vars: variables of -e; abbreviations among them count as misspelt.
    """
    known, extra_vars = frozenset(known), {str(name) for name in extra_vars}
    prefix = selection.partition("_")[0]
    suggestions = dict.fromkeys(_OTHERS, "") | {name: name for name in known | _SETTINGS}
    suggestions |= {f"{prefix}_{word}": selection for word in _SYNONYMS if selection}
    unknown = {str(name) for name in names}.union(extra_vars) - known - _SETTINGS - _OTHERS
    prefixes = {name.partition("_")[0] for name in known | _SETTINGS}
    # Compare beginnings first, which is faster. Most variables do not belong to the collection.
    similar = {
        start
        for start in {name[: _LONG + 1] for name in unknown}
        if any(_count_typos(start.lower().replace("-", "_").partition("_")[0], each) <= 2 for each in prefixes)
    }
    sentences = []
    for name in sorted(name for name in unknown if name[: _LONG + 1] in similar):
        likely = _find_closest(name.lower().replace("-", "_"), suggestions)
        if not likely and name in extra_vars:
            likely = " or ".join(_list_long_forms(name, known))
        if likely:
            sentences.append(f"There is no variable {clean_line(name)}. Did you mean {likely}?")
    return sentences


def find_ignored_names(extra_vars: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the variables of -e with a prefix of the collection that are neither known nor connection settings."""
    ignored = {str(name) for name in extra_vars} - _SETTINGS - frozenset(known)
    return sorted(clean_line(name) for name in ignored if name.startswith(("alpacon_", "alpamon_")))


def _find_closest(misspelt: str, suggestions: Mapping[str, str]) -> str:
    """Return the suggestion for the most similar name; empty if no name is similar."""
    words = set(misspelt.split("_")) - {""}
    similar = []
    for name, suggestion in suggestions.items():
        prefix, _underscore, rest = name.partition("_")
        word = rest if misspelt.startswith(f"{prefix}_") else prefix
        typos = _count_typos(misspelt, name)
        if typos <= (2 if len(word) >= _LONG else 1) and not words > set(name.split("_")):
            similar.append((typos, name, suggestion))
    return min(similar)[2] if similar else ""


def _list_long_forms(name: str, known: Iterable[str]) -> list[str]:
    prefix, underscore, short = name.partition("_")
    same = [other for other in sorted(known) if other.startswith(prefix + underscore)]
    return [other for other in same if _is_abbreviation(short, other.partition("_")[2])]


def _is_abbreviation(short: str, long: str) -> bool:
    """Return True if short has some of the words of long, or is one word, and one of both begins with the other."""
    if set(short.split("_")) < set(long.split("_")):
        return True
    begins = long.startswith(short) or short.startswith(long)
    return begins and "_" not in short and min(len(short), len(long)) >= 3


def _count_typos(one: str, other: str, most: int = 2) -> int:
    """Count omitted, added, replaced and transposed characters; stop at `most` + 1."""
    if abs(len(one) - len(other)) > most or len(set(other) - set(one)) > most:
        return most + 1
    while one and one[:1] == other[:1]:
        one, other = one[1:], other[1:]
    if not most or not one or not other:
        return len(one or other)
    remainders = [(one[1:], other), (one, other[1:]), (one[1:], other[1:])]
    if one[:2] == other[1::-1]:
        remainders.append((one[2:], other[2:]))
    return 1 + min(_count_typos(*remainder, most - 1) for remainder in remainders)
