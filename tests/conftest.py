# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets tests import the checkout as the collection it is, and Ansible find its plugins."""

from __future__ import annotations

import importlib.util
import os

# ansible-test does all of that by itself; it does not read pyproject.toml, and so finds no tests/tools.
if importlib.util.find_spec("collection_tree"):
    import collection_tree
    from ansible.plugins.loader import init_plugin_loader

    os.environ.update(collection_tree.environ())
    init_plugin_loader([os.environ["ANSIBLE_COLLECTIONS_PATH"]])
