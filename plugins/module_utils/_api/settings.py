# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Where a workspace is and how to talk to it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Callable
from urllib.parse import urlsplit

EXAMPLE_OF_URL = "Give one such as https://my-workspace.us1.alpacon.io."

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
            there after :data:`.session.ANSWER_TIMEOUTS` times as long.
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
