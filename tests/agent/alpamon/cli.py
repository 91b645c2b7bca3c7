# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line."""

from __future__ import annotations

import argparse
import sys
import typing as t

from . import registration, setup
from .version import VERSION


class Parser(argparse.ArgumentParser):
    """Complains as the genuine agent does: the error, then how it is used, with status 1."""

    def error(self, message: str) -> t.NoReturn:
        """Print a complaint and end."""
        print(f"Error: {message}\n{self.format_usage()}", file=sys.stderr)
        raise SystemExit(1)


def parser() -> Parser:
    """All subcommands that tests need; without one, the agent runs."""
    main_parser = Parser(prog="alpamon", allow_abbrev=False)
    main_parser.add_argument("--version", action="version", version=VERSION)
    commands = main_parser.add_subparsers(dest="command")
    commands.add_parser("setup")
    register = commands.add_parser("register", allow_abbrev=False)
    register.add_argument("--url", default="")
    register.add_argument("--token", default="")
    register.add_argument("--name", default="")
    register.add_argument("--platform", choices=("debian", "rhel"), default="")
    register.add_argument("--ssl-verify", type=boolean, nargs="?", const=True, default=True)
    register.add_argument("--ca-cert", default="")
    register.add_argument("--tag", action="append", default=[])
    register.add_argument("--no-cloud-probe", action="store_true")
    register.add_argument("--force", action="store_true")
    register.add_argument("--no-rollback", action="store_true")
    unregister = commands.add_parser("unregister", allow_abbrev=False)
    unregister.add_argument("--yes", action="store_true")
    unregister.add_argument("--keep-config", action="store_true")
    unregister.add_argument("--ssl-verify", type=boolean, nargs="?", const=True)
    unregister.add_argument("--ca-cert")
    return main_parser


def boolean(text: str) -> bool:
    """Read true or false."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f'invalid argument "{text}": want true or false')
    return text == "true"


def main() -> int:
    """Do what the command line says, and return the exit code."""
    options = parser().parse_args()
    if options.command is None:
        # Its library takes longer to load than all the rest.
        from . import daemon

        return daemon.run()
    try:
        run(options)
    except registration.CommandError as error:
        print(f"Error: {error}\n{parser().format_usage()}", file=sys.stderr)
        return 1
    return 0


def run(options: argparse.Namespace) -> None:
    """Run a subcommand."""
    if options.command == "setup":
        setup.setup()
    elif options.command == "unregister":
        registration.unregister(options)
    else:
        absent = [f'"{name}"' for name in ("token", "url") if not getattr(options, name)]
        if absent:
            raise registration.CommandError(f"required flag(s) {', '.join(absent)} not set")
        registration.register(options)
