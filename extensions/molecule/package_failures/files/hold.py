# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hold the locks of a package manager until a repository of the agent is there, and some seconds longer."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 12


def main(manager: str, folder: str) -> None:
    """Hold the locks of a package manager, and leave files that tell when."""
    with contextlib.ExitStack() as stack:
        {"apt": hold_apt, "dnf": hold_dnf, "zypper": hold_zypper}[manager](stack)
        Path("/root/held").touch()
        # The key of it, whose name ends in .asc, may be there before.
        while not list(Path(folder).glob("**/alpacax_alpamon.[!a]*")):
            time.sleep(0.1)
        time.sleep(SECONDS)
        Path("/root/released").touch()


def hold_apt(_stack: contextlib.ExitStack) -> None:
    """Hold what apt and dpkg hold, until this process ends."""
    for name in ("dpkg/lock-frontend", "dpkg/lock", "apt/lists/lock"):
        fcntl.lockf(os.open(f"/var/lib/{name}", os.O_RDWR | os.O_CREAT, 0o640), fcntl.LOCK_EX)


def hold_dnf(stack: contextlib.ExitStack) -> None:
    """Hold what dnf holds."""
    import dnf

    settings = dnf.Base().conf
    stack.enter_context(dnf.lock.build_metadata_lock(settings.cachedir, exit_on_lock=False))
    stack.enter_context(dnf.lock.build_download_lock(settings.cachedir, exit_on_lock=False))
    stack.enter_context(dnf.lock.build_rpmdb_lock(settings.persistdir, exit_on_lock=False))


def hold_zypper(stack: contextlib.ExitStack) -> None:
    """Let zypper itself hold its lock: its shell does until the end of its input."""
    command = ["zypper", "--non-interactive", "shell"]
    stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
    while not (lock := Path("/run/zypp.pid")).exists() or not lock.read_text().strip():
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
