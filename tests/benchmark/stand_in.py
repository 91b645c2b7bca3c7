# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios with the agents of the stand-in workspace, or without agents."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import random
import sys
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import certifi
from benchmark import follow
from benchmark.running import (
    CONNECTING,
    HERE,
    Programs,
    Run,
    Session,
    check_commands,
    count,
    environ_of,
    measured,
    play_command,
    write_play,
)
from benchmark.scenarios import FLOOR, FOLLOW, REPORT, RULES, STATIC, Scenario, Variant
from system.certificates import Authority, authority
from workspace.client import Workspace

#: What a server answers to the check that runs it.
ANSWER = base64.encodebytes(b"ready\nready\n\nready rc 0 in 30 by 0").decode() + "1\n[part]\n"
#: Number of checks in a made-up report of an audit.
CHECKS = 20
#: What begins a script that says what it is.
SCRIPT = b'#!/bin/sh\nsha256sum <"$0"; exit\n'
#: This many agents take a while to connect.
START_SECONDS = 300.0


@contextmanager
def prepare(scenario: Scenario, session: Session) -> Iterator[Programs]:
    """Start the workspace of a scenario; at the end, check its record of the commands.

    Raises:
        ScenarioFailed: a client failed, or a command did not run once and well.
    """
    folder = session.folder / scenario.name
    folder.mkdir()
    ca = authority(folder, scenario.name) if scenario.tls else None
    workspace = Workspace(
        scenario.dialect,
        servers=scenario.servers,
        agents=not scenario.instant,
        tls=(ca.chain, ca.chain) if ca else None,
        ca=ca.file if ca else None,
    )
    try:
        workspace.start(timeout=START_SECONDS)
        workspace.settings(instant=scenario.instant, instant_lines=scenario.lines, instant_carried=ANSWER)
        variables, environ = _write_files(scenario, workspace, folder, ca)
        programs: Programs = {}
        for variant in scenario.variants:
            command = _command(scenario, variant, folder, variables)
            programs[variant.name] = functools.partial(_run, workspace, scenario, variant, folder, command, environ)
        yield programs
        check_commands(workspace, scenario.runs * sum(map(scenario.commands, scenario.variants)))
    finally:
        workspace.stop()


def _write_files(
    scenario: Scenario, workspace: Workspace, folder: Path, ca: Authority | None
) -> tuple[dict[str, t.Any], dict[str, str]]:
    """Return the variables of the plays and the environment of the clients."""
    variables: dict[str, t.Any] = {"line": scenario.line, "ansible_python_interpreter": "/usr/bin/python3"}
    environ = {**environ_of(workspace), "no_proxy": "127.0.0.1"}
    ids = workspace.server_ids()
    (folder / "servers.ini").write_text("\n".join(ids) + "\n", encoding="utf-8")
    variables["ids"] = str(folder / "ids")
    first, variables["server_id"] = next(iter(ids.items()))
    connection = f"{first} alpacon_server_id={variables['server_id']} ansible_connection=herdops.alpacon.alpacon\n"
    (folder / "connection.ini").write_text(connection, encoding="utf-8")
    (folder / "ids").write_text("\n".join(ids.values()) + "\n", encoding="utf-8")
    (folder / "my.alpacon.yml").write_text(CONNECTING, encoding="utf-8")
    (folder / "list.alpacon.yml").write_text(CONNECTING.splitlines()[0], encoding="utf-8")
    write_play(folder, scenario)
    if STATIC in scenario.variants:
        listed = ["-i", "list.alpacon.yml", "--list", "--yaml", "--output", STATIC.run]
        measured(["ansible-inventory", *listed], folder, environ)
    if RULES in scenario.variants:
        measured([*_command(scenario, RULES, folder, variables), "earlier"], folder, environ)
    if scenario.script:
        # Nothing makes it smaller on its way.
        script = SCRIPT + random.Random(scenario.name).randbytes(scenario.script - len(SCRIPT))
        (folder / "script").write_bytes(script)
        variables |= {"script": str(folder / "script"), "digest": hashlib.sha256(script).hexdigest()}
    if scenario.seconds:
        # Only here, since a callback that reads results costs time that is not the client's.
        environ |= {"ANSIBLE_CALLBACKS_ENABLED": "results", "RESULTS_FILE": str(folder / "results")}
    if ca:
        # The number of trusted CAs is what costs.
        (folder / "all.pem").write_bytes(Path(certifi.where()).read_bytes() + ca.file.read_bytes())
        environ["REQUESTS_CA_BUNDLE"] = str(folder / "all.pem")
    return variables, environ


def _command(scenario: Scenario, variant: Variant, folder: Path, variables: dict[str, t.Any]) -> list[str]:
    if variant.run.endswith(".py"):
        servers = str(scenario.servers)
        by_program = {FLOOR.run: ["ids", scenario.line], REPORT.run: [servers, str(CHECKS), "report"]}
        arguments = by_program.get(variant.run, [servers])
        if variant.run == FOLLOW:
            arguments = play_command(folder, scenario, replace(variant, run=""), variables)
        return [sys.executable, str(HERE / variant.run), *arguments]
    if variant.run.endswith(".yml"):
        return ["ansible-inventory", "-i", variant.run, "--list"]
    return play_command(folder, scenario, variant, variables)


def _run(
    workspace: Workspace,
    scenario: Scenario,
    variant: Variant,
    folder: Path,
    command: list[str],
    environ: dict[str, str],
) -> Run:
    results = folder / "results"
    results.unlink(missing_ok=True)
    run = count(workspace, lambda: measured(command, folder, {**environ, **variant.environ}))
    page = folder / "report/audit.html"
    if page.exists():
        run.page_mb = page.stat().st_size / 1e6
    if variant is RULES:
        run.history_mb = next((folder / "year").iterdir()).stat().st_size / 1e6
    if variant.run == FOLLOW:
        run = replace(run, **json.loads((folder / follow.REPORT).read_text(encoding="utf-8")))
    if scenario.seconds:
        records = map(json.loads, results.read_text(encoding="utf-8").splitlines())
        # The line prints the agent's own clock when it ends.
        run.lags = [float(record["time"]) - float(record["result"]["stdout"]) for record in records]
    return run
