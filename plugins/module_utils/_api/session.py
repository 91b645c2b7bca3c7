# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connections to one workspace: TLS, proxies, timeouts, and what may be received."""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import os
import re
import ssl
import stat
import sys
import time
import zlib
from collections.abc import Mapping
from typing import Any, Callable
from urllib.parse import urlsplit

from .errors import AlpaconError, ConnectionFailed, LostResponse, MissingLibrary, UntrustedCertificate, UsageError
from .response import MAX_RESPONSE_BYTES, unpack_body
from .settings import URL_EXAMPLE, VERSION, Redaction, Settings, check_host

try:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from requests.structures import CaseInsensitiveDict
    from requests.utils import (
        DEFAULT_CA_BUNDLE_PATH,
        get_auth_from_url,
        get_environ_proxies,
        prepend_scheme_if_needed,
        select_proxy,
    )
    from urllib3.connection import CertificateError  # type: ignore[attr-defined]
    from urllib3.util import parse_url
    from urllib3.util.ssl_ import create_urllib3_context
except ImportError:
    HAS_REQUESTS = False
else:
    HAS_REQUESTS = True

#: How long a connection may take to be made, in seconds.
CONNECT_TIMEOUT = 10.0
#: The whole of an answer must be there after so many times ``request_timeout``.
RESPONSE_TIMEOUTS = 4
#: How much may come beside the body of an answer: headers, and what stands around the chunks of a transfer, in bytes.
_FRAMING = 16 * 2**20


class UnreadableBody(Exception):
    """What came of the body of an answer cannot be read; the text is the end of a sentence that says why."""


class Session:
    """Keep-alive connections to one workspace, which threads may share.

    Args:
        pool: how many connections are kept open.
        authorization: the header that goes with each request.

    Raises:
        MissingLibrary: requests is not there.
        UsageError: nothing can be sent to the URL, or through the proxy that the environment names.
    """

    def __init__(self, settings: Settings, pool: int, authorization: str) -> None:
        if not HAS_REQUESTS:
            raise MissingLibrary(
                "The Python library requests is missing where this runs. Install it:"
                f" {sys.executable} -m pip install requests"
            )
        self._verify = settings.validate_certs
        self._timeout = urllib3.Timeout(
            connect=min(CONNECT_TIMEOUT, settings.request_timeout), read=settings.request_timeout
        )
        self._headers = CaseInsensitiveDict(
            {
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "Connection": "keep-alive",
                "User-Agent": f"herdops.alpacon/{VERSION}",
                "Authorization": authorization,
            }
        )
        # A proxy would look for this machine's own addresses on its own machine, and get the token unencrypted.
        self._proxies = {} if settings.is_loopback else get_environ_proxies(settings.url, no_proxy=None)
        over_tls = any(address.startswith("https:") for address in (settings.url, *self._proxies.values()))
        self._adapter = _Adapter(_context_for(settings) if over_tls else None, pool)
        #: Host and port of the proxy on the way, which errors name; empty if there is none.
        self.proxy = self._check_way(settings.url)
        self.origin = get_origin(settings.url)
        #: Takes the credentials out of what the peer, or a proxy, repeats of them.
        self.redaction = Redaction(authorization, self._secrets_of_proxy(settings.url))
        if not self._verify:
            # The user has said so; a warning for each request would tell nothing new.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def _check_way(self, url: str) -> str:
        """Refuse an address that no request can be sent to, and a proxy that none can be sent through.

        Returns:
            Host and port of the proxy; empty if there is none.
        """
        try:
            requests.PreparedRequest().prepare_url(url, {})
        except requests.exceptions.RequestException:
            raise UsageError("url", f"'{url}' is not an http or https URL", URL_EXAMPLE) from None
        proxy = select_proxy(url, self._proxies)
        if not proxy:
            return ""
        scheme = urlsplit(url).scheme
        name = f"{scheme if scheme in self._proxies else 'all'}_proxy"
        variable = name if name in os.environ else name.upper()
        try:
            address = prepend_scheme_if_needed(proxy, "http")
            check_host(urlsplit(address).hostname)
            self._adapter.proxy_manager_for(address)
        except requests.exceptions.InvalidSchema:
            raise UsageError(
                variable,
                "a SOCKS proxy takes the Python library PySocks, which is missing where this runs",
                f"Install it: {sys.executable} -m pip install pysocks",
            ) from None
        except (TypeError, ValueError, requests.exceptions.RequestException, urllib3.exceptions.HTTPError):
            # The address is not shown: it may have a password.
            raise UsageError(
                variable,
                "it is not the address of a proxy",
                "Give one such as http://proxy.example.com:3128, or unset it.",
            ) from None
        return get_origin(address).partition("//")[2]

    def _secrets_of_proxy(self, url: str) -> list[str]:
        """The password of the proxy on the way to a URL, as its address has it, as it is, and as it is sent."""
        proxy = select_proxy(url, self._proxies)
        if not proxy:
            return []
        address = prepend_scheme_if_needed(proxy, "http")
        sent: str = self._adapter.proxy_headers(address).get("Proxy-Authorization", "")
        return [urlsplit(address).password or "", get_auth_from_url(address)[1], sent.partition(" ")[2]]

    def send(self, method: str, url: str, path: str, params: Mapping[str, Any] | None, body: Any) -> Any:
        """Send one request and return the response of urllib3, whose body is still to be read, or to be closed.

        A session of requests would do more, and nothing that is wanted: follow redirects, keep cookies, look for
        credentials in a netrc.

        Args:
            path: what errors call the request.

        Raises:
            ConnectionFailed: it was not sent.
            LostResponse: it may have been.
        """
        request = requests.PreparedRequest()
        request.headers = self._headers.copy()
        try:
            request.prepare_method(method)
            request.prepare_url(url, params or {})
            request.prepare_body(None, None, body)
            return self._adapter.send(
                request, stream=True, timeout=self._timeout, verify=self._verify, proxies=self._proxies
            )
        except _NotConnected as error:
            [cause] = error.args
            reason = self.redaction.text(_CONNECTION.sub("", str(cause)))
            way = f"{self.origin} through the proxy {self.proxy}" if self.proxy else self.origin
            failure: AlpaconError = _unsent(method, path, way, cause, reason)
        except requests.exceptions.RequestException as error:
            failure = _lost(method, path, error, self.redaction.text(str(_below(error))))
        # Not where it was caught: what the peer said would come along.
        raise failure

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._adapter.close()


def preload(ca_path: str | None) -> None:
    """Prepare what all sessions have in common, CA certificates above all, so that processes that are forked need not.

    Args:
        ca_path: the certificates that sessions will most likely be told to use, or None for the default ones.
    """
    if HAS_REQUESTS:
        with contextlib.suppress(UsageError):
            _Adapter(_context_for(Settings("https://workspace.invalid", "", ca_path=ca_path)), 1).close()


def _context_for(settings: Settings) -> ssl.SSLContext:
    """What connections of these settings have in common; :class:`UsageError` where CA certificates cannot be read."""
    if not settings.validate_certs:
        return _context(None, ())
    given = {
        "ca_path": settings.ca_path,
        "REQUESTS_CA_BUNDLE": os.environ.get("REQUESTS_CA_BUNDLE"),
        "CURL_CA_BUNDLE": os.environ.get("CURL_CA_BUNDLE"),
    }
    option, path = next(((name, path) for name, path in given.items() if path), ("ca_path", DEFAULT_CA_BUNDLE_PATH))
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode) and not stat.S_ISDIR(state.st_mode):
            raise OSError("it is neither a file nor a folder")  # a FIFO would be read without end
        return _context(path, (state.st_ino, state.st_size, state.st_mtime_ns))
    except OSError as error:
        raise UsageError(
            option, f"no CA certificates can be read from {path}: {error}", "Name a file or folder of them in PEM form."
        ) from None


@functools.cache
def _context(path: str | None, _state: tuple[int, ...]) -> ssl.SSLContext:
    """One for each file or folder of CA certificates, as long as it stays as it is; none are verified without one."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if path else ssl.CERT_NONE)
    if path:
        context.load_verify_locations(**{"capath" if os.path.isdir(path) else "cafile": path})
    return context


def get_origin(url: str) -> str:
    """Scheme, host and port as they are connected to; ValueError where a URL has none that is sound."""
    # Another library would find another host where there is a backslash in front of an @.
    parts = parse_url(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme or "")
    return f"{parts.scheme}://{parts.host}:{port}"


def close_response(response: Any) -> None:
    """Leave a response; its connection is kept only where it was read to its end."""
    response.close()
    response.release_conn()


def read_body(response: Any) -> bytes:
    """Read the body of a response, unpacked.

    Raises:
        UnreadableBody: it did not come, or not whole, or it is larger or odder than an answer may be.
    """
    try:
        return unpack_body(response)
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError, zlib.error) as error:
        raise UnreadableBody(_what_broke(error)) from None
    finally:
        close_response(response)


class _Adapter(HTTPAdapter if HAS_REQUESTS else object):  # type: ignore[misc]
    """Sends to one workspace, and bounds the time of whole answers: sockets bound that of one read only.

    Args:
        context: what TLS connections are made with.
        pool: how many connections are kept open.
    """

    def __init__(self, context: ssl.SSLContext | None, pool: int) -> None:
        self._context = context
        self._connections: Any = None
        # What fails is sent again by nobody but the client.
        super().__init__(pool_maxsize=pool, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _timed_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        if proxy.lower().startswith("https"):
            kwargs["proxy_ssl_context"] = self._context
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        manager.pool_classes_by_scheme = _timed_pools(manager)
        return manager

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        return self._found(super().get_connection_with_tls_context, *args, **kwargs)

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """What requests before 2.32 asks."""
        return self._found(super().get_connection, *args, **kwargs)

    def _found(self, look_up: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # One origin, and one way to get there: to look for it takes longer than to send.
        if self._connections is None:
            self._connections = look_up(*args, **kwargs)
        return self._connections

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Load no certificates for each connection: the context has them."""

    def build_response(self, req: Any, resp: Any) -> Any:
        """What requests makes of an answer has cookies, an encoding and a history, which nobody reads."""
        return resp


def _timed_pools(manager: Any) -> dict[str, Any]:
    return {scheme: _timed(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}


@functools.cache
def _timed(pool: Any) -> Any:
    if issubclass(pool.ConnectionCls, _Connecting):
        return pool
    connection = type("TimedConnection", (_Connecting, pool.ConnectionCls), {"response_class": _TimedResponse})
    return type("TimedPool", (pool,), {"ConnectionCls": connection})


#: A connection as Python shows it, which urllib3 puts in front of what became of it.
_CONNECTION = re.compile(r"^(?:<[^<>]*>|\w+\(host=[^()]*\)): ")


class _NotConnected(Exception):
    """No connection was made, so nothing was sent: its argument is why. Libraries let it through as it is."""


class _Connecting:
    """A connection that tells apart what fails while it is made, TLS and tunnel and all: before anything is sent."""

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except Exception as error:
            raise _NotConnected(error) from None


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if sock.gettimeout():
            self.fp: Any = io.BufferedReader(_TimedStream(self.fp.detach(), sock))

    def begin(self) -> None:
        """Read up to the body, past all interim answers, of which the library knows 100 only."""
        super().begin()
        while self.status < 200 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers: Any = None
            super().begin()


class _TooLarge(OSError):
    """More came than an answer may have."""

    def __init__(self) -> None:
        super().__init__(f"it is larger than {MAX_RESPONSE_BYTES // 2**20} MiB")


class _TimedStream(io.RawIOBase):
    """What a socket receives, until an answer takes longer, or is larger, than it may.

    Whoever reads from it may be told to read all that there is, as by a chunk whose size is -1.
    """

    def __init__(self, raw: Any, sock: Any) -> None:
        super().__init__()
        self._raw, self._sock, self._timeout = raw, sock, sock.gettimeout()
        self._deadline = time.monotonic() + RESPONSE_TIMEOUTS * self._timeout
        self._left = MAX_RESPONSE_BYTES + _FRAMING

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


def _what_broke(error: Exception) -> str:
    if error.args and isinstance(error.args[-1], _TooLarge):
        return f"and its body is not read: {error.args[-1]}"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"and its body stayed away for request_timeout, or took more than {RESPONSE_TIMEOUTS} times as long"
    if isinstance(error, ValueError):
        return f"and its body is not read: {error}"
    return "and the connection broke before the body was read"


def _unsent(method: str, path: str, origin: str, cause: Any, reason: str) -> ConnectionFailed:
    """What to say where no connection was made; nobody repeats what no repetition changes."""
    what = f"{method} {path}"
    if isinstance(cause, (ssl.SSLCertVerificationError, CertificateError)):
        return UntrustedCertificate(
            f"{what}: the certificate of {origin} is not trusted: {reason}."
            " Name the CA in ca_path if it is a private one."
        )
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return UntrustedCertificate(
            f"{what}: {origin} does not speak TLS as it should: {reason}. Check the scheme and the name in url."
        )
    return ConnectionFailed(f"{what}: no connection to {origin}: {reason}. Check url, the network and any proxy.")


def _below(error: Exception) -> Any:
    """What broke, below the errors that libraries wrap it in."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    # A connection that breaks behind a proxy counts as a failure of the proxy: what matters is how it broke.
    return getattr(reason, "original_error", reason)


def _lost(method: str, path: str, error: Exception, reason: str) -> LostResponse:
    """What to say where a connection was made, so that a request may have arrived."""
    if isinstance(error, requests.exceptions.Timeout):
        return LostResponse(
            f"{method} {path}: no answer within request_timeout, or not its end within {RESPONSE_TIMEOUTS} times that."
        )
    return LostResponse(f"{method} {path}: the connection broke before an answer was read: {reason}.")
