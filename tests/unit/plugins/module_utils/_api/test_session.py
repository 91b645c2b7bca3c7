# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test origins of URLs, CA certificates, libraries and timeouts."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api import session
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import MissingLibrary, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.session import Session, get_origin, preload
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://one.example", "https://one.example:443"),
        ("http://one.example/api/?page=2", "http://one.example:80"),
        ("HTTP://One.Example:8080", "http://one.example:8080"),
    ],
)
def test_an_origin_has_a_port(url: str, origin: str) -> None:
    assert get_origin(url) == origin


def test_certificates_are_not_read_from_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.pem")
    with pytest.raises(UsageError, match=r"ca_path: .*ca\.pem: it is neither a file nor a folder"):
        Session(Settings("https://workspace.invalid", TOKEN, ca_path=str(tmp_path / "ca.pem")), "")


def test_only_a_proxy_needs_all_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    monkeypatch.setitem(sys.modules, "requests.utils", None)
    settings = Settings("http://workspace.invalid", TOKEN)
    assert Session(settings, "").proxy == ""
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    with pytest.raises(MissingLibrary, match="requests is missing"):
        Session(settings, "")


def test_a_proxy_is_prepared_before_workers_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    monkeypatch.delitem(sys.modules, "requests.utils", raising=False)
    preload(None)
    assert "requests.utils" in sys.modules


def test_requests_of_fedora_needs_no_certifi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    certs = ModuleType("requests.certs")
    certs.where = lambda: str(tmp_path / "system.pem")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "certifi", None)
    monkeypatch.setitem(sys.modules, "requests.certs", certs)
    with pytest.raises(UsageError, match=r"no CA certificates can be read from .*/system\.pem"):
        Session(Settings("https://workspace.invalid", TOKEN), "")
    monkeypatch.setitem(sys.modules, "requests.certs", None)
    with pytest.raises(MissingLibrary, match="requests is missing"):
        Session(Settings("https://workspace.invalid", TOKEN), "")


def test_a_deadline_ends_with_its_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session._response_deadline, "at", time.monotonic() + 2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        response = session.TimedResponse(ours)
        response.begin()
        assert (ours.gettimeout() or 0) < 3
        assert response.read() == b"[]"
        assert ours.gettimeout() == 5
