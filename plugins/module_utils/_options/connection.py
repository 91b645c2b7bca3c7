# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse the connection options of a task into :class:`.Settings`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .._api.errors import UsageError
from .._api.settings import URL_EXAMPLE, Settings, Warn, check_host
from .values import check_credential, parse_boolean, parse_number

#: The controller adds values of variables and of the environment, since it knows the workspace of each token.
CONNECTION: dict[str, dict[str, Any]] = {
    "url": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool", "default": Settings.validate_certs},
    "ca_path": {"type": "path"},
    "request_timeout": {"type": "int", "default": Settings.request_timeout},
    "requests_per_hour": {"type": "int", "default": Settings.requests_per_hour},
    "declared_agent_name": {"type": "str"},
}


def is_given(value: Any) -> bool:
    return value is not None and bool(str(value).strip())


def parse_settings(options: Mapping[str, Any], warn: Warn = lambda _text: None, needs_token: bool = True) -> Settings:
    """Check connection options and warn of unsafe ones; :class:`UsageError` names the wrong one.

    Values may be texts, as in variables and the environment. An empty value counts as left out.
    """
    missing = {"url": "the base URL of the workspace is missing", "token": "an API or service token is missing"}
    for name, problem in missing.items():
        if not is_given(options.get(name) or "") and (name == "url" or needs_token):
            raise UsageError(
                name,
                problem,
                f"Give it as the option {name} (for modules also in module_defaults under"
                f" group/herdops.alpacon.alpacon), as the variable alpacon_{name}, or as ALPACON_{name.upper()} in the"
                " environment of ansible-playbook.",
            )
    given = {name: value for name, value in options.items() if is_given(value)}
    settings = Settings(
        url=_parse_url(str(options["url"])),
        token=check_credential("token", str(options.get("token") or "")),
        validate_certs=parse_boolean("validate_certs", given.get("validate_certs", Settings.validate_certs)),
        ca_path=_parse_ca_path(given["ca_path"]) if "ca_path" in given else None,
        request_timeout=_parse_request_timeout(given.get("request_timeout", Settings.request_timeout)),
        requests_per_hour=_parse_requests_per_hour(given.get("requests_per_hour", Settings.requests_per_hour)),
        declared_agent_name=_parse_agent_name(given["declared_agent_name"]) if "declared_agent_name" in given else None,
    )
    parts = urlsplit(settings.url)
    if parts.scheme == "http" and not settings.is_loopback:
        warn(f"url: the token goes to {parts.netloc} unencrypted, since the URL is http. Use https.")
    return settings


def _parse_ca_path(path: Any) -> str:
    expanded = os.path.expanduser(os.path.expandvars(str(path).strip()))
    if not os.path.exists(expanded):
        raise UsageError(
            "ca_path",
            f"{expanded} does not exist",
            "Give the path of a file or folder of CA certificates in PEM format.",
        )
    return expanded


def _parse_request_timeout(value: Any) -> float:
    seconds = parse_number(value)
    if seconds is None or not 0 < seconds <= 7 * 86400:
        shown = f"'{value}'" if isinstance(value, str) else value
        raise UsageError(
            "request_timeout", f"{shown} is not a valid timeout", "Give a positive number of seconds, at most a week."
        )
    return float(seconds)


def _parse_requests_per_hour(value: Any) -> int:
    requests = parse_number(value)
    if not isinstance(requests, int) or requests < 1:
        raise UsageError("requests_per_hour", f"{value!r} is not a number of requests", "Give a positive whole number.")
    return requests


def _parse_agent_name(value: Any) -> str:
    name = "" if isinstance(value, (Mapping, list, tuple)) else str(value).strip(" ")
    # It becomes a header: a line break would begin another one.
    if not re.fullmatch(r"[ -~]{1,100}", name):
        raise UsageError(
            "declared_agent_name",
            "it is not a name that a request can declare",
            "Give at most 100 characters of ASCII, in one line.",
        )
    return name


def _parse_url(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        check_host(parts.hostname)
        is_valid = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        # The text before an @ may be a password.
        shown = f"'{url}'" if "@" not in url else "the given text"
        raise UsageError("url", f"{shown} is not an http or https URL", URL_EXAMPLE)
    if parts.username or parts.password:
        raise UsageError("url", "it contains a user name or password", "Remove them, and give a token as token.")
    if parts.query or parts.fragment:
        raise UsageError("url", f"'{url}' has a query or fragment", URL_EXAMPLE)
    return f"{parts.scheme}://{parts.netloc}{re.sub('/api$', '', parts.path.rstrip('/'))}"
