# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try the audit's checks on throw-away systems, and say so where these cannot be made."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checks import systems, throwaway

_ROOT = Path(__file__).parents[2]


def main() -> int:
    """Make the systems that the command line names, or all, and try their states."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--optional", action="store_true", help="succeed, and say so, where no system can be made")
    parser.add_argument("systems", nargs="*", help="all without any")
    arguments = parser.parse_args()
    if unknown := set(arguments.systems) - set(systems.SYSTEMS):
        parser.error(f"no system {', '.join(unknown)}; there are {', '.join(systems.SYSTEMS)}")
    lacking = throwaway.why_not(install=True)
    if lacking:
        print(f"{'SKIPPED' if arguments.optional else 'ERROR'}: no check was tried in a state, since {lacking}")
        return 0 if arguments.optional else 1
    for name in arguments.systems or systems.SYSTEMS:
        systems.root(name)
    chosen = ["-k", " or ".join(arguments.systems)] if arguments.systems else []
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-o",
        "cache_dir=.pytest_cache/states",
        "-n",
        "2",
        "tests/checks",
        *chosen,
    ]
    return subprocess.run(command, cwd=_ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
