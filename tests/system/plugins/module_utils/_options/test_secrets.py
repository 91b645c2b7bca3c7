# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of env and terminal controls are shown nowhere, with any ansible-core."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import Row, play, run_playbook, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR

#: Parts of the values of env; no output may have one of them in any form.
PARTS = ("first-of-two", "second-of-two", "block-line", "long-long", 'quo"ted', "padded-in", "grüße-an")
ENV = {
    "LINES": "first-of-two\nsecond-of-two",
    "BLOCK": "block-line-1\nblock-line-2\n",
    "LONG": "long-long" * 60,
    "QUOTES": "quo\"ted\\and'more\ttab",
    "PADDED": "  padded-in  ",
    "FOREIGN": "grüße-an-alle",
    "SHORT": "0",
}
ECHO = {
    "plain": 'printf "%s\\n" "$LINES" "$BLOCK" "$LONG" "$QUOTES" "$PADDED" "$FOREIGN"',
    "json": 'python3 -c "import json, os; print(json.dumps(dict(os.environ)))"',
    "repr": 'python3 -c "import os; print(repr([os.environ[name] for name in os.environ]))"',
    "unescaped": 'python3 -c "import json, os; print(json.dumps(dict(os.environ), ensure_ascii=False))"',
    "stripped": 'python3 -c "import os; print(*[v.strip() for v in os.environ.values()])"',
}


@pytest.mark.parametrize("core", CORES)
def test_values_of_env_are_shown_nowhere(current: Workspace, tmp_path: Path, core: str) -> None:
    tasks: list[Row] = []
    for name, line in ECHO.items():
        for code in (0, 1):
            given = {"server": "web-01", "line": f"{line}; exit {code}", "env": ENV}
            tasks.append(task(f"{name} {code}", given))
    tasks.append(task("elsewhere", {"server": "web-01", "line": ECHO["json"], "env": ENV}, delegate_to="there"))
    tasks.append(task("wrong", {"server": "web-01", "line": "x", "env": ENV, "shell": "zsh"}, delegate_to="there"))
    tasks.append(task("untouched", {"msg": "0 of 100, production"}, "ansible.builtin.debug"))
    for one in tasks:
        one["vars"] = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    log = {"ANSIBLE_LOG_PATH": str(tmp_path / "all.log"), "ANSIBLE_KEEP_REMOTE_FILES": "0"}
    done = run_playbook(
        current, tmp_path, play(*tasks), ["web-01", "there"], "-vvv", "--limit", "web-01", core=core, **log
    )
    assert done.code == 0, done.log[-3000:]
    texts = {
        "output": done.log,
        "log": (tmp_path / "all.log").read_text(),
        "results": (tmp_path / "results").read_text(),
    }
    escaped = {json.dumps(part)[1:-1] for part in PARTS} | {repr(part)[1:-1] for part in PARTS} | set(PARTS)
    assert [(where, part) for where, text in texts.items() for part in escaped if part in text] == []
    assert "0 of 100, production" in done.log
    assert done.tasks["plain 0"][0]["rc"] == 0
    assert "********" in done.tasks["plain 1"][0]["msg"]
    assert "********" in done.tasks["elsewhere"][0]["stdout"]
    assert len(current.commands()) == 2 * len(ECHO) + 1


@pytest.mark.parametrize("where", [{}, {"delegate_to": "there"}], ids=["here", "shipped"])
def test_a_value_of_env_that_is_an_api_word_changes_no_result(current: Workspace, tmp_path: Path, where: Row) -> None:
    current.settings(offline_mode="queue")
    words = {"A": "timed_out", "B": "queued", "C": "2026", "D": "web-01"}
    current.disconnect("web-01")
    given = {"server": "web-01", "line": "true", "env": words, "wait_timeout": "1s"}
    one = task("once", given, until="once is not failed", register="once", retries=2, delay=0, **where)
    one["vars"] = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    done = run_playbook(current, tmp_path, play(one), ["web-01", "there"], "--limit", "web-01")
    [command] = current.commands()
    result = done.tasks["once"][-1]
    assert (result["id"], result["outcome"], result["status"]) == (command["id"], "timed_out", "queued")
    assert result["server"]["name"] == result["commands"][0]["server"]["name"] == "web-01"


@pytest.mark.parametrize("core", CORES)
def test_no_run_prints_terminal_controls(current: Workspace, tmp_path: Path, core: str) -> None:
    name = "evil\x1b[31m\x9b\nmore"
    current.add_servers(name, agent=False, connected=True)
    spit = {"server": "web-01", "line": r"printf '\033[2Jgone\rback'; exit 1"}
    tasks = [
        task("output", spit),
        task("both", {"servers": ["web-01", "web-02"], "line": spit["line"]}),
        task("unknown", {"server": "no\x1b[31msuch", "line": "x"}),
        task("silent", {"server": name, "line": "true", "wait_timeout": "0.5s", "progress": True}),
        task("near", {"server": "evil\x1b[31m\x9b\nmor", "line": "true"}),
        task("diff", {"state": "scheduled", "scheduled_at": FAR, "server": name, "line": "x\x1b[2J"}, diff=True),
        task("no line", {"server": name, "line": "true", "stat\x1be": "x"}),
    ]
    done = run_playbook(current, tmp_path, play(*tasks), ["web-01"], core=core)
    raw = re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.log)
    assert raw == [], done.log
    assert "\nmore" not in done.log
    assert any("\x1b" in row["stdout"] for row in done.tasks["output"])
