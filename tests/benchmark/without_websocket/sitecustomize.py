# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hide websocket-client from the programs that have this folder in PYTHONPATH, so that they only poll."""

from __future__ import annotations

import sys

sys.modules["websocket"] = None  # type: ignore[assignment]
