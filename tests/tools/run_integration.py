# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the integration targets on one of the supported ansible-core releases, or in one process.

C(once) carries them out as plays of one ansible-playbook on the development core, in today's dialect. Otherwise
ansible-test runs them. On the development core they find a workspace of each dialect, for those targets that dialects
matter to. What a dialect changes is the same on every core, so the others find one of today's dialect only.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import ansible_cores
import check_sanity
import collection_tree

sys.path.insert(0, str(Path(__file__).parents[1]))

from workspace.client import DialectName, Workspace

#: A target that fails beside others is run once more before it counts.
OPTIONS = ("--local", "--color", "no", "--retry-on-error")
DIALECTS: tuple[DialectName, ...] = ("current", "published", "2024")
DIALECTS_ELSEWHERE: tuple[DialectName, ...] = ("current",)


TARGETS = collection_tree.ROOT / "tests/integration/targets"


def run_once(targets: list[str]) -> int:
    """Run the targets as plays of one ansible-playbook, all of them if none is named, and return the exit code."""
    names = targets or sorted(path.parent.parent.name for path in TARGETS.glob("*/tasks/dialect.yml"))
    with Workspace("current") as workspace, tempfile.TemporaryDirectory() as folder:
        known = {"current": {"url": workspace.url, "token": workspace.token}}
        variables = {"workspaces": known, "output_dir": folder, "ansible_connection": "local"}
        # A host for each, since registered variables stay with their host.
        plays = [
            {"name": name, "hosts": name, "gather_facts": False, "vars": variables, "roles": [name]} for name in names
        ]
        playbook = Path(folder, "targets.json")
        playbook.write_text(json.dumps(plays), encoding="utf-8")
        command = [str(collection_tree.TOOLS / "ansible-playbook"), "-i", f"{','.join(names)},", str(playbook)]
        environ = {**collection_tree.environ(), "ANSIBLE_ROLES_PATH": str(TARGETS), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run(command, env=environ, check=False, stdin=subprocess.DEVNULL).returncode


def main(name: str, targets: list[str]) -> int:
    """Run the targets, all of them if none is named, and return the exit code."""
    if name == "once":
        return run_once(targets)
    try:
        ansible_cores.prepare(name)
    except ansible_cores.MissingPythonError as error:
        return check_sanity.without_python(error)
    version = ansible_cores.CORES[name].version
    collection = collection_tree.copy(collection_tree.BUILD / "integration" / version)
    with contextlib.ExitStack() as stack:
        dialects = DIALECTS if name == "development" else DIALECTS_ELSEWHERE
        workspaces = [stack.enter_context(Workspace(dialect)) for dialect in dialects]
        known = {workspace.dialect: {"url": workspace.url, "token": workspace.token} for workspace in workspaces}
        # JSON is YAML, and it keeps the dialect 2024 a string.
        settings = collection / "tests/integration/integration_config.yml"
        settings.write_text(json.dumps({"workspaces": known}, indent=2))
        return ansible_cores.ansible_test(name, collection, "integration", *OPTIONS, *targets)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
