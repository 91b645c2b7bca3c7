# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the tarball into build/dist, and check its files, the links of its READMEs and its documentation."""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

import collection_tree
import yaml

DIST = collection_tree.BUILD / "dist"
INSTALLED = collection_tree.BUILD / "installed"
#: Files and folders for users; ansible-test reads tests/config.yml in every collection.
CONTENTS = (
    *("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"),
    *("FILES.json", "MANIFEST.json", "changelogs/changelog.yaml", "tests/config.yml"),
    *("docs/audit-report.schema.json", "docs/docsite/rst/overview.svg"),
    *("docs/", "extensions/audit/", "extensions/eda/", "meta/", "playbooks/", "plugins/", "roles/"),
)
#: A link, an image or a link definition with a relative target.
LINK = re.compile(r"(?m)(?P<start>(?P<image>!)?\[[^]\n]*\](?:\(|: +))(?P<path>(?![a-z]+:|#)[^\s#)]+)")
KINDS = ("module", "lookup", "filter", "inventory", "connection", "become", "role")


def main() -> int:
    for folder in (DIST, INSTALLED):
        shutil.rmtree(folder, ignore_errors=True)
    # Build from a copy of the files in git.
    sources = collection_tree.copy(DIST / "sources")
    link_to_release(sources)
    run("ansible-galaxy", "collection", "build", str(sources), "--output-path", str(DIST))
    [tarball] = DIST.glob("*.tar.gz")
    run("ansible-galaxy", "collection", "install", str(tarball), "--offline", "-p", str(INSTALLED))
    with tarfile.open(tarball) as archive:
        files = [member.name for member in archive if member.isfile()]
    problems = [f"{name} is not for users: add it to build_ignore in galaxy.yml" for name in strays(files)]
    problems += [f"{name} is missing: correct build_ignore in galaxy.yml" for name in missing(files)]
    problems += [f"{page} links to {name}, which is no file of this release" for page, name in broken_links(files)]
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


def missing(files: list[str]) -> list[str]:
    return [name for name in CONTENTS if not any(file.startswith(name) for file in files)]


def readmes(names: Iterable[str]) -> list[str]:
    return [name for name in names if re.fullmatch(r"(roles/\w+/)?README\.md", name)]


def link_to_release(sources: Path) -> None:
    """Replace the relative links of the READMEs, which break on Galaxy, with links to the tag of the version."""
    metadata = yaml.safe_load((sources / "galaxy.yml").read_text(encoding="utf-8"))
    repository, version = metadata["repository"], metadata["version"]
    raw = repository.replace("github.com", "raw.githubusercontent.com")
    for name in readmes(str(path.relative_to(sources)) for path in sources.rglob("README.md")):

        def absolute(link: re.Match[str], page: str = name) -> str:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link["path"]))
            return f"{link['start']}{raw if link['image'] else f'{repository}/blob'}/{version}/{path}"

        text = (sources / name).read_text(encoding="utf-8")
        (sources / name).write_text(LINK.sub(absolute, text), encoding="utf-8")


def broken_links(files: list[str]) -> list[tuple[str, str]]:
    """Return links of READMEs to files that this release does not have, as (page, file)."""
    place = INSTALLED / collection_tree.NAME
    metadata = json.loads((place / "MANIFEST.json").read_text())["collection_info"]
    name = metadata["repository"].removeprefix("https://github.com/")
    to_file = re.compile(rf"(?:github\.com/{name}/(?:blob|tree)|raw\.githubusercontent\.com/{name})/([^\s#)>]+)")
    found = []
    for page in readmes(files):
        text = (place / page).read_text(encoding="utf-8")
        found += [(page, link["path"]) for link in LINK.finditer(text)]
        for ref, _slash, path in (target.partition("/") for target in to_file.findall(text)):
            if ref != metadata["version"] or not (collection_tree.ROOT / path).exists():
                found.append((page, f"{path} of {ref}"))
    return found


def documented(kind: str) -> list[str]:
    """Return the plugins of a kind that ansible-doc shows from the tarball."""
    listed = json.loads(run("ansible-doc", "--json", "--type", kind, "--list", "herdops.alpacon"))
    return list(json.loads(run("ansible-doc", "--json", "--type", kind, *listed))) if listed else []


def run(*command: str) -> str:
    environ = collection_tree.environ(INSTALLED)
    return subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
