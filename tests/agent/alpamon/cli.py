# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line."""

from __future__ import annotations

import argparse

from . import daemon
from .version import VERSION


def main() -> int:
    parser = argparse.ArgumentParser(prog="alpamon", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=VERSION)
    parser.parse_args()
    return daemon.run()
