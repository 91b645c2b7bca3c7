# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the page of the documentation that describes the audit's checks; with --check, say whether it is up to date."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from checks import library

PAGE = Path(__file__).parents[2] / "docs/docsite/rst/audit_checks.rst"
_HEAD = """\
..
  Copyright: (c) 2026, herdops.alpacon contributors
  GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later

.. This page is written by tests/tools/describe_checks.py.

.. _ansible_collections.herdops.alpacon.docsite.audit_checks:

Checks of the audit
===================

The role ``herdops.alpacon.audit`` includes {checks} checks in {sets} sets, which ``audit_check_sets`` chooses. Each of
them is tried in states of real systems: Debian 12 and 13, systems with dnf and with zypper, and BusyBox; as root and as
an ordinary user; in dash, bash and the shell of BusyBox. These are {states} states, and they stand below each check:
what it *passes*, what it *fails*, where it says that it *cannot tell*, and where it *does not apply*.

A check that lacks a right or a program says so, and never passes for want of it. What an ACL adds to the mode of a file
is seen where ``ls`` marks it, which that of BusyBox does not. Nothing is changed on a server.

References name the section of the CIS Benchmark for Debian Linux 12, or for Red Hat Enterprise Linux 9, and the control
of NIST SP 800-53 where it is plain; their text is not repeated. A parameter is set by the variable of that name, in a
play, for a group or for a host.

.. contents::
   :local:
   :depth: 2
"""
_SETS = {
    "ssh": "OpenSSH",
    "accounts": "Accounts",
    "sudo": "sudo and su",
    "files": "Files and file systems",
    "kernel": "Kernel",
    "network": "Network",
    "services": "Services",
    "updates": "Updates",
    "logging": "Logs",
    "capacity": "Capacity",
    "agent": "Agent",
}
_OUTCOMES = {"passed": "Passes", "failed": "Fails", "unknown": "Cannot tell", "not_applicable": "Does not apply"}
_SYSTEMS = {"debian12": "Debian 12", "debian13": "Debian 13", "dnf": "dnf", "zypper": "zypper", "busybox": "BusyBox"}


def page() -> str:
    """The page."""
    sets = library.sets()
    rows = library.told_apart()
    head = _HEAD.format(
        checks=sum(len(content["checks"]) for content in sets.values()),
        sets=len(sets),
        states=sum(map(len, rows.values())),
    )
    parts = [head]
    for name, title in _SETS.items():
        parts += [_heading(f"{title} (``{name}``)", "-"), *(_check(check, rows) for check in sets[name]["checks"])]
    return "\n".join(parts)


def _check(check: dict[str, Any], rows: dict[str, list[dict[str, Any]]]) -> str:
    parameters = [f"``audit_{name}``: ``{_shown(value)}``" for name, value in check.get("parameters", {}).items()]
    fields = {
        "Severity": check["severity"],
        "Remedy": _plain(check["remedy"]),
        "Parameters": "; ".join(parameters),
        "References": ", ".join(map(_plain, check["references"])),
        **{_OUTCOMES[outcome]: _states(rows[check["name"]], outcome) for outcome in _OUTCOMES},
    }
    told = [_wrapped(f":{name}: {text}", "    ") for name, text in fields.items() if text]
    return "\n".join(
        [
            _heading(f"``{check['name']}``", "^"),
            _wrapped(f"**{_plain(check['title'])}.** {_plain(check['rationale'])}"),
            "",
            *told,
            "",
        ]
    )


def _states(rows: list[dict[str, Any]], outcome: str) -> str:
    return "; ".join(_state(row) for row in rows if row["outcome"] == outcome)


def _state(row: dict[str, Any]) -> str:
    where = [_SYSTEMS[system] for system in row.get("systems", ())]
    who = ["as an ordinary user"] if row.get("user") else []
    values = [f"``audit_{name}``: ``{_shown(value)}``" for name, value in row.get("parameters", {}).items()]
    more = ", ".join([*where, *who, *values])
    return _plain(row["name"]) + (f" ({more})" if more else "")


def _shown(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return textwrap.shorten(text, 100, placeholder=" ...") or "[]"


def _plain(text: str) -> str:
    """Text in which no character is markup."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def main(arguments: list[str]) -> int:
    """Write the page, or compare it."""
    if arguments == ["--check"]:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
