# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of an audit are those that there are."""

from __future__ import annotations

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import FORMATS


def test_formats_are_those_that_there_are() -> None:
    assert SPEC["formats"]["choices"] == list(FORMATS)
