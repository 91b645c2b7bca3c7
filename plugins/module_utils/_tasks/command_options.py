# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task orders: its options, checked before anything is sent."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._api.commands import Match
from .._api.errors import UsageError
from .._api.records import Server, to_iso
from .._fleet.jobs import Limits
from .._options import values
from .._options.values import check_no_nul
from .._payload import shell
from .._payload.packing import (
    MAX_PAYLOAD_BYTES,
    Payload,
    TooLarge,
    is_reserved_variable,
    is_trimmed,
    make_label,
    pack,
    parse_digest,
)

#: The options of which one says what is to run.
WHAT = ("line", "script", "argv")
_WITH = ("stdin", "chdir", "executable", "creates", "removes")
#: The options of what is carried.
OPTIONS = ("script", "argv", *_WITH)
#: What the script's file holds, in Base64; the action reads it, and users have no such option.
CONTENT = "_script_content"


def pack_options(options: Mapping[str, Any], env: Mapping[str, str]) -> Payload | None:
    """What a task carries, packed for one submit; None where it has a line, or nothing to run.

    Args:
        env: the checked value of O(env).

    Raises:
        UsageError: the options do not go together, or it does not fit into one submit.
    """
    given = [name for name in WHAT if options.get(name) is not None]
    if len(given) > 1:
        raise UsageError(given[1], f"it does not go with {given[0]}", "Give one of line, script and argv.")
    if given in ([], ["line"]):
        _refuse_with_line(options)
        return None
    [what] = given
    _check_env(what, env)
    if options["shell"] != "system":
        why = f"it is {options['shell']}, and {what} is run by a shell of the server"
        raise UsageError("shell", why, "Leave it out, or give line.")
    label, body, files = _script(options) if what == "script" else _program(options)
    stdin = (options.get("stdin") or "").encode("utf-8", "surrogateescape")
    try:
        return pack(label, body, stdin, files, env)
    except TooLarge as error:
        raise _too_large(what, sum(map(len, (body, *files))), len(stdin), error) from None


def script_words(text: str) -> list[str]:
    """The path of a script's file on the controller and the arguments behind it, split as a shell splits them.

    Raises:
        UsageError: there is no path, or a quote is not closed.
    """
    check_no_nul("script", text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        why = str(error).rstrip(".").lower()
        raise UsageError("script", f"it cannot be split: {why}", "Close its quotes, as for a shell.") from None
    if not words or not words[0]:
        raise UsageError("script", "it is empty", "Give the path of a file, and arguments behind it.")
    return words


def _refuse_with_line(options: Mapping[str, Any]) -> None:
    for name in _WITH:
        if options.get(name) is not None:
            raise UsageError(name, "it can only be used with script or argv", "Give one of them in place of line.")


def _check_env(what: str, env: Mapping[str, str]) -> None:
    for name in env:
        if is_reserved_variable(name):
            raise UsageError("env", f"with {what}, {name} is the name of a variable that carries it", "Rename it.")


def _script(options: Mapping[str, Any]) -> tuple[str, str, list[bytes]]:
    """Label, body and file of a script."""
    path, *arguments = script_words(options["script"])
    if options.get(CONTENT) is None:
        raise UsageError("script", "its file was not read", "Run it as a task, which reads it on the controller.")
    name = path.rstrip("/").rpartition("/")[2]
    body = shell.script_body(name, arguments, _path("executable", options), _place(options))
    return make_label("script", name), body, [base64.b64decode(options[CONTENT])]


def _program(options: Mapping[str, Any]) -> tuple[str, str, list[bytes]]:
    """Label and body of a program."""
    argv = [str(word) for word in options["argv"]]
    for word in argv:
        check_no_nul("argv", word, "one of its elements")
    if not argv or not argv[0].strip():
        raise UsageError("argv", "it names no program", "Give a list: the program, and its arguments behind it.")
    if argv[0].startswith("-"):
        raise UsageError("argv", f"no program is called {argv[0]:.40}", "Begin with the program.")
    if options.get("executable") is not None:
        raise UsageError("executable", "it can only be used with script", "The program is the first element of argv.")
    name = argv[0].rstrip("/").rpartition("/")[2]
    return make_label("argv", name), shell.program_body(argv, _place(options)), []


def _place(options: Mapping[str, Any]) -> shell.WorkingDirectory:
    return shell.WorkingDirectory(_path("chdir", options), _path("creates", options), _path("removes", options))


def _path(name: str, options: Mapping[str, Any]) -> str | None:
    path = options.get(name)
    if path is None:
        return None
    check_no_nul(name, path)
    if not path.strip():
        raise UsageError(name, "it is empty", "Give a path, or leave it out.")
    return str(path)


def _too_large(what: str, size: int, stdin: int, error: TooLarge) -> UsageError:
    with_stdin = f" and {stdin} bytes of stdin" if stdin else ""
    return UsageError(
        "stdin" if stdin > size else what,
        f"{size} bytes of {what}{with_stdin} take {error.size} bytes, compressed and encoded, and one submit carries"
        f" {MAX_PAYLOAD_BYTES}",
        "Make it smaller, split it into several tasks, or have the server fetch the large part from where it is.",
    )


@dataclass(frozen=True)
class CommandOptions:
    """The checked options of a task that concern commands."""

    state: str
    servers: list[str]
    ids: list[str]
    line: str
    shell: str
    username: str | None
    groupname: str | None
    extra: dict[str, Any]
    scheduled_at: datetime | None
    reschedule: bool
    reuse_within: float | None
    fail_if_sent: bool
    progress: bool
    silent: bool
    limits: Limits

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> CommandOptions:
        """Check everything that can be checked without a request; :class:`UsageError` says what is wrong."""
        state = options["state"]
        _check_combination(state, options)
        env = values.check_environment("env", options.get("env"))
        what = pack_options(options, env)
        extra = {
            "env": what.env if what else env,
            "run_after": values.parse_uuids("run_after", options.get("run_after")),
            "work_session": _given("work_session", options, values.parse_uuid),
            "purpose": values.check_purpose("purpose", options.get("purpose")),
        }
        servers = [str(server) for server in values.split_list(options.get("servers") or ())]
        if "" in servers:
            raise UsageError("servers", "one of them is empty", _WHICH_SERVERS)
        return cls(
            state=state,
            servers=servers,
            ids=values.parse_uuids("ids", options.get("ids")),
            line=what.line if what else _given_line(options),
            shell=options["shell"],
            username=_account("username", options),
            groupname=_account("groupname", options),
            extra={name: value for name, value in extra.items() if value},
            scheduled_at=_given("scheduled_at", options, values.parse_timestamp),
            reschedule=options["reschedule"],
            reuse_within=_given("reuse_within", options, values.parse_duration),
            fail_if_sent=options["fail_if_sent"],
            progress=_progress(options),
            silent=options.get("progress") is False,
            limits=_limits(options, len(servers)),
        )

    @property
    def has_payload(self) -> bool:
        """Whether what runs is carried in variables, and the line only unpacks it."""
        return parse_digest(self.line) is not None

    @property
    def trimmed(self) -> list[str]:
        """The variables whose values do not reach the server as they are given."""
        submits = self.state in ("executed", "scheduled")
        return [name for name, value in self.extra.get("env", {}).items() if submits and is_trimmed(value)]

    @property
    def time(self) -> datetime:
        """When the command is to run, where it has a time."""
        if self.scheduled_at is None:
            raise ValueError("these options have no time")
        return self.scheduled_at

    def match(self, server_id: str | None = None) -> Match:
        """What counts as the same command, on one server or on any."""
        return Match(server_id, self.line, self.shell, self.username, self.groupname)

    def body(self, server: Server) -> dict[str, Any]:
        """What is submitted for one server: the published fields, and of the newer ones only those that are used."""
        return {**self.match(server.id).body(), "scheduled_at": to_iso(self.scheduled_at), **self.extra}


def _given_line(options: Mapping[str, Any]) -> str:
    return values.check_line("line", options["line"]) if options.get("line") is not None else ""


def _progress(options: Mapping[str, Any]) -> bool:
    several = max(len(options.get(name) or ()) for name in ("servers", "ids")) > 1
    return several if options.get("progress") is None else bool(options["progress"])


def _given(name: str, options: Mapping[str, Any], read: Callable[[str, Any], Any]) -> Any:
    value = options.get(name)
    return None if value in (None, "") else read(name, value)


def _account(name: str, options: Mapping[str, Any]) -> str | None:
    value = options.get(name)
    if value is None:
        return None
    # The workspace keeps it without them, and would list another one than was asked for.
    name_alone = str(value).strip()
    if not name_alone:
        # Not compared, it would mean the commands of every account.
        raise UsageError(name, "it is empty", "Give a name, or leave it out.")
    return name_alone


def _limits(options: Mapping[str, Any], total: int) -> Limits:
    return Limits(
        wait=options["wait"],
        wait_timeout=values.parse_timeout(
            "wait_timeout", options["wait_timeout"], "Set wait to false to submit without waiting."
        ),
        wait_for_approval=options["wait_for_approval"],
        cancel_on_timeout=options["cancel_on_timeout"],
        max_concurrency=values.parse_share("max_concurrency", options.get("max_concurrency"), total, least=1),
        max_errors=values.parse_share("max_errors", options.get("max_errors"), total, least=0),
        success_codes=_success_codes(options["success_codes"]),
        offline=options["offline"],
        output_limit=values.check_output_limit(options.get("output_limit")),
    )


def _success_codes(codes: Collection[int]) -> frozenset[int]:
    if not codes:
        remedy = "Name codes, or leave it out to mean 0."
        raise UsageError("success_codes", "it is empty, so that every command would count as failed", remedy)
    return frozenset(codes)


_BY_IDS_ALONE = "Commands that exist already are named by ids alone."
_NOTHING_SUBMITTED = dict.fromkeys(("max_concurrency", "max_errors"), "Use it where commands are submitted.")
_NAMED_ALREADY = dict.fromkeys(("line", *OPTIONS, "servers", "scheduled_at"), _BY_IDS_ALONE)
_WHOLE_LINE = "Give the command line, or script or argv in its place."
_WHICH_SERVERS = "Give names or ids of servers."

#: state -> the options that it needs, and what to give.
_NEEDS = {
    "executed": {"line": _WHOLE_LINE, "servers": _WHICH_SERVERS},
    "scheduled": {
        "line": _WHOLE_LINE,
        "servers": _WHICH_SERVERS,
        "scheduled_at": "Give ISO 8601 with a zone, such as 2031-01-01T03:00:00Z.",
    },
    "finished": {"ids": "Give the ids that an earlier task returned."},
    "cancelled": {"line": "Give it, script, argv or ids.", "servers": "Give them, or ids."},
}

#: state -> the options that do not go with it, and what to do instead.
_REFUSES = {
    "executed": {
        "ids": "Use state=finished to await commands, or state=cancelled to cancel them.",
        "scheduled_at": "Use state=scheduled to run a command later.",
        "reschedule": "Use it with state=scheduled.",
    },
    "scheduled": {
        "ids": "Leave it out: a schedule is known by its server, line, user, group and time.",
        "reuse_within": "Use it with state=executed.",
        "max_concurrency": "Leave it out: what is scheduled runs at its time, however many do.",
    },
    "finished": {
        **_NAMED_ALREADY,
        **_NOTHING_SUBMITTED,
        "reschedule": "Use it with state=scheduled.",
        "reuse_within": "Use it with state=executed.",
    },
    "cancelled": {
        **_NOTHING_SUBMITTED,
        "reschedule": "Use it with state=scheduled.",
        "reuse_within": "Use it with state=executed.",
    },
}


def _check_combination(state: str, options: Mapping[str, Any]) -> None:
    given = {name for name in options if options[name] not in (None, "", [], False)}
    # An empty one is told of by its own name.
    given |= {name for name in ("script", "argv") if options.get(name) is not None}
    needed, refused = _NEEDS[state], _REFUSES[state]
    if state == "cancelled" and "ids" in given:
        needed, refused = {}, {**refused, **_NAMED_ALREADY}
    if state in ("finished", "cancelled") and options["offline"] != "wait":
        raise UsageError("offline", f"it does not go with state={state}", "Use it where commands are submitted.")
    if state == "executed" and not options["wait"] and "max_concurrency" in given:
        raise UsageError(
            "max_concurrency", "it does not go with wait=false", "Leave it out, or wait: only a task that waits counts."
        )
    for name, remedy in refused.items():
        if name in given:
            raise UsageError(name, f"it does not go with state={state}", remedy)
    for name, remedy in needed.items():
        if not given & (set(WHAT) if name == "line" else {name}):
            raise UsageError(name, f"state={state} needs it", remedy)
