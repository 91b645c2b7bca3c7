# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test sanity on one of the supported ansible-core releases."""

from __future__ import annotations

import os
import shutil
import sys

import ansible_cores
import collection_tree


def main(name: str) -> int:
    """Run the sanity tests on the named core and return the exit code."""
    try:
        programs = ansible_cores.prepare(name)
    except ansible_cores.MissingPythonError as error:
        return without_python(error)
    # Pylint takes as long as all else together, and its newest version judges for all.
    skipped = ["--skip-test", "pylint"] if name == "oldest" else []
    if not shutil.which("shellcheck", path=str(programs)):
        print("WARNING: PyPI has no shellcheck for this machine: skipping that test", flush=True)
        skipped += ["--skip-test", "shellcheck"]
    version = ansible_cores.CORES[name].version
    collection = collection_tree.copy(collection_tree.BUILD / "sanity" / version)
    return ansible_cores.ansible_test(name, collection, "sanity", "--color", "no", *skipped)


def without_python(error: ansible_cores.MissingPythonError) -> int:
    """Say that a Python is missing, and return the exit code for that."""
    if os.environ.get("ALLOW_MISSING_PYTHON") == "1":
        print(f"WARNING: SKIPPED: {error}")
        return 0
    print(f"ERROR: {error}\nInstall one (pyenv, uv python install), or set ALLOW_MISSING_PYTHON=1 to skip this step.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
