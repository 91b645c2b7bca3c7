# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the settings of connections and the redaction of credentials."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import Client
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import (
    REDACTED,
    VERSION,
    Redaction,
    Settings,
    get_agent_name,
)
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER, TOKEN


def test_the_token_is_in_no_repr() -> None:
    settings = Settings("https://one.example", TOKEN)
    with Client(settings) as client:
        assert TOKEN not in repr(settings) + str(settings) + repr(client) + repr(vars(client))


def test_the_declared_name_has_the_version_and_the_job_of_awx() -> None:
    assert get_agent_name({}) == f"herdops.alpacon/{VERSION}"
    assert get_agent_name({"AWX_JOB_ID": "42"}) == f"herdops.alpacon/{VERSION} (AWX job 42)"
    awx = {"AWX_PRIVATE_DATA_DIR": "/runner", "JOB_ID": "43"}
    assert get_agent_name(awx) == f"herdops.alpacon/{VERSION} (AWX job 43)"
    assert get_agent_name({"JOB_ID": "43"}) == get_agent_name({}), "other schedulers have a JOB_ID too"


@pytest.mark.parametrize("job", ["", "42\n", "42\r\nX-Other: 1", "\u0664\u0662", "-1", "a", "1" * 21])
def test_a_job_that_is_no_number_is_not_declared(job: str) -> None:
    assert get_agent_name({"AWX_JOB_ID": job}) == get_agent_name({})


# Redaction

#: Has every kind of character that a credential may have.
ODD = "ab/cd+e=f<g>h&i'j.k%l_m-n"


def of_token(token: str) -> Redaction:
    return Redaction(f'token="{token}"')


@pytest.mark.parametrize("token", [TOKEN, ODD])
@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda text: json.dumps(text)[1:-1],
        html.escape,
        lambda text: quote(text, safe=""),
        lambda text: json.dumps(text.replace("/", "\\/"))[1:-1],
        lambda text: "".join(char if char.isalnum() or char in "-_" else f"\\u{ord(char):04X}" for char in text),
        lambda text: "".join(char if char.isalnum() or char in "-_" else f"&#{ord(char)};" for char in text),
    ],
)
def test_every_spelling_of_a_secret_is_redacted(token: str, write: Callable[[str], str]) -> None:
    text = f'Authorization=token=\\"{write(token)}\\", and twice: {write(token)}'
    for shown in (of_token(token).redact_text(text), of_token(token).redact_bytes(text.encode()).decode()):
        assert shown == text.replace(write(token), REDACTED)


def test_the_key_of_an_agent_is_redacted_and_not_its_id() -> None:
    said = Redaction(f'id="{SERVER}", key="abcdefgh"').redact_text(f"{SERVER} has no key abcdefgh")
    assert said == f"{SERVER} has no key {REDACTED}"


@pytest.mark.parametrize("authorization", ["", 'token=""', 'token="abc"'])
def test_short_and_empty_tokens_are_not_redacted(authorization: str) -> None:
    assert Redaction(authorization).redact_text('token="" of abc') == 'token="" of abc'
    assert of_token("abcd").redact_text("abc abcd") == f"abc {REDACTED}"
