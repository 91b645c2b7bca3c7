# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test runs that are refused because they would do nothing or something else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import run_playbook
from workspace.client import Workspace

pytestmark = pytest.mark.slow

RUN, AUDIT = "herdops.alpacon.run", "herdops.alpacon.audit"
LINE = ("-e", "alpacon_line=uptime")
#: The playbook, whether there is an inventory, the arguments, and the message.
REFUSED: dict[str, tuple[str, bool, tuple[str, ...], str]] = {
    "typo": (
        RUN,
        True,
        (*LINE, "-e", "alpcon_servers=web-01", "-e", "alpacon_user=deploy"),
        "There is no variable alpacon_user. Did you mean alpacon_username? There is no variable alpcon_servers. Did you"
        " mean alpacon_servers?",
    ),
    "limited": (RUN, True, (*LINE, "-e", "alpacon_servers=web-01", "--limit", "web-01"), "Give alpacon_servers and"),
    "nobody": (RUN, False, (*LINE, "--limit", "web"), "no hosts that --limit could choose from"),
    "cut": (RUN, True, ("-e", "alpacon_line=uptime -p"), "'-p' belongs to no variable. Put a value"),
    "limits": (RUN, True, (*LINE, "-e", "alpacon_max_errors=0"), "alpacon_max_errors counts the servers"),
    "tags": (RUN, True, (*LINE, "--tags", "ssh"), "choose no task of this playbook, so nothing would run."),
    "audit tags": (AUDIT, True, ("--tags", "ssh"), "choose no task of this playbook, so nothing would run."),
    "audit nobody": (AUDIT, False, ("--limit", "web"), "no hosts that --limit could choose from"),
    "audit hosts": (AUDIT, True, ("-e", "audit_hosts=web-01"), "There is no variable audit_hosts. Choose hosts with"),
}


@pytest.mark.parametrize("core", CORES)
def test_wrong_arguments_are_refused_before_anything_is_sent(current: Workspace, tmp_path: Path, core: str) -> None:
    names = REFUSED if core == "development" else ("typo", "nobody", "cut")
    for name in names:
        playbook, is_listed, arguments, told = REFUSED[name]
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        done = run_playbook(
            current, folder, playbook, ["web-01", "web-02"] if is_listed else None, *arguments, core=core
        )
        assert done.code not in (0, None), f"{name}: {done.log}"
        assert told in re.sub(r"\s+", " ", done.log).replace('\\"', '"'), f"{name}: {done.log}"
    assert current.counters()["writes"] == 0


@pytest.mark.promise
def test_no_host_starts_while_one_is_wrong(current: Workspace, tmp_path: Path) -> None:
    inventory = {
        "all": {
            "hosts": {"web-01": {}, "web-02": {}, "web-03": {}},
            "children": {"second": {"hosts": {"web-02": {}}, "vars": {"alpacon_usernam": "root"}}},
        }
    }
    given = tmp_path / "given.json"
    given.write_text(json.dumps(inventory), encoding="utf-8")
    # Whatever strategy the user has set.
    done = run_playbook(current, tmp_path, RUN, None, "-i", str(given), *LINE, ANSIBLE_STRATEGY="free")
    assert "Did you mean alpacon_username?" in done.log
    assert (done.code, done.log.count("fatal: ")) == (2, 1), done.log
    assert current.requests_made() == 0
