# shellcheck shell=sh
# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A system with nothing but BusyBox, beside the one that it is made in.
mkdir -p /inner/bin /inner/sbin /inner/usr/bin /inner/usr/sbin /inner/etc /inner/home/alice /inner/proc /inner/sys \
	/inner/dev /inner/tmp /inner/var/log /inner/run /inner/root /inner/srv
chmod 1777 /inner/tmp
chmod 700 /inner/root
chown 1000:1000 /inner/home/alice
cp /bin/busybox /inner/bin/busybox
chroot /inner /bin/busybox --install -s
cat >/inner/etc/passwd <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:2:2:daemon:/sbin:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
alice:x:1000:1000::/home/alice:/bin/sh
END
cat >/inner/etc/group <<'END'
root:x:0:root
daemon:x:2:
shadow:x:42:
nobody:x:65534:
alice:x:1000:
END
printf 'root:!::0:::::\ndaemon:!::0:::::\nnobody:!::0:::::\nalice:!:19000:0:99999:7:::\n' >/inner/etc/shadow
chgrp 42 /inner/etc/shadow
chmod 640 /inner/etc/shadow
printf 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME="Alpine Linux v3.22"\n' >/inner/etc/os-release
mknod -m 666 /inner/dev/null c 1 3
mknod -m 666 /inner/dev/zero c 1 5
mknod -m 666 /inner/dev/urandom c 1 9
