# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log messages, written to standard error."""

from __future__ import annotations

import datetime
import functools
import sys

DEBUGGING = False


def write(level: str, text: str) -> None:
    if level != "DEBUG" or DEBUGGING:
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        print(f"{now} [{level}] {text}", file=sys.stderr, flush=True)


info, warn, error, debug = (functools.partial(write, level) for level in ("INFO", "WARN", "ERROR", "DEBUG"))
