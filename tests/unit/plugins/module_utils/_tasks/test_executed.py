# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""state=executed and state=finished: lines that agents really run, in every dialect."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import run_command
from ansible_collections.herdops.alpacon.tests.unit.support import command_options

# What is refused before anything is sent


def test_a_url_in_the_clear_is_warned_about() -> None:
    warnings: list[str] = []
    options = command_options(url="http://workspace.invalid", servers=[], line="true")
    with pytest.raises(UsageError):
        run_command(options, Run(warn=warnings.append))
    assert len(warnings) == 1
    assert "unencrypted" in warnings[0]
