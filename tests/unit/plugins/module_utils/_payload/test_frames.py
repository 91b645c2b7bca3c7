# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._payload.frames import (
    Frame,
    FrameError,
    IncompleteFrame,
    PayloadRefused,
    read_frame,
    read_pieces,
)

DIGEST, OTHER = "a" * 64, "b" * 64


def lines(content: bytes) -> str:
    text = base64.encodebytes(content).decode()
    return f"{text}{text.count(chr(10))}\n" if content else ""


def frame(stdout: bytes = b"", stderr: bytes = b"", rc: str = "[rc 0]\n", digest: str = DIGEST) -> str:
    return f"[alpacon {digest}]\n{lines(stdout)}[stderr]\n{lines(stderr)}{rc}[end]\n"


def test_other_output_around_a_frame_is_ignored() -> None:
    whole = frame(b"out" * 999, b"err", "[skipped]\n[rc 7]\n")
    assert read_frame(DIGEST, f"sh: warning\n{whole}Command timed out") == Frame(b"out" * 999, b"err", 7, "skipped")


def test_carriage_returns_and_a_missing_last_line_end_are_accepted() -> None:
    whole = frame(b"out" * 99, b"err" * 99)
    assert read_frame(DIGEST, whole.replace("\n", "\r\n").strip()) == Frame(b"out" * 99, b"err" * 99, 0)


def test_a_frame_with_a_missing_or_repeated_line_is_refused() -> None:
    whole = frame(b"standard output " * 40, b"standard error " * 40)
    pieces = whole.splitlines(keepends=True)
    for number, piece in enumerate(pieces):
        for instead in ("", piece * 2, piece[: len(piece) // 2], f"!{piece}"):
            torn = "".join([*pieces[:number], instead, *pieces[number + 1 :]])
            if whole.strip() in torn:
                continue
            with pytest.raises(FrameError):
                read_frame(DIGEST, torn)


@pytest.mark.parametrize("length", [1, 4, 50, 78, 200])
def test_the_beginning_of_the_stream_ends_at_a_gap(length: int) -> None:
    stdout = b"".join(b"%d\n" % number for number in range(300))
    whole = frame(stdout)
    for start in range(100, 500, 37):
        with pytest.raises(FrameError) as caught:
            read_frame(DIGEST, whole[:start] + whole[start + length :])
        assert stdout.startswith(caught.value.stdout)


@pytest.mark.parametrize(
    "output",
    [
        frame(b"x", digest=OTHER),
        frame(b"x") + frame(b"y"),
        frame(b"x") + frame(b"y", digest=OTHER),
        frame(b"x", rc="[rc 1000]\n"),
        frame(b"x", rc="[rc -1]\n"),
        frame(b"x", rc="[rc 0]\n[rc 1]\n"),
        frame(b"x", rc="[other]\n[rc 0]\n"),
        frame(b"x", rc=""),
        "",
    ],
)
def test_other_and_several_frames_are_refused(output: str) -> None:
    with pytest.raises(FrameError):
        read_frame(DIGEST, output)


def test_a_refusal_raises_its_own_error() -> None:
    with pytest.raises(PayloadRefused, match=r"^sed is not installed$"):
        read_frame(DIGEST, f"[alpacon {DIGEST}]\n[refused sed is not installed]\n[end]\n")
    with pytest.raises(PayloadRefused, match=r"^x{100}$"):
        read_frame(DIGEST, f"[alpacon {DIGEST}]\n[refused {'x' * 101}]\n[end]\n")
    with pytest.raises(FrameError) as caught:
        read_frame(DIGEST, f"[alpacon {DIGEST}]\nZXJy\n[refused because]\n[end]\n")
    assert not isinstance(caught.value, PayloadRefused)


def piece(stream: str, number: int, content: bytes = b"") -> str:
    text = base64.b64encode(content).decode()
    return f"{text}[{stream} {number} {len(text)}]\n"


def test_a_live_frame_with_a_missing_or_repeated_piece_is_refused() -> None:
    pieces = [
        *[piece("out", number, b"standard output %d " % number * 9) for number in range(1, 5)],
        *(piece("err", 1, b"error"), piece("out", 5), piece("err", 2)),
    ]

    def join(parts: list[str]) -> str:
        return f"[alpacon {DIGEST}]\n{''.join(parts)}[stderr]\n[rc 0]\n[end]\n"

    assert read_frame(DIGEST, join(pieces)).stderr == b"error"
    whole = read_frame(DIGEST, join(pieces).replace("\n", "\r\n")).stdout
    for number, one in enumerate(pieces):
        for instead in ("", one[1:], one[: len(one) // 2], f"!{one}"):
            with pytest.raises(FrameError) as caught:
                read_frame(DIGEST, join([*pieces[:number], instead, *pieces[number + 1 :]]))
            assert whole.startswith(caught.value.stdout)


def test_line_ends_that_a_shell_writes_by_themselves_divide_no_piece() -> None:
    text = f"{piece('out', 1, b'output')[:-1]}{piece('err', 1, b'error')[:-1]}\n\n{piece('out', 2)}[er"
    assert read_pieces(text) == ([("out", 1, b"output"), ("err", 1, b"error"), ("out", 2, b"")], "\n[er")


def test_the_beginning_of_a_live_frame_is_read() -> None:
    for end in ("", "[stderr]\n"):
        with pytest.raises(IncompleteFrame) as caught:
            read_frame(DIGEST, f"[alpacon {DIGEST}]\n{piece('out', 1, b'so far')}{piece('err', 1, b'x')}eHh4{end}")
        assert caught.value.stdout == b"so far"
