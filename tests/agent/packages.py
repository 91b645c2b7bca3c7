# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the stand-in agent's Debian packages."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import shutil
import subprocess
import tempfile
import zipapp
from pathlib import Path

import websockets

SOURCE = Path(__file__).parent
MAIN = "import sys\n\nfrom alpamon.cli import main\n\nsys.exit(main())\n"
FILES = {
    "alpamon.service": "usr/lib/systemd/system/alpamon.service",
    "alpamon-restart.service": "usr/lib/systemd/system/alpamon-restart.service",
    "alpamon-restart.timer": "usr/lib/systemd/system/alpamon-restart.timer",
    "tmpfiles.conf": "usr/lib/tmpfiles.d/alpamon.conf",
    "alpamon.config.tmpl": "etc/alpamon/alpamon.config.tmpl",
}
#: Parts of the library that a client on another Python does without.
UNWANTED = ("__pycache__", "*.so", "*.c", "*.pyi", "legacy", "trio", "server.py", "router.py")
SCRIPTS = ("postinst", "prerm", "postrm")
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Section: admin
Priority: optional
Maintainer: herdops.alpacon contributors <support@example.com>
{relations}Description: stand-in of the tests for {name}
"""
RELATIONS = "Depends: zip, sqlite3, nftables | iptables, python3 (>= 3.11)\nRecommends: alpamon-pam\n"


@dataclasses.dataclass(frozen=True)
class Release:
    """A release of the agent, as `alpamon --version` prints it."""

    version: str
    channel: str = "stable"
    connects: bool = True

    @property
    def package_version(self) -> str:
        """How a package writes it, so that a candidate sorts below its release."""
        return self.version.replace("-", "~")


#: 2.4.1 is the one that breaks an upgrade: it starts, and never connects.
RELEASES = (
    Release("2.4.0"),
    Release("2.4.1", connects=False),
    Release("2.5.0"),
    Release("2.6.0-rc1", channel="rc"),
)


@functools.cache
def architecture() -> str:
    """What Debian calls this machine's processor."""
    done = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def digest() -> str:
    """What the packages are made of, as a short text."""
    paths = sorted([*SOURCE.glob("*/*.py"), *SOURCE.glob("package/*"), *SOURCE.glob("[pr]*.py")])
    content = hashlib.sha256(importlib.metadata.version("websockets").encode())
    for path in paths:
        content.update(f"{path.relative_to(SOURCE)}".encode() + path.read_bytes())
    return content.hexdigest()[:12]


def build(release: Release, folder: Path) -> Path:
    """Build the package of a release, and return its path."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for name, target in FILES.items():
            (tree / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / "package" / name, tree / target)
        (tree / "etc/alpamon").chmod(0o700)
        (tree / "usr/bin").mkdir()
        write_program(release, tree / "usr/bin/alpamon")
        return pack(tree, folder, "alpamon", release.package_version, RELATIONS)


def build_pam(folder: Path) -> Path:
    """Build a package that holds nothing but its name: it tells whether recommended packages were installed."""
    with tempfile.TemporaryDirectory() as scratch:
        return pack(Path(scratch), folder, "alpamon-pam", "1.0.0", "")


def write_program(release: Release, target: Path) -> None:
    """Write the agent as one executable file, with the library that it needs."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        unwanted = shutil.ignore_patterns(
            "__pycache__", "*.so", "*.c", "*.pyi", "legacy", "trio", "server.py", "router.py"
        )
        shutil.copytree(SOURCE / "alpamon", tree / "alpamon", ignore=unwanted)
        shutil.copytree(Path(websockets.__file__).parent, tree / "websockets", ignore=unwanted)
        values = f"VERSION = {release.version!r}\nCONNECTS = {release.connects}\n"
        (tree / "alpamon/version.py").write_text(values)
        (tree / "__main__.py").write_text(MAIN)
        zipapp.create_archive(tree, target, interpreter="/usr/bin/python3", compressed=True)


def pack(tree: Path, folder: Path, name: str, version: str, relations: str) -> Path:
    """Make a package of a tree of files."""
    scripts = tree / "DEBIAN"
    scripts.mkdir()
    if name == "alpamon":
        for script in SCRIPTS:
            shutil.copy(SOURCE / "package" / script, scripts)
            (scripts / script).chmod(0o755)
    control = CONTROL.format(name=name, version=version, architecture=architecture(), relations=relations)
    (scripts / "control").write_text(control)
    tree.chmod(0o755)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}_{version}_{architecture()}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target
