# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connect to one workspace: TLS, proxies, timeouts, and the limits of a response."""

from __future__ import annotations

import contextlib
import functools
import http.client
import importlib
import io
import json
import math
import os
import re
import ssl
import stat
import sys
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any, Callable
from urllib.parse import unquote, urlencode, urlsplit

from .errors import (
    AlpaconError,
    ConnectionFailed,
    LostResponse,
    MissingLibrary,
    UntrustedCertificate,
    UsageError,
    clean_line,
)
from .response import MAX_RESPONSE_BYTES, unpack_body
from .settings import URL_EXAMPLE, Redaction, Settings, check_host, get_client_headers

try:
    # The requirement is requests, which needs these, but is slow to import.
    import urllib3
    from urllib3.connection import CertificateError  # type: ignore[attr-defined]
    from urllib3.util import parse_url
    from urllib3.util.ssl_ import create_urllib3_context
except ImportError:
    HAS_LIBRARIES = False
else:
    HAS_LIBRARIES = True

CONNECT_TIMEOUT = 10.0
#: Connections that are kept open, that is, threads that may send at once.
_POOL_SIZE = 17
#: Time of a whole response, in multiples of ``request_timeout``.
RESPONSE_TIMEOUTS = 4
#: The most bytes beside the body of a response: headers, and the framing of chunks.
_FRAMING = 16 * 2**20
#: In characters.
_SHOWN_REQUEST_ID = 100
#: urllib3 begins the text of an error with the connection's repr.
_CONNECTION = re.compile(r"^(?:<[^<>]*>|\w+\(host=[^()]*\)): ")


class Session:
    """Keep-alive connections to one workspace, shared by threads.

    Args:
        authorization: header of each request.
        log: called with a line about each request, in its thread; the line has no query, header or body.

    Attributes:
        proxy: host and port of the proxy of the environment; empty if there is none.
        redaction: removes the credentials from texts of the peer or of a proxy.

    Raises:
        MissingLibrary: requests is not installed.
        UsageError: the URL, or the proxy of the environment, cannot be used.
    """

    def __init__(self, settings: Settings, authorization: str, log: Callable[[str], None] | None = None) -> None:
        if not HAS_LIBRARIES:
            raise get_missing_library_error()
        self._log = log
        self._timeout = urllib3.Timeout(
            connect=min(CONNECT_TIMEOUT, settings.request_timeout), read=settings.request_timeout
        )
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Connection": "keep-alive",
            **get_client_headers(settings, os.environ),
            "Authorization": authorization,
        }
        try:
            self.origin = get_origin(_prepare_url(settings.url, {}))
        except ValueError:
            raise UsageError("url", f"'{settings.url}' is not an http or https URL", URL_EXAMPLE) from None
        # A loopback address behind a proxy is the proxy itself, which would get the token unencrypted.
        variable, proxy = ("", "") if settings.is_loopback else find_proxy(settings.url)
        over_tls = any(address.lower().startswith("https:") for address in (settings.url, proxy))
        options: dict[str, Any] = {
            "maxsize": _POOL_SIZE,
            "cert_reqs": "CERT_REQUIRED" if settings.validate_certs else "CERT_NONE",
            "ssl_context": get_context(settings) if over_tls else None,
        }
        self._manager, secrets = open_manager(variable, proxy, options)
        self.proxy = get_origin(proxy).partition("//")[2] if proxy else ""
        self._manager.pool_classes_by_scheme = {
            key: get_timed_pool(pool) for key, pool in self._manager.pool_classes_by_scheme.items()
        }
        self.redaction = Redaction(authorization, secrets)
        if not settings.validate_certs:
            # The setting was the user's choice.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(
        self,
        method: str,
        url: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        deadline: float = math.inf,
    ) -> Any:
        """Send one request and return urllib3's response; read its body or close it, in the same thread.

        Args:
            deadline: until when to read the response, in monotonic seconds, if that is sooner than its timeouts.

        Raises:
            ConnectionFailed: the request was not sent.
            LostResponse: the request may have been sent.
        """
        _response_deadline.at = deadline
        began = time.monotonic()
        try:
            response = self._request(method, url, path, params, body)
        except AlpaconError as error:
            self._log_request(str(error), began)
            raise
        self._log_request(f"{method} {urlsplit(url).path}: HTTP {response.status}", began, response.headers)
        return response

    def _request(self, method: str, url: str, path: str, params: Mapping[str, Any] | None, body: Any) -> Any:
        headers, content = self._headers, None
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
            content = json.dumps(body, allow_nan=False).encode()
        try:
            return self._manager.request(
                method,
                _prepare_url(url, params or {}),
                redirect=False,
                body=content,
                headers=headers,
                retries=False,
                timeout=self._timeout,
                preload_content=False,
                decode_content=False,
            )
        except NotConnected as error:
            failure: AlpaconError = self._explain_unsent(f"{method} {path}", error)
        except urllib3.exceptions.TimeoutError:
            failure = LostResponse(
                f"{method} {path}: no answer within request_timeout, or one that did not end"
                f" {_describe_limit(f'within {RESPONSE_TIMEOUTS} times as long')}."
            )
        except urllib3.exceptions.HTTPError as error:
            # The original error is that of a proxy.
            reason = self.redaction.redact_text(str(getattr(error, "original_error", error)))
            failure = LostResponse(f"{method} {path}: the connection broke before an answer was read: {reason}.")
        # Raise outside of except: the context would show unredacted text of the peer.
        raise failure

    def _log_request(self, outcome: str, began: float, headers: Mapping[str, str] | None = None) -> None:
        if self._log:
            request_id = self.redaction.redact_text((headers or {}).get("X-Request-ID", ""))
            named = f", request ID {request_id[:_SHOWN_REQUEST_ID]}" if request_id else ""
            milliseconds = (time.monotonic() - began) * 1000
            self._log(clean_line(f"alpacon: {self.redaction.redact_text(outcome)} ({milliseconds:.0f} ms{named})"))

    def read_body(self, request: str, response: Any) -> bytes:
        """Read and unpack the body of a response; :class:`LostResponse` if that is impossible."""
        began = time.monotonic()
        try:
            return unpack_body(response)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError, zlib.error) as error:
            failure = LostResponse(f"{request}: HTTP {response.status}, {_describe_failure(error)}.")
            self._log_request(str(failure), began)
            raise failure from None
        finally:
            close_response(response)

    def open_socket(self) -> Any:
        """Connect to the workspace as requests do, through a proxy by a tunnel, and return the socket.

        Raises:
            ConnectionFailed: there is no connection.
        """
        pool = self._manager.connection_from_url(self.origin)
        connection = pool._new_conn()
        connection.timeout = CONNECT_TIMEOUT
        try:
            if pool.proxy and self.origin.startswith("https:"):
                pool._prepare_proxy(connection)
                return connection.sock
            if pool.proxy:
                target = parse_url(self.origin)
                connection.set_tunnel(target.host, target.port, pool.proxy_headers)
            connection.connect()
            return connection.sock
        except NotConnected as error:
            failure = self._explain_unsent("websocket", error)
        connection.close()
        raise failure

    def _explain_unsent(self, request: str, error: NotConnected) -> ConnectionFailed:
        [cause] = error.args
        reason = self.redaction.redact_text(_CONNECTION.sub("", str(cause)))
        route = f"{self.origin} through the proxy {self.proxy}" if self.proxy else self.origin
        return _to_unsent_error(request, route, cause, reason)

    def close(self) -> None:
        self._manager.clear()


def preload(ca_path: str | None) -> None:
    """Load CA certificates, and what a proxy needs, before processes are forked."""
    if HAS_LIBRARIES:
        with contextlib.suppress(AlpaconError):
            get_context(Settings("https://workspace.invalid", "", ca_path=ca_path))
            find_proxy("https://workspace.invalid")


def get_missing_library_error() -> MissingLibrary:
    return MissingLibrary(
        f"The Python library requests is missing where this runs. Install it: {sys.executable} -m pip install requests"
    )


def _prepare_url(url: str, params: Mapping[str, Any]) -> str:
    """Add parameters and encode a URL; ValueError if it is not an http or https URL."""
    pairs = [
        (name, value)
        for name, values in params.items()
        for value in (values if isinstance(values, (list, tuple)) else [values])
        if value is not None
    ]
    parts = parse_url(f"{url}?{urlencode(pairs)}" if pairs else url)
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError("it is not an http or https URL")
    return parts.url


def find_proxy(url: str) -> tuple[str, str]:
    """Return the variable and the address of the proxy of the environment; empty texts if there is none."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    # macOS also has system settings.
    if sys.platform != "darwin" and not any(name.lower() in names and os.environ[name] for name in os.environ):
        return "", ""
    try:
        from requests.utils import get_environ_proxies, select_proxy
    except ImportError:
        raise get_missing_library_error() from None
    proxies = get_environ_proxies(url, no_proxy=None)
    proxy = select_proxy(url, proxies)
    if not proxy:
        return "", ""
    scheme = urlsplit(url).scheme
    name = f"{scheme if scheme in proxies else 'all'}_proxy"
    return name if name in os.environ else name.upper(), proxy if "://" in proxy else f"http://{proxy}"


def open_manager(variable: str, address: str, options: dict[str, Any]) -> tuple[Any, list[str]]:
    """Return urllib3's manager of connections, and the password of the proxy in all the forms that are sent."""
    if not address:
        return urllib3.PoolManager(**options), []
    try:
        parts = urlsplit(address)
        check_host(parts.hostname)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme.lower().startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(address, user, password, **options), [parts.password or "", password]
        headers = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}") if user else {}
        manager = urllib3.ProxyManager(
            address, proxy_headers=headers, proxy_ssl_context=options["ssl_context"], **options
        )
    except ImportError:
        raise UsageError(
            variable,
            "a SOCKS proxy needs the Python library PySocks, which is missing where this runs",
            f"Install it: {sys.executable} -m pip install pysocks",
        ) from None
    except (TypeError, ValueError, urllib3.exceptions.HTTPError):
        # Do not show the address: it may have a password.
        raise UsageError(
            variable,
            "it is not the address of a proxy",
            "Give one such as http://proxy.example.com:3128, or unset it.",
        ) from None
    return manager, [parts.password or "", password, headers.get("proxy-authorization", "").partition(" ")[2]]


def get_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS context of these settings; :class:`UsageError` if CA certificates cannot be read."""
    if not settings.validate_certs:
        return _load_context(None, ())
    sources = {
        "ca_path": settings.ca_path,
        "REQUESTS_CA_BUNDLE": os.environ.get("REQUESTS_CA_BUNDLE"),
        "CURL_CA_BUNDLE": os.environ.get("CURL_CA_BUNDLE"),
    }
    option, path = next(((name, path) for name, path in sources.items() if path), ("ca_path", ""))
    path = path or find_default_certificates()
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode) and not stat.S_ISDIR(state.st_mode):
            raise OSError("it is neither a file nor a folder")  # reading a FIFO would never end
        return _load_context(path, (state.st_ino, state.st_size, state.st_mtime_ns))
    except OSError as error:
        raise UsageError(
            option,
            f"no CA certificates can be read from {path}: {error}",
            "Give the path of a file or folder of them in PEM format.",
        ) from None


def find_default_certificates() -> str:
    for name in ("certifi", "requests.certs"):  # the requests of Fedora and RHEL needs no certifi
        with contextlib.suppress(ImportError):
            return str(importlib.import_module(name).where())
    raise get_missing_library_error()


@functools.cache
def _load_context(path: str | None, _state: tuple[int, ...]) -> ssl.SSLContext:
    """Load CA certificates once per state of their file or folder; verify no certificate without a path."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if path else ssl.CERT_NONE)
    if path:
        context.load_verify_locations(**{"capath" if os.path.isdir(path) else "cafile": path})
    return context


def get_origin(url: str) -> str:
    """Return scheme, host and port of a URL as they are connected to; ValueError if it has none."""
    # Other libraries find another host if there is a backslash in front of an @.
    parts = parse_url(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme or "")
    return f"{parts.scheme}://{parts.host}:{port}"


def close_response(response: Any) -> None:
    """Close a response, and its connection unless the body was read to the end."""
    response.close()
    response.release_conn()


@functools.cache
def get_timed_pool(pool: Any, response: Any = None) -> Any:
    """Return a pool whose connections raise :class:`NotConnected`, and whose responses are of a class with limits."""
    own = {"response_class": response or TimedResponse}
    connection = type("TimedConnection", (_TimedConnection, pool.ConnectionCls), own)
    return type("TimedPool", (pool,), {"ConnectionCls": connection})


class NotConnected(Exception):
    """Report that no connection was made; the argument is the cause. Libraries do not wrap this class."""


class _TimedConnection:
    """Raise :class:`NotConnected` if the connection, its tunnel or TLS fails, before anything is sent."""

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except Exception as error:
            raise NotConnected(error) from None


class _ResponseDeadline(threading.local):
    """The monotonic time until which this thread may read a response."""

    at = math.inf


_response_deadline = _ResponseDeadline()


def _describe_limit(usual: str) -> str:
    return usual if time.monotonic() < _response_deadline.at else "by the end of wait_timeout and one request_timeout"


class TimedResponse(http.client.HTTPResponse):
    """A response with limits of time and size."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if sock.gettimeout():
            self.fp: Any = io.BufferedReader(_TimedStream(self.fp.detach(), sock, *self.get_limits(sock.gettimeout())))

    def get_limits(self, timeout: float) -> tuple[float, int]:
        """Return until when it may be read, in monotonic seconds, and the most bytes of its body."""
        return min(time.monotonic() + RESPONSE_TIMEOUTS * timeout, _response_deadline.at), MAX_RESPONSE_BYTES

    def begin(self) -> None:
        """Read the headers, after skipping interim responses: http.client skips status 100 only."""
        super().begin()
        while self.status < 200 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers: Any = None
            super().begin()


class _TooLarge(OSError):
    pass


class _TimedStream(io.RawIOBase):
    """Read from a socket within the limits of time and size of a response.

    The size is limited here because a chunk of size -1 makes the reader of the body read until the end.
    """

    def __init__(self, raw: Any, sock: Any, deadline: float, most: int) -> None:
        super().__init__()
        self._raw, self._sock, self._timeout = raw, sock, sock.gettimeout()
        self._deadline, self._most = deadline, most
        self._left = most + _FRAMING

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
            raise _TooLarge(f"it is larger than {self._most // 2**20} MiB")
        return received

    def close(self) -> None:
        # Old versions of urllib3 send the next request of the connection with the timeout that is left.
        with contextlib.suppress(OSError):
            self._sock.settimeout(self._timeout)
        self._raw.close()
        super().close()


def _describe_failure(error: Exception) -> str:
    if error.args and isinstance(error.args[-1], _TooLarge):
        return f"and its body was not read: {error.args[-1]}"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        limit = _describe_limit(f"within {RESPONSE_TIMEOUTS} times as long")
        return f"and its body paused for request_timeout, or did not end {limit}"
    if isinstance(error, ValueError):
        return f"and its body was not read: {error}"
    return "and the connection broke before the body was read"


def _to_unsent_error(request: str, route: str, cause: Any, reason: str) -> ConnectionFailed:
    if isinstance(cause, (ssl.SSLCertVerificationError, CertificateError)):
        return UntrustedCertificate(
            f"{request}: the certificate of {route} is not trusted: {reason}."
            " If its CA is private, give the file of that CA in ca_path."
        )
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return UntrustedCertificate(
            f"{request}: TLS with {route} failed: {reason}. Check the scheme and the name in url."
        )
    return ConnectionFailed(f"{request}: no connection to {route}: {reason}. Check url, the network and any proxy.")
