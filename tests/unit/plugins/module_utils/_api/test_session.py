# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What two addresses have in common that are reached by one connection."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.session import origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://one.example", "https://one.example:443"),
        ("http://one.example/api/?page=2", "http://one.example:80"),
        ("HTTP://One.Example:8080", "http://one.example:8080"),
    ],
)
def test_an_origin_has_a_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin
