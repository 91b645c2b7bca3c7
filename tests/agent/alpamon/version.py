# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The release of the agent. The build of a package overwrites this file."""

from __future__ import annotations

VERSION = "dev"
#: One release is broken on purpose: it starts, and never connects.
CONNECTS = True
