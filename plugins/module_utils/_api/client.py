# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""HTTP towards one workspace: authentication, TLS, timeouts, paging, Retry-After, safe repetition, a request counter.

Knows nothing of commands or servers. Threads may share one client.
"""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import json
import math
import os
import random
import ssl
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Callable
from urllib.parse import urljoin, urlsplit

from . import lists as _lists
from .errors import (
    AlpaconError,
    ApiError,
    ConnectionFailed,
    LostAnswer,
    MissingLibrary,
    UnknownAddress,
    Untrusted,
    UsageError,
    clean,
    error_from_body,
)
from .lists import Page

try:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from requests.auth import AuthBase
    from requests.cookies import RequestsCookieJar
    from requests.utils import get_environ_proxies
except ImportError:
    HAS_REQUESTS = False
    AuthBase = object  # type: ignore[assignment, misc]
else:
    HAS_REQUESTS = True

VERSION = "1.0.0"
#: How long a connection may take to be made, in seconds.
CONNECT_TIMEOUT = 10.0
#: The whole of an answer must be there after so many times ``request_timeout``.
ANSWER_TIMEOUTS = 4
#: How much of an answer is read, packed or unpacked, in bytes: a page of a hundred rows has some 100 MiB where each
#: ``result`` is as long as agents let it be.
LARGEST_ANSWER = 128 * 2**20
#: How many values an answer may have; an honest page has some ten thousand.
MOST_VALUES = 1_000_000
#: So much memory an answer takes at the most while it is read, in bytes, see :func:`_decoded`.
LARGEST_COST = 12 * LARGEST_ANSWER
#: How often a call is sent at the most when it fails for a passing reason.
ATTEMPTS = 5
#: The longest that a call waits for a used-up request budget where :attr:`Client.deadline` is not set, in seconds.
THROTTLE_PATIENCE = 300.0

#: A wait for the request budget that a user is told of, in seconds.
_TOLD_WAIT = 3.0
_REDIRECTS = 5
#: By how much answers may disagree on the offset between both clocks, in seconds.
_CLOCK_TOLERANCE = 1.0
#: What OpenSSL says while a TLS connection is made, before anything is sent.
_HANDSHAKE_FAILURES = frozenset(
    (
        "HTTP_REQUEST",
        "NO_PROTOCOLS_AVAILABLE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    )
)
_PAUSE = 0.5
_PAUSE_CAP = 30.0
#: A pause that a server asks for is taken for no more than this, in seconds.
_LONGEST_PAUSE = 7 * 86400.0
_PIECE = 2**16
#: How much may come beside the body of an answer: headers, and what stands around the chunks of a transfer, in bytes.
_FRAMING = 16 * 2**20
#: A clock that is further off than this is none, in seconds: a controller that lost its own may live in 1970.
_FARTHEST_CLOCK = 100 * 366 * 86400.0
#: How much of a page that is no JSON is looked at, in bytes.
_SHOWN_PAGE = 10_000
_PASSING = frozenset((408, 429, 500, 502, 503, 504))


#: Takes a warning for the user.
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """Where the workspace is and how to talk to it.

    Attributes:
        url: base URL of the workspace, without ``/api``.
        token: API or service token.
        validate_certs: whether TLS certificates are verified.
        ca_path: file or folder of CA certificates, or None for the default ones.
        request_timeout: seconds that the server may stay silent within one request; the whole of its answer must be
            there after :data:`ANSWER_TIMEOUTS` times as long.
    """

    url: str
    token: str = field(repr=False)
    validate_certs: bool = True
    ca_path: str | None = None
    request_timeout: float = 30.0

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], warn: Warn = lambda _text: None, needs_token: bool = True
    ) -> Settings:
        """Check the connection options of a task or plugin; :class:`UsageError` says which one is wrong.

        Args:
            warn: takes each of :attr:`warnings`.
        """
        needed = {"url": "the base URL of the workspace", "token": "an API or service token"}
        if not needs_token:
            del needed["token"]
        for name, meaning in needed.items():
            if not str(options.get(name) or "").strip():
                raise UsageError(
                    name,
                    f"{meaning} is missing",
                    f"Give it as the option {name}, in module_defaults under group/herdops.alpacon.alpacon,"
                    f" as the variable alpacon_{name} or in the environment as ALPACON_{name.upper()}.",
                )
        ca_path = options.get("ca_path") or None
        if ca_path and not os.path.exists(ca_path):
            raise UsageError(
                "ca_path", f"{ca_path} does not exist", "Name a file or folder of CA certificates in PEM form."
            )
        given = options.get("request_timeout")
        timeout = cls.request_timeout if given is None else float(given)
        if not 0 < timeout <= _LONGEST_PAUSE:
            raise UsageError(
                "request_timeout",
                f"{timeout:g} is not a time",
                "Give a positive number of seconds, a week at the most.",
            )
        validate_certs = options.get("validate_certs")
        settings = cls(
            url=_base_url(str(options["url"])),
            token=credential("token", str(options.get("token") or "")),
            validate_certs=True if validate_certs is None else bool(validate_certs),
            ca_path=ca_path,
            request_timeout=timeout,
        )
        for warning in settings.warnings:
            warn(warning)
        return settings

    @property
    def warnings(self) -> list[str]:
        """What is allowed and still unwise about these settings."""
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            return [f"url: the token goes to {parts.netloc} unencrypted, since the URL is http. Use https."]
        return []


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _base_url(url: str) -> str:
    example = "Give one such as https://my-workspace.us1.alpacon.io."
    url = url.strip()
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        # What stands before an @ may be a password.
        shown = f"'{url}'" if "@" not in url else "what is given"
        raise UsageError("url", f"{shown} is not an http or https URL", example)
    if parts.username or parts.password:
        raise UsageError("url", "it carries a user name or password", "Give the credential in token instead.")
    if parts.query or parts.fragment:
        raise UsageError("url", f"'{url}' has a query or fragment", example)
    path = parts.path.rstrip("/")
    if path.endswith("/api"):
        path = path[: -len("/api")]
    return f"{parts.scheme}://{parts.netloc}{path}"


def credential(option: str, text: str) -> str:
    """Check a token or key, without ever showing it."""
    text = text.strip()
    if any(char in '"\\' or char.isspace() or not char.isprintable() or ord(char) > 126 for char in text):
        raise UsageError(
            option, f"it has a character that no {option} has", "Give the key alone, without quotes or 'token='."
        )
    return text


def answered_key(row: Mapping[str, Any]) -> str | None:
    """The key that an answer hands out, or None where it is none that a request or a file could carry."""
    key = row.get("key")
    try:
        return (credential("key", key) or None) if isinstance(key, str) else None
    except UsageError:
        return None


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


class _Authorization(AuthBase):
    # As an auth object, so that a ~/.netrc entry for the host never replaces the header.
    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self._header
        return request


@dataclass(frozen=True)
class Answer:
    """A successful answer: HTTP status and decoded JSON (None where there is no body)."""

    status: int
    body: Any


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
    ) -> None:
        if not HAS_REQUESTS:
            raise MissingLibrary(
                "The Python library requests is missing where this runs. Install it:"
                f" {sys.executable} -m pip install requests"
            )
        self.settings = settings
        #: Until when a used-up request budget is waited for, in monotonic seconds.
        self.deadline: float | None = None
        self._sleep = sleep
        self._origin = _origin(settings.url)
        self._lock = threading.Lock()
        self._requests = 0
        self._pause = pause or Pause()
        self._tell = tell
        self._before_write = before_write
        self._clock_low: float | None = None
        self._clock_high: float | None = None
        self._session = self._open_session(pool, authorization or f'token="{settings.token}"')

    def _open_session(self, pool: int, authorization: str) -> Any:
        session = _Session()
        # The environment may name proxies; its CA bundle and netrc must not replace explicit settings.
        session.trust_env = False
        session.proxies = get_environ_proxies(self.settings.url, no_proxy=None)
        session.verify = self._verify()
        if not session.verify:
            # The user has said so; a warning for each request would tell nothing new.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        session.auth = _Authorization(authorization)
        session.cookies = _NoCookies()
        session.headers.update(
            {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"herdops.alpacon/{VERSION}"}
        )
        adapter = _Adapter(pool_connections=1, pool_maxsize=pool, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _verify(self) -> bool | str:
        if not self.settings.validate_certs:
            return False
        environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return self.settings.ca_path or environment or True

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()

    @property
    def requests(self) -> int:
        """How many HTTP requests were sent so far."""
        return self._requests

    def server_time(self, local: float) -> float:
        """The earliest time, in seconds since the epoch, that the workspace's clock can have shown at ``local``."""
        return local + (self._clock_low or 0.0)

    def now(self) -> datetime:
        """The time by the workspace's clock, as far as its answers have told."""
        return datetime.fromtimestamp(self.server_time(time.time()), timezone.utc)

    @property
    def knows_clock(self) -> bool:
        """Whether answers state a time, and all of them fit one offset between both clocks."""
        if self._clock_low is None or self._clock_high is None:
            return False
        return self._clock_low <= self._clock_high + _CLOCK_TOLERANCE

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Read a path and return its decoded JSON.

        Repeats what fails for a passing reason, with widening pauses, up to :data:`ATTEMPTS` times;
        a used-up budget (429) is waited for as long as :attr:`deadline` allows.

        Raises:
            ApiError: the server states an error.
            ConnectionFailed, LostAnswer: no answer, or none that can be read.
        """
        return self._repeat("GET", path, params, None, self._is_passing).body

    def write(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a write, once.

        It is sent again only where it certainly was not accepted: no connection was made, or 429.

        Raises:
            ApiError: the server refused it; also with 503 where the code says that the server is offline.
            ConnectionFailed: it was never sent.
            LostAnswer: it may have taken effect: a redirect, 408, any other 5xx, or an answer that cannot be read.
        """
        return self._repeat(method, path, None, body, self._is_unaccepted)

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
    ) -> Answer:
        patience = self.deadline if self.deadline is not None else time.monotonic() + THROTTLE_PATIENCE
        attempt = failures = 0
        while True:
            try:
                return self._send(method, path, params, body)
            except (ApiError, ConnectionFailed, LostAnswer) as error:
                throttled = isinstance(error, ApiError) and error.status == 429
                attempt += 1
                failures += not throttled
                if failures >= ATTEMPTS or not may_repeat(error):
                    raise
                pause = self._pause_after(error, attempt)
                if time.monotonic() + pause > patience:
                    if throttled:
                        self._pause.hold(time.monotonic() + pause)
                    raise
                if throttled:
                    self._hold(pause)
                else:
                    self._sleep(pause)

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
        pause: float = min(_PAUSE * 2 ** min(attempt - 1, 10), _PAUSE_CAP)
        return pause * random.uniform(0.8, 1.2)

    def _hold(self, seconds: float) -> None:
        # A used-up budget concerns everybody who uses the token, not only the thread that met it.
        self._pause.hold(time.monotonic() + seconds)
        if seconds >= _TOLD_WAIT:
            self._tell(f"alpacon: the request budget of the token is used up, waiting {seconds:.0f} s")

    def _await_budget(self, method: str, path: str) -> None:
        deadline = self.deadline if self.deadline is not None else time.monotonic() + THROTTLE_PATIENCE
        # The pause may have become longer meanwhile.
        while (wait := self._pause.until() - time.monotonic()) > 0:
            if time.monotonic() + wait > deadline:
                raise ApiError(method, path, 429, "api_rate_limited", f"It is back in {wait:.0f} s.", wait)
            self._sleep(wait)

    def _send(self, method: str, path: str, params: Mapping[str, Any] | None, body: Any) -> Answer:
        self._await_budget(method, path)
        if method != "GET":
            self._before_write()
        url = self.settings.url + path
        for _redirect in range(_REDIRECTS):
            response = self._exchange(method, url, path, params, body)
            if not 300 <= response.status_code < 400:
                return self._read(method, path, response)
            response.close()
            url, params = self._redirected(method, path, url, response), None
        raise ApiError(method, path, response.status_code, text=f"More than {_REDIRECTS} redirects.")

    def _exchange(self, method: str, url: str, path: str, params: Mapping[str, Any] | None, body: Any) -> Any:
        with self._lock:
            self._requests += 1
        started = time.time()
        timeout = (min(CONNECT_TIMEOUT, self.settings.request_timeout), self.settings.request_timeout)
        try:
            response = self._session.request(
                method, url, params=params, json=body, timeout=timeout, allow_redirects=False, stream=True
            )
        except requests.exceptions.RequestException as error:
            raise _transport_error(method, path, self._origin, error) from None
        self._note_clock(response, started)
        return response

    def _note_clock(self, response: Any, started: float) -> None:
        # The Date header is cut to whole seconds: the offset is at least header minus the time of arrival.
        stated = _http_time(response.headers.get("Date"))
        if stated is None or abs(stated - started) > _FARTHEST_CLOCK:
            return
        low = stated - time.time()
        with self._lock:
            self._clock_low = low if self._clock_low is None else max(self._clock_low, low)
            high = stated + 1.0 - started
            self._clock_high = high if self._clock_high is None else min(self._clock_high, high)

    def _redirected(self, method: str, path: str, url: str, response: Any) -> str:
        location = clean(response.headers.get("Location", ""))
        if method != "GET":
            raise LostAnswer(
                f"{method} {path}: HTTP {response.status_code}, a redirect to {location or 'nowhere'}, which a write"
                " does not follow. It may have been carried out. Check url."
            )
        try:
            target: str = urljoin(url, location)
            origin = _origin(target)
        except ValueError:
            origin = "what is no address"
        if not location or origin != self._origin:
            where = f"{origin}, which the token is not for" if location else "nowhere"
            raise ApiError(method, path, response.status_code, text=f"Redirected to {where}. Check url.")
        return target

    def _read(self, method: str, path: str, response: Any) -> Answer:
        status, headers = response.status_code, response.headers
        try:
            content = _content(response.raw)
            _check_values(content)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError, zlib.error) as error:
            # What it states by its status, it has stated.
            if status < 400:
                raise LostAnswer(f"{method} {path}: HTTP {status}, {_what_broke(error)}.") from None
            content = b""
        finally:
            response.close()
        try:
            body, readable = _decoded(content), True
        except (ValueError, RecursionError):
            body, readable = content[:_SHOWN_PAGE].decode("utf-8", "replace"), False
        if status >= 400:
            pause = _seconds(headers.get("Retry-After"), headers.get("Date"))
            return self._refuse(method, path, status, body, pause)
        if not readable:
            raise LostAnswer(
                f"{method} {path}: HTTP {status} with a body that is not JSON"
                f" ({clean(headers.get('Content-Type', 'no content type'))})."
                " A proxy may stand in between, or url is not an Alpacon workspace."
            )
        return Answer(status, body)

    @staticmethod
    def _refuse(method: str, path: str, status: int, body: Any, retry_after: float | None) -> Answer:
        error = error_from_body(method, path, status, body, retry_after)
        if status == 404 and not isinstance(body, dict):
            if _DJANGO_404 in str(body):
                raise UnknownAddress(f"{error} This workspace does not know the address; it may be an older one.")
            # A proxy without its server, or no workspace at all: no word about the record.
            raise LostAnswer(f"{error} This is no answer of an Alpacon workspace; check url and any proxy.")
        # Whoever stands in between may give up after it passed a write on.
        offline = status == 503 and isinstance(body, dict) and _is_offline(body)
        if method != "GET" and (status == 408 or status >= 500) and not offline:
            raise LostAnswer(f"The request may have been carried out: {error}")
        raise error


def _is_offline(body: Mapping[str, Any]) -> bool:
    """Whether the body of a 503 says, by the documented code, that the server is offline: then nothing was accepted."""
    return str(body.get("code")).lower() == "server_not_connected"


class _NoCookies(RequestsCookieJar if HAS_REQUESTS else object):  # type: ignore[misc]
    # A session cookie would be a second credential beside the token.
    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> None:
        return None


class _Session(requests.Session if HAS_REQUESTS else object):  # type: ignore[misc]
    # Whoever asks for no redirects still gets their address taken apart, and their body read whole.
    def get_redirect_target(self, resp: Any) -> None:
        return None


class _Adapter(HTTPAdapter if HAS_REQUESTS else object):  # type: ignore[misc]
    """Bounds the time of whole answers: sockets bound that of one read only."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _timed_pools()

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _timed_pools()
        return manager


@functools.cache
def _timed_pools() -> dict[str, Any]:
    pools = {}
    plain: dict[str, Any] = urllib3.poolmanager.pool_classes_by_scheme
    for scheme, pool in plain.items():
        connection = type("TimedConnection", (pool.ConnectionCls,), {"response_class": _TimedResponse})
        pools[scheme] = type("TimedPool", (pool,), {"ConnectionCls": connection})
    return pools


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if sock.gettimeout():
            self.fp: Any = io.BufferedReader(_TimedStream(self.fp.detach(), sock))


class _TooLarge(OSError):
    """More came than an answer may have."""

    def __init__(self) -> None:
        super().__init__(f"it is larger than {LARGEST_ANSWER // 2**20} MiB")


class _TimedStream(io.RawIOBase):
    """What a socket receives, until an answer takes longer, or is larger, than it may.

    Whoever reads from it may be told to read all that there is, as by a chunk whose size is -1.
    """

    def __init__(self, raw: Any, sock: Any) -> None:
        super().__init__()
        self._raw, self._sock, self._timeout = raw, sock, sock.gettimeout()
        self._deadline = time.monotonic() + ANSWER_TIMEOUTS * self._timeout
        self._left = LARGEST_ANSWER + _FRAMING

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        if left < self._timeout:
            self._sock.settimeout(left)
        received = self._raw.readinto(buffer)
        self._left -= received or 0
        if self._left < 0:
            raise _TooLarge
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


def _content(raw: Any) -> bytes:
    """The body of an answer, unpacked; ValueError where it is too large, cut, or packed in a way nobody asked for."""
    packing = raw.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "", "gzip", "x-gzip"):
        raise ValueError("it is packed in a way that was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16) if packing.endswith("gzip") else None
    pieces: list[bytes] = []
    size = received = 0
    while piece := raw.read(_PIECE, decode_content=False):
        received += len(piece)
        if unpacker:
            # What follows the end would be gathered, and copied for each piece of it.
            piece = b"" if unpacker.eof else unpacker.decompress(piece, LARGEST_ANSWER + 1 - size)
        size += len(piece)
        if max(size, received) > LARGEST_ANSWER:
            raise ValueError(f"it is larger than {LARGEST_ANSWER // 2**20} MiB")
        pieces.append(piece)
    if raw.length_remaining or (unpacker and received and not unpacker.eof):
        raise ValueError("it is cut")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


_JSON = json.JSONDecoder(parse_float=_finite, parse_constant=lambda _name: None)


def _decoded(content: bytes) -> Any:
    """The JSON of a body, whatever encoding a header claims, with null for numbers that JSON does not have.

    A byte of text may take four where one character of it does, and is there twice at the end, in the whole text and in
    its string; a value takes up to 240 bytes beside its text. So no answer costs more than :data:`LARGEST_COST`.
    """
    text = content.strip().decode("utf-8-sig", "replace")
    return None if not text or text.isspace() else _JSON.decode(text)


def _check_values(content: bytes) -> None:
    """ValueError where a JSON text may have too many values: a list of two bytes takes fifty when it is decoded."""
    if _starts_of_values(content) <= MOST_VALUES:
        return
    # Texts may have as many commas as they like.
    bare = content.replace(rb"\\", b"").replace(rb"\"", b"")
    if bare.count(b'"') > 4 * MOST_VALUES or sum(map(_starts_of_values, bare.split(b'"')[::2])) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES} values")


def _starts_of_values(content: bytes) -> int:
    # Takes as long whatever there is, which counting each of them does not.
    return len(content) - len(content.translate(None, b",[{"))


def _what_broke(error: Exception) -> str:
    if error.args and isinstance(error.args[-1], _TooLarge):
        return f"and its body is not read: {error.args[-1]}"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"and its body stayed away for request_timeout, or took more than {ANSWER_TIMEOUTS} times as long"
    if isinstance(error, ValueError):
        return f"and its body is not read: {error}"
    return "and the connection broke before the body was read"


#: What a workspace of 2024 says, in HTML, where there is nothing at an address.
_DJANGO_404 = "The requested resource was not found on this server."


def _http_time(text: str | None) -> float | None:
    """The time of a header in seconds since the epoch, or None where there is none."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _seconds(retry_after: str | None, date: str | None) -> float | None:
    """The pause that Retry-After asks for, in either of its forms; None where that is no pause at all."""
    try:
        seconds = float(retry_after or "nan")
    except ValueError:
        until, now = _http_time(retry_after), _http_time(date)
        seconds = math.nan if until is None else until - (time.time() if now is None else now)
    return min(max(seconds, _PAUSE), _LONGEST_PAUSE) if seconds > 0 else None


def _transport_error(method: str, path: str, origin: str, error: Exception) -> ConnectionFailed | LostAnswer:
    """Tell apart what was certainly not sent from what may have arrived."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    # A connection that breaks behind a proxy counts as a failure of the proxy: what matters is how it broke.
    reason = getattr(reason, "original_error", reason)
    what = f"{method} {path}"
    for cause in (reason, *getattr(reason, "args", ())):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Untrusted(
                f"{what}: the certificate of {origin} is not trusted: {reason}."
                " Name the CA in ca_path if it is a private one."
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in _HANDSHAKE_FAILURES:
            return Untrusted(f"{what}: {origin} does not speak TLS as it should: {reason}. Check the scheme of url.")
    never_made = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    no_tunnel = isinstance(reason, OSError) and str(reason).startswith("Tunnel connection failed")
    if isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(reason, never_made) or no_tunnel:
        return ConnectionFailed(f"{what}: no connection to {origin}: {reason}. Check url, the network and any proxy.")
    if isinstance(error, requests.exceptions.Timeout):
        return LostAnswer(
            f"{what}: no answer within request_timeout, or not its end within {ANSWER_TIMEOUTS} times that."
        )
    return LostAnswer(f"{what}: the connection broke before an answer was read: {reason}.")
