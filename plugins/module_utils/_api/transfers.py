# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Call the API of file transfers: create, start and read the status of uploads, and create downloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .client import STARTING_GET, Client
from .errors import ApiError, LostResponse, UnknownEndpoint, clean_line
from .records import Command, Server, is_uuid, normalize_uuid
from .response import ApiResponse
from .storage import SignedUrl, StorageError, check_url

UPLOADS_PATH, DOWNLOADS_PATH = "/api/webftp/uploads/", "/api/webftp/downloads/"
#: How often the record of an upload is created, if the response is lost. A record does nothing until it is started.
_ATTEMPTS = 3
#: In characters.
_SHOWN_MESSAGE = 500
_NO_TRANSFERS = "This workspace has no file transfers. Use the connection plugin, or a command, in place of them."


class Transfer(NamedTuple):
    """A transfer that the workspace created.

    Attributes:
        url: where its content is stored.
        command_id: ID of the command with which the agent carries it out; None if that is not stated.
    """

    id: str
    url: SignedUrl
    command_id: str | None


class TransferStatus(NamedTuple):
    """The state of a transfer: C(success) is None until the agent has ended."""

    success: bool | None
    message: str


def create_upload(client: Client, body: Mapping[str, Any]) -> Transfer:
    """Create the record of an upload, which writes nothing on the server until :func:`start_upload`.

    A lost response is therefore no reason to give up: another record is created then.

    Raises:
        ApiError: refused.
        ConnectionFailed: not sent.
        LostResponse: no attempt was answered. Nothing was written on the server.
        StorageError: the URL in the response cannot be used.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            response = _create(client, UPLOADS_PATH, body)
            return _parse_transfer(client, UPLOADS_PATH, response, "upload_url")
        except LostResponse as error:
            if attempt == _ATTEMPTS:
                raise LostResponse(f"{error} Nothing was written on the server.") from None
            client.sleep(float(attempt))


def create_download(client: Client, body: Mapping[str, Any]) -> tuple[Transfer, Command]:
    """Create a download: the agent stores the file, and it can be read once the command that is returned has ended.

    Raises:
        ApiError: refused.
        ConnectionFailed: not sent.
        LostResponse: the agent may store the file. Nobody reads it.
        StorageError: the URL in the response cannot be used.
    """
    response = _create(client, DOWNLOADS_PATH, body)
    transfer = _parse_transfer(client, DOWNLOADS_PATH, response, "download_url")
    if transfer.command_id is None:
        raise LostResponse(f"POST {DOWNLOADS_PATH}: HTTP {response.status} without the id of a command.")
    return transfer, Command(transfer.command_id, Server(str(body["server"])), "", "internal", "queued")


def start_upload(client: Client, upload_id: str) -> None:
    """Make the agent fetch a file. It would do that again for each further request, so none is repeated.

    Raises:
        ApiError: refused.
        ConnectionFailed: not sent.
        LostResponse: the agent may write the file.
    """
    client.write(STARTING_GET, f"{UPLOADS_PATH}{upload_id}/upload/")


def read_status(client: Client, upload_id: str) -> TransferStatus:
    """Read the state of an upload.

    Raises:
        AlpaconError: it cannot be read; :class:`ApiError` with status 404 if there is no such upload.
    """
    path = f"{UPLOADS_PATH}{upload_id}/status/"
    try:
        row = client.get(path)
    except ApiError as error:
        if error.code == "webftp_transfer_in_progress":
            return TransferStatus(None, "")
        raise
    success = row.get("success") if isinstance(row, Mapping) else ""
    if success is not None and not isinstance(success, bool):
        raise LostResponse(f"GET {path}: the answer is not the status of a transfer.")
    message = row.get("message")
    return TransferStatus(success, clean_line(message)[:_SHOWN_MESSAGE] if isinstance(message, str) else "")


def _create(client: Client, path: str, body: Mapping[str, Any]) -> ApiResponse:
    try:
        return client.write("POST", path, dict(body))
    except UnknownEndpoint:
        raise ApiError("POST", path, 404, text=_NO_TRANSFERS, stated=True) from None
    except ApiError as error:
        where = f"[POST {path}: HTTP {error.status} {error.code}]"
        if error.code == "api_token_acl_not_allowed":
            file = clean_line(f"{body['path']}{body['name']}")
            error.args = (
                "The access list of this token does not allow this transfer on that server as that user. Add a file ACL"
                f" whose path matches {file}, or use a token that has one. {where}",
            )
        elif error.status == 404 and error.stated:
            error.args = (f"{_NO_TRANSFERS} {where}",)
        raise


def _parse_transfer(client: Client, path: str, response: ApiResponse, key: str) -> Transfer:
    row = response.body[0] if isinstance(response.body, list) and response.body else response.body
    if not isinstance(row, Mapping) or not is_uuid(row.get("id")):
        raise LostResponse(f"POST {path}: HTTP {response.status} without the id of a transfer.")
    if not row.get(key):
        raise StorageError(
            "This workspace has no object storage, through which this collection transfers files. Use the connection"
            " plugin, or a command, in place of it."
        )
    command_id = row.get("command")
    if isinstance(command_id, Mapping):
        command_id = command_id.get("id")
    return Transfer(
        normalize_uuid(row["id"]),
        check_url(row[key], client.settings),
        normalize_uuid(command_id) if is_uuid(command_id) else None,
    )
