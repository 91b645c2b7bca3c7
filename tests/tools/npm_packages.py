# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tools that npm brings, in the versions of a package-lock.json."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

MANIFESTS = ("package.json", "package-lock.json")


def install(sources: Path, place: Path) -> None:
    """Install what the manifests in one folder name into another folder, unless that is installed."""
    place.mkdir(parents=True, exist_ok=True)
    if all(_same(sources / name, place / name) for name in MANIFESTS) and (place / "node_modules").is_dir():
        return
    for name in MANIFESTS:
        shutil.copy(sources / name, place / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=place, check=False).returncode:
        (place / MANIFESTS[0]).unlink()
        sys.exit(f"ERROR: npm could not install what {sources.name}/{MANIFESTS[0]} names (see above).")


def _same(source: Path, installed: Path) -> bool:
    """Whether a manifest is the one that was installed from."""
    return installed.exists() and installed.read_bytes() == source.read_bytes()
