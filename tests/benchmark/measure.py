# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program and write the cost of all its processes: measure.py REPORT PROGRAM [ARGUMENT ...]"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def main(report: Path, command: list[str]) -> int:
    # The shared connections of ssh leave the program's tree, and outlive it.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    process = subprocess.Popen(command)
    status, usages = None, []
    wall_s = 0.0
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, ended, usage = os.wait4(-1, 0)
            usages.append(usage)
            if pid == process.pid:
                status, wall_s = ended, time.monotonic() - started
            if status is not None:
                _stop_children()
    cost = {
        "wall_s": wall_s,
        "cpu_s": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "peak_mb": max(usage.ru_maxrss for usage in usages) / 1024,
    }
    report.write_text(json.dumps(cost), encoding="utf-8")
    return os.waitstatus_to_exitcode(status or 0)


def _stop_children() -> None:
    for pid in Path("/proc/self/task", str(os.getpid()), "children").read_text(encoding="utf-8").split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
