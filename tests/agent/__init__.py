# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in agent: the program, its packages, and a signed repository."""

from __future__ import annotations

from agent.repository import Repository

__all__ = ["Repository"]
