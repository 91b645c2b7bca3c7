# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Variables of the role: those that are one for the play, and how sentences about options name them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import duration, elements

from .plans import OF_HOSTS, PREFIX
from .waivers import read_waivers

#: The variable that hosts may each say their part of.
WAIVERS = f"{PREFIX}waivers"
#: Variables whose templates may name the time, so that only what is written tells whether they differ.
AS_WRITTEN = (f"{PREFIX}compare_to", f"{PREFIX}report_dir", f"{PREFIX}title")
#: Variables that are the same for all hosts.
OF_PLAY = (
    *AS_WRITTEN,
    f"{PREFIX}budget",
    f"{PREFIX}fail_on",
    f"{PREFIX}formats",
    f"{PREFIX}max_concurrency",
    f"{PREFIX}min_coverage",
    f"{PREFIX}reuse_within",
    f"{PREFIX}unknown_severity",
    f"{PREFIX}wait_timeout",
)
#: Variables that are durations.
_DURATIONS = (f"{PREFIX}reuse_within", f"{PREFIX}wait_timeout")

#: The variables by the options of the module.
_VARIABLES = {name.removeprefix(PREFIX): name for name in (WAIVERS, *OF_PLAY)}
_VARIABLES |= {name: f"{PREFIX}{name}" for name in OF_HOSTS} | {"dest": f"{PREFIX}report_dir"}
#: Where a sentence begins with an option, and where others name one: not so in what servers answer.
_OPTION = re.compile(rf"^(?:{'|'.join(_VARIABLES)})(?=[:,])")
_WITHIN = re.compile(
    r"(?<=, and )min_coverage(?= asks for )|(?<=; with )reuse_within\b|(?<= Without )dest(?=,)"
    r"|(?<=Not finished within )wait_timeout\b|(?<=longer than )wait_timeout\b"
)


def of_role(text: str, about_option: bool = True) -> str:
    """A sentence with the variables of the role in place of the options of the module.

    Args:
        about_option: whether it may begin with an option.
    """
    named = _OPTION.sub(lambda match: _VARIABLES[match[0]], text) if about_option else text
    return _WITHIN.sub(lambda match: _VARIABLES[match[0]], named)


def refuse_different(said: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that hosts say the same.

    Args:
        said: the values of :data:`OF_PLAY`, by host.

    Raises:
        UsageError: which variable differs, and between which hosts.
    """
    first = next(iter(said), "")
    for host, values in said.items():
        for name in OF_PLAY:
            one, other = (_meaning(name, of_host.get(name)) for of_host in (said[first], values))
            if one != other:
                problem = f"it is one for the play, and differs: {first} has {one!s:.40}, {host} has {other!s:.40}"
                raise UsageError(name, problem, "Set it in the play, for the group all only, or with -e.")


def _meaning(name: str, value: Any) -> str:
    """A value in a form that is the same for all its spellings, such as V(10m) and V(600)."""
    texts = ["" if item is None else str(item).strip() for item in elements(value)]
    if name in _DURATIONS:
        with contextlib.suppress(UsageError):
            return f"{duration(name, value):g} s"
    return ", ".join(texts) or "nothing"


def join_waivers(lists: Iterable[tuple[str, Any]], today: date) -> list[Mapping[str, Any]]:
    """The waivers of all hosts, each once.

    Args:
        lists: a host, and what it says.

    Raises:
        UsageError: which waiver of which host is wrong.
    """
    joined: list[Mapping[str, Any]] = []
    for host, given in lists:
        try:
            if not isinstance(given, (list, tuple)) or not all(isinstance(waiver, Mapping) for waiver in given):
                raise UsageError(WAIVERS, "it is not a list of dictionaries", "Give a list, each element with check.")
            read_waivers(given, today)
        except UsageError as error:
            text = str(error).removeprefix(f"{error.option}: ")
            raise UsageError(error.option, f"{text} Host: {host}.") from None
        joined += [waiver for waiver in given if waiver not in joined]
    return joined
