# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of a command: a stream of chunks, and a copy for the result."""

from __future__ import annotations

import asyncio
import codecs
import time
import typing as t

from .faults import CommandFaults
from .reports import Reports

CHUNK_BYTES = 4096
CHUNK_SECONDS = 0.1
HALF_BYTES = 512 * 1024


def _replace_bytes(error: UnicodeError) -> tuple[str, int]:
    """Replace each invalid byte, as Go does; Python replaces each invalid sequence."""
    assert isinstance(error, UnicodeDecodeError)
    return "\N{REPLACEMENT CHARACTER}" * (error.end - error.start), error.end


codecs.register_error("replace-bytes", _replace_bytes)

OutputMode = t.Literal["both", "result", "chunks"]


class Copy:
    """The whole output, or its first and last 512 KiB around a marker."""

    def __init__(self) -> None:
        self._head, self._tail, self._dropped = bytearray(), bytearray(), 0

    def add(self, data: bytes) -> None:
        room = HALF_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > HALF_BYTES + 64 * 1024:
            self._trim()

    def _trim(self) -> None:
        excess = max(len(self._tail) - HALF_BYTES, 0)
        del self._tail[:excess]
        self._dropped += excess

    def text(self) -> str:
        """Return the text; each byte of a divided character becomes U+FFFD."""
        self._trim()
        if not self._dropped:
            return (self._head + self._tail).decode(errors="replace-bytes")
        marker = f"\n... [{self._dropped} bytes truncated] ...\n"
        return self._head.decode(errors="replace-bytes") + marker + self._tail.decode(errors="replace-bytes")


class CommandOutput:
    """The output of one command, sent in chunks of 4 KiB or after 100 ms."""

    def __init__(self, reports: Reports, place: str, faults: CommandFaults, kept: OutputMode) -> None:
        self._reports, self._place, self._faults, self._kept = reports, place, faults, kept
        self._copy = Copy()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace-bytes")
        self._pending, self._since, self._seq = bytearray(), 0.0, 0
        self._reversed: list[tuple[int, str]] = []
        self._sent: list[asyncio.Future[bool]] = []

    def flush_timeout(self) -> float | None:
        """Return the seconds until pending output must be sent; None if nothing is pending."""
        return max(0.0, self._since + CHUNK_SECONDS - time.monotonic()) if self._pending else None

    async def add(self, data: bytes) -> None:
        self._copy.add(data)
        if self._kept == "result":
            return
        if not self._pending:
            self._since = time.monotonic()
        self._pending += data
        while len(self._pending) >= CHUNK_BYTES:
            self._send(CHUNK_BYTES)
            await self._reports.room()

    def flush(self) -> None:
        self._send(len(self._pending), final=True)

    def add_message(self, text: str) -> None:
        """Add an error message of the agent: the stream names its author, the result does not."""
        self._copy.add(text.encode())
        if self._kept != "result":
            self._pending += f"alpamon: {text}\n".encode()

    async def end(self) -> None:
        self._send(len(self._pending), final=True)
        for seq, content in reversed(self._reversed):
            self._post(seq, content)
        if self._sent:
            await asyncio.gather(*self._sent)

    def text(self) -> str:
        return "" if self._kept == "chunks" else self._copy.text()

    def _send(self, size: int, final: bool = False) -> None:
        content = self._decoder.decode(bytes(self._pending[:size]), final)
        del self._pending[:size]
        if not content:
            return
        seq, self._seq = self._seq, self._seq + 1
        if self._faults.get("drop_chunk", seq):
            return
        late = self._faults.get("late_chunk", seq)
        if late:
            self._reports.put_later(float(late.get("seconds", 1)), f"{self._place}/chunk/", _chunk(seq, content))
        elif self._faults.get("reverse_chunks"):
            self._reversed.append((seq, content))
        else:
            self._post(seq, content)
        if self._faults.get("duplicate_chunk", seq):
            self._post(seq, content)

    def _post(self, seq: int, content: str) -> None:
        self._sent.append(self._reports.put(f"{self._place}/chunk/", _chunk(seq, content)))
        if len(self._sent) > 64:
            self._sent = [sent for sent in self._sent if not sent.done()]


def _chunk(seq: int, content: str) -> dict[str, t.Any]:
    return {"seq": seq, "content": content}
