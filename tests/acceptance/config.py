# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The workspace that integration_config.yml describes, and its dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import requests
import yaml
from acceptance.created import SERVERS
from acceptance.proxy import open_session

Dialect = Literal["current", "published", "2024"]
DIALECTS: tuple[Dialect, ...] = ("current", "published", "2024")


class ConfigError(Exception):
    """The configuration cannot be used; the message says why."""


@dataclass(frozen=True)
class Config:
    """A workspace and what a run may use of it; the template describes each key."""

    url: str
    token: str = field(repr=False)
    servers: list[str]
    accounts: list[str] = field(default_factory=list)
    register: bool = True
    ca_path: str = ""
    dialect: str = ""

    @property
    def verify(self) -> Any:
        return self.ca_path or True


def read_config(file: Path) -> Config:
    """Read a configuration.

    Raises:
        ConfigError: the file is missing, or a key is missing, unknown or wrong.
    """
    if not file.exists():
        raise ConfigError(f"{file} does not exist. Copy {file}.template to it and describe your workspace there.")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        config = Config(**content)
    except yaml.YAMLError as error:
        # The text of the error quotes the file, which has the token.
        line = f" in line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""  # type: ignore[attr-defined]
        raise ConfigError(f"{file} is not YAML{line}.") from None
    except TypeError as error:
        raise ConfigError(f"{file}: {str(error).partition(')')[2].strip()}. The template shows all keys.") from None
    for key in ("url", "token"):
        if not isinstance(getattr(config, key), str) or not getattr(config, key).strip():
            raise ConfigError(f"{file}: {key} is empty, or no text.")
    if not config.servers or not isinstance(config.servers, list):
        raise ConfigError(f"{file}: servers is not a list of names. Name one or two servers for tests.")
    if config.dialect and config.dialect not in DIALECTS:
        raise ConfigError(f"{file}: dialect is none of {', '.join(DIALECTS)}.")
    url = config.url.strip().rstrip("/").removesuffix("/api")
    return Config(**{**vars(config), "url": url, "token": config.token.strip()})


@dataclass(frozen=True)
class Found:
    """The dialect of a workspace, and the IDs of the configured servers by their names."""

    dialect: Dialect
    server_ids: dict[str, str]


def explore(config: Config) -> Found:
    """Find the configured servers and the dialect.

    Raises:
        ConfigError: the workspace cannot be used.
    """
    rows: list[dict[str, Any]] = []
    with open_session(config.verify) as session:
        for name in config.servers:
            page = _get_page(session, config, name)
            found = [row for row in page["results"] if row["name"] == name]
            if not found:
                raise ConfigError(f"servers: the token sees no server named {name}.")
            if not found[0].get("is_connected"):
                raise ConfigError(f"servers: the agent of {name} is not connected.")
            rows += found
    dialect = next((name for name in DIALECTS if name == config.dialect), None)
    return Found(dialect or detect_dialect(page, rows[0]), {row["name"]: row["id"] for row in rows})


def _get_page(session: requests.Session, config: Config, name: str) -> Any:
    try:
        response = session.get(
            config.url + SERVERS,
            params={"search": name, "page_size": "100"},
            headers={"Authorization": f'token="{config.token}"', "Accept": "application/json"},
            timeout=30,
        )
    except requests.RequestException as error:
        raise ConfigError(f"url: the workspace cannot be reached ({type(error).__name__}).") from None
    if response.status_code in (401, 403):
        raise ConfigError(f"token: the workspace refuses it with status {response.status_code}.")
    try:
        page = response.json()
        return {**page, "results": list(page["results"])}
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"url: no list of servers comes from there, but status {response.status_code}.") from None


def detect_dialect(page: dict[str, Any], server: dict[str, Any]) -> Dialect:
    """Detect the dialect by a page of servers and one of its rows."""
    if "groups_name" in server:
        return "2024"
    return "current" if "current" in page else "published"
