# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read outputs of which parts are missing, and outputs of hosts that lie."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.program import Entry
from ansible_collections.herdops.alpacon.plugins.plugin_utils._batch.sending import BatchResult, send_entries
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.connection import HostStepFailed
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import CommandResult
from ansible_collections.herdops.alpacon.tests.unit.plugins.plugin_utils._batch.modules import make_part

LOST = "web-01: command 1 has run. Its output is incomplete."
CUT = CommandResult(-1, b"", b"", problem=LOST)
WHOLE = CommandResult(0, b"", b"")
KILLED = CommandResult(137, b"", b"Killed\n")


def send(result: CommandResult, parts: Sequence[bytes], count: int = 4) -> BatchResult:
    """Return the result of entries whose output has these parts."""
    output = CommandResult(result.rc, b"".join(parts), result.stderr, problem=result.problem)
    host = SimpleNamespace(
        wait_timeout=60,
        get_cached_parts=lambda: None,
        add_cached_parts=lambda _parts: None,
        run_in_parts=lambda _label, _command, _stdin, _expected: output,
    )
    entries = [Entry("true", b"", (), task, True) for task in range(count)]
    return send_entries(host, "python3", entries, "x")  # type: ignore[arg-type]


def begun(number: int) -> bytes:
    return make_part({"begun": number})


def record(number: int) -> bytes:
    return make_part({"n": number, "rc": 0, "undone": "", "sizes": [0, 0], "branch": ""})


def end(count: int) -> bytes:
    return make_part({"end": count})


@pytest.mark.parametrize(
    ("result", "parts", "records", "may_have_run", "problem"),
    [
        (WHOLE, [begun(0), record(0), end(1)], [0], (), ""),
        (KILLED, [begun(0), record(0), begun(1)], [0], (1,), "The program with the tasks was ended: Killed"),
        (KILLED, [begun(0), record(0)], [0], (), "The program with the tasks was ended: Killed"),
        (KILLED, [*map(record, range(4))], [0, 1, 2, 3], (), ""),
        (CUT, [begun(0), record(0), begun(1)], [0], (1, 2, 3), LOST),
        (CUT, [begun(0), record(0)], [0], (1, 2, 3), LOST),
        (CUT, [begun(0)], [], (0, 1, 2, 3), LOST),
        (CUT, [record(0), record(2), end(3)], [0, 2], (1,), LOST),
        (CUT, [record(0), record(2)], [0, 2], (1, 3), LOST),
        (CUT, [*map(record, range(4))], [0, 1, 2, 3], (), ""),
        # These hosts lie.
        (WHOLE, [end(2)], [], (0, 1), "The host did not send all results."),
        (WHOLE, [make_part({"missing": True}), begun(0), record(0), end(1)], [0], (), ""),
    ],
)
def test_entries_that_may_have_run_are_named(
    result: CommandResult, parts: list[bytes], records: list[int], may_have_run: tuple[int, ...], problem: str
) -> None:
    sent = send(result, parts)
    assert (list(sent.records), sent.may_have_run, sent.problem) == (records, may_have_run, problem)


@pytest.mark.parametrize("parts", [[], [make_part({"missing": True}), end(0)]])
def test_it_is_an_error_if_nothing_began(parts: list[bytes]) -> None:
    with pytest.raises(HostStepFailed, match="could not run the program with the tasks: Killed"):
        send(KILLED, parts)
