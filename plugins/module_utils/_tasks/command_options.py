# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the options of M(herdops.alpacon.alpacon_command), and pack O(script) and O(argv) for one submit."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .._api.commands import Match
from .._api.errors import UsageError
from .._api.records import Server, to_iso
from .._fleet.follow import MAX_FOLLOWED
from .._fleet.held_sudo import is_sudo, is_sudo_line
from .._fleet.jobs import Limits
from .._fleet.verified_scripts import VerifiedScript
from .._options import values
from .._payload import packing, shell
from .output_files import OutputFiles
from .verified_options import parse_verified, refuse_unverified

#: Internal option: the content of the script's file in Base64, from the action plugin.
CONTENT = "_script_content"
#: Internal option: the name of the inventory host for the file of its server, from the action plugin.
HOST = "inventory_host"

#: The states in which these options can be used.
_ALLOWED_STATES = {
    "ids": ("finished", "cancelled"),
    "scheduled_at": ("scheduled", "cancelled"),
    "not_after": ("executed", "scheduled"),
    "reschedule": ("scheduled",),
    "reuse_within": ("executed",),
    "offline": ("executed", "scheduled"),
    "max_concurrency": ("executed",),
    "max_errors": ("executed", "scheduled"),
    "output_dir": ("executed", "finished"),
}
#: Options with these values have no effect, so each state accepts them.
_NO_EFFECT: tuple[Any, ...] = (None, "", [], False, "wait")


def _check_combination(options: Mapping[str, Any]) -> None:
    """Refuse combinations that the rules of Ansible's argument spec cannot express."""
    for name, states in _ALLOWED_STATES.items():
        if options["state"] not in states and options.get(name) not in _NO_EFFECT:
            remedy = f"Use it with {' or '.join(f'state={state}' for state in states)}, or leave it out."
            raise UsageError(name, f"it cannot be used with state={options['state']}", remedy)
    for name in ("max_concurrency", "output_dir"):
        if options.get(name) and not options["wait"]:
            raise UsageError(name, "it cannot be used with wait=false", "Leave it out, or set wait to true.")
    if options["shell"] == "file" and options["state"] in ("executed", "scheduled"):
        problem = f"it is file, which cannot be used with state={options['state']}"
        raise UsageError("shell", problem, "Leave it out, and give the path of the file in line.")


@dataclass(frozen=True)
class CommandOptions:
    """The checked options of a task, except for its connection.

    Attributes:
        line: The command line. For O(script) and O(argv), it unpacks the payload in C(env).
        extra: Fields of a submit that only newer workspaces know.
        progress: Report progress; None to report only servers that are offline, False for neither.
        follows: Print the output of running commands as progress.
        is_sudo: The line or O(argv) does nothing but one sudo.
    """

    state: str
    servers: list[str]
    ids: list[str]
    line: str
    shell: str
    username: str | None
    groupname: str | None
    extra: dict[str, Any]
    scheduled_at: datetime | None
    not_after: datetime | timedelta | None
    reschedule: bool
    reuse_within: float | None
    fail_if_sent: bool
    progress: bool | None
    follows: bool
    limits: Limits
    verified: VerifiedScript | None = None
    output_files: OutputFiles | None = None
    is_sudo: bool = False

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> CommandOptions:
        _check_combination(options)
        ids = values.parse_uuids("ids", options.get("ids"))
        servers = [str(server) for server in values.split_list(options.get("servers") or ())]
        if not all(servers) or not (servers or ids):
            raise UsageError("servers", "one of them is empty" if servers else "it is empty", "Give names or UUIDs.")
        env = values.check_environment("env", options.get("env"))
        progress = options.get("progress")
        follows = progress == "output" and len(servers or ids) <= MAX_FOLLOWED
        verified = _parse_verified(options)
        payload = None if verified else _pack_payload(options, env, follows)
        extra = {
            "file": verified.to_field() if verified else None,
            "env": payload.env if payload else env,
            "run_after": values.parse_uuids("run_after", options.get("run_after")),
            "work_session": _parse("work_session", options, values.parse_uuid),
            "purpose": values.check_purpose("purpose", options.get("purpose")),
        }
        packed = verified or payload
        line = packed.line if packed else "" if ids else values.check_line("line", options.get("line") or "")
        return cls(
            state=options["state"],
            servers=servers,
            ids=ids,
            line=line,
            shell="file" if verified else options["shell"],
            username=_parse_account("username", options),
            groupname=_parse_account("groupname", options),
            extra={name: value for name, value in extra.items() if value},
            scheduled_at=_parse("scheduled_at", options, values.parse_timestamp),
            not_after=_parse_not_after(options),
            reschedule=options["reschedule"],
            reuse_within=_parse("reuse_within", options, values.parse_duration),
            fail_if_sent=options["fail_if_sent"],
            progress=(len(servers or ids) > 1 or None) if progress is None else progress != "false",
            follows=follows,
            limits=_parse_limits(options, len(servers)),
            verified=verified,
            output_files=_parse_output_dir(options, ids or servers, payload is not None),
            is_sudo=_is_sudo(options),
        )

    @property
    def has_payload(self) -> bool:
        return packing.parse_digest(self.line) is not None

    @property
    def padded_variables(self) -> list[str]:
        submits = self.state in ("executed", "scheduled")
        return [name for name, value in self.extra.get("env", {}).items() if submits and packing.is_trimmed(value)]

    @property
    def time(self) -> datetime:
        """Return O(scheduled_at), which V(state=scheduled) requires."""
        if self.scheduled_at is None:
            raise ValueError("scheduled_at is missing")
        return self.scheduled_at

    def match(self, server_id: str | None = None) -> Match:
        return Match(server_id, self.line, self.shell, self.username, self.groupname)

    def get_not_after(self, now: datetime) -> datetime | None:
        return now + self.not_after if isinstance(self.not_after, timedelta) else self.not_after

    def make_body(self, server: Server, now: datetime | None = None) -> dict[str, Any]:
        """Return the body of a submit.

        Args:
            now: The time from which O(not_after) counts if it is a duration. If omitted, the body is for comparisons.
        """
        end, extra = self.get_not_after(now) if now else None, self.extra
        if end and self.has_payload:
            extra = {**extra, "env": {**extra["env"], packing.NOT_AFTER: str(int(end.timestamp()))}}
        return {**self.match(server.id).to_body(), "scheduled_at": to_iso(self.scheduled_at), **extra}


def _is_sudo(options: Mapping[str, Any]) -> bool:
    if options["shell"] != "system" or options.get("script") is not None:
        return False
    if options.get("argv") is not None:
        return is_sudo([str(word) for word in options["argv"]])
    return is_sudo_line(str(options.get("line") or ""))


def _parse(name: str, options: Mapping[str, Any], parse: Callable[[str, Any], Any]) -> Any:
    return None if options.get(name) in (None, "") else parse(name, options[name])


def _parse_not_after(options: Mapping[str, Any]) -> datetime | timedelta | None:
    not_after: datetime | timedelta | None = _parse("not_after", options, values.parse_timestamp_or_age)
    if not_after is None:
        return None
    if (options.get("line") is not None or options.get("verified")) and not _waits(options):
        kind = "a verified script" if options.get("verified") else "a line"
        why = f"{kind} runs as it is: the server cannot check the time, and the task does not wait to cancel it"
        raise UsageError("not_after", why, "Give script or argv without verified, or leave it out.")
    now, scheduled_at = datetime.now(timezone.utc), _parse("scheduled_at", options, values.parse_timestamp)
    end = now + not_after if isinstance(not_after, timedelta) else not_after
    if end <= (scheduled_at or now):
        why = f"{to_iso(end)} is not after scheduled_at, {to_iso(scheduled_at)}" if scheduled_at else "it has passed"
        raise UsageError("not_after", why, "Give a later time or a longer duration, or leave it out.")
    return not_after


def _waits(options: Mapping[str, Any]) -> bool:
    return options["state"] == "executed" and bool(options["wait"])


def _parse_account(name: str, options: Mapping[str, Any]) -> str | None:
    if options.get(name) == "":
        # An empty account would match the commands of every account.
        raise UsageError(name, "it is empty", "Give a name, or leave it out.")
    return values.check_account(name, options.get(name))


def _parse_limits(options: Mapping[str, Any], total: int) -> Limits:
    if not options["success_codes"]:
        why = "it is empty, so every command would count as failed"
        raise UsageError("success_codes", why, "Give exit codes, or leave it out to mean 0.")
    return Limits(
        wait=options["wait"],
        wait_timeout=values.parse_timeout(
            "wait_timeout", options["wait_timeout"], "Set wait to false to submit without waiting."
        ),
        wait_for_approval=options["wait_for_approval"],
        cancel_on_timeout=options["cancel_on_timeout"],
        max_concurrency=values.parse_share("max_concurrency", options.get("max_concurrency"), total, least=1),
        max_errors=values.parse_share("max_errors", options.get("max_errors"), total, least=0),
        success_codes=frozenset(options["success_codes"]),
        offline=options["offline"],
        output_limit=values.check_output_limit(options.get("output_limit")),
    )


def _parse_output_dir(options: Mapping[str, Any], targets: list[str], has_stderr: bool) -> OutputFiles | None:
    """Name the files after the inventory host, or after the servers or commands that the task names."""
    if not options.get("output_dir"):
        return None
    names = [str(options[HOST])] if options.get(HOST) else targets
    return OutputFiles(str(options["output_dir"]), names, has_stderr)


def _pack_payload(options: Mapping[str, Any], env: Mapping[str, str], is_live: bool) -> packing.Payload | None:
    """Pack O(script) or O(argv) with checked variables for one submit; return None for O(line)."""
    kind = next((name for name in ("script", "argv") if options.get(name) is not None), None)
    if kind is None:
        return None
    for name in filter(packing.is_reserved_variable, env):
        raise UsageError("env", f"with {kind}, the name {name} is reserved", "Rename the variable.")
    if options["shell"] != "system":
        why = f"it is {options['shell']}, and a shell of the server runs {kind}"
        raise UsageError("shell", why, "Leave it out, or give line.")
    folder = shell.WorkingDirectory(*(_parse_path(name, options) for name in ("chdir", "creates", "removes")))
    build = _build_script if kind == "script" else _build_program
    label, body, files = build(options, folder)
    stdin = (options.get("stdin") or "").encode("utf-8", "surrogateescape")
    try:
        return packing.pack(label, body, stdin, files, env, live=is_live, expires=bool(options.get("not_after")))
    except packing.PayloadTooLarge as error:
        size = sum(map(len, (body, *files)))
        with_stdin = f" and {len(stdin)} bytes of stdin" if stdin else ""
        raise UsageError(
            "stdin" if len(stdin) > size else kind,
            f"{size} bytes of {kind}{with_stdin} take {error.size} bytes, compressed and encoded, and a submit"
            f" has room for {packing.MAX_PAYLOAD_BYTES}",
            "Shorten it, split it into several tasks, or have the script download the large part.",
        ) from None


def _parse_verified(options: Mapping[str, Any]) -> VerifiedScript | None:
    if not options.get("verified"):
        refuse_unverified(options)
        return None
    if options.get("script") is None:
        remedy = "Give the path of a script on the controller in script, or leave verified out."
        raise UsageError("verified", "it is for scripts", remedy)
    words, content = split_script(options["script"]), _read_content(options)
    return parse_verified(options, words, content)


def split_script(text: str) -> list[str]:
    values.check_no_nul("script", text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        why = str(error).rstrip(".").lower()
        raise UsageError("script", f"it cannot be split: {why}", "Close its quotes, as for a shell.") from None
    if not words or not words[0]:
        raise UsageError("script", "it is empty", "Give the path of a file, then its arguments.")
    return words


def _build_script(options: Mapping[str, Any], folder: shell.WorkingDirectory) -> tuple[str, str, list[bytes]]:
    path, *arguments = split_script(options["script"])
    content = _read_content(options)
    name = path.rstrip("/").rpartition("/")[2]
    body = shell.build_script_body(name, arguments, _parse_path("executable", options), folder)
    return packing.make_label("script", name), body, [content]


def _read_content(options: Mapping[str, Any]) -> bytes:
    if options.get(CONTENT) is None:
        raise UsageError("script", "its file was not read", "Run the module as a task, which reads the file.")
    return base64.b64decode(options[CONTENT])


def _build_program(options: Mapping[str, Any], folder: shell.WorkingDirectory) -> tuple[str, str, list[bytes]]:
    argv = options["argv"]
    for word in argv:
        values.check_no_nul("argv", word, "one of its elements")
    if not argv or not argv[0].strip():
        raise UsageError("argv", "it names no program", "Give a list of the program and its arguments.")
    if argv[0].startswith("-"):
        raise UsageError("argv", f"no program is called {argv[0]:.40}", "Begin with the program.")
    name = argv[0].rstrip("/").rpartition("/")[2]
    return packing.make_label("argv", name), shell.build_program_body(argv, folder), []


def _parse_path(name: str, options: Mapping[str, Any]) -> str | None:
    path = options.get(name)
    if path is None:
        return None
    values.check_no_nul(name, path)
    if not path.strip():
        raise UsageError(name, "it is empty", "Give a path, or leave it out.")
    return str(path)
