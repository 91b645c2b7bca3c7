# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Take a credential out of what a peer repeats of it, as gateways do that quote the header they refuse."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

HIDDEN = "********"
#: A shorter text is no secret, and hiding it would hide half of every output.
SHORTEST_SECRET = 4
#: The credentials of a header; the id of an agent is none.
_CREDENTIALS = re.compile(r'\b(?:token|key)="([^"]*)"')


class Redaction:
    """Takes the credentials of one header out of texts, however JSON, HTML and URLs write them.

    It comes before anything is cut: nobody recognises half a credential.

    Args:
        authorization: the header.
        others: secrets that go with it, as those for a proxy.
    """

    def __init__(self, authorization: str = "", others: Iterable[str] = ()) -> None:
        given = (*_CREDENTIALS.findall(authorization), *others)
        secrets = [secret for secret in given if len(secret) >= SHORTEST_SECRET]
        pattern = "|".join("".join(map(_ways_to_write, secret)) for secret in secrets) or "(?!)"
        self._in_text, self._in_bytes = re.compile(pattern), re.compile(pattern.encode("utf-8"))

    def text(self, text: str) -> str:
        """A text without them."""
        return self._in_text.sub(HIDDEN, text)

    def content(self, content: bytes) -> bytes:
        """What was received, without them."""
        return self._in_bytes.sub(HIDDEN.encode("ascii"), content)


def _ways_to_write(character: str) -> str:
    """A pattern for a character of a credential."""
    if character.isalnum() or character in "-_":
        return re.escape(character)
    code, number = f"{ord(character):02x}", ord(character)
    named = re.escape(html.escape(character))
    return rf"(?:\\{{0,8}}{re.escape(character)}|(?i:\\{{1,8}}u00{code}|%{code}|&#x{code};)|&#{number};|{named})"
