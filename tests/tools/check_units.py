# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test units in a plain copy of the collection, on one of the supported ansible-core releases."""

from __future__ import annotations

import shutil
import sys

import ansible_cores
import check_sanity
import collection_tree

#: Beside its own Python, the oldest one that modules may be sent to, where this machine has it.
OLDEST_PYTHON = "3.9"


def main(name: str) -> int:
    """Run the unit tests on the named core and return the exit code."""
    try:
        programs = ansible_cores.prepare(name)
    except ansible_cores.MissingPythonError as error:
        return check_sanity.without_python(error)
    [folder] = programs.parent.glob("lib/python3.*")
    pythons = [folder.name.removeprefix("python")]
    if name == "oldest" and shutil.which(f"python{OLDEST_PYTHON}", path=ansible_cores.search_path()):
        pythons.append(OLDEST_PYTHON)
    collection = collection_tree.copy(collection_tree.BUILD / "units" / ansible_cores.CORES[name].version)
    targets = [argument for python in pythons for argument in ("--target-python", f"venv/{python}")]
    return ansible_cores.ansible_test(name, collection, "units", "--color", "no", *targets)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
