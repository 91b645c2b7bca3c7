# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send files of scanners through the payload in the shells of servers, parse them, and keep them."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import build_script, parse_answers
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanner_files import (
    EvidenceFolder,
    ScannerFile,
    parse_files,
)
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import PART_WRITER, read_parts

from .test_payloads import SHELLS

NAMES = ("arf.xml", "report.html")
FILE = ScannerFile("arf.xml.xz", b"x", size=1, digest=hashlib.sha256(b"x").hexdigest())


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run_check(line: str, folder: Path, shell: str = "/bin/sh", path: str = os.environ["PATH"]) -> list[ScannerFile]:
    """Run a check that writes files, and one after it. Return the files."""
    one, two = parse_checks("checks", [{"name": "a b", "line": line}, {"name": "two", "line": 'echo "<$audit_files>"'}])
    checks = [replace(one, files=NAMES), two]
    argv = [*shlex.split(shell), "-c", f"{PART_WRITER}{build_script(checks, shell)[1]}"]
    env = {"PATH": path, "TMPDIR": str(folder)}
    stdout = read_parts(subprocess.run(argv, capture_output=True, env=env, check=False).stdout)
    answers = parse_answers(stdout, checks)
    assert (answers["a b"].output, answers["two"].output) == ("done\n", "<>\n")
    assert not list(folder.iterdir())
    files = parse_files(stdout, {"a b": NAMES})
    assert list(files) == ["a b"]
    return files["a b"]


def test_files_arrive_exactly(shell: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 999 + b"\na%20b arf.xml.xz sha256 0"
    (tmp_path / "in").write_bytes(content)
    (tmp_path / "tmp").mkdir()
    arf, report = run_check(
        f'cat {tmp_path}/in >"$audit_files/arf.xml"; echo hi >"$audit_files/other.xml"; echo "done"',
        tmp_path / "tmp",
        shell,
    )
    assert (arf.name, lzma.decompress(arf.content), arf.problem) == ("arf.xml.xz", content, "")
    assert (arf.size, arf.digest) == (len(arf.content), hashlib.sha256(arf.content).hexdigest())
    assert (report.name, report.content, bool(report.problem)) == ("report.html", b"", True)


def test_a_server_without_xz_sends_gzip(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "bin/xz").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "bin/xz").chmod(0o755)
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    arf, _report = run_check('echo hi >"$audit_files/arf.xml"; echo "done"', tmp_path / "tmp", path=path)
    assert (arf.name, gzip.decompress(arf.content)) == ("arf.xml.gz", b"hi\n")


def test_a_file_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    line = 'head -c 5000000 /dev/urandom >"$audit_files/arf.xml"; echo hi >"$audit_files/report.html"; echo "done"'
    arf, report = run_check(line, tmp_path)
    assert arf.content == b""
    assert "5,000,3" in arf.problem
    assert lzma.decompress(report.content) == b"hi\n"


def test_damaged_and_forged_files_are_refused() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    parts = [
        f"a arf.xml.xz\nx\na arf.xml.xz sha256 {digest[::-1]}",
        f"a ../report.html.xz\nx\na ../report.html.xz sha256 {digest}",
        f"b report.html.xz\nx\nb report.html.xz sha256 {digest}",
        f"a report.html\nx\na report.html sha256 {digest}",
        "a\nx\na rc 0 in 30 by 0",
    ]
    stdout = "".join(f"[part {len(part)}]\n{part}\n" for part in parts).encode()
    arf, report = parse_files(stdout, {"a": NAMES})["a"]
    assert (arf.problem, arf.content) == ("It was damaged on its way.", b"")
    assert (report.problem, report.content) == ("The server did not send it.", b"")


def test_the_folder_has_the_digests_of_all_files(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path)
    assert folder.write_sums() is None
    stored = [folder.store(host, "cis", FILE) for host in ("web 1", "../web", "..", ".")]
    assert {file.content for file in stored} == {b""}
    assert all((tmp_path / file.path).read_bytes() == b"x" for file in stored)
    sums = folder.write_sums()
    assert sums
    assert sums["sha256"] == hashlib.sha256((tmp_path / sums["path"]).read_bytes()).hexdigest()
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path / "evidence", check=True)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "evidence", *tmp_path.glob("evidence/*"))} == {0}
    assert len(list(tmp_path.rglob("*"))) == 6


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("a file is in the way")
    file = EvidenceFolder(tmp_path).store("web-01", "cis", FILE)
    assert file.to_row("cis") == {
        "check": "cis",
        "name": "arf.xml.xz",
        "path": None,
        "bytes": None,
        "sha256": None,
        "problem": "It could not be written: File exists.",
    }
