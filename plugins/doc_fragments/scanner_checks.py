# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - ansible-core 2.16 or newer
  - Python 3.10 or newer
options:
  severity:
    description:
      - The severity of results for which the content names none.
      - If omitted, that of a check without one.
    type: str
    choices: [info, low, medium, high, critical]
  username:
    description:
      - The account on the servers that runs it. Most benchmarks need V(root).
      - If omitted, that of the audit.
    type: str
  timeout:
    description: How many seconds a server may take.
    type: int
    default: 1800
seealso:
  - module: herdops.alpacon.alpacon_audit
  - name: Audits by other scanners
    description: A guide, with plays that install a scanner through the workspace and run it.
    link: https://github.com/herdops/herdops.alpacon/blob/main/docs/docsite/rst/audit_scanners.rst
"""
