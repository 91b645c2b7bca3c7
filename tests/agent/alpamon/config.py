# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration file of the agent."""

from __future__ import annotations

import configparser
import dataclasses
from pathlib import Path

FILE = Path("/etc/alpamon/alpamon.conf")
TRUE = ("1", "t", "true", "yes", "y", "on")


class ConfigError(Exception):
    """The configuration is unusable; the text is the genuine agent's log message."""


@dataclasses.dataclass(frozen=True)
class Config:
    url: str
    id: str
    key: str
    verify: bool
    ca_cert: str = ""
    debug: bool = False


def read(path: Path) -> Config:
    """Read a file. Without `verify`, certificates are not verified."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, empty_lines_in_values=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"failed to parse {path}: {error}") from error

    def value(section: str, key: str) -> str:
        return parser.get(section, key, fallback="").strip()

    verify = value("ssl", "verify")
    return Config(
        url=value("server", "url").removesuffix("/"),
        id=value("server", "id"),
        key=value("server", "key"),
        verify=verify.lower() in TRUE,
        ca_cert=value("ssl", "ca_cert"),
        debug=value("logging", "debug").lower() in TRUE,
    )


def load() -> Config:
    found = [path for path in (FILE, Path("~/.alpamon.conf").expanduser()) if path.exists() and path.stat().st_size]
    if not found:
        raise ConfigError("No valid config file found.")
    config = read(found[0])
    if not config.url.startswith(("http://", "https://")):
        raise ConfigError("Server url is invalid.")
    if not (config.id and config.key):
        raise ConfigError("Server ID, KEY is empty.")
    if config.ca_cert and not Path(config.ca_cert).exists():
        raise ConfigError("Given path for CA certificate does not exist.")
    return config
