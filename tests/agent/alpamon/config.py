# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration file: how the daemon reads it, and how `register` writes it."""

from __future__ import annotations

import configparser
import dataclasses
import os
from pathlib import Path

FOLDER = Path("/etc/alpamon")
FILE = FOLDER / "alpamon.conf"
TEMPLATE = FOLDER / "alpamon.config.tmpl"
#: Every folder of the agent, with its mode.
FOLDERS = {
    FOLDER: 0o700,
    Path("/var/lib/alpamon"): 0o750,
    Path("/var/log/alpamon"): 0o750,
    Path("/run/alpamon"): 0o750,
}
LOG_FILE = Path("/var/log/alpamon/alpamon.log")
TRUE = ("1", "t", "true", "yes", "y", "on")
TEXT = """\
[server]
url = {url}
id = {id}
key = {key}

[ssl]
verify = {verify}
ca_cert = {ca_cert}

[logging]
debug = {debug}
"""


class ConfigError(Exception):
    """The configuration cannot be used; the text is what the genuine agent logs."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What the agent takes from its configuration."""

    url: str
    id: str
    key: str
    verify: bool
    ca_cert: str = ""
    debug: bool = False

    def text(self) -> str:
        """The whole file; sections that `register` does not know are lost."""
        values = dataclasses.asdict(self)
        values |= {name: str(values[name]).lower() for name in ("verify", "debug")}
        return TEXT.format(**values)


def read(path: Path, *, verify_by_default: bool) -> Config:
    """Read a file. Without a `verify` the daemon verifies nothing, while `unregister` and `register --force` do."""
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
        verify=verify.lower() in TRUE if verify else verify_by_default,
        ca_cert=value("ssl", "ca_cert"),
        debug=value("logging", "debug").lower() in TRUE,
    )


def load() -> Config:
    """The configuration of the daemon: the first file that is not empty."""
    found = [path for path in (FILE, Path("~/.alpamon.conf").expanduser()) if path.exists() and path.stat().st_size]
    if not found:
        raise ConfigError("No valid config file found.")
    config = read(found[0], verify_by_default=False)
    if not config.url.startswith(("http://", "https://")):
        raise ConfigError("Server url is invalid.")
    if not (config.id and config.key):
        raise ConfigError("Server ID, KEY is empty.")
    if config.ca_cert and not Path(config.ca_cert).exists():
        raise ConfigError("Given path for CA certificate does not exist.")
    return config


def write(config: Config) -> None:
    """Write the file so that it is there whole or not at all."""
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = FILE.with_name(FILE.name + ".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        target.write(config.text())
        target.flush()
        os.fsync(target.fileno())
    partial.rename(FILE)
