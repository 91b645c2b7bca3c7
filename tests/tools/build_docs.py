# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the HTML documentation of the collection into build/docs."""

from __future__ import annotations

import shutil
import subprocess

import collection_tree


def main() -> None:
    """Write the pages as reStructuredText, then as HTML."""
    place = collection_tree.BUILD / "docs"
    shutil.rmtree(place, ignore_errors=True)
    sources = place / "rst"
    sources.mkdir(parents=True)
    run(
        "antsibull-docs",
        "collection",
        "--use-current",
        "--fail-on-error",
        "--dest-dir",
        str(sources),
        "herdops.alpacon",
    )
    settings = str(collection_tree.ROOT / "docs/docsite")
    # antsibull-docs copies the guides alone.
    for image in (collection_tree.ROOT / "docs/docsite/rst").iterdir():
        if image.suffix in (".png", ".svg"):
            shutil.copy(image, sources / "collections/herdops/alpacon/docsite")
    run("sphinx-build", "--quiet", "--fail-on-warning", "-c", settings, str(sources), str(place / "html"))
    print(
        f"The documentation is in {place.relative_to(collection_tree.ROOT)}/html/collections/herdops/alpacon/index.html"
    )


def run(*command: str) -> None:
    """Run one of the programs, and stop where it fails."""
    subprocess.run(command, cwd=collection_tree.ROOT, env=collection_tree.environ(), check=True)


if __name__ == "__main__":
    main()
