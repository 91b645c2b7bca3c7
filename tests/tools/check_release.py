# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that a tag names the version that the collection states wherever it states one, with all of its changes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = ROOT / "changelogs/changelog.yaml"
FRAGMENTS = ROOT / "changelogs/fragments"


def main(tag: str) -> int:
    """Compare, say what differs, and return the exit code."""
    wrong = {place: version for place, version in versions().items() if version != tag}
    for place, version in wrong.items():
        print(f"ERROR: the tag is {tag}, and {place} says {version}")
    untold = sorted(path.name for path in FRAGMENTS.glob("*.y*ml"))
    if untold:
        print(f"ERROR: the changelog does not tell of {', '.join(untold)} in changelogs/fragments")
    return 1 if wrong or untold else 0


def versions() -> dict[str, str | None]:
    """The versions that are stated, by where; that of the changelog is None before the first release."""
    galaxy: dict[str, str] = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    return {"galaxy.yml": galaxy["version"], "plugins/module_utils": _constant(), "the changelog": _released()}


def _constant() -> str:
    sources = (ROOT / "plugins/module_utils").rglob("*.py")
    found = (re.search(r'^VERSION = "(.+)"$', path.read_text(encoding="utf-8"), re.MULTILINE) for path in sources)
    [version] = [match[1] for match in found if match]
    return version


def _released() -> str | None:
    if not CHANGELOG.exists():
        return None
    releases: dict[str, object] = yaml.safe_load(CHANGELOG.read_text(encoding="utf-8"))["releases"]
    return max(releases, key=Version)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
