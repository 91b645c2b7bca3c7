# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import VERSION
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT


def test_the_code_states_the_version_of_galaxy_yml() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"] == VERSION, (
        "galaxy.yml and plugins/module_utils/_api/settings.py state different versions"
    )


def test_the_changelog_announces_every_playbook() -> None:
    # antsibull-changelog finds new plugins and roles by itself, but no playbooks.
    fragments = (ROOT / "changelogs/fragments").glob("*.yml")
    changes = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in fragments]
    announced = [entry for change in changes for entry in change.get("add object.playbook", [])]
    releases = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text(encoding="utf-8"))["releases"]
    announced += [entry for release in releases.values() for entry in release.get("objects", {}).get("playbook", [])]
    playbooks = {file.stem for file in (ROOT / "playbooks").glob("*.yml")}
    missing = playbooks - {entry["name"] for entry in announced}
    assert not missing, "add them to a file in changelogs/fragments, below add object.playbook"
