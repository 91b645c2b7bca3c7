# shellcheck shell=sh
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What every system has: an ordinary user, and keys of sshd.
rm -rf /var/cache/apt/archives /usr/share/doc /usr/share/man /usr/share/locale
: >/etc/machine-id
: >/etc/hostname
useradd --create-home --uid 1000 --shell /bin/bash alice
mkdir -p /run/sshd
passwd --lock root >/dev/null
