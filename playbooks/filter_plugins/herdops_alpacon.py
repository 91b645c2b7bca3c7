# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the playbooks. Ansible loads the filters in a folder of this name beside a playbook by itself."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.herdops.alpacon.plugins.plugin_utils._failure_causes import failure_reason
from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import mistyped


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filters by name."""
        return {"failure_reason": failure_reason, "mistyped": mistyped}
