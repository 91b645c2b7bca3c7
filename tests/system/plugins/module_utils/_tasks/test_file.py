# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test alpacon_file: transfers, comparisons, results by server, and lost responses."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from system.certificates import authority
from system.support import ScriptedServer, TaskResult
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api import storage
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import RunIsOver, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import file_transfers
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.pacing import PACING
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import HostLocks, Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import file
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.file import SPEC, run_file
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.file_options import FOUND, HOST

_UPLOADS, _DOWNLOADS = "/api/webftp/uploads/", "/api/webftp/downloads/"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(file_transfers.TRANSFER_PACING, first_poll=0.1, alone=0.2, steady=0.2, longest=0.3, per_page=0.0)
    monkeypatch.setattr(file, "TRANSFER_PACING", quick)
    monkeypatch.setattr(file_transfers, "_SHORTEST", 0.1)
    monkeypatch.setattr(file_transfers, "PACING", replace(PACING, patience=1.0))
    monkeypatch.setattr(storage, "_FIRST_PAUSE", 0.05)


def transfer(target: Workspace | ScriptedServer, run: Run | None = None, **given: Any) -> TaskResult:
    """Run a task, and check the number of requests that it returns."""
    token = target.token if isinstance(target, Workspace) else "alpat-x"
    defaults = {name: option.get("default") for name, option in SPEC.items()}
    options = {**defaults, "max_size": 2**30, "url": target.url, "token": token, "servers": ["web-01"], **given}
    if options["state"] == "uploaded" and options["src"]:
        options[FOUND] = options["src"]
    warnings: list[str] = []
    before = target.requests_made() if isinstance(target, Workspace) else len(target.requests)
    result = run_file(options, run or Run(warn=warnings.append))
    after = target.requests_made() if isinstance(target, Workspace) else len(target.requests)
    assert result["requests"] == after - before
    return TaskResult(result, warnings)


def download(target: Workspace, **given: Any) -> TaskResult:
    return transfer(target, state="downloaded", **given)


def list_starts(workspace: Workspace) -> list[int]:
    return [row["starts"] for row in workspace.transfers()]


def test_a_new_file_is_uploaded_and_the_same_file_is_not_sent_again(workspace: Workspace, tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "server" / "app.conf"
    source.write_bytes(os.urandom(300_000))
    dest.parent.mkdir()
    result = transfer(workspace, src=str(source), dest=str(dest))
    assert (result["changed"], result["outcome"], result["path"]) == (True, "success", str(dest))
    assert (dest.read_bytes(), result["size"]) == (source.read_bytes(), 300_000)
    assert result["checksum"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert result["storage"] == workspace.storage()["url"].partition("//")[2]
    again = transfer(workspace, src=str(source), dest=str(dest))
    assert (again["changed"], again["outcome"], again["storage"]) == (False, "success", None)
    assert len(workspace.transfers()) == 1
    source.write_bytes(b"new")
    assert transfer(workspace, src=str(source), dest=str(dest))["changed"] is True
    assert dest.read_bytes() == b"new"


def test_the_storage_never_gets_the_token(workspace: Workspace, tmp_path: Path) -> None:
    transfer(workspace, content="x", dest=str(tmp_path / "x"))
    download(workspace, src=str(tmp_path / "x"), dest=str(tmp_path / "y"))
    log = [entry for entry in workspace.storage()["log"] if not entry["agent"]]
    assert [entry["method"] for entry in log] == ["PUT", "GET"]
    assert workspace.token not in str(log)
    assert not any("authorization" in entry["headers"] for entry in log)


def test_an_upload_to_many_servers_has_a_result_for_each(workspace: Workspace, tmp_path: Path) -> None:
    dest = tmp_path / "motd"
    workspace.change_server("web-02", commissioned=False)
    result = transfer(workspace, content="hello\n", dest=str(dest), servers=["web-01", "web-02"])
    first, second = result["servers"]
    assert (first["name"], first["outcome"], first["changed"]) == ("web-01", "success", True)
    assert (second["name"], second["outcome"], second["changed"]) == ("web-02", "refused", False)
    assert (result["failed"], result["summary"]) == (True, {"success": 1, "refused": 1})
    assert dest.read_text() == "hello\n"


def test_a_file_that_may_not_be_overwritten_stays(workspace: Workspace, tmp_path: Path) -> None:
    dest = tmp_path / "there"
    dest.write_text("old")
    result = transfer(workspace, content="new", dest=str(dest), overwrite=False)
    assert (result["outcome"], result["changed"], dest.read_text()) == ("success", False, "old")
    assert workspace.commands(line=f"sha256sum -- {dest}") == []
    dest.unlink()
    assert transfer(workspace, content="new", dest=str(dest), overwrite=False)["changed"] is True


def test_a_slash_at_the_end_takes_the_name_of_the_source(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "name").write_text("x")
    assert transfer(workspace, src=str(tmp_path / "name"), dest=f"{tmp_path}/to/")["path"] == f"{tmp_path}/to/name"
    assert (tmp_path / "to" / "name").read_text() == "x"


def test_a_path_is_quoted_for_the_comparison(workspace: Workspace, tmp_path: Path) -> None:
    dest = tmp_path / "a 'b; touch c"
    assert transfer(workspace, content="x", dest=str(dest))["changed"] is True
    assert transfer(workspace, content="x", dest=str(dest))["changed"] is False
    assert os.listdir(tmp_path) == [dest.name]


def test_without_compare_no_command_is_submitted(workspace: Workspace, tmp_path: Path) -> None:
    for _time in range(2):
        assert transfer(workspace, content="x", dest=str(tmp_path / "x"), compare=False)["changed"] is True
    assert {row["line"] for row in workspace.commands()} == {"download"}


def test_a_token_that_may_transfer_and_run_nothing_uploads_without_a_comparison(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.settings(acl={"admin": []})
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"))
    assert (result["outcome"], result["changed"]) == ("success", True)
    assert "could not be compared" in result["msg"]


def test_a_refused_file_says_which_list_lacks_it(workspace: Workspace, tmp_path: Path) -> None:
    workspace.settings(file_acl={"admin": ["/srv/*"]})
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"))
    assert (result["outcome"], result["failed"], result["changed"]) == ("refused", True, False)
    assert f"file ACL whose path matches {tmp_path}/x" in result["msg"]


@pytest.mark.parametrize("state", ["uploaded", "downloaded"])
def test_check_mode_sends_nothing(workspace: Workspace, tmp_path: Path, state: str) -> None:
    given = {"content": "x"} if state == "uploaded" else {"src": "/etc/hostname"}
    result = transfer(workspace, Run(check_mode=True), state=state, dest=str(tmp_path / "x"), **given)
    assert (result["changed"], result["outcome"], workspace.commands()) == (True, None, [])
    assert (workspace.transfers(), list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize(("offline", "failed"), [("fail", True), ("skip", False)])
def test_a_server_that_is_offline(workspace: Workspace, tmp_path: Path, offline: str, failed: bool) -> None:
    workspace.disconnect("web-02")
    servers = ["web-01", "web-02"]
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"), servers=servers, offline=offline)
    assert [row["outcome"] for row in result["servers"]] == ["success", "offline"]
    assert (result["failed"], len(workspace.transfers())) == (failed, 1)


def test_an_upload_that_fails_or_hangs(workspace: Workspace, tmp_path: Path) -> None:
    result = transfer(workspace, content="x", dest=f"{tmp_path}/no/folder")
    assert (result["outcome"], result["failed"]) == ("failed", True)
    assert "no such file or directory" in result["msg"]
    workspace.fault("vanish", line="download")
    for status in ("null", "refused"):
        workspace.settings(transfer_status=status)
        result = transfer(workspace, content="x", dest=str(tmp_path / "x"), wait_timeout="2s")
        assert (result["outcome"], result["changed"]) == ("timed_out", True)
    workspace.clear_faults()
    workspace.fault("half_file", line="download")
    result = transfer(workspace, content="abcd", dest=str(tmp_path / "half"))
    assert (result["outcome"], result["changed"]) == ("failed", True)
    workspace.clear_faults()
    assert transfer(workspace, content="abcd", dest=str(tmp_path / "half"))["changed"] is True


@pytest.mark.parametrize("kind", ["lose_before", "lose_after", "status_after"])
def test_a_lost_response_to_the_record_of_an_upload_is_harmless(
    workspace: Workspace, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.fault(kind, method="POST", path=f"{_UPLOADS}$", times=1)
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"), compare=False)
    assert (result["outcome"], (tmp_path / "x").read_text()) == ("success", "x")
    assert sum(list_starts(workspace)) == 1
    workspace.fault(kind, method="POST", path=f"{_UPLOADS}$")
    result = transfer(workspace, content="new", dest=str(tmp_path / "x"), compare=False)
    assert (result["outcome"], result["changed"], (tmp_path / "x").read_text()) == ("refused", False, "x")
    assert "Nothing was written on the server." in result["msg"]


@pytest.mark.parametrize("kind", ["lose_after", "status_after", "html", "truncate"])
def test_a_lost_response_to_the_start_starts_nothing_twice(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    workspace.fault(kind, method="GET", path="/upload/$", times=1)
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"))
    assert (result["outcome"], result["changed"], list_starts(workspace)) == ("success", True, [1])
    assert "The response to its start was lost." in result["msg"]


def test_a_start_that_may_not_have_arrived_is_unknown(workspace: Workspace, tmp_path: Path) -> None:
    workspace.fault("lose_before", method="GET", path="/upload/$")
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"), wait_timeout="2s")
    assert (result["outcome"], result["changed"], list_starts(workspace)) == ("unknown", True, [0])


def test_a_storage_that_fails_starts_nothing(workspace: Workspace, tmp_path: Path) -> None:
    workspace.fault("status", method="PUT", path="/bucket/", status=403)
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"))
    assert (result["outcome"], result["changed"], list_starts(workspace)) == ("refused", False, [0])
    assert "HTTP 403" in result["msg"]
    assert "Signature" not in str(result)


def test_a_storage_that_stumbles_gets_the_file_again(workspace: Workspace, tmp_path: Path) -> None:
    workspace.fault("lose_before", method="PUT", path="/bucket/", times=2)
    assert transfer(workspace, content="x", dest=str(tmp_path / "x"))["outcome"] == "success"
    workspace.fault("status", method="GET", path="/bucket/", status=503, times=1)
    assert download(workspace, src=str(tmp_path / "x"), dest=str(tmp_path / "y"))["outcome"] == "success"


@pytest.mark.parametrize("url", ["http://storage.example.com", "https://localhost.evil.example:x", "file:///etc"])
def test_a_storage_that_is_not_safe_gets_nothing(workspace: Workspace, tmp_path: Path, url: str) -> None:
    workspace.settings(storage_url=url)
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"))
    assert (result["outcome"], list_starts(workspace)) == ("refused", [0])
    result = download(workspace, src="/etc/hostname", dest=str(tmp_path / "y"))
    assert (result["outcome"], list(tmp_path.iterdir())) == ("refused", [])


def test_a_workspace_without_object_storage_or_transfers(
    workspace: Workspace, published: Workspace, old: Workspace, tmp_path: Path
) -> None:
    workspace.settings(object_storage=False)
    result = transfer(workspace, content="x", dest=str(tmp_path / "x"))
    assert "has no object storage" in result["msg"]
    for other in (published, old):
        result = transfer(other, content="x", dest=str(tmp_path / "x"))
        assert (result["outcome"], "has no file transfers" in result["msg"]) == ("refused", True)


def test_a_download_replaces_the_file_only_if_it_differs(workspace: Workspace, tmp_path: Path) -> None:
    source, dest = tmp_path / "report", tmp_path / "here" / "copy"
    source.write_bytes(os.urandom(200_000))
    result = download(workspace, src=str(source), dest=str(dest))
    assert (result["outcome"], result["changed"], result["path"]) == ("success", True, str(dest))
    assert (dest.read_bytes(), dest.stat().st_mode & 0o777) == (source.read_bytes(), 0o600)
    assert result["checksum"] == hashlib.sha256(source.read_bytes()).hexdigest()
    dest.chmod(0o644)
    again = download(workspace, src=str(source), dest=str(dest))
    assert (again["changed"], len(workspace.transfers())) == (False, 1)
    again = download(workspace, src=str(source), dest=str(dest), compare=False)
    assert (again["changed"], len(workspace.transfers())) == (False, 2)
    source.write_text("other")
    assert download(workspace, src=str(source), dest=str(dest))["changed"] is True
    assert (dest.read_text(), dest.stat().st_mode & 0o777) == ("other", 0o644)
    assert [path.name for path in dest.parent.iterdir()] == ["copy"]


def test_downloads_of_many_servers_lie_in_folders_of_their_own(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x")
    ids = workspace.server_ids()
    servers = ["web-01", ids["web-02"]]
    result = download(workspace, src=str(tmp_path / "log"), dest=f"{tmp_path}/logs/", servers=servers)
    assert [row["path"] for row in result["servers"]] == [f"{tmp_path}/logs/{name}/log" for name in servers]
    assert all((tmp_path / "logs" / name / "log").read_text() == "x" for name in servers)
    result = download(workspace, src=str(tmp_path / "log"), dest=f"{tmp_path}/own/", **{HOST: "db.example.com"})
    assert result["path"] == f"{tmp_path}/own/db.example.com/log"


def test_hosts_of_a_task_do_not_replace_the_downloads_of_each_other(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "link").symlink_to(tmp_path)

    def run_for(host: str, server: str, dest: Path) -> TaskResult:
        run = Run(host_locks=HostLocks(tmp_path, "task", host))
        return download(workspace, run=run, servers=[server], src=str(tmp_path / "a"), dest=str(dest))

    assert run_for("one", "web-01", tmp_path / "x")["changed"] is True
    with pytest.raises(UsageError, match="dest: host one of the task downloads to"):
        run_for("two", "web-02", tmp_path / "link" / "x")
    assert run_for("two", "web-02", tmp_path / "y")["changed"] is True
    assert run_for("one", "web-01", tmp_path / "x")["changed"] is False, "another attempt of the host"


def test_a_download_that_fails_leaves_the_file_as_it_is(workspace: Workspace, tmp_path: Path) -> None:
    dest = tmp_path / "x"
    dest.write_text("old")
    result = download(workspace, src=f"{tmp_path}/none", dest=str(dest))
    assert (result["outcome"], result["changed"]) == ("failed", False)
    assert "no such file or directory" in result["msg"]
    (tmp_path / "large").write_bytes(b"x" * 2000)
    result = download(workspace, src=f"{tmp_path}/large", dest=str(dest), max_size=1000)
    assert (result["outcome"], "max_size" in result["msg"]) == ("failed", True)
    workspace.fault("truncate", method="GET", path="/bucket/")
    result = download(workspace, src=f"{tmp_path}/large", dest=str(dest))
    assert (result["outcome"], result["changed"]) == ("failed", False)
    assert (dest.read_text(), sorted(path.name for path in tmp_path.iterdir())) == ("old", ["large", "x"])


def test_a_lost_response_to_a_download_is_not_repeated(workspace: Workspace, tmp_path: Path) -> None:
    workspace.fault("lose_after", method="POST", path=f"{_DOWNLOADS}$", times=1)
    result = download(workspace, src="/etc/hostname", dest=str(tmp_path / "x"))
    assert (result["outcome"], result["changed"], list_starts(workspace)) == ("unknown", False, [1])


def test_a_download_that_hangs_times_out(workspace: Workspace, tmp_path: Path) -> None:
    workspace.fault("vanish", line="upload")
    result = download(workspace, src="/etc/hostname", dest=str(tmp_path / "x"), wait_timeout="2s")
    assert (result["outcome"], result["changed"], result["failed"]) == ("timed_out", False, True)


def test_a_retry_sends_what_failed_and_nothing_that_may_be_written(workspace: Workspace, tmp_path: Path) -> None:
    run = Run(earlier_submits={})
    options = {"content": "x", "dest": f"{tmp_path}/later/x", "compare": False}
    assert transfer(workspace, run, **options)["outcome"] == "failed"
    (tmp_path / "later").mkdir()
    assert transfer(workspace, run, **options)["outcome"] == "success"
    assert list_starts(workspace) == [1, 1]
    run = Run(earlier_submits={})
    workspace.fault("late_fin", line="download", seconds=3)
    options["dest"] = f"{tmp_path}/slow"
    assert transfer(workspace, run, wait_timeout="1s", **options)["outcome"] == "timed_out"
    result = transfer(workspace, run, **options)
    assert (result["outcome"], result["changed"], list_starts(workspace)) == ("success", True, [1, 1, 1])
    result = transfer(workspace, run, **{**options, "compare": True})
    assert (result["outcome"], result["changed"], list_starts(workspace)) == ("success", True, [1, 1, 1])


def test_after_the_end_of_the_run_no_upload_is_started(workspace: Workspace, tmp_path: Path) -> None:
    workspace.fault("status", method="PUT", path="/bucket/", status=503, delay=1.0)

    def is_over() -> bool:
        return any(entry["method"] == "PUT" for entry in workspace.storage()["log"])

    journal = tmp_path / "run.ids"
    with pytest.raises(RunIsOver):
        transfer(
            workspace, Run(RunContext(is_over=is_over, journal_file=journal)), content="x", dest="/x", compare=False
        )
    assert list_starts(workspace) == [0]
    assert len(journal.read_text().splitlines()) == 1


def test_a_storage_with_the_private_ca_of_the_workspace(tmp_path: Path) -> None:
    ours = authority(tmp_path, "Our CA")
    with Workspace("current", servers=["web-01"], tick=0.1, tls=(ours.chain, ours.chain), ca=ours.file) as secured:
        result = transfer(secured, ca_path=str(ours.file), content="x", dest=str(tmp_path / "x"))
        assert result["outcome"] == "success"
