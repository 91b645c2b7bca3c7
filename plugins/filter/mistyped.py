# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mistyped
short_description: Find misspelt names of variables of a playbook or role
description: The role P(herdops.alpacon.alpamon#role) uses it.
author:
  - herdops.alpacon contributors (@herdops)
requirements:
  - ansible-core 2.16 or newer
  - Python 3.10 or newer
"""

from collections.abc import Callable

from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import mistyped


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filter by its name."""
        return {"mistyped": mistyped}
