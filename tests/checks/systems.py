# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root file systems on which checks are tried: Debian, and what stands in for systems of dnf, zypper and BusyBox."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import collection_tree
from hosts import images

FOLDER = collection_tree.BUILD / "checks"
_SERVER = (
    *("systemd", "systemd-sysv", "openssh-server", "sudo", "iproute2", "procps", "kmod", "mount", "e2fsprogs"),
    *("busybox", "openssl", "cron", "passwd", "login"),
)
_RPM = ("rpm", "createrepo-c", "ca-certificates", "sqlite3")
_DNF = ("dnf", "python3-dnf", "dnf-plugins-core", "python3-rpm")
#: For each system its Debian release, the packages in it, and the scripts that make of it what it is.
SYSTEMS = {
    "debian12": ("bookworm", (*_SERVER, "nftables"), ("all", "debian")),
    "debian13": ("trixie", (*_SERVER, "nftables"), ("all", "debian")),
    "dnf": ("trixie", (*_SERVER, *_RPM, *_DNF), ("all", "rpm", "dnf")),
    "zypper": ("trixie", (*_SERVER, *_RPM, "zypper"), ("all", "rpm", "zypper")),
    "busybox": ("trixie", ("busybox-static",), ("all", "busybox")),
}
#: The folder of these scripts, which run in the system.
_SCRIPTS = Path(__file__).parent / "systems"


def root(name: str) -> Path:
    """The root file system of that name; it takes up to two minutes if it is not there yet."""
    release, packages, parts = SYSTEMS[name]
    scripts = [(_SCRIPTS / f"{part}.sh").read_text() for part in parts]
    digest = hashlib.sha256(json.dumps([release, packages, scripts]).encode()).hexdigest()[:12]
    place = FOLDER / f"{name}-{digest}"
    if not place.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with (FOLDER / f"lock-{name}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                _build(name, scripts, place)
    return place


def _build(name: str, scripts: list[str], place: Path) -> None:
    for older in FOLDER.glob(f"{name}-*"):
        shutil.rmtree(older)
    partial = FOLDER / f"partial-{name}"
    shutil.rmtree(partial, ignore_errors=True)
    release, packages, _scripts = SYSTEMS[name]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}"]
    subprocess.run([*command, release, str(partial), *images.mirror()], check=True)
    for script in scripts:
        subprocess.run(["chroot", str(partial), "/bin/sh", "-euc", script], check=True)
    # What is left of a system of BusyBox is a folder in the one that it was made in.
    inner = partial / "inner"
    if inner.exists():
        inner.rename(place)
        shutil.rmtree(partial)
    else:
        partial.rename(place)
