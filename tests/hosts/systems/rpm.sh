# shellcheck shell=sh
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Of a Debian, a system whose packages are those of rpm. What came by dpkg is what rpm finds in one package that
# provides it.
build_rpm() { # name version folder [line of its description]...
	name=$1 version=$2 folder=$3
	shift 3
	mkdir -p "$folder"
	{
		printf '%s\n' "Name: $name" "Version: $version" 'Release: 1' 'Summary: for tests' 'License: none' \
			'BuildArch: noarch' "$@" '%description' 'for tests' '%files'
	} >/tmp/made.spec
	rpmbuild --quiet -bb --define "_rpmdir $folder" --define "_build_name_fmt %%{NAME}-%%{VERSION}.rpm" \
		--define '_topdir /tmp/rpmbuild' /tmp/made.spec >/dev/null 2>&1
	rm -rf /tmp/made.spec /tmp/rpmbuild
}
rpm --initdb
build_rpm system 1.0 /tmp/made 'Provides: bash, /bin/bash, /bin/sh, python3, python3-requests, zip, sqlite, nftables' \
	'Provides: systemd, system-release, python3-dnf-plugin-versionlock'
rpm --install --nodeps /tmp/made/system-1.0.rpm
rm -rf /tmp/made
rm -f /usr/bin/apt /usr/bin/apt-get /usr/bin/apt-cache /usr/bin/dpkg /usr/bin/dpkg-query /etc/debian_version
ln -sf bash /bin/sh
mkdir -p /etc/pki/rpm-gpg
