# shellcheck shell=sh
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A package with two newer versions, one of them in a suite of security updates.
build() { # name version
	mkdir -p "/tmp/$1/DEBIAN"
	printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Nobody <nobody@example.com>\nDescription: for tests\n' \
		"$1" "$2" >"/tmp/$1/DEBIAN/control"
	dpkg-deb --root-owner-group --build "/tmp/$1" "$3" >/dev/null
	rm -rf "/tmp/${1:?}"
}
publish() { # folder suite label
	(
		cd "/srv/$1" || exit
		mkdir -p "dists/$2/main/binary-all"
		for file in *.deb; do
			dpkg-deb --field "$file"
			printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$file")" \
				"$(sha256sum "$file" | cut -d ' ' -f 1)"
		done >"dists/$2/main/binary-all/Packages"
		cd "dists/$2" || exit
		printf 'Origin: Debian\nLabel: %s\nSuite: %s\nCodename: %s\nArchitectures: all amd64 arm64\nComponents: main\nDate: %s\nSHA256:\n %s %s %s\n' \
			"$3" "$2" "$2" "$(date -uR)" "$(sha256sum main/binary-all/Packages | cut -d ' ' -f 1)" \
			"$(stat -c %s main/binary-all/Packages)" main/binary-all/Packages >Release
	)
}
mkdir -p /srv/security /srv/stable /srv/quiet
build weak-tool 1.0 /tmp/weak-tool.deb
build security-tool 1.0 /tmp/security-tool.deb
dpkg -i /tmp/weak-tool.deb /tmp/security-tool.deb >/dev/null
rm /tmp/*.deb
build weak-tool 1.1 /srv/security/weak-tool.deb
build security-tool 1.1 /srv/stable/security-tool.deb
build another-tool 1.0 /srv/quiet/another-tool.deb
# shellcheck source=/dev/null
. /etc/os-release
publish security "$VERSION_CODENAME-security" Debian-Security
publish quiet "$VERSION_CODENAME-security" Debian-Security
publish stable "$VERSION_CODENAME" Debian
rm -rf /var/lib/apt/lists/* /etc/apt/sources.list /etc/apt/sources.list.d/*
