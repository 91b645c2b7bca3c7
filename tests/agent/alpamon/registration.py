# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The subcommands register and unregister."""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import json
import re
import socket
import sys
from pathlib import Path

from . import config, service
from .api import Api, ApiError
from .config import Config, ConfigError

REGISTER = "/api/servers/servers/register/"
REGISTER_SECONDS = 30
NAME_LENGTH = 64
PLATFORMS = {
    "debian": ("debian", "ubuntu", "raspbian"),
    "rhel": (
        *("rhel", "centos", "redhat", "amazon", "amzn", "fedora", "rocky", "almalinux", "oracle", "ol"),
        *("opensuse", "opensuse-leap", "opensuse-tumbleweed", "sles", "sled", "suse"),
    ),
}


class CommandError(Exception):
    """A subcommand failed; the text follows `Error: `."""


def register(options: argparse.Namespace) -> None:
    """Make a record of this host in a workspace, write its credentials and start the agent."""
    old = _old_config(force=options.force)
    name = server_name(options.name or socket.gethostname().split(".")[0])
    body = {"name": name, "platform": options.platform or platform()}
    if tags := parse_tags(options.tag):
        body["tags"] = tags
    print(f"Registering {name} with {options.url}...")
    new, full_name = _ask(options, body)
    before = config.FILE.read_bytes() if config.FILE.exists() else None
    try:
        config.write(new)
        service.make_folders()
    except OSError as error:
        if not options.no_rollback:
            _roll_back(new, before)
        raise CommandError(f"failed to write config: {error}") from error
    if old is not None:
        best_effort_unregister(old)
        service.stop(disable=False)
    try:
        print(service.start())
    except service.ServiceError as error:
        print(f"Warning: Failed to start service: {error}")
    print(f"\nServer registered successfully!\n  Name: {full_name}\n  ID: {new.id}\n  Config: {config.FILE}")


def _old_config(*, force: bool) -> Config | None:
    """The configuration that `--force` replaces; without it, one that stands is refused."""
    try:
        size = config.FILE.stat().st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"failed to check config file: {error}") from error
    if not size:
        print(f"Note: {config.FILE} is empty and will be overwritten.")
        return None
    if not force:
        raise CommandError(f"config file already exists: {config.FILE}. Use --force to register again.")
    try:
        return config.read(config.FILE, verify_by_default=True)
    except ConfigError as error:
        raise CommandError(str(error)) from error


def server_name(text: str) -> str:
    """The name as the server takes it: letters, digits, underscores and single hyphens."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:NAME_LENGTH].strip("-")
    if not name:
        raise CommandError(f'"{text}" leaves no valid server name')
    return name


def platform() -> str:
    """The platform that this distribution belongs to."""
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r'(?m)^ID="?([\w.-]+)', release)
    distribution = found[1].lower() if found else ""
    for name, distributions in PLATFORMS.items():
        if distribution in distributions:
            return name
    raise CommandError(f'unrecognized Linux distribution "{distribution}"')


def parse_tags(values: list[str]) -> dict[str, str]:
    """Tags of the command line: each a comma-separated list of key=value."""
    pairs = [pair for row in csv.reader(values) for pair in row]
    for pair in pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise CommandError(f'invalid tag "{pair}": want key=value')
    return dict(pair.split("=", 1) for pair in pairs)


def _ask(options: argparse.Namespace, body: dict[str, object]) -> tuple[Config, str]:
    """The new credentials, and the name that the server chose."""
    url = options.url.removesuffix("/")
    try:
        api = Api(url, f'token="{options.token}"', options.ssl_verify, options.ca_cert)
        status, text = api.send("POST", REGISTER, body, REGISTER_SECONDS)
    except (ApiError, OSError) as error:
        raise CommandError(f"request failed: {error}") from error
    if status != 201:
        raise CommandError(f"registration failed (status {status}): {text}")
    answer = json.loads(text)
    return Config(url, answer["id"], answer["key"], options.ssl_verify, options.ca_cert), answer["name"]


def _roll_back(new: Config, before: bytes | None) -> None:
    best_effort_unregister(new)
    with contextlib.suppress(OSError):
        if before is None:
            config.FILE.unlink(missing_ok=True)
        else:
            config.FILE.write_bytes(before)


def best_effort_unregister(old: Config) -> None:
    """Delete a record with its own credentials; what goes wrong is only a line on stderr."""
    try:
        status, _answer = Api.of(old).send("DELETE", f"/api/servers/servers/{old.id}/unregister/")
    except (ApiError, OSError) as error:
        _complain("Best-effort unregister: request failed.", error=str(error))
    else:
        if not 200 <= status < 300:
            _complain("Best-effort unregister: non-2xx status.", status=status)


def _complain(message: str, **details: object) -> None:
    print(json.dumps({"level": "warn", **details, "message": message}), file=sys.stderr)


def unregister(options: argparse.Namespace) -> None:
    """Delete this host's record, stop the agent and remove its configuration."""
    if not config.FILE.exists() or not config.FILE.stat().st_size:
        print("No configuration found; nothing to unregister.")
        return
    if not options.yes and not (sys.stdin.isatty() and input("Unregister this server? [y/N] ").lower() == "y"):
        raise CommandError("aborted")
    try:
        old = config.read(config.FILE, verify_by_default=True)
        verify = old.verify if options.ssl_verify is None else options.ssl_verify
        ca_cert = old.ca_cert if options.ca_cert is None else options.ca_cert
        best_effort_unregister(dataclasses.replace(old, verify=verify, ca_cert=ca_cert))
    except ConfigError as error:
        print(f"Warning: {error}; cleaning up locally only.")
    service.stop(disable=True)
    if not options.keep_config:
        config.FILE.unlink()
    print("Server unregistered.")
