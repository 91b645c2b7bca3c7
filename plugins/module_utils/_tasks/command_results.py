# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the results of M(herdops.alpacon.alpacon_command): a dict for each command, counts, and a message."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from .._api.errors import join_first
from .._api.outputs import Output, explain_ended_early, explain_never_began, explain_sudo
from .._api.records import STATUSES, Command, to_iso
from .._fleet.jobs import LEFT, OK_OUTCOMES, UNCERTAIN, Job, Outcome, get_outcome, list_servers
from .._payload.frames import SKIPPED
from .._payload.packing import LATE

#: The number of failures in the message of a task, and of characters of output in the message of a failure.
_MAX_FAILURES, _MAX_OUTPUT = 5, 300
#: The number of servers and command IDs of equal failures.
_MAX_NAMES, _MAX_IDS = 5, 20
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z?")
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(("id", "status", "rc", "start", "end", "delta", "success", "error_phase", "output_complete")),
    "stdout": "",
    "stdout_lines": [],
    "stderr": "",
    "stderr_lines": [],
}


def describe_jobs(jobs: Sequence[Job], ok: frozenset[Outcome] = OK_OUTCOMES, no_log: bool = False) -> dict[str, Any]:
    """Build the result of a task; the keys of a single command are at the top level as well.

    Each job loses its command and output, so that no output is in memory twice.

    Args:
        no_log: Omit outputs and option values from messages.
    """
    commands = [_describe_and_release(job, no_log) for job in jobs]
    failures = [
        (str(job.server) if job.server.id or job.server.name else described["id"], described["id"], described["msg"])
        for job, described in zip(jobs, commands)
        if job.outcome and job.outcome not in ok
    ]
    result: dict[str, Any] = {
        "commands": commands,
        "summary": dict(Counter(job.outcome.value for job in jobs if job.outcome)),
        **_list_left(jobs, ok),
        "changed": any(job.changed for job in jobs),
        # Without this key, Ansible fails a task with any rc but 0.
        "failed": bool(failures),
    }
    if len(commands) == 1:
        return {**commands[0], **result}
    result["msg"] = summarize(len(jobs), sum(not job.outcome for job in jobs), failures)
    return result


def _list_left(jobs: Sequence[Job], ok: Collection[Outcome]) -> dict[str, list[str]]:
    unknown = dict.fromkeys(list_servers(jobs, UNCERTAIN.difference(ok)))
    # Nothing ran on the servers that offline=skip left out.
    left = list_servers(jobs, LEFT.difference(ok) | {Outcome.OFFLINE})
    # A server can have several of the commands that ids names.
    left = [server for server in left if server not in unknown]
    return {"servers_left": left, "servers_unknown": list(unknown)}


def _describe_and_release(job: Job, no_log: bool) -> dict[str, Any]:
    try:
        described = describe_job(job, no_log)
    except Exception as error:
        # A bug here must not hide the IDs of other commands.
        bug = type(error).__name__ if no_log else repr(error)
        msg = f"{job.msg} Its details are missing because of a bug: {bug:.200}".strip()
        described = {**_EMPTY, "id": job.id, **_describe_outcome(job, msg), "line": job.body.get("line"), "ran": None}
    job.output, job.command, job.body = None, None, {}
    return described


def summarize(
    total: int, predicted: int, failures: Sequence[tuple[str, str | None, str]], noun: str = "commands"
) -> str:
    """Return the message of a task for several servers.

    Args:
        failures: for each failure the name of the server, the ID of the command, and the message.
    """
    if not total:
        return f"No {noun}."
    if failures:
        return f"{len(failures)} of {total} {noun} failed: {join_first(group_alike(failures), _MAX_FAILURES, '; ')}"
    if predicted:
        return f"{'' if predicted == total else f'{predicted} of '}{total} {noun} would be submitted."
    return f"{total} {noun}, none of them failed."


def describe_servers(
    jobs: Sequence[Job], servers: list[dict[str, Any]], ok: Collection[Outcome], noun: str
) -> dict[str, Any]:
    """Build the result of a task from the dicts of its servers; the keys of a single one are at the top level as well.

    Args:
        servers: for each job, in their order.
        ok: outcomes that are no failures.
        noun: what the task did to the servers, in the plural.
    """
    outcomes = [job.outcome for job in jobs if job.outcome]
    failures = [
        (str(job.server), job.id, described["msg"])
        for job, described in zip(jobs, servers)
        if job.outcome and job.outcome not in ok
    ]
    result: dict[str, Any] = {
        "servers": servers,
        "summary": dict(Counter(outcome.value for outcome in outcomes)),
        **_list_left(jobs, ok),
        "changed": any(job.changed for job in jobs),
        "failed": bool(failures),
    }
    if len(servers) == 1:
        return {**servers[0], **result}
    return {**result, "msg": summarize(len(jobs), len(jobs) - len(outcomes), failures, noun)}


def group_alike(messages: Iterable[tuple[str, str | None, str]]) -> list[str]:
    """Write each message once, after the servers that share it: "web-01, web-02 and 10 more: Failed."."""
    groups: dict[str, list[tuple[str, str | None, str]]] = {}
    for name, command_id, msg in messages:
        common = _TIME.sub("<time>", msg.replace(command_id, "<id>") if command_id else msg)
        common = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "<server>", common)
        groups.setdefault(common, []).append((name, command_id, msg))
    lines = []
    for common, alike in groups.items():
        names = join_first(list(dict.fromkeys(name for name, _id, _msg in alike)), _MAX_NAMES)
        ids = [str(command_id) for _name, command_id, _msg in alike if "<id>" in common]
        more = f" and {len(ids) - _MAX_IDS:,} more" if len(ids) > _MAX_IDS else ""
        listed = f" Ids: {','.join(ids[:_MAX_IDS])}{more}" if ids else ""
        lines.append(f"{names}: {common}{listed}" if len(alike) > 1 else f"{names}: {alike[0][2]}")
    return lines


def describe_job(job: Job, no_log: bool = False) -> dict[str, Any]:
    outcome = _describe_outcome(job, _make_message(job, no_log))
    error = job.error.details if job.error else {}
    if job.command is None:
        return {**_EMPTY, **outcome, "line": job.body.get("line"), "ran": job.ran, **error}
    described = {**describe(job.command, job.output), **outcome}
    if job.outcome == Outcome.REFUSED:
        described.update(error)
    if job.ran is None:
        described["ran"] = None
    if job.outcome in (Outcome.SUCCESS, Outcome.FAILED):
        described["success"] = job.outcome == Outcome.SUCCESS
    return described


def _describe_outcome(job: Job, msg: str) -> dict[str, Any]:
    return {
        "server": {"id": job.server.id, "name": job.server.name},
        # Ansible cannot write the enum as JSON.
        "outcome": job.outcome.value if job.outcome else None,
        "changed": job.changed,
        "msg": msg,
    }


def describe(command: Command, output: Output | None) -> dict[str, Any]:
    described = {
        **_EMPTY,
        **{name: getattr(command, name) for name in ("id", "line", "status", "rc", "success", "ran", "error_phase")},
        "server": {"id": command.server.id, "name": command.server.name},
        "outcome": (get_outcome(command) or Outcome.PENDING).value,
        "start": to_iso(command.start),
        "end": to_iso(command.end) if command.finished else None,
        "delta": _get_delta(command),
    }
    if command.rc is not None and command.exit_code is None:
        described["rc_assumed"] = True
    if output is not None:
        # As ansible.builtin.command does. Only some workspaces strip line breaks at the end.
        for stream, text in (("stdout", output.text), ("stderr", output.stderr)):
            printable = _to_printable(text.rstrip("\r\n"))
            described.update({stream: printable, f"{stream}_lines": printable.splitlines()})
        described["output_complete"] = output.complete
        if output.refused or output.doubt:
            # The exit code is the agent's, which could not start the command.
            described.update(ran=False, rc=None)
            described.pop("rc_assumed", None)
        if output.mark == LATE:
            described.update(outcome=Outcome.LATE.value)
        if output.doubt:
            described.update(outcome=Outcome.UNKNOWN.value, ran=None, success=None)
    return described


def _get_delta(command: Command) -> str | None:
    if not command.finished:
        return None
    if command.elapsed is not None:
        return str(timedelta(seconds=command.elapsed))
    return str(command.end - command.start) if command.start and command.end else None


def _make_message(job: Job, no_log: bool) -> str:
    output, msg = job.output or Output(""), job.msg
    if no_log:
        # The message of a skipped command names a path.
        msg = "Skipped, because of creates or removes." if output.mark == SKIPPED else msg
        refused = output.refused
        if refused and job.command:
            without_account = replace(job.command, username=None, groupname=None)
            refused = explain_never_began(without_account, output.text) or refused
        output = replace(output, text="", stderr="", refused=refused)
    parts = [msg or (job.outcome.sentence if job.outcome else "")]
    if job.command and job.outcome == Outcome.FAILED:
        why = f"It may have run ({job.command.error_phase})." if job.may_have_run else ""
        parts = [why or _explain_failure(job.command, output), msg]
    elif job.command and job.command.error_phase:
        parts.append(f"The workspace says: {job.command.error_phase}.")
    if job.command and job.command.finished and job.command.status not in STATUSES:
        parts.append(f"The workspace states the status {job.command.status}.")
    parts += [output.note, job.note]
    text = output.stderr.strip() or output.text.strip()
    if text and job.command and job.outcome == Outcome.FAILED:
        parts.append(f"Its output ends with: {text[-_MAX_OUTPUT:]}")
    return _to_printable(" ".join(part for part in parts if part))


def _explain_failure(command: Command, output: Output) -> str:
    # The output of a refused file might not have been read.
    refused = output.refused or explain_never_began(command, "")
    if refused:
        return f"Never ran: {refused}."
    why = command.error_phase or explain_ended_early(command, output.text)
    because = f" ({why})" if why else ""
    if command.rc is None:
        return f"It failed without an exit code{because}. It may have run."
    stated = "none" if command.may_have_chunks else "no exit codes"
    assumed = f" (assumed: the workspace states {stated}, so success_codes has no effect)"
    ended = f"The command ended with rc {command.rc}{because}{'' if command.exit_code is not None else assumed}."
    advice = "" if command.error_phase else explain_sudo(f"{output.text}\n{output.stderr}")
    return f"{ended} {advice}".rstrip()


def _to_printable(text: str) -> str:
    """Replace surrogates, which stand for bytes that are not UTF-8."""
    return text if text.isascii() else re.sub("[\udc80-\udcff]", "\ufffd", text)
