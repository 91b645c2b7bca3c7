# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Commands that are read one after the other: one that cannot be read costs only itself."""

from __future__ import annotations

from typing import Callable, TypeVar

from .._api.errors import AlpaconError, ApiError

T = TypeVar("T")

#: After so many in a row that got no answer of their own, the rest would only wait as long as they did.
_HOPELESS = 2


class OneByOne:
    """Reads, and asks no more where the workspace has stopped to answer."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._error = AlpaconError()

    def read(self, read: Callable[[], T]) -> T:
        """What is read.

        Raises:
            AlpaconError: it could not be read, or those before it could not, and it was not asked for.
        """
        if self._in_a_row >= _HOPELESS:
            raise self._error
        try:
            result = read()
        except AlpaconError as error:
            self._in_a_row = 0 if _is_refusal(error) else self._in_a_row + 1
            self._error = error
            raise
        self._in_a_row = 0
        return result


def _is_refusal(error: AlpaconError) -> bool:
    """Whether an answer refuses this one, and says nothing of the others."""
    return isinstance(error, ApiError) and error.status < 500 and error.status not in (401, 408, 429)
