# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    ConnectionFailed,
    IncompleteList,
    LostResponse,
    UnknownEndpoint,
    UntrustedCertificate,
    UsageError,
    error_from_body,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.plugin_utils import _event_source
from ansible_collections.herdops.alpacon.plugins.plugin_utils._event_source import (
    EventOptions,
    WorkspaceWatch,
    make_harmless,
)
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, TOKEN, Row, read_code_blocks

URL = "https://a.example.com"
ENVIRON = {"ALPACON_URL": URL, "ALPACON_TOKEN": TOKEN}


def parse(environ: Row | None = None, **arguments: Any) -> EventOptions:
    return EventOptions.from_arguments(arguments, ENVIRON if environ is None else environ)


def test_settings_come_from_the_environment() -> None:
    options = parse({**ENVIRON, "ALPACON_VALIDATE_CERTS": "no", "ALPACON_REQUESTS_PER_HOUR": "1000"})
    assert (options.settings.url, options.settings.token, options.settings.validate_certs) == (URL, TOKEN, False)
    # That of the environment is the quota of the token, not of the source.
    assert (options.interval, options.settings.requests_per_hour) == (30, 300)


def test_texts_are_values() -> None:
    options = parse(interval="7.5", servers="no", requests_per_hour="60", eda_feedback_queue=object())
    assert (options.interval, options.commands, options.servers) == (7.5, True, False)
    assert options.settings.requests_per_hour == 60


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ({"interval": 4}, "interval"),
        ({"interval": "soon"}, "interval"),
        ({"commands": False, "servers": False}, "commands"),
        ({"servers": "perhaps"}, "servers"),
        ({"requests_per_hour": 0}, "requests_per_hour"),
        ({"url": "example.com"}, "url"),
        ({"hosts": "all"}, "hosts"),
    ],
)
def test_wrong_options(arguments: Row, option: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(**arguments)
    assert raised.value.option == option


def test_the_token_of_the_environment_goes_to_its_own_workspace_only() -> None:
    assert parse(url=f"{URL}/").settings.token == parse(url=f"{URL}:443").settings.token == TOKEN
    assert parse({"ALPACON_TOKEN": TOKEN}, url=URL).settings.token == TOKEN
    assert parse(url="https://b.example.com", token="alpat-b").settings.token == "alpat-b"
    for environ, arguments in [(ENVIRON, {"url": "https://b.example.com"}), ({}, {"url": URL})]:
        with pytest.raises(UsageError, match=r"token: it is missing.* ALPACON_TOKEN and ALPACON_URL"):
            parse(environ, **arguments)
    with pytest.raises(UsageError, match="url: it is missing"):
        parse({})


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("plain {text}\n$HOME", "plain {text}\n$HOME"),
        ("{{ 1 }}{% x %}{# y #}", "{ { 1 }}{ % x %}{ # y #}"),
        ("{{{{", "{ { { {"),
        ("$ANSIBLE_VAULT;1.1", "$ ANSIBLE_VAULT;1.1"),
        ("#jinja2:variable_start_string:'[['\n[[ 1 ]]", "# jinja2:variable_start_string:'[['\n[[ 1 ]]"),
        ("\x1b[2Jred", "\\x1b[2Jred"),
    ],
)
def test_texts_of_events_are_no_templates(text: str, harmless: str) -> None:
    assert make_harmless({text: [text, 1, None]}) == {harmless: [harmless, 1, None]}


def refusal(status: int, code: str = "", stated: bool = True) -> ApiError:
    return ApiError("GET", "/", status, code, stated=stated)


BAD_TOKEN = refusal(401, "auth_authentication_failed")
#: A bad token, or a workspace of 2024 without its database.
ANONYMOUS = error_from_body("GET", "/", 403, {"detail": "Authentication credentials were not provided."})


@pytest.mark.parametrize(
    "error", [BAD_TOKEN, ANONYMOUS, refusal(403, "forbidden"), UnknownEndpoint(), UntrustedCertificate()]
)
def test_errors_that_end_the_source_at_its_start(error: AlpaconError) -> None:
    assert _event_source._is_final(error, is_started=False)


TEMPORARY = [refusal(429), refusal(503), refusal(408), ConnectionFailed(), LostResponse(), IncompleteList("/", 1, 2)]


@pytest.mark.parametrize("error", TEMPORARY, ids=repr)
def test_temporary_errors_do_not_end_the_source(error: AlpaconError) -> None:
    assert not _event_source._is_final(error, is_started=False)
    assert not _event_source._is_final(error, is_started=True)


def test_later_only_a_refused_token_ends_the_source() -> None:
    assert _event_source._is_final(BAD_TOKEN, is_started=True)
    for error in (ANONYMOUS, refusal(403, "forbidden"), UnknownEndpoint(), UntrustedCertificate()):
        assert not _event_source._is_final(error, is_started=True)


@pytest.mark.parametrize("requests", [1, 2, 7, 23, 100])
def test_polls_become_rarer_so_that_the_quota_lasts(monkeypatch: pytest.MonkeyPatch, requests: int) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    watch = WorkspaceWatch(parse())
    times: list[float] = []
    pauses: list[float] = []
    while len(times) < 500 * requests:
        times += [now] * requests
        pauses.append(watch._get_pause(requests))
        now += pauses[-1]
    assert min(pauses) >= 30
    assert all(later - earlier > 3600 for earlier, later in zip(times, times[max(300, 2 * requests) :], strict=False))
    # A poll of two requests needs no longer pause.
    assert (max(pauses) == 30) == (requests <= 2)


def test_the_guide_has_the_rulebook_that_ansible_rulebook_runs_in_tests() -> None:
    if not (ROOT / "docs/docsite").exists():
        pytest.skip("this is the collection as it is installed")
    source = (ROOT / "extensions/eda/plugins/event_source/alpacon_commands.py").read_text(encoding="utf-8")
    [examples] = re.findall(r'EXAMPLES = r"""\n(.*?)"""', source, re.DOTALL)
    guide = [yaml.safe_load(block) for block in read_code_blocks("events", "yaml")]
    assert guide == list(yaml.safe_load_all(examples))


def test_the_documentation_has_every_option() -> None:
    source = (ROOT / "extensions/eda/plugins/event_source/alpacon_commands.py").read_text(encoding="utf-8")
    [text] = re.findall(r'DOCUMENTATION = r"""\n(.*?)"""', source, re.DOTALL)
    defaults = {name: option.get("default") for name, option in yaml.safe_load(text)["options"].items()}
    options = parse()
    settings = {name: getattr(options.settings, name) for name in CONNECTION if name not in ("url", "token")}
    kept = {name: getattr(options, name) for name in ("interval", "commands", "servers")}
    assert defaults == {"url": None, "token": None, **settings, **kept}
