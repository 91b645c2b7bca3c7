# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Define the errors of the collection, their sentences for the user, and the parser of the API's error bodies.

The codes are those of the published API page and of the official clients, compared without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from http import HTTPStatus
from itertools import islice
from typing import Any

_BAD_TOKEN = "The token is unknown, disabled or expired. Check it against the workspace's list of tokens."
#: Workspaces of 2024 give the same answer to both.
_NOT_AUTHENTICATED = (
    "The workspace does not recognise the token. It is unknown, disabled or expired, or the workspace has lost its"
    " database. Check the token; if it is valid, run the task again later."
)
_NO_RECORD = "There is no such record, or the token has no access to it. Check the name or id."
_NOT_A_USER = "The workspace asks for multi-factor authentication. Use an API or service token."

#: Code -> cause and remedy, for the requests of this collection.
SENTENCES: dict[str, str] = {
    "api_not_found": _NO_RECORD,
    "api_rate_limited": "The quota of this token is used up. Wait, or ask for fewer servers at once.",
    "api_search_unavailable": "The search of the workspace is down. Try again later, or leave the search out.",
    "api_token_acl_not_allowed": (
        "The access list of this token does not allow that command on that server as that user."
        " Add a command ACL whose pattern matches the whole line, or use a token that has one."
    ),
    "api_token_scope_action_unresolved": "The scopes of this token do not cover this action. Grant them to the token.",
    "api_token_scope_missing": "The token lacks a scope. Grant it, or use a token that has it.",
    "auth_authentication_failed": _BAD_TOKEN,
    "auth_mfa_required": _NOT_A_USER,
    "auth_token_mfa_missing": _NOT_A_USER,
    "auth_token_missing": "No token arrived. Check whether a proxy strips the Authorization header.",
    "auth_verification_unavailable": "The authentication service of the workspace is down. Try again later.",
    "command_inline_credential": (
        "The line carries a credential, which everyone who may read commands would see."
        " Move it to env and refer to it as $NAME."
    ),
    "command_not_found": "There is no such command, or the token has no access to it. It may have been cancelled.",
    "event_command_already_sent": "The command was delivered to the server already and can no longer be cancelled.",
    "file_exec_assessor_disabled": "The workspace runs no verified files. Turn them on there, or leave verified out.",
    "file_exec_content_too_large": "The file is larger than 65536 bytes, the limit of verified files. Shorten it.",
    "file_exec_data_not_allowed": "A verified file takes no data. Leave it out.",
    "file_exec_empty_content": "The file is empty. Write the commands into it.",
    "file_exec_env_not_allowed": "A verified file takes no env. Leave it out.",
    "file_exec_invalid_path": "The path of the file, or of its interpreter, is not absolute. Give absolute paths.",
    "file_exec_invalid_reuse_days": "An approval can be reused for 1 to 366 days. Give reuse_days in that range.",
    "file_exec_line_not_allowed": "A verified file takes no line. Leave it out.",
    "file_exec_line_too_long": "Interpreter, path and arguments are too long together. Give shorter arguments.",
    "file_exec_reuse_exceeds_max": (
        "The workspace does not allow an approval to be reused for that long. Give fewer reuse_days, or leave it out."
    ),
    "file_exec_unsupported_agent": (
        "The agent of that server is older than 2.8.3 or runs on Windows, and runs no verified files. Upgrade it, or"
        " leave the server out."
    ),
    "forbidden": "The token is not allowed to do this.",
    "invalid": "The workspace does not accept what was sent.",
    "invalid_command": (
        "The workspace does not accept this command. Check that there is a server with that id, then line, shell,"
        " username and groupname."
    ),
    "not_found": _NO_RECORD,
    "preferences_agent_rollout_mode_unavailable": (
        "The workspace does not offer this mode of automatic upgrades now. Give another mode: latest or manual."
    ),
    "rbac_object_permission_required": "The role of this token is not allowed to do this with this record.",
    "rbac_permission_required": "The role of this token is not allowed to do this.",
    "server_busy_with_user_work": "A user is working on the server. Try again later, or set force to true.",
    "server_cannot_be_deleted": "The server is still connected. Unregister its agent first.",
    "server_not_connected": (
        "The server is offline: its agent is not connected. Workspaces of 2024 answer the same for a server that is"
        " disabled there. Check it, or leave the server out."
    ),
    "server_pam_install_in_progress": (
        "alpamon-pam is being installed on that server already. Wait until that has ended, then run the task again."
    ),
    "server_pam_install_requires_sudo_with_mfa": (
        "alpamon-pam is for sudo that is confirmed by MFA, which this workspace does not allow. Allow it there first."
    ),
    "server_pam_install_unsupported": (
        "alpamon-pam cannot be installed on that server from the workspace. Leave the server out, or install the"
        " package there yourself."
    ),
    "unauthorized": _BAD_TOKEN,
    "user_username_invalid": "The system username of the account behind this token is not valid. Give username.",
    "user_username_required": "The account behind this token has no system username. Set one, or give username.",
    "webftp_transfer_in_progress": "A file transfer to that server has not finished. Try again later.",
    "work_session_assignee_mismatch": "The work session belongs to another user.",
    "work_session_expired": "The work session has expired. Extend it, or give another in work_session.",
    "work_session_not_active": "The work session is not active. Activate it, or give another in work_session.",
    "work_session_not_usable": "The work session cannot be used. Give another in work_session.",
    "work_session_required": "This login needs a work session. Give it in work_session, or use an API token.",
    "work_session_scope_not_allowed": "The work session does not allow commands. Ask for one that does.",
    "work_session_server_not_allowed": "The work session does not cover that server.",
    "workspace_extension_not_enabled": "The workspace has not enabled this feature.",
    "workspace_extension_plan_required": "The plan of the workspace does not include this.",
}

_ACCOUNT_FIELDS = ("username", "groupname")
#: The text of an unknown account if no field is named.
_ACCOUNT_WORDS = re.compile("username or groupname is not registered", re.I)
_NO_ACCOUNT = (
    "The workspace does not know this username or groupname, or the token is not allowed to use it. Register it there,"
    " or give another one: username and groupname, over the connection become_user, ansible_user and alpacon_groupname."
)

#: Code and blamed field -> cause and remedy.
_SENTENCES_OF_FIELDS = {
    ("invalid_command", "server"): (
        "There is no server with that id, or the token has no access to it. Check the UUID. If an inventory has it from"
        " a cache, read it again with --flush-cache."
    ),
    **{("invalid_command", field): _NO_ACCOUNT for field in _ACCOUNT_FIELDS},
}

#: Texts of the workspaces of 2024, and the code of today's workspaces for each.
_WORDS = (
    (re.compile(r"already been sent", re.I), "event_command_already_sent"),
    (re.compile(r"server is not connected", re.I), "server_not_connected"),
    (re.compile(r"^line: Permission denied", re.I), "api_token_acl_not_allowed"),
    (re.compile(r"authentication credentials were not provided", re.I), "auth_authentication_failed"),
    (re.compile(r"you do not have permission to perform this action", re.I), "forbidden"),
)

#: Codes that the API documents by a pattern.
_CODES_ALIKE = re.compile(r"user_username_\w+|\w+_limit_exceeded")
#: Fields of requests; only the validation of a workspace blames them.
_FIELDS = re.compile(
    "action|agent_rollout_policy|allowed_groups|data|description|env|expires_at|force|groupname|groups|line|name"
    "|non_field_errors|offline_alert_enabled|platform|purpose|requested_by|run_after|scheduled_at|server|shell|tags|username"
    "|work_session"
)
#: Status and text of errors that Django REST framework raises by itself.
_FRAMEWORK_WORDS = re.compile(
    r"400 (JSON parse error|Malformed request).*"
    r"|40[13] (Authentication credentials were not provided|Incorrect authentication credentials|Invalid token)\."
    r"|403 You do not have permission to perform this action\."
    r"|404 (Not found|Invalid page|No \w+ matches the given query)\."
    r'|405 Method "\w+" not allowed\.'
    r"|429 Request was throttled\.( Expected available in \d+ seconds?\.)?"
)

#: Beginning of a text that repeats the status, such as the title of a page.
_HTTP_PHRASE = re.compile(
    rf"(?:HTTP )?(?:[45]\d\d\b|(?:{'|'.join(re.escape(status.phrase) for status in HTTPStatus if status >= 400)})\b)",
    re.I,
)

_REQUEST_TOO_LARGE = (
    "The request is larger than the workspace, or a proxy in front of it, allows. Send less at once, or raise the limit"
    " there; for nginx, client_max_body_size 8m is enough."
)

#: Status -> sentence if the body states nothing.
_SENTENCES_OF_STATUSES = {
    401: _BAD_TOKEN,
    402: SENTENCES["workspace_extension_plan_required"],
    403: SENTENCES["forbidden"],
    404: _NO_RECORD,
    429: SENTENCES["api_rate_limited"],
}

#: The pattern of an access list that allows every payload.
PAYLOAD_PATTERN = "/bin/sh -c $RUN *"

#: Added to errors of writes that a gateway may send, even after the workspace has carried out the request.
UNCERTAIN = "This answer does not say whether the request was carried out."

#: How much of an error is shown: characters of a page, then characters, entries and levels of JSON.
_SHOWN_BODY = 200
_SHOWN_WORDS, _SHOWN_ITEMS, _SHOWN_DEPTH = 4000, 100, 8

#: Controls of terminals, characters that reverse or end a line, and those that XML does not allow.
_UNPRINTABLE = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff\\ufffe\\uffff]"
)

#: Statuses of records that the token is not allowed to read.
NO_ACCESS_STATUSES = (403, 404)


def clean(text: Any) -> str:
    """Escape control characters of terminals, except tabs and line breaks."""

    def escape(found: re.Match[str]) -> str:
        number = ord(found[0])
        return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"

    return _UNPRINTABLE.sub(escape, str(text).replace("\r\n", "\n"))


def clean_line(text: Any) -> str:
    """Escape control characters of terminals, and line breaks."""
    return clean(text).replace("\n", "\\n")


class AlpaconError(Exception):
    """Fail a task with str() of it as the message, and ``details`` in its result."""

    details: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return clean(super().__str__())


class UsageError(AlpaconError):
    """Report that an option is bad, before anything is written."""

    def __init__(self, option: str, problem: str, remedy: str = "") -> None:
        self.option = option
        self.problem = problem
        self.remedy = remedy
        self.details = {"option": option}
        text = f"{option}: {problem}"
        super().__init__(f"{text.rstrip('.')}. {remedy}" if remedy else text)

    def rename(self, names: Mapping[str, str]) -> UsageError:
        """Name variables in place of options; in sentences only options whose name is no English word."""

        def replace(text: str) -> str:
            return re.sub(r"\b(?:[a-z]+_)+[a-z]+\b", lambda found: names.get(found[0], found[0]), text)

        option, rest = re.findall(r"^(\w*)(.*)$", self.option, re.DOTALL)[0]
        renamed = UsageError(names.get(option, option) + rest, replace(self.problem), replace(self.remedy))
        renamed.details = self.details
        return renamed


def did_you_mean(name: Any, names: Iterable[str], otherwise: str) -> str:
    """Suggest the closest of these names, else return another sentence."""
    close = get_close_matches(str(name), list(names))
    return f"Did you mean {clean_line(close[0])}?" if close else otherwise


def join_first(texts: Sequence[str], limit: int, separator: str = ", ") -> str:
    """Join the first texts, and count the others: "web-01, web-02 and 3 more", or "one; two; and 3 more"."""
    shown = separator.join(texts[:limit])
    if len(texts) <= limit:
        return shown
    return f"{shown}{' ' if separator == ', ' else separator}and {len(texts) - limit:,} more"


def wrap_unexpected(error: BaseException, no_log: bool) -> AlpaconError:
    """Report a bug as the error of single commands; with C(no_log) without its text, which may quote a response."""
    if isinstance(error, AlpaconError):
        return error
    return AlpaconError(f"A response could not be processed: {type(error).__name__ if no_log else repr(error):.200}")


class RunIsOver(Exception):
    """Report that the run of ansible-playbook has ended, so that nothing more may be written."""


class MissingLibrary(AlpaconError):
    """Report that a Python library is not installed."""


class ConnectionFailed(AlpaconError):
    """Report that no connection was made, so nothing was sent."""


class ServerIsOffline(ConnectionFailed):
    """Report that nothing was sent, since the server is offline."""


class TimeHasPassed(AlpaconError):
    """Report that the scheduled time had passed before the submit, so nothing was sent."""


class UntrustedCertificate(ConnectionFailed):
    """Report that the certificate or TLS of the workspace is not trusted; a retry does not help."""


class WorkspaceDown(ConnectionFailed):
    """Report that an outage has lasted for so many seconds, so nothing was carried out."""

    def __init__(self, seconds: float, cause: AlpaconError) -> None:
        super().__init__(
            f"The workspace has been down for {seconds:.0f} s and accepted no request in that time. {cause}"
        )


class LostResponse(AlpaconError):
    """Report that a request was sent and may have taken effect: its response is missing or uncertain.

    Attributes:
        others: IDs of other commands that the response names.
    """

    others: tuple[str, ...] = ()
    status: int | None = None


class UnknownEndpoint(LostResponse):
    """Report that the workspace does not know the path, whether or not the record exists; a retry does not help."""


#: For workspaces of 2024, which have no registration tokens.
NO_REGISTRATION = (
    "This workspace is older and does not support registration by token. Nothing was registered or changed."
    " Add servers as its own documentation describes."
)


class UnreadableRow(AlpaconError):
    """Report that a row is not a record, or that its ID is not a UUID."""


class IncompleteList(AlpaconError):
    """Report that rows of a list are missing, or its pages never end, in every reading."""

    def __init__(self, path: str, received: int, count: int | None) -> None:
        self.received = received
        self.count = count
        if count is None:
            problem = f"the list has not ended after {received} rows"
        elif received < count:
            problem = f"only {received} of {count} rows could be read with certainty"
        else:
            problem = f"the pages of the list have {received} rows, which does not match its count of {count}"
        super().__init__(
            f"GET {path}: {problem}. Rows moved to other pages while they were read, or tie in the order of the list."
            " Run the task again when fewer rows change, or use filters that select fewer rows."
        )


@dataclass(eq=False, repr=False)
class ApiError(AlpaconError):
    """Report an error that a response states.

    Args:
        code: the error code in lower case, empty if the body states none.
        text: the body's message.
        retry_after: seconds that the workspace asks to wait.
        stated: whether the API itself certainly refuses the request: JSON with a known code, or an error of a workspace
            of 2024. Any other response may come from a gateway, after the request was carried out.
        quoted: whether the error includes the text, which may repeat the line of a command.
    """

    method: str
    path: str
    status: int
    code: str = ""
    text: str = ""
    retry_after: float | None = None
    stated: bool = False
    source: str = ""
    quoted: bool = True

    def __post_init__(self) -> None:
        self.details = {"error": {"status": self.status, "code": self.code or None, "message": self.text}}
        super().__init__(self._format())

    def _format(self, refused: str = "") -> str:
        sentence = _SENTENCES_OF_FIELDS.get((self.code, self.source)) or SENTENCES.get(self.code, "")
        if self.is_unauthenticated:
            sentence = _NOT_AUTHENTICATED
        if not sentence and re.search(r"\bgate: plan\b", self.text):
            sentence = SENTENCES["workspace_extension_plan_required"]
        text = self.text if self.quoted else ""
        if self.status == 413:
            # The page of a proxy adds nothing to the status.
            sentence, text = sentence or _REQUEST_TOO_LARGE, text if self.stated else ""
        if not sentence and (not text or _HTTP_PHRASE.match(text)):
            # Such a text repeats the status, and says nothing about the cause.
            sentence = self._explain_status()
        parts = [sentence, text, refused if self.quoted else ""]
        sentences = " ".join(part for part in parts if part)
        code = f" {self.code}" if self.code else ""
        return f"{sentences} [{self.method} {self.path}: HTTP {self.status}{code}]"

    def _explain_status(self) -> str:
        if self.method != "GET" and not self.stated and self.code:
            return "The response gives only a code as the reason."
        if self.status >= 500:
            return "The workspace, or a proxy in front of it, failed."
        if self.method != "GET" and not self.stated:
            return "The workspace, or a proxy in front of it, answered with an error."
        if self.status == 401 and self.code:
            # A 401 with a code refuses a known token.
            return "The workspace refuses this, and gives only a code as the reason."
        return _SENTENCES_OF_STATUSES.get(self.status, "The workspace refused the request.")

    def describe_command(self, body: Mapping[str, Any]) -> None:
        """Add what the refused command has that may be the cause: its account, or its line."""
        accounts = " and ".join(f"{field} {body[field]}" for field in _ACCOUNT_FIELDS if body.get(field))
        if accounts and (self.refuses_account or _ACCOUNT_WORDS.search(self.text)):
            self.args = (self._format(f"The command names {accounts}."),)
        if self.code == "api_token_acl_not_allowed":
            line = str(body.get("line", "")).strip()
            pattern = PAYLOAD_PATTERN if line.startswith(PAYLOAD_PATTERN[:-1]) else line
            owner = f" with {accounts}" if accounts else ""
            self.args = (self._format(f"The line{owner}: {_cut(line)} Its pattern: {_cut(pattern)}"),)

    @property
    def refuses_account(self) -> bool:
        return self.code == "invalid_command" and self.source in _ACCOUNT_FIELDS

    @property
    def is_unexplained(self) -> bool:
        """Return True for a 401 or 403 without a known code, which a workspace without its database also answers."""
        return self.is_unauthenticated or (self.status in (401, 403) and not (self.stated and self.code))

    @property
    def is_unauthenticated(self) -> bool:
        """Return True if a workspace of 2024 did nothing, because the token is wrong or its database is away."""
        return self.stated and self.status == 403 and self.text == "Authentication credentials were not provided."

    @property
    def is_forbidden(self) -> bool:
        """Return True if the workspace does not allow this request to the token, which may send others."""
        is_stated = self.status == 403 and self.stated and not self.is_unauthenticated
        return self.code == "api_token_acl_not_allowed" or is_stated

    @property
    def refuses_token(self) -> bool:
        """Return True if the workspace, not a proxy, would refuse every further request with this token."""
        refused = self.status == 401 and (self.stated or not self.text)
        return refused or self.code == "auth_authentication_failed"


class NotCancellable(ApiError):
    """Report that a cancel is refused while the command has a status such as awaiting_approval: it may still run."""

    def __init__(self, refused: ApiError, status: str) -> None:
        super().__init__(refused.method, refused.path, refused.status, refused.code, refused.text)
        self.args = (
            f"The workspace does not allow the command to be cancelled while it is {status}. It may still run."
            f" [{self.method} {self.path}: HTTP {self.status}]",
        )


def error_from_body(
    method: str, path: str, status: int, body: Any, retry_after: float | None = None, quoted: bool = True
) -> ApiError:
    """Build an error from any body that the API is known to send.

    Shapes: ``{"code", "source"}``, ``{"detail"}``, ``{"<field>": [...]}``, ``{"non_field_errors": [...]}``,
    ``{"field_errors": {path: [{code, message}]}}``, a list, HTML or nothing.

    Args:
        body: the decoded JSON, or the text of another body.
    """
    code, text = "", ""
    if isinstance(body, Mapping):
        code = clean(body["code"]).lower() if isinstance(body.get("code"), str) else ""
        text = "; ".join(_collect_texts(body))
    elif isinstance(body, list):
        text = "; ".join(_flatten(item) for item in body[:_SHOWN_ITEMS])
    elif body:
        text = " ".join(re.sub(r"<[^<>]*>", " ", str(body)).split())[:_SHOWN_BODY]
    stated = isinstance(body, Mapping) and _is_from_api(status, code, body)
    if stated and not code:
        code = next((word for pattern, word in _WORDS if pattern.search(text)), "")
    text = clean(text)[:_SHOWN_WORDS]
    source = str(body.get("source", "")) if isinstance(body, Mapping) else ""
    return ApiError(method, path, status, code, text, retry_after, stated, source, quoted)


def _is_from_api(status: int, code: str, body: Mapping[str, Any]) -> bool:
    """Return True for a known code, and for errors that the workspace of 2024 sends."""
    if status >= 500:
        # Other errors may follow after the request was carried out.
        return (status, code) == (503, "server_not_connected")
    if code:
        return code in SENTENCES or bool(_CODES_ALIKE.fullmatch(code))
    if set(body) == {"detail"}:
        return bool(_FRAMEWORK_WORDS.fullmatch(f"{status} {body['detail']}"))
    if status == 402:
        return body.get("gate") == "plan"
    return (
        status == 400
        and bool(body)
        and all(_FIELDS.fullmatch(field) and isinstance(problems, list) for field, problems in body.items())
        and all(isinstance(item, str) for problems in body.values() for item in problems)
    )


def _collect_texts(body: Mapping[str, Any]) -> list[str]:
    words = []
    for key, value in islice(body.items(), _SHOWN_ITEMS):
        if key in ("code", "status", "status_code"):
            continue
        if key == "field_errors" and isinstance(value, Mapping):
            words += [f"{path}: {_flatten(errors)}" for path, errors in value.items()]
        elif key in ("detail", "message", "non_field_errors", "error"):
            words.append(_flatten(value))
        elif value not in (None, "", [], {}):
            words.append(f"{key}: {_flatten(value)}")
    return words


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN_BODY else f"{line[:_SHOWN_BODY]}..."


def _flatten(value: Any, depth: int = 0) -> str:
    if depth > _SHOWN_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        message = value.get("message") or value.get("code")
        if message:
            return _flatten(message, depth + 1)
        return ", ".join(f"{key}: {_flatten(item, depth + 1)}" for key, item in islice(value.items(), _SHOWN_ITEMS))
    if isinstance(value, list):
        return " ".join(_flatten(item, depth + 1) for item in value[:_SHOWN_ITEMS])
    return str(value)
