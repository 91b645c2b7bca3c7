# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fold made-up results and print the lines: fold.py SERVERS"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    root = Path(__file__).resolve().parents[2]
    sys.path[:1] = [str(root / "build/collections"), str(root / "tests")]

from unit.plugins.plugin_utils.test_fold import make_fleet

from ansible_collections.herdops.alpacon.plugins.plugin_utils._fold import show_results


def main(servers: int) -> None:
    lines = show_results(["localhost"], {"localhost": {"alpacon_result": {"commands": make_fleet(servers)}}}, True)
    print("\n".join(lines))
    assert len(lines) == 3, lines


if __name__ == "__main__":
    main(int(sys.argv[1]))
