# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports to test with: the same for the same arguments, whenever and wherever they are made."""

from __future__ import annotations

import copy
import random
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.results import (
    OUTCOMES,
    SEVERITIES,
    compute_coverage,
    compute_score,
    decide_verdict,
    is_attested,
)

Report = dict[str, Any]

_WORKSPACE = "https://my-workspace.us1.alpacon.io"
_SYSTEMS = ("Debian GNU/Linux 12 (bookworm)", "Debian GNU/Linux 13 (trixie)", "Rocky Linux 9.6", "Ubuntu 24.04.3 LTS")
_OWNERS = ("Web platform", "Data services", "Web platform", None)


@dataclass(frozen=True)
class Known:
    """A check that reports are made of, and how it is answered where it fails: ``#`` is a number of 48 to 90."""

    name: str
    set: str
    severity: str
    title: str
    line: str
    problem: str
    remedy: str = ""
    evidence: str = ""
    good: str = ""
    rationale: str = ""
    references: tuple[str, ...] = ()
    applies_if: str | None = None
    groups: tuple[str, ...] = ()
    has_value: bool = False
    parameters: tuple[tuple[str, Any], ...] = ()


KNOWN = (
    Known(
        *("sshd-root-login", "ssh", "high", "Root cannot log in over SSH with a password"),
        'sshd -T -C user=root,host=localhost,addr=127.0.0.1 |\n  awk \'$1 == "permitrootlogin" && $2 == "yes" {\n'
        '    print "problem: root can log in over SSH with a password"\n  }\n  { print }\'\necho done',
        "Root can log in over SSH with a password",
        "Set PermitRootLogin no in /etc/ssh/sshd_config.d/10-hardening.conf, then: systemctl reload ssh",
        *("port 22\npermitrootlogin yes\npasswordauthentication no", "port 22\npermitrootlogin no"),
        "A guessed password of root is a whole server, and nobody can say later who came in with it.",
        ("CIS Debian Linux 12 5.1.20", "NIST SP 800-53 AC-6"),
        "command -v sshd >/dev/null",
    ),
    Known(
        *("sshd-password-authentication", "ssh", "medium", "SSH accepts no passwords"),
        'sshd -T | grep -qx "passwordauthentication yes" && echo "problem: SSH accepts passwords"\necho done',
        "SSH accepts passwords",
        "Set PasswordAuthentication no and KbdInteractiveAuthentication no, once every account has a key",
        *("passwordauthentication yes\nkbdinteractiveauthentication no", "passwordauthentication no"),
        references=("CIS Debian Linux 12 5.1.9",),
        applies_if="command -v sshd >/dev/null",
    ),
    Known(
        *("kernel-settings", "kernel", "high", "Settings of the kernel are as expected, now and by what sysctl.d sets"),
        "sysctl -n kernel.randomize_va_space fs.protected_symlinks\necho done",
        "fs.protected_symlinks is 0 after the next boot, and 1 is expected; /etc/sysctl.d/90-legacy.conf sets it",
        "Correct the line in the file that the message names, then: systemctl restart systemd-sysctl",
        "/etc/sysctl.d/90-legacy.conf:3:fs.protected_symlinks = 0",
    ),
    Known(
        *("certificates", "certificates", "critical", "No certificate is about to expire"),
        "openssl x509 -noout -enddate -in /etc/nginx/ssl/www.pem\necho done",
        *("/etc/nginx/ssl/www.pem expires on 2026-11-27", "Renew the certificate, such as with certbot renew"),
        "notAfter=Nov 27 11:59:59 2026 GMT",
    ),
    Known(
        *("accounts-empty-passwords", "accounts", "critical", "No account has an empty password"),
        'getent shadow | awk -F: \'$2 == "" { print "problem: " $1 " has an empty password" }\'\necho done',
        *("The account deploy has an empty password", "passwd -l NAME", "deploy::20411:0:99999:7:::"),
        rationale="Anybody who knows the account's name may be able to log in.",
    ),
    Known(
        *("security-updates", "updates", "high", "Security updates are installed"),
        "apt-get -s upgrade\necho done",
        "# security updates wait; at most 0: openssl libssl3",
        "apt-get update && apt-get upgrade, or schedule the patch playbook for tonight",
        "Inst openssl [3.0.15-1] (3.0.17-1 Debian-Security:12/stable-security [amd64])",
        "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.",
        applies_if="command -v apt-get >/dev/null",
        has_value=True,
        parameters=(("security_updates_max", 0),),
    ),
    Known(
        *("listening-ports", "network", "medium", "Only the ports that are listed listen"),
        *("ss -Hltn\necho done", "Port 6379 listens on 0.0.0.0"),
        "Bind Redis to 127.0.0.1, or add 6379 to audit_listening_ports",
        "LISTEN 0 128 0.0.0.0:22   0.0.0.0:*\nLISTEN 0 511 0.0.0.0:6379 0.0.0.0:*",
        "LISTEN 0 128 0.0.0.0:22 0.0.0.0:*",
        parameters=(("listening_ports", [22, 80, 443]),),
    ),
    Known(
        *("failed-units", "services", "medium", "No system unit has failed"),
        *("systemctl --failed --no-legend --plain", "logrotate.service has failed"),
        *("systemctl status NAME and journalctl -u NAME say why", "logrotate.service loaded failed failed"),
        applies_if="command -v systemctl >/dev/null",
    ),
    Known(
        *("disk-space", "capacity", "high", "File systems have room"),
        *("df -P -x tmpfs\necho done", "/ is #% full; at most 45%", "du -xh / | sort -h | tail says what fills it"),
        *("/dev/vda1 41152736 34912736 6240000 #% /", "/dev/vda1 41152736 16873000 24279736 41% /"),
        has_value=True,
        parameters=(("disk_used_max", 45),),
    ),
    Known(
        *("memory-available", "capacity", "low", "Memory is available", "free -m"),
        *("97 MB of memory are available; at least 256 MB", "", "Mem: 1963 1822 61 12 80 97", "Mem: 7963 2411 1022"),
    ),
    Known(
        *("replication-lag", "capacity", "high", "Replication keeps up"),
        *("psql -XAtc 'select pg_last_wal_replay_lag()'", "The standby is 4# s behind; at most 30 s"),
        *("pg_stat_replication on the primary says what holds it up", "4#", "2"),
        groups=("db",),
    ),
    Known(
        *("agent-version", "agent", "info", "The agent is current", "alpamon --version"),
        *("The agent is 1.2.0; at least 1.4.0", "ansible-playbook herdops.alpacon.rollout", "1.2.0", "1.5.2"),
    ),
)

OFFLINE = "Its agent is not connected"
_REASONS = (OFFLINE, OFFLINE, "The workspace has no server of this name")
WAIVED = {
    "reason": "Moves to its own host in January",
    "until": "2027-01-31",
    "expired": False,
    "approved_by": "Kim Minji",
    "since": "2026-11-02",
    "ticket": "OPS-1204",
}
EXPIRED = {
    "reason": "The vendor needs it",
    "until": "2026-10-31",
    "expired": True,
    "approved_by": None,
    "since": None,
    "ticket": "OPS-871",
}
ATTESTED = {
    "outcome": "passed",
    "checked_by": "Lee Jun",
    "checked_on": "2026-11-05",
    "until": "2027-11-04",
    "expired": False,
    "proof": "https://wiki.example.com/audits/2026/contacts",
    "note": "All three people answered.",
}


def report(
    servers: int = 48, checks: int = 12, failing: float = 0.08, offline: float = 0.05, everywhere: bool = False
) -> Report:
    """Make a report of this many servers and checks, of which these shares fail and are offline."""
    chance = random.Random(8)
    known = [_numbered(KNOWN[number % len(KNOWN)], number // len(KNOWN)) for number in range(checks)]
    rows = [_server(number, chance) for number in range(servers)]
    for number, row in enumerate(chance.sample(rows, round(servers * offline))):
        row.update(reached=False, reason=_REASONS[number % len(_REASONS)])
    results = []
    questions = 0
    for row in rows:
        asked = [one for one in known if everywhere or not one.groups or set(one.groups) & set(row["groups"])]
        questions += len(asked)
        if row["reached"]:
            ids = {name: (_uuid(chance), chance.random() < 0.2, chance.randrange(60)) for name in ("root", None)}
            results += [_result(row, one, chance, failing, ids) for one in asked]
    _waive(results)
    return summed(
        {
            "schema": 2,
            "title": "Audit of my-workspace.us1.alpacon.io",
            "workspace": _WORKSPACE,
            "started_at": "2026-11-24T09:12:04Z",
            "finished_at": "2026-11-24T09:13:47Z",
            "collection": "1.1.0",
            "ansible_core": "2.21.1",
            "run_by": {"user": "kim", "controller": "deploy-01"},
            "reuse_within": 3600.0,
            "fail_on": "high",
            "fail_after": {},
            "min_coverage": 95.0,
            "refusal": None,
            "summary": {"questions": questions},
            "servers": rows,
            "checks": [_check(one) for one in known],
            "results": results,
            "waivers": [
                _waiver("listening-ports", WAIVED, results),
                _waiver("failed-units", EXPIRED, results),
                {**_waiver("no-such-check", WAIVED, results), "reason": "Kept for later", "hosts": ["web-99"]},
            ],
            "attestations": [],
        }
    )


def _waive(results: list[Report]) -> None:
    """Let one finding in three of a check be waived, and one of another have a waiver that has expired."""
    ports = [row for row in results if row["check"] == "listening-ports" and row["outcome"] == "failed"]
    for row in ports[::3]:
        row.update(outcome="waived", waiver=WAIVED)
    for row in [row for row in results if row["check"] == "failed-units" and row["outcome"] == "failed"][:1]:
        until = f"{row['message']}. The waiver ended on {EXPIRED['until']}"
        row.update(waiver=EXPIRED, message=until)


def _waiver(check: str, waiver: Report, results: list[Report]) -> Report:
    hosts = [row["host"] for row in results if row["check"] == check and row["waiver"]]
    return {"check": check, "hosts": hosts, "groups": [], "matched": len(hosts), **waiver}


def summed(unsummed: Report) -> Report:
    """Return a report with the summary and the verdict that its results and servers have."""
    results, servers = unsummed["results"], unsummed["servers"]
    outcomes = Counter(result["outcome"] for result in results)
    severities = Counter(result["severity"] for result in results if result["outcome"] == "failed")
    commands = len({result["command"] for result in results if not result["reused"] and result["command"]})
    summary = {
        "servers": len(servers),
        "checks": len(unsummed["checks"]),
        "questions": unsummed.get("summary", {}).get("questions", len(results)) if results else 0,
        **{outcome: outcomes[outcome] for outcome in OUTCOMES},
        "attested": sum(map(is_attested, results)),
        "not_reached": sum(not server.get("reached", True) for server in servers),
        "failed_by_severity": {severity: severities[severity] for severity in reversed(SEVERITIES)},
        "score": compute_score((result["outcome"], result["severity"], 1) for result in results),
        "reused": sum(result["reused"] for result in results),
        "commands": commands,
        "requests": commands + commands // 20 + 4,
    }
    report = {**unsummed, "summary": summary, "coverage": compute_coverage(summary)}
    return {**report, "verdict": decide_verdict(report)}


def many() -> Report:
    """Return a report of 2 servers and 40 checks: half fail, the first with a message that names 60 packages."""
    many = report(servers=2, checks=40, failing=0.5, offline=0, everywhere=True)
    message = f"60 updates wait: {', '.join(f'package-{number}' for number in range(60))}"
    rows = [{**row, "message": message, "severity": "critical", "outcome": "failed"} for row in many["results"]]
    named = [new if row["check"] == KNOWN[0].name else row for new, row in zip(rows, many["results"], strict=True)]
    return summed({**many, "results": named})


def attested() -> Report:
    """Return a report with a rule that was attested on two servers, and was found to fail on one of them.

    An attestation of another rule has expired, another one is not valid yet, and a third one has no effect.
    """
    plain = report(servers=3, checks=2, failing=0, offline=0, everywhere=True)
    rule, other = (check["name"] for check in plain["checks"])
    by_host = [server["host"] for server in plain["servers"]]
    expired = {**ATTESTED, "until": "2026-11-20", "expired": True}
    failed = {**ATTESTED, "outcome": "failed", "note": "Nobody answered."}
    found = {(by_host[0], rule): ATTESTED, (by_host[1], rule): failed, (by_host[0], other): expired}
    for row in plain["results"]:
        one = found.get((row["host"], row["check"]))
        if one:
            message = "The scanner has no check for it." if one["expired"] else one["note"]
            outcome = "unknown" if one["expired"] else one["outcome"]
            row.update(manual=True, attestation=one, outcome=outcome, message=message, output="")
    entries = [
        {**one, "check": check, "hosts": [host], "groups": [], "pending": False, "matched": 1}
        for (host, check), one in found.items()
    ]
    later = {**entries[0], "check": "later", "pending": True, "checked_on": "2027-01-01", "matched": 0}
    entries += [later, {**entries[0], "check": "no-such-rule", "matched": 0}]
    return summed({**plain, "attestations": entries})


#: Rules of the SCAP Security Guide, of which some have long names.
RULES = (
    "sudo_add_noexec",
    "accounts_passwords_pam_faillock_unlock_time",
    "audit_rules_unsuccessful_file_modification_open_by_handle_at_rule_order",
)


def benchmark(rules: tuple[str, ...] = RULES) -> Report:
    """Return a report of a benchmark, whose rules fail on most servers."""
    scanned = report(servers=6, checks=len(rules), failing=0.6, offline=0, everywhere=True)
    names = {check["name"]: f"anssi_bp28_enhanced/{rule}" for check, rule in zip(scanned["checks"], rules, strict=True)}
    checks = [{**check, "name": names[check["name"]], "of": "anssi_bp28_enhanced"} for check in scanned["checks"]]
    results = [{**result, "check": names[result["check"]]} for result in scanned["results"]]
    return summed({**scanned, "checks": checks, "results": results, "waivers": []})


_SUBJECTS = ("auditd", "sshd", "sudo", "coredump storage", "IPv6 router advertisements", "the password history", "cron")
_DEMANDS = (
    (
        "Ensure {} Records Events that Modify the System's Discretionary Access Controls",
        "audit_rules_dac_modification_{}",
    ),
    ("Verify Permissions and Ownership of the Configuration of {}", "file_permissions_configuration_of_{}"),
    ("Disable {}", "disable_{}"),
    ("Configure {} to Use Only Approved Values by Default", "configure_{}_approved_values_by_default"),
)
_NIST = (
    "AC-2(4)",
    "AC-6(1)",
    "AC-17(a)",
    "AU-2(d)",
    "AU-12(c)",
    "CM-6(a)",
    "CM-7(b)",
    "IA-5(1)(a)",
    "SC-5",
    "SI-11(a)",
)


def hardening(rules: int = 391, servers: int = 30) -> Report:
    """Return a report of a benchmark of this size. Two in five rules fail: half of them on all servers."""
    chance = random.Random(5)
    base = report(servers=servers, checks=1, offline=2 / servers, everywhere=True)
    [check], reached = base["checks"], [server for server in base["servers"] if server["reached"]]
    [template] = [result for result in base["results"] if result["host"] == reached[0]["host"]]
    checks, results, waivers = [], [], []
    for number in range(rules):
        row = _rule(number, check, chance)
        checks.append(row)
        share = (0, 0, 0, 1, chance.random() / 2)[number % 5]
        for server in reached:
            outcome = "failed" if chance.random() < share else "unknown" if number % 50 == 7 else "passed"
            found = f"Not met: {row['title']}\n  found: filepath /etc/example/{number}.conf, text value = {number % 3}"
            mine = f"{found}\n  found: of {server['host']}" if number % 3 else found
            about: Report = {"message": f"The rule is not met: {row['title']}", "output": mine}
            about = about if outcome == "failed" else {"message": "", "output": ""}
            names = {"host": server["host"], "check": row["name"], "severity": row["severity"]}
            results.append({**template, **names, **about, "outcome": outcome, "reused": False, "waiver": None})
        if number % 80 == 3:
            waived = [result for result in results[-len(reached) :] if result["outcome"] == "failed"]
            for result in waived:
                result.update(outcome="waived", waiver=WAIVED)
            waivers.append({"check": row["name"], "hosts": [], "groups": [], "matched": len(waived), **WAIVED})
    tailoring = f"Tailoring tailoring.xml, SHA-256 {'9f86d081' * 8}"
    parent = {
        **check,
        "name": "cis_level2_server",
        "title": "SCAP profile cis_level2_server",
        "references": [tailoring],
    }
    for number, server in enumerate(base["servers"]):
        versions = [f"OpenSCAP 1.3.{9 + number % 5 // 4}", "Guide to the Secure Configuration of Debian 12 0.1.76"]
        server["versions"] = {parent["name"]: [*versions, "Profile CIS Level 2 - Server"]}
    questions, given = {"questions": rules * servers}, {"waivers": waivers, "attestations": _attestations(checks)}
    return summed({**base, **given, "summary": questions, "checks": [parent, *checks], "results": results})


def _attestations(checks: list[Report]) -> list[Report]:
    """Return an attestation that holds, one that has expired and one that is not valid yet."""
    entry = {"hosts": [], "groups": ["all"], "pending": False, "matched": 28, **ATTESTED}
    changes: list[Report] = [{}, {"until": "2026-11-20", "expired": True}, {"pending": True, "matched": 0}]
    return [{**entry, **change, "check": check["name"]} for change, check in zip(changes, checks, strict=False)]


def _rule(number: int, check: Report, chance: random.Random) -> Report:
    subject, (title, name) = _SUBJECTS[number % len(_SUBJECTS)], _DEMANDS[number % len(_DEMANDS)]
    nist = ", ".join(sorted(chance.sample(_NIST, 3)))
    section = f"{number // 70 + 1}.{number // 10 % 7 + 1}.{number % 10 + 1}"
    return {
        **check,
        "name": f"cis_level2_server/{name.format(subject.replace(' ', '_'))}_{number}",
        "of": "cis_level2_server",
        "title": title.format(subject),
        "rationale": "An attacker who changes it can hide what was done, or keep a way in. " * 4,
        "remedy": f"Set the value in /etc/example/{number}.conf, and restart the service. " * 4,
        "references": [
            f"CCE-{80000 + number}-{number % 10}",
            f"http://nvlpubs.nist.gov/nistpubs/SpecialPublications/NIST.SP.800-53r4.pdf {nist}",
            f"https://www.cisecurity.org/benchmark/red_hat_linux/ {section}",
            f"https://www.iso.org/standard/54534.html A.{number % 14 + 5}.{number % 4 + 1}, A.{number % 9 + 5}.1",
            f"https://www.isaca.org/resources/cobit APO{number % 13:02d}.0{number % 5 + 1}",
            f"https://public.cyber.mil/stigs/cci/ CCI-{number // 3:06d}",
            f"https://www.pcisecuritystandards.org/document_library/ Req-{number % 11 + 1}.{number % 6 + 1}",
        ],
        "severity": ("medium", "medium", "low", "medium", "high")[number % 7 % 5],
        "line": "",
        "applies_if": None,
    }


def clean() -> Report:
    """Return a report in which nothing failed."""
    return report(servers=6, failing=0, offline=0)


def earlier(later: Report) -> Report:
    """Return a report of a week before: other results, one server and check fewer, and a server that is gone now."""
    chance = random.Random(11)
    before = copy.deepcopy(later)
    before["finished_at"] = "2026-11-17T09:13:21Z"
    gone_check = before["checks"].pop()["name"]
    new_host = before["servers"].pop()["host"]
    before["servers"].append({**before["servers"][0], "host": "legacy-01", "name": "legacy-01"})
    kept = [result for result in before["results"] if result["check"] != gone_check and result["host"] != new_host]
    before["summary"]["questions"] -= len(before["results"]) - len(kept)
    before["results"] = kept
    for result in kept:
        if chance.random() < 0.03 and result["outcome"] in ("passed", "failed"):
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
    """Return a report in which every text is hostile."""
    texts = HOSTILE
    base = report(servers=1, checks=1)
    [server], [check], [result] = base["servers"], base["checks"], base["results"]
    of_server = ("host", "workspace", "id", "name", "os", "agent", "ip", "owner")
    of_check = ("name", "set", "title", "rationale", "remedy", "applies_if", "username")
    servers, unreached, checks, results, waivers, attestations = [], [], [], [], [], []
    for row, text in enumerate(texts):
        about = {**server, **dict.fromkeys(of_server, text), "groups": [text, texts[0]]}
        about["files"] = [{**dict.fromkeys(("check", "name", "path", "sha256", "problem"), text), "bytes": row + 1}]
        # Of every other server, only earlier answers count.
        old = {"connected": False, "age_seconds": row * 3600, "reason": text} if row % 2 else {}
        servers.append({**about, **old, "versions": {text: [text, texts[0]]}})
        unreached.append({**about, "host": f"{text} 2", "reached": False, "reason": text})
        lists: Report = {key: [text, text] for key in ("references", "expected")} | {"parameters": {text: [text]}}
        words = {**dict.fromkeys(of_check, text), "line": f"{text}\n{text}", "severity": SEVERITIES[row % 5]}
        checks.append({**check, **lists, **words})
        waiver = {
            **dict.fromkeys(("check", "reason", "until", "approved_by", "since", "ticket"), text),
            "hosts": [text],
            "groups": [text],
        }
        waivers.append({**waiver, "matched": row % 2, "expired": row % 3 == 0})
        attested: Report = dict.fromkeys(("checked_by", "checked_on", "until", "proof", "note"), text)
        attested |= {"outcome": "passed", "expired": row % 3 == 0}
        selected: Report = {"check": text, "hosts": [text], "groups": [text], "matched": row % 2}
        attestations.append({**attested, **selected, "pending": row % 4 == 0})
        for column, inner in enumerate(texts):
            outcome = OUTCOMES[(row + column) % 5]
            about_waiver = dict.fromkeys(("reason", "approved_by", "since", "ticket"), text)
            waived = {**about_waiver, "until": inner, "expired": False} if outcome == OUTCOMES[4] else None
            own: Report = dict.fromkeys(("check", "message", "command"), inner)
            own |= dict.fromkeys(("host", "value", "ended_at"), text)
            own |= {"output": f"{text}\n{inner}", "output_complete": column % 2 == 0, "reused": row % 2 == 0}
            own |= {"looked_at": inner}
            own |= {"outcome": outcome, "severity": SEVERITIES[column % 5], "waiver": waived}
            own |= {"manual": True, "attestation": attested if outcome == "passed" else None}
            results.append({**result, **own})
    titles: Report = {"title": texts[0], "workspace": texts[1], "collection": texts[2], "ansible_core": texts[3]}
    titles |= {"run_by": {"user": texts[4], "controller": texts[5]}, "summary": {"questions": 2 * len(results)}}
    rows = {"servers": servers + unreached, "checks": checks, "results": results, "waivers": waivers}
    return summed({**base, **titles, **rows, "attestations": attestations})


def _numbered(known: Known, number: int) -> Known:
    return Known(**{**vars(known), "name": f"{known.name}-{number + 1}"}) if number else known


def _server(number: int, chance: random.Random) -> Report:
    role = ("web", "web", "db", "cache", "edge", "batch")[number % 6]
    name = f"{role}-{number // 6 + 1:02d}" + ("b" if number % 6 == 1 else "")
    return {
        "host": name,
        "workspace": _WORKSPACE,
        "id": _uuid(chance),
        "name": name,
        "groups": [role, chance.choice(["production", "production", "staging"])],
        "os": _SYSTEMS[chance.randrange(4)],
        "agent": chance.choice(["1.5.2", "1.5.2", "1.2.0"]),
        "ip": f"10.20.{number // 250}.{number % 250 + 1}",
        "owner": _OWNERS[number % 4],
        "reached": True,
        "reason": "",
        "connected": True,
        "files": [],
        "age_seconds": None,
    }


def _check(known: Known) -> Report:
    return {
        "name": known.name,
        "of": None,
        "set": known.set,
        "title": known.title,
        "rationale": known.rationale,
        "remedy": known.remedy,
        "references": list(known.references),
        "severity": known.severity,
        "kind": "problems" if "done" in known.line else "output",
        "line": known.line,
        "applies_if": known.applies_if,
        "username": "root" if known.set in ("ssh", "accounts", "certificates") else None,
        "expected": [] if "done" in known.line else ["exit code 0"],
        "parameters": dict(known.parameters),
    }


#: How likely servers of a group are to fail, compared with those of others.
_WORSE = {"staging": 1.8, "db": 1.4, "edge": 0.5}


def _result(
    server: Report, known: Known, chance: random.Random, failing: float, ids: dict[str | None, tuple[str, bool, int]]
) -> Report:
    factor = max(_WORSE.get(group, 1) for group in server["groups"])
    luck = chance.random()
    outcome = "failed" if luck < failing * factor else "passed"
    if outcome == "passed" and failing and luck > 0.992:
        outcome = "unknown"
    elif known.applies_if and server["os"].startswith("Rocky") and "apt" in known.applies_if:
        outcome = "not_applicable"
    number = str(chance.randrange(48, 91))
    problem, evidence = (text.replace("#", number) for text in (known.problem, known.evidence))
    message = {
        "passed": known.title,
        "failed": problem,
        "unknown": "It took longer than 30 s",
        "not_applicable": "It does not apply to this server",
    }[outcome]
    output = {"failed": evidence, "passed": known.good}.get(outcome, "")
    command, reused, second = ids["root" if known.set in ("ssh", "accounts", "certificates") else None]
    value = int(number) if known.has_value and outcome == "failed" else None
    return {
        "host": server["host"],
        "check": known.name,
        "outcome": outcome,
        "severity": "medium" if outcome == "unknown" else known.severity,
        "message": message,
        "rc": None if outcome == "unknown" else 0,
        "value": value,
        "output": output,
        "output_truncated": False,
        "output_complete": True,
        "looked_at": f"{known.name} of {server['host']}" if outcome in ("passed", "failed") else "",
        "command": command,
        "ended_at": f"2026-11-24T{'08:41' if reused else '09:12'}:{second:02d}Z",
        "reused": reused and outcome == "passed",
        "manual": False,
        "waiver": None,
        "attestation": None,
    }


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def with_outputs(given: Report, characters: int) -> Report:
    """Make a report in which each output has this length and differs from all others."""
    chance = random.Random(3)
    for result in given["results"]:
        result["output"] = f"{chance.getrandbits(64):x} <&> " * (characters // 20)
    return given
