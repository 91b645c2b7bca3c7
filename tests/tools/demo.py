# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start a workspace with a small fleet and run commands against it, for a person to watch."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import collection_tree

sys.path.insert(0, str(Path(__file__).parents[1]))

from workspace.client import Workspace

SETTINGS = Path(__file__).parent / "demo/ansible.cfg"
INVENTORY = "tests/tools/demo/demo.alpacon.yml"
REPORT = collection_tree.BUILD / "demo-audit"
FLEET = ("web-01", "web-02", "web-03", "db-01", "db-02")


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        words: the heading.
        typed: the command.
        shown: pattern of the lines that matter, of which the first group is shown.
        expected: the lines that have to come, as patterns.
        code: the exit code that has to come.
    """

    words: str
    typed: str
    shown: str
    expected: tuple[str, ...]
    code: int = 0


SCHEDULE = Step(
    "Schedule a command: the first time is a change.",
    "ansible-playbook herdops.alpacon.schedule -e alpacon_servers=db-01 -e alpacon_line=/usr/local/bin/backup"
    " -e alpacon_scheduled_at=2099-01-01T03:00:00Z",
    r"^TASK \[Schedule the command\] \*+\n(\w+: \[localhost\])|^ +- '? *(Scheduled for .+?)'?$",
    (r"^TASK \[Schedule the command\] \*+\nchanged",),
)
STEPS = (
    Step(
        "Run a command on five servers.",
        f"ansible-playbook herdops.alpacon.run -e alpacon_servers={','.join(FLEET)} -e \"alpacon_line='uname -sr'\"",
        r"^ +- '?( *\S.*?)'?$",
        tuple(f"{name}: success, rc 0" for name in FLEET),
    ),
    Step(
        "Run a command that fails.",
        "ansible-playbook herdops.alpacon.run -e alpacon_servers=db-02 -e \"alpacon_line='ls /srv/missing'\"",
        r"^\[ERROR\]: .*?(The command ended .+)$",
        ("db-02: failed, rc 2",),
        code=2,
    ),
    SCHEDULE,
    Step("The second time is none.", SCHEDULE.typed, SCHEDULE.shown, (r"^TASK \[Schedule the command\] \*+\nok",)),
    Step(
        "Write a file on two servers with a module, without SSH.",
        f"ansible web-01,web-02 -i {INVENTORY} -o -m ansible.builtin.copy"
        " -a 'content=hello dest=~/hello.txt mode=0644'",
        r"^(web-0\d \| \w+)",
        (r"^web-01 \| CHANGED", r"^web-02 \| CHANGED"),
    ),
    Step(
        "Audit two servers.",
        f"ansible-playbook herdops.alpacon.audit -i {INVENTORY} --limit web-01,db-01 -e audit_check_sets=capacity"
        f" -e audit_fail_on=never -e audit_report_dir={REPORT.relative_to(collection_tree.ROOT)}",
        r"^ +- '?(.*(?:questions? answered|audit\.html).*?)'?$",
        ("audit.html",),
    ),
)
#: With FULL=1.
MORE_STEPS = (
    Step("Work a fleet from a playbook.", "ansible-playbook tests/tools/demo/fleet.yml", "", ()),
    Step(
        "Use modules from a playbook.",
        f"ansible-playbook tests/tools/demo/modules.yml -i {INVENTORY}",
        "",
        (),
    ),
)


def main() -> int:
    """Run every step, and return 1 if one went wrong."""
    started = time.monotonic()
    is_full = bool(os.environ.get("FULL"))
    print("Starting a stand-in for an Alpacon workspace, with five agents that run what they are sent on this machine.")
    if not is_full:
        print("Only the lines that matter are shown; FULL=1 shows all of them, and more steps.")
    with Workspace("current", servers=FLEET) as workspace:
        wrong = [step.words for step in (*STEPS, *(MORE_STEPS if is_full else ())) if not run(step, workspace, is_full)]
        requests = workspace.requests_made()
    for words in wrong:
        print(f"\nThis step did not say what it should: {words}")
    print(f"\n{time.monotonic() - started:.0f} s, {requests} requests. Open {REPORT / 'audit.html'} in a browser.")
    print(
        "Next: docs/docsite/rst/getting_started.rst. With a workspace of your own, set ALPACON_URL and ALPACON_TOKEN."
    )
    return 1 if wrong else 0


def run(step: Step, workspace: Workspace, is_full: bool) -> bool:
    """Run one step, show what it printed, and return whether that is what it should be."""
    print(f"\n== {step.words}\n$ {step.typed}", flush=True)
    environ = collection_tree.environ() | {
        "ALPACON_URL": workspace.url,
        "ALPACON_TOKEN": workspace.token,
        "ANSIBLE_CONFIG": str(SETTINGS),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    done = subprocess.run(
        shlex.split(step.typed),
        cwd=collection_tree.ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    as_expected = done.returncode == step.code and all(
        re.search(pattern, done.stdout, re.MULTILINE) for pattern in step.expected
    )
    if is_full or not as_expected:
        print(done.stdout)
    else:
        for found in re.finditer(step.shown, done.stdout, re.MULTILINE):
            print(next(filter(None, found.groups())))
    return as_expected


if __name__ == "__main__":
    sys.exit(main())
