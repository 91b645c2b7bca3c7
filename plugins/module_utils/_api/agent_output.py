# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What the agent writes into the output of a command on its own account.

The texts are those of agent v2.5.0, seen when it ran. Anybody can write such a text, so it counts only where
it is all of the output and the rest of the record fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import clean_line
from .outputs import AGENT_SAYS, INTERRUPTED, TOO_LONG, TOO_LONG_SAID, Output
from .records import Command

_HOME_OF_ENV = "the folder that HOME in env names"
_NAME_A_GROUP = "Name a group of the account with groupname, over the connection with alpacon_groupname"
#: What the agent says of an account that it cannot run the line as -> why the line never began.
_ACCOUNT_REFUSED = (
    (r"there is no corresponding .{1,255} username in this server", "the server has no user {username}"),
    (
        r"there is no corresponding .{1,255} groupname in this server",
        f"the server has no group {{groupname}}. {_NAME_A_GROUP}",
    ),
    (
        r"groupname .{1,255} is not in user .{1,255}'s group list",
        f"the user {{username}} is not a member of the group {{groupname}}. {_NAME_A_GROUP}",
    ),
    # Without a shell a line has parts that may have run before: only the start of the shell is certain.
    (
        r"fork/exec /bin/sh: no such file or directory",
        f"the home folder of its user, or {_HOME_OF_ENV}, is missing on the server",
    ),
    (
        r"fork/exec /bin/sh: permission denied",
        f"its user may not enter its home folder, or {_HOME_OF_ENV}, on the server",
    ),
)
#: What the agent says besides -> why the line never began.
_NEVER_BEGAN = (
    (r"Command cancelled before execution: .+", "the agent was stopped while it waited in its queue"),
    (r"Failed to submit command: job queue is full", "the agent's queue was full, so it may be submitted again"),
    (r"fork/exec /bin/sh: argument list too long", "line and env are larger than the server's system takes"),
)

_SUDO = re.compile(r"Alpacon denied this sudo (?:command|invocation) \(([A-Z0-9_]{1,63})\)")
_AS_ROOT = "Run it with username=root instead, if the token may."
_PENDING = "An approval of it is pending, which is no denial: approve it in the workspace, then run the task again."
_SOMEBODY = "It needs somebody who confirms it, which a task cannot do."

#: Code of a sudo that was not let through -> what to do.
_SUDO_ADVICE = {
    "SUDO_APPROVAL_REQUIRED": _PENDING,
    "SUDO_COMMAND_NOT_AUTHORIZED": f"A service token has no user whose sudo could be allowed. {_AS_ROOT}",
    "SUDO_INTENT_DEVIATION": f"It is not what was announced. {_PENDING}",
    "SUDO_NO_AUTHORITY": f"The user has no right to sudo on that server. {_AS_ROOT}",
    "SUDO_NO_WORKSESSION_POLICY": "No sudo policy of the work session covers it. Add one, or give another session.",
    "SUDO_POLICY_MFA_REQUIRED": f"{_SOMEBODY} {_AS_ROOT}",
    "SUDO_PRESENCE_REQUIRED": f"{_SOMEBODY} {_AS_ROOT}",
    "SUDO_RISK_DENIED": "The workspace holds it for too risky. Submitting it again changes nothing.",
    "SUDO_SESSION_MISSING": f"The workspace knows no session that it belongs to. {_AS_ROOT}",
    "WORKSPACE_SUDO_WITH_MFA_DISABLED": f"The workspace does not allow sudo that is confirmed by MFA. {_AS_ROOT}",
    "WORK_SESSION_SCOPE_NOT_ALLOWED": "The work session does not allow sudo. Give another in work_session.",
}


def why_never_began(command: Command, output: str) -> str:
    """Why a command that counts as failed never began, or an empty string where it did or nobody can know."""
    if command.status != "failed" or command.error_phase or command.exit_code not in (None, 1):
        return ""
    # The row names the account as well, and no line could have written that.
    named = {name: clean_line(getattr(command, name) or f"of that {name}") for name in ("username", "groupname")}
    return _why(output, (*_ACCOUNT_REFUSED, *_NEVER_BEGAN)).format_map(named)


def blames_account(output: Output) -> bool:
    """Whether nothing ran for the sake of the account, so that the server may well run something as another."""
    return bool(output.refused and _why(output.text, _ACCOUNT_REFUSED))


def _why(output: str, known: Iterable[tuple[str, str]]) -> str:
    said = output.strip()
    said = said[len(AGENT_SAYS) :] if said.startswith(AGENT_SAYS) else said
    return next((why for pattern, why in known if re.fullmatch(pattern, said)), "")


def why_ended_early(command: Command, output: str) -> str:
    """What ended a command that did not end by itself, or an empty string where it did or nobody can know."""
    if command.rc == INTERRUPTED:
        return "a signal ended it, or the agent was stopped meanwhile"
    limit = TOO_LONG_SAID.search(output) if command.rc == TOO_LONG else None
    return f"the agent ended it after {limit[1]}, the longest that it lets a command run" if limit else ""


def shortened(command: Command, output: Output, limit: int | None) -> Output:
    """The end of an output, at most so many characters; what stands there instead of an output stays whole.

    Args:
        limit: None for all of it.
    """
    if limit is None or command.ran is False or output.refused:
        return output
    return output.end(limit)


def sudo_advice(output: str) -> str:
    """What to do about a sudo in the line that Alpacon did not let through; empty where there is none."""
    found = _SUDO.search(output)
    if not found:
        return ""
    return f"Alpacon did not let its sudo through ({found[1]}). {_SUDO_ADVICE.get(found[1], _AS_ROOT)}"
