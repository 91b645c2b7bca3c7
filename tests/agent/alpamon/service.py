# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent as a unit of systemd, or as a process of its own where systemd is not process 1."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from . import config


class ServiceError(Exception):
    """The service could not be started."""


def systemd() -> bool:
    """Whether systemd runs this machine."""
    return shutil.which("systemctl") is not None and Path("/proc/1/comm").read_text().strip() == "systemd"


def systemctl(*arguments: str) -> None:
    """Run systemctl, and raise ServiceError with what it said if it failed."""
    done = subprocess.run(["systemctl", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise ServiceError(f"systemctl {' '.join(arguments)}: {done.stderr.strip() or f'exit {done.returncode}'}")


def make_folders() -> None:
    """Make every folder of the agent with its mode."""
    if systemd() and not subprocess.run(["systemd-tmpfiles", "--create", "alpamon.conf"], check=False).returncode:
        return
    for path, mode in config.FOLDERS.items():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)


def start() -> str:
    """Start the agent, now and at every boot, and return a line about it."""
    if not systemd():
        return f"alpamon started in the background (PID {start_detached()})."
    systemctl("daemon-reload")
    systemctl("start", "alpamon.service")
    systemctl("enable", "alpamon.service")
    return "alpamon service started and enabled."


def start_detached() -> int:
    """Start the agent without anything that watches over it, and return its process id."""
    try:
        with config.LOG_FILE.open("ab") as log:
            config.LOG_FILE.chmod(0o640)
            return subprocess.Popen(
                [sys.argv[0]], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
            ).pid
    except OSError as error:
        raise ServiceError(str(error)) from error


def stop(*, disable: bool) -> None:
    """Stop the agent where systemd runs it; a detached process is left alone."""
    if systemd():
        verb = ["disable", "--now"] if disable else ["stop"]
        subprocess.run(["systemctl", *verb, "alpamon.service"], check=False, capture_output=True)
