# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask all questions of the playbook check_workspace in order, within its limit of requests, and write the file."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.release import __version__ as ansible_version

from ...module_utils._api.client import Client, Deadlines
from ...module_utils._api.errors import AlpaconError, UsageError
from ...module_utils._api.records import is_uuid
from ...module_utils._api.settings import VERSION, Settings
from ...module_utils._fleet.journal import replace_file
from ...module_utils._fleet.run import Run
from .answers import COST, OK, PROBLEM, QUESTIONS, SERVER_QUESTIONS, WARNING, Answers, Names
from .connecting import open_probe
from .on_server import ServerQuestions
from .probing import Budget, Probe
from .questions import Workspace, WorkspaceQuestions

MAX_REQUESTS = 25
_LIBRARIES = ("requests", "urllib3", "websocket-client")
_NO_TOKEN = "No token is set. Create one in the workspace, then: export ALPACON_TOKEN=alpat-..."


class WorkspaceCheck:
    """Ask a workspace, and a server of it.

    Args:
        show: see :class:`.Answers`.
        server: name or UUID; empty to run nothing.
    """

    def __init__(self, show: Callable[[str, str], None], run: Run, server: str) -> None:
        self._show = show
        self._run = run
        self._server = server
        self._answers = Answers(show, Names())
        self._budget = Budget(MAX_REQUESTS, Settings.requests_per_hour)
        self._workspace = Workspace()
        self._file, self._has_names = "", False

    def ask(self, options: Mapping[str, Any], hint: str, build_module: Callable[[], bytes]) -> None:
        """Ask all questions; a problem leaves out only those that depend on it.

        Args:
            options: connection settings.
            hint: why there is no token, if that is known.
            build_module: returns the program of a module.
        """
        token = str(options.get("token") or "")
        self._answers.names = Names(token)
        opened = open_probe(options, self._answers, self._budget, self._run.context.report_request)
        if not token.strip():
            self._answers.names.add_values(hint)
            self._answers.add("token", PROBLEM, hint or _NO_TOKEN)
        if opened:
            settings, probe = opened
            try:
                self._ask(settings, probe, build_module)
            finally:
                probe.close()
        self._finish()

    def refuse(self, error: AlpaconError) -> None:
        """Answer with settings that cannot be read."""
        self._answers.names.add_values(str(error))
        if isinstance(error, UsageError):
            question = "token" if "token" in error.option else "url"
            self._answers.add(question, PROBLEM, f"{error.option}: {error.problem.rstrip('.')}.", error.remedy)
        else:
            self._answers.add("url", PROBLEM, str(error))
        self._finish()

    def _ask(self, settings: Settings, probe: Probe, build_module: Callable[[], bytes]) -> None:
        questions = WorkspaceQuestions(settings, probe, self._answers)
        self._workspace = questions.workspace
        runs_commands = bool(self._server) and not self._run.check_mode
        if not questions.ask(runs_commands):
            return
        if not self._server:
            remedy = "Name a server: -e alpacon_server=web-01. It runs true, a script and a module there."
            self._answers.skip(SERVER_QUESTIONS, "These questions need a server.", remedy)
        elif self._run.check_mode:
            self._answers.skip(SERVER_QUESTIONS, "Check mode submits nothing.", "Leave --check out.")
        elif not self._answers.list_problems():
            self._ask_server(settings, probe, build_module)

    def _ask_server(self, settings: Settings, probe: Probe, build_module: Callable[[], bytes]) -> None:
        client = Client(
            settings,
            deadlines=Deadlines(time.monotonic()),
            report=self._run.context.report,
            before_write=self._run.check_not_over,
            quota=self._budget,
            quoted=False,
            log=self._run.context.report_request,
        )
        with client:
            questions = ServerQuestions(client, probe, self._run, self._answers, self._workspace, build_module())
            try:
                questions.ask(self._server, self._budget.count_request)
            except AlpaconError as error:
                question = "line" if self._answers.get_level("server") else "server"
                self._answers.add(question, PROBLEM, str(error), "Run this again later.")

    def _finish(self) -> None:
        problems = self._answers.list_problems()
        if problems:
            names = " and ".join(answer.question for answer in problems)
            self._answers.skip((*QUESTIONS, *SERVER_QUESTIONS), f"Solve the problem of {names}, then run this again.")
        else:
            self._answers.skip((*QUESTIONS, *SERVER_QUESTIONS), "There was no answer.", "Run this again.")
        used = self._budget.used
        finding = f"{used} of at most {MAX_REQUESTS} requests were sent."
        is_spent = used >= MAX_REQUESTS
        remedy = "Some questions may lack an answer for that reason; run this again." if is_spent else ""
        self._answers.add(COST, WARNING if is_spent else OK, finding, remedy, facts={"requests": used})

    def write(self, file: str, with_names: bool) -> None:
        """Write the file to attach to an issue.

        Args:
            with_names: keep the names of the workspace, servers and users.
        """
        content = {
            "format": 1,
            "collection": VERSION,
            "ansible_core": ansible_version,
            "python": platform.python_version(),
            "system": platform.system(),
            "libraries": {name: _get_version(name) for name in _LIBRARIES},
            "levels": self._answers.count_levels(),
            "answers": self._answers.to_rows(with_names),
            "fields": self._list_fields(with_names),
        }
        replace_file(Path(file), json.dumps(content, indent=2) + "\n")
        self._file, self._has_names = file, with_names

    def _list_fields(self, with_names: bool) -> dict[str, list[str]]:
        """Return the names of fields. The keys of some objects are names of servers, which are replaced."""
        replace = str if with_names else self._answers.names.replace
        shapes = self._workspace.shapes.items()
        return {shape: sorted({replace(name) for name in names if not is_uuid(name)}) for shape, names in shapes}

    def make_result(self) -> dict[str, Any]:
        """Return the result of the task, which fails if commands cannot run."""
        counts = self._answers.count_levels()
        text = ", ".join(f"{number} {level}" for level, number in counts.items() if number)
        problems = self._answers.list_problems()
        kept = "with" if self._has_names else "without token and"
        self._show(f"{text}. {self._file} has the answers, {kept} names, to attach to an issue.", OK)
        result: dict[str, Any] = {"changed": False, "requests": self._budget.used, "levels": counts}
        if problems:
            names = ", ".join(answer.question for answer in problems)
            return {**result, "failed": True, "msg": f"Commands cannot run: see {names} above."}
        return result


def _get_version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
