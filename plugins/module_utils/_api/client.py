# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""HTTP towards one workspace: authentication, TLS, timeouts, paging, Retry-After, safe repetition, a request counter.

Knows nothing of commands or servers. Threads may share one client.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Callable
from urllib.parse import urljoin

from . import lists as _lists
from .answers import ApiAnswer, http_time, read_answer
from .clock import WorkspaceClock
from .errors import AlpaconError, ApiError, ConnectionFailed, LostAnswer, UnknownAddress, Untrusted, clean
from .lists import Page
from .session import Session, UnreadableBody, body_of, close_response, origin_of
from .settings import Settings

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


class Pause:
    """Until when no request may be sent, since the request budget is used up; for the threads of a process."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def until(self) -> float:
        """Monotonic seconds."""
        return self._until

    def hold(self, until: float) -> None:
        """Make everybody wait until then, in monotonic seconds."""
        with self._lock:
            self._until = max(self._until, until)


class Client:
    """One keep-alive session with a workspace.

    Args:
        settings: the connection settings.
        pool: how many connections are kept open, that is, how many threads may send at once.
        sleep: called with seconds to pause.
        pause: until when requests wait because the request budget is used up; shared by all who use the token.
        tell: takes a line for the user about such a wait.
        authorization: header to send in place of the one that the token of the settings makes.
        before_write: called right before each write is sent; what it raises keeps it from being sent.
        quoted: whether errors say what the workspace does in words, see :class:`.errors.ApiError`.
    """

    def __init__(
        self,
        settings: Settings,
        pool: int = 17,
        sleep: Callable[[float], None] = time.sleep,
        pause: Pause | None = None,
        tell: Callable[[str], None] = lambda _text: None,
        authorization: str | None = None,
        before_write: Callable[[], None] = lambda: None,
        quoted: bool = True,
    ) -> None:
        self.settings = settings
        self.clock = WorkspaceClock()
        #: Until when a used-up request budget is waited for, in monotonic seconds.
        self.deadline: float | None = None
        #: Until when submits wait for a used-up request budget, in monotonic seconds, where that is sooner.
        self.submits_until = math.inf
        self._sleep = sleep
        self._lock = threading.Lock()
        self._requests = 0
        self._pause = pause or Pause()
        self._tell = tell
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
        a used-up budget (429) is waited for as long as :attr:`deadline` allows.

        Raises:
            ApiError: the server states an error.
            ConnectionFailed, LostAnswer: no answer, or none that can be read.
        """
        return self._repeat("GET", path, params, None, self._is_passing).body

    def write(
        self, method: str, path: str, body: Any = None, before_each: Callable[[], None] = lambda: None
    ) -> ApiAnswer:
        """Send a write, once.

        It is sent again only where it certainly was not accepted: no connection was made, or the API's own 429, which
        submits wait for as long as :attr:`submits_until` allows.

        Args:
            before_each: called right before each time that it is sent; what it raises keeps it from being sent.

        Raises:
            ApiError: the workspace certainly refused it, see :attr:`.errors.ApiError.stated`.
            ConnectionFailed: it was never sent.
            LostAnswer: it may have taken effect: a redirect, any other error, or an answer that cannot be read.
        """

        def before() -> None:
            self._before_write()
            before_each()

        return self._repeat(method, path, None, body, self._is_unaccepted, before)

    def delete(self, path: str) -> bool:
        """Delete a record, and tell whether it was there.

        After a lost answer it is asked for once more, since twice does no harm, and then looked for.

        Raises:
            ApiError, ConnectionFailed, LostAnswer: as for :meth:`write`, but for a 404.
        """
        lost = False
        try:
            try:
                self.write("DELETE", path)
            except LostAnswer:
                lost = True
                self.write("DELETE", path)
        except LostAnswer:
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

    def rows(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The rows of all pages, one at a time.

        Raises:
            IncompleteList: at the end, where not all rows came.
        """
        for page in self.pages(path, params, whole=True):
            yield from page.rows

    def _repeat(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        may_repeat: Callable[[Exception], bool],
        before_each: Callable[[], None] = lambda: None,
    ) -> ApiAnswer:
        patience, patience_with_budget = self._patience(), self._patience(method)
        attempt = failures = 0
        while True:
            try:
                return self._send(method, path, params, body, before_each)
            except (ApiError, ConnectionFailed, LostAnswer) as error:
                throttled = isinstance(error, ApiError) and error.status == 429
                attempt += 1
                failures += not throttled
                if failures >= ATTEMPTS or not may_repeat(error):
                    raise
                pause = self._pause_after(error, attempt)
                if time.monotonic() + pause > (patience_with_budget if throttled else patience):
                    if throttled:
                        self._pause.hold(time.monotonic() + pause)
                    raise
                if throttled:
                    self._hold(pause)
                else:
                    self._sleep(pause)

    def _patience(self, method: str = "") -> float:
        """Until when a request may wait, in monotonic seconds; with its method, until when for a used-up budget."""
        deadline = self.deadline if self.deadline is not None else time.monotonic() + THROTTLE_PATIENCE
        return min(deadline, self.submits_until) if method == "POST" else deadline

    @staticmethod
    def _is_passing(error: Exception) -> bool:
        if isinstance(error, ApiError):
            return error.status in _PASSING and error.code != "server_not_connected"
        return not isinstance(error, (Untrusted, UnknownAddress))

    @staticmethod
    def _is_unaccepted(error: Exception) -> bool:
        if isinstance(error, ApiError):
            return error.status == 429
        return isinstance(error, ConnectionFailed) and not isinstance(error, Untrusted)

    @staticmethod
    def _pause_after(error: Exception, attempt: int) -> float:
        if isinstance(error, ApiError) and error.retry_after is not None:
            return error.retry_after
        pause: float = _PAUSE * 2 ** min(attempt - 1, _DOUBLED)
        return pause * random.uniform(0.8, 1.2)

    def _hold(self, seconds: float) -> None:
        # A used-up budget concerns everybody who uses the token, not only the thread that met it.
        self._pause.hold(time.monotonic() + seconds)
        if seconds >= _TOLD_WAIT:
            self._tell(f"alpacon: the request budget of the token is used up, waiting {seconds:.0f} s")

    def _await_budget(self, method: str, path: str) -> None:
        deadline = self._patience(method)
        # The pause may have become longer meanwhile.
        while (wait := self._pause.until() - time.monotonic()) > 0:
            if time.monotonic() + wait > deadline:
                raise ApiError(method, path, 429, "api_rate_limited", f"It is back in {wait:.0f} s.", wait)
            self._sleep(wait)

    def _send(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, before_each: Callable[[], None]
    ) -> ApiAnswer:
        self._await_budget(method, path)
        before_each()
        url = self.settings.url + path
        for _redirect in range(_REDIRECTS + 1):
            with self._lock:
                self._requests += 1
            sent = time.time()
            response = self._session.send(method, url, path, params, body)
            arrived = time.time()
            date = http_time(response.headers.get("Date"))
            if date is not None:
                self.clock.read_date(date, sent, arrived)
            if response.status < 200:
                close_response(response)
                raise LostAnswer(
                    f"{method} {path}: HTTP {response.status}, which is no answer. Check url and any proxy."
                )
            if not 300 <= response.status < 400:
                return ApiAnswer(response.status, self._read(method, path, response), sent, arrived)
            close_response(response)
            url, params = self._redirected(method, path, url, response), None
        raise ApiError(method, path, response.status, text=f"More than {_REDIRECTS} redirects.")

    def _redirected(self, method: str, path: str, url: str, response: Any) -> str:
        location = clean(response.headers.get("Location", ""))
        shown = self._session.redaction.text
        if method != "GET":
            raise LostAnswer(
                f"{method} {path}: HTTP {response.status}, a redirect to {shown(location) or 'nowhere'}, which a write"
                " does not follow. It may have been carried out. Check url."
            )
        try:
            target: str = urljoin(url, location)
            origin = origin_of(target)
        except ValueError:
            origin = "what is no address"
        if not location or origin != self._session.origin:
            where = f"{shown(origin)}, which the token is not for" if location else "nowhere"
            raise ApiError(method, path, response.status, text=f"Redirected to {where}. Check url.")
        return target

    def _read(self, method: str, path: str, response: Any) -> Any:
        try:
            content = body_of(response)
        except UnreadableBody as error:
            # What it states by its status, it has stated.
            if response.status < 400:
                raise LostAnswer(f"{method} {path}: HTTP {response.status}, {error}.") from None
            content = b""
        redaction = self._session.redaction
        return read_answer(method, path, response.status, response.headers, content, redaction, self._quoted)
