# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the whole output of each command into a file on the controller, for O(output_dir)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence

from .._api.errors import UsageError, join_first
from .._api.outputs import Output
from .._api.records import is_uuid, normalize_uuid
from .._api.settings import Warn
from .._fleet.jobs import Job
from .._payload.frames import SKIPPED
from .local_files import check_names, replace_text

_MAX_NAMES = 5


class OutputFiles:
    """The files of a task: NAME.stdout for each command, and NAME.stderr if its streams are apart.

    Args:
        names: of the files, for each job. The task gives them: the servers as it names them, or the IDs of commands.
        has_stderr: whether the streams of all commands are apart. Those of commands that are given by ID may be.
    """

    def __init__(self, folder: str, names: Sequence[str], has_stderr: bool) -> None:
        self.folder = folder
        self._has_stderr = has_stderr
        self._names = [normalize_uuid(name) if is_uuid(name) else name for name in names]
        check_names(self._names, "file", "output_dir")
        #: By the identity of the job.
        self._by_job: dict[int, str] = {}
        #: By the name, the path of the file of each stream.
        self._saved: dict[str, dict[str, str]] = {}
        #: By the reason, the names of files that could not be written.
        self._failed: dict[str, list[str]] = {}

    def prepare(self) -> None:
        """Create the folder, or refuse one in which no file can be written."""
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except (OSError, ValueError) as error:
            problem = f"{self.folder} cannot be written: {_explain(error)}"
            raise UsageError("output_dir", problem, "Give a folder in which you may write.") from None

    def assign(self, jobs: Sequence[Job]) -> None:
        """Name the files of these jobs, which are in the order of the names."""
        self._by_job = {id(job): name for job, name in zip(jobs, self._names)}

    def save(self, job: Job, output: Output) -> bool:
        """Write the output of a command that ran. Return True if it was written."""
        name = self._by_job.get(id(job))
        if name is None or job.submitted.ran is False or output.refused or output.mark == SKIPPED:
            return False
        streams = {"stdout": output.text}
        if self._has_stderr or output.stderr:
            streams["stderr"] = output.stderr
        paths = {stream: os.path.join(self.folder, f"{name}.{stream}") for stream in streams}
        try:
            for stream, text in streams.items():
                replace_text(paths[stream], text)
        except (OSError, UnicodeError) as error:
            # A full disk changes nothing about how the command ended.
            self._failed.setdefault(_explain(error), []).append(name)
            return False
        self._saved[name] = paths
        return True

    def describe(self, job: Job) -> Mapping[str, str | None]:
        """Return the paths of the files of a job, or null for those that were not written."""
        saved = self._saved.get(self._by_job.get(id(job), ""), {})
        return {f"{stream}_file": saved.get(stream) for stream in ("stdout", "stderr")}

    def warn_of_failures(self, warn: Warn) -> None:
        for why, names in self._failed.items():
            files = f"{len(names)} {'output was' if len(names) == 1 else 'outputs were'} not written"
            warn(
                f"output_dir: {files} to {self.folder} ({join_first(names, _MAX_NAMES)}): {why}. The result has the"
                " output instead."
            )


def _explain(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
