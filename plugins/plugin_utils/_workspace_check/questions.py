# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a workspace about its token, clock, quota, servers, dialect and routes, by reads alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ...module_utils._api.commands import COMMANDS_PATH, detect_env_by_servers
from ...module_utils._api.errors import ApiError
from ...module_utils._api.lists import NEWEST_FIRST, PAGE_SIZE
from ...module_utils._api.records import STATUSES, Server, parse_commands, parse_servers, parse_time
from ...module_utils._api.servers import SERVERS_PATH
from ...module_utils._api.settings import Settings
from .answers import NOT_ASKED, OK, PROBLEM, WARNING, Answers
from .connecting import SOON
from .probing import Probe, ProbeResponse, RedirectedError, Throttled, list_names

#: Question -> path, and what uses it.
ROUTES = {
    "facts": ("/api/proc/os/", "the option gather of alpacon_server_info"),
    "metrics": ("/api/metrics/latest/", "gather: metrics of alpacon_server_info"),
    "transfers": ("/api/webftp/uploads/", "the upload of files"),
    "approvals": ("/api/approvals/approvals/", "the list of approvals"),
    "preferences": ("/api/workspaces/preferences/-/", "the policy of automatic upgrades of agents"),
}
EVENTS_PATH = "/api/events/sessions/"
_DIALECTS = {
    "current": "The dialect is current, today's API. Lines, scripts and modules can run.",
    "published": "The dialect is published, an older API without env. Lines can run; scripts and modules cannot.",
    "2024": "The dialect is 2024, the open-source server, without env. Lines can run; scripts and modules cannot.",
}
#: Differences of clocks that matter, in seconds.
_SKEW = 5.0
#: Names of headers that state a quota, without their values.
_QUOTA_HEADERS = re.compile(r"(?:x-)?rate-?limit(?:-(?:limit|remaining|reset|policy))?")
#: Values without names, such as 1000 or 1000;w=3600.
_QUOTA = re.compile(r"[0-9][0-9.]{0,19}(?:; ?w=[0-9]{1,9})?", re.ASCII)
_SCOPE = re.compile(r"[a-z_*]{1,40}(?::[a-z_*]{1,40})?")
VERSION = re.compile(r"[0-9][0-9A-Za-z.+~-]{0,30}")
_MAX_SCOPES, _MAX_VERSIONS, _MAX_NAME = 60, 10, 100


@dataclass
class Workspace:
    """Record what the answers say of a workspace.

    Attributes:
        dialect: C(current), C(published) or C(2024); empty if it is not known.
        env: whether commands take variables; None if that is not known.
        servers: those of the first page of the list.
        shapes: names of the fields of rows, and of headers, without values.
    """

    dialect: str = ""
    env: bool | None = None
    servers: Sequence[Server] = ()
    server_count: int = 0
    shapes: dict[str, list[str]] = field(default_factory=dict)


class WorkspaceQuestions:
    def __init__(self, settings: Settings, probe: Probe, answers: Answers) -> None:
        self._settings = settings
        self._probe = probe
        self._answers = answers
        self.workspace = Workspace()

    def ask(self, with_server: bool) -> bool:
        """Ask all questions; return False if the token or the workspace cannot be used.

        Args:
            with_server: leave the question of events to the websocket that is opened later.
        """
        if not self._settings.token:
            finding = f"{self._settings.url} accepts connections. It takes a token to see if it is a workspace."
            self._answers.add("url", OK, finding)
            return False
        try:
            return self._ask(with_server)
        except Throttled as error:
            self._answers.add("url", OK, f"{self._settings.url} answers.")
            add_throttled(error, self._answers)
            return False

    def _ask(self, with_server: bool) -> bool:
        reply = self._get("command", COMMANDS_PATH, {"ordering": NEWEST_FIRST, "page_size": 5})
        is_usable = self._add_url(reply) and self._add_commands(reply)
        self._add_clock(reply)
        if not is_usable:
            return False
        whoami = self._add_token()
        servers = self._add_servers()
        self._add_dialect(reply, servers, whoami)
        for question, (path, use) in ROUTES.items():
            self._add_route(question, path, use)
        remedy = "herdops.alpacon.upgrade_agents reports it when it upgrades an agent."
        self._answers.add(
            "actions", NOT_ASKED, "A read does not show whether the token may run actions on servers.", remedy
        )
        if not with_server:
            self._add_events()
        self._add_quota(reply)
        return True

    def _get(self, shape: str, path: str, params: Mapping[str, Any] | None = None) -> ProbeResponse:
        reply = self._probe.get(path, params)
        if reply.is_ok:
            row = reply.rows[0] if reply.rows else reply.body
            self.workspace.shapes[shape] = list_names(row) if isinstance(row, Mapping) else []
        return reply

    def _add_clock(self, reply: ProbeResponse) -> None:
        if reply.skew is None:
            self._answers.add("clock", NOT_ASKED, "The responses of the workspace state no Date.")
            return
        seconds = round(abs(reply.skew), 1)
        facts = {"seconds_ahead": round(reply.skew, 1)}
        if seconds <= _SKEW:
            self._answers.add("clock", OK, "This machine and the workspace have the same time.", facts=facts)
            return
        side = "ahead of" if reply.skew > 0 else "behind"
        self._answers.add(
            "clock",
            WARNING,
            f"The workspace is {seconds:.0f} s {side} this machine.",
            "Correct the clock that is wrong; timedatectl shows that of this machine. scheduled_at is in the"
            " workspace's time.",
            facts=facts,
        )

    def _add_quota(self, reply: ProbeResponse) -> None:
        headers = {name: value for name, value in reply.headers.items() if _QUOTA_HEADERS.fullmatch(name)}
        stated = {name: value for name, value in headers.items() if _QUOTA.fullmatch(value)}
        self.workspace.shapes["headers"] = list_names(reply.headers)
        if stated:
            text = ", ".join(f"{name} {value}" for name, value in sorted(stated.items()))
            self._answers.add("quota", OK, f"The workspace states: {text}.", facts=stated)
        else:
            assumed = self._settings.requests_per_hour
            finding = f"The workspace states no quota. The collection counts on {assumed:,} requests an hour."
            remedy = "If the token has another quota, set ALPACON_REQUESTS_PER_HOUR."
            self._answers.add("quota", OK, finding, remedy, facts={"requests_per_hour": assumed})

    def _add_url(self, reply: ProbeResponse) -> bool:
        problem = _explain_url(reply)
        if isinstance(reply.error, RedirectedError):
            self._answers.names.add("another", reply.error.origin)
        if problem:
            self._answers.add("url", PROBLEM, *problem, quoted=_quote(reply), facts=_describe(reply))
            return False
        self._answers.add("url", OK, f"{self._settings.url} is an Alpacon workspace.")
        return True

    def _add_commands(self, reply: ProbeResponse) -> bool:
        """Answer commands, or token if it is refused; return False if nothing else can be asked."""
        answers = self._answers
        if reply.is_token_refused:
            finding = f"The workspace refuses it with HTTP {reply.status}: it is unknown, disabled or expired."
            remedy = "Check that you copied the whole token, and that it is one of this workspace. Else create another."
            answers.add("token", PROBLEM, finding, remedy, quoted=reply.quoted, facts=_describe(reply))
            return False
        if not reply.is_ok:
            remedy = "The guide Troubleshooting explains such messages."
            if reply.status == 403:
                remedy = "Grant the token the scopes to read and write commands."
            answers.add("commands", PROBLEM, str(reply.error), remedy, quoted=reply.quoted, facts=_describe(reply))
            return True
        answers.add("commands", OK, "The token may read commands.", facts=_describe(reply))
        return True

    def _add_token(self) -> ProbeResponse:
        """Answer whose token it is; return the response of the route whoami."""
        whoami = self._get("whoami", "/api/auth/whoami/")
        body = whoami.body if isinstance(whoami.body, Mapping) else {}
        user = body.get("user")
        if whoami.is_missing:
            reply = self._get("user", "/api/iam/users/-/")
            user = reply.body if reply.is_ok else None
        application = body.get("application")
        stated = body.get("auth")
        auth = stated if isinstance(stated, Mapping) else {}
        facts: dict[str, Any] = {"whoami": whoami.status}
        if isinstance(application, Mapping) or body.get("principal_type") == "application":
            facts["kind"], owner = "service", application
        elif isinstance(user, Mapping):
            facts["kind"], owner = "personal", user
        else:
            prefix = self._settings.token[:6]
            kind = {"alpat-": "personal", "alpst-": "service"}.get(prefix)
            facts["kind"], owner = kind, {}
        name = _name_owner(owner, self._answers)
        scopes = auth.get("scopes")
        if isinstance(scopes, list):
            facts["scopes"] = sorted(text for text in scopes if isinstance(text, str) and _SCOPE.fullmatch(text))[
                :_MAX_SCOPES
            ]
        finding = f"A {facts['kind']} token{name}." if facts["kind"] else "The workspace does not state whose it is."
        self._add_expiry(finding, facts, auth.get("expires_at") or body.get("expires_at"))
        return whoami

    def _add_expiry(self, finding: str, facts: dict[str, Any], stated: Any) -> None:
        expires = parse_time(stated)
        if expires is None:
            remedy = "The workspace does not state when it expires; its list of tokens shows that."
            self._answers.add("token", OK, finding, remedy, facts={**facts, "days_left": None})
            return
        days = (expires - datetime.now(timezone.utc)).days
        is_soon = days < SOON
        remedy = f"Create another{' before that' if days >= 0 else ''}." if is_soon else ""
        text = f"{finding} The workspace states {expires:%Y-%m-%d} as its expiry."
        self._answers.add("token", WARNING if is_soon else OK, text, remedy, facts={**facts, "days_left": days})

    def _add_servers(self) -> ProbeResponse:
        reply = self._get("server", SERVERS_PATH, {"ordering": "name", "page_size": PAGE_SIZE})
        servers, answers = list(parse_servers(reply.rows)), self._answers
        for server in servers:
            answers.names.add("server", server.name, server.id)
        count = reply.count if reply.count is not None else len(servers)
        self.workspace.servers, self.workspace.server_count = servers, count
        connected = sum(server.is_connected is True for server in servers)
        facts = {**_describe(reply), "seen": count, "connected_of_first_page": connected}
        remedy = "Give the token access to servers: by the groups of its user, and in its list of servers (ACL)."
        if not reply.is_ok:
            remedy = remedy if reply.status == 403 else "Run this again later."
            answers.add("servers", PROBLEM, str(reply.error), remedy, quoted=reply.quoted, facts=facts)
        elif not count:
            answers.add("servers", WARNING, "The token sees no server.", remedy, facts=facts)
        else:
            first = f"of the first {len(servers)}, " if count > len(servers) else ""
            finding = f"The token sees {_plural(count, 'server')}; {first}{connected} connected."
            remedy = "" if connected else "Start the agent on a server: systemctl start alpamon."
            answers.add("servers", OK if connected else WARNING, finding, remedy, facts=facts)
        return reply

    def _add_dialect(self, commands: ProbeResponse, servers: ProbeResponse, whoami: ProbeResponse) -> None:
        rows = list(parse_commands(commands.rows))
        by_command = next((row.may_have_chunks for row in rows if row.status in STATUSES), None)
        env = detect_env_by_servers(self.workspace.servers) if by_command is None else by_command
        is_html = whoami.is_missing and not isinstance(whoami.error, ApiError)
        dialect = "current" if env else "" if env is None else "2024" if is_html else "published"
        self.workspace.dialect, self.workspace.env = dialect, env
        versions = Counter(str(server.version) for server in self.workspace.servers if server.version)
        known = [name for name, _number in versions.most_common(_MAX_VERSIONS) if VERSION.fullmatch(name)]
        facts = {"dialect": dialect or None, "env": env, "agents": {name: versions[name] for name in known}}
        if not dialect:
            finding = "The dialect is not known, since no command and no server shows it."
            self._answers.add("dialect", WARNING, finding, "Run a command, then run this again.", facts=facts)
            return
        agents = f" Agents: {', '.join(known)}." if known else ""
        level = OK if env else WARNING
        remedy = "" if env else "Use the option line. The guide Limits lists what else is missing."
        self._answers.add("dialect", level, f"{_DIALECTS[dialect]}{agents}", remedy, facts=facts)

    def _add_route(self, question: str, path: str, use: str) -> None:
        reply = self._get(question, path, {"page_size": 1})
        self._answers.add(question, *_explain_route(reply, question, use), quoted=_quote(reply), facts=_describe(reply))

    def _add_events(self) -> None:
        reply = self._get("events", EVENTS_PATH, {"page_size": 1})
        level, finding, remedy = _explain_route(reply, "events", "results that are pushed instead of polled")
        if level == OK or reply.status == 405:
            level, finding = (
                NOT_ASKED,
                "The workspace has events. A read does not show whether the token may receive them.",
            )
            remedy = "Name a server with -e alpacon_server=web-01."
        self._answers.add("events", level, finding, remedy, quoted=_quote(reply), facts=_describe(reply))


def add_throttled(error: Throttled, answers: Answers) -> None:
    remedy = "Run this again later."
    if error.retry_after:
        remedy = f"Run this again in {error.retry_after:.0f} s."
    answers.add("quota", PROBLEM, str(error), remedy)


def _explain_url(reply: ProbeResponse) -> tuple[str, str] | None:
    """Return the problem of the URL that the first response shows, and the remedy; None if there is none."""
    if isinstance(reply.error, RedirectedError):
        return str(reply.error), "If that is your workspace, set ALPACON_URL to it."
    if reply.is_foreign or reply.status == 404 or (reply.is_ok and not reply.is_list):
        finding = f"Something other than an Alpacon workspace answers there, with HTTP {reply.status}."
        return finding, "Set ALPACON_URL to the address of the workspace, without a path, and check any proxy."
    if reply.status is None:
        return str(reply.error), "Check the proxy, or set ALPACON_REQUEST_TIMEOUT to more seconds."
    if reply.status >= 500:
        return str(reply.error), "The workspace is down, or a proxy in front of it. Run this again later."
    return None


def _explain_route(reply: ProbeResponse, records: str, use: str) -> tuple[str, str, str]:
    """Return level, finding and remedy of a route that was read."""
    if reply.is_ok:
        return OK, f"The token may read {records}, for {use}.", ""
    if reply.status == 405:
        return NOT_ASKED, f"The workspace has {records}. A read does not show whether the token may use them.", ""
    if reply.is_missing:
        return WARNING, f"This workspace has no {records}, or hides them from the token.", f"Only {use} needs them."
    if reply.status in (401, 403):
        finding = f"The token may not read {records}: HTTP {reply.status}{f' {reply.code}' if reply.code else ''}."
        return WARNING, finding, f"Grant it a scope for them if you need {use}."
    return WARNING, str(reply.error), "Run this again later."


def _describe(reply: ProbeResponse) -> dict[str, Any]:
    facts: dict[str, Any] = {"status": reply.status}
    return {**facts, "code": reply.code} if reply.code else facts


def _quote(reply: ProbeResponse) -> str:
    return "" if reply.is_missing else reply.quoted


def _name_owner(owner: Any, answers: Answers) -> str:
    if not isinstance(owner, Mapping):
        return ""
    texts = [text[:_MAX_NAME] for text in map(owner.get, ("name", "username", "email", "id")) if isinstance(text, str)]
    answers.names.add("user", *texts)
    return f" of {texts[0]}" if texts else ""


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
