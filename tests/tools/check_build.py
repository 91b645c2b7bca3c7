# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the tarball into build/dist, and check its files, the links of its READMEs and its documentation."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile

import collection_tree

DIST = collection_tree.BUILD / "dist"
INSTALLED = collection_tree.BUILD / "installed"
#: Files and folders for users; ansible-test reads tests/config.yml in every collection.
CONTENTS = (
    *("CHANGELOG.md", "LICENSE", "README.md"),
    *("FILES.json", "MANIFEST.json", "changelogs/changelog.yaml", "tests/config.yml"),
    *("extensions/audit/", "extensions/eda/", "meta/", "playbooks/", "plugins/", "roles/"),
)
KINDS = ("module", "lookup", "filter", "inventory", "connection", "become", "role")


def main() -> int:
    for folder in (DIST, INSTALLED):
        shutil.rmtree(folder, ignore_errors=True)
    # Build from a copy of the files in git.
    run(
        "ansible-galaxy", "collection", "build", str(collection_tree.copy(DIST / "sources")), "--output-path", str(DIST)
    )
    [tarball] = DIST.glob("*.tar.gz")
    run("ansible-galaxy", "collection", "install", str(tarball), "--offline", "-p", str(INSTALLED))
    with tarfile.open(tarball) as archive:
        files = [member.name for member in archive if member.isfile()]
    problems = [f"{name} is not for users: add it to build_ignore in galaxy.yml" for name in strays(files)]
    problems += [f"{page} links to {name}, which does not exist" for page, name in broken_links(files)]
    plugins = {kind: documented(kind) for kind in KINDS}
    problems += [f"ansible-doc shows no {kind} plugin" for kind, names in plugins.items() if not names]
    print(f"{tarball.relative_to(collection_tree.ROOT)}: {tarball.stat().st_size // 1024} KiB, {len(files)} files")
    for kind, names in plugins.items():
        print(f"  {kind}: {', '.join(names)}")
    for problem in problems:
        print(f"ERROR: {problem}")
    return 1 if problems else 0


def strays(files: list[str]) -> list[str]:
    return [name for name in files if not name.startswith(CONTENTS) or "__pycache__" in name]


def broken_links(files: list[str]) -> list[tuple[str, str]]:
    """Return links of READMEs to files of the repository that do not exist, as (page, file)."""
    place = INSTALLED / collection_tree.NAME
    repository = json.loads((place / "MANIFEST.json").read_text())["collection_info"]["repository"].split("//")[1]
    to_file = re.compile(rf"{re.escape(repository)}/(?:blob|tree)/[^/]+/([^\s#)>]+)")
    pages = [name for name in files if re.fullmatch(r"(roles/\w+/)?README\.md", name)]
    found = [(page, name) for page in pages for name in to_file.findall((place / page).read_text())]
    return [(page, name) for page, name in found if not (collection_tree.ROOT / name).exists()]


def documented(kind: str) -> list[str]:
    """Return the plugins of a kind that ansible-doc shows from the tarball."""
    listed = json.loads(run("ansible-doc", "--json", "--type", kind, "--list", "herdops.alpacon"))
    return list(json.loads(run("ansible-doc", "--json", "--type", kind, *listed))) if listed else []


def run(*command: str) -> str:
    environ = collection_tree.environ(INSTALLED)
    return subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
