# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the lines of verbose runs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.utils.display import Display

from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import make_printer


def test_lines_are_printed_from_their_verbosity_on(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Display, "display", lambda _self, text, **_more: shown.append(text))
    monkeypatch.setattr(Display(), "verbosity", 3)
    printer = make_printer(3)
    assert printer
    printer("two\nlines\x1b[2J")
    assert shown == ["two\\nlines\\x1b[2J"]
    assert make_printer(4) is None


def test_a_line_that_nobody_can_read_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_more: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(Display, "verbose", fail)
    monkeypatch.setattr(Display(), "verbosity", 4)
    printer = make_printer(4)
    assert printer
    printer("a line")
