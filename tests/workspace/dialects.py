# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three dialects of the API: rows, responses, pages, errors and their rules."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from django.http import Http404
from rest_framework import exceptions

from workspace import state
from workspace.models import MULTI_FACTS, SINGLE_FACTS, Command, Fact, Server, User

Row = dict[str, t.Any]


def clock_skew() -> datetime.timedelta:
    """Return how far the workspace's clock is ahead of the machine's."""
    return datetime.timedelta(seconds=state.current.switches.clock_skew)


def stamp(moment: datetime.datetime | None) -> str | None:
    """Format a time of the workspace's clock as Django REST framework does, or cut to seconds."""
    if moment is None:
        return None
    stated = moment + clock_skew()
    if state.current.switches.whole_seconds:
        stated = stated.replace(microsecond=0)
    return stated.isoformat().replace("+00:00", "Z")


def fields(record: t.Any, *names: str) -> Row:
    """Return these fields of a record, with IDs and times as the API writes them."""
    values = {name: getattr(record, name) for name in names}
    return {
        name: stamp(value) if isinstance(value, datetime.datetime) else str(value) if name == "id" else value
        for name, value in values.items()
    }


_SERVER = (
    *("id", "name", "remote_ip", "is_root", "is_connected", "commissioned", "starred", "cpu_physical_cores"),
    *("cpu_logical_cores", "cpu_type", "physical_memory", "os_name", "os_version", "load", "boot_time"),
)
_COMMAND = ("id", "shell", "line", "success", "result", "response_delay", "elapsed_time", "added_at")
_FACTS = ("info", "os", "time", "users", "groups", "interfaces")
_PROGRESS = ("delivered_at", "acked_at", "handled_at")


@dataclasses.dataclass(frozen=True)
class Reason:
    status: int
    code: str
    text: str
    source: str | None
    old_body: dict[str, t.Any]


def _general(message: str) -> dict[str, t.Any]:
    return {"non_field_errors": [message]}


_FILE_REFUSALS = (
    *("unsupported_agent", "assessor_disabled", "invalid_path", "content_too_large", "empty_content", "line_too_long"),
    *("env_not_allowed", "line_not_allowed", "data_not_allowed", "invalid_reuse_days", "reuse_exceeds_max"),
)
REASONS = {
    "not_connected": Reason(
        503,
        "server_not_connected",
        "Server is offline",
        "server",
        _general("Requested server is not connected. Please check the server status first."),
    ),
    "action_offline": Reason(
        400,
        "server_not_connected",
        "Server is offline",
        None,
        _general("Requested server is not connected now. Please try again later."),
    ),
    "action_early": Reason(
        400,
        "invalid",
        "Server is not commissioned yet",
        None,
        _general("Requested server is not commisioned yet. Please finish the installation steps first."),
    ),
    "pam_without_mfa": Reason(
        403, "server_pam_install_requires_sudo_with_mfa", "The workspace has no sudo with MFA", None, {}
    ),
    "pam_unsupported": Reason(400, "server_pam_install_unsupported", "There is no package for the server", None, {}),
    "pam_in_progress": Reason(409, "server_pam_install_in_progress", "An installation runs", None, {}),
    "mode_unavailable": Reason(
        400, "preferences_agent_rollout_mode_unavailable", "There is no version before the latest", None, {}
    ),
    "busy": Reason(409, "server_busy_with_user_work", "A user is working on the server", None, {}),
    "not_commissioned": Reason(
        400,
        "invalid_command",
        "Server is not commissioned yet",
        "server",
        _general("Requested server is not commissioned yet. Please finish the installation steps first."),
    ),
    "identity": Reason(
        400,
        "invalid_command",
        "Username or groupname is not registered",
        "username",
        _general("Username or groupname is not registered or you do not have permission."),
    ),
    "acl": Reason(
        403, "api_token_acl_not_allowed", "Command not allowed by token ACL", None, {"line": ["Permission denied"]}
    ),
    "connected": Reason(
        400,
        "server_cannot_be_deleted",
        "Server is connected",
        None,
        _general("Server is connected and cannot be deleted."),
    ),
    "transfer_in_progress": Reason(
        422, "webftp_transfer_in_progress", "The transfer has not finished", None, _general("Still in progress.")
    ),
    "already_sent": Reason(
        409,
        "event_command_already_sent",
        "Cannot cancel (already delivered to server)",
        None,
        _general("Command cannot be cancelled as it has already been sent to the server."),
    ),
    "inline_credential": Reason(
        400, "command_inline_credential", "The line carries a credential", "line", {"line": ["Permission denied"]}
    ),
    **{
        f"file_{word}": Reason(400, f"file_exec_{word}", f"Verified file: {word}", "file", {})
        for word in _FILE_REFUSALS
    },
}


class Refusal(exceptions.APIException):  # type: ignore[misc]
    def __init__(self, reason: str) -> None:
        self.reason = REASONS[reason]
        self.status_code = state.current.dialect.status_of_refusal(self.reason)
        super().__init__(self.reason.text)


class Dialect:
    name: str
    challenge: str | None = "token"
    unknown_token_is_anonymous = False
    #: A command that is due at once is delivered regardless of run_after.
    ignores_run_after = False
    #: A rule's asterisk stands for line breaks as well.
    acl_spans_lines = True
    cascades_deep = True
    trims_result = True
    has_chunks = False
    paging: t.Literal["numbers", "links"] = "numbers"
    switches: t.ClassVar[dict[str, t.Any]] = {}
    #: Routes below /api/ to what agents reported.
    facts: tuple[str, ...] = ()
    #: Routes that came later: a regular expression for their paths.
    unknown_routes: re.Pattern[str] | None = None

    def now_and_stuck(self) -> tuple[datetime.datetime, float]:
        return datetime.datetime.now(datetime.UTC), state.current.switches.stuck_after

    def list_row(self, command: Command) -> Row:
        raise NotImplementedError

    def detail_row(self, command: Command) -> Row:
        raise NotImplementedError

    def server_reference(self, command: Command) -> t.Any:
        return str(command.server_id)

    def requester(self, user: User | None) -> t.Any:
        raise NotImplementedError

    def create_row(self, command: Command) -> Row:
        names = ("line", "data", "username", "groupname", "added_at", "scheduled_at", "run_after")
        references = {"server": self.server_reference(command), "requested_by": self.requester(command.requested_by)}
        return fields(command, "id", "shell", *names) | references

    def create_answer(self, command: Command) -> t.Any:
        return self.create_row(command)

    def server_row(self, server: Server, detail: bool) -> Row:
        row = fields(server, *_SERVER) | {"status": server_status(server)} | self.owner(server.owner)
        row["groups"] = [str(group.id) for group in server.groups.all()]
        if detail:
            times = ("last_connectivity", "started_at", "added_at", "updated_at")
            row |= fields(server, "version", "osquery_version", *times) | {"uptime": uptime(server)}
        return row

    def fact_row(self, fact: Fact) -> Row:
        raise NotImplementedError

    def owner(self, user: User | None) -> Row:
        return {"owner": str(user.id) if user else None, "owner_name": user.name if user else None}

    def status_of_refusal(self, reason: Reason) -> int:
        return reason.status

    def error_body(self, error: Exception, body: t.Any, commands: bool, write: bool) -> t.Any:
        """Return the body of an error; `body` is the framework's own."""
        raise NotImplementedError


def uptime(server: Server) -> float | None:
    if server.boot_time is None:
        return None
    return round((datetime.datetime.now(datetime.UTC) - server.boot_time).total_seconds(), 6)


def server_status(server: Server) -> t.Any:
    if server.status != "auto":
        return server.status
    meta = dict.fromkeys(("delay_1d", "delay_1h", "delay_1w", "delay_now"), 0.1)
    if server.is_connected:
        shown = {"code": "ok", "icon": "circle-check", "text": "Good", "color": "success"}
        return {**shown, "meta": meta, "messages": ["Server is okay."]}
    shown = {"code": "error", "icon": "triangle-exclamation", "text": "Error", "color": "danger"}
    return {**shown, "meta": meta, "messages": ["Server is not connected."]}


# text, colour and message of the status object, by the word that `current` uses
_STATUS_OBJECTS = {
    "scheduled": ("Scheduled", "secondary", "Command will be sent if the scheduled time arrives."),
    "queued": ("Queued", "warning", "Command is on due, waiting for delivery."),
    "delivered": ("Sent", "warning", "Sent command to server, waiting response."),
    "running": ("Acked", "warning", "Command is being executed on the server."),
    "success": ("Success", "success", "Finished at {end}"),
    "failed": ("Failed", "danger", "Failed at {end}"),
}
_STUCK = {False: "Sent command to server, but got no response.", True: "Command started to run, but got no result."}
_UNDELIVERED = ("scheduled", "queued", "verifying", "awaiting_purpose", "awaiting_approval")


def is_cancellable(command: Command, status: str) -> bool:
    return status in _UNDELIVERED and command.delivered_at is None


def status_object(command: Command, status: str, end: str) -> Row:
    if status == "stuck":
        text, colour, message = "Stuck", "danger", _STUCK[command.acked_at is not None]
    elif status in _STATUS_OBJECTS:
        text, colour, message = _STATUS_OBJECTS[status]
    else:
        text = status.replace("_", " ").capitalize()
        colour, message = ("warning" if status in _UNDELIVERED else "danger"), f"Command is {text.lower()}."
    cancellable = is_cancellable(command, status) or (status == "error" and command.delivered_at is None)
    return {"text": text, "color": colour, "cancellable": cancellable, "message": message.format(end=end)}


class Dialect2024(Dialect):
    """The open-source server of April 2024, as recorded."""

    name = "2024"
    challenge = None
    unknown_token_is_anonymous = True
    ignores_run_after = True
    acl_spans_lines = False
    cascades_deep = False
    facts = tuple(f"proc/{kind}" for kind in _FACTS)
    unknown_routes = re.compile(r"/api/(events/(commands/[^/]+/chunks|sessions|subscriptions)/|auth/whoami/|webftp/)")
    switches: t.ClassVar = {
        "cancel_mode": "delete",
        "offline_mode": "refuse",
        "output": "result",
        "line_max": 512,
        "inline_credentials": False,
        "date_header": False,
    }

    def server_row(self, server: Server, detail: bool) -> Row:
        names = [group.name for group in server.groups.all()]
        return super().server_row(server, detail) | {"groups_name": names}

    def fact_row(self, fact: Fact) -> Row:
        """Return a row that does not name its server; users and the like do not state when they were added."""
        identity = fields(fact, *(("added_at",) if fact.kind in SINGLE_FACTS else ("id",)))
        return identity | fact.values

    def _row(self, command: Command) -> Row:
        status = command.status_at(*self.now_and_stuck())
        end = command.handled_at + clock_skew() if command.handled_at else None
        user = command.requested_by
        return fields(command, *_COMMAND) | {
            "status": status_object(command, status, f"{end}."),
            "server": str(command.server_id),
            "server_name": command.server.name,
            "requested_by": self.requester(user),
            "requested_by_name": user.name if user else "None",
        }

    def list_row(self, command: Command) -> Row:
        return self._row(command) | fields(command, "username", "groupname")

    def detail_row(self, command: Command) -> Row:
        return self._row(command) | fields(command, "data", "scheduled_at", *_PROGRESS, "run_after")

    def requester(self, user: User | None) -> t.Any:
        return str(user.id) if user else None

    def status_of_refusal(self, reason: Reason) -> int:
        return 400

    def error_body(self, error: Exception, body: t.Any, commands: bool, write: bool) -> t.Any:
        if isinstance(error, Refusal):
            return error.reason.old_body
        if isinstance(error, Http404):
            return {"detail": "Not found."}
        return body


class Published(Dialect):
    """The published page, word for word."""

    name = "published"
    paging = "links"
    switches: t.ClassVar = {
        "whole_seconds": True,
        "cancel_mode": "delete",
        "offline_mode": "refuse",
        "output": "result",
        "inline_credentials": False,
    }

    def list_row(self, command: Command) -> Row:
        status = command.status_at(*self.now_and_stuck())
        end = (command.handled_at + clock_skew()).strftime("%Y-%m-%d %H:%M:%S") if command.handled_at else ""
        return fields(command, *_COMMAND, "username", "groupname", "scheduled_at") | {
            "status": status_object(command, status, end),
            "server": str(command.server_id),
            "requested_by": self.requester(command.requested_by),
        }

    def detail_row(self, command: Command) -> Row:
        return self.list_row(command) | fields(command, *_PROGRESS, "run_after", "data")

    def requester(self, user: User | None) -> t.Any:
        return {"id": user.number, "username": user.username, "email": user.email} if user else None

    def error_body(self, error: Exception, body: t.Any, commands: bool, write: bool) -> t.Any:
        if isinstance(error, Refusal):
            return {"code": error.reason.code.upper(), "detail": error.reason.text}
        if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
            return {"code": "UNAUTHORIZED", "detail": str(error.detail)}
        if isinstance(error, Http404):
            if commands:
                return {"code": "COMMAND_NOT_FOUND", "detail": "Command not found"}
            return {"code": "NOT_FOUND", "detail": "Not found"}
        if commands and write and isinstance(error, (exceptions.ValidationError, exceptions.ParseError)):
            return {"code": "INVALID_COMMAND", "detail": f"Invalid command: {_as_text(body)}"}
        return body


class Current(Dialect):
    """The API that today's clients read."""

    name = "current"
    has_chunks = True
    facts = (*(f"proc/{kind}" for kind in (*SINGLE_FACTS, *MULTI_FACTS)), "metrics/latest")
    trims_result = False

    def list_row(self, command: Command) -> Row:
        row = self._row(command)
        if state.current.switches.lean_rows:
            for key in ("exit_code", "error_phase", *_PROGRESS):
                del row[key]
        return row

    def _row(self, command: Command) -> Row:
        status = command.status_at(*self.now_and_stuck())
        phase = ("agent_timeout" if command.acked_at else "agent_disconnected") if status == "stuck" else None
        return fields(command, *_COMMAND, *_PROGRESS, "exit_code", "scheduled_at", "username", "groupname") | {
            "error_phase": command.error_phase or phase,
            "status": status,
            "cancellable": is_cancellable(command, status),
            "server": self.server_reference(command),
            "requested_by": self.requester(command.requested_by),
        }

    def detail_row(self, command: Command) -> Row:
        grants = ("sudo_grant_status",) if state.current.switches.sudo_grants else ()
        return self._row(command) | fields(command, "data", "run_after", "purpose", *grants)

    def server_reference(self, command: Command) -> t.Any:
        return self._server_summary(command.server)

    def fact_row(self, fact: Fact) -> Row:
        return fields(fact, "id", "added_at") | {"server": self._server_summary(fact.server)} | fact.values

    def _server_summary(self, server: Server) -> Row:
        return {
            "id": str(server.id),
            "name": server.name,
            "os": f"{server.os_name or ''} {server.os_version or ''}".strip(),
            "is_connected": server.is_connected,
        }

    def requester(self, user: User | None) -> t.Any:
        return {"id": str(user.id), "name": user.name, "email": user.email} if user else None

    def create_answer(self, command: Command) -> t.Any:
        return [self.create_row(command)]

    def server_row(self, server: Server, detail: bool) -> Row:
        row = super().server_row(server, detail=True)
        row |= fields(server, "description", "platform", "offline_alert_enabled")
        if server.tags:
            row["tags"] = server.tags
        return row

    def owner(self, user: User | None) -> Row:
        return {"owner": self.requester(user)}

    def error_body(self, error: Exception, body: t.Any, commands: bool, write: bool) -> t.Any:
        code, source = self._code(error, body, commands, write)
        if code is None:
            return body
        return {"code": code} if source is None else {"code": code, "source": source}

    def _code(self, error: Exception, body: t.Any, commands: bool, write: bool) -> tuple[str | None, str | None]:
        if isinstance(error, Refusal):
            return error.reason.code, error.reason.source
        if isinstance(error, Http404):
            return ("command_not_found" if commands else "api_not_found"), None
        if isinstance(error, exceptions.ValidationError):
            if not write:
                return None, None
            return "invalid_command" if commands else "invalid", next(iter(body), None)
        for kind, code in _CODES.items():
            if isinstance(error, kind):
                return code, None
        return None, None


_CODES: dict[type[Exception], str] = {
    exceptions.NotFound: "api_not_found",
    exceptions.Throttled: "api_rate_limited",
    exceptions.NotAuthenticated: "auth_token_missing",
    exceptions.AuthenticationFailed: "auth_authentication_failed",
    exceptions.PermissionDenied: "forbidden",
    exceptions.MethodNotAllowed: "api_method_not_allowed",
    exceptions.ParseError: "api_parse_error",
    exceptions.NotAcceptable: "api_not_acceptable",
    exceptions.UnsupportedMediaType: "api_unsupported_media_type",
}


def _as_text(body: t.Any) -> str:
    if isinstance(body, dict):
        return "; ".join(f"{field}: {_as_text(messages)}" for field, messages in body.items())
    if isinstance(body, list):
        return " ".join(_as_text(item) for item in body)
    return str(body)


DIALECTS: dict[str, type[Dialect]] = {"current": Current, "published": Published, "2024": Dialect2024}
