# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spellings of the URL of a workspace."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.filter.workspace_url import FilterModule


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://Workspace.Example:443/", "https://workspace.example"),
        ("http://workspace.example:80/api/", "http://workspace.example"),
        ("https://workspace.example:80", "https://workspace.example:80"),
        ("workspace.example", "workspace.example"),
        ("", ""),
    ],
)
def test_spellings_of_a_url(url: str, normal: str) -> None:
    assert FilterModule().filters()["workspace_url"](url) == normal
