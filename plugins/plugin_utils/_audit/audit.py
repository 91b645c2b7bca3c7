# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""An audit: ask as little as possible, of all servers at once, and judge what they answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.herdops.alpacon.plugins.module_utils._api import servers as _servers
from ansible_collections.herdops.alpacon.plugins.module_utils._api.agent_output import (
    INTERRUPTED,
    WHY_INTERRUPTED,
    why_never_began,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands import Match, with_rc
from ansible_collections.herdops.alpacon.plugins.module_utils._api.commands_of_servers import ended_within
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    SENTENCES,
    AlpaconError,
    ApiError,
    RunIsOver,
    UsageError,
    unforeseen,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.outputs import Output, output_of_row
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import (
    RAN,
    Command,
    Server,
    canonical_uuid,
    is_uuid,
    iso,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings, Warn
from ansible_collections.herdops.alpacon.plugins.module_utils._api.version import VERSION
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.fleet import Fleet
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Job, Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.outcomes import Outcome, outcome_of
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values as _values

from . import checks as _checks
from . import verdict as _verdict
from .checks import FAILED, PASSED, SEVERITIES, UNKNOWN, Answer, Check, Judgement

#: So many findings are named in messages, and shown in the overview.
_NAMED, _SHOWN = 50, 10
_NOT_COMMISSIONED = "The server is not commissioned: its agent has not finished its registration."
_NO_SERVER = "The workspace has no such server, or the token may not see it."
#: Answers that say that the token may not read something, which is no reason to give up.
_HIDDEN = (403, 404)
#: Groups that say nothing about a host.
_EVERYBODY = frozenset(("all", "ungrouped"))


@dataclass(frozen=True)
class Host:
    """A host of the inventory.

    Attributes:
        server: UUID or name of its server.
        groups: the inventory groups that it is in.
        settings: its workspace, if that is not the one in the options of the audit.
    """

    name: str
    server: str
    groups: frozenset[str] = frozenset()
    settings: Settings | None = None


@dataclass(frozen=True)
class Plan:
    """The checked options of an audit."""

    checks: list[Check]
    hosts: list[Host]
    title: str
    reuse_within: float | None
    limits: Limits
    progress: bool | None
    unknown_severity: str
    fail_on: str | None
    min_coverage: float
    output_limit: int

    @classmethod
    def from_options(cls, options: Mapping[str, Any], hosts: Sequence[Host]) -> Plan:
        """Check everything that can be checked without a request; :class:`UsageError` says what is wrong."""
        if not hosts:
            raise UsageError("hosts", "there is no host to audit", "Give the play hosts, or name some in hosts.")
        if options["output_limit"] < 0:
            raise UsageError("output_limit", "it is negative", "Give a number of characters, or 0 for no output.")
        if not 0 <= options["min_coverage"] <= 100:
            raise UsageError(
                "min_coverage",
                f"{options['min_coverage']:g} is no percentage",
                "Give a number from 0, for no minimum, to 100.",
            )
        reuse_within = options.get("reuse_within")
        return cls(
            checks=_checks.choose(_checks.read("checks", options["checks"]), options["skip"], options["severities"]),
            hosts=list(hosts),
            title=options.get("title") or "",
            reuse_within=None if reuse_within in (None, "") else _values.duration("reuse_within", reuse_within),
            limits=Limits(
                wait_timeout=_values.duration("wait_timeout", options["wait_timeout"]),
                cancel_on_timeout=True,
                max_concurrency=_values.share("max_concurrency", options.get("max_concurrency"), len(hosts), least=1),
            ),
            progress=options.get("progress"),
            unknown_severity=options["unknown_severity"],
            fail_on=None if options["fail_on"] == "never" else options["fail_on"],
            min_coverage=options["min_coverage"],
            output_limit=options["output_limit"],
        )


@dataclass(frozen=True)
class Audited:
    """What came of an audit.

    Attributes:
        report: as ``docs/audit-report.schema.json`` describes it.
        changed: whether commands were submitted, or would be in check mode.
        to_submit: how many commands check mode left out.
    """

    report: dict[str, Any]
    changed: bool
    to_submit: int = 0


@dataclass(frozen=True)
class _Ask:
    """A line for a server, which may answer several checks."""

    server_id: str
    shell: str
    line: str
    username: str | None
    groupname: str | None

    def body(self) -> dict[str, Any]:
        return {
            "server": self.server_id,
            "shell": self.shell,
            "line": self.line,
            "username": self.username or "",
            "groupname": self.groupname or "",
            "scheduled_at": None,
        }

    def accepts(self, command: Command) -> bool:
        return Match(self.server_id, self.line, self.shell, self.username, self.groupname).matches(command)


@dataclass
class _Subject:
    """A host, the server that it stands for, and why nothing can be submitted to that (empty if it can)."""

    host: Host
    server: Server
    checks: list[Check]
    obstacle: str = ""

    def ask(self, check: Check) -> _Ask | None:
        """What the check asks, of a server that is known."""
        if self.server.id is None:
            return None
        return _Ask(self.server.id, check.shell, check.line, check.username, check.groupname)


@dataclass(frozen=True)
class _Reply:
    """What came back for an ask: an answer, or why there is none."""

    answer: Answer | None = None
    reason: str = ""
    command: Command | None = None
    reused: bool = False


@dataclass
class _Work:
    """An audit of the hosts of one workspace, at work."""

    client: Client
    plan: Plan
    run: Run
    subjects: list[_Subject] = field(default_factory=list)
    replies: dict[_Ask, _Reply] = field(default_factory=dict)
    submitted: int = 0
    left_out: int = 0
    refusal: str = ""

    def carry_out(self) -> None:
        """Find the servers, take what was answered lately, and ask for the rest."""
        self._find_subjects()
        fleet = self._fleet()
        asks = {ask: subject for subject in self.subjects for ask in filter(None, map(subject.ask, subject.checks))}
        self._reuse(fleet, asks)
        fresh = [ask for ask, subject in asks.items() if ask not in self.replies and not subject.obstacle]
        if self.run.check_mode:
            self.left_out = len(fresh)
        else:
            self._submit(fleet, [Job(asks[ask].server, body=ask.body()) for ask in fresh], fresh)

    def give_up(self, error: AlpaconError) -> None:
        """Leave open what has no answer: the workspace cannot be asked, and others can."""
        self.refusal = f"The workspace {self.client.settings.url} could not be asked: {error}"
        known = {subject.host.name: subject for subject in self.subjects}
        self.subjects = [known.get(host.name) or self._unknown(host) for host in self.plan.hosts]
        for subject in self.subjects:
            subject.obstacle = subject.obstacle or self.refusal

    def _unknown(self, host: Host) -> _Subject:
        return _Subject(host, Server(None), self._checks_of(host))

    def _checks_of(self, host: Host) -> list[Check]:
        return [check for check in self.plan.checks if check.applies_to(host.groups)]

    def _find_subjects(self) -> None:
        plan = self.plan
        references = list(dict.fromkeys(host.server for host in plan.hosts))
        try:
            known: dict[str, list[Server]] | None = _servers.look_up(self.client, references)[0]
        except ApiError as error:
            if error.refuses_token or error.status not in _HIDDEN:
                raise
            known = None
            self.run.warn(f"The list of servers cannot be read, so hosts need alpacon_server_id: {error}")
        for host in plan.hosts:
            servers = None if known is None else known[host.server]
            self.subjects.append(_subject(host, self._checks_of(host), servers))

    def _fleet(self) -> Fleet:
        several = len(self.plan.hosts) * len(self.plan.checks) > 1
        progress = several if self.plan.progress is None else self.plan.progress
        return Fleet(
            self.client,
            self.plan.limits,
            tell=self.run.tell if progress else None,
            run=self.run,
        )

    def _reuse(self, fleet: Fleet, asks: Mapping[_Ask, _Subject]) -> None:
        if self.plan.reuse_within is None or not asks:
            return
        for ask, newest in _latest(self.client, asks, self.plan.reuse_within).items():
            command = _with_rc(self.client, newest)
            if command is None or command.error_phase:
                continue
            job = Job(asks[ask].server, command=command, outcome=outcome_of(command))
            job.output = output_of_row(command)
            if job.output is None:
                fleet.fetch_output(job)
            reply = _reply(job, reused=True)
            if reply.answer:
                self.replies[ask] = reply

    def _submit(self, fleet: Fleet, jobs: Sequence[Job], asks: Sequence[_Ask]) -> None:
        if not jobs:
            return
        try:
            fleet.run(jobs)
        finally:
            # Whatever happens, the ids of what was submitted are kept.
            self.submitted = sum(job.changed for job in jobs)
            self.replies.update((ask, _reply(job)) for ask, job in zip(asks, jobs, strict=True) if job.id)
        refusals = [job.error for job in jobs if isinstance(job.error, ApiError) and job.error.refuses_token]
        if refusals and not self.submitted:
            raise refusals[0]
        if refusals:
            self.refusal = f"The workspace {self.client.settings.url} refused the token half way: {refusals[0]}"
        self.replies.update((ask, _reply(job)) for ask, job in zip(asks, jobs, strict=True))

    # The report

    def result(self, subject: _Subject, check: Check, facts: dict[str, Any]) -> dict[str, Any] | None:
        """What came of one check on one host, or None where check mode leaves that open."""
        ask = subject.ask(check)
        reply = self.replies.get(ask) if ask else None
        if reply is None:
            if not subject.obstacle:
                return None
            reply = _Reply(reason=subject.obstacle)
        judgement = check.judge(reply.answer) if reply.answer else Judgement(UNKNOWN, reply.reason)
        if check.fact and reply.answer and judgement.outcome != UNKNOWN:
            facts[check.fact] = check.fact_of(reply.answer, judgement, self.plan.output_limit)
        return self._described_result(subject, check, reply, judgement)

    def _described_result(self, subject: _Subject, check: Check, reply: _Reply, judgement: Judgement) -> dict[str, Any]:
        output = reply.answer.output.rstrip("\r\n") if reply.answer else ""
        limit = self.plan.output_limit
        return {
            "host": subject.host.name,
            "check": check.name,
            "outcome": judgement.outcome,
            "severity": self.plan.unknown_severity if judgement.outcome == UNKNOWN else check.severity,
            "message": judgement.message,
            "rc": reply.answer.rc if reply.answer else None,
            "value": judgement.value,
            "output": output[:limit],
            "output_truncated": len(output) > limit,
            "output_complete": reply.answer.complete if reply.answer else False,
            "command": reply.command.id if reply.command else None,
            "ended_at": iso(reply.command.end) if reply.command else None,
            "reused": reply.reused,
        }


def run_audit(
    options: Mapping[str, Any],
    hosts: Sequence[Host],
    run: Run,
) -> Audited:
    """Carry out a task of M(herdops.alpacon.alpacon_audit), but for the files.

    Raises:
        AlpaconError: nothing was submitted.
    """
    plan = Plan.from_options(options, hosts)
    for check in plan.checks:
        if not any(check.applies_to(host.groups) for host in plan.hosts):
            run.warn(f"checks: {check.name} applies to none of the hosts, since none is in {', '.join(check.when)}.")
    started = datetime.now(timezone.utc)
    works = [
        _asked(replace(plan, hosts=members), settings, run)
        for settings, members in _by_workspace(plan.hosts, options, run.warn).items()
    ]
    failures = [error for _work, error in works if error]
    done = [work for work, _error in works]
    if len(failures) == len(works) and not any(work.submitted for work in done):
        raise failures[0]
    left_out = sum(work.left_out for work in done)
    changed = any(work.submitted for work in done) or left_out > 0
    report = _report(plan, done, started)
    if run.check_mode:
        # What was left out could change both.
        report.update(verdict=None, coverage=None)
    return Audited(report, changed, left_out)


def _by_workspace(hosts: Sequence[Host], options: Mapping[str, Any], warn: Warn) -> dict[Settings, list[Host]]:
    """The hosts of each workspace, by the settings that it is reached with."""
    default = None
    if any(host.settings is None for host in hosts):
        default = Settings.from_options(options, warn)
    members: dict[Settings, list[Host]] = {}
    for host in hosts:
        settings = host.settings or default
        if settings:
            members.setdefault(settings, []).append(host)
    return members


def _asked(plan: Plan, settings: Settings, run: Run) -> tuple[_Work, AlpaconError | None]:
    """The audit of one workspace, and why it could not be asked, if so."""
    with Client(settings, tell=run.tell, before_write=run.check) as client:
        client.deadline = time.monotonic() + plan.limits.wait_timeout
        work = _Work(client, plan, run)
        try:
            work.carry_out()
        except RunIsOver:
            raise
        except Exception as error:
            # What nobody has thought of costs the answers of this workspace, not those of others.
            failure = error if isinstance(error, AlpaconError) else unforeseen(error)
            work.give_up(failure)
            return work, failure
    return work, None


def _report(plan: Plan, works: Sequence[_Work], started: datetime) -> dict[str, Any]:
    """All of it, see ``docs/audit-report.schema.json``."""
    asked = {subject.host.name: (work, subject) for work in works for subject in work.subjects}
    servers, results = [], []
    for host in plan.hosts:
        work, subject = asked[host.name]
        facts: dict[str, Any] = {}
        results += [result for check in subject.checks if (result := work.result(subject, check, facts))]
        servers.append(_described(subject, facts, work.client.settings.url))
    urls = list(dict.fromkeys(work.client.settings.url for work in works))
    summary = _counts(plan, works, results)
    report = {
        "schema": 1,
        "title": plan.title or f"Audit of {', '.join(urlsplit(url).netloc for url in urls)}",
        "workspace": ", ".join(urls),
        "started_at": iso(started),
        "finished_at": iso(datetime.now(timezone.utc)),
        "collection": VERSION,
        "reuse_within": plan.reuse_within,
        "fail_on": plan.fail_on,
        "verdict": None,
        "coverage": _verdict.coverage_of(summary),
        "min_coverage": plan.min_coverage,
        "refusal": " ".join(work.refusal for work in works if work.refusal) or None,
        "summary": summary,
        "servers": servers,
        "checks": [_described_check(check) for check in plan.checks],
        "results": results,
    }
    return {**report, "verdict": _verdict.verdict_of(report)}


def _counts(plan: Plan, works: Sequence[_Work], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    outcomes = Counter(result["outcome"] for result in results)
    severities = Counter(result["severity"] for result in results if result["outcome"] == FAILED)
    return {
        "servers": len(plan.hosts),
        "checks": len(plan.checks),
        **{outcome: outcomes[outcome] for outcome in (PASSED, FAILED, UNKNOWN)},
        "failed_by_severity": {severity: severities[severity] for severity in reversed(SEVERITIES)},
        "reused": sum(reply.reused for work in works for reply in work.replies.values()),
        "commands": sum(work.submitted for work in works),
        "requests": sum(work.client.requests for work in works),
    }


# Servers


def _subject(host: Host, checks: list[Check], servers: Sequence[Server] | None) -> _Subject:
    """A host with its server.

    Args:
        servers: those that it may mean; None where nobody can know.
    """
    if servers is None and is_uuid(host.server):
        return _Subject(host, Server(host.server), checks)
    if not servers:
        return _Subject(host, Server(None), checks, _NO_SERVER)
    if len(servers) > 1:
        ids = ", ".join(str(server.id) for server in servers)
        remedy = "Give the host the variable alpacon_server_id."
        return _Subject(host, Server(None), checks, f"{len(servers)} servers have this name: {ids}. {remedy}")
    [server] = servers
    obstacle = ""
    if server.commissioned is False:
        obstacle = _NOT_COMMISSIONED
    elif server.is_connected is False:
        obstacle = SENTENCES["server_not_connected"]
    return _Subject(host, server, checks, obstacle)


def server_of(name: str, server_id: Any) -> str:
    """How the server of a host is known: by the UUID of its variable, else by the host's name."""
    return canonical_uuid(server_id) if is_uuid(server_id) else str(server_id or name)


# Answers


def _latest(client: Client, asks: Mapping[_Ask, Any], seconds: float) -> dict[_Ask, Command]:
    """For each ask the newest command that ran for it and ended no longer ago, by one walk over the history."""
    by_line: dict[tuple[str, str], list[_Ask]] = {}
    for ask in asks:
        by_line.setdefault((ask.server_id, ask.line.strip()), []).append(ask)
    found: dict[_Ask, Command] = {}
    ids = list(dict.fromkeys(ask.server_id for ask in asks))
    for command in ended_within(client, ids, seconds):
        if command.status not in RAN or not command.ran or not command.end:
            continue
        for ask in by_line.get((str(command.server.id), command.line.strip()), ()):
            known = found.get(ask)
            if ask.accepts(command) and (known is None or not known.end or known.end < command.end):
                found[ask] = command
    return found


def _with_rc(client: Client, command: Command) -> Command | None:
    """The command with its exit code, or None where it cannot be read any more."""
    try:
        return with_rc(client, command)
    except AlpaconError:
        return None


def _reply(job: Job, reused: bool = False) -> _Reply:
    command = job.command
    if command is None or job.outcome not in (Outcome.SUCCESS, Outcome.FAILED) or not command.ran or command.rc is None:
        return _Reply(reason=_reason(job), command=command)
    if command.error_phase:
        return _Reply(reason=f"The command got no result: {command.error_phase}. Id {command.id}.", command=command)
    output = job.output or Output("")
    never_began = why_never_began(command, output.text)
    if never_began or command.rc == INTERRUPTED:
        words = f"Never ran: {never_began}." if never_began else f"It ended early: {WHY_INTERRUPTED}."
        return _Reply(reason=f"{words} Id {command.id}.", command=command)
    answer = Answer(command.rc, output.text, command.exit_code is not None, output.complete)
    return _Reply(answer, command=command, reused=reused)


def _reason(job: Job) -> str:
    words = job.msg or (job.outcome.sentence if job.outcome else "What came of it was not awaited.")
    return f"{words} Id {job.id}." if job.id else words


# What comes out


def _described(subject: _Subject, facts: Mapping[str, Any], workspace: str) -> dict[str, Any]:
    return {
        "host": subject.host.name,
        "workspace": workspace,
        "id": subject.server.id,
        "name": subject.server.name,
        "groups": sorted(subject.host.groups - _EVERYBODY),
        "facts": dict(facts),
    }


def _described_check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "set": check.set,
        "description": check.description,
        "remedy": check.remedy,
        "line": check.line,
        "username": check.username,
        "severity": check.severity,
        "expected": check.expected,
        "when": list(check.when),
    }


def result_of(audited: Audited, files: Sequence[str] = ()) -> dict[str, Any]:
    """The result of the task, with ``failed`` unless the verdict is ``pass``; in check mode there is none."""
    report = audited.report
    findings = [_finding(result, report["fail_on"]) for result in report["results"] if result["outcome"] != PASSED]
    findings.sort(key=lambda finding: (-SEVERITIES.index(finding["severity"]), finding["outcome"] == UNKNOWN))
    failing = [finding for finding in findings if finding["fails"]]
    return {
        "changed": audited.changed,
        "failed": bool(failing or report["refusal"]) or report["verdict"] == _verdict.INCONCLUSIVE,
        "msg": _message(audited, findings),
        "verdict": report["verdict"],
        "coverage": report["coverage"],
        "summary": report["summary"],
        "findings": findings,
        "failing": len(failing),
        "servers": _commanded(report),
        "facts": {server["host"]: server["facts"] for server in report["servers"] if server["facts"]},
        "files": list(files),
        "overview": _overview(report, findings, files),
        "requests": report["summary"]["requests"],
    }


def _commanded(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The servers that commands of this audit were submitted to."""
    hosts = {result["host"] for result in report["results"] if result["command"] and not result["reused"]}
    return [{"id": server["id"], "name": server["name"]} for server in report["servers"] if server["host"] in hosts]


def _finding(result: Mapping[str, Any], fail_on: str | None) -> dict[str, Any]:
    """A result without its output: what is registered is looked through by each later task."""
    kept = {key: result[key] for key in ("host", "check", "outcome", "severity", "message", "rc", "value", "command")}
    return {**kept, "fails": _verdict.fails(result, fail_on)}


def _message(audited: Audited, findings: Sequence[Mapping[str, Any]]) -> str:
    report, summary = audited.report, audited.report["summary"]
    failing = [finding for finding in findings if finding["fails"]]
    words = [report["refusal"].removesuffix(".")] if report["refusal"] else []
    if failing:
        worst = f"{_count(len(failing), 'finding')} of severity {report['fail_on']} or worse"
        words.append(f"{worst}: {_named(failing)}")
        if report["verdict"] and not _verdict.is_covered(report):
            words.append(_verdict.answered(report).removesuffix("."))
    elif report["verdict"] == _verdict.INCONCLUSIVE:
        words = [f"Inconclusive: {'. '.join([*words, _verdict.answered(report).removesuffix('.')])}"]
    if not failing:
        words.append(f"{summary['passed']} passed, {summary['failed']} failed, {summary['unknown']} unknown")
    if report["verdict"] == _verdict.INCONCLUSIVE and summary[UNKNOWN]:
        words.append(f"Without an answer: {_named([one for one in findings if one['outcome'] == UNKNOWN])}")
    if audited.to_submit:
        words.append(f"{_count(audited.to_submit, 'command')} would be submitted")
    return ". ".join(words) + "."


def _named(findings: Sequence[Mapping[str, Any]]) -> str:
    named = _in_words(findings)
    more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return "; ".join([*named[:_NAMED], *more])


def _in_words(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each finding, and one for all that a host leaves open for the same reason."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for finding in findings:
        check = "" if finding["outcome"] == UNKNOWN else finding["check"]
        message = finding["message"].removesuffix(".")
        alike.setdefault((finding["host"], finding["severity"], message, check), []).append(finding["check"])
    return [
        f"{host}: {names[0] if len(names) == 1 else _count(len(names), 'check')} ({severity}): {message}"
        for (host, severity, message, _check), names in alike.items()
    ]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _overview(report: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], files: Sequence[str]) -> list[str]:
    """A short table of the audit, for the output of a play."""
    summary = report["summary"]
    asked = f"{_count(summary['servers'], 'server')}, {_count(summary['checks'], 'check')}"
    cost = f"{_count(summary['commands'], 'command')} run, {_count(summary['reused'], 'answer')} reused"
    counts = {
        PASSED: summary[PASSED],
        UNKNOWN: summary[UNKNOWN],
        **{f"{FAILED}, {severity}": count for severity, count in summary["failed_by_severity"].items() if count},
    }
    lines = [f"{report['title']}: {asked}; {cost}", *(f"{name:<18}{count:>7}" for name, count in counts.items())]
    if report["verdict"]:
        lines.insert(1, f"Verdict: {report['verdict']}. {_verdict.answered(report)}")
    named = _in_words(findings)
    if named:
        lines += ["Worst findings:", *(f"  {words}" for words in named[:_SHOWN])]
    if len(named) > _SHOWN:
        lines.append(f"  and {len(named) - _SHOWN} more")
    pages = [name for name in files if name.endswith(".html")] or list(files)
    return [*lines, *(f"Report: {name}" for name in pages[:1])]
