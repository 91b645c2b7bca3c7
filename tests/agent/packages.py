# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packages of the stand-in agent, for dpkg and rpm."""

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
MAIN = "import sys\n\nfrom alpamon.daemon import main\n\nsys.exit(main())\n"
FILES = {
    "alpamon.service": "usr/lib/systemd/system/alpamon.service",
    "alpamon-restart.service": "usr/lib/systemd/system/alpamon-restart.service",
    "alpamon-restart.timer": "usr/lib/systemd/system/alpamon-restart.timer",
    "tmpfiles.conf": "usr/lib/tmpfiles.d/alpamon.conf",
    "alpamon.config.tmpl": "etc/alpamon/alpamon.config.tmpl",
}
#: Parts of the library that the agent does not need.
UNWANTED = ("__pycache__", "*.so", "*.c", "*.pyi", "legacy", "trio", "server.py", "router.py")
#: The maintainer scripts, and what rpm calls them.
SCRIPTS = {"postinst": "post", "prerm": "preun", "postrm": "postun"}
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Section: admin
Priority: optional
Maintainer: herdops.alpacon contributors <support@example.com>
{relations}Description: stand-in of the tests for {name}
"""
DEB_RELATIONS = "Depends: zip, sqlite3, nftables | iptables, python3 (>= 3.11)\nRecommends: alpamon-pam\n"
SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: stand-in of the tests for {name}
License: GPL-3.0-or-later
AutoReqProv: no
{relations}%description
stand-in of the tests for {name}
%install
cp -a {tree}/. %{{buildroot}}/
{scripts}
%files
{files}
"""
RPM_RELATIONS = "Requires: zip, sqlite, nftables, python3\nRecommends: alpamon-pam\n"
#: Pack the files unchanged.
RPM_SETTINGS = {
    "__os_install_post": "%{nil}",
    "_build_id_links": "none",
    "_binary_payload": "w1.gzdio",
    "_build_name_fmt": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
    "debug_package": "%{nil}",
}


@dataclasses.dataclass(frozen=True)
class Release:
    version: str
    channel: str = "stable"
    connects: bool = True

    @property
    def package_version(self) -> str:
        """Return the version in the syntax of packages: a candidate sorts below its release."""
        return self.version.replace("-", "~")


#: 2.4.1 is the one that breaks an upgrade: it starts, and never connects.
RELEASES = (Release("2.4.0"), Release("2.4.1", connects=False), Release("2.5.0"), Release("2.6.0-rc1", channel="rc"))


@functools.cache
def architecture() -> str:
    done = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def digest() -> str:
    paths = sorted([*SOURCE.glob("*/*.py"), *SOURCE.glob("package/*"), *SOURCE.glob("[pr]*.py")])
    content = hashlib.sha256(importlib.metadata.version("websockets").encode())
    for path in paths:
        content.update(f"{path.relative_to(SOURCE)}".encode() + path.read_bytes())
    return content.hexdigest()[:12]


def build(release: Release, folder: Path, rpms: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for name, target in FILES.items():
            (tree / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / "package" / name, tree / target)
        (tree / "etc/alpamon").chmod(0o700)
        (tree / "usr/bin").mkdir()
        write_program(release, tree / "usr/bin/alpamon")
        scripts = {name: (SOURCE / "package" / name).read_text() for name in SCRIPTS}
        pack_rpm(tree, rpms, "alpamon", release.package_version, RPM_RELATIONS, scripts)
        pack_deb(tree, folder, "alpamon", release.package_version, DEB_RELATIONS, scripts)


def build_pam(folder: Path, rpms: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        pack_rpm(Path(scratch), rpms, "alpamon-pam", "1.0.0", "", {})
        pack_deb(Path(scratch), folder, "alpamon-pam", "1.0.0", "", {})


def write_program(release: Release, target: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        unwanted = shutil.ignore_patterns(*UNWANTED)
        shutil.copytree(SOURCE / "alpamon", tree / "alpamon", ignore=unwanted)
        shutil.copytree(Path(websockets.__file__).parent, tree / "websockets", ignore=unwanted)
        values = f"VERSION = {release.version!r}\nCONNECTS = {release.connects}\n"
        (tree / "alpamon/version.py").write_text(values)
        (tree / "__main__.py").write_text(MAIN)
        zipapp.create_archive(tree, target, interpreter="/usr/bin/python3", compressed=True)


def pack_deb(tree: Path, folder: Path, name: str, version: str, relations: str, scripts: dict[str, str]) -> None:
    described = tree / "DEBIAN"
    described.mkdir()
    for script, text in scripts.items():
        (described / script).write_text(text)
        (described / script).chmod(0o755)
    control = CONTROL.format(name=name, version=version, architecture=architecture(), relations=relations)
    (described / "control").write_text(control)
    tree.chmod(0o755)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}_{version}_{architecture()}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def pack_rpm(tree: Path, folder: Path, name: str, version: str, relations: str, scripts: dict[str, str]) -> None:
    described = SPEC.format(
        name=name,
        version=version,
        relations=relations,
        tree=tree,
        scripts="".join(
            f"%{SCRIPTS[script]} -p /bin/bash\n{text.replace('%', '%%')}\n" for script, text in scripts.items()
        ),
        files="\n".join(f"/{path.relative_to(tree)}" for path in sorted(tree.glob("**/*")) if path.is_file()),
    )
    with tempfile.TemporaryDirectory() as scratch:
        settings = {**RPM_SETTINGS, "_topdir": scratch, "_rpmdir": str(folder)}
        defined = [word for name, value in settings.items() for word in ("--define", f"{name} {value}")]
        spec = Path(scratch, "package.spec")
        spec.write_text(described)
        subprocess.run(["rpmbuild", "--quiet", *defined, "-bb", str(spec)], check=True, capture_output=True)
