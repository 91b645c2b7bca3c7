# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send requests to one workspace: retries, rate limits, outages and redirects.

Threads may share one client.
"""

from __future__ import annotations

import copy
import math
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Callable
from urllib.parse import urljoin, urlsplit

from .errors import (
    UNCERTAIN,
    AlpaconError,
    ApiError,
    ConnectionFailed,
    LostResponse,
    UnknownEndpoint,
    UntrustedCertificate,
    WorkspaceDown,
    clean,
)
from .lists import Page, read_pages
from .outage import Outage
from .quota import Quota
from .response import ApiResponse, WorkspaceClock, parse_http_date, parse_response
from .session import Session, close_response, get_origin
from .settings import Settings

#: The most times that a call is sent.
ATTEMPTS = 5
_TEMPORARY_STATUSES = frozenset((408, 429, 500, 502, 503, 504))
#: The first pause before a retry, in seconds, and how often it doubles at most.
_FIRST_PAUSE, _DOUBLINGS = 0.5, 6
#: The longest wait for the rate limit where :attr:`Deadlines.quota` is not set, in seconds.
_RATE_LIMIT_WAIT = 300.0
#: Waits for the rate limit from this on are reported, in seconds.
_REPORTED_WAIT = 3.0
_MAX_REDIRECTS = 5
#: A GET that makes the workspace do something: sent as a GET, and handled as a write.
STARTING_GET = "GET (start)"
_SUBMITS = ("POST", STARTING_GET)

#: How long requests wait for the end of an outage, and when an outage is long, in seconds.
_OUTAGE_WAIT, OUTAGE_REPORT = 120.0, 15.0
#: How often a thread checks whether another one has seen the end of an outage, in seconds.
_OUTAGE_CHECK = 0.25


class RateLimitPause:
    """Delay the requests of all threads while the rate limit of the token is reached."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def get_end(self) -> float:
        return self._until

    def extend(self, until: float) -> bool:
        """Extend the pause up to a monotonic time; return True if that is later by more than a second."""
        with self._lock:
            is_later = until > self._until + 1
            self._until = max(self._until, until)
        return is_later


class _Counter:
    """Count the requests of all threads, for another counter too."""

    def __init__(self, other: _Counter | None = None) -> None:
        self.number = 0
        self._other = other
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self.number += 1
        if self._other:
            self._other.add()


@dataclass(frozen=True)
class Deadlines:
    """Until when requests wait, in monotonic seconds.

    Attributes:
        quota: for the rate limit; None for five minutes each.
        submits: POSTs, if that is sooner.
        reads: GETs. From then on, each is sent once, even in an outage, and all end within one request_timeout. Only
            the rate limit is awaited for longer.
    """

    quota: float | None = None
    submits: float = math.inf
    reads: float = math.inf


class Client:
    """Call the API of a workspace over keep-alive connections.

    Args:
        deadlines: see also :meth:`until`.
        pause, outage: shared by all who use the token.
        report: called with a line for the user about a long wait.
        log: see :class:`.Session`.
        authorization: header to send in place of the one with the token of the settings.
        before_write: called right before each write; an exception keeps the write from being sent.
        quoted: see :class:`.errors.ApiError`.
        quota: counts the requests of all who use the token.

    Attributes:
        deadlines: those of all requests of this client.
    """

    def __init__(
        self,
        settings: Settings,
        sleep: Callable[[float], None] = time.sleep,
        deadlines: Deadlines = Deadlines(),
        pause: RateLimitPause | None = None,
        report: Callable[[str], None] = lambda _text: None,
        authorization: str | None = None,
        before_write: Callable[[], None] = lambda: None,
        quoted: bool = True,
        outage: Outage | None = None,
        quota: Quota | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.clock = WorkspaceClock()
        self.deadlines = deadlines
        self.sleep = sleep
        self._sent = _Counter()
        self._pause = pause or RateLimitPause()
        self._outage = outage or Outage()
        self._quota = quota or Quota(settings.requests_per_hour)
        self._on_long_outage: Callable[[AlpaconError], None] = lambda _error: None
        self._report = report
        self._before_write = before_write
        self._quoted = quoted
        self._session = Session(settings, authorization or f'token="{settings.token}"', log)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()

    def open_socket(self) -> Any:
        """Return a socket that is connected to the workspace; :class:`ConnectionFailed` if that is impossible."""
        return self._session.open_socket()

    @property
    def requests(self) -> int:
        """Return the number of HTTP requests, with those of clients that :meth:`until` made of this one."""
        return self._sent.number

    def until(self, on_long_outage: Callable[[AlpaconError], None] | None = None, **deadlines: float) -> Client:
        """Return a client of the same connections with other deadlines.

        Args:
            on_long_outage: called once in an outage that has lasted for :data:`OUTAGE_REPORT` seconds, with its error.
            deadlines: fields of :class:`Deadlines`.
        """
        client = copy.copy(self)
        client.deadlines = replace(self.deadlines, **deadlines)
        client._sent = _Counter(self._sent)
        client._on_long_outage = on_long_outage or self._on_long_outage
        return client

    def get(self, path: str, params: Mapping[str, Any] | None = None, patient: bool = True) -> Any:
        """Read a path and return its decoded JSON.

        With ``patient=False``, wait for the rate limit and for the end of an outage, but do not retry other errors.

        Raises:
            ApiError: the response states an error.
            ConnectionFailed, LostResponse: there is no response, or it cannot be read.
        """
        return self._send_with_retries("GET", path, params, None, _is_temporary if patient else _is_throttled).body

    def write(
        self, method: str, path: str, body: Any = None, before_each: Callable[[], None] = lambda: None
    ) -> ApiResponse:
        """Send a write; repeat it only if it certainly was not accepted.

        That is certain if no connection was made, for status 429 and, in an outage, if the workspace did not
        authenticate the request.

        Args:
            method: a method of HTTP, or :data:`STARTING_GET`.
            before_each: called right before each attempt; an exception keeps the write from being sent.

        Raises:
            ApiError: the workspace certainly refused the write, see :attr:`.errors.ApiError.stated`.
            ConnectionFailed: the write was never sent.
            LostResponse: the write may have taken effect: an outage, a redirect, any other error, or an unreadable
                response.
        """

        def before() -> None:
            self._before_write()
            before_each()

        return self._send_with_retries(method, path, None, body, _is_unaccepted, before)

    def delete(self, path: str) -> bool:
        """Delete a record; return False if there was none. Raises as :meth:`write`.

        After a lost response the DELETE is sent again, which does no harm. If that response is lost too, read the
        record.
        """
        is_lost = False
        try:
            try:
                self.write("DELETE", path)
            except LostResponse:
                is_lost = True
                self.write("DELETE", path)
        except LostResponse as lost:
            try:
                self.get(path.partition("?")[0])
            except AlpaconError as error:
                if isinstance(error, ApiError) and error.status == 404:
                    return True
            raise lost from None
        except ApiError as error:
            if error.status != 404:
                raise
            return is_lost
        return True

    def pages(
        self, path: str, params: Mapping[str, Any] | None = None, whole: bool = False, patient: bool = True
    ) -> Iterator[Page]:
        """Read a list page by page; see :func:`.lists.read_pages` and :meth:`get`."""
        return read_pages(partial(self.get, patient=patient), path, params, whole)

    def rows(
        self, path: str, params: Mapping[str, Any] | None = None, patient: bool = True
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of all pages; :class:`IncompleteList` at the end if rows are missing."""
        for page in self.pages(path, params, True, patient):
            yield from page.rows

    def get_quota_pause(self, requests: int, longest: float = math.inf) -> float | None:
        """Return the pause after this many requests with which the quota lasts; None while it is more than half full.

        Args:
            longest: see :meth:`.Quota.get_pause`.
        """
        return self._quota.get_pause(requests, self._pause.get_end() > 0, longest)

    def _send_with_retries(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        may_repeat: Callable[[Exception], bool],
        before_each: Callable[[], None] = lambda: None,
    ) -> ApiResponse:
        read_deadline = self.deadlines.reads if method == "GET" else math.inf
        deadline, rate_limit_deadline = min(self._get_deadline(), read_deadline), self._get_deadline(method)
        attempt = failures = 0
        while True:
            self._await_workspace(method)
            try:
                return self._send(method, path, params, body, before_each)
            except (ApiError, ConnectionFailed, LostResponse) as error:
                throttled = _is_throttled(error)
                in_outage = self._outage.accepted and _is_outage(error)
                attempt += 1
                failures += not throttled
                pause = _get_pause(error, attempt)
                if in_outage:
                    self._outage.record_failure(time.monotonic(), pause, error)
                # The rate limit applies to the token, not to this thread alone.
                if throttled and self._pause.extend(time.monotonic() + pause) and pause >= _REPORTED_WAIT:
                    end = datetime.fromtimestamp(time.time() + pause).strftime("%H:%M:%S")
                    self._report(f"alpacon: the quota of the token is used up until {end}, for {pause:.0f} s")
                if in_outage and method != "GET" and not _is_without_effect(error):
                    raise LostResponse(f"{error} {UNCERTAIN}") from None
                if failures >= ATTEMPTS or not (in_outage or may_repeat(error)):
                    raise
                if in_outage and time.monotonic() < read_deadline:
                    continue
                if time.monotonic() + pause > (rate_limit_deadline if throttled else deadline):
                    raise
                self.sleep(pause)

    def _get_deadline(self, method: str = "") -> float:
        """Return until when a request may wait, in monotonic seconds; given its method, for the rate limit."""
        quota, submits = self.deadlines.quota, self.deadlines.submits
        deadline = quota if quota is not None else time.monotonic() + _RATE_LIMIT_WAIT
        return min(deadline, submits) if method in _SUBMITS else deadline

    def _await_workspace(self, method: str) -> None:
        """Wait for the end of an outage; send a probe if one is due and no other thread sends it.

        Raises:
            WorkspaceDown: the outage lasts too long, and the request is a write.
            AlpaconError: the outage lasts too long, and the request is a read: the latest error.
        """
        outage, is_read = self._outage, method == "GET"
        # A task with max_concurrency still submits after that deadline.
        has_deadline = method in _SUBMITS and time.monotonic() < self.deadlines.submits
        while state := outage.read_state():
            now = time.monotonic()
            deadline = min(state.since + _OUTAGE_WAIT, self.deadlines.submits if has_deadline else math.inf)
            if is_read and now >= self.deadlines.reads:
                return
            error = outage.error
            if outage.acquire_probe(now) or (now >= deadline and error is None):
                self._probe()
            elif now >= deadline and error is not None:
                raise error if is_read else WorkspaceDown(now - state.since, error)
            else:
                if error and now >= state.since + OUTAGE_REPORT and outage.is_first_report(state.since):
                    self._on_long_outage(error)
                end = min(deadline, self.deadlines.reads) if is_read else deadline
                self.sleep(min(end, now + _OUTAGE_CHECK) - now)
        outage.error = None

    def _probe(self) -> None:
        """End the outage if the workspace answers a read."""
        try:
            self._send("GET", "/api/events/commands/", {"page_size": 1}, None, lambda: None)
        except (ApiError, ConnectionFailed, LostResponse) as error:
            if not isinstance(error, ApiError) or _is_outage(error):
                self._outage.record_failure(time.monotonic(), _get_pause(error, 1), error)
                if self._outage.is_first_notice():
                    self._report(
                        f"alpacon: the workspace is down, and all requests wait until it answers again. {error}"
                    )
                return
        self._outage.clear()

    def _send(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, before_each: Callable[[], None]
    ) -> ApiResponse:
        deadline = self._get_deadline(method)
        # Another thread may prolong the pause.
        while (wait := self._pause.get_end() - time.monotonic()) > 0:
            if time.monotonic() + wait > deadline:
                raise ApiError(method, path, 429, "api_rate_limited", f"It is back in {wait:.0f} s.", wait)
            self.sleep(wait)
        # A read that waited for the rate limit gets as long as any other.
        reads = self.deadlines.reads if method == "GET" else math.inf
        end = max(reads, self._pause.get_end()) + self.settings.request_timeout
        if time.monotonic() >= end:
            raise LostResponse(f"{method} {path}: not sent, since wait_timeout and one request_timeout have passed.")
        before_each()
        url = self.settings.url + path
        for _redirect in range(_MAX_REDIRECTS + 1):
            self._sent.add()
            self._quota.count_request()
            sent = time.time()
            verb = "GET" if method == STARTING_GET else method
            response = self._session.send(verb, url, path, params, body, end)
            arrived = time.time()
            date = parse_http_date(response.headers.get("Date"))
            if date is not None:
                self.clock.observe_date(date, sent, arrived)
            if response.status < 200:
                close_response(response)
                raise LostResponse(
                    f"{method} {path}: HTTP {response.status} is not a final status. Check url and any proxy."
                )
            if not 300 <= response.status < 400:
                parsed = ApiResponse(response.status, self._parse(method, path, response), sent, arrived)
                self._outage.accept()
                return parsed
            close_response(response)
            url, params = self._follow_redirect(method, path, url, response), None
        raise ApiError(method, path, response.status, text=f"More than {_MAX_REDIRECTS} redirects.")

    def _follow_redirect(self, method: str, path: str, url: str, response: Any) -> str:
        location = clean(response.headers.get("Location", ""))
        redact = self._session.redaction.redact_text
        if method != "GET":
            raise LostResponse(
                f"{method} {path}: HTTP {response.status}, a redirect to {redact(location) or 'nowhere'}, which a write"
                " does not follow. It may have been carried out. Check url."
            )
        try:
            target: str = urljoin(url, location)
            origin = get_origin(target)
        except ValueError:
            origin = "an invalid address"
        if not location or origin != self._session.origin:
            where = f"{redact(origin)}, to which the token does not belong" if location else "nowhere"
            raise ApiError(method, path, response.status, text=f"Redirected to {where}. Check url.")
        return target

    def _parse(self, method: str, path: str, response: Any) -> Any:
        try:
            content = self._session.read_body(f"{method} {path}", response)
        except LostResponse:
            # The status alone states an error.
            if response.status < 400:
                raise
            content = b""
        redaction = self._session.redaction
        try:
            return parse_response(method, path, response.status, response.headers, content, redaction, self._quoted)
        except (ApiError, LostResponse) as error:
            # The response may come from a proxy or another server: add hints about the route.
            if not getattr(error, "stated", False):
                prefix, proxy = urlsplit(self.settings.url).path, self._session.proxy
                hints = [
                    *([f"url has the path {prefix}, which few workspaces have: try it without."] if prefix else []),
                    *([f"The request went through the proxy {proxy}."] if proxy else []),
                ]
                error.args = (" ".join([str(error), *hints]),)
            raise


def get_or_none(client: Client, path: str, params: Mapping[str, Any] | None = None) -> Any:
    """Read a path; None if the workspace does not know the record or, as older ones, the address."""
    try:
        return client.get(path, params)
    except (ApiError, UnknownEndpoint) as error:
        if isinstance(error, ApiError) and error.status != 404:
            raise
        return None


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, ApiError):
        return error.status in _TEMPORARY_STATUSES and error.code != "server_not_connected"
    return not isinstance(error, (UntrustedCertificate, UnknownEndpoint))


def _is_throttled(error: Exception) -> bool:
    return isinstance(error, ApiError) and error.status == 429


def _is_unaccepted(error: Exception) -> bool:
    return _is_throttled(error) or (isinstance(error, ConnectionFailed) and not isinstance(error, UntrustedCertificate))


def _is_outage(error: AlpaconError) -> bool:
    """Return True for an error of a workspace that has accepted the token before and is down now."""
    if isinstance(error, ApiError):
        return error.is_unexplained or (error.status >= 500 and not error.stated)
    return isinstance(error, ConnectionFailed) and not isinstance(error, UntrustedCertificate)


def _is_without_effect(error: AlpaconError) -> bool:
    """Return True if a write that failed in an outage was certainly not carried out."""
    return isinstance(error, ConnectionFailed) or (isinstance(error, ApiError) and error.is_unauthenticated)


def _get_pause(error: Exception, attempt: int) -> float:
    if isinstance(error, ApiError) and error.retry_after is not None:
        return error.retry_after
    pause: float = _FIRST_PAUSE * 2 ** min(attempt - 1, _DOUBLINGS)
    return pause * random.uniform(0.8, 1.2)
