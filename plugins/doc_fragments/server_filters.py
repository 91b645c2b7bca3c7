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
      - Select the servers that meet all of these conditions. If omitted, all servers are selected.
      - The workspace itself applies O(filters.connected), O(filters.commissioned), a single O(filters.name), a single
        one of O(filters.groups), and one of O(filters.tags), so that selecting few of many servers takes few requests.
        Older workspaces apply fewer.
      - Give lists as YAML lists or as text with commas, such as V(web-01, web-02). An empty filter is an error.
    type: dict
    suboptions:
      connected:
        description: Whether the agent of the server is connected.
        type: bool
      commissioned:
        description: Whether the agent of the server has sent its first report.
        type: bool
      name:
        description: Names, or patterns with C(*), C(?) and C([...]). One of them must match.
        type: list
        elements: str
      os:
        description: Operating systems or patterns, such as V(debian) or V(*buntu*), in any case.
        type: list
        elements: str
      platform:
        description:
          - Platforms or patterns, such as V(debian), V(rhel) or V(windows), in any case. Older workspaces do not list
            platforms, and a warning says so.
        type: list
        elements: str
      groups:
        description: Names or UUIDs of IAM groups. The server must be in one of them.
        type: list
        elements: str
      tags:
        description:
          - Tags that the server must have, with their values; null matches any value. Older workspaces do not list
            tags, and a warning says so.
        type: dict
"""
