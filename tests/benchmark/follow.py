# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program that shows lines as "web-01 | TIME", and write how late they were: follow.py PROGRAM [ARGUMENT ...]"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

#: Of the folder of the scenario.
REPORT = "followed.json"
LINE = re.compile(r"(\S+) \| (\d+\.\d+)\n")


def main(command: list[str]) -> int:
    lags: list[float] = []
    shown: dict[str, list[float]] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            if found := LINE.fullmatch(line):
                # The line of the command prints the time of its server, which is this machine.
                lags.append(time.time() - float(found[2]))
                shown.setdefault(found[1], []).append(time.time())
            else:
                print(line, end="")
    gap_s = max((after - before for times in shown.values() for before, after in pairwise(times)), default=0.0)
    figures = {"line_lag_s": statistics.median(lags or [0.0]), "gap_s": gap_s}
    Path(REPORT).write_text(json.dumps(figures), encoding="utf-8")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
