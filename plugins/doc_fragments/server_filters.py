# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # For the module and the inventory.
    DOCUMENTATION = r"""
options:
  filters:
    description:
      - Conditions that a server must meet, all of them. By default, all servers are selected. Null and empty filters
        are refused.
      - A list of names, operating systems or platforms may be one text with commas, such as V(web-01, web-02). Write a
        value that contains a comma as an element of a list.
      - Every server is checked, since workspaces ignore filters that they do not know.
    type: dict
    suboptions:
      connected:
        description: Whether the server's agent is connected.
        type: bool
      commissioned:
        description: Whether the server is commissioned. The workspace filters by it.
        type: bool
      name:
        description:
          - Names, or patterns with C(*), C(?) and C([...]); one of them must match.
          - The workspace filters by a single name without such characters.
        type: list
        elements: str
      os:
        description: Names of operating systems, or patterns, such as V(debian) or V(*buntu*), in any case.
        type: list
        elements: str
      platform:
        description:
          - Platforms, or patterns, such as V(debian), V(rhel) or V(windows), in any case.
          - Some workspaces do not list it; a warning says so.
        type: list
        elements: str
      groups:
        description:
          - Names or UUIDs of IAM groups; the server must be in one of them.
          - The workspace filters by a single UUID.
        type: list
        elements: str
      tags:
        description:
          - Tags that the server must have, with their values. The value null matches any value.
          - Some workspaces do not list them; a warning says so.
        type: dict
"""
