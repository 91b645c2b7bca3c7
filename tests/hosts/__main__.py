# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start and stop hosts: python -m hosts up web-1 web-2:rocky web-3:trixie:plain"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hosts import requirements
from hosts.machines import Hosts, HostSpec

BUILD = Path(__file__).resolve().parents[2] / "build"
IMAGES = BUILD / "hosts/images"


def main() -> int:
    parser = argparse.ArgumentParser(prog="hosts", description=__doc__)
    parser.add_argument("--folder", type=Path, default=BUILD / "hosts/running", help="where the hosts are recorded")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start hosts and print an inventory of all that run")
    up.add_argument("specs", nargs="+", type=HostSpec.parse, metavar="NAME[:RELEASE[:KIND]]")
    down = commands.add_parser("down", help="stop hosts, all of them if none is named")
    down.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    hosts = Hosts(arguments.folder, IMAGES)
    if arguments.command == "down":
        hosts.down(arguments.names or None)
        return 0
    if missing := requirements.find_missing(requirements.PROGRAMS):
        print(f"hosts: {'; '.join(missing)}", file=sys.stderr)
        return 1
    for host in hosts.up(arguments.specs):
        print(f"{host.name} ansible_host={host.address} ansible_ssh_common_args='-F {hosts.ssh_config}'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
