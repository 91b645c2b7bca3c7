# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be the same in every release."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.tests.tools import check_release


def test_the_version_is_the_same_everywhere() -> None:
    stated = check_release.versions()
    assert {version for version in stated.values() if version} == {stated["galaxy.yml"]}


def test_a_tag_names_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_release.main("99.0.0") == 1
    assert "the tag is 99.0.0, and galaxy.yml says " in capsys.readouterr().out
