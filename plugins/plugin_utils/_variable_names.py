# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find misspelt names of variables of a playbook or role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from ..module_utils._api.errors import clean_line
from ..module_utils._options.connection import CONNECTION
from ..module_utils._tasks.server_info import FIELDS

_SETTINGS = frozenset(f"alpacon_{name}" for name in (*CONNECTION, "tokens"))
_OTHERS = frozenset(f"alpacon_{name}" for name in (*FIELDS, "result", "server_id", "workspace", "workspaces")) | {
    "alpamon_url",
    "alpamon_token",
    "alpamon_validate_certs",
    "audit_result",
    # These belong to other playbooks than their counterparts with alpamon or alpacon in front.
    *(f"{prefix}_{name}" for prefix in ("alpacon", "alpamon") for name in ("serial", "max_fail_percentage")),
}
_SYNONYMS = ("host", "hosts", "server", "servers", "limit")
#: Minimum similarity of a misspelt name: one typo in 12 characters, two in 24.
_SIMILAR = 0.915
#: Options that have another name in the playbooks.
_RENAMED = {"progress": "alpacon_follow", "version": "alpacon_agent_version"}
#: How much of a name can be the prefix of a variable of the collection.
_PREFIX_LENGTH = 8


def find_misspelt_names(
    names: Iterable[str], valid: Iterable[str], selection: str = "", extra_vars: Iterable[str] = ()
) -> list[str]:
    """Return a sentence for each misspelt name of a variable.

    Names that begin with an underscore or have more words than a valid name are the user's own.

    Args:
        selection: the valid variable that selects hosts or servers; its synonyms count as misspelt.
        extra_vars: variables of -e; abbreviations among them count as misspelt.
    """
    valid, extra_vars = frozenset(valid), {str(name) for name in extra_vars}
    prefix = selection.partition("_")[0]
    suggestions = dict.fromkeys(_OTHERS, "") | {name: name for name in valid | _SETTINGS}
    suggestions |= {f"{prefix}_{word}": selection for word in _SYNONYMS if selection}
    unknown = {str(name) for name in names}.union(extra_vars) - valid - _SETTINGS - _OTHERS
    prefixes = {name.partition("_")[0] for name in valid | _SETTINGS}
    # Compare prefixes first, which is faster. Most variables do not belong to the collection.
    similar = {prefix for prefix in map(_get_prefix, unknown) if get_close_matches(prefix, prefixes)}
    sentences = []
    for name in sorted(name for name in unknown if _get_prefix(name) in similar):
        likely = _find_closest(_normalize(name), suggestions)
        if not likely and name in extra_vars:
            likely = " or ".join(_list_long_forms(name, valid))
        if likely:
            sentences.append(f"There is no variable {clean_line(name)}. Did you mean {likely}?")
    return sentences


def name_variables(options: Iterable[str], variables: Mapping[str, Any]) -> dict[str, str]:
    """Return the variable of a playbook of the collection for each option that it passes on."""
    names = {option: _RENAMED.get(option, f"alpacon_{option}") for option in options}
    arguments = variables.get("__playbook_arguments") or ()
    return {option: name for option, name in names.items() if name in arguments}


def find_ignored_names(extra_vars: Iterable[str], valid: Iterable[str]) -> list[str]:
    """Return the variables of -e with a prefix of the collection that are neither valid nor connection settings."""
    ignored = {str(name) for name in extra_vars} - _SETTINGS - frozenset(valid)
    return sorted(clean_line(name) for name in ignored if name.startswith(("alpacon_", "alpamon_")))


def _normalize(name: str) -> str:
    return name.lower().replace("-", "_")


def _get_prefix(name: str) -> str:
    return _normalize(name)[:_PREFIX_LENGTH].partition("_")[0]


def _find_closest(misspelt: str, suggestions: Mapping[str, str]) -> str:
    """Return the suggestion for the most similar name; empty if no name is similar."""
    words = set(misspelt.split("_")) - {""}
    names = [name for name in suggestions if not words > set(name.split("_"))]
    # difflib counts transposed characters as two typos.
    transposed = [name for name in names if sorted(name) == sorted(misspelt)]
    closest = get_close_matches(misspelt, names, 1, _SIMILAR) or get_close_matches(misspelt, transposed, 1)
    return suggestions[closest[0]] if closest else ""


def _list_long_forms(name: str, valid: Iterable[str]) -> list[str]:
    prefix, underscore, short = name.partition("_")
    same = [other for other in sorted(valid) if other.startswith(prefix + underscore)]
    return [other for other in same if _is_abbreviation(short, other.partition("_")[2])]


def _is_abbreviation(short: str, long: str) -> bool:
    """Return True if short has some of the words of long, or is one word, and one is a prefix of the other."""
    if set(short.split("_")) < set(long.split("_")):
        return True
    begins = long.startswith(short) or short.startswith(long)
    return begins and "_" not in short and min(len(short), len(long)) >= 3
