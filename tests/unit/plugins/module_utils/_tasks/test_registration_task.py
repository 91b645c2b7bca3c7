# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the options of registrations that are refused before any request."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_task import (
    MARKER,
    RegistrationOptions,
    to_server_name,
)
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web.example.com", "web"),
        (" web 01 ", "web-01"),
        ("--web--", "web"),
        ("ünïcode", "n-code"),
        ("x" * 63 + "-y", "x" * 63),
    ],
)
def test_names(text: str, name: str) -> None:
    assert to_server_name("name", text) == name


def test_no_key_is_in_the_repr() -> None:
    secrets = {"key": "of-the-agent", "registration_token": "of-a-newcomer"}
    options = RegistrationOptions.from_options({"state": "registered", "wait_timeout": "2m", "id": SERVER, **secrets})
    assert SERVER in repr(options)
    assert not any(secret in repr(options) for secret in secrets.values())


NEW: dict[str, Any] = {"registration_token": "x", "name": "web", "platform": "debian"}
STORED: dict[str, Any] = {"id": SERVER, "key": "a-key-of-nobody"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({**NEW, "registration_token": None}, "registration_token: it is missing"),
        ({**NEW, "name": None}, "name: it is missing"),
        ({**NEW, "registration_token": "x y"}, "registration_token: .* character"),
        ({**NEW, "name": "..."}, "name: .* has no character for a name"),
        ({**NEW, "name": "10.0.0.1"}, "name: 10.0.0.1 is an address"),
        ({**STORED, "replace_stale": True}, "registration_token: it is missing"),
        ({**STORED, "tags": {"env": 1}}, "tags: the value of env is not a string"),
        ({**STORED, "tags": {MARKER: "x"}}, f"tags: '{MARKER}' cannot be the name of a tag"),
        ({**STORED, "wait_timeout": "soon"}, "wait_timeout: 'soon' is not a duration"),
        ({**NEW, "replace": True}, "replace: it needs an API token.* Give one in token"),
        ({**NEW, "replace": True, "token": "x", "clean_up": False}, "replace: it needs an API token"),
        ({"id": SERVER}, "key: it is missing"),
        ({"key": "x"}, "id: it is missing"),
        ({"id": "web", "key": "x"}, "id: 'web' is not a UUID"),
        ({**STORED, "key": 'x", id="y'}, "key: it has a character that a key cannot have"),
        ({"state": "unregistered", "id": SERVER}, "key: it is missing"),
        ({"state": "unregistered", "name": "web"}, "id: it is missing"),
        ({"state": "connected"}, "id: it is missing"),
        ({**NEW, "state": "connected"}, "id: it is missing"),
    ],
)
def test_options_that_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        RegistrationOptions.from_options({"state": "registered", "wait_timeout": "2m", **given})
