# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a command is that may be the one whose answer was lost."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.lost_submits import Requester
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, OTHER_SERVER, SERVER

NOBODY = Requester()
SERVICE = Requester(username="deploy")
#: A user, whose id is any UUID.
BOB = Requester(SERVER, ("bob", "bob@example.com"))


def command(**fields: Any) -> Command:
    """A command whose row names its requester, be it as null."""
    return Command(COMMAND, Server(SERVER), "uptime", "system", "queued", **{"states_requester": True, **fields})


@pytest.mark.parametrize(
    ("requester", "fields", "is_its_own"),
    [
        (BOB, {"requested_by": SERVER}, True),
        (BOB, {"requested_by": OTHER_SERVER}, False),
        (BOB, {"requested_by": None}, False),
        (BOB, {"requested_by": "7", "requested_by_name": "bob"}, True),
        (BOB, {"requested_by": "7", "requested_by_name": "eve"}, False),
        (BOB, {"requested_by": OTHER_SERVER, "requested_by_name": "bob"}, False),
        (BOB, {"requested_by": None, "states_requester": False}, True),
        (NOBODY, {}, True),
        (NOBODY, {"requested_by": SERVER}, False),
        (NOBODY, {"username": "root"}, True),
        (SERVICE, {"username": "deploy"}, True),
        (SERVICE, {"username": None}, True),
        (SERVICE, {"username": ""}, True),
        (SERVICE, {"username": "root"}, False),
        (SERVICE, {"username": "deploy", "requested_by": SERVER}, False),
    ],
)
def test_whose_a_command_is(requester: Requester, fields: dict[str, Any], is_its_own: bool) -> None:
    assert requester.made(command(**fields), {"username": ""}) is is_its_own


@pytest.mark.parametrize(("username", "is_its_own"), [("root", True), ("deploy", False)])
def test_the_user_that_a_submit_names_counts_before_the_own_one(username: str, is_its_own: bool) -> None:
    assert SERVICE.made(command(username=username), {"username": "root"}) is is_its_own
