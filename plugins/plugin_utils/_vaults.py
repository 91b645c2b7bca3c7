# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Values that are written with the tag C(!vault)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def decrypted(value: Any) -> Any:
    """A value in which all that is encrypted is text; before ansible-core 2.19 it is of a type that is none."""
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    if isinstance(value, Mapping):
        return {key: decrypted(item) for key, item in value.items()}
    return [decrypted(item) for item in value] if isinstance(value, (list, tuple)) else value
