# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disposable systems: shell code runs on a fresh overlay of a root file system."""

from __future__ import annotations

import os
import subprocess
import tempfile

from hosts import requirements

from checks import systems

#: Which shell answers on a system, so that each is tried.
SHELLS = {
    "debian12": "/bin/dash",
    "debian13": "/bin/bash",
    "dnf": "/bin/bash",
    "zypper": "/bin/bash",
    "busybox": "/bin/ash",
}
_SECONDS = 400
# The system has a network, processes and mounts of its own.
_MAKE = r"""
mount -t tmpfs -o mode=755 none "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work" none "$work/root"
mount -t proc none "$work/root/proc"
ip link set lo up
env -i HOME=/root PATH="$inside" chroot "$work/root" /bin/sh -euc "$prepare" </dev/null >&2 || exit 99
export HOME=/root PATH="$inside" LC_ALL=C
[ "$user" = root ] || { export HOME="/home/$user"; set -- --userspec=1000:1000 --groups=; }
[ "$booted" ] || exec chroot "$@" "$work/root" "$shell" -c "$body" </dev/null
umount --recursive "$work/root/proc"
mount -t proc proc /proc
mount -t cgroup2 none /sys/fs/cgroup
group=/sys/fs/cgroup/${work##*/}
mkdir "$group"
(
    echo 0 >"$group/cgroup.procs"
    exec systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off \
        --machine=state --directory="$work/root" --boot </dev/null
) >"$work/log" 2>&1 &
nspawn=$!
until leader=$(cat /proc/$nspawn/task/$nspawn/children) && [ "$leader" ] &&
    nsenter --target "${leader%% *}" --all systemctl is-system-running --wait >/dev/null 2>&1 ||
    nsenter --target "${leader%% *}" --all systemctl is-system-running 2>/dev/null | grep -q degraded; do
    kill -0 $nspawn 2>/dev/null || { cat "$work/log" >&2; exit 99; }
    sleep 0.1
done
nsenter --target "${leader%% *}" --all chroot "$@" / "$shell" -c "$body" </dev/null || :
echo 1 >"$group/cgroup.kill"
wait $nspawn || :
# What was killed takes a moment to go.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || :
    [ -d "$group" ] || exit 0
    sleep 0.1
done
"""
#: What preparations may use: a file of the kernel shows what comes from standard input, all settings of the kernel are
#: those that are named, and a program is the script that comes from standard input.
_FUNCTIONS = r"""
over() { mkdir -p /over; cat >"/over/$(echo "$1" | tr / _)"; mount --bind "/over/$(echo "$1" | tr / _)" "$1"; }
settings() {
    for setting; do
        mkdir -p "/over/sys/$(dirname "${setting%%=*}")"
        echo "${setting#*=}" >"/over/sys/${setting%%=*}"
    done
    mount --bind /over/sys /proc/sys
}
stub() { mkdir -p /usr/local/bin; cat >"/usr/local/bin/$1"; chmod 755 "/usr/local/bin/$1"; }
"""
_ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(system: str, prepare: str, body: str, user: str = "root", booted: bool = False) -> bytes:
    """Prepare a fresh system as root, run code there as a user, and return its output.

    Args:
        booted: start systemd before the body runs.

    Raises:
        AssertionError: the preparation failed.
    """
    with tempfile.TemporaryDirectory(prefix="state-") as work:
        variables = {
            "work": work,
            "lower": str(systems.root(system)),
            "prepare": f"{_FUNCTIONS}\n{prepare}",
            "inside": _ROOT_PATH,
            "user": user,
            "booted": "yes" if booted else "",
            "shell": SHELLS[system],
            "body": body,
            "PATH": f"{os.environ.get('PATH', os.defpath)}:{_ROOT_PATH}",
        }
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        done = subprocess.run(
            [*command, "sh", "-euc", _MAKE, "state"],
            env=variables,
            check=False,
            capture_output=True,
            timeout=_SECONDS,
        )
    assert done.returncode != 99, done.stderr.decode(errors="replace")
    return done.stdout


def missing_requirements(install: bool = False) -> str:
    """Return why this machine cannot make disposable systems, or an empty text. May install packages."""
    if os.geteuid():
        return "you are not root"
    if install and requirements.missing_packages(_PROGRAMS):
        requirements.install(requirements.missing_packages(_PROGRAMS))
    if missing := requirements.missing_packages(_PROGRAMS):
        return f"these packages are missing: {', '.join(missing)}"
    trial = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private", "sh", "-ec", _TRIAL]
    with tempfile.TemporaryDirectory(prefix="state-") as work:
        done = subprocess.run(trial, env={**os.environ, "work": work}, check=False, capture_output=True, text=True)
    return f"overlays cannot be mounted: {done.stderr.strip()}" if done.returncode else ""


_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "unshare": "util-linux",
    "systemd-nspawn": "systemd-container",
}
_TRIAL = r"""
mount -t tmpfs none "$work"
mkdir "$work/lower" "$work/upper" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=$work/lower,upperdir=$work/upper,workdir=$work/work" none "$work/root"
"""
