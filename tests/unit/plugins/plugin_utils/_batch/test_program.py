# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run entries on this machine, in a payload as on a host."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import pack
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.shell import build_shell_body
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch import program
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.program import (
    MAX_SECONDS,
    Entry,
    Progress,
    Record,
    build_program,
    read_progress,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.command_batch import File
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import SHELLS, run_and_read_frame
from ansible_collections.herdops.alpacon.tests.unit.plugins.plugin_utils._batch.modules import make_module, make_part

CACHE = ".cache/alpacon/modules"
PYTHON = shlex.quote(sys.executable)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home the current directory, as agents do."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    entries: Sequence[Entry],
    cached: Collection[str] | None = None,
    python: str = PYTHON,
    max_seconds: float = MAX_SECONDS,
    shell: str = "none",
) -> Progress:
    built = build_program(entries, python, cached, max_seconds)
    frame = run_and_read_frame(pack("tasks:x", build_shell_body(built.command), built.stdin, in_parts=True), shell)
    assert frame.stderr == b""
    return read_progress(frame.stdout, entries)


def plain(command: str, task: int = 0, stops: bool = True, steps: Sequence[str | File] = ()) -> Entry:
    return Entry(command, b"", steps, task, stops)


def module(result: object, task: int = 0, stops: bool = True, command: str = "cat", **more: Any) -> Entry:
    """Return an entry whose program is its own output."""
    text = result if isinstance(result, str) else json.dumps(result)
    return Entry(command, text.encode(), (), task, stops, **more)


def python_module(words: str, task: int = 0, minute: int = 0) -> Entry:
    return Entry(PYTHON, make_module(words, minute), (), task, True)


def get_outputs(progress: Progress) -> list[bytes]:
    assert list(progress.records) == list(range(len(progress.records)))
    return [record.stdout for record in progress.records.values()]


@pytest.mark.parametrize("shell", SHELLS)
def test_streams_and_exit_codes_are_exact(shell: str) -> None:
    entries = [
        plain("printf 'a\\000\\377'; echo error >&2; exit 3", stops=False),
        module('{"changed": true}', command="cat; echo more"),
        plain("kill -TERM $$; sleep 9", stops=False),
    ]
    progress = run(entries, shell=shell)
    assert progress == Progress(
        {0: Record(3, b"a\0\xff", b"error\n"), 1: Record(0, b'{"changed": true}more\n', b""), 2: Record(143, b"", b"")},
        begun=3,
        ended=True,
    )


FAILED_MODULES = ["", "no JSON", {"failed": True}, {"rc": 1}, '{"half', "[1]", '{"a": 1} }']
GOOD_MODULES = [{}, {"rc": 0, "failed": False}, {"rc": "0"}, 'motd\n{"a": 1}\nbye', "BECOME-SUCCESS-x\n{}"]


@pytest.mark.parametrize(
    ("entry", "is_failure"),
    [
        (plain("exit 1"), True),
        (plain("true"), False),
        (plain("echo '{\"failed\": true}'"), False),
        *((module(result), True) for result in FAILED_MODULES[1:]),
        (module("x", command="true"), True),
        *((module(result), False) for result in GOOD_MODULES),
        (module({}, command="cat; exit 1"), False),
    ],
)
@pytest.mark.parametrize("stops", [True, False])
def test_the_batch_stops_after_the_task_of_a_failure(entry: Entry, is_failure: bool, stops: bool) -> None:
    first = Entry(entry.command, entry.stdin, (), 1, stops)
    progress = run([plain("true"), first, plain("echo item", task=1), plain("echo next", task=2)])
    assert len(progress.records) == (3 if is_failure and stops else 4)
    assert progress.ended


def test_the_batch_stops_after_a_task_with_facts() -> None:
    facts = module({"ansible_facts": {"a": 1}}, stops=False)
    assert len(run([facts, plain("true"), plain("true", task=1)]).records) == 2
    assert len(run([module({"ansible_facts": {}}), plain("true", task=1)]).records) == 2


def test_a_failed_step_stops_after_its_task_and_its_command_does_not_run(home: Path) -> None:
    for steps, error in (
        (["true", "echo broken >&2; exit 4", "touch never"], "broken"),
        (["exit 4"], "it ended with rc 4."),
        ([File.compress("/proc/nonexistent/file", b"")], "/proc/nonexistent/file"),
    ):
        progress = run([plain("touch ran", stops=False, steps=steps), plain("true"), plain("true", task=1)])
        assert len(progress.records) == 2
        assert error in progress.records[0].undone
    assert list(home.iterdir()) == []


def test_steps_write_files_and_run_without_output(home: Path) -> None:
    path = os.fsdecode(bytes(home) + b"/caf\xe9 one")
    steps: list[str | File] = [
        "mkdir here; echo lost; echo seen >&2",
        File.compress(path, b"a\0b"),
        File.compress("here/empty", b""),
    ]
    progress = run([plain("cat caf* here/empty; cat", steps=steps)])
    assert progress.records == {0: Record(0, b"a\0b", b"seen\n")}
    assert Path(path).stat().st_mode & 0o777 == 0o644


def stat(**fields: object) -> dict[str, object]:
    return {"stat": fields}


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (stat(exists=False), "absent"),
        (stat(exists=True, isreg=True, islnk=False, checksum="abc"), "same"),
        (stat(exists=True, isreg=True, islnk=False, checksum="abd"), "different"),
        (stat(exists=True, isreg=True, islnk=True, checksum="abc"), ""),
        (stat(exists=True, isdir=True, isreg=False), ""),
        ({"failed": True, **stat(exists=False)}, ""),
        ("no JSON", ""),
        ({}, ""),
    ],
)
def test_the_state_of_a_file_decides_about_the_entry_that_runs(result: object, state: str) -> None:
    branches = {"absent": plain("echo new"), "same": None, "different": plain("echo other; exit 1", stops=False)}
    entry = module(result, branches=branches, checksum="abc")
    progress = run([entry, plain("true", task=1)])
    record = progress.records[0]
    assert record.branch == state
    outputs = {"absent": Record(0, b"new\n", b""), "different": Record(1, b"other\n", b"")}
    assert record.branch_record == outputs.get(state)
    assert len(progress.records) == (2 if state else 1), "the batch stops in an unexpected state"
    assert progress.ended


def test_a_state_without_branch_stops_before_the_next_item() -> None:
    entry = module(stat(exists=False), branches={"same": None})
    assert run([entry, plain("true")]).records == {0: Record(0, entry.stdin, b"")}


def test_a_failed_branch_stops_after_its_task() -> None:
    entry = module(stat(exists=False), branches={"absent": plain("exit 1")})
    assert len(run([entry, plain("true"), plain("true", task=1)]).records) == 2


def test_an_entry_that_ends_the_program_is_named_and_nothing_runs_after_it(home: Path) -> None:
    ends = "touch began; kill -9 $PPID; sleep 0.2"
    entries = [plain("echo first"), plain(ends, task=1), plain("touch never", task=2)]
    built = build_program(entries, PYTHON, None)
    frame = run_and_read_frame(pack("tasks:x", build_shell_body(built.command), built.stdin, in_parts=True))
    assert read_progress(frame.stdout, entries) == Progress({0: Record(0, b"first\n", b"")}, begun=2)
    assert frame.rc == 137
    assert [file.name for file in home.iterdir()] == ["began"]


def test_nothing_more_runs_when_nobody_reads_the_output(home: Path) -> None:
    built = build_program([plain("touch began; sleep 0.5"), plain("touch never", task=1)], PYTHON, None)
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec 3>&1 1>&2; {built.command}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(built.stdin)
        process.stdin.close()
        assert process.stdout.readline()
        process.stdout.close()
    assert [file.name for file in home.iterdir()] == ["began"]


def test_children_inherit_no_descriptors_and_no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LANG", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    show = "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; env | cut -d= -f1 | sort | tr '\\n' ' '"
    [output] = get_outputs(run([plain(show, steps=["ls /proc/self/fd | sort | tail -n 1 >&2"])]))
    # ls opens the folder itself.
    descriptors, names = output.decode().splitlines()
    assert descriptors == "0 1 2 3 /dev/null"
    assert set(names.split()) <= {*os.environ, "PWD", "OLDPWD", "SHLVL", "_"}
    assert not {"LC_CTYPE", "PYTHONCOERCECLOCALE"} & set(names.split())


def test_tasks_that_search_processes_for_words_do_not_find_the_program() -> None:
    [output] = get_outputs(run([plain("echo secret; tr '\\0' ' ' </proc/$PPID/cmdline")]))
    assert re.fullmatch(rb"secret\n/[^\n]+ -c import sys; exec\(sys\.stdin\.buffer\.read\([0-9]+\)\) ", output)


def test_a_command_that_ignores_its_input_or_is_too_long_breaks_nothing() -> None:
    large = Entry("true", bytes(1_000_000), (), 0, False)
    too_long = plain(f"echo {'x' * 140_000}", task=1, stops=False)
    records = run([large, too_long, plain("echo next", task=2)]).records
    assert [record.rc for record in records.values()] == [0, 126, 0]
    assert b"too long" in records[1].stderr


def test_no_entry_begins_after_the_time_limit() -> None:
    progress = run([plain("sleep 0.3"), plain("true"), plain("true", task=1)], max_seconds=0.2)
    assert (list(progress.records), progress.begun, progress.ended) == ([0], 1, True)


def test_no_entry_begins_after_much_output() -> None:
    noise = [plain("head -c 460000 /dev/urandom", task=task) for task in range(3)]
    progress = run(noise)
    assert (list(progress.records), progress.begun, progress.ended) == ([0], 1, True)


@pytest.mark.parametrize("command", ["head -c 800000 /dev/urandom", "head -c 33000000 /dev/zero"])
def test_too_large_output_is_left_out_and_ends_the_batch(command: str) -> None:
    entries = [plain("echo first"), plain(command, task=1), plain("true", task=2)]
    progress = run(entries)
    assert progress == Progress({0: Record(0, b"first\n", b"")}, begun=2, ended=True, too_large=int(command.split()[2]))


def test_large_outputs_that_compress_well_are_sent() -> None:
    [output] = get_outputs(run([plain("head -c 20000000 /dev/zero")]))
    assert output == bytes(20_000_000)


def test_equal_parts_of_modules_are_sent_once(home: Path) -> None:
    one, two = [python_module("one")], [python_module("one"), python_module("two", task=1, minute=5)]
    assert [json.loads(output)["words"] for output in get_outputs(run(two))] == ["one", "two"]
    sizes = [len(build_program(entries, "python3", None).stdin) for entries in (one, two)]
    assert sizes[1] - sizes[0] < 1000 < sizes[0]
    assert not (home / CACHE).exists()


def test_parts_of_modules_are_cached_on_the_host_and_arguments_are_not(home: Path) -> None:
    first = build_program([python_module("secret words")], "python3", ())
    assert not first.relies_on_host
    run([python_module("secret words")], cached=())
    assert {file.name for file in (home / CACHE).iterdir()} == first.parts
    assert len(first.parts) == 5
    assert not [file for file in (home / CACHE).iterdir() if b"secret words" in file.read_bytes()]
    entries = [python_module("next", minute=5), plain("echo done", task=1)]
    second = build_program(entries, "python3", first.parts)
    assert second.relies_on_host
    assert len(second.stdin) < len(first.stdin) / 3
    assert get_outputs(run(entries, cached=first.parts)) == [b'{"words": "next"}\n', b"done\n"]


@pytest.mark.parametrize(
    "spoil",
    [
        shutil.rmtree,
        lambda folder: next(folder.iterdir(), folder).write_bytes(b"other"),
        lambda folder: folder.chmod(0o777),
    ],
    ids=["missing", "changed", "writable by others"],
)
def test_nothing_runs_if_a_cached_part_is_missing(spoil: Callable[[Path], object], home: Path) -> None:
    entries = [plain("touch ran"), python_module("next", task=1)]
    parts = build_program(entries, "python3", ()).parts
    run([python_module("first")], cached=())
    spoil(home / CACHE)
    assert run(entries, cached=parts) == Progress(is_part_missing=True)
    assert not (home / "ran").exists()


def test_nothing_is_imported_from_the_current_directory(home: Path) -> None:
    for name in sys.stdlib_module_names:
        if name not in sys.builtin_module_names:
            (home / f"{name}.py").write_text("open('planted', 'w').close()\n", encoding="utf-8")
    assert get_outputs(run([plain("echo done")])) == [b"done\n"]
    assert not (home / "planted").exists()


def find_pythons() -> list[str]:
    """Return the installed versions of Python that hosts may have."""
    names = [f"python3.{minor}" for minor in range(8, 15)]
    return [path for name in names if (path := shutil.which(name))]


@pytest.mark.parametrize("python", find_pythons())
def test_each_python_of_hosts_runs_the_program(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_VERSION", Path(python).name.removeprefix("python"))
    entries = [plain("echo one"), python_module("two", task=1)]
    progress = run(entries, cached=(), python=f"env {shlex.quote(python)}")
    assert len(progress.records) == 2
    assert progress.ended


RECORD: dict[str, object] = {"n": 0, "rc": 0, "undone": "", "sizes": [1, 1], "branch": ""}


@pytest.mark.parametrize(
    "output",
    [
        b"",
        make_part(b"no JSON"),
        make_part(b"[" * 100_000),
        make_part([]),
        make_part(None),
        make_part({**RECORD, "n": 5}),
        make_part({**RECORD, "n": -1}),
        make_part({**RECORD, "n": "0"}),
        make_part({**RECORD, "rc": 256}),
        make_part({**RECORD, "rc": None}),
        make_part({**RECORD, "sizes": [9, 9]}, b"ab"),
        make_part({**RECORD, "sizes": 1}, b"ab"),
        make_part({**RECORD, "branch": "absent"}, b"ab"),
        make_part({**RECORD, "branch": ["absent"]}, b"ab"),
        make_part(RECORD, packed=b"no zlib"),
        make_part({"begun": 7}),
        make_part({"end": 7}),
        make_part({"too_large": "9" * 5000}),
    ],
)
def test_parts_that_no_program_writes_are_ignored(output: bytes) -> None:
    assert read_progress(output + make_part(RECORD, b"ab"), [plain("true")]).records == {0: Record(0, b"a", b"b")}
    assert read_progress(output, [plain("true")]).records == {}


def test_the_memory_for_streams_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_MAX_STREAMS", 100_000)
    bomb = make_part({**RECORD, "sizes": [200_000, 0]}, bytes(200_000))
    assert read_progress(make_part(RECORD, b"ab") + bomb + make_part({"end": 1}), [plain("true")]).ended is False
