# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test units in a plain copy of the collection, on one of the supported ansible-core releases."""

from __future__ import annotations

import sys

import ansible_cores
import check_sanity
import collection_tree


def main(name: str) -> int:
    """Run the unit tests on the named core with each of its Pythons that tests/tools/ansible_cores.py names."""
    try:
        ansible_cores.prepare(name)
    except ansible_cores.MissingPythonError as error:
        return check_sanity.without_python(error)
    core = ansible_cores.CORES[name]
    collection = collection_tree.copy(collection_tree.BUILD / "units" / core.version)
    return ansible_cores.ansible_test(name, collection, "units", "--color", "no", *sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
