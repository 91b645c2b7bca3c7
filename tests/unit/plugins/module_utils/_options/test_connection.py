# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse connection options, and refuse wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN


def settings(**given: Any) -> Settings:
    return parse_settings({"url": "https://one.example", "token": TOKEN, **given})


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://one.us1.alpacon.io", "https://one.us1.alpacon.io"),
        ("https://one.us1.alpacon.io/api/", "https://one.us1.alpacon.io"),
        ("https://example.com/alpacon/api", "https://example.com/alpacon"),
        ("http://localhost:8100", "http://localhost:8100"),
        ("http://[::1]:8100/", "http://[::1]:8100"),
    ],
)
def test_base_urls(url: str, base: str) -> None:
    assert settings(url=url).url == base


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://one.example", False),
        ("http://localhost", False),
        ("http://[::1]:8100", False),
        ("http://127.example.com", True),
    ],
)
def test_an_unencrypted_url_gives_a_warning(url: str, warned: bool) -> None:
    warnings: list[str] = []
    parse_settings({"url": url, "token": TOKEN}, warnings.append)
    assert bool(warnings) is warned
    assert all("Use https" in warning and TOKEN not in warning for warning in warnings)


@pytest.mark.parametrize(
    ("given", "option", "words"),
    [
        ({"url": None}, "url", "ALPACON_URL"),
        ({"url": ""}, "url", "module_defaults under group/herdops.alpacon.alpacon"),
        ({"url": "one.us1.alpacon.io"}, "url", "is not an http or https URL"),
        ({"url": "ftp://one.example"}, "url", "is not an http or https URL"),
        ({"url": "https://"}, "url", "is not an http or https URL"),
        ({"url": "https://one..example"}, "url", "is not an http or https URL"),
        ({"url": "https://one.example:port"}, "url", "is not an http or https URL"),
        ({"url": "https://[::1"}, "url", "is not an http or https URL"),
        ({"url": "bob:pw@one.example"}, "url", "the given text is not an http or https URL"),
        ({"url": "https://bob:pw@one.example:99999999"}, "url", "the given text is not an http or https URL"),
        ({"url": "https://one.example:0"}, "url", "is not an http or https URL"),
        ({"url": "https://bob:pw@one.example"}, "url", "Remove them, and give a token as token"),
        ({"url": "https://one.example/?a=b"}, "url", "has a query or fragment"),
        ({"token": None}, "token", "ALPACON_TOKEN"),
        ({"token": ""}, "token", "alpacon_token"),
        ({"token": False}, "token", "ALPACON_TOKEN"),
        ({"token": {}}, "token", "ALPACON_TOKEN"),
        ({"token": 'token="abc"'}, "token", "without quotes"),
        ({"token": "a\nb"}, "token", "without quotes"),
        ({"token": "token=abc"}, "token", "without quotes"),
        ({"token": "$ANSIBLE_VAULT;1.1;AES256"}, "token", "without quotes"),
        ({"token": "<token>"}, "token", "without quotes"),
        ({"request_timeout": 0}, "request_timeout", "is not a valid timeout"),
        ({"request_timeout": 7 * 86400 + 1}, "request_timeout", "is not a valid timeout"),
        ({"request_timeout": 10**400}, "request_timeout", "is not a valid timeout"),
        ({"request_timeout": "abc"}, "request_timeout", "'abc' is not a valid timeout"),
        ({"request_timeout": True}, "request_timeout", "True is not a valid timeout"),
        ({"requests_per_hour": 0}, "requests_per_hour", "is not a number of requests"),
        ({"requests_per_hour": "1.5"}, "requests_per_hour", "'1.5' is not a number of requests"),
        ({"declared_agent_name": "a\r\nX-Other: 1"}, "declared_agent_name", "in one line"),
        ({"declared_agent_name": "a\n"}, "declared_agent_name", "in one line"),
        ({"declared_agent_name": "안녕"}, "declared_agent_name", "of ASCII"),
        ({"declared_agent_name": "a" * 101}, "declared_agent_name", "at most 100"),
        ({"declared_agent_name": "a" * 5000}, "declared_agent_name", "at most 100"),
        ({"declared_agent_name": "a\x00\x7f\t"}, "declared_agent_name", "of ASCII"),
        ({"declared_agent_name": ["a\n"]}, "declared_agent_name", "in one line"),
        ({"declared_agent_name": {"a": 1}}, "declared_agent_name", "in one line"),
        ({"validate_certs": "ture"}, "validate_certs", "'ture' is not a boolean"),
        ({"validate_certs": 2}, "validate_certs", "'2' is not a boolean"),
        ({"ca_path": "/no/such/ca.pem"}, "ca_path", "does not exist"),
    ],
)
def test_refused_settings(given: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(**given)
    assert caught.value.option == option
    assert words in str(caught.value)


def test_default_settings() -> None:
    assert settings(validate_certs=None, ca_path="", request_timeout=None) == settings()
    assert settings(validate_certs=" ", ca_path=" ", request_timeout="") == settings()
    assert settings(request_timeout=7 * 86400).request_timeout == 7 * 86400
    assert settings().validate_certs is True
    assert settings(validate_certs=False).validate_certs is False


@pytest.mark.parametrize(
    ("word", "meant"),
    [("false", False), ("no", False), (" False ", False), ("0", False), (0, False), ("yes", True), ("True", True)],
)
def test_words_for_validate_certs(word: Any, meant: bool) -> None:
    assert settings(validate_certs=word).validate_certs is meant


def test_a_path_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").touch()
    for path in ("~/ca.pem", "$HOME/ca.pem", f" {tmp_path}/ca.pem "):
        assert settings(ca_path=path).ca_path == f"{tmp_path}/ca.pem"


def test_the_declared_name_is_kept_without_spaces_around_it() -> None:
    assert settings(declared_agent_name=" nightly patches ").declared_agent_name == "nightly patches"
    assert settings(declared_agent_name=" ").declared_agent_name is None


def test_the_quota_may_be_a_text() -> None:
    assert settings(requests_per_hour="20000").requests_per_hour == 20000


@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("0.5", 0.5), (" 1.5 ", 1.5)])
def test_a_timeout_may_be_a_text(text: str, seconds: float) -> None:
    assert settings(request_timeout=text).request_timeout == seconds
