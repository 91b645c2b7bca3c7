# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run Molecule scenarios on hosts with systemd, each with its own workspace."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import collection_tree

sys.path.insert(0, str(Path(__file__).parents[1]))

import agent.repository
import hosts
from hosts import images, network, requirements
from system.certificates import authority
from workspace.client import Workspace

SCENARIOS = collection_tree.ROOT / "extensions/molecule"
RUNS = collection_tree.BUILD / "molecule"
IMAGES = collection_tree.BUILD / "hosts/images"
WORKERS = 2
SCENARIO_SECONDS = 900
#: Runs in Docker with the vendor's packages: .github/workflows/molecule.yml.
IN_DOCKER = "containers"
#: The scenarios that CI has time for, the longest first.
CI = ("any_module", "upgrade", "default", "records", "absent", "package_failures")
#: Scenarios whose workspace speaks TLS with a certificate of a private authority.
TLS = ("workspace_change",)
#: Scenarios with a second workspace.
TWO_WORKSPACES = ("workspace_change",)
PROGRAMS = requirements.PROGRAMS | agent.repository.PROGRAMS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("all", "ci"), default="all")
    parser.add_argument("scenarios", nargs="*", help="names; all of the set without them")
    arguments = parser.parse_args()
    missing = requirements.find_missing(PROGRAMS) or trial()
    if missing:
        return collection_tree.skip(f"no host with systemd can be made here: {'; '.join(missing)}")
    every = sorted({path.parent.name for path in SCENARIOS.glob("*/molecule.yml")} - {IN_DOCKER})
    names = arguments.scenarios or (list(CI) if arguments.set == "ci" else every)
    failed = [name for name, passed in zip(names, run_all(names), strict=True) if not passed]
    collection_tree.show_failures([f"make molecule SCENARIO={name}" for name in failed])
    return 1 if failed else 0


def trial() -> list[str]:
    specs = [hosts.HostSpec(f"trial-{release}", release) for release in images.RELEASES]
    try:
        with tempfile.TemporaryDirectory(prefix="trial-") as folder, hosts.Hosts(Path(folder), IMAGES) as made:
            made.up(specs)
    except (TimeoutError, subprocess.CalledProcessError) as error:
        return [str(error)]
    return []


def run_all(names: list[str]) -> list[bool]:
    RUNS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with (
        network.bridge() as address,
        agent.repository.Repository(collection_tree.BUILD / "agent", address) as repository,
        ThreadPoolExecutor(WORKERS) as pool,
    ):
        return list(pool.map(lambda name: run(name, repository), names))


def run(name: str, repository: agent.repository.Repository) -> bool:
    started = time.monotonic()
    # A short name, because the paths of sockets are limited.
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="molecule-")))
        stack.enter_context(hosts.Hosts(folder / "hosts", IMAGES))
        environ = collection_tree.environ() | settings(name, folder, stack, repository) | {"NO_COLOR": "1"}
        passed = molecule(name, environ)
    output = "" if passed else (RUNS / f"{name}.log").read_text(errors="replace")
    result = "passed" if passed else "FAILED"
    print(f"{output}{name:<20} {time.monotonic() - started:>8.1f} s  {result}\n", end="", flush=True)
    return passed


def settings(
    name: str, folder: Path, stack: contextlib.ExitStack, repository: agent.repository.Repository
) -> dict[str, str]:
    """Return the environment of a scenario; extensions/molecule/README.md lists it."""
    values = {
        "ALPAMON_REPOSITORY": f"{repository.url}/{agent.repository.CHANNELS['stable']}",
        "ALPAMON_REPOSITORY_RC": f"{repository.url}/{agent.repository.CHANNELS['rc']}",
        "ALPAMON_FINGERPRINT": repository.fingerprint,
        "ALPAMON_PACKAGE_DEB": str(repository.package("2.5.0", "deb")),
        "ALPAMON_PACKAGE_RPM": str(repository.package("2.5.0", "rpm")),
        "HOSTS_FOLDER": str(folder / "hosts"),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(folder / "molecule"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "ssh"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
        "MOLECULE_REPORT": "",
    }
    if name in TLS:
        ca = authority(folder, "private", network.GATEWAY)
        values["ALPACON_CA_PATH"] = str(ca.file)
        workspace = Workspace(servers=0, host=network.GATEWAY, tls=(ca.chain, ca.chain), ca=ca.file)
    else:
        workspace = Workspace(servers=0, host=network.GATEWAY)
    values |= connection("ALPACON", stack.enter_context(workspace))
    if name in TWO_WORKSPACES:
        values |= connection("OTHER", stack.enter_context(Workspace(servers=0, host=network.GATEWAY)))
    return values


def connection(prefix: str, workspace: Workspace) -> dict[str, str]:
    return {
        f"{prefix}_URL": workspace.url,
        f"{prefix}_TOKEN": workspace.token,
        f"{prefix}_REGISTRATION_TOKEN": workspace.add_registration_token("molecule")["key"],
    }


def molecule(name: str, environ: dict[str, str]) -> bool:
    """Run Molecule on one scenario with its output in a file."""
    command = ["molecule", "--base-config", str(SCENARIOS / "config.yml"), "test", "--scenario-name", name]
    # Another run may still write to the file.
    (RUNS / f"{name}.log").unlink(missing_ok=True)
    with (RUNS / f"{name}.log").open("w") as log, contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            cwd=collection_tree.ROOT,
            env=environ,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=SCENARIO_SECONDS,
        )
        return done.returncode == 0
    return False


if __name__ == "__main__":
    sys.exit(main())
