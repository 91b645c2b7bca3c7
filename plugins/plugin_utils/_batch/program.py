# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run recorded entries on a host by one Python program, and read its records.

The program and the entries are the standard input of Python. Before an entry, the program writes that the entry begins,
and after it the record, each as a part of the output of its own (see C(_payload.frames)): a line of JSON, and the
compressed streams. If the agent is killed, the parts before can still be read. Equal parts of modules are sent once,
and the host caches them as it does for single modules.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...module_utils._payload.frames import split_parts
from .._connection.command_batch import File
from .._connection.module_cache import CACHE_CODE, MIN_CACHED_PART, split_module

#: No entry begins after so many seconds, since the agent ends a command after 30 minutes, or so many bytes of output.
MAX_SECONDS, _ENOUGH_OUTPUT = 1500, 600_000
#: Limits of all output and of all streams before compression, in bytes. Agents and proxies accept 1 MiB.
_MAX_OUTPUT, _MAX_STREAMS = 1_000_000, 32_000_000
_MAX_ERROR = 2000

#: Python would export LC_CTYPE to the commands, and, since 3.13, import from the current directory before it runs code.
_ENVIRONMENT = "PYTHONCOERCECLOCALE=0 PYTHONSAFEPATH=1"
# Its output is descriptor 3. Children of Popen inherit no descriptor above 2.
_CODE = r"""
import subprocess
started = time.monotonic()
for name in ("PYTHONCOERCECLOCALE", "PYTHONSAFEPATH"):
    os.environ.pop(name, None)
head, _, sent = zlib.decompress(sys.stdin.buffer.read()).partition(b"\n")
plan = json.loads(head.decode())
parts, new_parts = load_parts(plan["parts"], sent)
output = open(3, "wb")
written = streamed = 0

def report(about, streams=b""):
    # Return False if the part is too large.
    global written, streamed
    part = base64.encodebytes(json.dumps(about).encode() + b"\n" + zlib.compress(streams))
    if written + len(part) > plan["max_output"] or streamed + len(streams) > plan["max_streams"]:
        return False
    written, streamed = written + len(part), streamed + len(streams)
    output.write(part + b"%d\n[part]\n" % part.count(b"\n"))
    output.flush()
    return True

def join(content):
    # A list in the content is an archive, which is Base64 in a module.
    return b"".join(base64.b64encode(join(item)) if isinstance(item, list) else parts[item] for item in content)

def run(command, stdin=b""):
    command = ["/bin/sh", "-c", command.encode("utf-8", "surrogateescape")]
    source = subprocess.PIPE if stdin else subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(stdin or None)
    except OSError as error:
        return 126, b"", str(error).encode()
    # A shell adds 128 to the number of a signal.
    return process.returncode if process.returncode >= 0 else 128 - process.returncode, out, err

def prepare(steps):
    # Return the error of the step that failed, and what steps wrote to standard error.
    messages = b""
    for step in steps:
        if isinstance(step, str):
            rc, _, err = run(step)
            messages += err
            if rc:
                return err.decode("utf-8", "replace").strip() or "it ended with rc %d." % rc, messages
            continue
        path, content = step
        try:
            with open(path.encode("utf-8", "surrogateescape"), "wb") as file:
                file.write(join(content))
        except OSError as error:
            return str(error), messages
    return "", messages

def parse(out):
    # Return the result of a module as ansible-core does: from the first line with { to the last with }.
    lines = out.decode("utf-8", "replace").splitlines()
    first = [at for at, line in enumerate(lines) if line.strip().startswith("{")]
    last = [at for at, line in enumerate(lines) if line.strip().endswith("}")]
    try:
        return json.loads("\n".join(lines[first[0]:last[-1] + 1]))
    except (IndexError, ValueError, RuntimeError):
        return {"failed": True}

def execute(entry):
    # Return the record and streams of an entry, its result, and True if the batch ends after its task.
    undone, messages = prepare(entry["steps"])
    rc, out, err = (1, b"", b"") if undone else run(entry["command"], join(entry["stdin"]))
    err = messages + err
    result = parse(out) if entry["stdin"] else {"rc": rc}
    failed = result.get("failed") or result.get("rc") not in (None, 0, "0")
    ends = bool(undone or (failed and entry["stops"]) or result.get("ansible_facts"))
    return {"rc": rc, "undone": undone, "sizes": [len(out), len(err)]}, out + err, result, ends

def get_state(result, checksum):
    # Return the state of the file from the result of the module stat.
    stat = result.get("stat") or {}
    if stat.get("exists") is False:
        return "absent"
    if not stat.get("isreg") or stat.get("islnk"):
        return ""
    return "same" if stat.get("checksum") == checksum else "different"

def run_entries():
    # Return the number of entries that have begun.
    task, ends = None, False
    for number, entry in enumerate(plan["entries"]):
        if ends and entry["task"] != task:
            return number
        is_much = written > plan["enough_output"] or streamed > plan["max_streams"] // 2
        if is_much or time.monotonic() - started > plan["max_seconds"]:
            return number
        task = entry["task"]
        report({"begun": number})
        record, streams, result, ends_batch = execute(entry)
        state, branches = "", entry["branches"]
        if branches and not record["undone"] and not result.get("failed"):
            state = get_state(result, entry["checksum"])
        if branches and branches.get(state):
            record["branch_record"], more, _, ends_branch = execute(branches[state])
            streams, ends_batch = streams + more, ends_batch or ends_branch
        ends = ends or ends_batch
        is_expected = not branches or state in branches
        record.update(n=number, branch=state if is_expected else "")
        if not report(record, streams):
            report({"too_large": len(streams)})
            return number + 1
        if not is_expected:
            return number + 1
    return len(plan["entries"])

if parts is None:
    report({"missing": True})
else:
    store_parts(new_parts)
    report({"end": run_entries()})
"""


@dataclass(frozen=True)
class Entry:
    """Command that an action runs on the host, after its steps.

    Attributes:
        command: Shell code.
        stdin: Program of a module; empty for a plain command.
        steps: Shell code and files to write before it.
        task: Number of its task: all entries of one loop have the same.
        stops: Its failure ends the batch, after the last entry of the same task.
        branches: Entries by the state of a file, which C(command) queries with the module C(stat): C(absent), C(same)
            and C(different). None if nothing is to be run in that state. In any other state, the batch ends at once.
        checksum: Checksum of that file in the state C(same).
    """

    command: str
    stdin: bytes
    steps: Sequence[str | File]
    task: int
    stops: bool
    branches: Mapping[str, Entry | None] | None = None
    checksum: str = ""


@dataclass(frozen=True)
class Record:
    """Result of an entry.

    Attributes:
        undone: Error of a step; the command did not run. Empty if all steps succeeded.
        branch: State of the file on the host: a key of C(branches), or empty.
        branch_record: Result of the entry of that branch.
    """

    rc: int
    stdout: bytes
    stderr: bytes
    undone: str = ""
    branch: str = ""
    branch_record: Record | None = None


@dataclass(frozen=True)
class BatchProgram:
    """Shell command that runs entries, and its standard input.

    Attributes:
        parts: Digests of the parts that the host has cached after the command.
        relies_on_host: At least one part is not sent.
    """

    command: str
    stdin: bytes = field(repr=False)
    parts: frozenset[str]
    relies_on_host: bool


class _PartList:
    """Different parts of the contents of entries, sent or cached on the host.

    Args:
        cached: Digests of the parts that the host has cached; None if it is to cache nothing.

    Attributes:
        cacheable: Digests of the parts that the host has cached when the program runs.
    """

    def __init__(self, cached: Collection[str] | None = None) -> None:
        self.items: list[int | str] = []
        self.sent: list[bytes] = []
        self.cacheable: set[str] = set()
        self._cached = cached
        self._numbers: dict[str, int] = {}

    def add(self, part: bytes, is_member: bool = False) -> int:
        """Return the number of a part. Only members of archives are cached: other parts have arguments of tasks."""
        digest = hashlib.sha256(part).hexdigest()
        if digest not in self._numbers:
            self._numbers[digest] = len(self.items)
            is_cacheable = is_member and self._cached is not None and len(part) >= MIN_CACHED_PART
            if is_cacheable:
                self.cacheable.add(digest)
            if is_cacheable and digest in (self._cached or ()):
                self.items.append(digest)
            else:
                self.items.append(-len(part) if is_cacheable else len(part))
                self.sent.append(part)
        return self._numbers[digest]

    def split(self, content: bytes) -> list[int | list[int]]:
        """Return the numbers of the parts of a content, those of an archive in a list."""
        pieces = split_module(content)
        if pieces is None:
            return [self.add(content)] if content else []
        head, members, tail = pieces
        return [self.add(head), [self.add(part, is_member=True) for part in members], self.add(tail)]

    def describe(self, entry: Entry) -> dict[str, Any]:
        """Return an entry for the program, with the numbers of its parts."""
        steps = [[step.path, self.split(step.content)] if isinstance(step, File) else step for step in entry.steps]
        branches = (entry.branches or {}).items()
        return {
            "command": entry.command,
            "stdin": self.split(entry.stdin),
            "steps": steps,
            "task": entry.task,
            "stops": entry.stops,
            "branches": {state: self.describe(branch) if branch else None for state, branch in branches},
            "checksum": entry.checksum,
        }


def build_program(
    entries: Sequence[Entry], python: str, cached: Collection[str] | None, max_seconds: float = MAX_SECONDS
) -> BatchProgram:
    """Build the program that runs entries.

    Args:
        python: Command line of the Python interpreter on the host.
        cached: Digests of the parts that the host has cached; None if it is to cache nothing.
        max_seconds: No entry begins later.
    """
    parts = _PartList(cached)
    plan = {
        "entries": [parts.describe(entry) for entry in entries],
        "parts": parts.items,
        "max_seconds": max_seconds,
        "enough_output": _ENOUGH_OUTPUT,
        "max_output": _MAX_OUTPUT,
        "max_streams": _MAX_STREAMS,
    }
    content = json.dumps(plan, separators=(",", ":")).encode() + b"\n" + b"".join(parts.sent)
    code = (CACHE_CODE + _CODE).encode()
    # The arguments of a process are short, since tasks may search for words in them.
    command = f"{_ENVIRONMENT} {python} -c 'import sys; exec(sys.stdin.buffer.read({len(code)}))'"
    relies_on_host = any(isinstance(item, str) for item in parts.items)
    return BatchProgram(command, code + zlib.compress(content), frozenset(parts.cacheable), relies_on_host)


@dataclass
class Progress:
    """State of a program that its output shows.

    Attributes:
        records: Records by the index of their entry.
        begun: Number of entries that began, as far as the output shows.
        ended: The program ended by itself, and C(begun) is certain.
        too_large: Size of the streams of the entry that began last, in bytes, if they were not sent for their size.
        is_part_missing: A cached part was missing, and nothing ran.
    """

    records: dict[int, Record] = field(default_factory=dict)
    begun: int = 0
    ended: bool = False
    too_large: int = 0
    is_part_missing: bool = False


def read_progress(stdout: bytes, entries: Sequence[Entry]) -> Progress:
    """Read the complete parts of the output of a program. Ignore parts that it does not write."""
    progress, room = Progress(), _MAX_STREAMS
    for part in split_parts(stdout):
        line, _newline, packed = part.partition(b"\n")
        try:
            about = json.loads(line)
            streams = zlib.decompressobj().decompress(packed, room + 1)
            room -= len(streams)
            if room < 0:
                break
            _add_part(progress, about, streams, entries)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error):
            continue
    return progress


def _add_part(progress: Progress, about: dict[str, Any], streams: bytes, entries: Sequence[Entry]) -> None:
    begun = progress.begun
    if "end" in about:
        begun, progress.ended = _check_int(about["end"], len(entries)), True
    elif "missing" in about:
        progress.is_part_missing = True
    elif "begun" in about:
        begun = _check_int(about["begun"], len(entries) - 1) + 1
    elif "too_large" in about:
        progress.too_large = max(1, int(about["too_large"]))
    else:
        number = _check_int(about["n"], len(entries) - 1)
        progress.records[number] = _parse_record(about, streams, entries[number])
        begun = number + 1
    progress.begun = max(progress.begun, begun)


def _parse_record(about: dict[str, Any], streams: bytes, entry: Entry) -> Record:
    out, err = (_check_int(size, len(streams)) for size in about["sizes"])
    record = Record(
        _check_int(about["rc"], 255),
        streams[:out],
        streams[out : out + err],
        str(about["undone"])[:_MAX_ERROR],
    )
    if not about.get("branch"):
        return record
    branch = (entry.branches or {})[about["branch"]]
    branch_record = _parse_record(about["branch_record"], streams[out + err :], branch) if branch else None
    return replace(record, branch=about["branch"], branch_record=branch_record)


def _check_int(value: object, most: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(value)
    return int(value)
