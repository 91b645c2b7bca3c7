# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root file systems for checks: Debian, and stand-ins for systems with dnf, zypper and BusyBox."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from pathlib import Path

import collection_tree
from hosts import images

FOLDER = collection_tree.BUILD / "checks"
_SERVER = (
    *("systemd", "systemd-sysv", "openssh-server", "sudo", "iproute2", "procps", "kmod", "mount", "e2fsprogs"),
    *("busybox", "openssl", "cron", "passwd", "login", "dbus", "chrony", "linux-base"),
)
_RPM = ("createrepo-c", "ca-certificates", "sqlite3")
#: For each system its Debian release, the packages in it, and the scripts that turn it into that system: those of
#: hosts, and then those beside this file.
SYSTEMS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "debian12": ("bookworm", (*_SERVER, "nftables"), (), ("all", "debian")),
    "debian13": ("trixie", (*_SERVER, "nftables", "acl"), (), ("all", "debian")),
    "dnf": ("trixie", (*_SERVER, *_RPM, *images.DNF), ("rpm", "dnf"), ("all", "rpm")),
    "zypper": ("trixie", (*_SERVER, *_RPM, *images.ZYPPER), ("rpm", "zypper"), ("all", "rpm")),
    "busybox": ("trixie", ("busybox-static",), (), ("all", "busybox")),
}
_SCRIPTS = Path(__file__).parent / "systems"


def root(name: str) -> Path:
    """Return the root file system of that name; building it takes up to two minutes."""
    release, packages, of_hosts, own = SYSTEMS[name]
    code = images.scripts(of_hosts) + images.scripts(own, _SCRIPTS)
    digest = hashlib.sha256(json.dumps([release, packages, code]).encode()).hexdigest()[:12]
    place = FOLDER / f"{name}-{digest}"
    if not place.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with (FOLDER / f"lock-{name}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                _build(name, code, place)
    return place


def _build(name: str, code: list[str], place: Path) -> None:
    for older in FOLDER.glob(f"{name}-*"):
        shutil.rmtree(older)
    partial = FOLDER / f"partial-{name}"
    release, packages, *_scripts = SYSTEMS[name]
    images.make(partial, release, packages, code)
    # What is left of a system of BusyBox is a folder in the one that it was made in.
    inner = partial / "inner"
    if inner.exists():
        inner.rename(place)
        shutil.rmtree(partial)
    else:
        partial.rename(place)
