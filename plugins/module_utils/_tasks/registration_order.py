# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Check the options of a task about the registration of one server."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._api.errors import UsageError
from .._options import values

NAME_LENGTH = 64
#: A tag that only this very request carries, by which its record is known again.
MARKER = "ansible:registration"
#: A tag that all records of a machine carry, by which later tasks know those that never came up.
MACHINE = "ansible:machine"


@dataclass(frozen=True)
class RegistrationOrder:
    """Hold the checked options.

    Attributes:
        id, key: stored credentials of the agent; empty if there are none.
        machine: digest that identifies the machine in a tag; empty if it is not told from others.
        registration_token, name, platform: empty if they are not needed.
        version: version of the agent to wait for; empty for any.
        pinned: True if that version is to stay, although nothing holds its package.
        timeout: seconds.
    """

    state: str
    id: str
    key: str = field(repr=False)
    registration_token: str = field(repr=False)
    name: str
    platform: str
    tags: Mapping[str, str]
    machine: str
    replace_stale: bool
    replace: bool
    clean_up: bool
    version: str
    pinned: bool
    timeout: float

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> RegistrationOrder:
        """Check the options of a task; :class:`UsageError` says which one is wrong."""
        order = cls(
            state=options["state"],
            id=values.uuid("id", options["id"]) if options.get("id") else "",
            key=values.credential("key", options.get("key") or ""),
            registration_token=values.credential("registration_token", options.get("registration_token") or ""),
            name=agent_name("name", options["name"]) if options.get("name") else "",
            platform=options.get("platform") or "",
            tags=_tags(options.get("tags")),
            machine=_digest(options.get("machine") or ""),
            replace_stale=bool(options.get("replace_stale")),
            replace=bool(options.get("replace")),
            clean_up=options.get("clean_up") is not False,
            version=str(options.get("version") or "").strip(),
            pinned=bool(options.get("pinned")),
            timeout=values.duration("wait_timeout", options["wait_timeout"]),
        )
        has_token = bool(options.get("token"))
        order._check_credentials(has_token)
        if order.state == "registered" and order.replace and not (has_token and order.clean_up):
            raise UsageError(
                "replace",
                "it takes an API token, which changes and deletes records",
                "Give one in token and leave clean_up at true, or leave replace out.",
            )
        if order.may_register:
            for name in ("registration_token", "name", "platform"):
                if not getattr(order, name):
                    raise UsageError(name, "it is missing", "Registering a server takes it.")
        return order

    def _check_credentials(self, has_token: bool) -> None:
        if self.key and not self.id:
            raise UsageError("id", "it is missing", "Give the id that goes with the key.")
        if self.id and not self.key and not (self.state == "unregistered" and has_token):
            raise UsageError("key", "it is missing", "Give the key that goes with the id.")
        if self.state != "registered" and not self.id and not self.means_machine:
            raise UsageError("id", "it is missing", "Give id and key of the agent; the task is about them.")

    @property
    def means_machine(self) -> bool:
        """Return True if the task is about records that registrations of the machine may have left behind."""
        return self.state == "unregistered" and not self.id and bool(self.name and self.machine)

    @property
    def may_register(self) -> bool:
        """Return True if the task may register the server."""
        return self.state == "registered" and (not self.id or self.replace_stale)


def agent_name(option: str, text: str) -> str:
    """Shorten a name as the agent does: letters, digits, underscores and hyphens, up to the first dot."""
    stripped = text.strip()
    if _is_address(stripped):
        raise UsageError(option, f"{stripped} is an address", "Give a name, such as the short name of the host.")
    name = re.sub(r"[^A-Za-z0-9_]+", "-", stripped.split(".", 1)[0]).strip("-")[:NAME_LENGTH].rstrip("-")
    if not name:
        raise UsageError(
            option, f"nothing is left of '{text}' as a name", "Give letters, digits, underscores, hyphens."
        )
    return name


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _tags(given: Mapping[str, Any] | None) -> dict[str, str]:
    for name, value in (given or {}).items():
        if not isinstance(value, str):
            raise UsageError("tags", f"the value of {name} is not a string", "Put it in quotes.")
        if not str(name).strip() or name in (MARKER, MACHINE):
            raise UsageError("tags", f"'{name}' is no name for a tag", "Choose another one.")
    return dict(given or {})


def _digest(machine: str) -> str:
    """Return a digest that identifies a machine without naming it; empty for an empty text."""
    text = machine.strip()
    return hashlib.sha256(f"alpacon {text}".encode(errors="replace")).hexdigest()[:32] if text else ""
