# shellcheck shell=sh
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A package with a newer version that an advisory tells of, and a repository without advisories.
build_rpm weak-tool 1.0 /tmp/made
rpm --install --nodeps /tmp/made/weak-tool-1.0.rpm
build_rpm weak-tool 1.1 /srv/advised
build_rpm weak-tool 1.1 /srv/silent
build_rpm weak-tool 1.0 /srv/quiet
rm -rf /tmp/made
advisory() { # version
	cat <<END
<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="nobody@example.com" status="final" type="security" version="1"><id>TEST-2026-0001</id>
<title>weak-tool</title><severity>Important</severity><release>9</release><issued date="2026-01-02 00:00:00"/>
<description>for tests</description><references/><pkglist><collection short="test"><name>test</name>
<package name="weak-tool" version="$1" release="1" epoch="0" arch="noarch" src="weak-tool-$1-1.src.rpm">
<filename>weak-tool-$1.rpm</filename></package></collection></pkglist></update></updates>
END
}
for name in advised silent quiet; do createrepo_c --quiet "/srv/$name"; done
advisory 1.1 >/tmp/updateinfo.xml
modifyrepo_c --mdtype=updateinfo /tmp/updateinfo.xml /srv/advised/repodata >/dev/null
advisory 1.0 >/tmp/updateinfo.xml
modifyrepo_c --mdtype=updateinfo /tmp/updateinfo.xml /srv/quiet/repodata >/dev/null
rm /tmp/updateinfo.xml
