# shellcheck shell=sh
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

rm -f /etc/dnf/plugins/local.conf
rm -rf /etc/yum.repos.d
mkdir -p /etc/yum.repos.d
cat >/usr/lib/os-release <<'END'
NAME="Rocky Linux"
VERSION="9.6 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.6"
PRETTY_NAME="Rocky Linux 9.6 (Blue Onyx)"
SUPPORT_END="2032-05-31"
END
echo 'Rocky Linux release 9.6 (Blue Onyx)' >/etc/rocky-release
ln -sf rocky-release /etc/redhat-release
