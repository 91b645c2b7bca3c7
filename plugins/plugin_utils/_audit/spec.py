# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of M(herdops.alpacon.alpacon_audit)."""

from __future__ import annotations

from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION

from . import report
from .checks import SEVERITIES

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION,
    # Each check is read by _checks, which can say which one is wrong.
    "checks": {"type": "list", "elements": "dict", "required": True},
    "skip": {"type": "list", "elements": "str", "default": []},
    "severities": {"type": "dict", "default": {}},
    "hosts": {"type": "list", "elements": "str"},
    "reuse_within": {"type": "str"},
    "wait_timeout": {"type": "str", "default": "5m"},
    "max_concurrency": {"type": "str"},
    "progress": {"type": "bool"},
    "unknown_severity": {"type": "str", "default": "medium", "choices": list(SEVERITIES)},
    "fail_on": {"type": "str", "default": "high", "choices": [*SEVERITIES, "never"]},
    "min_coverage": {"type": "float", "default": 95},
    "dest": {"type": "path"},
    "formats": {
        "type": "list",
        "elements": "str",
        "default": list(report.FORMATS),
        "choices": list(report.FORMATS),
    },
    "compare_to": {"type": "path"},
    "title": {"type": "str"},
    "output_limit": {"type": "int", "default": 2000},
}
