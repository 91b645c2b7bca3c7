# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that the plugins which many processes load keep the bytecode of all that they import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("kind", "name"),
    [("action", "alpacon_audit"), ("action", "alpacon_command"), ("connection", "alpacon"), ("inventory", "alpacon")],
)
def test_private_modules_have_bytecode(kind: str, name: str) -> None:
    program = f"""if True:
        import sys
        from ansible.plugins.loader import init_plugin_loader, {kind}_loader
        init_plugin_loader([{os.environ["ANSIBLE_COLLECTIONS_PATH"]!r}])
        {kind}_loader.get("herdops.alpacon.{name}", class_only=True)
        for name, module in sys.modules.items():
            if name.startswith("ansible_collections.herdops.alpacon.") and "._" in name:
                print(name.rpartition(".")[2], type(module.__loader__).__module__)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaders = dict(line.split() for line in done.stdout.splitlines())
    assert [name for name, loader in loaders.items() if loader.startswith("ansible")] == ["_bytecode"]
    assert "errors" in loaders
