# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signed deb and rpm repositories with the layout of packagecloud, served over HTTP."""

from __future__ import annotations

import fcntl
import functools
import http.server
import os
import re
import shutil
import subprocess
import tempfile
import threading
import typing as t
from pathlib import Path

from agent import packages

#: The path of each channel's repository below the server's root.
CHANNELS = {"stable": "alpacax/alpamon", "rc": "alpacax/alpamon-latest", "dev": "alpacax/alpamon-dev"}
PROGRAMS = {
    "dpkg-deb": "dpkg",
    "apt-ftparchive": "apt-utils",
    "gpg": "gpg",
    "rpmbuild": "rpm",
    "createrepo_c": "createrepo-c",
}
RELEASE = """\
APT::FTPArchive::Release {{
  Origin "{channel}"; Label "{channel}"; Suite "any"; Codename "any"; Components "main"; Architectures "{architecture}";
}};
"""


class Repository:
    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder, self.host = folder, host
        #: What the server serves.
        self.root = folder / packages.digest()
        self.fingerprint = ""
        self._server: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the repository is not served")
        return f"http://{self.host}:{self._server.server_port}"

    def package(self, version: str, kind: t.Literal["deb", "rpm"]) -> Path:
        written = version.replace("-", "~")
        return next(self.root.glob(f"**/alpamon[_-]{written}[_-]*.{kind}"))

    def build(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.root.exists():
                self._build()
        self.fingerprint = (self.root / "fingerprint").read_text()

    def _build(self) -> None:
        partial = self.folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        with Signer() as signer:
            for channel, path in CHANNELS.items():
                self._build_channel(channel, partial / path, signer)
            (partial / "fingerprint").write_text(signer.fingerprint)
        partial.rename(self.root)

    def _build_channel(self, channel: str, place: Path, signer: Signer) -> None:
        suite, rpms = place / "any", place / f"rpm_any/rpm_any/{os.uname().machine}"
        packages.build_pam(suite / "pool", rpms)
        for built in packages.RELEASES:
            if built.channel == channel:
                packages.build(built, suite / "pool", rpms)
        settings = place / "release.conf"
        settings.write_text(RELEASE.format(channel=channel, architecture=packages.architecture()))
        index = suite / f"dists/any/main/binary-{packages.architecture()}"
        index.mkdir(parents=True)
        (index / "Packages").write_text(run_ftparchive(suite, "packages", "pool"))
        release = suite / "dists/any/Release"
        release.write_text(run_ftparchive(suite, "-c", str(settings), "release", "dists/any"))
        signer.sign(release, suite / "dists/any/InRelease")
        subprocess.run(["createrepo_c", "--quiet", str(rpms)], check=True, capture_output=True)
        signer.sign(rpms / "repodata/repomd.xml", rpms / "repodata/repomd.xml.asc", detached=True)
        # zypper looks for the key beside the index.
        (rpms / "repodata/repomd.xml.key").write_text(signer.public_key())
        (place / "gpgkey").write_text(signer.public_key())

    def __enter__(self) -> t.Self:
        self.build()
        handler = functools.partial(Handler, directory=str(self.root))
        self._server = http.server.ThreadingHTTPServer((self.host, 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: t.Any) -> None:
        """Print nothing."""


class Signer:
    def __init__(self) -> None:
        self.fingerprint = ""
        self._home = tempfile.TemporaryDirectory(prefix="signer-")

    def __enter__(self) -> t.Self:
        self._gpg("--quick-generate-key", "Tests of herdops.alpacon <tests@example.com>", "ed25519", "sign", "never")
        listed = self._gpg("--list-keys", "--with-colons")
        match = re.search(r"(?m)^fpr:+([0-9A-F]+):", listed)
        self.fingerprint = match[1] if match else ""
        return self

    def __exit__(self, *exception: object) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self._environ(), check=False)
        self._home.cleanup()

    def sign(self, source: Path, target: Path, *, detached: bool = False) -> None:
        how = ("--armor", "--detach-sign") if detached else ("--clear-sign",)
        self._gpg(*how, "--output", str(target), str(source))

    def public_key(self) -> str:
        return self._gpg("--armor", "--export", self.fingerprint)

    def _gpg(self, *arguments: str) -> str:
        command = ["gpg", "--batch", "--yes", "--pinentry-mode=loopback", "--passphrase=", *arguments]
        return subprocess.run(command, env=self._environ(), check=True, capture_output=True, text=True).stdout

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "GNUPGHOME": self._home.name}


def run_ftparchive(folder: Path, *arguments: str) -> str:
    command = ["apt-ftparchive", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
