# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: workspace_url
short_description: Normalise the URL of a workspace for comparison
version_added: 1.0.0
description:
  - The role P(herdops.alpacon.alpamon#role) uses it to tell whether a host is registered in another workspace.
author:
  - herdops.alpacon contributors (@herdops)
requirements:
  - ansible-core 2.16 or newer
  - Python 3.10 or newer
options:
  _input:
    description: A URL.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the normal form, https://my-workspace.us1.alpacon.io
  ansible.builtin.debug:
    msg: "{{ 'HTTPS://My-Workspace.us1.alpacon.io:443/api/' | herdops.alpacon.workspace_url }}"
"""

RETURN = r"""
_value:
  description:
    - The URL with its scheme and host in lower case, and without the usual port, a slash at the end and C(/api). Other
      text is returned unchanged.
  type: str
  sample: https://my-workspace.us1.alpacon.io
"""

from collections.abc import Callable

from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspaces import compared


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """The filter by its name."""
        return {"workspace_url": compared}
