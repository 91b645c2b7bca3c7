# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test rows of registration tokens, and options that are refused before any request."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_token import (
    RULES,
    SPEC,
    RegistrationToken,
    TokenOptions,
)
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, FAR


@pytest.mark.parametrize(
    "key", [{"a": 1}, [1], 5, True, "", "abc\n[server]\nurl = http://evil", "\ud800", 'x", id="y', "ключ"], ids=ascii
)
def test_an_invalid_key_is_none(key: Any) -> None:
    assert RegistrationToken.from_row({"id": COMMAND, "name": "fleet", "key": key}).key is None


def test_a_row_of_other_types() -> None:
    row = {"id": COMMAND, "name": "a\ud800b", "allowed_groups": [{"id": {}}, COMMAND, {"id": COMMAND}, []], "key": [1]}
    token = RegistrationToken.from_row(row)
    assert (token.name, token.key) == ("a?b", None)
    assert token.groups == {"", COMMAND}, "what cannot be read is like nothing that is asked for"


def test_the_key_is_not_in_the_repr() -> None:
    token = RegistrationToken.from_row({"id": COMMAND, "name": "fleet", "key": "s3cret-key"})
    assert token.key == "s3cret-key"
    assert "s3cret-key" not in repr(token)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"name": " "}, "name: it has 0 characters"),
        ({"expires_at": "2031-01-01T00:00:00"}, "expires_at: .* has no zone"),
        ({"expires_at": (datetime.now(timezone.utc) - timedelta(hours=26)).isoformat()}, "expires_at: .* in the past"),
        ({"expires_in": "soon"}, "expires_in: 'soon' is not a duration"),
        ({"expires_in": "0"}, "expires_in: it is zero"),
        ({"expires_in": ""}, "expires_in: it is empty. Give a value, or leave it out."),
    ],
)
def test_options_that_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        TokenOptions.from_options({"name": "fleet", **given})


def test_a_date_and_a_lifetime_exclude_each_other() -> None:
    options = {"name": "fleet", "expires_in": "1h", "expires_at": FAR}
    result = ArgumentSpecValidator(SPEC, **RULES).validate(options)
    assert result.error_messages == ["parameters are mutually exclusive: expires_at|expires_in"]
