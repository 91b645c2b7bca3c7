# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers for playbooks: by name, by id and by filters."""

from __future__ import annotations

import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_listing import FIELDS
from ansible_collections.herdops.alpacon.plugins.modules import alpacon_server_info

# Filters and limit


def test_every_field_is_documented() -> None:
    documented = yaml.safe_load(alpacon_server_info.RETURN)["servers"]
    assert tuple(documented["contains"]) == FIELDS
    assert set(documented["sample"][0]) == set(FIELDS)
