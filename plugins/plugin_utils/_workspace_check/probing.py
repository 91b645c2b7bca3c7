# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send single reads to a workspace within a number of requests, and connect to it without a request."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urljoin

from ...module_utils._api.errors import AlpaconError, ApiError, LostResponse, UnknownEndpoint
from ...module_utils._api.quota import Quota
from ...module_utils._api.response import parse_http_date, parse_response
from ...module_utils._api.session import Session, close_response, get_origin
from ...module_utils._api.settings import Settings

#: The most failed requests in a row: after them, the workspace is not asked again.
_MAX_FAILURES = 2
#: The most names of fields and headers that are kept, and their form.
_MAX_NAMES, _NAME = 80, re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


class BudgetSpent(AlpaconError):
    """Report that the playbook has sent all the requests that it may send."""


class Throttled(AlpaconError):
    """Report that the workspace refuses requests, since the token has used its own.

    Attributes:
        retry_after: seconds that the workspace asks to wait; None if it states none.
    """

    def __init__(self, retry_after: float | None) -> None:
        self.retry_after = retry_after
        super().__init__("The token has used up its requests (HTTP 429).")


class Budget(Quota):
    """Count all requests, and refuse more than a number of them."""

    def __init__(self, most: int, requests_per_hour: int) -> None:
        super().__init__(requests_per_hour)
        self.most = most
        self.used = 0

    def count_request(self) -> None:
        if self.used >= self.most:
            raise BudgetSpent(f"All {self.most} requests of this playbook are used.")
        self.used += 1
        super().count_request()


@dataclass(frozen=True)
class ProbeResponse:
    """Response to a read.

    Attributes:
        status: None if there was no response.
        headers: by their names in lower case.
        error: None if the response is JSON and states success.
        skew: seconds by which the workspace's clock is ahead, by the header Date; None if there is none.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    error: AlpaconError | None = None
    skew: float | None = None

    @property
    def is_ok(self) -> bool:
        return self.error is None

    @property
    def code(self) -> str | None:
        return get_code(self.error)

    @property
    def quoted(self) -> str:
        return self.error.text if isinstance(self.error, ApiError) else ""

    @property
    def is_missing(self) -> bool:
        """Return True if the workspace does not know the address."""
        return isinstance(self.error, UnknownEndpoint) or (isinstance(self.error, ApiError) and self.status == 404)

    @property
    def is_token_refused(self) -> bool:
        error = self.error
        return isinstance(error, ApiError) and (error.refuses_token or error.is_unauthenticated or error.status == 401)

    @property
    def is_foreign(self) -> bool:
        """Return True for the response of another server than a workspace."""
        is_lost = isinstance(self.error, LostResponse) and not isinstance(self.error, UnknownEndpoint)
        return is_lost and self.status is not None

    @property
    def is_list(self) -> bool:
        return isinstance(self.body.get("results") if isinstance(self.body, Mapping) else self.body, list)

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        rows = self.body.get("results") if isinstance(self.body, Mapping) else self.body
        return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []

    @property
    def count(self) -> int | None:
        count = self.body.get("count") if isinstance(self.body, Mapping) else None
        return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 10**9 else None


def get_code(error: AlpaconError | None) -> str | None:
    """Return the API's code of an error if it has the form of one."""
    code = error.code if isinstance(error, ApiError) else ""
    return code if re.fullmatch(r"[a-z0-9_]{1,60}", code) else None


class RedirectedError(AlpaconError):
    """Report the origin that the workspace's URL redirects to."""

    def __init__(self, status: int, origin: str) -> None:
        self.origin = origin
        super().__init__(f"HTTP {status} redirects to {origin}.")


@dataclass(frozen=True)
class Tls:
    """TLS of a connection; C(expires) is None if the certificate was not verified."""

    version: str
    expires: datetime | None


class Probe:
    """Ask a workspace, each question once: nothing is repeated, and after two failures in a row nothing more is sent.

    Raises:
        UsageError: see :class:`.Session`.
    """

    def __init__(self, settings: Settings, budget: Budget, log: Callable[[str], None] | None = None) -> None:
        self._settings = settings
        self._budget = budget
        self._session = Session(settings, f'token="{settings.token}"', log)
        self._failures = 0

    @property
    def proxy(self) -> str:
        return self._session.proxy

    def close(self) -> None:
        self._session.close()

    def connect(self) -> Tls | None:
        """Connect without a request; return None for plain HTTP. Raises :class:`.ConnectionFailed`."""
        if self._session.proxy and self._settings.url.startswith("http:"):
            return None  # some proxies open tunnels for HTTPS only
        socket = self._session.open_socket()
        try:
            return _read_tls(socket)
        finally:
            socket.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> ProbeResponse:
        """Read a path once, without following redirects. Raises :class:`Throttled`."""
        if self._failures >= _MAX_FAILURES:
            return ProbeResponse(error=AlpaconError(f"The last {_MAX_FAILURES} requests failed, so no more are sent."))
        try:
            self._budget.count_request()
            reply = self._send(path, params or {})
        except AlpaconError as error:
            reply = ProbeResponse(error=error)
        if isinstance(reply.error, ApiError) and reply.status == 429:
            raise Throttled(reply.error.retry_after)
        is_failed = reply.status is None or reply.status >= 500
        self._failures = self._failures + 1 if is_failed else 0
        return reply

    def _send(self, path: str, params: Mapping[str, Any]) -> ProbeResponse:
        url = self._settings.url + path
        sent = time.time()
        response = self._session.send("GET", url, path, params, None)
        arrived, status = time.time(), int(response.status)
        headers = {name.lower(): value for name, value in response.headers.items()}
        skew = _measure_skew(headers, sent, arrived)
        if 300 <= status < 400:
            close_response(response)
            return ProbeResponse(status, headers, error=RedirectedError(status, _find_origin(url, headers)), skew=skew)
        try:
            content = self._session.read_body(f"GET {path}", response)
            body = parse_response("GET", path, status, response.headers, content, self._session.redaction, False)
        except AlpaconError as error:
            return ProbeResponse(status, headers, error=error, skew=skew)
        return ProbeResponse(status, headers, body, skew=skew)


def _find_origin(url: str, headers: Mapping[str, str]) -> str:
    try:
        return get_origin(urljoin(url, headers.get("location", "")))
    except ValueError:
        return "an invalid address"


def _measure_skew(headers: Mapping[str, str], sent: float, arrived: float) -> float | None:
    date = parse_http_date(headers.get("date"))
    # The header has whole seconds only.
    return None if date is None else date + 0.5 - (sent + arrived) / 2


def _read_tls(socket: Any) -> Tls | None:
    if not hasattr(socket, "version"):
        return None
    try:
        stated = (socket.getpeercert() or {}).get("notAfter")
        expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(stated), timezone.utc) if stated else None
    except (AttributeError, OSError, ValueError):
        expires = None
    return Tls(str(socket.version() or "TLS"), expires)


def list_names(names: Any) -> list[str]:
    """Return names of fields or headers that have the form of one, sorted; never their values."""
    kept = (name for name in names if isinstance(name, str) and _NAME.fullmatch(name))
    return sorted(kept)[:_MAX_NAMES]
