# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports to test with: the same for the same arguments, whenever and wherever they are made."""

from __future__ import annotations

import copy
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Report = dict[str, Any]

SEVERITIES = ("critical", "high", "medium", "low", "info")


@dataclass(frozen=True)
class Known:
    """A check that reports are made of: what it asks, and how it is answered where it does not pass."""

    name: str
    set: str
    severity: str
    line: str
    expected: str
    good: str
    bad: str
    message: str
    remedy: str = ""
    when: tuple[str, ...] = ()
    fact: str = ""


KNOWN = (
    Known(
        "SSH: root may not log in",
        "security",
        "high",
        "sshd -T",
        "output contains no permitrootlogin yes",
        "port 22\npermitrootlogin no\npasswordauthentication no",
        "port 22\npermitrootlogin yes\npasswordauthentication no",
        "The output contains permitrootlogin yes",
        "Set PermitRootLogin no in /etc/ssh/sshd_config.d/10-hardening.conf and reload sshd.",
    ),
    Known(
        "SSH: no passwords",
        "security",
        "medium",
        "sshd -T",
        "output contains passwordauthentication no",
        "port 22\npermitrootlogin no\npasswordauthentication no",
        "port 22\npermitrootlogin no\npasswordauthentication yes",
        "The output does not contain passwordauthentication no",
        "Set PasswordAuthentication no, once every account has a key.",
    ),
    Known(
        "sudo asks for a password",
        "security",
        "high",
        "grep -rn NOPASSWD /etc/sudoers /etc/sudoers.d",
        "exit code 1",
        "",
        "/etc/sudoers.d/90-cloud-init-users:4:ubuntu ALL=(ALL) NOPASSWD:ALL",
        "The exit code is 0, expected 1",
        "Remove NOPASSWD from the file that the output names.",
    ),
    Known(
        "Nothing in /etc is world-writable",
        "security",
        "critical",
        "find /etc -xdev -type f -perm -0002",
        "output is empty",
        "",
        "/etc/cron.d/backup\n/etc/app/secrets.env",
        "The output is not empty",
        "chmod o-w the files, and find out who made them so.",
    ),
    Known(
        "No empty passwords",
        "security",
        "critical",
        "awk -F: '$2 == \"\" {print $1}' /etc/shadow",
        "output is empty",
        "",
        "deploy",
        "The output is not empty",
        "Lock the account: passwd -l NAME.",
    ),
    Known(
        "Security updates are installed",
        "security",
        "high",
        "apt-get -s upgrade | grep -c ^Inst.*security",
        "number at most 0",
        "0",
        "7",
        "The number is 7, expected at most 0",
        "Run the patch playbook, or schedule it for tonight.",
    ),
    Known(
        "Only known ports listen",
        "security",
        "medium",
        "ss -Hltn",
        "output contains no 0.0.0.0:6379",
        "LISTEN 0 128 0.0.0.0:22 0.0.0.0:*",
        "LISTEN 0 128 0.0.0.0:22   0.0.0.0:*\nLISTEN 0 511 0.0.0.0:6379 0.0.0.0:*",
        "The output contains 0.0.0.0:6379",
        "Bind Redis to 127.0.0.1.",
    ),
    Known(
        "No unit has failed",
        "health",
        "medium",
        "systemctl --failed --no-legend --plain",
        "output is empty",
        "",
        "logrotate.service loaded failed failed Rotate log files",
        "The output is not empty",
        "journalctl -u NAME says why.",
    ),
    Known(
        "Disks have room",
        "capacity",
        "high",
        "df --output=pcent / | tail -1",
        "number at most 90",
        " 41%",
        " 96%",
        "The number is 96, expected at most 90",
        fact="disk_used",
    ),
    Known(
        "Memory is available",
        "capacity",
        "low",
        "free -m",
        "number at least 256",
        "Mem: 7963 2411 1022 103 4529 5201",
        "Mem: 1963 1822 61 12 80 97",
        "The number is 97, expected at least 256",
        fact="memory_available",
    ),
    Known(
        "Replication keeps up",
        "capacity",
        "high",
        "psql -XAtc 'select pg_last_wal_replay_lag()'",
        "number at most 30",
        "2",
        "418",
        "The number is 418, expected at most 30",
        when=("db",),
    ),
    Known(
        "The agent is current",
        "agent",
        "info",
        "alpamon --version",
        "output matches ^1\\.(4|5)\\.",
        "1.5.2",
        "1.2.0",
        "The output does not match ^1\\.(4|5)\\.",
        "Run the herdops.alpacon.rollout playbook.",
    ),
)

OFFLINE = "The server is offline: its agent is not connected"


def report(
    servers: int = 48,
    checks: int = 12,
    seed: int = 8,
    failing: float = 0.08,
    offline: float = 0.05,
    everywhere: bool = False,
) -> Report:
    """A report of so many servers and checks, of which these shares fail and are offline."""
    chance = random.Random(seed)
    known = [_numbered(KNOWN[number % len(KNOWN)], number // len(KNOWN)) for number in range(checks)]
    rows = [_server(number, chance) for number in range(servers)]
    results = []
    is_offline = {row["host"] for row in chance.sample(rows, round(servers * offline))}
    for row in rows:
        results += [
            _result(row, check, chance, failing, row["host"] in is_offline)
            for check in known
            if everywhere or not check.when or set(check.when) & set(row["groups"])
        ]
    return summed(
        {
            "schema": 1,
            "title": "Audit of my-workspace.us1.alpacon.io",
            "workspace": "https://my-workspace.us1.alpacon.io",
            "started_at": "2026-11-24T09:12:04Z",
            "finished_at": "2026-11-24T09:13:47Z",
            "collection": "0.1.0",
            "reuse_within": 3600.0,
            "fail_on": "high",
            "min_coverage": 95.0,
            "refusal": None,
            "servers": rows,
            "checks": [_check(check) for check in known],
            "results": results,
        }
    )


def summed(unsummed: Report) -> Report:
    """A report with the summary and the verdict that its results have."""
    results = unsummed["results"]
    outcomes = Counter(result["outcome"] for result in results)
    severities = Counter(result["severity"] for result in results if result["outcome"] == "failed")
    commands = sum(not result["reused"] and result["command"] is not None for result in results)
    summary = {
        "servers": len(unsummed["servers"]),
        "checks": len(unsummed["checks"]),
        **{outcome: outcomes[outcome] for outcome in ("passed", "failed", "unknown")},
        "failed_by_severity": {severity: severities[severity] for severity in SEVERITIES},
        "reused": sum(result["reused"] for result in results),
        "commands": commands,
        "requests": commands + commands // 20 + 4,
    }
    answered = outcomes["passed"] + outcomes["failed"]
    coverage = answered * 1000 // len(results) / 10 if results else 0.0
    return {**unsummed, "summary": summary, "coverage": coverage, "verdict": _verdict(unsummed, coverage)}


def _verdict(report: Report, coverage: float) -> str:
    fatal = SEVERITIES[: SEVERITIES.index(report["fail_on"]) + 1] if report["fail_on"] else ()
    if any(result["outcome"] != "passed" and result["severity"] in fatal for result in report["results"]):
        return "fail"
    return "inconclusive" if coverage < report["min_coverage"] or report["refusal"] else "pass"


def large() -> Report:
    """A report of 1,000 servers and 30 checks, all of which apply to all servers."""
    return report(servers=1000, checks=30, everywhere=True)


def clean() -> Report:
    """A report in which nothing failed."""
    return report(servers=6, failing=0, offline=0)


def earlier(later: Report, seed: int = 11) -> Report:
    """A report of a week before: other results, a server and a check less, and a server that is gone since."""
    chance = random.Random(seed)
    before = copy.deepcopy(later)
    before["finished_at"] = "2026-11-17T09:13:21Z"
    gone_check = before["checks"].pop()["name"]
    new_host = before["servers"].pop()["host"]
    before["servers"].append({**before["servers"][0], "host": "legacy-01", "name": "legacy-01"})
    before["results"] = [
        result for result in before["results"] if result["check"] != gone_check and result["host"] != new_host
    ]
    for result in before["results"]:
        if chance.random() < 0.03:
            result["outcome"] = "passed" if result["outcome"] == "failed" else "failed"
    return summed(before)


#: Texts that break out of something somewhere, if anything lets them.
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'y',
    "{{ 7 * 7 }}{% raw %}{# x",
    "]]><!-- --!> &lt;b&gt; &amp;",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07 \x00\x07\x7f\x9b31m",
    "\u202egnp.exe\u2066 \u200f\u061c\ufffe\uffff \ud800 \u2028\u2029",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 caf\u00e9 \uc11c\ubc84",
    "| `code` **bold** [a](https://evil.example) www.evil.example",
    "javascript:alert(1)",
    "</pre></details></table></textarea></title></style><h1>free</h1>",
)


def hostile() -> Report:
    """A report in which every text is hostile."""
    texts = HOSTILE
    servers = [
        {"host": text, "workspace": text, "id": None, "name": text, "groups": [text, texts[0]], "facts": {text: text}}
        for text in texts
    ]
    checks = [
        {
            "name": text,
            "set": text,
            "description": text,
            "remedy": text,
            "line": text,
            "username": text,
            "severity": SEVERITIES[number % 5],
            "expected": [text, text],
            "when": [text],
        }
        for number, text in enumerate(texts)
    ]
    results = [
        {
            "host": host,
            "check": check,
            "outcome": ("failed", "unknown", "passed")[(row + column) % 3],
            "severity": SEVERITIES[column % 5],
            "message": check,
            "rc": 0,
            "value": host,
            "output": f"{host}\n{check}",
            "output_truncated": False,
            "output_complete": column % 2 == 0,
            "command": check,
            "ended_at": host,
            "reused": row % 2 == 0,
        }
        for row, host in enumerate(texts)
        for column, check in enumerate(texts)
    ]
    base = report(servers=1, checks=1)
    words = {"title": texts[0], "workspace": texts[1], "collection": texts[2]}
    return summed({**base, **words, "servers": servers, "checks": checks, "results": results})


def _numbered(known: Known, number: int) -> Known:
    return Known(**{**vars(known), "name": f"{known.name} ({number + 1})"}) if number else known


def _server(number: int, chance: random.Random) -> Report:
    role = ("web", "web", "db", "cache", "edge", "batch")[number % 6]
    name = f"{role}-{number // 6 + 1:02d}" + ("b" if number % 6 == 1 else "")
    groups = [role, chance.choice(["production", "production", "staging"])]
    workspace = "https://my-workspace.us1.alpacon.io"
    return {"host": name, "workspace": workspace, "id": _uuid(chance), "name": name, "groups": groups, "facts": {}}


def _check(known: Known) -> Report:
    return {
        "name": known.name,
        "set": known.set,
        "description": "",
        "remedy": known.remedy,
        "line": known.line,
        "username": "root" if known.set == "security" else None,
        "severity": known.severity,
        "expected": ["exit code 0", known.expected] if "exit code" not in known.expected else [known.expected],
        "when": list(known.when),
    }


def _result(server: Report, known: Known, chance: random.Random, failing: float, is_offline: bool) -> Report:
    outcome = "unknown" if is_offline else "failed" if chance.random() < failing else "passed"
    output = {"unknown": "", "failed": known.bad, "passed": known.good}[outcome]
    reused = not is_offline and chance.random() < 0.4
    value = int("".join(filter(str.isdigit, output.split()[-1])) or 0) if known.fact and output else None
    if value is not None:
        server["facts"][known.fact] = value
    return {
        "host": server["host"],
        "check": known.name,
        "outcome": outcome,
        "severity": "medium" if is_offline else known.severity,
        "message": {"unknown": OFFLINE, "failed": known.message, "passed": "As expected"}[outcome],
        "rc": None if is_offline else 0,
        "value": value,
        "output": output,
        "output_truncated": False,
        "output_complete": True,
        "command": None if is_offline else _uuid(chance),
        "ended_at": None if is_offline else f"2026-11-24T{'08:41' if reused else '09:12'}:{chance.randrange(60):02d}Z",
        "reused": reused,
    }


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def with_outputs(given: Report, characters: int, hosts: Sequence[str] = ()) -> Report:
    """A report in which each output is so long, and different from all others."""
    chance = random.Random(3)
    for result in given["results"]:
        if not hosts or result["host"] in hosts:
            result["output"] = f"{chance.getrandbits(64):x} <&> " * (characters // 20)
    return given
