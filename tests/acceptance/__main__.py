# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the integration targets against a real workspace, and compare it with the stand-in."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
from pathlib import Path

if not __package__:
    tests = Path(__file__).resolve().parent.parent
    sys.path[:1] = [str(tests), str(tests / "tools")]

import collection_tree
from acceptance.comparison import compare
from acceptance.config import Config, ConfigError, Found, explore, read_config
from acceptance.report import render
from acceptance.running import Run, TargetRunner, list_targets
from workspace.client import Workspace

CONFIG = collection_tree.ROOT / "tests/integration/integration_config.yml"
OUTPUT = collection_tree.BUILD / "acceptance"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="acceptance", description=__doc__)
    parser.add_argument("targets", nargs="*", help="targets to run (default: all that any workspace can run)")
    parser.add_argument("--config", type=Path, default=CONFIG, help="describes the workspace (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, default=collection_tree.BUILD / "acceptance", help="folder for the report"
    )
    parser.add_argument("--name", default="", help="part of the names of what is created (default: a random one)")
    arguments = parser.parse_args()
    # The folder of this name in /tmp is removed at the end.
    if not re.fullmatch(r"(acceptance-[a-z0-9_-]{1,80})?", arguments.name, re.IGNORECASE):
        parser.error("--name: use acceptance- and letters, digits, _ and -.")
    return arguments


def main() -> int:
    arguments = parse_arguments()
    # A job in the background of a shell ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A workflow that is cancelled sends this.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        config = read_config(arguments.config)
        found = explore(config)
    except ConfigError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 2
    targets = arguments.targets or [name for name in list_targets() if config.register or "registration" not in name]
    print(f"Workspace (dialect {found.dialect}):", flush=True)
    run = TargetRunner(config, found, arguments.output / "workspace", arguments.name).run(targets)
    for sentence in run.removal.left:
        print(f"LEFT: {sentence}", file=sys.stderr)
    if run.interrupted:
        print(render(run, None, found.dialect))
        return 130
    try:
        reference = run_stand_in(config, found, arguments.output / "stand_in", targets)
    except KeyboardInterrupt:
        return 130
    comparison = compare(run.recording, reference.recording)
    report = render(run, comparison, found.dialect)
    (arguments.output / "report.md").write_text(report, encoding="utf-8")
    shapes = {"workspace": run.recording.describe(), "stand_in": reference.recording.describe()}
    (arguments.output / "shapes.json").write_text(json.dumps(shapes, indent=1), encoding="utf-8")
    print(f"\n{report}\nThe report is {arguments.output}/report.md. It contains no names, values or tokens.")
    for name in reference.failed:
        print(f"ERROR: the target failed against the stand-in: {name}", file=sys.stderr)
    return 1 if comparison.differences or run.failed or run.removal.left or reference.failed else 0


def run_stand_in(config: Config, found: Found, folder: Path, targets: list[str]) -> Run:
    print("Stand-in:", flush=True)
    with Workspace(found.dialect, servers=config.servers) as workspace:
        # Some fields are null, or only in rows of such servers.
        workspace.change_server(config.servers[0], tags={"env": "test"})
        workspace.register()
        alike = Config(workspace.url, workspace.token, config.servers, config.accounts)
        return TargetRunner(alike, Found(found.dialect, workspace.server_ids()), folder).run(targets)


if __name__ == "__main__":
    sys.exit(main())
