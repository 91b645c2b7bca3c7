# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List the supported systems, and render the repository file and the configuration of the agent."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...module_utils._agent.reading import CERTIFICATES, KEYS, REPOSITORIES
from ...module_utils._options.values import version_key

_HEADER = "# Managed by Ansible, role herdops.alpacon.alpamon\n"
_CHANNELS = {
    "stable": "https://packagecloud.io/alpacax/alpamon",
    "rc": "https://packagecloud.io/alpacax/alpamon-latest",
    "dev": "https://packagecloud.io/alpacax/alpamon-dev",
}
#: The agent's own defaults, from its configuration template in version 2.5.0.
SETTINGS: Mapping[str, Any] = {
    "debug": False,
    "max_workers": 20,
    "queue_size": 200,
    "default_timeout": 3600,
    "editor_idle_timeout": 60,
    "max_download_bytes": 0,
}
#: Sections and keys of the settings in the configuration.
_PLACES = {
    "debug": ("logging", "debug"),
    "max_workers": ("pool", "max_workers"),
    "queue_size": ("pool", "queue_size"),
    "default_timeout": ("pool", "default_timeout"),
    "editor_idle_timeout": ("editor", "idle_timeout"),
    "max_download_bytes": ("file", "max_download_bytes"),
}


@dataclass(frozen=True)
class Family:
    """A family of distributions: the paths and commands of its package manager and trust store.

    Attributes:
        platform: name of the family in the API, which has none for SUSE.
    """

    platform: str
    manager: str
    repository: str
    key: str
    certificate: str
    add_certificate: str
    remove_certificate: str


DEBIAN = Family(
    "debian",
    "apt",
    REPOSITORIES[0],
    KEYS[0],
    CERTIFICATES[0],
    "update-ca-certificates",
    "update-ca-certificates --fresh",
)
REDHAT = Family(
    "rhel", "dnf", REPOSITORIES[2], KEYS[1], CERTIFICATES[1], "update-ca-trust extract", "update-ca-trust extract"
)
SUSE = Family(
    "rhel", "zypper", REPOSITORIES[3], KEYS[1], CERTIFICATES[2], "update-ca-certificates", "update-ca-certificates"
)
#: By ID in /etc/os-release: the family and the oldest version. The agent exits on every other distribution.
_SYSTEMS: Mapping[str, tuple[str, Family, str]] = {
    "debian": ("Debian", DEBIAN, "11"),
    "ubuntu": ("Ubuntu", DEBIAN, "18.04"),
    "raspbian": ("Raspbian", DEBIAN, "11"),
    "rhel": ("RHEL", REDHAT, "8"),
    "centos": ("CentOS", REDHAT, "8"),
    "rocky": ("Rocky", REDHAT, "8"),
    "almalinux": ("AlmaLinux", REDHAT, "8"),
    "ol": ("Oracle Linux", REDHAT, "8"),
    "fedora": ("Fedora", REDHAT, "41"),
    "amzn": ("Amazon Linux", REDHAT, "2023"),
    "opensuse": ("openSUSE", SUSE, "15"),
    "sle": ("SLES", SUSE, "15"),
}
SUPPORTED = ", ".join(f"{name} from {minimum} on" for name, _family, minimum in _SYSTEMS.values())


def find_family(distribution: Mapping[str, Any]) -> Family | None:
    """Return the family of a distribution; None if the agent does not run on it.

    Args:
        distribution: ``id`` and ``version`` of /etc/os-release. Debian unstable has no version.
    """
    identifier, version = str(distribution.get("id") or ""), str(distribution.get("version") or "")
    suse = re.match(r"opensuse|sle", identifier)
    _name, family, minimum = _SYSTEMS.get(suse.group() if suse else identifier, ("", None, ""))
    if version[:1].isdigit() and version_key(version) < version_key(minimum):
        return None
    return family


@dataclass(frozen=True)
class Repository:
    """The package repository to configure on a host.

    Attributes:
        key_source: a URL, or a path on the controller.
    """

    url: str
    key_source: str
    fingerprints: Sequence[str]
    proxy: str

    @classmethod
    def from_options(cls, options: Mapping[str, Any], key_file: str) -> Repository:
        url = options["repository_url"].rstrip("/") or _CHANNELS[options["channel"] or "stable"]
        source = key_file or options["repository_key"] or f"{url}/gpgkey"
        fingerprints = [fingerprint.replace(" ", "").upper() for fingerprint in options["key_fingerprints"]]
        return cls(url, source, fingerprints, options["package_proxy"])

    def has_secret(self, family: Family) -> bool:
        """Return True if a URL in the repository file, or that of the key, may contain a password."""
        return "@" in self.url + self.key_source + (self.proxy if family is REDHAT else "")

    def render_file(self, family: Family) -> str:
        """Render the repository file, with the source and fingerprints of the key, so that their changes are found."""
        checked = " ".join(self.fingerprints) or "nothing"
        text = f"{_HEADER}# The key is from {self.key_source}, checked for: {checked}\n"
        if family is DEBIAN:
            return f"{text}Types: deb\nURIs: {self.url}/any/\nSuites: any\nComponents: main\nSigned-By: {family.key}\n"
        text += f"[alpacax_alpamon]\nname=alpacax_alpamon\nbaseurl={self.url}/rpm_any/rpm_any/$basearch\nenabled=1\n"
        # The vendor signs the index, not the packages.
        if family is SUSE:
            text += "autorefresh=1\ntype=rpm-md\nrepo_gpgcheck=1\npkg_gpgcheck=0\n"
        else:
            text += "repo_gpgcheck=1\ngpgcheck=0\nsslverify=1\nmetadata_expire=300\n"
            text += f"proxy={self.proxy}\n" if self.proxy else ""
        return f"{text}gpgkey=file://{family.key}\n"

    def get_refresh_commands(self, family: Family) -> list[list[str]]:
        """Return the commands that refresh the index of this repository only. Others may be broken."""
        if family is DEBIAN:
            only = [f"-oDir::Etc::SourceList={family.repository}", "-oDir::Etc::SourceParts=-"]
            return [["apt-get", "update", *only, "-oAPT::Get::List-Cleanup=0", "-oAPT::Update::Error-Mode=any"]]
        if family is SUSE:
            return [
                ["rpm", "--import", family.key],
                ["zypper", "--non-interactive", "refresh", "--repo", "alpacax_alpamon"],
            ]
        only = ["--disablerepo=*", "--enablerepo=alpacax_alpamon", "--setopt=alpacax_alpamon.skip_if_unavailable=0"]
        # The module dnf would not import the key from its file, whose fingerprint was checked.
        return [["dnf", "--refresh", "--assumeyes", *only, "makecache"]]


def read_settings(text: str) -> dict[str, Any]:
    """Read the settings in the configuration of a host, without those that the agent would not understand."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    settings: dict[str, Any] = {}
    try:
        parser.read_string(text)
    except configparser.Error:
        return settings
    for name, (section, key) in _PLACES.items():
        value = parser.get(section, key, fallback="").strip()
        if name == "debug" and value in ("true", "false"):
            settings[name] = value == "true"
        elif name != "debug" and re.fullmatch(r"\d{1,15}", value):
            settings[name] = int(value)
    return settings


def render_configuration(
    options: Mapping[str, Any], workspace: str, machine_id: str, current: Mapping[str, Any]
) -> str:
    """Render the configuration of the agent, with the placeholders ``%(id)s`` and ``%(key)s``.

    Args:
        current: settings that the host has, which those of the options override.
    """
    given = {name: value for name, value in options["settings"].items() if value is not None}
    settings = {**SETTINGS, **current, **given}
    machine = f"# Machine: {machine_id}\n" if machine_id else ""
    server = f"{_HEADER}{machine}[server]\nurl = {workspace}\n".replace("%", "%%")
    return f"""{server}id = %(id)s
key = %(key)s

[ssl]
verify = {str(options["validate_certs"]).lower()}
ca_cert =

[logging]
debug = {str(settings["debug"]).lower()}

[pool]
max_workers = {settings["max_workers"]}
queue_size = {settings["queue_size"]}
default_timeout = {settings["default_timeout"]}

[editor]
idle_timeout = {settings["editor_idle_timeout"]}

[file]
max_download_bytes = {settings["max_download_bytes"]}
"""
