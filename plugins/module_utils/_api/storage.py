# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send files to the object storage of a workspace and read files from it, at URLs that the workspace states.

The one exception to the rule that no text of the API becomes a URL. So these requests have no token, no cookie, no
password of C(.netrc) and follow no redirect; they use TLS, and are limited in size and time.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import math
import os
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Callable, NamedTuple
from urllib.parse import urlsplit

from .errors import AlpaconError, clean_line
from .response import parse_retry_after
from .session import (
    CONNECT_TIMEOUT,
    HAS_LIBRARIES,
    NotConnected,
    TimedResponse,
    close_response,
    find_default_certificates,
    find_proxy,
    get_context,
    get_missing_library_error,
    get_timed_pool,
    open_manager,
)
from .settings import VERSION, Settings, check_host

if HAS_LIBRARIES:
    import urllib3
    from urllib3.util import parse_url
    from urllib3.util.ssl_ import create_urllib3_context

#: A signed URL of Amazon S3 has some two thousand characters.
_MAX_URL = 16_384
_URL_CHARACTERS = re.compile(r"[!-\[\]_a-z~]+", re.I)
#: How often a request is sent, and the first pause before it is sent again in seconds, which doubles.
_ATTEMPTS, _FIRST_PAUSE = 4, 1.0
#: Seconds in which a file that was just stored may not be readable yet, with pauses of so many seconds between reads.
_LAG, _LAG_PAUSE = 60.0, 2.0
_PIECE = 2**17
_TEMPORARY = frozenset((408, 429, 500, 502, 503, 504))


class StorageError(AlpaconError):
    """Report that a file was not sent to the object storage, or not read from it."""


class UnsafeUrl(StorageError):
    """Report that nothing was sent to a URL, since it is not safe to use."""


@dataclass(frozen=True)
class SignedUrl:
    """A URL of a workspace's object storage that was checked. Its text is as good as a password for one file.

    Attributes:
        host: name and port, for users.
    """

    text: str = field(repr=False)
    host: str


def check_url(text: Any, settings: Settings) -> SignedUrl:
    """Check a URL that a workspace states.

    It has to be an absolute https URL without credentials. Addresses of this machine are allowed only if the workspace
    has one, which then may also use http: otherwise, a workspace could address services of the controller.

    Raises:
        UnsafeUrl: it must not be used. The message does not quote it.
    """
    problem, host = "it is not an https URL", ""
    with contextlib.suppress(ValueError, urllib3.exceptions.HTTPError):
        if isinstance(text, str) and len(text) <= _MAX_URL and _URL_CHARACTERS.fullmatch(text):
            # Both parsers have to find the same host: what one takes for a path may be a host to the other.
            parts, parsed = urlsplit(text), parse_url(text)
            host = f"{parsed.host or ''}:{parsed.port or (80 if parsed.scheme == 'http' else 443)}"
            names = {(parts.hostname or "").strip("[]"), (parsed.host or "").strip("[]").lower()}
            problem = _find_problem(parts, names, settings)
    if problem:
        named = f" {host}" if host else ""
        raise UnsafeUrl(
            f"The workspace names an object storage{named} that this collection does not use: {problem}. Nothing was"
            " sent to it."
        )
    return SignedUrl(str(text), host)


def _find_problem(parts: Any, names: set[str], settings: Settings) -> str:
    """Return why a URL must not be used; an empty text if it may be used."""
    if len(names) != 1:
        return "its host is ambiguous"
    [name] = names
    check_host(name)
    if parts.port is not None and not 0 < parts.port < 2**16:
        return "its port is not one"
    if "@" in parts.netloc:
        return "its URL has credentials"
    is_local = _is_local(name)
    if is_local and not settings.is_loopback:
        return "it is this machine"
    return "" if parts.scheme == "https" or (parts.scheme == "http" and is_local) else "its URL is not https"


def _is_local(host: str) -> bool:
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        # The system's resolver takes numbers such as 127.1 and 2130706433 for addresses.
        return bool(re.fullmatch(r"[\dx.]+|0x[\da-f.x]+", name))
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified or mapped.is_link_local or mapped.is_multicast)


class _StorageAnswer(NamedTuple):
    """The status of a response, 0 for none, the reason for a failure, and the pause that the storage asks for."""

    status: int
    failure: str
    pause: float | None = None

    @classmethod
    def from_response(cls, url: SignedUrl, response: Any) -> _StorageAnswer:
        pause = parse_retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
        return cls(response.status, _describe_status(url, response.status), pause)

    @property
    def is_temporary(self) -> bool:
        return not self.status or self.status in _TEMPORARY


class _Limits(threading.local):
    """Limits of the response that this thread reads: monotonic seconds, and bytes."""

    deadline = math.inf
    most = 0


_limits = _Limits()


class _StorageResponse(TimedResponse):
    def get_limits(self, timeout: float) -> tuple[float, int]:
        return _limits.deadline, _limits.most


class ObjectStorage:
    """Connections to the object storage of a workspace, shared by threads.

    Args:
        log: see :class:`.session.Session`.
        check: called before each request and each piece of a file; an exception ends the transfer.
    """

    def __init__(
        self,
        settings: Settings,
        log: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        if not HAS_LIBRARIES:
            raise get_missing_library_error()
        self._settings = settings
        self._log = log or (lambda _line: None)
        self._sleep = sleep
        self._check = check
        timeout = settings.request_timeout
        self._timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout)
        self._lock = threading.Lock()
        #: By the proxy, of which requests to some hosts take none.
        self._managers: dict[str, Any] = {}

    def __enter__(self) -> ObjectStorage:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for manager in self._managers.values():
            manager.clear()

    def put(self, url: SignedUrl, open_file: Callable[[], BinaryIO], size: int, deadline: float) -> None:
        """Store a file; sent again after a failure, which replaces the whole of it.

        Args:
            open_file: returns the file from its start.
            size: of the file in bytes.
            deadline: monotonic seconds.

        Raises:
            StorageError: it is not certain that the file was stored.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                file = open_file()
            except OSError as error:
                raise StorageError(f"The file was not stored: {_describe_unreadable(error)}") from None
            with file:
                answer = self._put_once(url, file, size, deadline)
            if 200 <= answer.status < 300:
                return
            if not answer.is_temporary or attempt == _ATTEMPTS or not self._pause(attempt, answer, deadline):
                raise StorageError(f"The file was not stored: {answer.failure}")

    def _put_once(self, url: SignedUrl, file: BinaryIO, size: int, deadline: float) -> _StorageAnswer:
        source, failure = _Source(file, size, deadline, self._check), ""
        try:
            response = self._request("PUT", url, deadline, 2**16, {"Content-Length": str(size)}, source)
        except StorageError as error:
            failure = str(error)
        if source.failure:
            raise StorageError(f"The file was not stored: {source.failure}")
        if failure:
            return _StorageAnswer(0, failure)
        close_response(response)
        return _StorageAnswer.from_response(url, response)

    def get(self, url: SignedUrl, write: Callable[[bytes], Any], most: int, deadline: float) -> int:
        """Read a file and return its size in bytes. It is read once more only if nothing of it was written.

        Args:
            most: bytes that it may have.
            deadline: monotonic seconds.

        Raises:
            StorageError: it could not be read to its end.
        """
        began, attempt = time.monotonic(), 0
        while True:
            try:
                response = self._request("GET", url, deadline, most, {"Accept-Encoding": "identity"}, None)
            except StorageError as error:
                answer = _StorageAnswer(0, str(error))
            else:
                if response.status == 200:
                    return _copy(url, response, write, most, self._check)
                close_response(response)
                answer = _StorageAnswer.from_response(url, response)
            if answer.status in (403, 404):
                if time.monotonic() >= began + _LAG or time.monotonic() + _LAG_PAUSE >= deadline:
                    raise StorageError(f"The file was not read: {answer.failure}")
                self._sleep(_LAG_PAUSE)
                continue
            attempt += 1
            if not answer.is_temporary or attempt == _ATTEMPTS or not self._pause(attempt, answer, deadline):
                raise StorageError(f"The file was not read: {answer.failure}")

    def _pause(self, attempt: int, answer: _StorageAnswer, deadline: float) -> bool:
        """Pause before the next attempt; return False if that is after the deadline."""
        seconds = answer.pause or _FIRST_PAUSE * 2 ** (attempt - 1)
        if time.monotonic() + seconds >= deadline:
            return False
        self._sleep(seconds)
        return True

    def _request(
        self, method: str, url: SignedUrl, deadline: float, most: int, headers: dict[str, str], body: Any
    ) -> Any:
        self._check()
        _limits.deadline, _limits.most = deadline, most
        began, failure = time.monotonic(), ""
        try:
            response = self._get_manager(url).request(
                method,
                url.text,
                redirect=False,
                body=body,
                headers={"User-Agent": f"herdops.alpacon/{VERSION}", **headers},
                retries=False,
                timeout=self._timeout,
                preload_content=False,
                decode_content=False,
            )
        except NotConnected as error:
            failure = _describe_unconnected(url, error.args[0])
        except urllib3.exceptions.TimeoutError:
            failure = f"the object storage {url.host} did not answer within request_timeout, or took too long."
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            # The text of the error may quote the URL.
            failure = f"the connection to the object storage {url.host} broke ({type(error).__name__})."
        milliseconds = (time.monotonic() - began) * 1000
        self._log(clean_line(f"alpacon: {method} {url.host}: {failure or response.status} ({milliseconds:.0f} ms)"))
        # Raise outside of except: the context would show the URL.
        if failure:
            raise StorageError(failure)
        return response

    def _get_manager(self, url: SignedUrl) -> Any:
        # A loopback address behind a proxy is the proxy itself.
        variable, proxy = ("", "") if _is_local(urlsplit(url.text).hostname or "") else find_proxy(url.text)
        with self._lock:
            if proxy not in self._managers:
                options = {
                    "maxsize": 17,
                    "cert_reqs": "CERT_REQUIRED" if self._settings.validate_certs else "CERT_NONE",
                    "ssl_context": _get_context(self._settings),
                }
                manager, _secrets = open_manager(variable, proxy, options)
                manager.pool_classes_by_scheme = {
                    key: get_timed_pool(pool, _StorageResponse) for key, pool in manager.pool_classes_by_scheme.items()
                }
                self._managers[proxy] = manager
            return self._managers[proxy]


class _Source:
    """Read a file that is being sent, until a deadline and no more than its size.

    Attributes:
        failure: why it could not be read, which is no failure of the connection.
    """

    failure = ""

    def __init__(self, file: BinaryIO, size: int, deadline: float, check: Callable[[], None]) -> None:
        self._file = file
        self._check = check
        self._left = size
        self._deadline = deadline

    def read(self, size: int = -1) -> bytes:
        self._check()
        if time.monotonic() >= self._deadline:
            self.failure = "it took longer than wait_timeout."
            raise TimeoutError(self.failure)
        try:
            piece = self._file.read(self._left if size < 0 else min(size, self._left))
        except OSError as error:
            self.failure = _describe_unreadable(error)
            raise
        self._left -= len(piece)
        if not piece and self._left:
            self.failure = "it became shorter on the controller while it was sent."
            raise OSError(self.failure)
        return piece


def _describe_unreadable(error: OSError) -> str:
    return f"it cannot be read on the controller: {error.strerror or type(error).__name__}."


def _copy(url: SignedUrl, response: Any, write: Callable[[bytes], Any], most: int, check: Callable[[], None]) -> int:
    """Write the body of a response, and return its size."""
    size, failure = 0, ""
    try:
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            failure = f"the object storage {url.host} compressed it"
        while not failure and (piece := response.read(_PIECE, decode_content=False)):
            check()
            size += len(piece)
            if size > most:
                failure = f"it has more than {most} bytes, see max_size"
            else:
                write(piece)
        if not failure and response.length_remaining:
            failure = f"the object storage {url.host} cut it off after {size} bytes"
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, TimeoutError) as error:
        failure = f"the connection to the object storage {url.host} broke after {size} bytes ({type(error).__name__})"
    finally:
        close_response(response)
    if failure:
        raise StorageError(f"The file was not read: {failure}.")
    return size


def _describe_status(url: SignedUrl, status: int) -> str:
    if 300 <= status < 400:
        return f"the object storage {url.host} answered HTTP {status}, a redirect, which is not followed."
    if status in (401, 403):
        return f"the object storage {url.host} answered HTTP {status}: its URL is not valid any more, or not yet."
    return f"the object storage {url.host} answered HTTP {status}."


def _describe_unconnected(url: SignedUrl, cause: Any) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate of the object storage {url.host} is not trusted. See ca_path."
    return f"no connection to the object storage {url.host} ({type(cause).__name__}). Check the network and any proxy."


def _get_context(settings: Settings) -> ssl.SSLContext:
    """Return a TLS context that trusts the usual CAs, too: the CA of a workspace need not be that of its storage."""
    context = get_context(settings)
    return _trust_both(settings.ca_path) if settings.validate_certs and settings.ca_path else context


@functools.cache
def _trust_both(path: str) -> ssl.SSLContext:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    for each in (path, find_default_certificates()):
        context.load_verify_locations(**{"capath" if os.path.isdir(each) else "cafile": each})
    return context
