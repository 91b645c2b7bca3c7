#!/bin/sh
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
echo "$(printenv HOSTNAME): $1"
cat
echo "to standard error" >&2
exit "${2:-0}"
