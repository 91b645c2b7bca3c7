# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The subcommand setup: a configuration from the environment, which the package calls when it is installed."""

from __future__ import annotations

import os
import re
import subprocess

from . import config
from .registration import CommandError


def setup() -> None:
    """Write the configuration from ALPACON_URL, PLUGIN_ID and PLUGIN_KEY if all of them are set."""
    values = {name: os.environ.get(name, "") for name in ("ALPACON_URL", "PLUGIN_ID", "PLUGIN_KEY")}
    if not all(values.values()):
        print("Environment variables ALPACON_URL, PLUGIN_ID and PLUGIN_KEY are not set; nothing to set up.")
        return
    if config.FILE.exists() and config.FILE.stat().st_size:
        print(f"{config.FILE} exists; keeping it.")
        return
    try:
        template = config.TEMPLATE.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"failed to read template config: {error}") from error
    if subprocess.run(["systemd-tmpfiles", "--create"], check=False).returncode:
        raise CommandError("failed to run systemd-tmpfiles")
    values |= {
        "ALPACON_SSL_VERIFY": os.environ.get("ALPACON_SSL_VERIFY", "true"),
        "ALPACON_CA_CERT": os.environ.get("ALPACON_CA_CERT", ""),
        "PLUGIN_DEBUG": os.environ.get("PLUGIN_DEBUG", "true"),
    }
    # Unlike `register`, this leaves the mode to the umask.
    config.FILE.write_text(re.sub(r"\{\{(\w+)\}\}", lambda name: values[name[1]], template), encoding="utf-8")
