# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse the result of an upgrade: the agent's own words, or the output of apt, dnf, yum or zypper."""

from __future__ import annotations

import re
from enum import Enum

from .._api.records import Command


class UpgradeResult(Enum):
    #: It installed nothing, and no restart will follow.
    NOTHING = "nothing"
    #: The package manager installed nothing, and does not state what is installed: an earlier upgrade may have
    #: installed a version that the agent restarts with minutes later.
    UNSTATED = "unstated"
    #: The package manager ran. If it installed a new version, the agent restarts with it minutes later.
    PACKAGE = "package"
    #: It installed the version that the workspace wants, and restarts. If that fails, it reinstalls the old version.
    PINNED = "pinned"
    #: It did nothing, since another upgrade runs.
    IN_PROGRESS = "in progress"
    #: It did nothing, since a pinned upgrade has not ended.
    REFUSED = "refused"
    #: The result is missing, or the command failed.
    UNKNOWN = "unknown"


_PINNED = re.compile(r"\AUpdated to v?(?P<version>\S{1,64}?)\.(?:\s|\Z)")
_IN_PROGRESS = re.compile(r"\A(?:Upgrade|Self-update) already in progress\b")
_REFUSED = re.compile(r"\AUpgrade refused\b")
#: The agent states the version that runs, and package managers the installed one.
_CURRENT = re.compile(
    r"\AAlready up-to-date \(alpamon: (?P<running>[^,)\s]+)"
    r"|\AAlready running v?(?P<wanted>\S+?)\.?\s*\Z"
    r"|(?<![\w-])alpamon is already the newest version \((?P<installed>[^)\s]+)\)"
    r"|^zypper exited 0 but alpamon \(still (?P<kept>[^)\s]+)\)"
    r"|^No update candidate for 'alpamon-(?P<highest>\d[^'\s]*)'",
    re.MULTILINE,
)
#: The same without a version. A host with alpamon-pam asks apt for that package alone if the agent is current.
_NOTHING = re.compile(
    r"\AAlready up-to-date\b|(?<![\w-])alpamon(?:-pam)? is already the newest version"
    r"|^Nothing to do\b|^No packages marked for update",
    re.MULTILINE,
)
#: The words of apt, of dnf and yum, and of zypper, which may have counts in front.
_INSTALLED = re.compile(
    r"^(?:Unpacking|Setting up) alpamon|^[ \t]*(?:Upgrading|Updating)[ \t]*: alpamon"
    r"|^[ \t]*(?:\([ \t]*\d{1,9}/\d{1,9}\) )?Installing[ \t]*: ?alpamon",
    re.MULTILINE,
)
#: The words of dnf and zypper, and of yum.
_UNSTATED = re.compile(r"^(?:Nothing to do|No packages marked for update)\b", re.MULTILINE)


def parse_upgrade(command: Command | None, running: str | None) -> tuple[UpgradeResult, str]:
    """Return what the agent did, and the new version of a pinned upgrade.

    Args:
        running: version of the agent that runs; None if unknown.
    """
    text = (command.result or "").strip() if command else ""
    if not (command and command.succeeded and text):
        is_refused = command and not command.succeeded and _REFUSED.search(text)
        return (UpgradeResult.REFUSED if is_refused else UpgradeResult.UNKNOWN), ""
    pinned = _PINNED.search(text)
    if pinned:
        return UpgradeResult.PINNED, pinned["version"]
    if _IN_PROGRESS.search(text):
        return UpgradeResult.IN_PROGRESS, ""
    current = _CURRENT.search(text)
    stated = next(filter(None, current.groups()), "") if current else ""
    # If another version is installed than runs, the restart after an earlier upgrade is still to come.
    is_running = not (stated and running) or is_same_version(stated, running)
    if not (installed_nothing(text) and is_running):
        return UpgradeResult.PACKAGE, ""
    return (UpgradeResult.UNSTATED if not stated and _UNSTATED.search(text) else UpgradeResult.NOTHING), ""


def installed_nothing(text: str) -> bool:
    """Return True if the output of a package manager, or the agent's words, say that nothing was installed."""
    return bool(_CURRENT.search(text) or _NOTHING.search(text)) and not _INSTALLED.search(text)


def is_same_version(stated: str, running: str) -> bool:
    """Compare a version in a result with that of the agent that runs."""
    # Packages write 2.6.0-rc1 as 2.6.0~rc1, and may add their revision, as in 2.6.0-1.
    return f"{stated.removeprefix('v').replace('~', '-')}-".startswith(f"{running.removeprefix('v')}-")
