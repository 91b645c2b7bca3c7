# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge and the network namespaces of hosts, removed with the last host."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BRIDGE = "hosts0"
GATEWAY = "10.77.0.1"
NUMBERS = range(10, 250)


def ip(*arguments: str, check: bool = True) -> str:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True).stdout


def namespace_name(number: int) -> str:
    return f"hosts-{number}"


def address(number: int) -> str:
    return f"10.77.0.{number}"


def mac_address(number: int) -> str:
    """Return the MAC address of an IP address: always the same, so that no cached one is wrong."""
    return f"02:00:0a:4d:00:{number:02x}"


@contextmanager
def lock_network() -> Iterator[None]:
    """Lock the network against all other checkouts on this machine."""
    with Path(tempfile.gettempdir(), f"{BRIDGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def namespaces() -> list[str]:
    """Return the namespaces of all hosts on this machine, and the markers of bridge users."""
    names = (line.split()[0] for line in ip("netns", "list").splitlines() if line)
    return [name for name in names if name.startswith("hosts-")]


@contextmanager
def bridge() -> Iterator[str]:
    mark = f"hosts-bridge-{os.getpid()}"
    with lock_network():
        _add_bridge()
        ip("netns", "add", mark)
    try:
        yield GATEWAY
    finally:
        ip("netns", "delete", mark)
        remove_bridge()


def _add_bridge() -> None:
    if not Path("/sys/class/net", BRIDGE).exists():
        # Without its own address, the bridge would change it with every host.
        ip("link", "add", BRIDGE, "address", mac_address(1), "type", "bridge")
        ip("addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")


def remove_bridge() -> None:
    with lock_network():
        for name in namespaces():
            owner = name.removeprefix("hosts-bridge-")
            if owner != name and not Path("/proc", owner).exists():
                ip("netns", "delete", name)
        if not namespaces():
            ip("link", "delete", BRIDGE, check=False)


def attach() -> int:
    with lock_network():
        _add_bridge()
        used = namespaces()
        number = next(number for number in NUMBERS if namespace_name(number) not in used)
        ip("netns", "add", namespace_name(number))
    try:
        _connect(number)
    except BaseException:
        detach(number)
        raise
    return number


def _connect(number: int) -> None:
    name = namespace_name(number)
    ip("link", "add", name, "type", "veth", "peer", "name", "host0", "address", mac_address(number), "netns", name)
    ip("link", "set", name, "master", BRIDGE, "up")
    ip("-n", name, "addr", "add", f"{address(number)}/24", "dev", "host0")
    ip("-n", name, "link", "set", "host0", "up")
    ip("-n", name, "link", "set", "lo", "up")


def detach(number: int) -> None:
    ip("link", "delete", namespace_name(number), check=False)
    ip("netns", "delete", namespace_name(number), check=False)
