# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication by the Authorization header, and the throttle."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from django.core.exceptions import ValidationError
from django.http import JsonResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.throttling import SimpleRateThrottle

from workspace import state
from workspace.models import Server, Token

_PAIR = re.compile(r'(\w+)[:=] ?"?([a-zA-Z0-9-_]+)"?')


@dataclasses.dataclass(frozen=True)
class Application:
    """The principal of a service token."""

    username: str
    is_staff: bool = True
    is_superuser: bool = False
    is_authenticated: bool = True


def header_pairs(header: str) -> dict[str, str]:
    return dict(_PAIR.findall(header))


def is_agent(header: str) -> bool:
    return header.startswith("id=")


def server_of(header: str) -> Server | None:
    """Return the server whose agent sent this header."""
    pairs = header_pairs(header)
    try:
        return Server.objects.filter(id=pairs.get("id"), key=pairs.get("key", "")).first()
    except ValidationError:
        return None


def refusal(header: str) -> JsonResponse:
    """Return the response to an agent without valid credentials."""
    dialect = state.current.dialect
    known_kind = is_agent(header) and not dialect.unknown_token_is_anonymous
    error = AuthenticationFailed("Invalid token.") if known_kind else NotAuthenticated()
    body = dialect.error_body(error, {"detail": str(error.detail)}, commands=False, write=False)
    return JsonResponse(body, status=401 if dialect.challenge else 403)


class HeaderAuthentication(BaseAuthentication):  # type: ignore[misc]
    def authenticate(self, request: t.Any) -> tuple[t.Any, Token | None] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        pairs = header_pairs(header)
        if "token" in pairs:
            return self._by_token(pairs["token"])
        if "id" in pairs:
            server = server_of(header)
            return (server, None) if server else self._unknown()
        return None

    def _by_token(self, key: str) -> tuple[t.Any, Token | None] | None:
        token = Token.objects.select_related("user").filter(key=key).first()
        if token is None:
            return self._unknown()
        return token.user or Application(token.username), token

    def _unknown(self) -> tuple[t.Any, Token | None] | None:
        if state.current.dialect.unknown_token_is_anonymous:
            return None
        raise AuthenticationFailed("Invalid token.")

    def authenticate_header(self, request: t.Any) -> str | None:
        return state.current.dialect.challenge


class _Cache(dict[str, t.Any]):
    """The part of Django's cache that a throttle needs, without pickling."""

    def set(self, key: str, value: t.Any, timeout: float | None = None) -> None:
        self[key] = value


class TokenThrottle(SimpleRateThrottle):  # type: ignore[misc]
    """Limit the requests per token and period, except those of agents."""

    cache = _Cache()

    def get_rate(self) -> str | None:
        return state.current.switches.throttle

    def parse_rate(self, rate: str | None) -> tuple[int | None, int | None]:
        """Accept a number of seconds as the period too: 20/5s."""
        count, _slash, period = (rate or "").partition("/")
        if period[:1].isdigit():
            return int(count), int(period.removesuffix("s"))
        return super().parse_rate(rate)  # type: ignore[no-any-return]

    def get_cache_key(self, request: t.Any, view: t.Any) -> str | None:
        return str(request.auth.pk) if request.auth else None
