# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test file transfers: their shapes, the object storage, and what agents write."""

from __future__ import annotations

import typing as t
from pathlib import Path

import requests
from workspace.client import Row, Workspace


def create(workspace: Workspace, kind: str, file: Path, **fields: t.Any) -> requests.Response:
    body = {"server": workspace.server_ids()["web-01"], "name": file.name, "path": f"{file.parent}/", **fields}
    return workspace.api("POST", f"webftp/{kind}s/", json=body)


def put(upload: Row, content: bytes, **options: t.Any) -> requests.Response:
    return requests.put(upload["upload_url"], data=content, timeout=30, **options)


def start(workspace: Workspace, upload: Row) -> requests.Response:
    return workspace.api("GET", f"webftp/uploads/{upload['id']}/upload/")


def status(workspace: Workspace, kind: str, transfer: Row) -> requests.Response:
    return workspace.api("GET", f"webftp/{kind}s/{transfer['id']}/status/")


def await_end(workspace: Workspace, transfer: Row, kind: str = "upload") -> Row:
    def ended() -> Row | None:
        row = status(workspace, kind, transfer).json()
        return row if row["success"] is not None else None

    return t.cast(Row, workspace._until(ended, "not ended", 30))


def upload(workspace: Workspace, file: Path, content: bytes, **fields: t.Any) -> Row:
    row = create(workspace, "upload", file, **fields).json()
    assert put(row, content).status_code == 200
    assert start(workspace, row).status_code == 200
    return await_end(workspace, row)


def test_an_upload_goes_through_the_storage_and_begins_when_asked_for(current: Workspace, tmp_path: Path) -> None:
    answer = create(current, "upload", tmp_path / "new")
    row = answer.json()
    assert (answer.status_code, row["name"]) == (201, "new")
    assert row["upload_url"].startswith(f"{current.storage()['url']}/")
    assert not row["upload_url"].startswith(f"{current.url}/")
    put(row, b"content")
    assert status(current, "upload", row).json() == {"success": None, "message": ""}
    start(current, row)
    assert await_end(current, row)["success"] is True
    assert (tmp_path / "new").read_bytes() == b"content"
    assert current.transfers()[0]["starts"] == 1


def test_a_file_that_exists_is_replaced_only_if_that_is_allowed(current: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "there"
    file.write_bytes(b"old and longer")
    file.chmod(0o640)
    assert upload(current, file, b"new") == {"success": False, "message": f"{file} already exists."}
    assert upload(current, file, b"new", allow_overwrite=True)["success"] is True
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)


def test_a_transfer_states_the_whole_path_too(current: Workspace, tmp_path: Path) -> None:
    assert upload(current, tmp_path / "whole", b"x", path=f"{tmp_path}/whole")["success"] is True
    assert (tmp_path / "whole").read_bytes() == b"x"


def test_an_upload_that_fails_says_why(current: Workspace, tmp_path: Path) -> None:
    row = upload(current, tmp_path / "no" / "folder", b"x")
    assert row == {"success": False, "message": f"open {tmp_path}/no/folder: no such file or directory"}
    row = create(current, "upload", tmp_path / "early").json()
    start(current, row)
    assert await_end(current, row) == {"success": False, "message": "Failed to transfer the file: status code 404"}
    current.fault("half_file", line="download")
    assert upload(current, tmp_path / "half", b"abcd")["success"] is False
    assert (tmp_path / "half").read_bytes() == b"ab"


def test_an_upload_that_hangs_has_no_end(current: Workspace, tmp_path: Path) -> None:
    current.fault("vanish", line="download")
    row = create(current, "upload", tmp_path / "never").json()
    put(row, b"x")
    start(current, row)
    command = current.transfers()[0]["command"]
    current.wait_for_command(command, "running")
    assert status(current, "upload", row).json()["success"] is None
    current.settings(transfer_status="refused")
    answer = status(current, "upload", row)
    assert (answer.status_code, answer.json()) == (422, {"code": "webftp_transfer_in_progress"})


def test_a_download_is_there_once_its_command_ended(current: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_bytes(b"\x00\xff" * 100_000)
    current.settings(ack_delay=0.5)
    answer = create(current, "download", file, resource_type="file")
    row = answer.json()
    assert answer.status_code == 201
    assert requests.get(row["download_url"], timeout=30).status_code == 404
    assert current.wait_for_command(row["command"])["status"] == "success"
    assert requests.get(row["download_url"], timeout=30).content == file.read_bytes()
    assert await_end(current, row, "download")["success"] is True


def test_a_download_of_no_file(current: Workspace, tmp_path: Path) -> None:
    row = create(current, "download", tmp_path / "none").json()
    command = current.wait_for_command(row["command"])
    assert command["result_begin"] == f"open {tmp_path}/none: no such file or directory"
    assert (command["status"], requests.get(row["download_url"], timeout=30).status_code) == ("failed", 404)


def test_the_storage_takes_a_signature_and_no_token(current: Workspace, tmp_path: Path) -> None:
    row = create(current, "upload", tmp_path / "x").json()
    assert put(row, b"x", headers={"Authorization": f'token="{current.token}"'}).status_code == 400
    assert put(row | {"upload_url": row["upload_url"][:-1]}, b"x").status_code == 403
    assert requests.get(row["upload_url"], timeout=30).status_code == 403
    assert [entry["status"] for entry in current.storage()["log"]] == [400, 403, 403]


def test_what_a_token_may_transfer(current: Workspace, tmp_path: Path) -> None:
    current.settings(file_acl={"admin": [f"{tmp_path}/open/*"]})
    answer = create(current, "upload", tmp_path / "closed")
    assert (answer.status_code, answer.json()) == (403, {"code": "api_token_acl_not_allowed"})
    assert create(current, "upload", tmp_path / "open" / "x").status_code == 201
    answer = create(current, "download", tmp_path / "open" / "x", username="nobody-known")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_command")


def test_a_workspace_without_object_storage_states_no_url(current: Workspace, tmp_path: Path) -> None:
    current.settings(object_storage=False)
    assert "upload_url" not in create(current, "upload", tmp_path / "x").json()


def test_other_dialects_have_no_transfers(published: Workspace, old: Workspace, tmp_path: Path) -> None:
    assert create(published, "upload", tmp_path / "x").status_code == 404
    assert "text/html" in create(old, "download", tmp_path / "x").headers["Content-Type"]
