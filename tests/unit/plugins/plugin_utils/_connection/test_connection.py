# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import UNDONE
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import PayloadTooLarge, compress, pack
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection import connection
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.connection import (
    HostConnection,
    HostStepFailed,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.module_cache import ReducedModule
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import CommandResult, RequestTooLarge
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import run_and_read_frame

FOLDER = "/root/.ansible/tmp/ansible-tmp-1"
MAKE = (
    f'/bin/sh -c \'( umask 77 && mkdir -p "` echo /root/.ansible/tmp `"&& mkdir "` echo {FOLDER} `"'
    f' && echo ansible-tmp-1="` echo {FOLDER} `" )\''
)
REMOVE = f"/bin/sh -c 'rm -f -r {FOLDER}/ > /dev/null 2>&1'"


class RecordingRunner:
    """Record submits, and return these results or raise these errors."""

    def __init__(self, mark: str = "", answers: Sequence[CommandResult | Exception] = ()) -> None:
        self.submits: list[list[bytes]] = []
        self.bodies: list[str] = []
        self.run_files: dict[str, bytes] = {}
        self._mark = mark
        self._answers = list(answers)

    def run_body(self, label: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = ()) -> CommandResult:
        self.submits.append(list(files))
        self.bodies.append(body)
        if self._answers:
            answer = self._answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return CommandResult(1 if self._mark else 0, b"", b"no such folder", self._mark)

    def run_bodies(
        self, label: str, bodies: Sequence[tuple[str, Sequence[bytes]]], listed: bool = True
    ) -> list[CommandResult]:
        # In any order: here, the last one first.
        return [self.run_body(label, body, b"", files) for body, files in reversed(bodies)][::-1]

    def read_run_file(self, name: str) -> bytes | None:
        return self.run_files.get(name, None if name == "home" else b"")

    def write_run_file(self, name: str, text: bytes) -> None:
        self.run_files[name] = text

    def close(self) -> None:
        pass

    def get_home_file(self, account: str) -> str | None:
        return None if account else "home"


def connect(runner: RecordingRunner, action: str = "copy") -> HostConnection:
    return HostConnection(runner, action, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "home", "queries"),
    [
        ("echo ~", b"/home/me\n", 1),
        ("echo ~app", b"/srv/app\n", 3),
        # The account may be made later.
        ("echo ~app", b"~app\n", 6),
        ("echo ~", b"~\n", 6),
    ],
)
def test_only_the_own_home_is_recorded_for_other_tasks(query: str, home: bytes, queries: int) -> None:
    runner = RecordingRunner(answers=[CommandResult(0, home, b"")] * 6)
    for _task in range(3):
        homes: dict[str, bytes] = {}
        for _item in range(2):
            host = HostConnection(runner, "copy", None, homes=homes)  # type: ignore[arg-type]
            assert host.run_command(f"/bin/sh -c '{query}'").stdout == home
    assert len(runner.bodies) == queries


def test_files_in_temporary_folders_are_sent_with_the_next_command() -> None:
    runner = RecordingRunner()
    host = connect(runner)
    host.run_command(MAKE)
    host.put(b"content", f"{FOLDER}/source")
    assert runner.submits == []
    host.run_command("/bin/sh -c 'python3 module'")
    assert runner.submits == [[b"content"]]


def make_folder(host: HostConnection, parent: Path) -> Path:
    """Make a temporary folder as ansible-core does, and return it."""
    host.run_command(MAKE.replace("/root/.ansible/tmp", str(parent)))
    return parent / "ansible-tmp-1"


def remove_folder(host: HostConnection, parent: Path) -> CommandResult:
    return host.run_command(REMOVE.replace("/root/.ansible/tmp", str(parent)))


def test_a_module_that_uses_up_files_removes_their_folder(tmp_path: Path) -> None:
    runner = LocalRunner(lambda: None)
    host = connect(runner)
    folder = make_folder(host, tmp_path)
    assert host.run_command("/bin/sh -c 'cat; exit 0'", b"stat", uses_up_files=True).stdout == b"stat"
    for content in (b"one", b"two"):
        assert not folder.exists()
        host.put(content, f"{folder}/source")
        host.run_command(f"/bin/sh -c 'chmod u+x {folder}/ {folder}/source'")
        command = f"/bin/sh -c 'stat -c %a {folder}; cat {folder}/* -'"
        assert host.run_command(command, b" module", uses_up_files=True).stdout == b"700\n" + content + b" module"
    assert remove_folder(host, tmp_path).rc == 0
    host.close()
    assert list(tmp_path.iterdir()) == []
    assert len(runner.submits) == 3, "the removal costs no submit"


def test_a_module_from_a_file_removes_the_folder_of_its_files(tmp_path: Path) -> None:
    runner = LocalRunner(lambda: None)
    host = connect(runner)
    folder = make_folder(host, tmp_path)
    host.put(b"content", f"{folder}/source")
    module = random.Random(4).randbytes(2_000_000)
    result = host.run_command(f"/bin/sh -c 'cat {folder}/source; wc -c'", module, uses_up_files=True)
    assert (result.rc, result.stdout.split()) == (0, [b"content2000000"])
    assert not folder.exists()


@pytest.mark.parametrize(("rc", "submits"), [(3, 1), (125, 2)])
def test_only_missing_cached_parts_leave_the_folder_to_ansible_core(tmp_path: Path, rc: int, submits: int) -> None:
    runner = LocalRunner(lambda: None)
    host = connect(runner)
    folder = make_folder(host, tmp_path)
    host.put(b"content", f"{folder}/source")
    assert host.run_command(f"/bin/sh -c 'exit {rc}'", b"module", uses_up_files=True).rc == rc
    assert remove_folder(host, tmp_path).rc == 0
    host.close()
    assert list(tmp_path.iterdir()) == []
    assert len(runner.submits) == submits


def test_a_module_whose_cached_parts_are_missing_finds_its_files_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = b"printf 'alpacon: cached parts of this module are missing digest'; exit 125"
    failing = ReducedModule(program, "digest", frozenset(), relies_on_host=True)
    monkeypatch.setattr(connection, "reduce_module", lambda _module, _cached: failing)
    runner = LocalRunner(lambda: None)
    host = HostConnection(runner, "copy", "")  # type: ignore[arg-type]
    folder = make_folder(host, tmp_path)
    host.put(b"content", f"{folder}/source")
    result = host.run_command("/bin/sh -c sh", f"cat {folder}/source".encode(), uses_up_files=True)
    assert (result.rc, result.stdout) == (0, b"content")
    assert not folder.exists()


def test_files_elsewhere_are_written_at_once() -> None:
    with pytest.raises(HostStepFailed, match="no such folder"):
        connect(RecordingRunner(UNDONE)).put(b"content", "/proc/nonexistent/motd")


class LocalRunner(RecordingRunner):
    """Run payloads on this machine, and call a function after the first."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def run_body(self, label: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = ()) -> CommandResult:
        super().run_body(label, body, stdin, files)
        frame = run_and_read_frame(pack(label, body, stdin, files))
        if len(self.submits) == 1:
            self._meanwhile()
        return CommandResult(frame.rc, frame.stdout, frame.stderr, frame.mark)


class LimitedRunner(LocalRunner):
    """Run payloads on this machine behind a proxy that accepts files of up to this many bytes."""

    def __init__(self, most: int) -> None:
        super().__init__(lambda: None)
        self._most = most

    def run_body(self, label: str, body: str, stdin: bytes = b"", files: Sequence[bytes] = ()) -> CommandResult:
        if sum(map(len, files)) > self._most:
            self.submits.append(list(files))
            raise RequestTooLarge("web-01: it is too large")
        return super().run_body(label, body, stdin, files)


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda folder: next(folder.glob("*.alpacon-*/*")).unlink(),
        lambda folder: next(folder.glob("*.alpacon-*/*")).write_bytes(b"x"),
        lambda folder: shutil.rmtree(next(folder.glob("*.alpacon-*"))),
    ],
    ids=["a part is missing", "a part differs", "all are removed"],
)
def test_a_large_file_changes_only_if_all_its_parts_arrived(
    meanwhile: Callable[[Path], object], tmp_path: Path
) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"before")
    runner = LocalRunner(lambda: meanwhile(tmp_path))
    host = connect(runner)
    with pytest.raises(HostStepFailed):
        host.put(random.Random(5).randbytes(1_500_001), str(file))
    host.close()
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_large_files_are_put_and_fetched_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PIECES", (100_000,))
    monkeypatch.setattr(connection, "_DEFERRED", 100_000)
    monkeypatch.setattr(connection, "_FETCHED_PIECE", 100_000)
    content = random.Random(7).randbytes(1_000_001)
    runner = LocalRunner(lambda: None)
    host = connect(runner)
    host.run_command(MAKE.replace("/root/.ansible/tmp", str(tmp_path)))
    folder = tmp_path / "ansible-tmp-1"
    host.put(content, f"{folder}/large")
    assert len(runner.submits) == 11, "with the first one the folder is made, and the next command joins the parts"
    host.run_command(f"/bin/sh -c 'chmod u+x {folder}/large'")
    assert host.run_command("/bin/sh -c 'echo done'").stdout == b"done\n"
    assert len(runner.submits) == 12
    assert [(file.name, file.read_bytes()) for file in folder.iterdir()] == [("large", content)]
    assert os.access(folder / "large", os.X_OK)
    runner.submits.clear()
    host.fetch(f"{folder}/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert len(runner.submits) == 11


def test_files_are_compressed_in_both_directions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_FETCHED_PIECE", 20_000)
    # The beginning compresses better than the rest.
    content = bytes(300_000) + b"".join(b"line %d\n" % number for number in range(20_000)) + bytes(2_000_000)
    runner = LocalRunner(lambda: None)
    host = connect(runner)
    host.put(content, str(tmp_path / "large"))
    assert (tmp_path / "large").read_bytes() == content
    assert len(runner.submits) == 1
    host.fetch(str(tmp_path / "large"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert len(runner.submits) < 12


@pytest.mark.parametrize(
    "meanwhile",
    [lambda file: os.truncate(file, 150_000), lambda file: file.write_bytes(bytes(250_000))],
    ids=["shorter", "other bytes"],
)
def test_fetching_a_file_that_changes_meanwhile_fails(
    meanwhile: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_FETCHED_PIECE", 100_000)
    file = tmp_path / "large"
    file.write_bytes(random.Random(6).randbytes(250_000))
    with pytest.raises(HostStepFailed, match="has changed while it was read"):
        connect(LocalRunner(lambda: meanwhile(file))).fetch(str(file), tmp_path / "back")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("output", [b"", b"no gzip", *(gzip.compress(bytes(size), mtime=0) for size in (10_000, 1))])
def test_fetching_trusts_neither_the_bytes_nor_the_size_of_a_host(output: bytes, tmp_path: Path) -> None:
    stderr = b"100\n%s  -\n" % hashlib.sha256(bytes(10_000)).hexdigest().encode()
    runner = RecordingRunner(answers=[CommandResult(0, output, stderr)] * 3)
    with pytest.raises(HostStepFailed):
        connect(runner).fetch("/etc/motd", tmp_path / "back")
    assert len(runner.submits) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_dash_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-n").write_bytes(b"content")
    connect(LocalRunner(lambda: None)).fetch("-n", tmp_path / "back")
    assert Path("back").read_bytes() == b"content"


def test_fetching_a_missing_or_too_large_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = connect(LocalRunner(lambda: None))
    with pytest.raises(HostStepFailed, match=f"{tmp_path}/none: no such file"):
        host.fetch(f"{tmp_path}/none", tmp_path / "back")
    (tmp_path / "there").write_bytes(bytes(150))
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=100))
    with pytest.raises(HostStepFailed, match=r"has 150 bytes, and .* has room for 100\. Fetch it"):
        host.fetch(f"{tmp_path}/there", tmp_path / "back")


@pytest.mark.parametrize("refusal", [PayloadTooLarge(2_000_000), RequestTooLarge("web-01: it is too large")])
def test_a_file_and_a_module_that_do_not_fit_into_one_submit_use_two(refusal: Exception) -> None:
    runner = RecordingRunner(answers=[refusal])
    host = connect(runner)
    host.run_command(MAKE)
    host.put(b"content", f"{FOLDER}/source")
    assert host.run_command("/bin/sh -c python3", b"a module").rc == 0
    assert runner.submits == [[b"content"], [b"content"], []]
    assert ["mkdir" in body for body in runner.bodies] == [True, True, False]


def test_refused_pieces_become_smaller_down_to_a_minimum(tmp_path: Path) -> None:
    content = random.Random(8).randbytes(800_000)
    runner = LimitedRunner(200_000)
    connect(runner).put(content, str(tmp_path / "large"))
    assert (tmp_path / "large").read_bytes() == content
    sizes = [len(files[0]) for files in runner.submits if files]
    assert sizes[:4] == [len(compress(content)), 750_000, 375_000, 187_500]
    assert len(sizes) == 8
    runner.submits.clear()
    connect(runner).put(content, str(tmp_path / "large"))
    assert len(runner.submits) == 6, "the accepted size is recorded"
    refusing = LimitedRunner(0)
    host = connect(refusing)
    with pytest.raises(RequestTooLarge):
        host.put(content, str(tmp_path / "other"))
    assert len(refusing.submits) == 6


@pytest.mark.parametrize("stdin", [b"", b"a module"])
def test_deferred_files_are_written_in_pieces_if_they_are_refused_together(stdin: bytes, tmp_path: Path) -> None:
    content = {name: random.Random(name).randbytes(300_000) for name in ("one", "two")}
    runner = LimitedRunner(100_000)
    connection = connect(runner)
    connection.run_command(MAKE.replace("/root/.ansible/tmp", str(tmp_path)))
    for name, written in content.items():
        connection.put(written, f"{tmp_path}/ansible-tmp-1/{name}")
    connection.run_command(f"/bin/sh -c 'chmod u+x {tmp_path}/ansible-tmp-1/one'")
    assert runner.submits == []
    answer = connection.run_command(
        f"/bin/sh -c 'cat {tmp_path}/ansible-tmp-1/* -; echo run >> {tmp_path}/runs'", stdin
    )
    assert answer.stdout == content["one"] + content["two"] + stdin
    assert os.access(tmp_path / "ansible-tmp-1/one", os.X_OK)
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "run\n"
    assert sum("mkdir -p" in body for body in runner.bodies) == 1, "an accepted submit is not sent again"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home, and set a folder for temporary files that does not exist."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/proc/nonexistent")
    return tmp_path


def test_old_module_files_are_removed(home: Path) -> None:
    for hours in (1, 7):
        (home / f"alpacon-module-{hours}").touch()
        os.utime(home / f"alpacon-module-{hours}", (time.time() - hours * 3600,) * 2)
    runner = LocalRunner(lambda: None)
    runner.read_run_file = lambda name: None  # type: ignore[method-assign]
    connect(runner).run_command("/bin/sh -c true")
    assert [file.name for file in home.iterdir()] == ["alpacon-module-1"]
