# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from checks import sandbox


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        sandbox.missing_requirements(install=True)
