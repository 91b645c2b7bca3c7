# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server gets the command of a task once, however many hosts the task runs for and however often it is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.claims import Claims
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_order import Order
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_task import claim_named, refuse_shared
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER, command_options


def test_a_server_is_known_by_its_uuid_and_by_its_name(tmp_path: Path) -> None:
    first, second = (Claims(tmp_path, "task", host, remedy="Do so.") for host in ("first", "second"))
    # What is handed to another host finds its certificates there.
    options = command_options(servers=[SERVER.upper()], line="reboot", ca_path="/on/that/host")
    claim_named(first, {**options, "url": "https://workspace.example/api/"})
    server = Server(SERVER, "many-1")
    with pytest.raises(UsageError, match=r"^servers: many-1 gets this for host first of the task\..* Do so\.$"):
        refuse_shared(second, Order.from_options(options), options["url"], [server])
