# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the lines of verbose runs, and the journals of others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible.utils.display import Display

from ansible_collections.herdops.alpacon.plugins.plugin_utils import _run
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import make_printer, read_newest_journal
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND


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


def test_the_journal_of_a_run_that_goes_on_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own, running = tmp_path / "own", tmp_path / f"ansible-local-{os.getpid()}a1_b2c3d"
    monkeypatch.setattr(_run, "get_run_folder", lambda: own)
    monkeypatch.setattr(_run, "_journal_file", lambda: tmp_path / "own.ids")
    running.mkdir()
    journal = tmp_path / f"{running.name}.ids"
    journal.write_text(f"{COMMAND} and more\n", encoding="utf-8")
    assert (read_newest_journal()["file"], read_newest_journal()["ids"]) == ("", [])
    # At its end, a run removes its folder, unless it was killed.
    running.rmdir()
    assert (read_newest_journal()["file"], read_newest_journal()["ids"]) == (str(journal), [COMMAND])
    killed = journal.rename(tmp_path / "ansible-local-999999999a1_b2c3d.ids")
    killed.with_suffix("").mkdir()
    assert read_newest_journal()["file"] == str(killed)


def test_the_newest_journal_with_ids_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_run, "_journal_file", lambda: tmp_path / "own.ids")
    for age, (name, begin) in enumerate([("blank", " " * 36), ("newest", COMMAND), ("older", COMMAND)]):
        (tmp_path / f"{name}.ids").write_text(f"{begin} and more\n", encoding="utf-8")
        os.utime(tmp_path / f"{name}.ids", (9 - age, 9 - age))
    assert read_newest_journal()["file"] == str(tmp_path / "newest.ids")
    (tmp_path / "newest.ids").unlink()
    (tmp_path / "older.ids").unlink()
    assert (read_newest_journal()["file"], read_newest_journal()["unanswered"]) == (str(tmp_path / "blank.ids"), 1)
