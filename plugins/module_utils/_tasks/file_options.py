# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse and check the options of M(herdops.alpacon.alpacon_file), and find its files on the controller."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from .._api.commands import Match
from .._api.errors import UsageError
from .._api.records import is_uuid, normalize_uuid
from .._fleet.file_transfers import Content
from .._fleet.jobs import Limits
from .._options import values
from .local_files import check_names, compute_digest

#: What the action plugin sets: the file on the controller that it found for O(src), or made of its vault.
FOUND = "found_file"
#: What it sets for the server of the inventory host: the name of that host, for a path on the controller.
HOST = "inventory_host"
_LONGEST_PATH = 4096
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class FileOptions:
    """Options of a task.

    Attributes:
        path: of the file on the servers.
        source: file on the controller to upload; None for O(content), and for a download.
        content: to upload, if there is no source.
        dest: where to save a download on the controller; empty for an upload.
        host: name of the inventory host, if the task is for its server.
        max_size: most bytes of a download.
        fields: of the API.
    """

    is_upload: bool
    servers: list[str]
    path: str
    source: str | None
    content: bytes
    dest: str
    host: str
    compare: bool
    overwrite: bool
    max_size: int
    fields: dict[str, Any]
    limits: Limits

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> FileOptions:
        servers = [str(server) for server in values.split_list(options["servers"] or ())]
        if not (servers and all(servers)):
            raise UsageError("servers", "one of them is empty" if servers else "it is empty", "Give names or UUIDs.")
        servers = [normalize_uuid(text) if is_uuid(text) else text for text in servers]
        is_upload = options["state"] == "uploaded"
        _check_combination(options, is_upload)
        fields = {
            "username": values.check_account("username", options.get("username")),
            "groupname": values.check_account("groupname", options.get("groupname")),
            "work_session": values.parse_uuid("work_session", options["work_session"])
            if options.get("work_session")
            else None,
            **({"allow_overwrite": options["overwrite"]} if is_upload else {"resource_type": "file"}),
        }
        parsed = cls(
            is_upload=is_upload,
            servers=servers,
            path=_parse_server_path(options, is_upload),
            source=options.get(FOUND) if options.get("src") is not None and is_upload else None,
            content=(options.get("content") or "").encode("utf-8", "surrogateescape"),
            dest="" if is_upload else str(options["dest"]),
            host=str(options.get(HOST) or ""),
            compare=options["compare"] and (options["overwrite"] or not is_upload),
            overwrite=options["overwrite"],
            max_size=options["max_size"],
            fields={name: value for name, value in fields.items() if value is not None},
            limits=_parse_limits(options, len(servers)),
        )
        if not is_upload:
            for target in parsed.list_targets().values():
                _check_target(target)
        return parsed

    def read_content(self) -> Content:
        """Return what is uploaded, with the digest of all of it."""
        if self.source is None:
            return Content(
                lambda: io.BytesIO(self.content), len(self.content), hashlib.sha256(self.content).hexdigest()
            )
        path = self.source
        try:
            with open(path, "rb") as file:
                size, digest = os.fstat(file.fileno()).st_size, compute_digest(file)
        except OSError as error:
            raise UsageError(
                "src", f"{path} cannot be read: {error.strerror}", "Give a file that you may read."
            ) from None

        def reopen() -> BinaryIO:
            return open(path, "rb")

        return Content(reopen, size, digest)

    def match_comparison(self, server_id: str | None) -> Match:
        """Return the command that shows the digest of the file on a server."""
        account = self.fields.get("username"), self.fields.get("groupname")
        return Match(server_id, f"sha256sum -- {shlex.quote(self.path)}", "system", *account)

    def list_targets(self) -> dict[str, str]:
        """Return the file on the controller for each server; only the task decides about its path."""
        if not self.dest.endswith("/"):
            if len(self.servers) > 1:
                why = f"it is one file, and the task has {len(self.servers)} servers"
                raise UsageError("dest", why, "Give a folder, with a slash at its end.")
            return {self.servers[0]: self.dest}
        name = self.path.rpartition("/")[2]
        parts = {server: self.host or server for server in self.servers}
        check_names(list(parts.values()), "folder", "servers")
        return {server: os.path.join(self.dest, part, name) for server, part in parts.items()}


def _check_combination(options: Mapping[str, Any], is_upload: bool) -> None:
    if is_upload:
        if (options.get("src") is None) == (options.get("content") is None):
            problem = "it is missing" if options.get("src") is None else "it is given along with content"
            raise UsageError("src", problem, "Give either src, a file on the controller, or content.")
        if options.get("src") is not None and not options.get(FOUND):
            raise UsageError("src", "its file was not found", "Run the module as a task, which finds the file.")
    elif options.get("content") is not None or options.get("src") is None:
        name = "src" if options.get("src") is None else "content"
        remedy = "Give the path of a file on the servers." if name == "src" else "Leave it out."
        raise UsageError(name, f"with state=downloaded, it {'is missing' if name == 'src' else 'has no use'}", remedy)


def _parse_server_path(options: Mapping[str, Any], is_upload: bool) -> str:
    """Return the path of the file on the servers."""
    option = "dest" if is_upload else "src"
    path = str(options[option])
    if is_upload and path.endswith("/") and options.get("src") is not None:
        path += os.path.basename(str(options["src"]))
    problem = ""
    if not path.startswith("/"):
        problem = f"'{path:.200}' is not an absolute path on the servers"
    elif path.endswith("/") or path.rpartition("/")[2] == ".":
        problem = f"'{path:.200}' is a folder"
    elif ".." in path.split("/"):
        # The access list of the token matches the path as it is written.
        problem = f"'..' is a part of '{path:.200}'"
    elif _UNSAFE.search(path):
        problem = "it has a control character, or one that is not Unicode"
    elif len(path) > _LONGEST_PATH:
        problem = f"it has {len(path)} characters"
    if problem:
        raise UsageError(option, problem, "Give the path of a file, such as /etc/motd.")
    return path


def _check_target(path: str) -> None:
    if os.path.isdir(path):
        raise UsageError("dest", f"{path} is a folder", "Give the path of a file, or a slash at its end.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError("dest", f"{path} is a device, socket or pipe", "Give the path of a file.")


def _parse_limits(options: Mapping[str, Any], total: int) -> Limits:
    if options["max_size"] < 0:
        raise UsageError("max_size", "it is negative", "Give a size, such as 2G.")
    return Limits(
        wait_timeout=values.parse_timeout("wait_timeout", options["wait_timeout"]),
        max_concurrency=values.parse_share("max_concurrency", options.get("max_concurrency"), total, least=1),
        max_errors=values.parse_share("max_errors", options.get("max_errors"), total, least=0),
        offline=options["offline"],
    )
