# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run bodies and copy files without Ansible: results, errors for each failure, and submits through a proxy."""

from __future__ import annotations

import base64
import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.shell import build_shell_body
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.connection import HostConnection
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import (
    AccountRefused,
    CommandResult,
    ServerRunner,
)
from ansible_collections.herdops.alpacon.tests.unit.support import NO_COMMAND, SERVER

MAY_HAVE_RUN = "may have run"
MakeRunner = Callable[..., ServerRunner]


#: An account, that of the next task, and True if the home of the former is not queried again.
KEPT_HOMES = [
    (None, None, True),
    ("deploy", "deploy", True),
    ("deploy", "root", False),
    (None, "root", False),
    ("deploy", None, False),
    ("root", "deploy", True),
]


def ping(runner: ServerRunner, text: str = "echo pong") -> CommandResult:
    return runner.run_body("module:ansible.builtin.ping", build_shell_body(text), b"code")


def get_error(runner: ServerRunner, text: str = "echo pong") -> str:
    """Return the error of a run that fails."""
    with pytest.raises(AlpaconError) as raised:
        ping(runner, text)
    return str(raised.value)


# Errors


def test_each_error_names_its_cause_and_nothing_runs(current: Workspace, make_runner: MakeRunner) -> None:
    ids, tokens = current.server_ids(), current.tokens()
    current.disconnect("web-02")
    current.settings(holds=[{"line": "ping", "servers": ["web-03"], "status": "awaiting_approval"}])
    causes: list[tuple[dict[str, Any], str]] = [
        ({"server": ids["web-02"]}, "offline"),
        ({"server": ids["web-02"], "connected": False}, "offline"),
        ({"server": ids["web-03"]}, r"the workspace held .+ until somebody approves it\. It was cancelled\."),
        ({"server": "nobody"}, "no server is named nobody"),
        ({"server": NO_COMMAND}, "server"),
        ({"server": NO_COMMAND, "connected": False}, "no server has the id"),
        ({"username": "stranger"}, "username"),
        ({"token": tokens["noacl"]}, "access list"),
        ({"token": "wrong" * 8}, "token"),
        ({"url": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ]
    for fields, cause in causes:
        message = get_error(make_runner(current, **fields))
        assert re.search(cause, message), message
        assert MAY_HAVE_RUN not in message
        assert not [secret for secret in (current.token, tokens["noacl"], "wrong" * 8) if secret in message]
    assert [row["run_count"] for row in current.commands()] == [0] * len(current.commands())
    assert {row["status"] for row in current.commands()} <= {"cancelled"}


def test_a_held_command_that_cannot_be_cancelled_may_run(current: Workspace, make_runner: MakeRunner) -> None:
    current.settings(holds=[{"line": "ping", "servers": ["web-01"], "status": "awaiting_approval"}])
    current.fault("status", method="DELETE", status=403, body='{"detail": "No.", "code": "api_token_acl_not_allowed"}')
    assert "It could not be cancelled. It may have run" in get_error(make_runner(current))


@pytest.mark.parametrize(
    ("settings", "fault", "message", "run_count"),
    [
        pytest.param(
            {"gives_up_after": 1},
            {"kind": "never_ack"},
            "The workspace says: agent_disconnected. It may have run",
            0,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"gives_up_after": 1},
            {"kind": "vanish"},
            "The workspace says: agent_timeout. It may have run, and is not",
            0,
            marks=pytest.mark.slow,
        ),
        ({"stuck_after": 1}, {"kind": "vanish"}, MAY_HAVE_RUN, 0),
        ({}, {"kind": "reject"}, "", 0),
        ({"output": "chunks"}, {"kind": "drop_chunk", "seq": 0}, "has run|may have run", 1),
        ({}, {"kind": "status", "status": 404, "body": "default", "path": "^/api/events/commands/."}, MAY_HAVE_RUN, 1),
    ],
)
def test_errors_name_commands_that_may_have_run(
    current: Workspace,
    make_runner: MakeRunner,
    settings: dict[str, Any],
    fault: dict[str, Any],
    message: str,
    run_count: int,
) -> None:
    current.settings(**settings)
    about = {} if "path" in fault else {"line": " module:"}
    current.fault(fault.pop("kind"), **about, **fault)
    text = get_error(make_runner(current, wait_timeout=1 if "path" in about or not about else 60))
    assert re.search(message, text), text
    if not run_count:
        assert "has run" not in text
    assert [row["run_count"] for row in current.commands()] == [run_count]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, {"kind": "lose_after", "method": "POST", "path": "^/api/events/commands/$", "times": 1}),
        ({"output": "chunks"}, {"kind": "late_chunk", "seconds": 1}),
    ],
)
def test_lost_responses_and_late_chunks_are_found(
    current: Workspace, make_runner: MakeRunner, settings: dict[str, Any], fault: dict[str, Any]
) -> None:
    current.settings(**settings)
    current.fault(fault.pop("kind"), **fault)
    assert ping(make_runner(current)) == CommandResult(0, b"pong\n", b"")
    assert [row["run_count"] for row in current.commands()] == [1]


def test_timeouts_name_the_command_and_a_remedy(current: Workspace, make_runner: MakeRunner) -> None:
    current.settings(line_seconds=2)
    messages = [get_error(make_runner(current, wait_timeout=seconds), "sleep 30") for seconds in (1, 60)]
    waited, ended = (command["id"] for command in current.commands())
    assert f"command {waited}: Not finished within alpacon_wait_timeout." in messages[0]
    assert f"command {ended} has run." in messages[1]
    assert "the agent ended it after 2s" in messages[1]
    assert messages[1].endswith("A task that takes so long needs async and poll.")


class TaskTimeoutError(BaseException):
    """Replace the error with which ansible-core ends a task."""


@pytest.mark.parametrize("text", [(), ("Timed out after 1 second.",)])
def test_the_timeout_of_a_task_names_its_command(
    current: Workspace, make_runner: MakeRunner, text: tuple[str, ...]
) -> None:
    def end(_number: int, _frame: object) -> None:
        raise TaskTimeoutError(*text)

    alerts: list[str] = []
    before = signal.signal(signal.SIGALRM, end)
    try:
        with pytest.raises(TaskTimeoutError) as raised:
            ping(make_runner(current, alert=alerts.append), f"kill -ALRM {os.getpid()}; sleep 20")
    finally:
        signal.signal(signal.SIGALRM, before)
    [command] = current.commands()
    message = f"the-host: command {command['id']} is not finished. Await it with alpacon_command and state=finished."
    assert [*alerts, *raised.value.args] == [" ".join([*text, message])]


@pytest.mark.parametrize("reason", ["user", "group"])
def test_a_missing_account_raises_its_own_error(current: Workspace, make_runner: MakeRunner, reason: str) -> None:
    current.fault("fail_start", reason=reason)
    with pytest.raises(AccountRefused, match=rf"the-host: nothing was run: the server has no {reason} "):
        ping(make_runner(current, groupname="deploy"))


@pytest.mark.parametrize("workspace", ["published", "2024"], indirect=True)
def test_workspaces_without_variables_are_refused(workspace: Workspace, make_runner: MakeRunner) -> None:
    assert "nothing was run: the workspace did not pass on the variables" in get_error(make_runner(workspace))


# Proxies and run files


def test_files_and_modules_pass_a_proxy_with_a_small_limit(
    current: Workspace, make_runner: MakeRunner, tmp_path: Path
) -> None:
    # The default limit of ModSecurity.
    current.settings(body_max=128 * 1024)
    host = HostConnection(make_runner(current), "ansible.builtin.copy", cache_owner=None)
    content = random.Random(1).randbytes(150_000)
    host.put(content, f"{tmp_path}/there")
    assert (tmp_path / "there").read_bytes() == content
    module = base64.b64encode(random.Random(2).randbytes(150_000))
    assert host.run_command(f"/bin/sh -c 'wc -c; echo run >> {tmp_path}/runs'", module).stdout.split() == [b"200000"]
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "run\n"
    assert {row["run_count"] for row in current.commands()} == {1}
    refused = [entry for entry in current.log() if entry["status"] == 413]
    assert len(refused) <= 3, "the limit of the proxy is found once, and a module is tried as a whole"


@pytest.mark.slow
def test_a_proxy_that_accepts_1_mib_refuses_one_submit_in_a_run(
    current: Workspace, make_runner: MakeRunner, tmp_path: Path
) -> None:
    current.settings(body_max=2**20)
    for number in range(2):
        content = random.Random(number).randbytes(1_200_000)
        HostConnection(make_runner(current), "ansible.builtin.copy", cache_owner=None).put(content, f"{tmp_path}/there")
        assert (tmp_path / "there").read_bytes() == content
    assert sum(entry["status"] == 413 for entry in current.log()) == 1
    assert len(current.commands()) == 2 * 3


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_large_files_take_few_submits_and_requests(current: Workspace, make_runner: MakeRunner, tmp_path: Path) -> None:
    host = HostConnection(make_runner(current), "ansible.builtin.copy", cache_owner=None)
    content = random.Random(3).randbytes(20_000_000)
    host.put(content, f"{tmp_path}/there")
    assert (tmp_path / "there").read_bytes() == content
    assert len(current.commands()) == 20
    assert current.requests_made() <= 50
    (tmp_path / "there").write_bytes(content[:4_000_000])
    current.reset_counters()
    host.fetch(f"{tmp_path}/there", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content[:4_000_000]
    assert len(current.commands()) == 20 + 6
    assert current.requests_made() <= 30


@pytest.mark.parametrize("fault", [{"kind": "lose_after"}, {"kind": "status", "status": 413, "body": "default"}])
def test_a_file_arrives_whole_or_not_at_all(
    current: Workspace,
    make_runner: MakeRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
) -> None:
    (tmp_path / "there").write_bytes(b"before")
    runner = make_runner(current)
    run_bodies = runner.run_bodies

    def run_with_fault(*arguments: Any) -> list[CommandResult]:
        current.fault(**fault, method="POST", path="^/api/events/commands/$", times=1)
        return run_bodies(*arguments)

    # The first part is accepted, and one of the others gets no response or is refused.
    monkeypatch.setattr(runner, "run_bodies", run_with_fault)
    host = HostConnection(runner, "ansible.builtin.copy", cache_owner=None)
    content = random.Random(4).randbytes(3_500_000)
    if fault["kind"] == "lose_after":
        host.put(content, f"{tmp_path}/there")
    else:
        with pytest.raises(AlpaconError):
            host.put(content, f"{tmp_path}/there")
        host.close()
    expected = content if fault["kind"] == "lose_after" else b"before"
    assert (tmp_path / "there").read_bytes() == expected
    assert [file for file in tmp_path.iterdir() if file.name.startswith("there")] == [tmp_path / "there"]
    assert {row["run_count"] for row in current.commands()} == {1}


def test_a_file_that_is_too_large_for_the_host_is_sent_in_smaller_parts(
    current: Workspace, make_runner: MakeRunner, tmp_path: Path
) -> None:
    content = random.Random(5).randbytes(1_000_000)
    current.fault("fail_start", reason="too_large", times=1)
    HostConnection(make_runner(current), "ansible.builtin.copy", cache_owner=None).put(content, f"{tmp_path}/there")
    assert (tmp_path / "there").read_bytes() == content
    assert [row["exit_code"] for row in current.commands()] == [1, 0, 0, 0]


@pytest.mark.parametrize(("username", "meanwhile", "is_kept"), KEPT_HOMES)
def test_a_home_is_noted_until_another_account_may_have_moved_it(
    make_runner: MakeRunner, username: str | None, meanwhile: str | None, is_kept: bool
) -> None:
    def runner(username: str | None) -> ServerRunner:
        return make_runner("https://workspace.example", SERVER, username=username)

    def read(runner: ServerRunner) -> bytes | None:
        return runner.read_run_file(runner.get_home_file("") or "")

    first = runner(username)
    assert first.get_home_file("app") is None
    first.write_run_file(first.get_home_file("") or "", b"/home/me")
    other = runner(meanwhile)
    assert read(runner(username)) == (b"/home/me" if is_kept else None)
    other.invalidate_server()
    assert read(runner(username)) is None
