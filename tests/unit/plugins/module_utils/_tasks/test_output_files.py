# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the names of the files of output_dir, and what a task keeps of an output that is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Command, Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import output_collector
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits, Outcome
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.output_collector import OutputCollector
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.output_files import OutputFiles
from ansible_collections.herdops.alpacon.tests.unit.support import current_row

SERVER_ID = "7E3984DE-49AB-4CC6-BCDF-21FBD35858B8"


def collect(files: OutputFiles, limit: int | None = None, **row: Any) -> Job:
    """Collect the output of a command whose server calls itself by another name than the task."""
    command = Command.from_row(current_row(line="x", status="success", success=True, exit_code=0, **row))
    job = Job(Server("1", "../evil"), {"line": "x"}, command, Outcome.SUCCESS)
    files.assign([job])
    client: Any = None
    assert OutputCollector(client, Limits(output_limit=limit), save=files.save).collect_from_row(job)
    return job


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", ".ssh", "-x", "", "a\nb", "x" * 241, "w\u00e9b"])
def test_names_that_are_no_file_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"(?s)output_dir: .* cannot be the name of a file"):
        OutputFiles("/tmp", [name], False)


def test_names_that_some_file_systems_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(UsageError, match="output_dir: two servers"):
        OutputFiles("/tmp", ["web-01", "WEB-01"], False)


def test_a_file_is_named_as_the_task_names_the_server(tmp_path: Path) -> None:
    for name in ("web-01", SERVER_ID):
        collect(OutputFiles(str(tmp_path), [name], False), result="hello\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{SERVER_ID.lower()}.stdout", "web-01.stdout"]
    assert (tmp_path / "web-01.stdout").read_text() == "hello\n"


@pytest.mark.parametrize(("limit", "kept"), [(None, 4000), (10, 10)])
def test_a_result_keeps_the_end_of_a_saved_output(tmp_path: Path, limit: int | None, kept: int) -> None:
    output = "".join(f"{number}\n" for number in range(2000))
    job = collect(OutputFiles(str(tmp_path), ["web-01"], False), limit, result=output)
    assert (tmp_path / "web-01.stdout").read_text() == output
    assert job.output is not None
    assert (job.output.text, job.output.complete) == (output.rstrip()[-kept:], True)
    assert "the file all of it" in job.output.note
    assert job.submitted.result is None


def test_a_saved_output_with_a_gap_is_not_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gap = Output("x" * 100, False, "Output is incomplete.")
    monkeypatch.setattr(output_collector, "parse_output", lambda _command: gap)
    job = collect(OutputFiles(str(tmp_path), ["web-01"], False), 10, result="x")
    assert job.output is not None
    assert job.output.complete is False
    assert job.output.note.startswith(gap.note)
    assert "all of it" not in job.output.note


def test_an_output_that_cannot_be_saved_is_kept_as_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "web-01.stdout").mkdir()
    files = OutputFiles(str(tmp_path), ["web-01"], False)
    warnings: list[str] = []
    job = collect(files, result="x" * 9000)
    assert job.outcome == Outcome.SUCCESS
    assert job.output is not None
    assert job.output.text == "x" * 9000
    files.warn_of_failures(warnings.append)
    assert "1 output was not written" in warnings[0]
    assert files.describe(job) == {"stdout_file": None, "stderr_file": None}
    assert [file.name for file in tmp_path.iterdir()] == ["web-01.stdout"]
