# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test in a copy of the collection: ansible_test.py sanity|units|integration CORE [TARGET ...]

With C(plays) in place of C(integration), the integration targets run as plays of one ansible-playbook.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ansible_cores
import collection_tree

sys.path.insert(0, str(Path(__file__).parents[1]))

from workspace.client import Workspace

TARGETS = collection_tree.ROOT / "tests/integration/targets"
#: The oldest Python that modules may be sent to, tried where this machine has it.
OLDEST_PYTHON = "3.9"
#: A line of a recap.
FAILED_HOST = re.compile(r"(\S+) +: ok=.* (?:unreachable|failed)=[1-9]")


def sanity(core: str, programs: Path) -> list[str]:
    """Return the arguments: pylint is slow, so that only the newest version runs it."""
    skipped = ["--skip-test", "pylint"] if core == "oldest" else []
    if not shutil.which("shellcheck", path=str(programs)):
        print("SKIPPED: PyPI has no shellcheck for this machine", flush=True)
        skipped += ["--skip-test", "shellcheck"]
    return skipped


def units(core: str, programs: Path) -> list[str]:
    """Return the arguments: the core's own Python, and with the oldest core the oldest Python."""
    [folder] = programs.parent.glob("lib/python3.*")
    pythons = [folder.name.removeprefix("python")]
    if core == "oldest" and shutil.which(f"python{OLDEST_PYTHON}", path=ansible_cores.environ()["PATH"]):
        pythons.append(OLDEST_PYTHON)
    return [argument for python in pythons for argument in ("--target-python", f"venv/{python}")]


def integration(core: str, collection: Path, targets: list[str]) -> int:
    with Workspace("current") as workspace:
        known = {"workspaces": {"current": {"url": workspace.url, "token": workspace.token}}}
        (collection / "tests/integration/integration_config.yml").write_text(json.dumps(known))
        return run(core, collection, "integration", "--local", *targets)


def plays(core: str, programs: Path, targets: list[str]) -> int:
    names = targets or sorted(path.parent.parent.name for path in TARGETS.glob("*/tasks/dialect.yml"))
    with Workspace("current") as workspace, tempfile.TemporaryDirectory() as folder:
        known = {"current": {"url": workspace.url, "token": workspace.token}}
        variables = {
            "workspaces": known,
            "output_dir": folder,
            "ansible_connection": "local",
            "ansible_pipelining": True,
            "ansible_python_interpreter": str(programs / "python"),
        }
        # A host for each, since registered variables stay with their host.
        content = [
            {"name": name, "hosts": name, "gather_facts": False, "vars": variables, "roles": [name]} for name in names
        ]
        playbook = Path(folder, "targets.json")
        playbook.write_text(json.dumps(content), encoding="utf-8")
        command = [str(programs / "ansible-playbook"), "-i", f"{','.join(names)},", str(playbook)]
        environ = {**collection_tree.environ(), "ANSIBLE_ROLES_PATH": str(TARGETS), "ANSIBLE_NOCOLOR": "1"}
        code, failed = run_plays(command, environ)
    collection_tree.show_failures(
        [f".venv/bin/python tests/tools/ansible_test.py plays {core} {name}" for name in names if name in failed]
    )
    return code


def run_plays(command: list[str], environ: dict[str, str]) -> tuple[int, set[str]]:
    """Run ansible-playbook, print its output, and return its exit code and the hosts that failed."""
    failed = set()
    with subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := FAILED_HOST.match(line):
                failed.add(found[1])
    return process.returncode, failed


def run(core: str, collection: Path, *arguments: str) -> int:
    # ansible-test would find the checkout's own git, which ignores build/, and see no files.
    subprocess.run(["git", "init", "--quiet", str(collection)], check=True)
    programs = ansible_cores.prepare(core)
    environ = ansible_cores.environ(programs, ansible_cores.home(ansible_cores.CORES[core]))
    command = [str(programs / "ansible-test"), *arguments, "--color", "no"]
    return subprocess.run(command, cwd=collection, env=environ, check=False).returncode


def main(command: str, core: str, targets: list[str]) -> int:
    try:
        programs = ansible_cores.prepare(core)
    except ansible_cores.MissingPythonError as error:
        return collection_tree.skip(str(error))
    if command == "plays":
        return plays(core, programs, targets)
    collection = collection_tree.copy(collection_tree.BUILD / command / ansible_cores.CORES[core].version)
    if command == "integration":
        return integration(core, collection, targets)
    arguments = sanity(core, programs) if command == "sanity" else units(core, programs)
    return run(core, collection, command, *arguments, *targets)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
