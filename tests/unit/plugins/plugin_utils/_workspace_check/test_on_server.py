# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test what is read from the output of a server."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspace_check.on_server import _is_pong


@pytest.mark.parametrize(
    ("stdout", "is_pong"),
    [
        ('user root\n{"ping": "pong", "invocation": {}}\n', True),
        ('{"ping": "pang"}', False),
        ("", False),
        ('{"a":' * 10**6, False),
    ],
)
def test_only_the_result_of_the_module_is_a_pong(stdout: str, is_pong: bool) -> None:
    assert _is_pong(stdout) == is_pong
