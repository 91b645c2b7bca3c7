# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts under which a line may run, the ACLs of tokens, and the clients of requests."""

from __future__ import annotations

import functools
import re
import typing as t

from workspace import state
from workspace.dialects import Refusal
from workspace.models import Group, User

# Accounts that every server is taken to have, with their own groups.
SYSTEM_ACCOUNTS = {
    name: name for name in ("root", "ubuntu", "debian", "deploy", "nobody", "postgres", "www-data", "backup")
}
DEFAULT_GROUP = "alpacon"


def resolve(principal: t.Any, username: str, groupname: str) -> tuple[str, str]:
    """Fill in blank names, and refuse names that are not registered or not allowed."""
    username = username or principal.username
    own = username == principal.username
    may_use_system_accounts = principal.is_staff or not isinstance(principal, User)
    if not own and (username not in SYSTEM_ACCOUNTS or not may_use_system_accounts):
        raise Refusal("identity")
    groupname = groupname or SYSTEM_ACCOUNTS.get(username, DEFAULT_GROUP)
    is_group = groupname == DEFAULT_GROUP or Group.objects.filter(groupname=groupname).exists()
    if groupname not in SYSTEM_ACCOUNTS.values() and not is_group:
        raise Refusal("identity")
    return username, groupname


def describe_client(request: t.Any) -> dict[str, t.Any]:
    """Return the fields of a command that tell who requested it."""
    return {
        "created_by_request": request._request.scope.get("workspace.request"),
        "created_by_token": request.auth.name if request.auth else "",
        "declared_agent": request.headers.get("X-Alpacon-Declared-Agent-Name", ""),
    }


def acl_allows(patterns: list[str], line: str) -> bool:
    flags = re.DOTALL if state.current.dialect.acl_spans_lines else re.NOFLAG
    return any(_compiled(pattern, flags).fullmatch(line) for pattern in patterns)


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), flags)
