# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check style, types, documentation, changelog and metadata, and show the output of what failed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import collection_tree

ROOT = collection_tree.ROOT
PLUGINS = collection_tree.COLLECTIONS / collection_tree.NAME / "plugins"
SEARCHED = ("tests", "tests/tools", str(collection_tree.COLLECTIONS))
#: Schemas that check-jsonschema brings, and the files that follow them.
FORMS = {
    "github-workflows": ".github/workflows/*.yml",
    "github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
    "github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "dependabot": ".github/dependabot.yml",
}


def main(kinds: list[str]) -> int:
    """Run every check, or those whose name begins with one of the kinds, and return 1 if one failed."""
    checks = {
        "ruff": ["ruff", "check", "--output-format=concise", "."],
        "ruff format": ["ruff", "format", "--check", "--output-format=concise", "."],
        "mypy plugins": ["mypy", str(PLUGINS)],
        "mypy tests": ["mypy", *tested_folders()],
        "yamllint": ["yamllint", "--strict", "."],
        "shellcheck": ["shellcheck", *shell_scripts()],
        "actionlint": ["python", "tests/tools/check_workflows.py"],
        **{f"schema of {name}": schema_check(name, files) for name, files in FORMS.items()},
        "ansible-lint": ["ansible-lint", "--nocolor", "-q"],
        "changelog": ["antsibull-changelog", "lint"],
        "docs": ["antsibull-docs", "lint-collection-docs", ".", "--plugin-docs", "--validate-collection-refs=self"],
        # The environment already holds what the sessions would install.
        "nox": ["nox", "--no-venv", "--no-color", "--envdir", "build/nox", "-s", "extra-checks", "build-import-check"],
    }
    chosen = [name for name in checks if not kinds or name.startswith(tuple(kinds))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        passed = list(pool.map(run, chosen, map(checks.get, chosen)))
    return 0 if all(passed) else 1


def tested_folders() -> list[str]:
    """The folders of Python code beside the plugins, apart from targets, which hold none."""
    names = (
        "agent",
        "benchmark",
        "browser",
        "checks",
        "faults",
        "hostile",
        "hosts",
        "mutants",
        "signals",
        "system",
        "unit",
        "workspace",
    )
    return ["tests/tools", *(f"tests/{name}" for name in names if any((ROOT / "tests" / name).glob("**/*.py")))]


def shell_scripts() -> list[str]:
    """What shellcheck reads."""
    return [
        "tests/tools/setup.sh",
        ".ci/run",
        *(f"tests/agent/package/{name}" for name in ("postinst", "postrm", "prerm")),
        *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/*/systems/*.sh"))),
    ]


def schema_check(name: str, files: str) -> list[str]:
    """The command that checks files against a schema."""
    return ["check-jsonschema", "--builtin-schema", f"vendor.{name}", *map(str, sorted(ROOT.glob(files)))]


def run(name: str, command: list[str]) -> bool:
    """Run one check, print a line about it, and its output if it failed."""
    started = time.monotonic()
    environ = collection_tree.environ() | {
        "MYPYPATH": os.pathsep.join(SEARCHED),
        # It runs here already, and offline.
        "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environ, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    passed = done.returncode == 0
    line = f"{name}: {'ok' if passed else 'FAILED'} ({time.monotonic() - started:.1f} s)"
    print(line if passed else f"{line}\n$ {' '.join(map(shorten, command))}\n{done.stdout.rstrip()}\n", flush=True)
    return passed


def shorten(argument: str) -> str:
    """An argument as it would be typed in the checkout."""
    path = Path(argument)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else argument


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
