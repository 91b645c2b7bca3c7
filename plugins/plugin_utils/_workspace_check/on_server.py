# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run harmless commands on a server, and judge what the workspace returns: three lines at most, and a script."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils._api.client import Client
from ...module_utils._api.commands import CANCELLED, GONE, Match, cancel
from ...module_utils._api.errors import AlpaconError, ApiError, did_you_mean
from ...module_utils._api.records import STATUSES, Server, is_uuid, is_windows, normalize_uuid, parse_servers
from ...module_utils._api.servers import SERVERS_PATH
from ...module_utils._fleet.fleet import Fleet
from ...module_utils._fleet.jobs import DECLINED, Job, Limits, Outcome
from ...module_utils._fleet.pacing import Pacing
from ...module_utils._fleet.run import Run
from ...module_utils._payload.packing import Payload, pack
from .answers import OK, PROBLEM, WARNING, Answers
from .probing import Probe, get_code
from .pushing import PushCheck
from .questions import VERSION, Workspace

#: How long the commands are awaited, in seconds, and when they are polled: 5 times in that time.
WAIT = 60.0
_PACING = Pacing(first_poll=0.7, many_growth=1.5, steady=60.0, longest=60.0, queued=20.0)
OUTPUT_BYTES, RC = 2_000_000, 3
#: Longest lines of workspaces: of today's, and of those of 2024, in characters.
LONG_LINE, SHORT_LINE = 2048, 512
_BIG = f"head -c {OUTPUT_BYTES} /dev/zero | tr '\\0' x; exit {RC} #"
_TOO_LONG = re.compile(r"no more than ([0-9]{1,6}) characters")

#: Prints words for the questions, then runs a module that is its standard input.
_SCRIPT = r"""
echo "user $(id -un)"
if command -v sudo >/dev/null; then sudo -n true </dev/null 2>/dev/null && echo 'sudo yes' || echo 'sudo no'; fi
for check_python in python3 /usr/libexec/platform-python; do
if command -v "$check_python" >/dev/null; then
echo "python $("$check_python" -c 'import platform; print(platform.python_version())' </dev/null)"
"$check_python" -
break
fi
done
:
"""
_LABEL = "script:check_workspace"
_PYTHON_VERSION = re.compile(r"[0-9.]{1,12}")


@dataclass
class ServerQuestions:
    """Ask all that needs a server.

    Attributes:
        module: program of a module, for the standard input of Python.
        held: IDs of commands that wait for approval, since they could not be cancelled.
    """

    client: Client
    probe: Probe
    run: Run
    answers: Answers
    workspace: Workspace
    module: bytes
    held: set[str] = field(default_factory=set)

    def ask(self, reference: str, count_request: Callable[[], None]) -> None:
        server = self._find(reference)
        if server is None:
            return
        pushed = PushCheck(self.client, server, self.answers, count_request)
        pushed.subscribe()
        line, big = self._make_job(server, "true"), self._make_job(server, _pad(LONG_LINE))
        jobs, payload = [line, big], self._pack(server)
        script = self._make_job(server, payload.line, payload) if payload else None
        if script:
            jobs.append(script)
        try:
            self._run(jobs)
            self._add_line(line, script)
            if _is_too_long(big):
                self._add_short_line(server, big)
            else:
                self._add_line_limit(big)
                self._add_big(big)
            if script:
                self._add_script(script)
            pushed.evaluate([job.id for job in jobs if job.id])
        finally:
            pushed.close()

    def _find(self, reference: str) -> Server | None:
        """Find the server by name or UUID; answer and return None if it cannot run commands."""
        known = self.workspace.servers
        found = [server for server in known if reference in (server.name, server.id)]
        if not found and is_uuid(reference):
            found = [server for server in known if server.id == normalize_uuid(reference)]
        if not found and self.workspace.server_count > len(known):
            if is_uuid(reference):
                reply = self.probe.get(f"{SERVERS_PATH}{normalize_uuid(reference)}/")
                found = list(parse_servers([reply.body])) if reply.is_ok else []
            else:
                rows = self.probe.get(SERVERS_PATH, {"name": reference}).rows
                found = [server for server in parse_servers(rows) if server.name == reference]
        self.answers.names.add("server", reference)
        if len(found) != 1:
            remedy = "Give its UUID." if found else "Check the name, or give the token access to that server."
            names = [server.name or "" for server in known]
            remedy = remedy if found else did_you_mean(reference, names, remedy)
            finding = f"{len(found)} servers are named {reference}." if found else f"No server is named {reference}."
            self.answers.add("server", PROBLEM, finding, remedy)
            return None
        [server] = found
        if server.is_connected is False or server.commissioned is False:
            why = "not connected" if server.commissioned is not False else "not commissioned"
            remedy = "Start its agent: systemctl start alpamon, or name another server."
            self.answers.add("server", PROBLEM, f"{reference} is {why}.", remedy)
            return None
        version = server.version if VERSION.fullmatch(server.version or "") else None
        agent = f"with agent {version}" if version else "and states no version of its agent"
        self.answers.add("server", OK, f"{reference} is connected, {agent}.", facts={"agent": version})
        return server

    def _pack(self, server: Server) -> Payload | None:
        """Return the payload of the script; answer and return None if it cannot run."""
        if is_windows(server.fields):
            reason, remedy = "Scripts and modules need a server with /bin/sh.", ""
        elif self.workspace.env is False:
            reason = "This workspace accepts no env, which scripts and modules need."
            remedy = "Use the option line."
        else:
            return pack(_LABEL, _SCRIPT, self.module)
        self.answers.skip(("env", "script", "sudo", "module"), reason, remedy)
        return None

    def _make_job(self, server: Server, line: str, payload: Payload | None = None) -> Job:
        job = Job(server)
        job.body = {**Match(server.id, line, "system").to_body(), **({"env": payload.env} if payload else {})}
        return job

    def _run(self, jobs: Sequence[Job]) -> None:
        limits = Limits(wait_timeout=WAIT, success_codes=frozenset((0, RC)), cancel_on_timeout=True)
        Fleet(self.client, limits, run=self.run, pacing=_PACING).run(jobs)
        for job in jobs:
            if job.outcome == Outcome.AWAITING_APPROVAL and job.id:
                # Otherwise it would run when somebody approves it.
                try:
                    is_cancelled = cancel(self.client, job.id) in (CANCELLED, GONE)
                except AlpaconError:
                    is_cancelled = False
                self.held |= set() if is_cancelled else {job.id}

    def _add_line(self, job: Job, script: Job | None) -> None:
        if job.outcome == Outcome.SUCCESS:
            self.answers.add("line", OK, "The line true ran.")
            return
        # With an access list that allows other commands, the main job works.
        is_allowed = _is_refused_by_acl(job) and script is not None and script.outcome == Outcome.SUCCESS
        self._add_failure("line", WARNING if is_allowed else PROBLEM, job, "true")

    def _add_short_line(self, server: Server, refused: Job) -> None:
        text = refused.error.text if isinstance(refused.error, ApiError) else ""
        stated = _TOO_LONG.search(text)
        limit = min(int(stated[1]), LONG_LINE) if stated else SHORT_LINE
        big = self._make_job(server, _pad(limit))
        self._run([big])
        facts = {"refused": LONG_LINE, "accepted": limit if big.command else None, "is_stated": bool(stated)}
        finding = f"Lines may have {limit} characters here. Today's workspaces accept {LONG_LINE:,}."
        if not big.command:
            finding = f"A line of {LONG_LINE} characters is refused, and so is one of {limit}."
        self.answers.add("line limit", WARNING, finding, "Keep lines shorter than that.", facts=facts)
        self._add_big(big)

    def _add_line_limit(self, big: Job) -> None:
        if big.command:
            finding = f"A line of {LONG_LINE:,} characters was accepted."
            self.answers.add("line limit", OK, finding, facts={"accepted": LONG_LINE})

    def _add_big(self, big: Job) -> None:
        """Answer with the line that prints 2 MB and exits with 3."""
        if big.outcome not in (Outcome.SUCCESS, Outcome.FAILED) or big.command is None:
            self._add_failure("output", WARNING, big, f"head -c {OUTPUT_BYTES} *")
            self.answers.skip(("line limit", "exit code"), "They need the command that tests the output.")
            return
        stated, facts = big.command.exit_code, {"sent": RC, "stated": big.command.exit_code}
        if stated == RC:
            self.answers.add("exit code", OK, f"exit {RC} is returned as {RC}.", facts=facts)
        elif stated is None:
            remedy = "Do not rely on codes other than 0; results have rc_assumed."
            self.answers.add(
                "exit code", WARNING, "The workspace states only success, not the exit code.", remedy, facts=facts
            )
        else:
            remedy = "The agent may run lines without a shell (allow_sh), so that ; and | have no meaning."
            self.answers.add("exit code", WARNING, f"exit {RC} is returned as {stated}.", remedy, facts=facts)
        output = big.output.text if big.output else ""
        is_whole = bool(big.output and big.output.complete) and output == "x" * OUTPUT_BYTES
        facts = {"sent": OUTPUT_BYTES, "received": len(output), "is_whole": is_whole}
        if is_whole:
            self.answers.add("output", OK, "An output of 2 MB is returned whole.", facts=facts)
        else:
            finding = f"Of an output of {OUTPUT_BYTES:,} bytes, {len(output):,} are returned."
            remedy = "Expect whole outputs only up to 1 MiB; write longer ones to a file on the server."
            self.answers.add("output", WARNING, finding, remedy, facts=facts)

    def _add_script(self, job: Job) -> None:
        output = job.output
        if job.outcome != Outcome.SUCCESS or output is None or output.refused:
            if output and output.refused:
                finding, remedy = "The server ran nothing of the script.", "Install what is missing there."
                self.answers.add("script", WARNING, finding, remedy, quoted=output.refused)
            else:
                self._add_failure("script", WARNING, job, "/bin/sh -c $RUN *")
            self.answers.skip(("env", "sudo", "module"), "They need the script.")
            return
        self.answers.add("env", OK, "Variables arrive at the server.")
        words = dict(re.findall(r"(?m)^(user|sudo|python) (\S{1,100})$", output.text))
        self.answers.names.add("user", words.get("user"))
        self.answers.add("script", OK, f"A script ran, as {words.get('user', 'an unknown user')}.")
        self._add_sudo(words.get("sudo"))
        self._add_module(words.get("python", ""), output.text, output.stderr)

    def _add_failure(self, question: str, level: str, job: Job, pattern: str) -> None:
        """Answer with the reason why a command did not succeed.

        Args:
            pattern: entry of the token's access list that allows the command.
        """
        command, sentence = job.command, job.outcome.sentence if job.outcome else ""
        facts: dict[str, Any] = {"outcome": str(job.outcome)}
        remedy = "Check the agent on that server."
        if isinstance(job.error, ApiError):
            facts |= {"status": job.error.status, "code": get_code(job.error)}
        if _is_refused_by_acl(job):
            finding = f"The access list (ACL) of the token does not allow the line {pattern}."
            remedy = "Add that pattern, or test with a token that has it."
        elif job.outcome == Outcome.TIMED_OUT:
            status = command.status if command and command.status in STATUSES else "unknown"
            finding = f"The command did not end within {WAIT:.0f} s; its status is {status}."
        elif job.outcome == Outcome.FAILED and command:
            finding = f"The command failed with exit code {command.rc}."
        elif job.error:
            finding, remedy = str(job.error), "The guide Troubleshooting explains such messages."
        elif job.outcome == Outcome.AWAITING_APPROVAL:
            finding = "The workspace held the command for approval, and it was cancelled."
            remedy = "Add a command ACL that needs no approval, or expect that people approve each command."
            if job.id in self.held:
                finding = "The workspace holds the command, and did not cancel it. It runs if somebody approves it."
                remedy = f"Deny it in the workspace. {remedy}"
        else:
            finding, remedy = sentence, "Ask who manages the workspace." if job.outcome in DECLINED else remedy
        self.answers.add(question, level, finding, remedy, facts=facts)

    def _add_sudo(self, word: str | None) -> None:
        remedy = "To become another user without sudo, use become_method herdops.alpacon.account."
        finding = {"yes": "sudo needs no password.", "no": "sudo needs a password, or is not allowed."}.get(
            word or "", "sudo is not installed on the server."
        )
        facts = {"installed": word is not None, "works": word == "yes"}
        self.answers.add(
            "sudo", OK if word == "yes" else WARNING, finding, "" if word == "yes" else remedy, facts=facts
        )

    def _add_module(self, python: str, stdout: str, stderr: str) -> None:
        version = python if _PYTHON_VERSION.fullmatch(python) else ""
        if not python:
            remedy = "Install python3 there. Commands and scripts work without it."
            self.answers.add("module", WARNING, "The server has no Python, which modules need.", remedy)
        elif _is_pong(stdout):
            finding = f"The module ping ran, with Python {version}."
            self.answers.add("module", OK, finding, facts={"python": version})
        else:
            finding = f"The module ping did not run with Python {version}."
            remedy = "Check that ansible-core supports that version."
            last = (stderr.strip() or stdout.strip()).rpartition("\n")[2]
            self.answers.add("module", WARNING, finding, remedy, quoted=last, facts={"python": version})


def _pad(length: int) -> str:
    return _BIG + "x" * (length - len(_BIG))


def _is_too_long(job: Job) -> bool:
    error = job.error
    if job.command or not isinstance(error, ApiError) or error.status != 400 or _is_refused_by_acl(job):
        return False
    return error.source == "line" or "line" in error.text or bool(_TOO_LONG.search(error.text))


def _is_refused_by_acl(job: Job) -> bool:
    return isinstance(job.error, ApiError) and job.error.code == "api_token_acl_not_allowed"


def _is_pong(stdout: str) -> bool:
    start = stdout.find("{")
    try:
        result: Any = json.loads(stdout[start:]) if start >= 0 else None
    except (RecursionError, ValueError):
        return False
    return isinstance(result, dict) and result.get("ping") == "pong"
