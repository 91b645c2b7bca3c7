# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start a workspace with a small fleet and run playbooks against it, for a person to watch."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import collection_tree

sys.path.insert(0, str(Path(__file__).parents[1]))

from workspace.client import Workspace

SETTINGS = Path(__file__).parent / "demo/ansible.cfg"
REPORT = collection_tree.BUILD / "demo-audit"
FLEET = ("web-01", "web-02", "web-03", "db-01", "db-02")
#: What is said about each step, and how it is typed.
STEPS = (
    (
        "A playbook runs a command on the fleet, schedules one, cancels it, and looks back at what ran.",
        "ansible-playbook tests/tools/demo/fleet.yml",
    ),
    (
        "The inventory comes from the workspace, and any module reaches its hosts without SSH: facts, and a template.",
        "ansible-playbook tests/tools/demo/modules.yml -i tests/tools/demo/demo.alpacon.yml",
    ),
    (
        "The collection brings playbooks for the command line. This one runs a command on two servers.",
        "ansible-playbook herdops.alpacon.run -e alpacon_servers=web-01,db-01 -e \"alpacon_line='df -h /'\"",
    ),
    (
        "Another one schedules a command once.",
        "ansible-playbook herdops.alpacon.schedule -e alpacon_servers=web-01 -e alpacon_line=reboot"
        " -e alpacon_scheduled_at=2099-01-01T03:00:00Z",
    ),
    (
        "And one cancels what waits.",
        "ansible-playbook herdops.alpacon.cancel -e alpacon_servers=web-01 -e alpacon_line=reboot",
    ),
    (
        "The last one audits the fleet, and ends with a report to look at.",
        "ansible-playbook herdops.alpacon.audit -i tests/tools/demo/demo.alpacon.yml -e audit_fail_on=never"
        f" -e audit_min_coverage=0 -e audit_report_dir={REPORT.relative_to(collection_tree.ROOT)}",
    ),
)
OUTLOOK = """\
You saw one command run on five servers, one fail and say why, one scheduled once and cancelled once although each was
asked for twice, the list of what ran, an answer looked up, modules that gathered facts and wrote a file on each server
although none of them has SSH, the playbooks for the command line, and an audit of the fleet, whose findings are those
of this machine.

What next: docs/docsite/rst/fleet_commands.rst and docs/docsite/rst/any_module.rst have a task for each of these;
tests/tools/demo/fleet.yml and tests/tools/demo/modules.yml are the playbooks that just ran.
With a workspace of your own, set ALPACON_URL and ALPACON_TOKEN, and give herdops.alpacon.run the names of your servers,
or run your own playbook with the inventory tests/tools/demo/demo.alpacon.yml, which is a file of two lines.
"""


def main() -> int:
    """Run every step, and return 1 if one went wrong."""
    say("Starting a stand-in for an Alpacon workspace, with an agent for each of five servers.")
    started = time.monotonic()
    with Workspace("current", servers=FLEET) as workspace:
        print(f"The workspace is at {workspace.url}; the agents of {', '.join(FLEET)} are connected.")
        print("They run what they are sent on this machine.")
        wrong = [typed for words, typed in STEPS if not run(words, typed, workspace)]
        requests = workspace.requests_made()
    if wrong:
        say("Something went wrong: see the output above.")
        return 1
    say(f"That was all, in {time.monotonic() - started:.0f} s and {requests} requests to the workspace.")
    print(OUTLOOK, end="")
    print(f"\nThe report of the audit is {REPORT / 'audit.html'}; open it in a browser.")
    return 0


def run(words: str, typed: str, workspace: Workspace) -> bool:
    """Run one playbook and tell whether it went well."""
    say(words)
    print(f"$ {typed}", flush=True)
    environ = collection_tree.environ() | {
        "ALPACON_URL": workspace.url,
        "ALPACON_TOKEN": workspace.token,
        "ANSIBLE_CONFIG": str(SETTINGS),
    }
    return subprocess.run(shlex.split(typed), cwd=collection_tree.ROOT, env=environ, check=False).returncode == 0


def say(words: str) -> None:
    """Print a heading."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}== {words}{plain}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
