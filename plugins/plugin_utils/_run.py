# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe the run of ansible-playbook that this process belongs to, and print the path of its journal."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.utils.display import Display

from ..module_utils._api.errors import clean_line
from ..module_utils._api.session import preload
from ..module_utils._fleet.journal import SubmittedCommands, read_journal
from ..module_utils._fleet.run import RunContext, get_process_key, has_process_ended
from ._settings import get_run_folder

#: The main process will print the path of the journal at its end. Workers are forks and inherit this.
_is_reported_at_end = False


def get_run_context() -> RunContext:
    needs = get_needs()
    return RunContext(
        # Some callbacks print one document to standard output.
        report=lambda text: Display().display(clean_line(text), stderr=True),
        report_details=lambda text: Display().display(clean_line(text), stderr=True) if Display().verbosity else None,
        report_command=make_printer(3),
        report_request=make_printer(4),
        alert=lambda text: Display().warning(clean_line(text)),
        is_first=first_in_run,
        folder=get_run_folder(),
        journal_file=_journal_file(),
        report_journal=_report_journal_early,
        is_over=_is_orphan,
        process=os.getpid() if multiprocessing.parent_process() is None else os.getppid(),
        needs=needs if needs.file.exists() else None,
    )


def make_printer(verbosity: int) -> Callable[[str], None] | None:
    """Return a function that prints a line, in any thread; None if Ansible runs with fewer C(-v) than this."""
    display = Display()
    if max(display.verbosity, getattr(display, "log_verbosity", 0)) < verbosity:
        return None

    def show(text: str) -> None:
        # What was sent must not be lost because nobody reads the lines any more.
        with contextlib.suppress(OSError, ValueError):
            display.verbose(clean_line(text), caplevel=verbosity - 1)

    return show


def get_needs() -> SubmittedCommands:
    """Return the needs that tasks record if the callback of the playbook token_acl has created their file."""
    return SubmittedCommands(get_run_folder() / "alpacon-needs")


def _journal_file() -> Path:
    return Path(C.config.get_config_value("ANSIBLE_HOME")) / "alpacon" / f"{get_run_folder().name}.ids"


def read_newest_journal() -> dict[str, Any]:
    """Return the newest journal with IDs of a run that has ended, or else the newest without IDs.

    Returns:
        ``folder``, ``file``: paths; ``file`` is empty if there is no journal.
        ``ids``: of its commands.
        ``unanswered``: the number of its submits whose IDs are unknown.
    """
    folder = _journal_file().parent
    found: list[tuple[bool, float, str, list[str], int]] = []
    for file in folder.glob("*.ids"):
        with contextlib.suppress(FileNotFoundError):  # its run has just removed it
            if not _is_running(file.stem):
                ids, unanswered = read_journal(file)
                found.append((bool(ids), file.stat().st_mtime, str(file), ids, unanswered))
    _has_ids, _time, path, ids, unanswered = max(found, default=(False, 0.0, "", [], 0))
    return {"folder": str(folder), "file": path, "ids": ids, "unanswered": unanswered}


def _is_running(run: str) -> bool:
    """Return True if the run with this name of its folder goes on; on another machine, it may."""
    found = re.fullmatch(r"ansible-local-(\d{1,9}).{8}", run)
    if not found or not (get_run_folder().parent / run).exists():
        return False
    return not has_process_ended(get_process_key(int(found[1])))


def _is_orphan() -> bool:
    # The sentinel of the parent stays open in workers that were forked later.
    parent = multiprocessing.parent_process()
    return parent is not None and parent.pid != os.getppid()


def _report_journal_early() -> None:
    """Print the path of the journal once in a run of more than two seconds, unless the main process will do so.

    The main process does not do so in a run that uses only the connection, which only workers load. An interrupt also
    ends the workers.
    """
    if _is_reported_at_end or first_in_run("began"):
        return
    with contextlib.suppress(OSError):
        is_long = time.time() - (get_run_folder() / "alpacon-began").stat().st_mtime >= 2
        if is_long and _journal_file().exists() and first_in_run("journal-reported"):
            Display().display(f"alpacon: if this run is interrupted, the IDs are in {_journal_file()}", stderr=True)


def _report_journal(process: int) -> None:
    """Print the path of the journal at the end of ansible-playbook if it lists commands that have not ended."""
    if os.getpid() == process and _journal_file().exists():
        Display().warning(
            f"alpacon: {_journal_file()} lists commands that this run submitted without seeing them end."
            " Await them with the playbook herdops.alpacon.await, or search for them in the workspace."
        )


@cache
def prepare_workers() -> None:
    """Do work once that each worker would otherwise do, before ansible-core forks them.

    The action plugins call this, and the inventory plugin, since a play over the connection loads no action plugin.
    """
    global _is_reported_at_end
    if multiprocessing.parent_process() is None:
        atexit.register(_report_journal, os.getpid())
        _is_reported_at_end = True
    preload(os.environ.get("ALPACON_CA_PATH"))


def first_in_run(mark: str) -> bool:
    try:
        os.close(os.open(get_run_folder() / f"alpacon-{mark}", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError:
        return True  # such as a full disk
    return True


def split_task_result(result: Any) -> tuple[str, Any, dict[str, Any]]:
    """Return the name of the host, the task and the returned dictionary of what ansible-core passes to a callback."""
    if hasattr(result, "task"):
        return result.host.name, result.task, result.result
    return result._host.name, result._task, result._result  # before ansible-core 2.19
