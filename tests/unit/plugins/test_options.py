# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for the options of every module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import (
    carried,
    command,
    command_info,
    registration,
    registration_token,
    server_info,
)

SPECS = {
    "command": command.SPEC,
    "command_info": command_info.SPEC,
    "registration": registration.SPEC,
    "registration_info": registration.INFO_SPEC,
    "registration_token": registration_token.SPEC,
    "server_info": server_info.SPEC,
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_options_that_hold_secrets_are_never_logged(spec: Mapping[str, Mapping[str, Any]]) -> None:
    secrets = {name for name in spec if name in ("token", "key", "registration_token")}
    assert "token" in secrets
    assert {name for name in spec if spec[name].get("no_log")} == secrets


def test_what_a_script_holds_is_never_logged_and_no_option_of_users() -> None:
    assert set(command.SHIPPED_SPEC) - set(command.SPEC) == {carried.CONTENT}
    assert command.SHIPPED_SPEC[carried.CONTENT]["no_log"]
