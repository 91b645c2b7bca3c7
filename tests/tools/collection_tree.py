# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links and copies of the checkout in a collections path, and the environment for Ansible's programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
COLLECTIONS = BUILD / "collections"
NAME = Path("ansible_collections/herdops/alpacon")
TOOLS = Path(sys.executable).parent


def link() -> Path:
    place = COLLECTIONS / NAME
    place.parent.mkdir(parents=True, exist_ok=True)
    if not (place.is_symlink() and place.resolve() == ROOT):
        place.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):  # created by another process at the same time
            place.symlink_to(ROOT, target_is_directory=True)
    return COLLECTIONS


def environ(collections: Path | None = None) -> dict[str, str]:
    """Return an environment with the linked collection and without the user's Ansible settings."""
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collections or link()),
        "ANSIBLE_HOME": str(BUILD / "home/.ansible"),
        "PATH": os.pathsep.join([str(TOOLS), os.environ.get("PATH", os.defpath)]),
    }


def copy(destination: Path) -> Path:
    """Copy the files that git knows or would add, for tools that follow links."""
    shutil.rmtree(destination, ignore_errors=True)
    place = destination / NAME
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if not source.exists():
            continue
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    return place


def skip(reason: str) -> int:
    """Print why a step cannot run. In a suite it counts as skipped, alone it fails."""
    step = os.environ.get("SUITE_STEP")
    print(f"{'SKIPPED' if step else 'ERROR'}: {reason}", flush=True)
    if step:
        Path(f"{step}.counts").write_text("0 0 1\n", encoding="utf-8")
    return 0 if step else 1


def show_failures(commands: list[str]) -> None:
    """Print the commands that run what failed alone. A suite shows them at its end."""
    lines = "".join(f"FAILED {command}\n" for command in commands)
    print(lines, end="", flush=True)
    if (step := os.environ.get("SUITE_STEP")) and lines:
        Path(f"{step}.failed").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    link()
