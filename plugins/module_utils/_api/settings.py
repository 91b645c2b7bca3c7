# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a workspace is and how to talk to it."""

from __future__ import annotations

import html
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Callable
from urllib.parse import urlsplit

URL_EXAMPLE = "Give one such as https://my-workspace.us1.alpacon.io."

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
            there after :data:`.session.RESPONSE_TIMEOUTS` times as long.
    """

    url: str
    token: str = field(repr=False)
    validate_certs: bool = True
    ca_path: str | None = None
    request_timeout: float = 30

    @property
    def warnings(self) -> list[str]:
        """What is allowed and still unwise about these settings."""
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not self.is_loopback:
            return [f"url: the token goes to {parts.netloc} unencrypted, since the URL is http. Use https."]
        return []

    @property
    def is_loopback(self) -> bool:
        """Whether the URL is one of the machine that this runs on."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def check_host(host: str | None) -> None:
    """ValueError where a name cannot be that of a host: there is none, or a label is empty or too long."""
    if not host or any(char.isspace() for char in host):
        raise ValueError("it names no host")
    host.encode("idna")


REDACTED = "********"
#: A shorter text is no secret, and hiding it would hide half of every output.
MIN_SECRET_LENGTH = 4
#: The credentials of a header; the id of an agent is none.
_CREDENTIALS = re.compile(r'\b(?:token|key)="([^"]*)"')


class Redaction:
    """Takes the credentials of one header out of texts, however JSON, HTML and URLs write them.

    It comes before anything is cut: nobody recognises half a credential.

    Args:
        authorization: the header.
        others: secrets that go with it, as those for a proxy.
    """

    def __init__(self, authorization: str = "", others: Iterable[str] = ()) -> None:
        given = (*_CREDENTIALS.findall(authorization), *others)
        secrets = [secret for secret in given if len(secret) >= MIN_SECRET_LENGTH]
        pattern = "|".join("".join(map(_ways_to_write, secret)) for secret in secrets) or "(?!)"
        self._in_text, self._in_bytes = re.compile(pattern), re.compile(pattern.encode("utf-8"))

    def text(self, text: str) -> str:
        """A text without them."""
        return self._in_text.sub(REDACTED, text)

    def content(self, content: bytes) -> bytes:
        """What was received, without them."""
        return self._in_bytes.sub(REDACTED.encode("ascii"), content)


def _ways_to_write(character: str) -> str:
    """A pattern for a character of a credential."""
    if character.isalnum() or character in "-_":
        return re.escape(character)
    code, number = f"{ord(character):02x}", ord(character)
    named = re.escape(html.escape(character))
    return rf"(?:\\{{0,8}}{re.escape(character)}|(?i:\\{{1,8}}u00{code}|%{code}|&#x{code};)|&#{number};|{named})"


VERSION = "1.0.0"
