# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root filesystems, one for each Debian release, made once and shared by all hosts of that release."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RELEASES = ("bookworm", "trixie")
#: What a server has anyway, and what packages of the tests depend on: hosts reach nothing but the bridge.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "procps", "adduser"),
    *("python3", "python3-apt", "python3-debian", "python3-requests", "ca-certificates", "gpg"),
    *("cron", "nftables", "sqlite3", "zip"),
)
#: How fast agents try again: a fraction of what the genuine one waits. See tests/agent/README.md.
PACE = "ALPAMON_PACE=0.05"
FILES = {
    "etc/hostname": "",
    "etc/machine-id": "",
    "etc/resolv.conf": "",
    "etc/apt/sources.list": "",
    # The drop-in is the image's own, so that it is no remainder of a package; programs without a unit see the other.
    "usr/lib/systemd/system/alpamon.service.d/pace.conf": f"[Service]\nEnvironment={PACE}\n",
    "etc/environment": f"{PACE}\n",
    "etc/ssh/sshd_config.d/hosts.conf": "UseDNS no\nMaxStartups 100\nMaxSessions 100\n",
}


class Images:
    """The root filesystems in a folder, with the key that opens all hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "key"

    def root(self, release: str) -> Path:
        """The root filesystem of a release; it takes half a minute if it is not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._make_key()
            place = self.folder / f"{release}-{self._fingerprint()}"
            if not place.exists():
                self._build(release, place)
            return place

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_key(self) -> None:
        if not self.key.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hosts", "-f", str(self.key)]
            subprocess.run(command, check=True)

    def _fingerprint(self) -> str:
        public = self.key.with_suffix(".pub").read_text()
        return hashlib.sha256(json.dumps([PACKAGES, FILES, public]).encode()).hexdigest()[:12]

    def _build(self, release: str, place: Path) -> None:
        for older in self.folder.glob(f"{release}-*"):
            shutil.rmtree(older)
        partial = self.folder / f"partial-{release}"
        shutil.rmtree(partial, ignore_errors=True)
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        subprocess.run([*command, release, str(partial), *mirror()], check=True)
        for name, text in FILES.items():
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        keys = partial / "root/.ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self.key.with_suffix(".pub"), keys / "authorized_keys")
        partial.rename(place)


def mirror() -> list[str]:
    """The mirror of Debian that this machine takes its own packages from; without one, mmdebstrap knows some."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Label: Debian"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[:1]
