# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Where a workspace is and how to talk to it."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable
from urllib.parse import urlsplit

from ansible.module_utils.parsing.convert_bool import boolean

from .errors import UsageError

#: The longest that a request may be told to take, in seconds.
_LONGEST_TIMEOUT = 7 * 86400.0

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
    request_timeout: float = 30.0

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], warn: Warn = lambda _text: None, needs_token: bool = True
    ) -> Settings:
        """Check the connection options of a task or plugin; :class:`UsageError` says which one is wrong.

        Values may be texts, as variables and the environment have them; what is empty counts as left out.

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
                    f"Give it as the option {name}, for modules also in module_defaults under"
                    f" group/herdops.alpacon.alpacon, as the variable alpacon_{name}"
                    f" or in the environment as ALPACON_{name.upper()}.",
                )
        given = {name: value for name, value in options.items() if str(value).strip() and value is not None}
        settings = cls(
            url=_base_url(str(options["url"])),
            token=credential("token", str(options.get("token") or "")),
            validate_certs=truth("validate_certs", given.get("validate_certs", cls.validate_certs)),
            ca_path=_certificates(given["ca_path"]) if "ca_path" in given else None,
            request_timeout=_seconds("request_timeout", given.get("request_timeout", cls.request_timeout)),
        )
        for warning in settings.warnings:
            warn(warning)
        return settings

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


def truth(option: str, value: Any) -> bool:
    """Read a word for true or false; :class:`UsageError` where it is neither."""
    try:
        return bool(boolean(value))
    except TypeError:
        raise UsageError(option, f"'{value}' is neither true nor false", "Give one of the two.") from None


def _certificates(path: Any) -> str:
    expanded = os.path.expanduser(os.path.expandvars(str(path).strip()))
    if not os.path.exists(expanded):
        raise UsageError(
            "ca_path", f"{expanded} does not exist", "Name a file or folder of CA certificates in PEM form."
        )
    return expanded


def _seconds(option: str, value: Any) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        shown = f"'{value}'" if isinstance(value, str) else value
        raise UsageError(option, f"{shown} is not a time", "Give a positive number of seconds, a week at the most.")
    return seconds


def _base_url(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        check_host(parts.hostname)
        sound = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        # What stands before an @ may be a password.
        shown = f"'{url}'" if "@" not in url else "what is given"
        raise UsageError("url", f"{shown} is not an http or https URL", EXAMPLE_OF_URL)
    if parts.username or parts.password:
        raise UsageError("url", "it carries a user name or password", "Give the credential in token instead.")
    if parts.query or parts.fragment:
        raise UsageError("url", f"'{url}' has a query or fragment", EXAMPLE_OF_URL)
    path = parts.path.rstrip("/")
    if path.endswith("/api"):
        path = path[: -len("/api")]
    return f"{parts.scheme}://{parts.netloc}{path}"


def check_host(host: str | None) -> None:
    """ValueError where a name cannot be that of a host: there is none, or a label is empty or too long."""
    if not host or any(char.isspace() for char in host):
        raise ValueError("it names no host")
    host.encode("idna")


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
