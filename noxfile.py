# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks that antsibull-nox brings for collections; `make lint` runs them, antsibull-nox.toml says which."""

from __future__ import annotations

import antsibull_nox

antsibull_nox.load_antsibull_nox_toml()
