# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Misspelt names of variables of a playbook or role."""

from __future__ import annotations

from collections.abc import Container, Iterable

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_listing import FIELDS

#: Variables that every task of the collection reads.
_SETTINGS = frozenset(f"alpacon_{name}" for name in (*CONNECTION, "tokens"))
#: Variables that the inventory sets, results, and those of the role alpamon that are like settings.
_FOUND = frozenset(f"alpacon_{name}" for name in (*FIELDS, "result", "server_id", "workspace", "workspaces")) | {
    "alpamon_url",
    "alpamon_token",
    "alpamon_validate_certs",
    "audit_result",
}
#: Words for what is chosen; one that is not noticed would mean everything.
_CHOSEN = ("host", "hosts", "server", "servers", "limit")
#: From so many characters on, a word with two slips is still told.
_LONG = 7
#: From so many characters on, the beginning of a word is a short form of it.
_SHORT_FORM = 3


def mistyped(names: Iterable[str], known: Iterable[str], chooses: str = "", given: Iterable[str] = ()) -> list[str]:
    """A sentence for each name that is not known, but for one slip of the keyboard or, in a long name, two.

    So for each of those that were ``given`` and are short for a known name.
    """
    known, short = frozenset(known), {str(name) for name in given}
    prefix = chooses.partition("_")[0]
    meant = {f"{prefix}_{word}": chooses for word in _CHOSEN if chooses}
    meant |= {name: name for name in known | _SETTINGS}
    unknown = ({str(name) for name in names} | short) - known - _SETTINGS - _FOUND
    told = []
    for name in sorted(name for name in unknown if name[:1] != "_"):
        closest = _closest(name, meant)
        likely = meant[closest] if closest else _longer(name, known) if name in short else ""
        if likely:
            told.append(f"There is no variable {clean_line(name)}. Did you mean {likely}?")
    return told


def _longer(name: str, known: Iterable[str]) -> str:
    """What a name is short for, of those with the same prefix; empty where it is the user's own.

    Those that begin with it come before others, and one of the others is enough.
    """
    prefix, underscore, short = name.partition("_")
    beginning = prefix + underscore
    longer = [other for other in known if other.startswith(beginning) and _is_short(short, other[len(beginning) :])]
    begun = sorted(other for other in longer if other.startswith(f"{name}_"))
    return " or ".join(begun) or min(longer, key=lambda other: (other.count("_"), other), default="")


def _is_short(short: str, whole: str) -> bool:
    """Whether a name has but some words of another one, or is one word that it or the other begins with."""
    if set(short.split("_")) < set(whole.split("_")):
        return True
    begins = whole.startswith(short) or short.startswith(whole)
    return begins and "_" not in short and min(len(short), len(whole)) >= _SHORT_FORM


def _closest(name: str, known: Iterable[str]) -> str:
    """Which one a name may mean; none where it is the user's own."""
    written = name.casefold().replace("-", "_")
    prefixes = {other.partition("_")[0] for other in known}
    # There are many names, and few that begin alike.
    alike = {prefix for prefix in prefixes if _slips(written[: len(prefix)], prefix) <= 2 * _allowed(prefix)}
    near = [(_slips(written, other), other) for other in known if _may_mean(written, other, alike)]
    if not near:
        return ""
    slips, closest = min(near)
    return "" if any(_slips(written, other) < slips for other in _FOUND) else closest


def _may_mean(written: str, known: str, prefixes: Container[str]) -> bool:
    prefix, _underscore, own = known.partition("_")
    if prefix not in prefixes or set(written.split("_")) - {""} > set(known.split("_")):
        return False
    allowed = _allowed(own if written.startswith(f"{prefix}_") else prefix)
    return abs(len(written) - len(known)) <= allowed and _slips(written, known) <= allowed


def _allowed(word: str) -> int:
    return 2 if len(word) >= _LONG else 1


def _slips(one: str, other: str) -> int:
    """How many characters are left out, added, exchanged or swapped with the next one."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, character in enumerate(one, 1):
        current = [row]
        for column, wanted in enumerate(other, 1):
            least = min(last[column] + 1, current[-1] + 1, last[column - 1] + (character != wanted))
            if row > 1 and column > 1 and character == other[column - 2] and one[row - 2] == wanted:
                least = min(least, before[column - 2] + 1)
            current.append(least)
        before, last = last, current
    return last[-1]
