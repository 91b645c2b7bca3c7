# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the result of M(herdops.alpacon.alpacon_file): a dict for each server, counts and a message."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from .._api.errors import clean_line
from .._fleet.jobs import Job, Outcome
from .command_results import describe_servers


@dataclass
class FileTarget:
    """A server of a task.

    Attributes:
        job: of the transfer, or of the comparison if that decided.
        local: file on the controller to save a download in; empty for an upload.
        path: of the file that is written: on the server, or on the controller.
        digest, size: of the file, once they are known.
        host: of the object storage; None if the file was not transferred.
    """

    job: Job
    local: str
    path: str
    digest: str | None = None
    size: int | None = None
    host: str | None = None


def describe_files(
    targets: Sequence[FileTarget], ok_outcomes: Collection[Outcome], own_server: str, no_log: bool
) -> dict[str, Any]:
    """Build the result of a task; the keys of a single server are at the top level as well."""
    servers = [_describe(target, own_server, no_log) for target in targets]
    return describe_servers([target.job for target in targets], servers, ok_outcomes, "transfers")


def _describe(target: FileTarget, own_server: str, no_log: bool) -> dict[str, Any]:
    job, name = target.job, target.job.server.name or own_server
    texts = (job.msg or (job.outcome.sentence if job.outcome else ""), job.note)
    return {
        "id": target.job.server.id,
        "name": clean_line(name) if name else None,
        # Ansible cannot write the enum as JSON.
        "outcome": job.outcome.value if job.outcome else None,
        "msg": clean_line(" ".join(text for text in texts if text)),
        "path": target.path,
        # The digest of a short secret tells the secret.
        "checksum": None if no_log else target.digest,
        "size": target.size,
        "storage": target.host,
        "transfer_id": job.id,
        "changed": job.changed,
    }
