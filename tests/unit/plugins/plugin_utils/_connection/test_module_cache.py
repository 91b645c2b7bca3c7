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
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import CommandResult

FOLDER = ".cache/alpacon/modules"


#: Code around the archive in modules of ansible-core, up to 2.18 and later.
WRAPPERS = ("ZIPDATA = {archive!r}", "call(\nzip_data={archive!r},\n)")


def pack_module(words: str, minute: int = 0, wrapper: str = WRAPPERS[0]) -> bytes:
    """Return a module as ansible-core packs it: an archive of common code, packed at a time, and arguments."""
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


RunProgram = Callable[..., CommandResult]


@pytest.fixture
def run_program(tmp_path: Path) -> RunProgram:
    """Run programs in the same home."""

    def run(reduced: ReducedModule) -> CommandResult:
        done = subprocess.run(
            [sys.executable],
            input=reduced.program,
            capture_output=True,
            env={"HOME": str(tmp_path)},
            cwd=tmp_path if tmp_path.exists() else None,
            check=False,
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)

    return run


def reduce(module: bytes, known: ReducedModule | None = None) -> ReducedModule:
    reduced = reduce_module(module, known.parts if known else ())
    assert reduced
    return reduced


def read_output(result: CommandResult) -> str:
    assert result.rc == 0, result.stderr
    return result.stdout.decode().strip()


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_parts_of_one_module_are_not_sent_with_the_next(run_program: RunProgram, wrapper: str) -> None:
    first = reduce(pack_module("first", wrapper=wrapper))
    assert read_output(run_program(first)) == "first 6 None __main__"
    second = reduce(pack_module("second", minute=5, wrapper=wrapper), first)
    assert read_output(run_program(second)) == "second 6 None __main__"
    assert len(second.program) < len(first.program) / 4
    assert not first.relies_on_host
    assert second.relies_on_host


def test_nothing_is_imported_from_the_home(run_program: RunProgram, tmp_path: Path) -> None:
    planted = [name for name in sys.stdlib_module_names if name not in sys.builtin_module_names]
    for name in planted:
        (tmp_path / f"{name}.py").write_text("print('planted')\n", encoding="utf-8")
    assert read_output(run_program(reduce(pack_module("first")))) == "first 6 None __main__"


def test_nothing_runs_if_a_cached_part_is_missing(run_program: RunProgram) -> None:
    first, second = reduce(pack_module("first")), reduce(pack_module("second"), reduce(pack_module("first")))
    result = run_program(second)
    assert second.is_part_missing(result)
    assert second.is_part_missing(replace(result, stdout=b"BECOME-SUCCESS-abc\n" + result.stdout))
    assert b"second" not in result.stdout
    assert not first.is_part_missing(result)


def test_changed_parts_are_not_used(run_program: RunProgram, tmp_path: Path) -> None:
    first = reduce(pack_module("first"))
    run_program(first)
    for file in (tmp_path / FOLDER).iterdir():
        file.write_bytes(b"print('other')")
    second = reduce(pack_module("second"), first)
    assert second.is_part_missing(run_program(second))


def test_a_folder_that_others_can_write_to_is_not_used(run_program: RunProgram, tmp_path: Path) -> None:
    first = reduce(pack_module("first"))
    run_program(first)
    (tmp_path / FOLDER).chmod(0o777)
    second = reduce(pack_module("second"), first)
    assert second.is_part_missing(run_program(second))
    assert read_output(run_program(first)) == "first 6 None __main__"


def test_a_folder_that_is_a_link_is_not_used(run_program: RunProgram, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / FOLDER).parent.mkdir(parents=True)
    (tmp_path / FOLDER).symlink_to(tmp_path / "elsewhere")
    assert read_output(run_program(reduce(pack_module("first")))) == "first 6 None __main__"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_only_the_account_can_read_the_cache_which_has_no_arguments(run_program: RunProgram, tmp_path: Path) -> None:
    run_program(reduce(pack_module("secret words")))
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    cached = list((tmp_path / FOLDER).iterdir())
    assert len(cached) == 5
    assert not [file for file in cached if b"secret words" in file.read_bytes()]


def test_an_archive_in_the_arguments_is_not_cached(run_program: RunProgram, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        members.writestr("key.pem", "secret words" * 3000)
    reduced = reduce(pack_module(f"ZIPDATA = '{base64.b64encode(packed.getvalue()).decode()}'"))
    assert read_output(run_program(reduced)).endswith("6 None __main__")
    assert len(list((tmp_path / FOLDER).iterdir())) == 5


@pytest.mark.parametrize("module", [b"", b"print(1)", b"A" * 8000, base64.b64encode(b"PK" + bytes(9000)), b"x" * 9999])
def test_modules_without_an_archive_are_not_reduced(module: bytes) -> None:
    assert reduce_module(module, ()) is None
