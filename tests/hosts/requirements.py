# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requirements for hosts on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess

#: Programs and their Debian packages.
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "unshare": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
#: Debian installs some programs to folders that only root's PATH has.
SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
#: Named by the process: several may try at the same moment.
TRIAL = """
mount -t cgroup2 none /sys/fs/cgroup
mkdir /sys/fs/cgroup/hosts-trial-$$
rmdir /sys/fs/cgroup/hosts-trial-$$
"""


def missing_packages(programs: dict[str, str]) -> list[str]:
    return sorted({package for name, package in programs.items() if not shutil.which(name, path=SEARCHED)})


def find_missing(programs: dict[str, str]) -> list[str]:
    """Install missing packages, and return what this machine still lacks."""
    packages = missing_packages(programs)
    if os.geteuid():
        return ["you are not root: run it with sudo", *describe(packages)]
    if packages:
        print(f"Installing packages with apt-get: {' '.join(packages)}", flush=True)
        install(packages)
    missing = describe(missing_packages(programs))
    trial = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", TRIAL]
    if not missing and subprocess.run(trial, check=False, capture_output=True).returncode:
        missing.append("cgroup2 cannot be mounted: a container without CAP_SYS_ADMIN, or a kernel before 5.14")
    return missing


def describe(packages: list[str]) -> list[str]:
    """Return the command that installs these Debian packages."""
    return [f"packages are missing: apt-get install {' '.join(packages)}"] if packages else []


def install(packages: list[str]) -> None:
    """Install Debian packages if there is apt-get; ignore failures."""
    apt = shutil.which("apt-get")
    if apt is None:
        return
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run([apt, "-qq", *arguments], env=environ, check=False, stdout=subprocess.DEVNULL)
