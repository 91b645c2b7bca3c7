# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send requests to one workspace: retries, rate limits, outages and redirects.

Threads may share one client.
"""

from __future__ import annotations

import contextlib
import math
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Callable, NamedTuple
from urllib.parse import urljoin, urlsplit

from .errors import (
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
from .quota import Quota
from .response import ApiResponse, WorkspaceClock, parse_http_date, parse_response
from .session import Session, close_response, get_origin, read_body
from .settings import Settings

#: The most times that a call is sent.
ATTEMPTS = 5
_TEMPORARY_STATUSES = frozenset((408, 429, 500, 502, 503, 504))
#: The first pause before a retry, in seconds, and how often it doubles at most.
_FIRST_PAUSE, _DOUBLINGS = 0.5, 6
#: The longest wait for the rate limit where :attr:`Client.deadline` is not set, in seconds.
_RATE_LIMIT_WAIT = 300.0
#: Waits for the rate limit from this on are reported, in seconds.
_REPORTED_WAIT = 3.0
_MAX_REDIRECTS = 5

#: How long requests wait for the end of an outage, and when the commands that wait are reported, in seconds.
_OUTAGE_WAIT, _OUTAGE_REPORT = 120.0, 15.0
#: How often a thread checks whether another one has seen the end of an outage, in seconds.
_OUTAGE_CHECK = 0.25
_MAX_PROBE_PAUSE = 15.0
#: The most commands that the report of an outage names.
_NAMED_COMMANDS = 10


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


class OutageState(NamedTuple):
    """Describe an outage: its start and next probe in monotonic seconds, and the pause between probes in seconds."""

    since: float
    next_probe: float
    pause: float


class Outage:
    """State of a workspace's outage, shared by the threads of a process."""

    def __init__(self) -> None:
        self._state: OutageState | None = None
        self._accepted = False
        self._announced = False
        self._lock = threading.Lock()

    @property
    def accepted(self) -> bool:
        """Return True if the workspace has accepted the token in this run."""
        return self._accepted

    def accept(self) -> None:
        self._accepted = True

    def is_first_notice(self) -> bool:
        """Return True at the first call in this run."""
        is_first, self._announced = not self._announced, True
        return is_first

    def read_state(self) -> OutageState | None:
        return self._state

    def write_state(self, state: OutageState | None) -> None:
        self._state = state

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self._lock:
            yield

    def record_failure(self, now: float, pause: float) -> None:
        """Start or prolong an outage, with the next probe after the pause."""
        with self.locked():
            state = self.read_state() or OutageState(now, 0.0, pause)
            self.write_state(state._replace(next_probe=max(state.next_probe, now + pause)))

    def acquire_probe(self, now: float) -> bool:
        """Return True to one caller if a probe is due."""
        with self.locked():
            state = self.read_state()
            if state is None or now < state.next_probe:
                return False
            pause = min(2 * state.pause, _MAX_PROBE_PAUSE)
            self.write_state(OutageState(state.since, now + pause, pause))
            return True

    def clear(self) -> None:
        with self.locked():
            self.write_state(None)


class Client:
    """Call the API of a workspace over keep-alive connections.

    Args:
        pause, outage: shared by all who use the token.
        report: called with a line for the user about a long wait.
        authorization: header to send in place of the one with the token of the settings.
        before_write: called right before each write; an exception keeps the write from being sent.
        quoted: see :class:`.errors.ApiError`.
        quota: counts the requests of all who use the token.

    Attributes:
        deadline: until when calls wait for the rate limit, in monotonic seconds; None for five minutes each.
        submit_deadline: until when submits wait, in monotonic seconds, if that is sooner.
        awaited_ids: returns the IDs of the commands whose results are awaited.
        requests: number of HTTP requests.
    """

    def __init__(
        self,
        settings: Settings,
        sleep: Callable[[float], None] = time.sleep,
        pause: RateLimitPause | None = None,
        report: Callable[[str], None] = lambda _text: None,
        authorization: str | None = None,
        before_write: Callable[[], None] = lambda: None,
        quoted: bool = True,
        outage: Outage | None = None,
        quota: Quota | None = None,
    ) -> None:
        self.settings = settings
        self.clock = WorkspaceClock()
        self.deadline: float | None = None
        self.submit_deadline = math.inf
        self.awaited_ids: Callable[[], Iterable[str]] = tuple
        self.sleep = sleep
        self.requests = 0
        self._lock = threading.Lock()
        self._pause = pause or RateLimitPause()
        self._outage = outage or Outage()
        self._quota = quota or Quota(settings.requests_per_hour)
        #: The latest error of an outage, and the start of the outage that was reported last.
        self._outage_error: AlpaconError | None = None
        self._reported_outage = 0.0
        self._report = report
        self._before_write = before_write
        self._quoted = quoted
        self._session = Session(settings, authorization or f'token="{settings.token}"')

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()

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
        """Send a write; repeat it only if it certainly was not accepted: no connection was made, or status 429.

        Args:
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

    def get_quota_pause(self, requests: int) -> float | None:
        """Return the pause after so many requests with which the quota lasts; None while it is more than half full."""
        return self._quota.get_pause(requests, is_exceeded=self._pause.get_end() > 0)

    def _send_with_retries(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        may_repeat: Callable[[Exception], bool],
        before_each: Callable[[], None] = lambda: None,
    ) -> ApiResponse:
        deadline, rate_limit_deadline = self._get_deadline(), self._get_deadline(method)
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
                    self._outage_error = error
                    self._outage.record_failure(time.monotonic(), pause)
                # The rate limit applies to the token, not to this thread alone.
                if throttled and self._pause.extend(time.monotonic() + pause) and pause >= _REPORTED_WAIT:
                    end = datetime.fromtimestamp(time.time() + pause).strftime("%H:%M:%S")
                    self._report(f"alpacon: the quota of the token is used up until {end}, for {pause:.0f} s")
                if in_outage and method != "GET" and not isinstance(error, ConnectionFailed):
                    raise LostResponse(f"{error} The request may have been carried out.") from None
                if failures >= ATTEMPTS or not (in_outage or may_repeat(error)):
                    raise
                if in_outage:
                    continue
                if time.monotonic() + pause > (rate_limit_deadline if throttled else deadline):
                    raise
                self.sleep(pause)

    def _get_deadline(self, method: str = "") -> float:
        """Return until when a request may wait, in monotonic seconds; given its method, for the rate limit."""
        deadline = self.deadline if self.deadline is not None else time.monotonic() + _RATE_LIMIT_WAIT
        return min(deadline, self.submit_deadline) if method == "POST" else deadline

    def _await_workspace(self, method: str) -> None:
        """Wait for the end of an outage; send a probe if one is due and no other thread sends it.

        Raises:
            WorkspaceDown: the outage lasts too long, and the request is a write.
            AlpaconError: the outage lasts too long, and the request is a read: the latest error.
        """
        while state := self._outage.read_state():
            now = time.monotonic()
            deadline = state.since + _OUTAGE_WAIT
            if method == "POST":
                deadline = min(deadline, self.submit_deadline)
            error = self._outage_error
            if self._outage.acquire_probe(now) or (now >= deadline and error is None):
                self._probe()
            elif now >= deadline and error is not None:
                raise error if method == "GET" else WorkspaceDown(now - state.since, error)
            else:
                if now >= state.since + _OUTAGE_REPORT:
                    self._report_awaited(state.since)
                self.sleep(min(deadline, now + _OUTAGE_CHECK) - now)
        self._outage_error = None

    def _probe(self) -> None:
        """End the outage if the workspace answers a read."""
        try:
            self._send("GET", "/api/events/commands/", {"page_size": 1}, None, lambda: None)
        except (ApiError, ConnectionFailed, LostResponse) as error:
            if not isinstance(error, ApiError) or _is_outage(error):
                self._outage_error = error
                self._outage.record_failure(time.monotonic(), _get_pause(error, 1))
                if self._outage.is_first_notice():
                    self._report(f"alpacon: the workspace fails, and all requests wait until it answers again. {error}")
                return
        self._outage.clear()

    def _report_awaited(self, since: float) -> None:
        """Report once per outage which commands wait for its end."""
        with self._lock:
            is_reported, self._reported_outage = self._reported_outage == since, since
        ids = list(self.awaited_ids())
        if is_reported or not ids:
            return
        more = f" and {len(ids) - _NAMED_COMMANDS} more" if len(ids) > _NAMED_COMMANDS else ""
        named = ", ".join(ids[:_NAMED_COMMANDS])
        self._report(
            f"alpacon: the workspace has failed for {_OUTAGE_REPORT:.0f} s. Commands whose results wait for it:"
            f" {named}{more}. {self._outage_error or ''}".rstrip()
        )

    def _send(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, before_each: Callable[[], None]
    ) -> ApiResponse:
        deadline = self._get_deadline(method)
        # Another thread may prolong the pause.
        while (wait := self._pause.get_end() - time.monotonic()) > 0:
            if time.monotonic() + wait > deadline:
                raise ApiError(method, path, 429, "api_rate_limited", f"It is back in {wait:.0f} s.", wait)
            self.sleep(wait)
        before_each()
        url = self.settings.url + path
        for _redirect in range(_MAX_REDIRECTS + 1):
            with self._lock:
                self.requests += 1
                self._quota.count_request()
            sent = time.time()
            response = self._session.send(method, url, path, params, body)
            arrived = time.time()
            date = parse_http_date(response.headers.get("Date"))
            if date is not None:
                self.clock.observe_date(date, sent, arrived)
            if response.status < 200:
                close_response(response)
                raise LostResponse(
                    f"{method} {path}: HTTP {response.status} is no final status. Check url and any proxy."
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
            where = f"{redact(origin)}, which the token is not for" if location else "nowhere"
            raise ApiError(method, path, response.status, text=f"Redirected to {where}. Check url.")
        return target

    def _parse(self, method: str, path: str, response: Any) -> Any:
        try:
            content = read_body(f"{method} {path}", response)
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


def _get_pause(error: Exception, attempt: int) -> float:
    if isinstance(error, ApiError) and error.retry_after is not None:
        return error.retry_after
    pause: float = _FIRST_PAUSE * 2 ** min(attempt - 1, _DOUBLINGS)
    return pause * random.uniform(0.8, 1.2)
