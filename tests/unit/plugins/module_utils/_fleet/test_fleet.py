# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers of a fleet that have to fit those of others."""

from __future__ import annotations

import inspect

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import THREADS


def test_a_client_has_a_connection_for_each_thread_and_one_for_looks() -> None:
    assert inspect.signature(Client).parameters["pool"].default == THREADS + 1
