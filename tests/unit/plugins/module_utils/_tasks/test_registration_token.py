# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_registration_token: present, rotated, absent, and what becomes of lost answers, in every dialect."""

from __future__ import annotations

from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import registration_token as _registration_tokens
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND

# lost answers


def test_a_row_of_other_types() -> None:
    row = {"id": COMMAND, "name": "a\ud800b", "allowed_groups": [{"id": {}}, COMMAND, {"id": COMMAND}, []], "key": [1]}
    token = _registration_tokens.RegistrationToken.from_row(row)
    assert (token.name, token.key) == ("a?b", None)
    assert token.groups == {"", COMMAND}, "what cannot be read is like nothing that is asked for"


def test_the_key_is_not_in_what_a_token_is_shown_as() -> None:
    token = _registration_tokens.RegistrationToken.from_row({"id": COMMAND, "name": "fleet", "key": "s3cret-key"})
    assert token.key == "s3cret-key"
    assert "s3cret-key" not in repr(token)
