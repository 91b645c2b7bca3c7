# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the notes of the servers that have a verified script."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.verified_scripts import UploadNotes

URL, PATH = "https://example.com", "/root/.alpacon-tidy.sh-1"


def test_a_note_is_for_one_workspace_and_path(tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    for server in ("one", "two"):
        UploadNotes(folder, URL, PATH).add(server)
    assert UploadNotes(folder, URL, PATH).read() == {"one", "two"}
    assert not UploadNotes(folder, URL, f"{PATH}2").read()
    assert not UploadNotes(folder, f"{URL}:8443", PATH).read()
    [file] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_new_note_removes_old_ones_as_far_as_possible(tmp_path: Path) -> None:
    for name in ("a folder", "old", "young"):
        (tmp_path / name).mkdir() if " " in name else (tmp_path / name).touch()
        if name != "young":
            os.utime(tmp_path / name, (1, 1))
    notes = UploadNotes(tmp_path, URL, PATH)
    notes.add("one")
    assert notes.read() == {"one"}
    assert {file.name for file in tmp_path.iterdir()} >= {"a folder", "young"}
    assert not (tmp_path / "old").exists()


def test_notes_that_cannot_be_read_or_written_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file"):
        notes = UploadNotes(folder, URL, PATH)
        notes.add("one")
        assert not notes.read()
    notes = UploadNotes(tmp_path, URL, PATH)
    notes.add("one")
    [file] = set(tmp_path.iterdir()) - {tmp_path / "file"}
    file.write_bytes(b"\xff\x00 broken")
    assert "one" not in notes.read()
