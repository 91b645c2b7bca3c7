# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run of ansible-playbook that a worker is part of: its journal, and whether it still goes on."""

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

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._api.session import preload
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import run_folder

#: A run that takes longer than this is one that somebody may interrupt, in seconds.
_LONG = 2.0
#: Whether ansible-playbook names the journal at its end; its workers, which are forks, know that.
_is_named_at_end = False


def current_run() -> Run:
    """The run that this process is part of, which one temporary folder belongs to."""
    return Run(
        # Callbacks that print a document have the output for themselves.
        report=lambda text: Display().display(clean_line(text), stderr=True),
        alert=lambda text: Display().warning(clean_line(text)),
        first=first_in_run,
        folder=run_folder(),
        journal_file=_journal_file(),
        name_journal=_name_journal,
        is_over=_is_orphan,
        process=os.getpid() if multiprocessing.parent_process() is None else os.getppid(),
    )


def _journal_file() -> Path:
    """The file for the commands of this run that are under way."""
    return Path(C.config.get_config_value("ANSIBLE_HOME")) / "alpacon" / f"{run_folder().name}.ids"


def _is_orphan() -> bool:
    """Whether ansible-playbook, which has forked this worker, is gone."""
    # Its sentinel does not tell: the workers that were forked later hold it open as well.
    parent = multiprocessing.parent_process()
    return parent is not None and parent.pid != os.getppid()


def _name_journal() -> None:
    """Name the journal once, as soon as a run is long, where ansible-playbook will not: only workers load connections.

    An interrupt ends ansible-playbook and its workers at once, so that none of them could name it then.
    """
    if _is_named_at_end or first_in_run("began"):
        return
    with contextlib.suppress(OSError):
        is_long = time.time() - (run_folder() / "alpacon-began").stat().st_mtime >= _LONG
        if is_long and _journal_file().exists() and first_in_run("journal-named"):
            Display().display(f"alpacon: if this run is interrupted, the IDs are in {_journal_file()}", stderr=True)


def _tell_journal(process: int) -> None:
    """Say at the end of ansible-playbook where the commands are that it has not seen the end of."""
    if os.getpid() == process and _journal_file().exists():
        Display().warning(
            f"alpacon: commands whose end this run has not seen are in {_journal_file()}."
            " Await them with state=finished, or look for them in the workspace."
        )


@cache
def prepare_workers() -> None:
    """Do once, before workers are forked, what each of them would do; the process that forks them tells of the journal.

    Workers load connections themselves: then it is for what loads the inventory to call this.
    """
    global _is_named_at_end
    if multiprocessing.parent_process() is None:
        atexit.register(_tell_journal, os.getpid())
        _is_named_at_end = True
    preload(os.environ.get("ALPACON_CA_PATH"))


def first_in_run(mark: str) -> bool:
    """Whether no task of this run, in whichever worker, has asked so for the same mark."""
    try:
        os.close(os.open(run_folder() / f"alpacon-{mark}", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError:
        return True  # the disk is full, say
    return True
