# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show the collection at work: a stand-in workspace with five servers, and a few commands."""

from __future__ import annotations

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
    """One command of the demo.

    Attributes:
        shown: pattern of the lines that matter; their first group is shown.
        expected: patterns of lines that must be printed.
        code: the expected exit code.
    """

    heading: str
    command: str
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
    Step("The second time is none.", SCHEDULE.command, SCHEDULE.shown, (r"^TASK \[Schedule the command\] \*+\nok",)),
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


def main() -> int:
    started = time.monotonic()
    print("Starting a stand-in for an Alpacon workspace, with five agents that run commands on this machine.")
    with Workspace("current", servers=FLEET) as workspace:
        failed = [step.heading for step in STEPS if not run(step, workspace)]
        requests = workspace.requests_made()
    for heading in failed:
        print(f"\nThis step printed something unexpected: {heading}")
    print(f"\n{time.monotonic() - started:.0f} s, {requests} requests. Open {REPORT / 'audit.html'} in a browser.")
    print(
        "Next: docs/docsite/rst/getting_started.rst. With a workspace of your own, set ALPACON_URL and ALPACON_TOKEN,"
        " and run: ansible-playbook herdops.alpacon.check_workspace"
    )
    return 1 if failed else 0


def run(step: Step, workspace: Workspace) -> bool:
    """Run one step and show the lines that matter, or all of them if they are not as expected."""
    print(f"\n== {step.heading}\n$ {step.command}", flush=True)
    environ = collection_tree.environ() | {
        "ALPACON_URL": workspace.url,
        "ALPACON_TOKEN": workspace.token,
        "ANSIBLE_CONFIG": str(SETTINGS),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    done = subprocess.run(
        shlex.split(step.command),
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
    if not as_expected:
        print(done.stdout)
    else:
        for found in re.finditer(step.shown, done.stdout, re.MULTILINE):
            print(next(filter(None, found.groups())))
    return as_expected


if __name__ == "__main__":
    sys.exit(main())
