# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root filesystems, built once per release and shared by all hosts."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Scripts that turn a Debian into another system.
SCRIPTS = Path(__file__).parent / "systems"
#: Packages of every server, and dependencies of the tests' packages: hosts reach only the bridge.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "procps", "adduser"),
    *("python3", "python3-requests", "ca-certificates", "gpg", "cron", "nftables", "sqlite3", "zip"),
)
APT = ("python3-apt", "python3-debian")
DNF = ("rpm", "python3-rpm", "dnf", "python3-dnf", "dnf-plugins-core")
ZYPPER = ("rpm", "python3-rpm", "zypper")


@dataclasses.dataclass(frozen=True)
class Release:
    """A root filesystem: a Debian release, packages, and scripts that turn it into another system."""

    debian: str
    packages: tuple[str, ...] = APT
    scripts: tuple[str, ...] = ()


RELEASES = {
    "bookworm": Release("bookworm"),
    "trixie": Release("trixie"),
    "rocky": Release("trixie", DNF, ("rpm", "dnf")),
    "leap": Release("trixie", ZYPPER, ("rpm", "zypper")),
}
#: The pauses of agents as a fraction of the genuine ones, see tests/agent/README.md.
PACE = "ALPAMON_PACE=0.05"
FILES = {
    "etc/hostname": "",
    "etc/machine-id": "",
    "etc/resolv.conf": "",
    "etc/apt/sources.list": "",
    # A drop-in of the image is not left over from a package; programs without a unit read the other file.
    "usr/lib/systemd/system/alpamon.service.d/pace.conf": f"[Service]\nEnvironment={PACE}\n",
    "etc/environment": f"{PACE}\n",
    "etc/ssh/sshd_config.d/hosts.conf": "UseDNS no\nMaxStartups 100\nMaxSessions 100\n",
}


class Images:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "key"

    def root(self, release: str) -> Path:
        """Return the root filesystem of a release; building it takes up to two minutes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock("key"):
            if not self.key.exists():
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hosts", "-f", str(self.key)]
                subprocess.run(command, check=True)
        with self._lock(release):
            public = self.key.with_suffix(".pub").read_text()
            spec = RELEASES[release]
            parts = [dataclasses.astuple(spec), scripts(spec.scripts), PACKAGES, FILES, public]
            root = self.folder / f"{release}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"
            if not root.exists():
                self._build(release, root)
            return root

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with (self.folder / f"lock-{name}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _build(self, name: str, root: Path) -> None:
        for older in self.folder.glob(f"{name}-*"):
            shutil.rmtree(older)
        release = RELEASES[name]
        partial = self.folder / f"partial-{name}"
        make(partial, release.debian, [*PACKAGES, *release.packages], scripts(release.scripts))
        for file, text in FILES.items():
            target = partial / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        keys = partial / "root/.ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self.key.with_suffix(".pub"), keys / "authorized_keys")
        partial.rename(root)


def scripts(names: Iterable[str], folder: Path = SCRIPTS) -> list[str]:
    return [(folder / f"{name}.sh").read_text() for name in names]


def make(place: Path, debian: str, packages: Iterable[str], code: Iterable[str]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}"]
    subprocess.run([*command, debian, str(place), *mirror()], check=True)
    subprocess.run(["chroot", str(place), "/bin/sh", "-euc", "\n".join(code)], check=True)


def mirror() -> list[str]:
    """Return the Debian mirror of this machine, or nothing."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Label: Debian"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[:1]
