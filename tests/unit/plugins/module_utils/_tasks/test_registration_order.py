# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks about registrations: every state, every answer to every question, in every dialect; no record too many."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_order import (
    RegistrationOrder,
    agent_name,
)
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

# bad input


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", "web"),
        ("web.example.com", "web"),
        (" web 01 ", "web-01"),
        ("web_01", "web_01"),
        ("--web--", "web"),
        ("a  b!!c", "a-b-c"),
        ("ünïcode", "n-code"),
        ("x" * 80, "x" * 64),
        ("x" * 63 + "-y", "x" * 63),
    ],
)
def test_names(text: str, name: str) -> None:
    assert agent_name("name", text) == name


def test_no_key_is_in_what_an_order_is_shown_as() -> None:
    options = {"state": "registered", "wait_timeout": "2m", "id": SERVER, "key": "of-the-agent"}
    order = RegistrationOrder.from_options({**options, "registration_token": "of-a-newcomer"})
    assert SERVER in repr(order)
    assert "of-the-agent" not in repr(order)
    assert "of-a-newcomer" not in repr(order)
