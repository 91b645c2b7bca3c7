# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test how rows of file transfers are read, also hostile ones."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import STARTING_GET
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, LostResponse
from ansible_collections.herdops.alpacon.plugins.module_utils._api.response import ApiResponse
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._api.storage import StorageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.transfers import (
    create_download,
    create_upload,
    read_status,
    start_upload,
)
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER

_BODY = {"server": SERVER, "path": "/srv/", "name": "app"}
_URL = "https://bucket.example.com/x"


class _Client:
    """Answer every request alike, and keep the requests."""

    settings = Settings("https://a.example.com", "")

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.requests: list[tuple[str, str]] = []

    def write(self, method: str, path: str, body: Any = None) -> ApiResponse:
        self.requests.append((method, path))
        return ApiResponse(201, self.get(path), 0.0, 0.0)

    def get(self, path: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def sleep(self, seconds: float) -> None:
        return None


def client(answer: Any) -> Any:
    return _Client(answer)


@pytest.mark.parametrize("command", [COMMAND, COMMAND.upper(), {"id": COMMAND}])
def test_a_download_names_its_command(command: Any) -> None:
    row = {"id": SERVER, "download_url": _URL, "command": command}
    for answer in (row, [row]):
        transfer, found = create_download(client(answer), _BODY)
        assert (transfer.url.host, found.id, found.server.id) == ("bucket.example.com:443", COMMAND, SERVER)


@pytest.mark.parametrize(
    "row", [None, [], "x", {}, {"id": 5, "upload_url": _URL}, {"id": "../../x", "upload_url": _URL}, [[{}]]]
)
def test_a_row_without_an_id_is_a_lost_response(row: Any) -> None:
    asked = client(row)
    with pytest.raises(LostResponse, match="Nothing was written on the server"):
        create_upload(asked, _BODY)
    assert len(asked.requests) == 3
    asked = client(row)
    with pytest.raises(LostResponse):
        create_download(asked, _BODY)
    assert len(asked.requests) == 1


@pytest.mark.parametrize("url", [None, "", "http://bucket.example.com/x", {"a": 1}, "https://127.0.0.1/x"])
def test_a_row_with_another_url_is_refused(url: Any) -> None:
    with pytest.raises(StorageError):
        create_upload(client({"id": SERVER, "upload_url": url}), _BODY)
    with pytest.raises(StorageError):
        create_download(client({"id": SERVER, "download_url": url, "command": COMMAND}), _BODY)


def test_a_start_is_a_write() -> None:
    asked = client({})
    start_upload(asked, SERVER)
    assert asked.requests == [(STARTING_GET, f"/api/webftp/uploads/{SERVER}/upload/")]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({"success": None, "message": None}, (None, "")),
        ({"success": True, "message": "Done\n\x1b[31m"}, (True, "Done\\n\\x1b[31m")),
        ({"success": False, "message": "x" * 1000}, (False, "x" * 500)),
        ({"success": False, "message": {"a": 1}}, (False, "")),
        (ApiError("GET", "/", 422, "webftp_transfer_in_progress", stated=True), (None, "")),
    ],
)
def test_a_status(row: Any, status: tuple[bool | None, str]) -> None:
    assert read_status(client(row), SERVER) == status


@pytest.mark.parametrize("row", [None, [], {"success": "yes"}, {"success": 2}])
def test_what_is_no_status(row: Any) -> None:
    with pytest.raises(LostResponse):
        read_status(client(row), SERVER)
