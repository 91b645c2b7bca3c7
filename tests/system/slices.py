# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run slices of a job with ansible-runner, as AWX and automation controller do: slices.py FOLDER ..."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]
_RUNNER = Path(sys.executable).parent / "ansible-runner"
#: What AWX passes to each slice of a job.
_JOB = {"awx_job_template_name": "A sliced job", "awx_workflow_job_name": "A sliced job"}


def write_slice(
    folder: Path, hosts: Mapping[str, Row], plays: list[Row], environ: Mapping[str, str], **variables: Any
) -> None:
    """Write the private data of a slice as the controller transmits it."""
    contents = {
        "inventory/hosts.json": {"all": {"hosts": dict(hosts)}},
        "project/play.json": plays,
        "env/extravars": {**_JOB, **variables},
        "env/envvars": dict(environ),
    }
    for name, content in contents.items():
        file = folder / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content), encoding="utf-8")


@contextmanager
def start_slice(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Start a slice, and give its worker and the process of the controller that writes the artifacts."""
    with ExitStack() as stack:

        def start(source: Any, command: str, *arguments: object) -> subprocess.Popen[bytes]:
            line = [str(_RUNNER), command, *map(str, arguments)]
            return stack.enter_context(subprocess.Popen(line, stdin=source, stdout=subprocess.PIPE))

        transmit = start(subprocess.DEVNULL, "transmit", folder / "data", "--playbook", "play.json", "--ident", "slice")
        worker = start(transmit.stdout, "worker", "--private-data-dir", folder / "worker")
        (folder / "controller").mkdir()
        yield worker, start(worker.stdout, "process", folder / "controller", "--ident", "slice")


def get_artifacts(folder: Path) -> Path:
    return folder / "controller/artifacts/slice"


def read_results(folder: Path) -> dict[str, Row]:
    """Read the results in the artifacts by the names of their tasks."""
    files = (get_artifacts(folder) / "job_events").glob("*.json")
    events = [json.loads(file.read_bytes())["event_data"] for file in files]
    return {event["task"]: event["res"] for event in events if "res" in event}


def run_slices(folders: Sequence[Path]) -> list[str]:
    """Run slices at the same time, and return the status of each."""
    with ExitStack() as stack:
        for _worker, process in [stack.enter_context(start_slice(folder)) for folder in folders]:
            process.communicate()
    return [(get_artifacts(folder) / "status").read_text(encoding="utf-8") for folder in folders]


if __name__ == "__main__":
    sys.exit(0 if {*run_slices([Path(name) for name in sys.argv[1:]])} == {"successful"} else 1)
