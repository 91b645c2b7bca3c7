# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test which modules Python's own loader imports."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._bytecode import BytecodeFinder
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

PLUGINS = "ansible_collections.herdops.alpacon.plugins"


@pytest.mark.parametrize(
    ("name", "folder", "is_found"),
    [
        (f"{PLUGINS}.module_utils._api", "module_utils", True),
        (f"{PLUGINS}.module_utils._api.errors", "module_utils/_api", True),
        (f"{PLUGINS}.plugin_utils._missing", "plugin_utils", False),
        (f"{PLUGINS}.connection.alpacon", "connection", False),
        ("ansible_collections.other.one.plugins.module_utils._api", "module_utils", False),
    ],
)
def test_private_modules_are_found(name: str, folder: str, is_found: bool) -> None:
    spec = BytecodeFinder().find_spec(name, [str(ROOT / "plugins" / folder)])
    assert (spec is not None and isinstance(spec.loader, SourceFileLoader)) == is_found
