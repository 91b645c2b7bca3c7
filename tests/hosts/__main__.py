# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make hosts and take them down: python -m hosts up web-1 web-2:rocky web-3:trixie:plain"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hosts import needs
from hosts.machines import Hosts, Wanted

BUILD = Path(__file__).resolve().parents[2] / "build"
IMAGES = BUILD / "hosts/images"


def main() -> int:
    parser = argparse.ArgumentParser(prog="hosts", description=__doc__)
    parser.add_argument("--folder", type=Path, default=BUILD / "hosts/running", help="where the hosts are recorded")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say what this machine lacks")
    up = commands.add_parser("up", help="start hosts")
    up.add_argument("wanted", nargs="+", type=Wanted.parse, metavar="NAME[:RELEASE[:KIND]]")
    down = commands.add_parser("down", help="stop hosts, all of them if none is named")
    down.add_argument("names", nargs="*", metavar="NAME")
    commands.add_parser("list", help="list hosts with their addresses, for an inventory")
    commands.add_parser("ssh-config", help="print the path of a configuration for ssh -F")
    arguments = parser.parse_args()
    try:
        return run(arguments, Hosts(arguments.folder, IMAGES))
    except (needs.MissingError, TimeoutError) as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 1


def run(arguments: argparse.Namespace, hosts: Hosts) -> int:
    if arguments.command in ("check", "up"):
        needs.require()
    if arguments.command == "up":
        hosts.up(arguments.wanted)
    if arguments.command == "down":
        hosts.down(arguments.names or None)
    if arguments.command == "ssh-config":
        print(hosts.ssh_config)
    if arguments.command in ("up", "list"):
        for host in hosts.running():
            print(f"{host.name} ansible_host={host.address} release={host.release} kind={host.kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
