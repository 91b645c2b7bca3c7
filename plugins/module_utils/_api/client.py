# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP towards one workspace: authentication, TLS, timeouts, paging, Retry-After, safe repetition, a request counter.

Threads may share one client.
"""

from __future__ import annotations

import contextlib
import math
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple
from urllib.parse import urljoin, urlsplit

from . import lists as _lists
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
from .lists import Page
from .records import last_moment
from .response import ApiResponse, parse_http_date, parse_response
from .session import Session, UnreadableBody, close_response, get_origin, read_body
from .settings import Settings

#: The longest pause between two probes, in seconds.
LONGEST_PROBE_PAUSE = 15.0


class OutageState(NamedTuple):
    """An outage that goes on.

    Attributes:
        since: when it began, in monotonic seconds.
        next_probe: when it is probed next, in monotonic seconds.
        pause: seconds between the last probe and the next one.
    """

    since: float
    next_probe: float
    pause: float


class Outage:
    """The outage of a workspace, if there is one, for the threads of a process."""

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
        """Note that the workspace has accepted the token."""
        self._accepted = True

    def is_first_notice(self) -> bool:
        """Return True the first time in this run."""
        first, self._announced = not self._announced, True
        return first

    def read_state(self) -> OutageState | None:
        """Return the outage, or None if there is none."""
        return self._state

    def write_state(self, state: OutageState | None) -> None:
        """Replace the outage, under the lock."""
        self._state = state

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the outage."""
        with self._lock:
            yield

    def record_failure(self, now: float, pause: float) -> None:
        """Begin an outage, or go on with one; no probe is due before the pause is over."""
        with self.locked():
            state = self.read_state() or OutageState(now, 0.0, pause)
            self.write_state(state._replace(next_probe=max(state.next_probe, now + pause)))

    def acquire_probe(self, now: float) -> bool:
        """Return True if a probe is due, to one caller alone."""
        with self.locked():
            state = self.read_state()
            if state is None or now < state.next_probe:
                return False
            pause = min(2 * state.pause, LONGEST_PROBE_PAUSE)
            self.write_state(OutageState(state.since, now + pause, pause))
            return True

    def clear(self) -> None:
        """End the outage."""
        with self.locked():
            self.write_state(None)


#: By how much readings may disagree on the offset between both clocks, in seconds.
_TOLERANCE = 1.0
#: A clock that is further off than this is none, in seconds: a controller that lost its own may live in 1970.
_FARTHEST = 100 * 366 * 86400.0


class Offset:
    """By how much another clock is ahead, in seconds: not less and not more than this, by all readings."""

    def __init__(self) -> None:
        self.least, self.most = -math.inf, math.inf

    def narrow(self, shown: float, precision: float, sent: float, arrived: float) -> None:
        """Take a reading into account.

        Args:
            shown: what the clock showed, in seconds since the epoch; up to ``precision`` less than its time.
            sent, arrived: local times of the request and of its answer, between which it did.
        """
        if abs(shown - sent) <= _FARTHEST:
            self.least = max(self.least, shown - arrived)
            self.most = min(self.most, shown + precision - sent)

    @property
    def is_known(self) -> bool:
        """Whether there are readings, and one offset fits all of them."""
        return math.isfinite(self.least) and self.least <= self.most + _TOLERANCE


class WorkspaceClock:
    """The clock of a workspace, out of both sources that its answers are; threads may share one.

    What a submit of one's own says of when it was added is the clock that all rows go by. ``Date`` counts until there
    is one: some workspaces state none, and a proxy states its own.
    """

    def __init__(self) -> None:
        self._by_rows, self._by_dates = Offset(), Offset()
        self._lock = threading.Lock()

    def observe_date(self, shown: float, sent: float, arrived: float) -> None:
        """Read the Date of an answer, which is cut to whole seconds."""
        with self._lock:
            self._by_dates.narrow(shown, 1.0, sent, arrived)

    def observe_row(self, added_at: datetime, sent: float, arrived: float) -> None:
        """Read when what was submitted with a request was added."""
        shown = added_at.timestamp()
        with self._lock:
            self._by_rows.narrow(shown, last_moment(added_at).timestamp() - shown, sent, arrived)

    def observe_past(self, moment: datetime, local: float) -> None:
        """Read a moment that has passed by the workspace's clock at this local time; only a Date can contradict it."""
        with self._lock:
            if math.isfinite(self._by_dates.least):
                self._by_dates.narrow(moment.timestamp(), math.inf, local, local)

    def timestamp_at(self, local: float) -> float:
        """The earliest time, in seconds since the epoch, that it can have shown at a time of this machine's clock."""
        least = self._offset.least
        return local + (least if math.isfinite(least) else 0.0)

    def datetime_at(self, local: float) -> datetime:
        """The earliest moment that it can have shown at a time of this machine's clock, in UTC."""
        return datetime.fromtimestamp(self.timestamp_at(local), timezone.utc)

    def now(self) -> datetime:
        """The time by it, or by this machine's clock where no answer has told."""
        return self.datetime_at(time.time())

    @property
    def is_known(self) -> bool:
        """Whether answers tell it, and do not contradict each other."""
        return self._offset.is_known

    @property
    def _offset(self) -> Offset:
        return self._by_rows if math.isfinite(self._by_rows.least) else self._by_dates


#: How often a call is sent at the most when it fails for a passing reason.
ATTEMPTS = 5
#: The longest that a call waits for a used-up request budget where :attr:`Client.deadline` is not set, in seconds.
THROTTLE_PATIENCE = 300.0
#: A wait for the request budget that a user is told of, in seconds.
_TOLD_WAIT = 3.0
_REDIRECTS = 5
#: The first pause before a request is sent again, in seconds, and how often it is doubled at the most.
_PAUSE, _DOUBLED = 0.5, 6
_PASSING = frozenset((408, 429, 500, 502, 503, 504))
#: How long an outage is waited for, in seconds.
OUTAGE_PATIENCE = 120.0
#: After so many seconds of an outage, a user is told which commands wait for its end.
_TOLD_OUTAGE = 15.0
#: How often the end of an outage, which another worker may see, is looked for, in seconds.
_OUTAGE_CHECK = 0.25
#: A read that costs little.
_PROBE, _PROBE_PARAMS = "/api/events/commands/", {"page_size": 1}
#: So many commands that wait for the end of an outage are named.
_NAMED_COMMANDS = 10


class RateLimitPause:
    """Until when no request may be sent, since the request budget is used up; for the threads of a process."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def until(self) -> float:
        """Monotonic seconds."""
        return self._until

    def hold(self, until: float) -> bool:
        """Make everybody wait until then, in monotonic seconds; return True if that is later by more than a second."""
        with self._lock:
            is_later = until > self._until + 1
            self._until = max(self._until, until)
        return is_later


class Client:
    """One keep-alive session with a workspace.

    Args:
        settings: the connection settings.
        pool: how many connections are kept open, that is, how many threads may send at once.
        sleep: called with seconds to pause.
        pause: until when requests wait because the request budget is used up; shared by all who use the token.
        report: takes a line for the user about such a wait, or an outage.
        outage: shared by all who use the token, as the pause is.
        authorization: header to send in place of the one that the token of the settings makes.
        before_write: called right before each write is sent; what it raises keeps it from being sent.
        quoted: whether errors say what the workspace does in words, see :class:`.errors.ApiError`.
    """

    def __init__(
        self,
        settings: Settings,
        pool: int = 17,
        sleep: Callable[[float], None] = time.sleep,
        pause: RateLimitPause | None = None,
        report: Callable[[str], None] = lambda _text: None,
        authorization: str | None = None,
        before_write: Callable[[], None] = lambda: None,
        quoted: bool = True,
        outage: Outage | None = None,
    ) -> None:
        self.settings = settings
        self.clock = WorkspaceClock()
        #: Until when a used-up request budget is waited for, in monotonic seconds.
        self.deadline: float | None = None
        #: Until when submits wait for a used-up request budget, in monotonic seconds, where that is sooner.
        self.submit_deadline = math.inf
        #: Gives the ids of the commands whose results wait for the end of an outage.
        self.awaited_ids: Callable[[], Iterable[str]] = tuple
        #: Called with seconds to pause.
        self.sleep = sleep
        self._lock = threading.Lock()
        self._requests = 0
        self._pause = pause or RateLimitPause()
        self._outage = outage or Outage()
        #: The latest error that is laid to an outage, and the beginning of the outage that was told of last.
        self._trouble: AlpaconError | None = None
        self._told_outage = 0.0
        self._report = report
        self._before_write = before_write
        self._quoted = quoted
        self._session = Session(settings, pool, authorization or f'token="{settings.token}"')

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()

    @property
    def requests(self) -> int:
        """How many HTTP requests were sent so far."""
        return self._requests

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Read a path and return its decoded JSON.

        Repeats what fails for a passing reason, with widening pauses, up to :data:`ATTEMPTS` times;
        a used-up budget (429) is waited for as long as :attr:`deadline` allows, and an outage for
        :data:`OUTAGE_PATIENCE`.

        Raises:
            ApiError: the server states an error.
            ConnectionFailed, LostResponse: no answer, or none that can be read.
        """
        return self._send_with_retries("GET", path, params, None, self._is_passing).body

    def _get_once(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return self._send_with_retries("GET", path, params, None, self._is_throttled).body

    def write(
        self, method: str, path: str, body: Any = None, before_each: Callable[[], None] = lambda: None
    ) -> ApiResponse:
        """Send a write, once.

        It is sent again only where it certainly was not accepted: no connection was made, or the API's own 429, which
        submits wait for as long as :attr:`submit_deadline` allows.

        Args:
            before_each: called right before each time that it is sent; what it raises keeps it from being sent.

        Raises:
            ApiError: the workspace certainly refused it, see :attr:`.errors.ApiError.stated`.
            ConnectionFailed: it was never sent.
            LostResponse: it may have taken effect: an outage, a redirect, any other error, or an unreadable answer.
        """

        def before() -> None:
            self._before_write()
            before_each()

        return self._send_with_retries(method, path, None, body, self._is_unaccepted, before)

    def delete(self, path: str) -> bool:
        """Delete a record, and tell whether it was there.

        After a lost answer it is asked for once more, since twice does no harm, and then looked for.

        Raises:
            ApiError, ConnectionFailed, LostResponse: as for :meth:`write`, but for a 404.
        """
        lost = False
        try:
            try:
                self.write("DELETE", path)
            except LostResponse:
                lost = True
                self.write("DELETE", path)
        except LostResponse:
            if self._is_there(path):
                raise
        except ApiError as error:
            if error.status != 404:
                raise
            return lost
        return True

    def _is_there(self, path: str) -> bool:
        """Whether a record can still be seen, or may be there unseen."""
        try:
            self.get(path.partition("?")[0])
        except AlpaconError as error:
            return not isinstance(error, ApiError) or error.status != 404
        return True

    def pages(self, path: str, params: Mapping[str, Any] | None = None, whole: bool = False) -> Iterator[Page]:
        """Read a list page by page, as :func:`_lists.pages` does."""
        return _lists.pages(self.get, path, params, whole)

    def rows(
        self, path: str, params: Mapping[str, Any] | None = None, patient: bool = True
    ) -> Iterator[dict[str, Any]]:
        """The rows of all pages, one at a time.

        Args:
            patient: whether to repeat what fails for a passing reason; False where the caller asks again anyway.

        Raises:
            IncompleteList: at the end, where not all rows came.
        """
        for page in _lists.pages(self.get if patient else self._get_once, path, params, whole=True):
            yield from page.rows

    def _send_with_retries(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        may_repeat: Callable[[Exception], bool],
        before_each: Callable[[], None] = lambda: None,
    ) -> ApiResponse:
        patience, patience_with_budget = self._patience(), self._patience(method)
        attempt = failures = 0
        while True:
            self._await_workspace(method)
            try:
                return self._send(method, path, params, body, before_each)
            except (ApiError, ConnectionFailed, LostResponse) as error:
                throttled = self._is_throttled(error)
                in_outage = self._outage.accepted and _is_outage(error)
                attempt += 1
                failures += not throttled
                pause = self._pause_after(error, attempt)
                if in_outage:
                    self._trouble = error
                    self._outage.record_failure(time.monotonic(), pause)
                if throttled:
                    self._hold(pause)
                if in_outage and method != "GET" and not isinstance(error, ConnectionFailed):
                    raise LostResponse(f"{error} The request may have been carried out.") from None
                if failures >= ATTEMPTS or not (in_outage or may_repeat(error)):
                    raise
                if in_outage:
                    continue
                if time.monotonic() + pause > (patience_with_budget if throttled else patience):
                    raise
                self.sleep(pause)

    def _patience(self, method: str = "") -> float:
        """Until when a request may wait, in monotonic seconds; with its method, until when for a used-up budget."""
        deadline = self.deadline if self.deadline is not None else time.monotonic() + THROTTLE_PATIENCE
        return min(deadline, self.submit_deadline) if method == "POST" else deadline

    @staticmethod
    def _is_passing(error: Exception) -> bool:
        if isinstance(error, ApiError):
            return error.status in _PASSING and error.code != "server_not_connected"
        return not isinstance(error, (UntrustedCertificate, UnknownEndpoint))

    @staticmethod
    def _is_throttled(error: Exception) -> bool:
        return isinstance(error, ApiError) and error.status == 429

    @classmethod
    def _is_unaccepted(cls, error: Exception) -> bool:
        return cls._is_throttled(error) or (
            isinstance(error, ConnectionFailed) and not isinstance(error, UntrustedCertificate)
        )

    @staticmethod
    def _pause_after(error: Exception, attempt: int) -> float:
        if isinstance(error, ApiError) and error.retry_after is not None:
            return error.retry_after
        pause: float = _PAUSE * 2 ** min(attempt - 1, _DOUBLED)
        return pause * random.uniform(0.8, 1.2)

    def _hold(self, seconds: float) -> None:
        # A used-up budget concerns everybody who uses the token, not only the thread that met it.
        if self._pause.hold(time.monotonic() + seconds) and seconds >= _TOLD_WAIT:
            until = datetime.fromtimestamp(time.time() + seconds).strftime("%H:%M:%S")
            self._report(f"alpacon: the request budget of the token is used up until {until}, for {seconds:.0f} s")

    def _await_budget(self, method: str, path: str) -> None:
        deadline = self._patience(method)
        # The pause may have become longer meanwhile.
        while (wait := self._pause.until() - time.monotonic()) > 0:
            if time.monotonic() + wait > deadline:
                raise ApiError(method, path, 429, "api_rate_limited", f"It is back in {wait:.0f} s.", wait)
            self.sleep(wait)

    def _await_workspace(self, method: str) -> None:
        """Wait until no outage goes on, and probe for its end when it is this thread's turn.

        Raises:
            ApiError, ConnectionFailed, LostResponse: a read is given up, since the outage has lasted too long.
            WorkspaceDown: so is a write, which was not sent.
        """
        while state := self._outage.read_state():
            now = time.monotonic()
            patience = state.since + OUTAGE_PATIENCE
            if method == "POST":
                patience = min(patience, self.submit_deadline)
            trouble = self._trouble
            if self._outage.acquire_probe(now) or (now >= patience and trouble is None):
                self._probe()
            elif now >= patience and trouble is not None:
                raise trouble if method == "GET" else WorkspaceDown(now - state.since, trouble)
            else:
                if now >= state.since + _TOLD_OUTAGE:
                    self._tell_awaited(state.since)
                self.sleep(min(patience, now + _OUTAGE_CHECK) - now)
        self._trouble = None

    def _probe(self) -> None:
        """End the outage if the workspace answers a read."""
        try:
            self._send("GET", _PROBE, _PROBE_PARAMS, None, lambda: None)
        except (ApiError, ConnectionFailed, LostResponse) as error:
            if not isinstance(error, ApiError) or _is_outage(error):
                self._trouble = error
                self._outage.record_failure(time.monotonic(), self._pause_after(error, 1))
                if self._outage.is_first_notice():
                    self._report(f"alpacon: the workspace fails, and all requests wait until it answers again. {error}")
                return
        self._outage.clear()

    def _tell_awaited(self, since: float) -> None:
        """Say once in an outage which commands wait for its end."""
        with self._lock:
            is_told, self._told_outage = self._told_outage == since, since
        ids = list(self.awaited_ids())
        if is_told or not ids:
            return
        more = f" and {len(ids) - _NAMED_COMMANDS} more" if len(ids) > _NAMED_COMMANDS else ""
        named = ", ".join(ids[:_NAMED_COMMANDS])
        self._report(
            f"alpacon: the workspace has failed for {_TOLD_OUTAGE:.0f} s. Commands whose results wait for it:"
            f" {named}{more}. {self._trouble or ''}".rstrip()
        )

    def _send(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, before_each: Callable[[], None]
    ) -> ApiResponse:
        self._await_budget(method, path)
        before_each()
        url = self.settings.url + path
        for _redirect in range(_REDIRECTS + 1):
            with self._lock:
                self._requests += 1
            sent = time.time()
            response = self._session.send(method, url, path, params, body)
            arrived = time.time()
            date = parse_http_date(response.headers.get("Date"))
            if date is not None:
                self.clock.observe_date(date, sent, arrived)
            if response.status < 200:
                close_response(response)
                raise LostResponse(
                    f"{method} {path}: HTTP {response.status}, which is no answer. Check url and any proxy."
                )
            if not 300 <= response.status < 400:
                answer = ApiResponse(response.status, self._read(method, path, response), sent, arrived)
                self._outage.accept()
                return answer
            close_response(response)
            url, params = self._redirected(method, path, url, response), None
        raise ApiError(method, path, response.status, text=f"More than {_REDIRECTS} redirects.")

    def _redirected(self, method: str, path: str, url: str, response: Any) -> str:
        location = clean(response.headers.get("Location", ""))
        shown = self._session.redaction.text
        if method != "GET":
            raise LostResponse(
                f"{method} {path}: HTTP {response.status}, a redirect to {shown(location) or 'nowhere'}, which a write"
                " does not follow. It may have been carried out. Check url."
            )
        try:
            target: str = urljoin(url, location)
            origin = get_origin(target)
        except ValueError:
            origin = "what is no address"
        if not location or origin != self._session.origin:
            where = f"{shown(origin)}, which the token is not for" if location else "nowhere"
            raise ApiError(method, path, response.status, text=f"Redirected to {where}. Check url.")
        return target

    def _read(self, method: str, path: str, response: Any) -> Any:
        try:
            content = read_body(response)
        except UnreadableBody as error:
            # What it states by its status, it has stated.
            if response.status < 400:
                raise LostResponse(f"{method} {path}: HTTP {response.status}, {error}.") from None
            content = b""
        redaction = self._session.redaction
        try:
            return parse_response(method, path, response.status, response.headers, content, redaction, self._quoted)
        except (ApiError, LostResponse) as error:
            # Somebody else than the workspace may have answered.
            if not getattr(error, "stated", False):
                error.args = (" ".join([str(error), *self._way]),)
            raise

    @property
    def _way(self) -> list[str]:
        """Say of the way to the workspace what may be wrong with it."""
        path, proxy = urlsplit(self.settings.url).path, self._session.proxy
        return [
            *([f"url has the path {path}, which few workspaces have: try it without."] if path else []),
            *([f"The request went through the proxy {proxy}."] if proxy else []),
        ]


def _is_outage(error: AlpaconError) -> bool:
    """Return True for what a workspace answers that has accepted the token before and is in trouble now."""
    if isinstance(error, ApiError):
        return error.is_unexplained or (error.status >= 500 and not error.stated)
    return isinstance(error, ConnectionFailed) and not isinstance(error, UntrustedCertificate)
