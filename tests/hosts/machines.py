# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting and stopping hosts."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hosts import network
from hosts.images import RELEASES, Images

Kind = t.Literal["systemd", "plain"]
#: Each host has a cgroup2 of its own, whatever the machine mounts.
IN_CGROUP = """
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$0"
echo $$ > "/sys/fs/cgroup/$0/cgroup.procs"
exec "$@"
"""
REMOVE_CGROUP = """
mount -t cgroup2 none /sys/fs/cgroup
cd "/sys/fs/cgroup/$0" 2>/dev/null || exit 0
echo 1 > cgroup.kill
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    find . -depth -mindepth 1 -type d -exec rmdir {} + 2>/dev/null
    rmdir "/sys/fs/cgroup/$0" 2>/dev/null && exit 0
    sleep 0.1
done
"""
UNSHARED = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
#: Process 1 of a plain host only reaps; sshd is what it runs.
PLAIN = ("--as-pid2", "/bin/sh", "-c", "mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e")
BOOT_SECONDS = 60.0
STOP_SECONDS = 8.0
SSH_OPTIONS = """\
Host *
    User root
    IdentityFile {key}
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
"""


@dataclasses.dataclass(frozen=True)
class HostSpec:
    name: str
    release: str = "trixie"
    kind: Kind = "systemd"

    @classmethod
    def parse(cls, text: str) -> HostSpec:
        name, release, kind = [*text.split(":"), *("", "")][:3]
        spec = cls(name, release or "trixie", t.cast(Kind, kind or "systemd"))
        if not name or spec.release not in RELEASES or spec.kind not in t.get_args(Kind):
            raise ValueError(f"{text}: want NAME[:{'|'.join(RELEASES)}[:{'|'.join(t.get_args(Kind))}]]")
        return spec


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    release: str
    kind: str
    number: int
    pid: int

    @property
    def address(self) -> str:
        return network.address(self.number)


class Hosts:
    """The hosts recorded in one folder; a context manager that stops them."""

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder = folder
        self.images = Images(images)
        self.ssh_config = folder / "ssh_config"

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.down()

    def up(self, specs: t.Sequence[HostSpec]) -> list[Host]:
        """Start hosts unless they run, wait for ssh, and return all running hosts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        running = {host.name: host for host in self.running()}
        releases = {each.release for each in specs}
        with ThreadPoolExecutor(max_workers=2) as pool:
            roots = dict(zip(releases, pool.map(self.images.root, releases), strict=True))
        new = [each for each in specs if each.name not in running]
        with ThreadPoolExecutor(max_workers=4) as pool:
            started = list(pool.map(lambda each: self._start(each, roots[each.release]), new))
        self._write_ssh_config()
        for host in started:
            self._wait_for_ssh(host)
        return self.running()

    def down(self, names: t.Collection[str] | None = None) -> None:
        gone = [host for host in self.running() if names is None or host.name in names]
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(self._stop, gone))
        if gone:
            self._write_ssh_config()
        network.remove_bridge()

    def running(self) -> list[Host]:
        records = sorted(self.folder.glob("*.json"))
        return [Host(**json.loads(record.read_text())) for record in records]

    def _start(self, spec: HostSpec, root: Path) -> Host:
        number = network.attach()
        try:
            return self._boot(spec, root, number)
        except BaseException:
            network.detach(number)
            raise

    def _boot(self, spec: HostSpec, root: Path, number: int) -> Host:
        name = network.namespace_name(number)
        command = [
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--volatile=overlay"),
            *(
                "--link-journal=no",
                "--resolv-conf=off",
                "--timezone=off",
                f"--network-namespace-path=/run/netns/{name}",
            ),
            *(f"--machine={name}", f"--hostname={spec.name}", f"--directory={root}"),
            *(("--boot",) if spec.kind == "systemd" else PLAIN),
        ]
        with (self.folder / f"{spec.name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*UNSHARED, IN_CGROUP, name, *command],
                env={**os.environ, "SYSTEMD_NSPAWN_LOCK": "0"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        host = Host(spec.name, spec.release, spec.kind, number, process.pid)
        (self.folder / f"{spec.name}.json").write_text(json.dumps(dataclasses.asdict(host)))
        return host

    def _wait_for_ssh(self, host: Host) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while not _answers_ssh(host.address):
            if time.monotonic() > deadline or not _is_running(host.pid):
                log = (self.folder / f"{host.name}.log").read_text(errors="replace")
                raise TimeoutError(f"host {host.name} did not come up:\n{log[-3000:]}")
            time.sleep(0.05)

    def _stop(self, host: Host) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(host.pid, signal.SIGTERM)
        deadline = time.monotonic() + (STOP_SECONDS if host.kind == "systemd" else 1)
        while _is_running(host.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        subprocess.run([*UNSHARED, REMOVE_CGROUP, network.namespace_name(host.number)], check=False)
        network.detach(host.number)
        (self.folder / f"{host.name}.json").unlink()

    def _write_ssh_config(self) -> None:
        options = SSH_OPTIONS.format(key=self.images.key)
        entries = [f"Host {host.name}\n    HostName {host.address}\n" for host in self.running()]
        # The first value that is found counts, so hosts come first.
        self.ssh_config.write_text("\n".join([*entries, options]))


def _answers_ssh(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=2) as connection:
        return connection.recv(4) == b"SSH-"
    return False


def _is_running(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists()
