# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test hostile workspaces: outcomes are right or honest, IDs are returned, nothing else is touched."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import cases
from hostile.workspace import DETAIL, FACTS, LISTED, NAMES, SERVER, SUBMIT, VICTIM, Case, HostileWorkspace
from system.support import FakeClock, command_options, info_options, lookup_options

from ansible_collections.herdops.alpacon.plugins.module_utils._api import client as _client
from ansible_collections.herdops.alpacon.plugins.module_utils._api import lost_submits as _lost_submits
from ansible_collections.herdops.alpacon.plugins.module_utils._api import outputs as _outputs
from ansible_collections.herdops.alpacon.plugins.module_utils._api import response as _response
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import (
    completion,
    fleet,
    follow,
    jobs,
    poll_timer,
    poller,
    progress,
    server_actions,
    submitting,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet import run as _run
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command as _command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_info as _command_info
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import command_task as _command_task
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import scheduled as _scheduled
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import server_action as _server_action
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import server_info as _server_info
from ansible_collections.herdops.alpacon.plugins.plugin_utils._event_source import EventOptions, WorkspaceWatch
from ansible_collections.herdops.alpacon.tests.unit.support import FAR, TOKEN, Row

#: Possible outcomes of a command with hostile rows: none says that it did not run.
HONEST = {"success", "failed", "timed_out", "unknown", "stuck", "error", "pending", "awaiting_approval"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    moved = FakeClock()
    for module in (
        _client,
        _lost_submits,
        _outputs,
        _response,
        completion,
        fleet,
        follow,
        jobs,
        poll_timer,
        poller,
        progress,
        _run,
        server_actions,
        submitting,
        _scheduled,
    ):
        monkeypatch.setattr(module, "time", moved)
    for module in (_command_task, _server_action):
        monkeypatch.setattr(module, "Fleet", functools.partial(fleet.Fleet, sleep=moved.sleep))
    monkeypatch.setattr(_outputs, "_CHUNK_PAUSES", ())
    for delay in ("_LINE_DELAY", "_FRAME_DELAY"):
        monkeypatch.setattr(_outputs, delay, 0.0)
    for module in (_run, _command_info, _server_info):
        monkeypatch.setattr(module, "Client", functools.partial(_client.Client, sleep=moved.sleep))
    return moved


@pytest.fixture
def hostile(clock: FakeClock) -> Iterator[HostileWorkspace]:
    workspace = HostileWorkspace(clock)
    with workspace.server:
        yield workspace


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Create a file that nothing may touch; hostile IDs point to it."""
    file = tmp_path / "home/authorized_keys"
    file.parent.mkdir()
    file.write_text("ssh-ed25519 AAAA\n", encoding="ascii")
    return file


def read_files(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and folder / "run" not in path.parents]
    return {str(path): path.read_text(encoding="utf-8") for path in files}


def depth(result: Any) -> int:
    inner = result.values() if isinstance(result, dict) else result if isinstance(result, list) else ()
    return 1 + max(map(depth, inner), default=0)


class Checker:
    def __init__(self, workspace: HostileWorkspace, folder: Path) -> None:
        self.workspace = workspace
        self.wrong: list[str] = []
        self.printed: list[str] = []
        self.count = 0
        self._folder = folder
        self._before = read_files(folder)

    def run(self, case: Case, hosts: int = 1, **given: Any) -> Row | None:
        """Run a task and return its result, or None after an error of ours."""
        folder = self._folder / "run"
        context = RunContext(folder=folder, journal_file=folder / "journal", report=self.printed.append)
        run = Run(context, hosts=hosts)
        settings = {"url": self.workspace.server.url, "token": TOKEN, "progress": "false", "wait_timeout": "4"}
        options = command_options(**{**settings, **given})
        result: Row | None = self.call(case, functools.partial(_command.run_command, options, run))
        return result

    def call(self, case: Case, task: Callable[[], Any]) -> Any:
        self.count += 1
        result = None
        try:
            result = task()
            text = json.dumps(result, allow_nan=False, ensure_ascii=False).encode("utf-8").decode("utf-8")
            self.check(case, '"__ansible_' not in text, "ansible-core would evaluate it")
            self.check(case, depth(result) < 50, "nested deeper than Ansible can show")
        except AlpaconError as error:
            text = str(error)
        except Exception as error:
            text = repr(error)
            self.check(case, False, f"raw {text}")
        self.check(case, TOKEN[:8] not in text, f"the token is shown: {text}")
        requests = self.workspace.unexpected_requests()
        self.check(case, not requests, f"unexpected requests {requests}")
        self.check(case, read_files(self._folder) == self._before, "files were touched")
        return result

    def check(self, case: Case, right: bool, complaint: str) -> None:
        if not right:
            self.wrong.append(f"{case.name}: {complaint}")

    def end(self) -> None:
        assert self.count
        assert not self.wrong, f"{len(self.wrong)} of {self.count}:\n" + "\n".join(self.wrong[:40])


@pytest.fixture
def checker(hostile: HostileWorkspace, canary: Path, tmp_path: Path) -> Iterator[Checker]:
    assert canary.is_file()
    (tmp_path / "run").mkdir()
    made = Checker(hostile, tmp_path)
    yield made
    made.end()


def check_execution(checker: Checker, case: Case, progress: str = "false") -> None:
    """Run a command on three servers, one with hostile rows: the others succeed, its command is known or unknown."""
    checker.workspace.start_case(case)
    result = checker.run(case, servers=list(NAMES.values()), line="uptime", progress=progress)
    checker.check(case, result is not None, "no result")
    if result is None:
        return
    submits, ids = checker.workspace.submits, checker.workspace.ids
    checker.check(case, submits == dict.fromkeys(NAMES.values(), 1), f"submits {submits}")
    whole_list = case.place == LISTED and case.response
    for server_id, entry in zip(NAMES.values(), result["commands"], strict=True):
        if server_id == VICTIM:
            named = ids.get(server_id) in (entry["id"], *entry["msg"].replace(",", " ").replace(".", " ").split())
            unseen = entry["outcome"] == "unknown"
            checker.check(case, named or unseen, f"id of the victim is lost: {entry}")
            checker.check(case, entry["outcome"] in HONEST, f"victim {entry['outcome']} {entry['msg']}")
            checker.check(case, entry["id"] in (None, ids.get(server_id)), f"another id {entry['id']}")
        else:
            checker.check(case, entry["id"] == ids.get(server_id), f"id of another is lost: {entry['id']}")
            expected = HONEST if whole_list else {"success"}
            checker.check(case, entry["outcome"] in expected, f"another {entry['outcome']} {entry['msg']}")


@pytest.mark.parametrize("place", [SUBMIT, LISTED, DETAIL])
def test_commands_are_submitted_once_and_reported_honestly(checker: Checker, canary: Path, place: str) -> None:
    for case in cases.command_cases(place, canary):
        check_execution(checker, case)
        requests = len(checker.workspace.requests)
        checker.check(case, requests < 200, f"{requests} requests")


@pytest.mark.parametrize("place", [LISTED, DETAIL])
def test_output_that_is_printed_is_harmless(checker: Checker, canary: Path, place: str) -> None:
    lines = 0
    for case in cases.command_cases(place, canary):
        check_execution(checker, case, "output")
        shown = [line for line in checker.printed if " | " in line]
        checker.check(case, all(line.replace("\t", "").isprintable() for line in shown), f"controls in {shown}")
        checker.check(case, len(shown) <= 3 * 201, f"{len(shown)} lines")
        checker.printed.clear()
        lines += len(shown)
    assert lines > 0


def test_a_submit_does_not_adopt_the_id_of_another_command(checker: Checker) -> None:
    ids = checker.workspace
    case = Case("submit: the id of another", SUBMIT, row=lambda row: {**row, "id": ids.ids[NAMES["a"]]})
    checker.workspace.start_case(case)
    result = checker.run(case, servers=list(NAMES.values()), line="uptime", max_concurrency=1)
    assert result is not None
    assert [entry["id"] for entry in result["commands"]] == list(checker.workspace.ids.values())
    assert result["summary"] == {"success": 3}


def test_actions_are_submitted_once_and_reported_honestly(checker: Checker, canary: Path) -> None:
    for case in cases.command_cases(SUBMIT, canary):
        check_action(checker, case, "update_information")
    for case in cases.server_cases(canary):
        check_action(checker, case, "upgrade_agent")


def check_action(checker: Checker, case: Case, action: str) -> None:
    """Act on three servers, one with hostile rows: the others succeed, or all are refused before a submit."""
    checker.workspace.start_case(case)
    defaults = {name: option.get("default") for name, option in _server_action.SPEC.items()}
    settings = {"url": checker.workspace.server.url, "token": TOKEN, "wait_timeout": "4"}
    options = {**defaults, **settings, "action": action, "servers": list(NAMES.values())}
    result = checker.call(case, functools.partial(_server_action.run_server_action, options, Run()))
    submits = checker.workspace.submits
    checker.check(case, set(submits.values()) <= {1}, f"submits {submits}")
    checker.check(case, (result is None) == (not submits), f"an error after {submits}")
    checker.check(case, len(checker.workspace.requests) < 200, f"{len(checker.workspace.requests)} requests")
    is_whole_list = case.place == SERVER and case.response
    entries = (result or {}).get("servers", ())
    for server_id, entry in zip(NAMES.values(), entries, strict=bool(entries)):
        # A server that its row calls offline is not tried.
        is_skipped = entry["outcome"] == "offline" and not submits[server_id]
        is_other = server_id != VICTIM and not is_whole_list
        expected = {"success"} if is_other else HONEST
        checker.check(case, is_skipped or entry["outcome"] in expected, f"{action} of {server_id}: {entry}")
        known = checker.workspace.ids.get(server_id)
        checker.check(case, entry["command_id"] in (None, known), f"another id {entry['command_id']}")


@pytest.mark.parametrize("place", [SUBMIT, LISTED, DETAIL])
def test_workers_that_share_submit_once(checker: Checker, canary: Path, place: str) -> None:
    for case in cases.field_cases(place, "id", canary):
        checker.workspace.start_case(case)
        result = checker.run(case, hosts=3, servers=[VICTIM], line="uptime")
        checker.check(case, result is not None and result["outcome"] in HONEST, f"ended as {result}")
        checker.check(case, checker.workspace.submits == {VICTIM: 1}, f"submits {checker.workspace.submits}")


@pytest.mark.parametrize("field", ["id", "server", "status", "line", "scheduled_at"])
def test_rows_of_others_are_cancelled_and_listed(checker: Checker, canary: Path, field: str) -> None:
    for case in cases.field_cases(LISTED, field, canary):
        checker.workspace.start_case(case)
        ids = checker.workspace.add_commands()
        result = checker.run(case, state="cancelled", servers=list(NAMES.values()), line="uptime")
        cancelled = {entry["id"] for entry in (result or {}).get("commands", []) if entry["outcome"] == "cancelled"}
        others = {command_id for server_id, command_id in ids.items() if server_id != VICTIM}
        checker.check(case, cancelled >= others, f"not cancelled: {result}")
        checker.workspace.start_case(case)
        ids = checker.workspace.add_commands("queued")
        options = info_options(url=checker.workspace.server.url, token=TOKEN)
        result = checker.call(case, functools.partial(_command_info.run_info, options, Run()))
        listed = {entry["id"] for entry in (result or {}).get("commands", [])}
        others = {command_id for server_id, command_id in ids.items() if server_id != VICTIM}
        checker.check(case, listed >= others, f"not listed: {result}")


def test_a_date(checker: Checker) -> None:
    names = list(NAMES.values())
    tasks: list[Row] = [{"reuse_within": "1h"}, {"state": "scheduled", "scheduled_at": FAR}, {"state": "cancelled"}]
    for case in cases.date_cases():
        check_execution(checker, case)
        for given in tasks:
            checker.workspace.start_case(case)
            checker.workspace.add_commands()
            result = checker.run(case, servers=names, line="uptime", **given)
            checker.check(case, result is not None, f"no result of {given}")
        url = checker.workspace.server.url
        options = info_options(url=url, token=TOKEN, since="1h")
        checker.call(case, functools.partial(_command_info.run_info, options, Run()))
        options = lookup_options(url=url, token=TOKEN, within="1h")
        checker.call(case, functools.partial(_command_info.run_lookup, names, options, lambda _warning: None))


def list_options(checker: Checker, **given: Any) -> Row:
    settings = {"url": checker.workspace.server.url, "token": TOKEN}
    return {**settings, "servers": None, "filters": None, "limit": 0, "gather": None, **given}


def test_servers_are_resolved_and_listed_or_refused(checker: Checker, canary: Path) -> None:
    options = list_options(checker)
    for case in cases.server_cases(canary):
        checker.workspace.start_case(case)
        result = checker.run(case, servers=list(NAMES), line="uptime")
        submits = checker.workspace.submits
        checker.check(case, set(submits) <= set(NAMES.values()), f"submits {submits}")
        checker.check(case, (result is None) == (not submits), f"an error after {submits}")
        checker.call(case, functools.partial(_server_info.run_server_info, options, Run()))


@pytest.mark.parametrize("kind", ["os", "users", "metrics"])
@pytest.mark.parametrize("servers", [None, list(NAMES.values())])
def test_facts_of_other_servers_are_theirs(
    checker: Checker, canary: Path, kind: str, servers: list[str] | None
) -> None:
    options = list_options(checker, gather=[kind], servers=servers)
    for case in cases.fact_cases(canary):
        checker.workspace.start_case(case)
        result = checker.call(case, functools.partial(_server_info.run_server_info, options, Run()))
        checker.check(case, len(checker.workspace.requests) < 200, f"{len(checker.workspace.requests)} requests")
        # Facts of the victim may be those that it names as another's.
        for server in [] if case.name.startswith(f"{FACTS}: another") else (result or {}).get("servers", []):
            own = server["gathered"][kind]
            own = own and own.get("cpu") if kind == "metrics" else own
            names = [row.get("name") for row in (own if isinstance(own, list) else [own] if own else [])]
            expected = [f"of {server['name']}"]
            ok = names == expected or (case.response is not None and not names)
            checker.check(case, server["id"] == VICTIM or ok, f"{server['name']} has {names}")


def test_events_of_other_servers_come_once(
    checker: Checker, canary: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkspaceWatch, "_sleep", lambda _watch, seconds: clock.sleep(seconds))
    hostile = [*cases.command_cases(LISTED, canary), *cases.command_cases(DETAIL, canary), *cases.server_cases(canary)]
    for case in hostile:
        checker.workspace.start_case(Case("honest", ""))
        watch = WorkspaceWatch(EventOptions.from_arguments({"url": checker.workspace.server.url, "token": TOKEN}, {}))
        watch.poll()
        checker.workspace.start_case(case)
        ids = checker.workspace.add_commands("queued")
        others = [command_id for server_id, command_id in ids.items() if server_id != VICTIM]
        polled = functools.partial(lambda watch: [event for _number in range(3) for event in watch.poll()[0]], watch)
        events = [event["alpacon"] for event in checker.call(case, polled) or ()]
        ended = sorted(event["command"]["id"] for event in events if "command" in event)
        found = [command_id for command_id in ended if command_id in others]
        checker.check(case, found == sorted(others) or (case.response is not None and not found), f"ended: {ended}")
        checker.check(case, len(ended) <= 3, f"{len(ended)} commands ended")
        checker.check(case, len(checker.workspace.requests) < 200, f"{len(checker.workspace.requests)} requests")


def test_a_forged_result_of_a_payload(checker: Checker) -> None:
    for case in cases.frame_cases():
        checker.workspace.start_case(case)
        result = checker.run(case, servers=list(NAMES.values()), argv=["id"])
        checker.check(case, result is not None, "no result")
        for name, entry in zip(NAMES, (result or {}).get("commands", ()), strict=True):
            if NAMES[name] == VICTIM:
                check_damaged(checker, case, entry)
            else:
                result_of_other = (entry["outcome"], entry["stdout"], entry["stderr"])
                expected = ("success", f"out of {name}", f"err of {name}")
                checker.check(case, result_of_other == expected, f"another {result_of_other}")


def check_damaged(checker: Checker, case: Case, entry: Row) -> None:
    """Check a command with a damaged result: it is incomplete, and it may have run."""
    checker.check(case, entry["outcome"] in HONEST, f"ended as {entry['outcome']}")
    checker.check(case, entry["ran"] is not False, f"is said not to have run: {entry['msg']:.200}")
    checker.check(case, not entry["output_complete"], f"complete: {entry['stdout']:.200}")
    checker.check(case, entry["changed"], "is said to have had nothing to do")
    shown = f"{entry['stdout']}{entry['stderr']}{entry['msg']}"
    checker.check(case, cases.FORGED not in shown, f"shown: {shown:.200}")
    checker.check(case, len(entry["msg"]) < 1000, f"a message of {len(entry['msg'])} characters")
