# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import random
import re
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import (
    Frame,
    PayloadRefused,
    read_frame,
    read_pieces,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import (
    LATE,
    MAX_PAYLOAD_BYTES,
    MAX_VARIABLE_BYTES,
    NOT_AFTER,
    REFUSED_RC,
    PayloadTooLarge,
    compress,
    is_reserved_variable,
    make_label,
    pack,
    parse_digest,
)
from ansible_collections.herdops.alpacon.tests.unit.payload_runner import SHELLS, run_and_read_frame, run_payload

ANY_BYTES = random.Random(7).randbytes(700_000)


@pytest.mark.parametrize("shell", SHELLS)
def test_streams_are_separate_and_exact_to_the_byte(shell: str) -> None:
    body = "cat; printf '\\377\\0\\n\\n' >&2; exit 3"
    frame = run_and_read_frame(pack("script:x", body, ANY_BYTES), shell)
    assert (frame.stdout, frame.stderr, frame.rc) == (ANY_BYTES, b"\xff\0\n\n", 3)


@pytest.mark.parametrize("stdin", [b"", os.urandom(200_000)], ids=["no input", "input"])
@pytest.mark.parametrize("shell", SHELLS)
def test_the_body_has_no_variable_argument_or_descriptor_of_the_payload(shell: str, stdin: bytes) -> None:
    frame = run_and_read_frame(pack("script:x", "echo $# >&2; ls /proc/self/fd >&2; env", stdin), shell)
    names = {line.partition("=")[0] for line in frame.stdout.decode(errors="replace").splitlines()}
    assert "PATH" in names
    assert not [name for name in names if is_reserved_variable(name) or name.startswith("alpacon")]
    # No arguments. Descriptor 3 is the folder that ls reads, and 9 is for marks.
    assert frame.stderr.split() == [b"0", b"0", b"1", b"2", b"3", b"9"]


@pytest.mark.parametrize("shell", SHELLS)
def test_variables_are_exact_although_workspaces_trim_values(shell: str) -> None:
    env = {
        "A": "  a  ",
        "KEY": "-----END-----\n",
        "B": " \t\n",
        "C": ".c.",
        "D": "\u00a0.d.\u00a0",
        "E": "",
        "F": "$(x)`y`\n",
    }
    payload = pack("script:x", 'printf "[%s]" "$A" "$KEY" "$B" "$C" "$D" "$E" "$F"; env | grep ^A=', b"", (), env)
    assert all(value == value.strip() for value in payload.env.values())
    payload.env.update({name: value.strip() for name, value in payload.env.items()})
    frame = run_and_read_frame(payload, shell)
    assert frame.stdout.decode() == "".join(f"[{value}]" for value in env.values()) + "A=  a  \n"


def test_repr_has_no_values_of_variables() -> None:
    assert "hunter2" not in repr(pack("script:x", "true", b"", (), {"PASSWORD": "hunter2"}))


def test_the_digest_does_not_cover_variables() -> None:
    lines = {pack("script:x", "true", b"", (), env).line for env in ({}, {"A": " a"}, {"A": "a"}, {"B": "b "})}
    assert len(lines) == 1


def test_the_body_reads_files_by_number() -> None:
    files = [b"one\n", b"", ANY_BYTES]
    body = "alpacon_part 2; alpacon_part 3 | wc -c; alpacon_part 4 | sha256sum"
    frame = run_and_read_frame(pack("script:x", body, b"", files))
    assert frame.stdout.split() == [b"one", b"0", hashlib.sha256(ANY_BYTES).hexdigest().encode(), b"-"]


def test_a_payload_with_another_digest_is_not_run() -> None:
    payload = pack("script:x", "echo ran")
    other = pack("script:x", "echo other")
    payload.env.update(P0=other.env["P0"])
    refused = run_payload(payload)
    assert refused.returncode == 126
    assert "the digest differs" in refused.stdout
    assert "ran" not in refused.stdout.split()


def test_a_line_without_its_variables_runs_nothing() -> None:
    payload = pack(make_label("script", "reboot"), "echo ran")
    payload.env.clear()
    assert "not found" in run_payload(payload, "dash", RUN="").stdout


def test_the_refusal_names_a_missing_tool(tmp_path: Path) -> None:
    done = run_payload(pack("script:x", "echo ran"), PATH=str(tmp_path))
    assert "[refused base64 is not installed]" in done.stdout


def test_variables_stay_within_the_limits_of_systems() -> None:
    payload = pack("script:x", "", ANY_BYTES)
    assert all(len(f"{name}={value}".encode()) <= MAX_VARIABLE_BYTES for name, value in payload.env.items())
    assert all(value == value.strip() and value.isascii() for value in payload.env.values())
    with pytest.raises(PayloadTooLarge, match=f"the limit of one submit is {MAX_PAYLOAD_BYTES}") as caught:
        pack("script:x", "", random.Random(1).randbytes(1_200_000))
    assert caught.value.size > MAX_PAYLOAD_BYTES


def test_the_digest_covers_body_input_and_files() -> None:
    digests = {
        pack("a:b", body, stdin, files).digest
        for body, stdin, files in (
            ("x", b"", ()),
            ("y", b"", ()),
            ("x", b"y", ()),
            ("", b"xy", ()),
            ("x", b"", (b"y",)),
            ("x", b"", (b"y", b"")),
        )
    }
    assert len(digests) == 6
    assert pack("a:b", "x").digest == pack("c:d", "x").digest == parse_digest(pack("e:f", "x").line)


def test_packing_is_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    # Retries of a task, and its other hosts, recognize a submit by its digest.
    first = pack("script:x", "x", b"y", [b"z"])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    assert pack("script:x", "x", b"y", [b"z"]) == first


@pytest.mark.parametrize(
    "line", ["", "/bin/sh -c $RUN", f"/bin/sh -c $RUN a b sha256:{64 * 'a'}", f"x sha256:{64 * 'a'}"]
)
def test_other_lines_have_no_payload(line: str) -> None:
    assert parse_digest(line) is None


@pytest.mark.parametrize("name", ["reboot", "a b;c", "$(x)", "", "ä" * 90, "../x", "-n"])
def test_labels_need_no_quotes(name: str) -> None:
    label = make_label("script", name)
    assert re.fullmatch(r"script:[A-Za-z0-9._-]+", label)
    assert len(label) <= 64


@pytest.mark.parametrize(
    ("content", "most"),
    [(b"", 1), (b"a line of text\n" * 1000, 0.1), (base64.b64encode(random.Random(1).randbytes(20_000)), 0.77)],
)
def test_text_and_base64_are_compressed(content: bytes, most: float) -> None:
    packed = compress(content)
    assert gzip.decompress(packed) == content
    assert len(packed) <= most * len(content) + 25


@pytest.mark.parametrize("shell", SHELLS)
def test_a_live_payload_is_exact_and_has_both_streams_as_they_are_printed(shell: str) -> None:
    body = "echo first; echo second >&2; cat; printf '\\377\\0\\n\\n' >&2; exit 3"
    payload = pack("script:x", body, ANY_BYTES, live=True)
    frame = run_and_read_frame(payload, shell)
    assert (frame.stdout, frame.stderr, frame.rc) == (b"first\n" + ANY_BYTES, b"second\n\xff\0\n\n", 3)
    assert payload.digest == pack("script:x", body, ANY_BYTES).digest


def test_a_live_payload_writes_each_line_at_once(tmp_path: Path) -> None:
    # The body waits until its first lines were read.
    wait = f"until [ -e {tmp_path}/go ]; do n=x$n; [ ${{#n}} -lt 2000 ] || exit 9; sleep 0.01; done"
    body = f"n=; echo first; echo second >&2; {wait}; echo third"
    payload = pack("script:x", body, live=True)
    argv = [payload.env[word[1:]] if word.startswith("$") else word for word in payload.line.split()]
    text = ""
    with subprocess.Popen(argv, env={**os.environ, **payload.env}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            text += line
            pieces, _rest = read_pieces(text.partition("]\n")[2])
            if {content for _stream, _number, content in pieces} >= {b"first\n", b"second\n"}:
                (tmp_path / "go").touch()
    assert read_frame(payload.digest, text) == Frame(b"first\nthird\n", b"second\n", 0)


EXPIRING = pack("script:x", 'echo "ran${alpacon_not_after-}"; env', b"input", expires=True)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_payload_in_time_runs_without_a_trace_of_the_check(shell: str) -> None:
    done = run_payload(EXPIRING, shell, **{NOT_AFTER: str(int(time.time()) + 3600)})
    frame = read_frame(EXPIRING.digest, done.stdout)
    assert frame.stdout.startswith(b"ran\n")
    assert NOT_AFTER.encode() not in frame.stdout


@pytest.mark.parametrize("end", ["1", "", "later"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_late_payload_and_one_without_a_time_do_not_run(shell: str, end: str) -> None:
    done = run_payload(EXPIRING, shell, **{NOT_AFTER: end})
    assert done.returncode == REFUSED_RC
    with pytest.raises(PayloadRefused, match=LATE):
        read_frame(EXPIRING.digest, done.stdout)


@pytest.mark.parametrize("date", ["exit 1", "echo +%s", "echo"])
def test_a_server_that_cannot_tell_the_time_refuses_the_payload(tmp_path: Path, date: str) -> None:
    (tmp_path / "date").write_text(f"#!/bin/sh\n{date}\n", encoding="utf-8")
    (tmp_path / "date").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run_payload(EXPIRING, PATH=path, **{NOT_AFTER: str(int(time.time()) + 3600)})
    with pytest.raises(PayloadRefused, match="tells no time"):
        read_frame(EXPIRING.digest, done.stdout)


def test_the_digest_does_not_depend_on_the_check() -> None:
    assert pack("script:x", "id", expires=True).line == pack("script:x", "id").line
