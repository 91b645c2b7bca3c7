# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide what the role alpamon has to do on a host, from its options and the state of the host."""

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
    OVERRIDE,
    PID_FILE,
    REPOSITORIES,
    SERVICE,
    TIMER,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import duration
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_order import agent_name
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent_systems import (
    SETTINGS,
    SUPPORTED,
    Family,
    Repository,
    configuration_text,
    family_of,
    version_key,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspaces import compared, workspace_of

#: The options of the role, without their prefix. Their defaults are those of the role.
SPEC: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "installed", "absent"]},
    "version": {"type": "str"},
    "channel": {"type": "str", "choices": ["stable", "rc", "dev"]},
    "hold": {"type": "bool"},
    "allow_downgrade": {"type": "bool"},
    "install_recommends": {"type": "bool"},
    "package_file": {"type": "str"},
    "package_checksum": {"type": "str"},
    "package_proxy": {"type": "str"},
    "manage_repository": {"type": "bool"},
    "repository_url": {"type": "str"},
    "repository_key": {"type": "str"},
    "key_fingerprints": {"type": "list", "elements": "str"},
    "url": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "registration_token": {"type": "str", "no_log": True},
    "name": {"type": "str"},
    "tags": {"type": "dict"},
    "reregister_stale": {"type": "bool"},
    "replace": {"type": "bool"},
    "allow_workspace_change": {"type": "bool"},
    "validate_certs": {"type": "bool"},
    "ca_cert": {"type": "str"},
    "ca_cert_content": {"type": "str"},
    "settings": {
        "type": "dict",
        "options": {name: {"type": "bool" if name == "debug" else "int"} for name in SETTINGS},
    },
    "service_override": {"type": "str"},
    "connect_timeout": {"type": "str"},
    "rollback": {"type": "bool"},
    "no_log": {"type": "bool", "no_log": False},
}
#: The parts of the role that tags select.
PARTS: Mapping[str, frozenset[str]] = {
    "present": frozenset({"install", "register", "configure", "verify"}),
    "installed": frozenset({"install"}),
    "absent": frozenset({"uninstall"}),
}
#: Older agents have neither ``register --force`` nor ``unregister``.
MINIMUM = "2.3.0"
_VERSION = re.compile(r"(latest|\d+(\.\d+){2,}([-~](rc|dev|alpha|beta)[.\d]*)?)?")
#: Where packages that are files wait on the host, also for a later rollback.
PACKAGES = "/var/cache/alpamon"
UNIT_FOLDERS = ("/lib/systemd/system", "/etc/systemd/system")
UNITS = (SERVICE, TIMER, "alpamon-restart.service")
#: Held by the run that registers the host.
LOCK = "/run/alpamon-registering"
_HOLD_COMMANDS = {
    "apt": {"add": ["apt-mark", "hold", "alpamon"], "delete": ["apt-mark", "unhold", "alpamon"]},
    "dnf": {"add": ["dnf", "versionlock", "add", "alpamon"], "delete": ["dnf", "versionlock", "delete", "alpamon"]},
    "zypper": {
        "add": ["zypper", "--non-interactive", "addlock", "alpamon"],
        "delete": ["zypper", "--non-interactive", "removelock", "alpamon"],
    },
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


def plan_of(options: Mapping[str, Any], agent: Mapping[str, Any], controller: Controller) -> dict[str, Any]:
    """Return what has to be done, with the keys that M(herdops.alpacon.alpamon_info) documents.

    Args:
        options: by the names of :data:`SPEC`; no value is null.
        agent: the result of the module.
    """
    family = family_of(agent["distribution"])
    if family is None:
        system = agent["distribution"]
        return refused([f"The agent does not run on {system['name']} {system['version']}. It runs on {SUPPORTED}."])
    if agent["uid"] != 0:
        return refused(["The tasks of this role need root. Set become to true for them."])
    return _Planner(options, agent, controller, family).plan()


def refused(problems: list[str]) -> dict[str, Any]:
    """Return the plan for a host on which nothing can be done."""
    return {"problems": problems, "installed_problems": problems}


@dataclass(frozen=True)
class _Planner:
    options: Mapping[str, Any]
    agent: Mapping[str, Any]
    controller: Controller
    family: Family

    def plan(self) -> dict[str, Any]:
        """Return all of it."""
        options, agent = self.options, self.agent
        return {
            "problems": self._problems(),
            "warnings": self._warnings(),
            "state": options["state"],
            "parts": sorted(self._parts),
            **self._package(),
            **self._registration(),
            **self._service(),
            "environment": self._environment,
            "certificate": {
                "path": self.family.certificate,
                "trust": self.family.update_certificates,
                "forget": self.family.forget_certificates,
            },
            "ca_path": self.controller.files.get("ca_cert", ""),
            "clock": self._clock(agent.get("clock_ahead")),
            "lock": LOCK,
            "remove": self._leftovers(),
            "work": self._work,
        }

    @property
    def _parts(self) -> frozenset[str]:
        of_state = PARTS[self.options["state"]]
        return of_state & self.controller.parts if self.controller.parts else of_state

    def _does(self, *parts: str) -> bool:
        return not self._parts.isdisjoint(parts)

    # The package

    @property
    def _version(self) -> str:
        return self.agent["version"] or ""

    @cached_property
    def _pinned(self) -> str:
        """The version that is asked for, as the agent states it; empty if any may be."""
        version: str = self.options["version"]
        return "" if version == "latest" else version.replace("~", "-")

    @property
    def _another(self) -> bool:
        """Another version than the installed one may have to be found in the repository."""
        wanted = self.options["version"]
        return not self._version or wanted == "latest" or (bool(self._pinned) and self._pinned != self._version)

    @property
    def _from_repository(self) -> bool:
        return bool(self.options["manage_repository"] and not self.options["package_file"])

    @cached_property
    def _repository(self) -> Repository:
        return Repository.from_options(self.options, self.controller.files.get("repository_key", ""))

    @cached_property
    def _repository_changes(self) -> bool:
        if not self._from_repository:
            return False
        files, digest = self.agent["files"], self.controller.digests.get("repository_key")
        there, key = files[self.family.repository], files[self.family.key]
        content = sha256(self._repository.content(self.family).encode()).hexdigest()
        return (
            there.get("sha256") != content
            or (self._repository.has_secret(self.family) and there.get("mode") != "0600")
            or not key["exists"]
            or (digest is not None and key.get("sha256") != digest)
        )

    @property
    def _coming(self) -> str:
        """The version that is to be installed, where it is known and not there; else empty."""
        version = self.agent.get("package_file_version") or "" if self.options["package_file"] else self._pinned
        return "" if version == self._version else version

    @property
    def _install(self) -> bool:
        file = self.options["package_file"]
        if not self._does("install"):
            return False
        if not file:
            return self._another
        if self.agent.get("package_file_version"):
            return bool(self._coming)
        # Before the file is on the host, its name has to tell.
        return not self._version or self._version not in file.rpartition("/")[2]

    def _package(self) -> dict[str, Any]:
        options, family = self.options, self.family
        name = re.sub(r"[?#].*", "", options["package_file"]).rpartition("/")[2]
        return {
            "provide": self._provide,
            "repository_key": family.key,
            "repository": self._repository_facts() if self._from_repository else None,
            "package_file": {
                "source": self.controller.files.get("package_file") or options["package_file"],
                "is_url": _is_url(options["package_file"]),
                "path": f"{PACKAGES}/{name}",
            }
            if options["package_file"]
            else None,
            "install": self._install,
            "predict": self._install and bool(self.agent["check_mode"]),
            "release": self._pinned.replace("-", "~"),
            "hold": options["hold"],
            "change_hold": self._change_hold,
            "hold_commands": _HOLD_COMMANDS[family.manager],
            "installed_problems": [*self._problems(), *self._wrong_version()],
            "manager": family.manager,
        }

    @property
    def _provide(self) -> bool:
        comes = self.options["package_file"] or (self._from_repository and (self._repository_changes or self._another))
        return self._does("install") and bool(comes)

    @property
    def _change_hold(self) -> bool:
        return self._does("install") and bool(self._version) and self.options["hold"] != self.agent["held"]

    def _repository_facts(self) -> dict[str, Any]:
        repository, family = self._repository, self.family
        secret = repository.has_secret(family)
        vendors = REPOSITORIES[1]
        paths = [{"path": family.key.rpartition("/")[0], "state": "directory"}]
        if self.agent["files"][vendors]["exists"]:
            # apt refuses two files that name one repository with different keys.
            paths.append({"path": vendors, "state": "absent"})
        return {
            "path": family.repository,
            "content": repository.content(family),
            "mode": "0600" if secret else "0644",
            "secret": secret,
            "key": family.key,
            "key_source": repository.key_source,
            "key_is_url": _is_url(repository.key_source),
            "fingerprints": repository.fingerprints,
            "paths": paths,
            "refresh": repository.refresh(family),
        }

    @property
    def _environment(self) -> dict[str, str]:
        """Return the environment for package managers.

        With an id and a key in it, the package would configure and start the agent. zypper does not wait for its lock
        by itself.
        """
        proxy = self.options["package_proxy"]
        proxies = {"http_proxy": proxy, "https_proxy": proxy} if proxy else {}
        return {"PLUGIN_ID": "", "PLUGIN_KEY": "", "ZYPP_LOCK_TIMEOUT": "300", "LC_ALL": "C", **proxies}

    def _wrong_version(self) -> Iterable[str]:
        """Yield the sentence for a package manager that did not fail, and did not install what was asked for."""
        there = f"alpamon {self._version}" if self._version else "nothing"
        if self._does("install") and (not self._version or (self._pinned and self._pinned != self._version)):
            asked = f"alpamon_version is {self._pinned}" if self._pinned else "alpamon is to be installed"
            yield f"{asked}, and {there} is installed, although the package manager did not fail."

    # The registration

    @property
    def _configuration(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.agent["configuration"]
        return found

    @cached_property
    def _workspace(self) -> str:
        return compared(self.options["url"]) if self.options["url"] else ""

    @property
    def _elsewhere(self) -> bool:
        return self._configuration["complete"] and compared(self._configuration["url"]) != self._workspace

    @property
    def _copied(self) -> bool:
        """The configuration was made on another machine: the disk is a copy."""
        known = self.agent["registered_machine_id"], self.agent["machine_id"]
        return self._configuration["complete"] and all(known) and known[0] != known[1]

    @property
    def _register(self) -> bool:
        return not self._configuration["complete"] or self._copied or self._elsewhere

    def _registration(self) -> dict[str, Any]:
        options, agent, found = self.options, self.agent, self._configuration
        present = options["state"] == "present"
        text = configuration_text(options, self._workspace, agent["machine_id"])
        own = found["complete"] and not self._copied
        same_machine = agent["registered_machine_id"] in ("", agent["machine_id"])
        may_register = self._register or options["reregister_stale"]
        return {
            "workspace": self._workspace,
            "register": self._register,
            "needs_token": present and self._does("register") and may_register and not options["registration_token"],
            "ask": present and own and not self._elsewhere and self._does("register", "configure", "verify"),
            "record": found["id"].lower() if own else "",
            "elsewhere": self._elsewhere,
            "leave": present and own and self._elsewhere,
            # Its key is not known, so nobody can unregister it.
            "incomplete": (found["id"] or "") if not found["complete"] and same_machine else "",
            "copied": found["id"] if self._copied else "",
            "name": self._name,
            "platform": self.family.platform,
            "tags": options["tags"],
            # Clones may share the machine id.
            "machine": f"{agent['machine_id']} {self.controller.host}" if agent["machine_id"] else "",
            "configuration": text,
            "configuration_path": CONFIGURATION,
            "folders": [{"path": path, "mode": mode} for path, mode in FOLDERS.items()],
            "write_configuration": self._rewrite(text),
        }

    @property
    def _name(self) -> str:
        name: str = self.options["name"] or self.agent["hostname"] or self.controller.host
        return name

    def _rewrite(self, text: str) -> bool:
        """Return True if the configuration with its present credentials, or a mode, is not as it has to be."""
        if self._register or not self._does("configure"):
            return False
        files = self.agent["files"]
        modes = {**FOLDERS, CONFIGURATION: "0600"}
        content = text % {"id": self._configuration["id"], "key": self._configuration["key"]}
        return files[CONFIGURATION].get("sha256") != sha256(content.encode()).hexdigest() or any(
            files[path].get("mode") != mode or files[path].get("uid") != 0 for path, mode in modes.items()
        )

    # The service

    @property
    def _override_changes(self) -> bool:
        wanted = self.options["service_override"]
        digest = sha256(wanted.encode()).hexdigest() if wanted else None
        return bool(self.agent["files"][OVERRIDE].get("sha256") != digest)

    @property
    def _certificate_changes(self) -> bool:
        content = self.options["ca_cert_content"]
        digest = sha256(content.encode()).hexdigest() if content else self.controller.digests.get("ca_cert")
        return digest is not None and self.agent["files"][self.family.certificate].get("sha256") != digest

    @property
    def _started(self) -> bool:
        service, timer = self.agent["service"], self.agent["restart_timer"]
        return service["active"] and service["enabled"] and not (timer["active"] or timer["enabled"])

    def _service(self) -> dict[str, Any]:
        configure = self._does("configure")
        return {
            "override": {"path": OVERRIDE, "content": self.options["service_override"]},
            "change_override": configure and self._override_changes,
            "change_certificate": configure and self._certificate_changes,
            "restart": configure and self.agent["process"]["state"] == "outdated",
            "start": configure and not self._started,
        }

    @property
    def _work(self) -> bool:
        if self.options["state"] != "present":
            return bool(self._parts)
        service = self._service()
        return (
            self._provide
            or self._install
            or self._change_hold
            or (self._register and self._does("register"))
            or self._rewrite(configuration_text(self.options, self._workspace, self.agent["machine_id"]))
            or any(service[name] for name in ("change_override", "change_certificate", "restart", "start"))
        )

    def _leftovers(self) -> list[str]:
        """Return what packages of the agent and the role leave behind, units and all."""
        units = [f"{folder}/{unit}" for folder in UNIT_FOLDERS for unit in UNITS]
        own = [*FOLDERS, PID_FILE, PACKAGES, "/usr/lib/tmpfiles.d/alpamon.conf", OVERRIDE.rpartition("/")[0]]
        repository = [*REPOSITORIES, self.family.key] if self.options["manage_repository"] else []
        return [*own, *units, self.family.certificate, *repository]

    # Problems and warnings

    def _problems(self) -> list[str]:
        problems = [*self._version_problems(), *self._package_problems()] if self.options["state"] != "absent" else []
        return [problem for problem in (*problems, *self._workspace_problems()) if problem]

    def _version_problems(self) -> Iterable[str]:
        options, version = self.options, self.options["version"]
        if not _VERSION.fullmatch(version):
            yield f"alpamon_version is '{version}'. Give a version such as 2.5.0, latest, or nothing."
        elif self._pinned and version_key(version) < version_key(MINIMUM):
            yield f"alpamon_version is {version}, and the role needs {MINIMUM} or newer."
        elif not self._install and self._version and version_key(self._version) < version_key(MINIMUM):
            yield (
                f"alpamon {self._version} is installed, and this role needs {MINIMUM} or newer. Set alpamon_version to"
                " latest, or to a newer version."
            )
        older = self._version and self._coming and version_key(self._coming) < version_key(self._version)
        if older and not options["allow_downgrade"]:
            yield (
                f"alpamon {self._version} is installed, and {self._coming} is older. Set alpamon_allow_downgrade to"
                " true to go back. If the workspace has upgraded the agent, set alpamon_hold to true too."
            )
        if version == "latest" and options["package_file"]:
            yield "alpamon_version is latest, which alpamon_package_file cannot say. Leave one of them out."
        if version == "latest" and options["hold"]:
            yield "alpamon_hold and alpamon_version=latest contradict each other. Give the version that is to be held."

    def _package_problems(self) -> Iterable[str]:
        checksum, pending = self.options["package_checksum"].lower(), self.agent["pending"]
        if checksum and ":" not in checksum:
            yield "alpamon_package_checksum needs its algorithm in front, as in sha256:0a1b..."
        elif self.controller.digests.get("package_file", checksum) != checksum:
            yield (
                f"{self.options['package_file']} does not have the checksum in alpamon_package_checksum. It is not"
                " installed."
            )
        if pending:
            yield (
                "The agent has an upgrade or a migration under way, which a restart or another version would break. Try"
                f" again when {' and '.join(pending)} {'is' if len(pending) == 1 else 'are'} gone."
            )
        unused = {"repository_key"} if not self._from_repository else set()
        unused |= {"ca_cert"} if self.options["state"] != "present" else set()
        missing = [f"alpamon_{name}" for name in self.controller.missing if name not in unused]
        if missing:
            yield (
                f"{' and '.join(missing)}: there is no such file on the controller. A relative path is looked for in"
                " files/ beside the playbook, beside it, and in the folder that Ansible was started in."
            )

    def _workspace_problems(self) -> Iterable[str]:
        options = self.options
        if options["state"] != "present":
            return
        if self.agent["service_manager"] != "systemd":
            yield (
                "systemd does not manage the services of this host, and the agent needs it. alpamon_state=installed"
                " installs the package without starting it."
            )
        yield from map(
            _refusal,
            ("alpamon_connect_timeout", "alpamon_name"),
            (duration, agent_name),
            (options["connect_timeout"], self._name),
        )
        if not self._does("register", "configure", "verify"):
            return
        texts = [name for name, value in options["tags"].items() if not isinstance(value, str)]
        if texts:
            yield f"alpamon_tags: the value of {', '.join(texts)} is not a string. Put it in quotes."
        if options["ca_cert"] and options["ca_cert_content"]:
            yield "alpamon_ca_cert and alpamon_ca_cert_content exclude each other."
        if not options["url"]:
            yield "alpamon_url is empty. Set it, or ALPACON_URL, to the base URL of the workspace."
        else:
            yield _refusal("alpamon_url", lambda _option, text: workspace_of(text), options["url"])
            if self._elsewhere and not options["allow_workspace_change"]:
                yield (
                    f"The host is registered in {self._configuration['url']}, not in {self._workspace}. Set"
                    " alpamon_allow_workspace_change to true to move it."
                )

    def _warnings(self) -> list[str]:
        """Return warnings. Ansible shows equal ones of many hosts once, so only those about a host name it."""
        options, host = self.options, self.controller.host
        warnings = []
        if self._copied:
            warnings.append(
                f"{host}: The configuration was made on another machine, so the record {self._configuration['id']} in"
                f" {self._configuration['url']} is left as it is. If it is this host's all the same, because its"
                " machine id has changed, delete it there."
            )
        if options["state"] == "absent":
            return warnings
        clock = self._clock(self.agent.get("clock_ahead"))
        warnings += [f"{host}: {clock}"] if clock else []
        if self._from_repository and not self._repository.fingerprints:
            warnings.append("alpamon_key_fingerprints is empty: the key of the repository is trusted as it comes.")
        if options["package_file"] and not options["package_checksum"]:
            warnings.append("alpamon_package_checksum is empty: the package is installed unchecked.")
        return warnings + (self._workspace_warnings() if options["state"] == "present" else [])

    def _workspace_warnings(self) -> list[str]:
        address = self._workspace.partition("://")[2].partition("/")[0]
        warnings = []
        if self._workspace.startswith("http://"):
            warnings.append("alpamon_url is not https: id and key of the server go over the network in the clear.")
        if not self.options["validate_certs"]:
            warnings.append("Certificates are not verified, since alpamon_validate_certs is false.")
        if "8000" in address:
            warnings.append(f"The agent turns the first 8000 in {address} into 8081 for its websockets.")
        if self.agent["proxies"]:
            warnings.append(
                f"{self.controller.host}: The environment of the host names a proxy. The agent ignores it, and connects"
                f" to {address} directly."
            )
        return warnings

    @staticmethod
    def _clock(ahead: int | None) -> str:
        if ahead is None or abs(ahead) < _CLOCK_DIFFERENCE:
            return ""
        return (
            f"The clock of the host is {abs(ahead) // 60} minutes {'ahead of' if ahead > 0 else 'behind'} that of the"
            " controller: signatures and certificates may seem to be of the future, or too old."
        )


def _is_url(text: str) -> bool:
    return re.match(r"https?://", text) is not None


def _refusal(option: str, check: Any, text: str) -> str:
    """Return why a value is refused; empty if it is not."""
    try:
        check(option, text)
    except AlpaconError as error:
        return str(error)
    return ""
