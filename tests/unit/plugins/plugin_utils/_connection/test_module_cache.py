# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import io
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.module_cache import (
    ReducedModule,
    reduce_module,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import RunResult

FOLDER = ".cache/alpacon/modules"


#: How wrappers of ansible-core have their archive, up to 2.18 and after it.
WRAPPERS = ("ZIPDATA = {archive!r}", "call(\nzip_data={archive!r},\n)")


def module(words: str, minute: int = 0, wrapper: str = WRAPPERS[0]) -> bytes:
    """What a module looks like: an archive of code that others have as well, packed at some time, and arguments."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as members:
        for number in range(5):
            noise = random.Random(number).randbytes(3000).hex()
            header = zipfile.ZipInfo(f"utilities{number}.py", (2026, 11, 26, 12, minute, 0))
            members.writestr(header, f"WORD = {number}\n# {noise}\n")
        members.writestr("short.py", "")
    assigned = wrapper.format(archive=base64.b64encode(packed.getvalue()).decode())
    return f"""import base64, io, json, zipfile
ARGUMENTS = {json.dumps([words])!r}
def call(zip_data):
    global ZIPDATA
    ZIPDATA = zip_data
{assigned}
archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(ZIPDATA)))
print(json.loads(ARGUMENTS)[0][:20], len(archive.namelist()), archive.testzip(), __name__)
""".encode()


Play = Callable[..., RunResult]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Runs a program as a host does that keeps things in a folder."""

    def run(given: ReducedModule) -> RunResult:
        done = subprocess.run(
            [sys.executable],
            input=given.program,
            capture_output=True,
            env={"HOME": str(tmp_path)},
            cwd=tmp_path if tmp_path.exists() else None,
            check=False,
        )
        return RunResult(done.returncode, done.stdout, done.stderr)

    return run


def short(fed: bytes, known: ReducedModule | None = None) -> ReducedModule:
    made = reduce_module(fed, known.parts if known else ())
    assert made
    return made


def said(answer: RunResult) -> str:
    assert answer.rc == 0, answer.stderr
    return answer.stdout.decode().strip()


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_one_module_had_the_next_one_need_not_bring(play: Play, wrapper: str) -> None:
    first = short(module("first", wrapper=wrapper))
    assert said(play(first)) == "first 6 None __main__"
    second = short(module("second", minute=5, wrapper=wrapper), first)
    assert said(play(second)) == "second 6 None __main__"
    assert len(second.program) < len(first.program) / 4
    assert not first.relies_on_host
    assert second.relies_on_host


def test_nothing_is_imported_from_the_home(play: Play, tmp_path: Path) -> None:
    planted = [name for name in sys.stdlib_module_names if name not in sys.builtin_module_names]
    for name in planted:
        (tmp_path / f"{name}.py").write_text("print('planted')\n", encoding="utf-8")
    assert said(play(short(module("first")))) == "first 6 None __main__"


def test_a_host_that_has_kept_nothing_says_so_and_runs_nothing(play: Play) -> None:
    first, second = short(module("first")), short(module("second"), short(module("first")))
    missed = play(second)
    assert second.is_missed(missed)
    assert second.is_missed(replace(missed, stdout=b"BECOME-SUCCESS-abc\n" + missed.stdout))
    assert b"second" not in missed.stdout
    assert not first.is_missed(missed)


def test_what_was_changed_on_the_host_is_not_run(play: Play, tmp_path: Path) -> None:
    first = short(module("first"))
    play(first)
    for file in (tmp_path / FOLDER).iterdir():
        file.write_bytes(b"print('other')")
    second = short(module("second"), first)
    assert second.is_missed(play(second))


def test_a_folder_that_others_may_write_to_is_not_trusted(play: Play, tmp_path: Path) -> None:
    first = short(module("first"))
    play(first)
    (tmp_path / FOLDER).chmod(0o777)
    second = short(module("second"), first)
    assert second.is_missed(play(second))
    assert said(play(first)) == "first 6 None __main__"


def test_a_folder_that_is_a_link_is_not_trusted(play: Play, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / FOLDER).parent.mkdir(parents=True)
    (tmp_path / FOLDER).symlink_to(tmp_path / "elsewhere")
    assert said(play(short(module("first")))) == "first 6 None __main__"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_only_the_account_may_read_what_is_kept_and_no_argument_is(play: Play, tmp_path: Path) -> None:
    play(short(module("secret words")))
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    kept = list((tmp_path / FOLDER).iterdir())
    assert len(kept) == 5
    assert not [file for file in kept if b"secret words" in file.read_bytes()]


def test_an_argument_that_is_an_archive_itself_is_not_kept(play: Play, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        members.writestr("key.pem", "secret words" * 3000)
    given = short(module(f"ZIPDATA = '{base64.b64encode(packed.getvalue()).decode()}'"))
    assert said(play(given)).endswith("6 None __main__")
    assert len(list((tmp_path / FOLDER).iterdir())) == 5


@pytest.mark.parametrize("fed", [b"", b"print(1)", b"A" * 8000, base64.b64encode(b"PK" + bytes(9000)), b"x" * 9999])
def test_what_is_no_such_module_goes_as_it_is(fed: bytes) -> None:
    assert reduce_module(fed, ()) is None
