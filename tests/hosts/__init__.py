# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts for rollouts: containers with apt, dnf or zypper that start in a second."""

from __future__ import annotations

from hosts.machines import Hosts, HostSpec

__all__ = ["HostSpec", "Hosts"]
