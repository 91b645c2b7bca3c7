# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe the run of ansible-playbook that this process belongs to, and name its journal to the user."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import time
from functools import cache
from pathlib import Path

from ansible import constants as C
from ansible.utils.display import Display

from ..module_utils._api.errors import clean_line
from ..module_utils._api.session import preload
from ..module_utils._fleet.run import RunContext
from ._settings import get_run_folder

#: The main process names the journal at its end. Workers inherit this, since they are forks.
_is_named_at_end = False


def get_run_context() -> RunContext:
    """Return the context of the run that this process belongs to."""
    return RunContext(
        # Some callbacks print one document to standard output.
        report=lambda text: Display().display(clean_line(text), stderr=True),
        alert=lambda text: Display().warning(clean_line(text)),
        is_first=first_in_run,
        folder=get_run_folder(),
        journal_file=_journal_file(),
        report_journal=_name_journal,
        is_over=_is_orphan,
        process=os.getpid() if multiprocessing.parent_process() is None else os.getppid(),
    )


def _journal_file() -> Path:
    return Path(C.config.get_config_value("ANSIBLE_HOME")) / "alpacon" / f"{get_run_folder().name}.ids"


def _is_orphan() -> bool:
    """Return True in a worker whose ansible-playbook is gone."""
    # The sentinel of the parent stays open in workers that were forked later.
    parent = multiprocessing.parent_process()
    return parent is not None and parent.pid != os.getppid()


def _name_journal() -> None:
    """Name the journal once in a run of more than two seconds, if the main process will not name it.

    Only workers load connections, and an interrupt ends them together with ansible-playbook.
    """
    if _is_named_at_end or first_in_run("began"):
        return
    with contextlib.suppress(OSError):
        is_long = time.time() - (get_run_folder() / "alpacon-began").stat().st_mtime >= 2
        if is_long and _journal_file().exists() and first_in_run("journal-named"):
            Display().display(f"alpacon: if this run is interrupted, the IDs are in {_journal_file()}", stderr=True)


def _report_journal(process: int) -> None:
    """Name the journal at the end of ansible-playbook if commands in it have not ended."""
    if os.getpid() == process and _journal_file().exists():
        Display().warning(
            f"alpacon: commands whose end this run has not seen are in {_journal_file()}."
            " Await them with state=finished, or look for them in the workspace."
        )


@cache
def prepare_workers() -> None:
    """Do work once that each worker would do, before they are forked, and name the journal at the end.

    A play that uses only the connection loads no action of ours: then the inventory plugin calls this.
    """
    global _is_named_at_end
    if multiprocessing.parent_process() is None:
        atexit.register(_report_journal, os.getpid())
        _is_named_at_end = True
    preload(os.environ.get("ALPACON_CA_PATH"))


def first_in_run(mark: str) -> bool:
    """Return True the first time any worker of the run passes this mark."""
    try:
        os.close(os.open(get_run_folder() / f"alpacon-{mark}", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError:
        return True  # the disk is full, say
    return True
