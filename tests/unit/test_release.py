# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import yaml
from ansible.parsing.plugin_docs import read_docstring

from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import VERSION
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT


def test_the_code_states_the_version_of_galaxy_yml() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"] == VERSION, (
        "galaxy.yml and plugins/module_utils/_api/settings.py state different versions"
    )


def test_the_changelog_describes_new_plugins_as_they_describe_themselves() -> None:
    changes = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text(encoding="utf-8"))["releases"]["1.0.0"]
    described = [("modules", module) for module in changes["modules"]]
    described += [(kind, plugin) for kind, plugins in changes["plugins"].items() for plugin in plugins]
    for kind, entry in described:
        documented = read_docstring(str(ROOT / f"plugins/{kind}/{entry['name']}.py"))["doc"]
        file = f"plugins/{kind}/{entry['name']}.py"
        assert entry["description"] == f"{documented['short_description']}.", (
            f"changelogs/changelog.yaml and {file} describe it differently"
        )
