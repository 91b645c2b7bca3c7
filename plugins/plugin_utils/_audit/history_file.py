# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep the history of audits in a file: compressed JSON lines that several audits may share."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...module_utils._fleet.journal import lock_folder
from .history import (
    EQUAL_KEYS,
    History,
    TrackedFinding,
    is_time,
    remove_history,
    set_failing_since,
    set_grace,
    to_seconds,
)
from .private_files import open_private
from .scanners.results import FAIL, INCONCLUSIVE, PASS, SEVERITIES, decide_verdict

FILE = "audit-history.jsonl.gz"
_HEADER = {"kind": "herdops.alpacon audit history", "version": 1}
#: More is not read, so that a damaged file cannot fill the memory.
_MAX_LINES, _MAX_LINE = 2_000_000, 20_000
#: Seconds for other audits to add theirs: with 2,000 servers and 400 rules, each takes about 7.
_LOCK_WAIT = 120.0
#: For all lines, since json.dumps with separators makes one for each.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


def find_history_folder(folder: Path) -> Path:
    """Return the folder of the history: the parent of a report's folder whose name begins with a date, else itself."""
    return folder.parent if _DATED.match(folder.name) else folder


def record_audit(report: dict[str, Any], folder: Path, warn: Callable[[str], None]) -> None:
    """Add an audit to the history in a folder, and the history to the report. Decide the verdict with ages.

    Without a history that can be read and written, no age is certain, and findings of any age fail the audit.
    """
    path, now = folder / FILE, to_seconds(report["finished_at"])
    try:
        with lock_folder(folder, _LOCK_WAIT):
            history = _read_or_replace(path, now, warn)
            is_certain = history is not None
            history = history or History()
            history.correct_times(report)
            previous = history.runs[-1]["until"] if history.runs else None
            mended = history.update(report)
            set_failing_since(report, history)
            if is_certain:
                set_grace(report)
            report["verdict"] = decide_verdict(report)
            history.add_run(report)
            history.compact(now)
            report["history"] = history.describe(mended, previous)
            write_history(path, history)
    except OSError as error:
        remove_history(report)
        report["verdict"] = decide_verdict(report)
        warn(
            f"The history {path} cannot be kept: {error.strerror or error}. This audit is missing in it, and findings"
            " of any age fail the audit. Make the file and its directory writable."
        )


def _read_or_replace(path: Path, now: str, warn: Callable[[str], None]) -> History | None:
    """Read the history. Rename a damaged or foreign file, and return None.

    Raises:
        OSError: there is a file that cannot be read.
    """
    try:
        return read_history(path)
    except FileNotFoundError:
        return History()
    except ValueError as error:
        aside = _find_free_name(path, now)
        path.rename(aside)
        warn(
            f"{path} is not a history of audits, or is damaged: {error}. It is now {aside.name}, and a new history"
            " begins. In this audit, findings of any age count."
        )
        return None


def _find_free_name(path: Path, now: str) -> Path:
    name, number = f"{path.name}.damaged-{now.replace(':', '')}", 1
    while (aside := path.with_name(f"{name}.{number}" if number > 1 else name)).exists():
        number += 1
    return aside


def read_history(path: Path) -> History:
    """Read a history.

    Raises:
        ValueError: the file is damaged, or something else.
        OSError: the file cannot be read.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a file")
    try:
        rows = _read_rows(path)
        if next(rows, None) != _HEADER:
            raise ValueError("the first line is of another program or version")
        history = History()
        for row in rows:
            _add_row(history, row)
    except (EOFError, gzip.BadGzipFile, zlib.error, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return history


def _read_rows(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rb") as file:
        for _number in range(_MAX_LINES):
            line = file.readline(_MAX_LINE)
            if not line:
                return
            if not line.endswith(b"\n"):
                raise ValueError("a line is too long or has no end")
            yield json.loads(line)
    raise ValueError(f"it has more than {_MAX_LINES:,} lines")


def _add_row(history: History, row: Any) -> None:
    """Add a row of the file. Raise ValueError, KeyError or TypeError if it is damaged."""
    kind = row.pop("kind") if isinstance(row, dict) else None
    if kind == "run":
        _check_run(row)
        history.runs.append(row)
    elif kind == "finding":
        finding = TrackedFinding(**row)
        _check_finding(finding)
        if finding.mended:
            history.mended.append(finding)
        else:
            history.open[finding.host, finding.check] = finding
    elif kind == "server":
        _check_server(row)
        history.servers[row.pop("host")] = row
    else:
        raise ValueError("a line is neither a run nor a server nor a finding")


def _check_server(row: Mapping[str, Any]) -> None:
    if set(row) != {"host", "workspace", "id"} or not all(isinstance(value, str) for value in row.values()):
        raise ValueError("a server has a damaged name or ID")


def _check_finding(one: TrackedFinding) -> None:
    times = (one.first_seen, one.last_seen, one.last_asked, one.mended or one.last_seen)
    texts = (one.host, one.check)
    if not all(isinstance(text, str) for text in texts) or not all(map(is_time, times)):
        raise ValueError("a finding has a damaged name or time")
    if one.severity not in SEVERITIES or not isinstance(one.waived, bool) or one.first_seen > times[-1]:
        raise ValueError("a finding is damaged")


def _is_number(value: Any, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _check_run(run: Mapping[str, Any]) -> None:
    if set(run) != {"time", "until", "runs", *EQUAL_KEYS}:
        raise ValueError("a run has other keys")
    shares, counts = (run["score"], run["coverage"]), (run["runs"], run["questions"], *run["open"].values())
    if not all(map(is_time, (run["time"], run["until"]))) or run["verdict"] not in (PASS, FAIL, INCONCLUSIVE):
        raise ValueError("a run has a damaged time or verdict")
    if not all(_is_number(share) and 0 <= share <= 100 for share in shares):
        raise ValueError("a run has a damaged percentage")
    are_counts = all(_is_number(count, int) and 0 <= count < 10**12 for count in counts)
    if not are_counts or set(run["open"]) != set(SEVERITIES):
        raise ValueError("a run has a damaged number")


def write_history(path: Path, history: History) -> None:
    with open_private(path) as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
        compressed.write(_to_line(_HEADER))
        compressed.writelines(_to_line({"kind": "run", **run}) for run in history.runs)
        for host, server in history.servers.items():
            compressed.write(_to_line({"kind": "server", "host": host, **server}))
        for findings in (history.open.values(), history.mended):
            compressed.writelines(_to_line({"kind": "finding", **vars(one)}) for one in findings)


def _to_line(row: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(row).encode() + b"\n"
