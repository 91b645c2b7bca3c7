# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask about the way to the workspace: its URL, the proxy and TLS. This sends no request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from ...module_utils._api.errors import AlpaconError, ConnectionFailed, UntrustedCertificate, UsageError
from ...module_utils._api.settings import URL_EXAMPLE, Settings
from ...module_utils._options.connection import is_given, parse_settings
from .answers import OK, PROBLEM, WARNING, Answers
from .probing import Budget, Probe, Tls

#: A certificate or token that expires sooner is reported, in days.
SOON = 14
_NO_URL = "No URL is set. Set that of your workspace: export ALPACON_URL=https://my-workspace.us1.alpacon.io"
#: Options and variables of the environment whose problems are not those of the URL.
_TLS_OPTIONS = ("ca_path", "validate_certs", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Texts of TLS libraries -> remedy.
_CERTIFICATE_REMEDIES = (
    (
        "has expired",
        "Renew the certificate of the workspace, or of the proxy that inspects TLS. If the date of this machine is"
        " wrong, correct that.",
    ),
    ("not yet valid", "Correct the date of this machine, or of the one that made the certificate."),
    ("mismatch|doesn't match", "Set ALPACON_URL to the name that the certificate is for."),
    (
        "self.signed|local issuer|unable to get issuer",
        "Give the file of its CA: export ALPACON_CA_PATH=/path/to/ca.pem. If a proxy inspects TLS, that is the"
        " proxy's CA.",
    ),
)
_OTHER_TLS_REMEDY = "Check the scheme, the name and the port in ALPACON_URL."
#: Texts of the operating system and of libraries -> remedy, for connections without a proxy.
_CONNECTION_REMEDIES = (
    (
        "resolve|name or service|nodename",
        "Check the spelling of ALPACON_URL. If this machine needs a proxy, set https_proxy.",
    ),
    ("refused", "Check the port in ALPACON_URL, and that the workspace runs."),
)
_OTHER_CONNECTION_REMEDY = "Check the firewall. If this machine needs a proxy, set https_proxy."
#: What errors of connections say at their ends, for tasks.
_REMEDY_OF_TASKS = re.compile(r" (?:If its CA is private|Check (?:url|the scheme)).*$", re.DOTALL)


def open_probe(
    options: Mapping[str, Any], answers: Answers, budget: Budget, log: Callable[[str], None] | None
) -> tuple[Settings, Probe] | None:
    """Connect to the workspace, and answer the questions about that.

    Args:
        options: connection settings.

    Returns:
        None if there is no connection.
    """
    if not is_given(options.get("url") or ""):
        answers.add("url", PROBLEM, _NO_URL)
        return None
    try:
        settings = parse_settings(options, needs_token=False)
        answers.names.add("workspace", settings.url, urlsplit(settings.url).netloc, urlsplit(settings.url).hostname)
        probe = Probe(settings, budget, log)
    except UsageError as error:
        answers.names.add_values(error.problem)
        remedy = error.remedy.replace(URL_EXAMPLE, "Give one such as https://my-workspace.us1.alpacon.io.")
        answers.add(_get_question(error.option), PROBLEM, f"{error.option}: {error.problem.rstrip('.')}.", remedy)
        return None
    except AlpaconError as error:
        answers.add("url", PROBLEM, str(error))
        return None
    answers.names.add("proxy", probe.proxy, probe.proxy.rpartition(":")[0])
    try:
        tls = probe.connect()
    except ConnectionFailed as error:
        probe.close()
        _add_failure(error, probe, answers)
        return None
    _add_proxy(settings, probe, answers)
    _add_tls(settings, tls, answers)
    return settings, probe


def _get_question(option: str) -> str:
    if option.lower().endswith("_proxy"):
        return "proxy"
    return "tls" if option in _TLS_OPTIONS else "token" if option == "token" else "url"


def _add_failure(error: ConnectionFailed, probe: Probe, answers: Answers) -> None:
    finding = _REMEDY_OF_TASKS.sub("", str(error).removeprefix("websocket: "))
    finding = finding[:1].upper() + finding[1:]
    answers.names.add_values(finding)
    if isinstance(error, UntrustedCertificate):
        answers.add("tls", PROBLEM, finding, _find_remedy(_CERTIFICATE_REMEDIES, finding, _OTHER_TLS_REMEDY))
    elif probe.proxy:
        remedy = "Check the address in https_proxy, or name the workspace in no_proxy if it needs no proxy."
        if "407" in finding:
            remedy = "The proxy asks for a password: set https_proxy to http://user:password@name:port."
        answers.add("proxy", PROBLEM, finding, remedy)
    else:
        answers.add("url", PROBLEM, finding, _find_remedy(_CONNECTION_REMEDIES, finding, _OTHER_CONNECTION_REMEDY))


def _find_remedy(remedies: tuple[tuple[str, str], ...], finding: str, otherwise: str) -> str:
    return next((remedy for words, remedy in remedies if re.search(words, finding, re.IGNORECASE)), otherwise)


def _add_proxy(settings: Settings, probe: Probe, answers: Answers) -> None:
    if probe.proxy:
        answers.add("proxy", OK, f"Requests go through {probe.proxy}.", facts={"used": True})
        return
    why = "The workspace is on this machine." if settings.is_loopback else "The environment names none for this URL."
    answers.add("proxy", OK, f"No proxy is used. {why}", facts={"used": False})


def _add_tls(settings: Settings, tls: Tls | None, answers: Answers) -> None:
    if tls is None:
        level, finding, remedy = WARNING, "The URL is http, so the token is sent unencrypted.", "Use https."
        if settings.is_loopback:
            level, finding, remedy = OK, "No TLS is needed, since the workspace is on this machine.", ""
        answers.add("tls", level, finding, remedy, facts={"used": False})
        return
    facts: dict[str, Any] = {"version": tls.version}
    if not settings.validate_certs:
        finding = f"{tls.version}, and validate_certs is false: the certificate is not verified."
        answers.add("tls", WARNING, finding, "Verify it with the file of its CA in ALPACON_CA_PATH.", facts=facts)
        return
    days = (tls.expires - datetime.now(timezone.utc)).days if tls.expires else None
    facts["days_left"] = days
    until = f", and the certificate is valid until {tls.expires:%Y-%m-%d}" if tls.expires else ""
    is_soon = days is not None and days < SOON
    remedy = "Renew the certificate before that." if is_soon else ""
    answers.add("tls", WARNING if is_soon else OK, f"{tls.version}{until}.", remedy, facts=facts)
