# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the output of running commands line by line, with the name of the server in front."""

from __future__ import annotations

import codecs
import contextlib
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._api.client import Client
from .._api.errors import AlpaconError, ApiError, UnknownEndpoint, clean_line
from .._api.outputs import Output, fetch_chunks
from .._api.records import IN_PROGRESS, to_text
from .._options.secrets import StreamMask, mask_secrets
from .._payload.frames import read_pieces
from .._payload.packing import parse_digest
from .jobs import Job
from .pacing import PACING
from .push import Push
from .run import Run

#: With more commands than this, a task prints counts instead.
MAX_FOLLOWED = 20
#: Seconds between two reads of the output of a command, so that a line is printed within three seconds.
READ_EVERY = 2.5
#: Longest pause between two reads when less than half of the quota is left, so that a line is printed within ten
#: seconds. The last tenth of the quota is for polls of the ends of commands.
_LONGEST_PAUSE = 8.0
#: Seconds between two checks for new output of a quiet command, and between two reads in case an event was lost.
_CHECK_EVERY, _QUIET = 0.5, 30.0
#: Reads without output after which a command counts as quiet.
_EMPTY_READS = 2
#: The most lines that are printed after a read, and the most characters of a line.
_MAX_LINES, _MAX_LINE = 200, 4096
#: The most characters that are kept of a payload until the next piece is complete, and about as many leading blanks.
_MAX_PIECE = 8192


class LineBuffer:
    """Split a text that arrives in parts into lines without secrets.

    Between two parts it keeps at most two lines of :data:`_MAX_LINE` characters, and what may be a secret.
    """

    def __init__(self, secrets: set[str]) -> None:
        self._secrets = secrets
        self._mask = StreamMask(secrets)
        self._line = ""
        self._is_cut = False
        #: Number of lines that were complete.
        self._complete = 0

    def add(self, text: str, is_end: bool = False) -> list[str]:
        """Return the lines that are complete; at the end, the last one too."""
        *lines, self._line = (self._line + self._mask.add(text, is_end)).split("\n")
        if is_end and self._line:
            lines.append(self._line)
            self._line = ""
        if len(self._line) > 2 * _MAX_LINE:
            shown = _overwrite(self._line)
            self._line = shown[: _MAX_LINE + 1] + ("\r" if self._line.endswith("\r") else "")
        self._complete += len(lines)
        if lines and self._is_cut:
            self._is_cut = False
            del lines[0]
        return [_shorten(_overwrite(line)) for line in lines]

    def end(self, whole: str) -> list[str]:
        """Return the lines of the whole text that were not complete yet."""
        # Lines are counted: characters that the agent cut between two chunks have another length in the result.
        text = str(mask_secrets(whole, self._secrets))
        start = _find_line(text, self._complete)
        if start < 0:
            return self.cut()
        lines = text[start:].removesuffix("\n").split("\n") if text[start:] else []
        return [_shorten(_overwrite(line)) for line in lines]

    def cut(self) -> list[str]:
        """Return the last line of a text whose end is missing, without what may be the start of a secret."""
        self._mask.drop()
        return self.add("", True)

    def skip(self) -> None:
        """Drop the line that is not complete, and the rest of it that still arrives."""
        self._mask.drop()
        self._line, self._is_cut = "", True


def _find_line(text: str, number: int) -> int:
    """Return where the line with this number, from 0 on, starts; -1 if there are fewer line breaks."""
    start = 0
    for _line in range(number):
        start = text.find("\n", start) + 1
        if not start:
            return -1
    return start


def _overwrite(line: str) -> str:
    """Return what a terminal shows of a line with carriage returns, such as a progress bar."""
    return line.rstrip("\r").rpartition("\r")[2]


def _shorten(line: str) -> str:
    return line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]} ..."


class LiveOutput:
    """Turn the output of one command into lines as it arrives.

    Args:
        digest: that of a live payload, whose pieces are decoded; None for a line.
    """

    def __init__(self, secrets: set[str], digest: str | None) -> None:
        self._begin = f"[alpacon {digest}]" if digest else ""
        self._buffers = {stream: LineBuffer(secrets) for stream in ("out", "err")}
        self._decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in self._buffers}
        self._has_begun = False
        self._raw = ""
        #: Blanks at the start of the output, which some workspaces strip from the result.
        self._indent, self._is_blank = "", True
        #: Number of line breaks, and of the characters after the last one.
        self._breaks = self._column = 0

    def add(self, text: str, is_end: bool = False) -> list[str]:
        if self._is_blank:
            self._indent += text[: len(text) - len(text.lstrip())]
            self._is_blank = len(self._indent) < _MAX_PIECE and not text.strip()
        before, line_break, last = text.rpartition("\n")
        self._breaks += before.count("\n") + len(line_break)
        self._column = len(last) + (0 if line_break else self._column)
        lines = self._add_pieces(text) if self._begin else self._buffers["out"].add(text)
        return [*lines, *(line for buffer in self._buffers.values() if is_end for line in buffer.add("", True))]

    def end(self, whole: str) -> list[str]:
        """Return the lines that were not returned yet.

        Args:
            whole: the whole output.
        """
        if not whole.startswith(self._indent):
            whole = self._indent + whole.lstrip()
        if not self._begin:
            return self._buffers["out"].end(whole)
        start = _find_line(whole, self._breaks)
        if start < 0:
            return self.cut()
        end = whole.find("\n", start)
        return self.add(whole[min(start + self._column, len(whole) if end < 0 else end) :], True)

    def cut(self) -> list[str]:
        """Return the last lines of an output whose end is missing."""
        return [line for buffer in self._buffers.values() for line in buffer.cut()]

    def skip(self) -> None:
        """Continue after a gap with the next whole line."""
        self._raw = ""
        for buffer in self._buffers.values():
            buffer.skip()

    def _add_pieces(self, text: str) -> list[str]:
        self._raw += text
        if not self._has_begun:
            _before, begin, after = self._raw.partition(self._begin)
            self._has_begun, self._raw = bool(begin), after if begin else self._raw[-_MAX_PIECE:]
        if not self._has_begun:
            return []
        pieces, rest = read_pieces(self._raw)
        self._raw = rest[-_MAX_PIECE:]
        return [
            line
            for stream, _number, content in pieces
            for line in self._buffers[stream].add(self._decoders[stream].decode(content))
        ]


class _Stream:
    """The live output of one command.

    Attributes:
        next_seq: the number of the next chunk.
        read_at: start of the last read, in monotonic seconds; 0 before the first.
        pause: seconds until the next read.
        gap_since: monotonic seconds since a chunk is missing; 0 if none is.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.output: LiveOutput | None = None
        self.next_seq = self.empty_reads = 0
        self.read_at = 0.0
        self.pause = READ_EVERY
        self.gap_since = 0.0
        self.has_gap = self.is_reading = self.has_ended = False


class Follower:
    """Read the chunks of running commands, and print each line once.

    The fleet calls it in its loop, and :meth:`read` and :meth:`finish` in threads.

    Attributes:
        is_unsupported: the workspace shows no output of running commands.
        push: reports new output of quiet commands; None without a websocket.
    """

    def __init__(self, client: Client, secrets: set[str], run: Run) -> None:
        self._client = client
        self._secrets = secrets
        self._run = run
        self._streams: dict[str, _Stream] = {}
        self.is_unsupported = False
        self.push: Push | None = None

    def begin(self, job: Job) -> None:
        self._streams.setdefault(job.submitted.id, _Stream())

    def take_due(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the jobs whose output has to be read now."""
        now = time.monotonic()
        due = [job for job in jobs if self._get_next_read(job) <= now]
        for job in due:
            stream = self._streams[job.submitted.id]
            stream.read_at, stream.is_reading = now, True
        return due

    def get_next_read(self, jobs: Sequence[Job]) -> float:
        """Return the time of the next read in monotonic seconds."""
        return min(map(self._get_next_read, jobs), default=math.inf)

    def _get_next_read(self, job: Job) -> float:
        stream = self._streams[job.submitted.id]
        # For a command that is awaited by its ID, only its line shows whether it is a payload.
        if stream.is_reading or job.held_since or self.is_unsupported or not (job.body or job.submitted.line):
            return math.inf
        pause, read_at = stream.pause, stream.read_at or job.awaited_since
        if not stream.next_seq and job.submitted.status not in IN_PROGRESS:
            pause = max(pause, read_at - job.awaited_since)
        push, now, due = self.push, time.monotonic(), read_at + pause
        if push and due <= now < read_at + _QUIET and push.is_quiet(job, stream.next_seq, stream.read_at):
            return now + _CHECK_EVERY
        return due

    def has_output(self, job: Job) -> bool:
        """Return True if the last read found output, so that the command makes progress."""
        stream = self._streams[job.submitted.id]
        return stream.next_seq > 0 and stream.empty_reads == 0

    def read(self, job: Job, client: Client) -> None:
        """Read the next chunks of a command, and print their lines. A failed read is repeated later."""
        stream = self._streams[job.submitted.id]
        try:
            rows = fetch_chunks(client, job.submitted, stream.next_seq)
            stream.empty_reads = 0 if rows else stream.empty_reads + 1
            if self.push and stream.empty_reads >= _EMPTY_READS:
                self.push.follow(job)
            with stream.lock:
                if not stream.has_ended:
                    self._print(job, self._add_chunks(job, stream, rows))
        except AlpaconError as error:
            is_refused = (
                isinstance(error, ApiError) and error.status in (403, 404) and job.submitted.status in IN_PROGRESS
            )
            if isinstance(error, UnknownEndpoint) or is_refused:
                self._give_up()
        finally:
            stream.pause = self._get_pause()
            stream.is_reading = False

    def _get_pause(self) -> float:
        """Return the pause between two reads of a command, and tell the user if the quota lengthens it."""
        # The loop adds streams meanwhile.
        running = sum(not stream.has_ended for stream in list(self._streams.values()))
        commands = max(running, self._run.hosts if self._run.host_locks else 1)
        pause = self._client.get_quota_pause(commands, _LONGEST_PAUSE)
        if pause is None:
            return READ_EVERY
        self._run.report_thrift(self._client.settings, "polls less often and prints output up to 10 s late")
        if pause > _LONGEST_PAUSE and self._run.context.is_first("quota of output"):
            self._run.context.report(
                f"alpacon: output is printed up to {pause:.0f} s late from now on. The rest of requests_per_hour is for"
                " the results"
            )
        return max(READ_EVERY, pause)

    def finish(self, job: Job, whole: Output) -> None:
        """Print the remaining lines of a command that has ended, whose output is in the workspace."""
        stream = self._streams.get(job.submitted.id)
        if stream is None or self.is_unsupported or job.submitted.ran is False or not job.submitted.may_have_chunks:
            return
        # The result must not depend on what is printed.
        with contextlib.suppress(Exception), stream.lock:
            stream.has_ended = True
            output = self._get_output(job, stream)
            if whole.complete and not stream.has_gap:
                self._print(job, output.end(whole.text))
                return
            rows: list[dict[str, Any]] = []
            with contextlib.suppress(AlpaconError):
                rows = fetch_chunks(self._client, job.submitted, stream.next_seq)
            self._print(job, [*self._add_chunks(job, stream, rows), *output.cut()])

    def _give_up(self) -> None:
        self.is_unsupported = True
        if self._run.context.is_first("follow"):
            self._run.context.report("alpacon: this workspace does not show the output of running commands")

    def _get_output(self, job: Job, stream: _Stream) -> LiveOutput:
        if stream.output is None:
            stream.output = LiveOutput(self._secrets, parse_digest(str(job.body.get("line") or job.submitted.line)))
        return stream.output

    def _add_chunks(self, job: Job, stream: _Stream, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Add the chunks that follow without a gap, and return their lines."""
        chunks: dict[int, str] = {}
        for row in rows:
            seq = row.get("seq")
            if isinstance(seq, int) and not isinstance(seq, bool) and seq >= stream.next_seq:
                chunks.setdefault(seq, to_text(row.get("content")) or "")
        output, lines = self._get_output(job, stream), []
        if chunks and stream.next_seq not in chunks:
            now = time.monotonic()
            stream.gap_since = stream.gap_since or now
            if now - stream.gap_since < PACING.patience and not stream.has_ended:
                return []
            stream.next_seq, stream.has_gap = min(chunks), True
            output.skip()
            lines.append("(output is missing here)")
        stream.gap_since = 0.0
        text = []
        while stream.next_seq in chunks:
            text.append(chunks[stream.next_seq])
            stream.next_seq += 1
        return [*lines, *output.add("".join(text))]

    def _print(self, job: Job, lines: Sequence[str]) -> None:
        name = job.server.name or self._run.own_server or job.server.id
        left_out = len(lines) - _MAX_LINES
        if left_out > 0:
            lines = [f"({left_out:,} lines are left out here)", *lines[left_out:]]
        for line in lines:
            self._run.context.report(clean_line(f"{name} | {line}"))
