# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the options of the role alpamon with the state of a host, to find what has to change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from ...module_utils._agent.reading import CONFIGURATION, FOLDERS, MASK, OVERRIDE, VENDOR_REPOSITORY
from .._settings import normalize_if_url
from .systems import Family, Repository, read_settings, render_configuration

PARTS: Mapping[str, frozenset[str]] = {
    "present": frozenset({"install", "register", "configure", "verify"}),
    "installed": frozenset({"install"}),
    "absent": frozenset({"uninstall"}),
}
#: Minimum difference between clocks to warn of, in seconds. Slow connections cause smaller ones.
_CLOCK_DIFFERENCE = 300


@dataclass(frozen=True)
class Controller:
    """Facts of the controller.

    Attributes:
        parts: tags of the role that --tags selects; empty for all.
        files: path of the file on the controller, by option.
        digests: SHA-256 of the file, by option; of package_file, the digest in the format of package_checksum.
    """

    host: str
    parts: frozenset[str] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)
    missing: Iterable[str] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RoleOptions:
    """The options of the role, and the facts of the controller.

    Attributes:
        options: as for :func:`.plan.make_plan`.
    """

    options: Mapping[str, Any]
    controller: Controller

    @property
    def parts(self) -> frozenset[str]:
        parts = PARTS[self.options["state"]]
        return parts & self.controller.parts if self.controller.parts else parts

    def selects(self, *parts: str) -> bool:
        return not self.parts.isdisjoint(parts)

    @cached_property
    def pinned(self) -> str:
        """Return the requested version in the agent's spelling; empty for any or the latest."""
        return "" if self.options["version"] == "latest" else str(self.options["version"]).replace("~", "-")

    @property
    def from_repository(self) -> bool:
        return bool(self.options["manage_repository"] and not self.options["package_file"])


@dataclass(frozen=True)
class AgentState(RoleOptions):
    """The options, the state of the host, and the differences between them.

    Attributes:
        agent: the result of the module M(herdops.alpacon.alpamon_info).
    """

    agent: Mapping[str, Any]
    family: Family

    # The package

    @property
    def version(self) -> str:
        return self.agent["version"] or ""

    @property
    def needs_other_version(self) -> bool:
        other = bool(self.pinned) and self.pinned != self.version
        return other or not self.version or self.options["version"] == "latest"

    @cached_property
    def repository(self) -> Repository:
        return Repository.from_options(self.options, self.controller.files.get("repository_key", ""))

    @property
    def keep_repository(self) -> bool:
        """Return True if the host has a repository of this role, and no option asks for another one."""
        names = ["channel", "repository_url", "repository_key", "key_fingerprints"]
        # Only dnf has the proxy in the file.
        names += ["package_proxy"] if self.family.manager == "dnf" else []
        files = self.agent["files"]
        exists = files[self.family.repository]["exists"] and files[self.family.key]["exists"]
        return exists and not files[VENDOR_REPOSITORY]["exists"] and not any(self.options[name] for name in names)

    @property
    def repository_has_secret(self) -> bool:
        """Return True if the repository file, or the URL of the key, may contain a password."""
        if self.keep_repository:
            # The role gives a file with a password another mode.
            return bool(self.agent["files"][self.family.repository].get("mode") != "0644")
        return self.repository.has_secret(self.family)

    @cached_property
    def change_repository(self) -> bool:
        if not self.from_repository or self.keep_repository:
            return False
        files, digest = self.agent["files"], self.controller.digests.get("repository_key")
        file, key = files[self.family.repository], files[self.family.key]
        content = sha256(self.repository.render_file(self.family).encode()).hexdigest()
        exposed = self.repository_has_secret and file.get("mode") != "0600"
        other_key = not key["exists"] or (digest is not None and key.get("sha256") != digest)
        return exposed or other_key or file.get("sha256") != content or files[VENDOR_REPOSITORY]["exists"]

    @property
    def target_version(self) -> str:
        """Return the version to install; empty if it is installed or unknown."""
        version = self.agent.get("package_file_version") or "" if self.options["package_file"] else self.pinned
        return "" if version == self.version else version

    @property
    def package_file_name(self) -> str:
        """Return the file name in alpamon_package_file, without the query of a URL."""
        return re.sub(r"[?#].*", "", self.options["package_file"]).rpartition("/")[2]

    @property
    def install(self) -> bool:
        file = self.options["package_file"]
        if not self.selects("install"):
            return False
        if not file:
            return self.needs_other_version
        if self.agent.get("package_file_version"):
            return bool(self.target_version)
        # Until the file is on the host, only its name can contain the version.
        return not self.version or self.version not in self.package_file_name

    @property
    def add_source(self) -> bool:
        repository = self.from_repository and (self.change_repository or self.needs_other_version)
        return self.selects("install") and (repository or bool(self.options["package_file"]))

    @property
    def change_hold(self) -> bool:
        return self.selects("install") and bool(self.version) and self.hold != self.agent["held"]

    @property
    def hold(self) -> bool:
        return bool(self.agent["held"] if self.options["hold"] is None else self.options["hold"])

    # The registration

    @property
    def configuration(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.agent["configuration"]
        return found

    @cached_property
    def workspace(self) -> str:
        return normalize_if_url(self.options["url"]) if self.options["url"] else ""

    @property
    def other_workspace(self) -> bool:
        return self.configuration["complete"] and normalize_if_url(self.configuration["url"]) != self.workspace

    @property
    def cloned(self) -> bool:
        """Return True for a clone, whose configuration was written on another machine."""
        registered, current = self.agent["registered_machine_id"], self.agent["machine_id"]
        return self.configuration["complete"] and bool(registered and current) and registered != current

    @cached_property
    def configuration_text(self) -> str:
        return render_configuration(
            self.options, self.workspace, self.agent["machine_id"], read_settings(self.configuration["text"])
        )

    @property
    def register(self) -> bool:
        return not self.configuration["complete"] or self.cloned or self.other_workspace

    @property
    def name(self) -> str:
        return str(self.options["name"] or self.agent["hostname"] or self.controller.host)

    @property
    def write_configuration(self) -> bool:
        if self.register or not self.selects("configure"):
            return False
        files = self.agent["files"]
        modes = {**FOLDERS, CONFIGURATION: "0600"}
        content = self.configuration_text % {"id": self.configuration["id"], "key": self.configuration["key"]}
        return files[CONFIGURATION].get("sha256") != sha256(content.encode()).hexdigest() or any(
            files[path].get("mode") != mode or files[path].get("uid") != 0 for path, mode in modes.items()
        )

    @property
    def configuration_changes(self) -> list[str]:
        """Return the lines to remove from and add to the configuration, with the key masked."""
        if not self.write_configuration:
            return []
        before = self.configuration["text"].splitlines()
        after = (self.configuration_text % {"id": self.configuration["id"], "key": MASK}).splitlines()
        removed = [f"- {line}" for line in before if line not in after]
        return [*removed, *(f"+ {line}" for line in after if line not in before)]

    # The service

    @property
    def change_override(self) -> bool:
        wanted = self.options["service_override"]
        if not self.selects("configure") or wanted is None:
            return False
        digest = sha256(wanted.encode()).hexdigest() if wanted else None
        return bool(self.agent["files"][OVERRIDE].get("sha256") != digest)

    @property
    def change_certificate(self) -> bool:
        if not self.selects("configure"):
            return False
        content = self.options["ca_cert_content"]
        digest = sha256(content.encode()).hexdigest() if content else self.controller.digests.get("ca_cert")
        return digest is not None and self.agent["files"][self.family.certificate].get("sha256") != digest

    @property
    def restart(self) -> bool:
        return self.selects("configure") and self.agent["process"]["state"] == "outdated"

    @property
    def start(self) -> bool:
        service, timer = self.agent["service"], self.agent["restart_timer"]
        running = service["active"] and service["enabled"] and not (timer["active"] or timer["enabled"])
        return self.selects("configure") and not running

    @property
    def has_changes(self) -> bool:
        if self.options["state"] != "present":
            return bool(self.parts)
        register = self.register and self.selects("register")
        package = self.add_source or self.install or self.change_hold
        files = self.write_configuration or self.change_override or self.change_certificate
        return register or package or files or self.restart or self.start

    @property
    def clock(self) -> str:
        ahead = self.agent.get("clock_ahead")
        if ahead is None or abs(ahead) < _CLOCK_DIFFERENCE:
            return ""
        return (
            f"The clock of the host is {abs(ahead) // 60} minutes {'ahead of' if ahead > 0 else 'behind'} that of the"
            " controller. Signatures and certificates may be refused as expired or not yet valid. Set the clock."
        )
