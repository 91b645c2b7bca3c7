# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find misspelt names of variables of a playbook or role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import FIELDS

#: Connection settings of all modules of the collection.
_SETTINGS = frozenset(f"alpacon_{name}" for name in (*CONNECTION, "tokens"))
#: Variables that the inventory, tasks and the role alpamon define.
_OTHERS = frozenset(f"alpacon_{name}" for name in (*FIELDS, "result", "server_id", "workspace", "workspaces")) | {
    "alpamon_url",
    "alpamon_token",
    "alpamon_validate_certs",
    "audit_result",
}
#: Synonyms for the variable that selects hosts or servers.
_SYNONYMS = ("host", "hosts", "server", "servers", "limit")
#: Two typos are allowed from this length on, else one.
_LONG = 7
#: Minimum length of an abbreviation.
_ABBREVIATION = 3


def find_misspelt_names(
    names: Iterable[str], known: Iterable[str], selection: str = "", extra_vars: Iterable[str] = ()
) -> list[str]:
    """Find misspelt names of variables.

    Ignores names that begin with an underscore or have more words than a known name: they are the user's own.

    Args:
        names: all defined variables.
        known: the variables of the playbook or role.
        selection: the known variable that selects hosts or servers; synonyms of it are reported too.
        extra_vars: variables of -e; abbreviations among them are reported too.

    Returns:
        A sentence for each misspelt name.
    """
    known, extra_vars = frozenset(known), {str(name) for name in extra_vars}
    prefix = selection.partition("_")[0]
    meant = dict.fromkeys(_OTHERS, "") | {name: name for name in known | _SETTINGS}
    meant |= {f"{prefix}_{word}": selection for word in _SYNONYMS if selection}
    unknown = {str(name) for name in names}.union(extra_vars) - known - _SETTINGS - _OTHERS
    prefixes = {name.partition("_")[0] for name in known | _SETTINGS}
    # Compare beginnings first: it is faster, since most variables belong to something else.
    beginnings = {name[: _LONG + 1] for name in unknown}
    near = {
        start
        for start in beginnings
        if any(_count_typos(start.lower().replace("-", "_").partition("_")[0], each) <= 2 for each in prefixes)
    }
    sentences = []
    for name in sorted(name for name in unknown if name[: _LONG + 1] in near):
        likely = _find_closest(name.lower().replace("-", "_"), meant)
        if not likely and name in extra_vars:
            likely = " or ".join(_list_long_forms(name, known))
        if likely:
            sentences.append(f"There is no variable {clean_line(name)}. Did you mean {likely}?")
    return sentences


def _find_closest(written: str, meant: Mapping[str, str]) -> str:
    """Return the meaning of the most similar name; empty if none is similar."""
    words = set(written.split("_")) - {""}
    similar = []
    for name, meaning in meant.items():
        prefix, _underscore, own = name.partition("_")
        word = own if written.startswith(f"{prefix}_") else prefix
        typos = _count_typos(written, name)
        if typos <= (2 if len(word) >= _LONG else 1) and not words > set(name.split("_")):
            similar.append((typos, name, meaning))
    return min(similar)[2] if similar else ""


def _list_long_forms(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that this one abbreviates."""
    prefix, underscore, own = name.partition("_")
    same = [other for other in sorted(known) if other.startswith(prefix + underscore)]
    return [other for other in same if _is_short(own, other.partition("_")[2])]


def _is_short(short: str, whole: str) -> bool:
    """Return True if short has some of the words of whole, or is one word and one of both begins with the other."""
    if set(short.split("_")) < set(whole.split("_")):
        return True
    begins = whole.startswith(short) or short.startswith(whole)
    return begins and "_" not in short and min(len(short), len(whole)) >= _ABBREVIATION


def _count_typos(one: str, other: str, most: int = 2) -> int:
    """Count omitted, added, replaced and transposed characters; stop at `most` + 1."""
    if abs(len(one) - len(other)) > most or len(set(other) - set(one)) > most:
        return most + 1
    while one and one[:1] == other[:1]:
        one, other = one[1:], other[1:]
    if not most or not one or not other:
        return len(one or other)
    rests = [(one[1:], other), (one, other[1:]), (one[1:], other[1:])]
    if one[:2] == other[1::-1]:
        rests.append((one[2:], other[2:]))
    return 1 + min(_count_typos(*rest, most - 1) for rest in rests)
