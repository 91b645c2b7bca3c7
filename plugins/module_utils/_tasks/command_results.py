# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs and commands as a task returns them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from .._api.outputs import Output, explain_ended_early, explain_never_began, explain_sudo
from .._api.records import STATUSES, Command, Server, to_iso
from .._fleet.jobs import OK_OUTCOMES, Job, Outcome, get_outcome
from .._payload.frames import SKIPPED

_NAMED_FAILURES = 5
_SHOWN_OUTPUT = 300
_SKIPPED = "Skipped, as creates or removes says."


def of_jobs(jobs: Sequence[Job], ok_outcomes: frozenset[Outcome] = OK_OUTCOMES, no_log: bool = False) -> dict[str, Any]:
    """The result of a task: each command, counts, and with one command its keys at the top level as well.

    The jobs lose their commands on the way, so that nothing is held twice.

    Args:
        ok_outcomes: the outcomes that are no failure.
        no_log: whether no message may show what commands wrote or were given.
    """
    commands = [_describe_and_let_go(job, no_log) for job in jobs]
    bad = [
        f"{job.server if job.server.id or job.server.name else described['id']}: {described['msg']}"
        for job, described in zip(jobs, commands)
        if job.outcome and job.outcome not in ok_outcomes
    ]
    result: dict[str, Any] = {
        "commands": commands,
        "summary": dict(Counter(job.outcome.value for job in jobs if job.outcome)),
        "changed": any(job.changed for job in jobs),
        # Said either way: Ansible takes every rc but 0 for a failure where a result says nothing.
        "failed": bool(bad),
    }
    if len(commands) == 1:
        [only] = commands
        result = {**only, **result}
    else:
        result["msg"] = _summary(len(jobs), sum(not job.outcome for job in jobs), bad)
    return result


def _describe_and_let_go(job: Job, no_log: bool) -> dict[str, Any]:
    described = _describe_whatever(job, no_log)
    job.output, job.command, job.body = None, None, {}
    return described


def _summary(total: int, predicted: int, bad: Sequence[str]) -> str:
    if not total:
        return "No commands."
    if predicted and not bad:
        return f"{'' if predicted == total else f'{predicted} of '}{total} commands would be submitted."
    if not bad:
        return f"{total} commands, none of them failed."
    named = "; ".join(bad[:_NAMED_FAILURES])
    more = f"; and {len(bad) - _NAMED_FAILURES} more" if len(bad) > _NAMED_FAILURES else ""
    return f"{len(bad)} of {total} commands did not end well: {named}{more}"


def _message(job: Job, no_log: bool) -> str:
    output, said = job.output or Output(""), job.msg
    if no_log:
        # Where it was skipped, the server has said so, and named a path.
        said = _SKIPPED if output.mark == SKIPPED else said
        output = replace(output, text="", stderr="", refused=_without_names(job, output))
    parts = [said or (job.outcome.sentence if job.outcome else "")]
    if job.command and job.outcome == Outcome.FAILED:
        parts = [_failure(job.command, output), said]
    elif job.command and job.command.error_phase:
        parts.append(f"The workspace says: {job.command.error_phase}.")
    if job.command and job.command.finished and job.command.status not in STATUSES:
        parts.append(f"The workspace calls it {job.command.status}.")
    parts += [output.note, job.note]
    if job.command and job.outcome == Outcome.FAILED:
        parts.append(_last_words(output))
    return _printable(" ".join(part for part in parts if part))


def _without_names(job: Job, output: Output) -> str:
    """Why nothing ran, without the account that the command was given."""
    if not job.command or not output.refused:
        return output.refused
    unnamed = replace(job.command, username=None, groupname=None)
    return explain_never_began(unnamed, output.text) or output.refused


def _last_words(output: Output) -> str:
    words = output.stderr.strip() or output.text.strip()
    return f"Its output ends with: {words[-_SHOWN_OUTPUT:]}" if words else ""


def _failure(command: Command, output: Output) -> str:
    if output.refused:
        return f"Never ran: {output.refused}."
    why = command.error_phase or explain_ended_early(command, output.text)
    because = f" ({why})" if why else ""
    if command.rc is None:
        return f"It failed, and no exit code came{because}. Whether it ran is not known."
    stated = "none" if command.may_have_chunks else "no exit codes"
    assumed = f" (assumed: the workspace states {stated}, so success_codes has no effect)"
    ended = f"The command ended with rc {command.rc}{because}{'' if command.exit_code is not None else assumed}."
    advice = "" if command.error_phase else explain_sudo(f"{output.text}\n{output.stderr}")
    return f"{ended} {advice}".rstrip()


def _describe_whatever(job: Job, no_log: bool) -> dict[str, Any]:
    """A job as results give it; what nobody has thought of costs its details, not the ids of the others."""
    try:
        return describe_job(job, no_log)
    except Exception as error:
        server = {"id": job.server.id, "name": job.server.name}
        known = {"id": job.id, "server": server, "line": job.body.get("line"), "ran": None}
        msg = f"{job.msg} It cannot be described: {type(error).__name__ if no_log else repr(error):.200}".strip()
        return {**_EMPTY, **known, "outcome": _word(job.outcome), "changed": job.changed, "msg": msg}


def describe_job(job: Job, no_log: bool = False) -> dict[str, Any]:
    """A job as results give it.

    Args:
        no_log: see :func:`of_jobs`.
    """
    if job.command is None:
        return {
            **_EMPTY,
            "server": {"id": job.server.id, "name": job.server.name},
            "line": job.body.get("line"),
            "outcome": _word(job.outcome),
            "ran": job.ran,
            "changed": job.changed,
            "msg": _message(job, no_log),
            **(job.error.details if job.error else {}),
        }
    described = describe(job.command, job.output, job.server)
    described.update(outcome=_word(job.outcome), changed=job.changed, msg=_message(job, no_log))
    if job.error and job.outcome == Outcome.REFUSED:
        described.update(job.error.details)
    if job.ran is None:
        described["ran"] = None
    if job.outcome in (Outcome.SUCCESS, Outcome.FAILED):
        described["success"] = job.outcome == Outcome.SUCCESS
    return described


def _word(outcome: Outcome | None) -> str | None:
    """What results say for an outcome: a plain text, which Ansible can write as JSON."""
    return outcome.value if outcome else None


_EMPTY: dict[str, Any] = {
    "id": None,
    "status": None,
    "rc": None,
    "stdout": "",
    "stdout_lines": [],
    "stderr": "",
    "stderr_lines": [],
    "start": None,
    "end": None,
    "delta": None,
    "success": None,
    "error_phase": None,
    "output_complete": None,
}


def describe(command: Command, output: Output | None, server: Server | None = None) -> dict[str, Any]:
    """A command as results give it; without its output where there is none yet."""
    server = server or command.server
    described = {
        **_EMPTY,
        "id": command.id,
        "server": {"id": server.id, "name": server.name},
        "line": command.line,
        "status": command.status,
        "outcome": _word(get_outcome(command) or Outcome.PENDING),
        "rc": command.rc,
        "start": to_iso(command.start),
        "end": to_iso(command.end) if command.finished else None,
        "delta": _delta(command),
        "success": command.success,
        "ran": command.ran,
        "error_phase": command.error_phase,
    }
    if command.rc is not None and command.exit_code is None:
        described["rc_assumed"] = True
    if output is not None:
        # As ansible.builtin.command does; some workspaces cut line breaks at the end, others keep them.
        for stream, text in (("stdout", output.text), ("stderr", output.stderr)):
            shown = _printable(text.rstrip("\r\n"))
            described.update({stream: shown, f"{stream}_lines": shown.splitlines()})
        described["output_complete"] = output.complete
        if output.refused:
            # The agent states an exit code of its own for what it could not begin.
            described.update(ran=False, rc=None)
            described.pop("rc_assumed", None)
        if output.doubt:
            described.update(outcome=Outcome.UNKNOWN.value, ran=None, rc=None, success=None)
            described.pop("rc_assumed", None)
    return described


def _printable(text: str) -> str:
    """A text without surrogates, which stand for bytes of carried outputs that are no UTF-8."""
    return text if text.isascii() else re.sub("[\udc80-\udcff]", "\ufffd", text)


def _delta(command: Command) -> str | None:
    """How long it took, as M(ansible.builtin.command) writes it."""
    if not command.finished:
        return None
    if command.elapsed is not None:
        return str(timedelta(seconds=command.elapsed))
    return str(command.end - command.start) if command.start and command.end else None
