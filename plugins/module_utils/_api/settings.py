# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Define the connection settings, redact credentials from texts, and state the version of the collection."""

from __future__ import annotations

import html
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Callable
from urllib.parse import urlsplit

VERSION = "1.0.0"

URL_EXAMPLE = "Give one such as https://my-workspace.us1.alpacon.io."

Warn = Callable[[str], None]

REDACTED = "********"
#: A shorter text is not treated as a secret: redacting it would hide half of every output.
MIN_SECRET_LENGTH = 4
#: The credentials of a header; the ID of an agent is not one.
_CREDENTIALS = re.compile(r'\b(?:token|key)="([^"]*)"')

_JOB_ID = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True)
class Settings:
    """Connection settings of a workspace.

    Attributes:
        ca_path: file or folder of CA certificates, or None for the default ones.
        request_timeout: the longest silence within a request, in seconds; the whole response may take
            :data:`.session.RESPONSE_TIMEOUTS` times as long.
        declared_agent_name: who asks, as each request declares it; None for :func:`get_agent_name`.
    """

    url: str
    token: str = field(repr=False)
    validate_certs: bool = True
    ca_path: str | None = None
    request_timeout: float = 30
    requests_per_hour: int = 1000
    declared_agent_name: str | None = None

    @property
    def is_loopback(self) -> bool:
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def check_host(host: str | None) -> None:
    """Raise ValueError if a host name is missing, or has a label that is empty or too long."""
    if not host or any(char.isspace() for char in host):
        raise ValueError("it names no host")
    host.encode("idna")


def get_agent_name(environment: Mapping[str, str]) -> str:
    """Return the name that requests declare: this collection, and the job if the environment is one of AWX's."""
    name = f"herdops.alpacon/{VERSION}"
    # The environment may hold anything, and this text becomes a header.
    job = environment.get("AWX_JOB_ID") or ""
    if not job and "AWX_PRIVATE_DATA_DIR" in environment:  # other schedulers have a JOB_ID too
        job = environment.get("JOB_ID") or ""
    return f"{name} (AWX job {job})" if _JOB_ID.fullmatch(job) else name


def get_client_headers(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that say who asks."""
    return {
        "User-Agent": f"herdops.alpacon/{VERSION}",
        "X-Alpacon-Declared-Agent-Name": settings.declared_agent_name or get_agent_name(environment),
    }


class Redaction:
    """Remove the credentials of a header from texts, in any spelling of JSON, HTML and URLs.

    Redact before cutting a text: half a credential is not recognised.
    """

    def __init__(self, authorization: str = "", others: Iterable[str] = ()) -> None:
        credentials = (*_CREDENTIALS.findall(authorization), *others)
        secrets = [secret for secret in credentials if len(secret) >= MIN_SECRET_LENGTH]
        pattern = "|".join("".join(map(_match_spellings, secret)) for secret in secrets) or "(?!)"
        self._in_text, self._in_bytes = re.compile(pattern), re.compile(pattern.encode("utf-8"))

    def redact_text(self, text: str) -> str:
        return self._in_text.sub(REDACTED, text)

    def redact_bytes(self, content: bytes) -> bytes:
        return self._in_bytes.sub(REDACTED.encode("ascii"), content)


def _match_spellings(character: str) -> str:
    if character.isalnum() or character in "-_":
        return re.escape(character)
    code, number = f"{ord(character):02x}", ord(character)
    named = re.escape(html.escape(character))
    return rf"(?:\\{{0,8}}{re.escape(character)}|(?i:\\{{1,8}}u00{code}|%{code}|&#x{code};)|&#{number};|{named})"
