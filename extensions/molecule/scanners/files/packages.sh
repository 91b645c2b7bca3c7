#!/bin/sh
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Downloads the packages of OpenSCAP that a host of Debian 12 lacks, by its /var/lib/dpkg/status in the folder $1.
set -eu
cd "$1"
mkdir -p state/lists/partial archives/partial
site=$(apt-get indextargets --format "\$(SITE)" "Label: Debian" | head -n 1)
for release in bookworm trixie; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $release main"
done >sources.list
# apt with folders of its own, which takes itself to be on the host.
get() {
    apt-get -q -y -o Dir::State="$PWD/state" -o Dir::State::status="$PWD/status" -o Dir::Cache="$PWD" \
        -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root "$@"
}
get update
# What the SCAP Security Guide knows of Debian 12 came with Debian 13.
get -o APT::Default-Release=bookworm --no-install-recommends --download-only \
    install openscap-scanner openscap-common ssg-debian/trixie
cd archives
rm -rf partial lock
apt-ftparchive packages . >Packages
tar -cf ../packages.tar .
