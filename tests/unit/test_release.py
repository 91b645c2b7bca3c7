# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be the same in every release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring

from ansible_collections.herdops.alpacon.tests.tools import check_release
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT


def test_the_version_is_the_same_everywhere() -> None:
    stated = check_release.versions()
    assert {version for version in stated.values() if version} == {stated["galaxy.yml"]}


def test_a_tag_names_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_release.main("99.0.0") == 1
    assert "the tag is 99.0.0, and galaxy.yml says " in capsys.readouterr().out


def test_no_release_leaves_a_fragment_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = check_release.versions()["galaxy.yml"]
    monkeypatch.setattr(check_release, "FRAGMENTS", tmp_path)
    assert check_release.main(str(version)) == 0
    (tmp_path / "new.yml").touch()
    assert check_release.main(str(version)) == 1
    assert "the changelog does not tell of new.yml" in capsys.readouterr().out


def test_the_changelog_describes_new_plugins_as_they_describe_themselves() -> None:
    changes = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text(encoding="utf-8"))["releases"]["1.0.0"]
    described: list[tuple[str, dict[str, Any]]] = [("modules", module) for module in changes["modules"]]
    described += [(kind, plugin) for kind, plugins in changes["plugins"].items() for plugin in plugins]
    for kind, told in described:
        documented = read_docstring(str(ROOT / f"plugins/{kind}/{told['name']}.py"))["doc"]
        assert (kind, told["name"], told["description"]) == (kind, told["name"], f"{documented['short_description']}.")
