# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sources of an inventory are looked into."""

from __future__ import annotations

import os

from ansible_collections.herdops.alpacon.plugins.inventory.alpacon import InventoryModule

CONTENT = b"plugin: herdops.alpacon.alpacon\n"


def test_a_pipe_is_left_to_whoever_reads_it() -> None:
    reader, writer = os.pipe()
    os.write(writer, CONTENT)
    os.close(writer)
    assert InventoryModule().verify_file(f"/dev/fd/{reader}") is False
    assert os.read(reader, 100) == CONTENT
