# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the collection's tarball into build/dist, read its pages, install it and show what documentation it brought."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import collection_tree
from check_readme import Release

INSTALLED = collection_tree.BUILD / "installed"
#: What users get: files, and folders that end in a slash. Of tests, ansible-test reads one file wherever it checks.
CONTENTS = (
    *("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"),
    *("FILES.json", "MANIFEST.json", "changelogs/changelog.yaml", "changelogs/config.yaml", "tests/config.yml"),
    *("docs/", "extensions/audit/", "meta/", "playbooks/", "plugins/", "roles/"),
)
DOCUMENTED = ("module", "lookup", "inventory", "connection", "become", "role")


def main() -> int:
    """Build, install, ask ansible-doc for every plugin, and follow the links of README."""
    tarball = build()
    install(tarball)
    with tarfile.open(tarball) as archive:
        names = [member.name for member in archive if member.isfile()]
    print(f"{tarball.relative_to(collection_tree.ROOT)}: {tarball.stat().st_size // 1024} KiB, {len(names)} files")
    for name in sorted({name.split("/")[0] for name in names}):
        print(f"  {name}")
    plugins = [(kind, plugin) for kind in DOCUMENTED for plugin in documented(kind)]
    for kind, plugin in plugins:
        print(f"  documented: {plugin} ({kind})")
    strays = [name for name in names if not name.startswith(CONTENTS) or "__pycache__" in name]
    for name in strays:
        print(f"ERROR: {name} has no business in the tarball: name it in build_ignore of galaxy.yml")
    problems = Release(tarball).problems()
    for problem in problems:
        print(f"ERROR: {problem}")
    return 0 if plugins and not strays and not problems else 1


def build() -> Path:
    """Build from what git knows, so that nothing else that lies in the checkout gets in."""
    place = collection_tree.BUILD / "dist"
    shutil.rmtree(place, ignore_errors=True)
    sources = collection_tree.copy(collection_tree.BUILD / "sources")
    galaxy("build", str(sources), "--output-path", str(place))
    return next(place.glob("*.tar.gz"))


def install(tarball: Path) -> None:
    """Install the tarball as a user would."""
    shutil.rmtree(INSTALLED, ignore_errors=True)
    galaxy("install", str(tarball), "--offline", "--force", "--collections-path", str(INSTALLED))


def galaxy(*arguments: str) -> None:
    """Run ansible-galaxy collection, and stop where it fails."""
    command = ["ansible-galaxy", "collection", *arguments]
    subprocess.run(command, env=collection_tree.environ(INSTALLED), check=True)


def documented(kind: str) -> list[str]:
    """The plugins of one kind whose documentation ansible-doc can show."""
    listed = ask(kind, "--list", "herdops.alpacon")
    return list(ask(kind, *listed)) if listed else []


def ask(kind: str, *arguments: str) -> dict[str, object]:
    """What ansible-doc answers as JSON."""
    command = ["ansible-doc", "--json", "--type", kind, *arguments]
    environ = collection_tree.environ(INSTALLED)
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    sys.exit(main())
