# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the options of the role alpamon with the state of a host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._agent.reading import (
    CONFIGURATION,
    FOLDERS,
    MASK,
    OVERRIDE,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent_systems import (
    Family,
    Repository,
    configuration_text,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspaces import compared

#: The parts of the role that tags select, by state.
PARTS: Mapping[str, frozenset[str]] = {
    "present": frozenset({"install", "register", "configure", "verify"}),
    "installed": frozenset({"install"}),
    "absent": frozenset({"uninstall"}),
}
#: No connection takes so long, in seconds.
_CLOCK_DIFFERENCE = 300


@dataclass(frozen=True)
class Controller:
    """What the controller knows.

    Attributes:
        host: the name of the host in the inventory.
        parts: the parts of the role that tags select; all of the state if empty.
        files: by option, the path of the file that it names; empty if there is none.
        missing: options whose file is not there.
        digests: by option, the SHA-256 of the file; of the package as its checksum is given, such as V(sha256:0a1b).
    """

    host: str
    parts: frozenset[str] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)
    missing: Iterable[str] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentState:
    """What the options ask for and the host lacks.

    Attributes:
        options: by the names of the planner's SPEC; no value is null.
        agent: the result of the module M(herdops.alpacon.alpamon_info).
    """

    options: Mapping[str, Any]
    agent: Mapping[str, Any]
    controller: Controller
    family: Family

    @property
    def parts(self) -> frozenset[str]:
        of_state = PARTS[self.options["state"]]
        return of_state & self.controller.parts if self.controller.parts else of_state

    def does(self, *parts: str) -> bool:
        return not self.parts.isdisjoint(parts)

    # The package

    @property
    def version(self) -> str:
        return self.agent["version"] or ""

    @cached_property
    def pinned(self) -> str:
        """The version that is asked for, as the agent states it; empty if any may be."""
        version: str = self.options["version"]
        return "" if version == "latest" else version.replace("~", "-")

    @property
    def wants_another(self) -> bool:
        """Another version than the installed one may have to be found in the repository."""
        wanted = self.options["version"]
        return not self.version or wanted == "latest" or (bool(self.pinned) and self.pinned != self.version)

    @property
    def from_repository(self) -> bool:
        return bool(self.options["manage_repository"] and not self.options["package_file"])

    @cached_property
    def repository(self) -> Repository:
        return Repository.from_options(self.options, self.controller.files.get("repository_key", ""))

    @cached_property
    def repository_changes(self) -> bool:
        if not self.from_repository:
            return False
        files, digest = self.agent["files"], self.controller.digests.get("repository_key")
        there, key = files[self.family.repository], files[self.family.key]
        content = sha256(self.repository.content(self.family).encode()).hexdigest()
        return (
            there.get("sha256") != content
            or (self.repository.has_secret(self.family) and there.get("mode") != "0600")
            or not key["exists"]
            or (digest is not None and key.get("sha256") != digest)
        )

    @property
    def coming(self) -> str:
        """The version that is to be installed, where it is known and not there; else empty."""
        version = self.agent.get("package_file_version") or "" if self.options["package_file"] else self.pinned
        return "" if version == self.version else version

    @property
    def file_name(self) -> str:
        """The name of the package file, without the query of a URL."""
        return re.sub(r"[?#].*", "", self.options["package_file"]).rpartition("/")[2]

    @property
    def install(self) -> bool:
        file = self.options["package_file"]
        if not self.does("install"):
            return False
        if not file:
            return self.wants_another
        if self.agent.get("package_file_version"):
            return bool(self.coming)
        # Before the file is on the host, its name has to tell.
        return not self.version or self.version not in self.file_name

    @property
    def provide(self) -> bool:
        comes = self.options["package_file"] or (
            self.from_repository and (self.repository_changes or self.wants_another)
        )
        return self.does("install") and bool(comes)

    @property
    def change_hold(self) -> bool:
        return self.does("install") and bool(self.version) and self.options["hold"] != self.agent["held"]

    # The registration

    @property
    def configuration(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.agent["configuration"]
        return found

    @cached_property
    def workspace(self) -> str:
        return compared(self.options["url"]) if self.options["url"] else ""

    @property
    def elsewhere(self) -> bool:
        return self.configuration["complete"] and compared(self.configuration["url"]) != self.workspace

    @property
    def copied(self) -> bool:
        """The configuration was made on another machine: the disk is a copy."""
        known = self.agent["registered_machine_id"], self.agent["machine_id"]
        return self.configuration["complete"] and all(known) and known[0] != known[1]

    @cached_property
    def configuration_text(self) -> str:
        """With ``%(id)s`` and ``%(key)s`` in place of the credentials."""
        return configuration_text(self.options, self.workspace, self.agent["machine_id"])

    @property
    def register(self) -> bool:
        return not self.configuration["complete"] or self.copied or self.elsewhere

    @property
    def name(self) -> str:
        name: str = self.options["name"] or self.agent["hostname"] or self.controller.host
        return name

    @property
    def write_configuration(self) -> bool:
        """The configuration with its present credentials, or a mode, is not as it has to be."""
        if self.register or not self.does("configure"):
            return False
        files = self.agent["files"]
        modes = {**FOLDERS, CONFIGURATION: "0600"}
        content = self.configuration_text % {"id": self.configuration["id"], "key": self.configuration["key"]}
        return files[CONFIGURATION].get("sha256") != sha256(content.encode()).hexdigest() or any(
            files[path].get("mode") != mode or files[path].get("uid") != 0 for path, mode in modes.items()
        )

    @property
    def configuration_changes(self) -> list[str]:
        """Lines of the configuration that go and come, as in a diff, without the key."""
        if not self.write_configuration:
            return []
        before = self.configuration["text"].splitlines()
        after = (self.configuration_text % {"id": self.configuration["id"], "key": MASK}).splitlines()
        gone = [f"- {line}" for line in before if line not in after]
        return [*gone, *(f"+ {line}" for line in after if line not in before)]

    # The service

    @property
    def override_changes(self) -> bool:
        if not self.does("configure"):
            return False
        wanted = self.options["service_override"]
        digest = sha256(wanted.encode()).hexdigest() if wanted else None
        return bool(self.agent["files"][OVERRIDE].get("sha256") != digest)

    @property
    def certificate_changes(self) -> bool:
        if not self.does("configure"):
            return False
        content = self.options["ca_cert_content"]
        digest = sha256(content.encode()).hexdigest() if content else self.controller.digests.get("ca_cert")
        return digest is not None and self.agent["files"][self.family.certificate].get("sha256") != digest

    @property
    def restart(self) -> bool:
        return self.does("configure") and self.agent["process"]["state"] == "outdated"

    @property
    def start(self) -> bool:
        service, timer = self.agent["service"], self.agent["restart_timer"]
        started = service["active"] and service["enabled"] and not (timer["active"] or timer["enabled"])
        return self.does("configure") and not started

    @property
    def work(self) -> bool:
        """Something has to be done on the host; whether the agent is connected is another question."""
        if self.options["state"] != "present":
            return bool(self.parts)
        return (
            self.provide
            or self.install
            or self.change_hold
            or (self.register and self.does("register"))
            or self.write_configuration
            or self.override_changes
            or self.certificate_changes
            or self.restart
            or self.start
        )

    @property
    def clock(self) -> str:
        """A sentence if the clock of the host is wrong; else empty."""
        ahead = self.agent.get("clock_ahead")
        if ahead is None or abs(ahead) < _CLOCK_DIFFERENCE:
            return ""
        return (
            f"The clock of the host is {abs(ahead) // 60} minutes {'ahead of' if ahead > 0 else 'behind'} that of the"
            " controller: signatures and certificates may seem to be of the future, or too old."
        )
