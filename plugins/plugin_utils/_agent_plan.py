# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide what the role alpamon has to do on a host, from its options and the state of the host."""

from __future__ import annotations

from collections.abc import Mapping
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
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import clean_line
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent_problems import (
    installed_problems,
    problems_of,
    warnings_of,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent_result import problem_of_result
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent_state import AgentState, Controller
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent_systems import SETTINGS, SUPPORTED, family_of

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
#: Where packages that are files wait on the host, also for a later rollback.
PACKAGES = "/var/cache/alpamon"
_UNIT_FOLDERS = ("/lib/systemd/system", "/etc/systemd/system")
_UNITS = (SERVICE, TIMER, "alpamon-restart.service")
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


def plan_of(options: Mapping[str, Any], agent: Mapping[str, Any], controller: Controller) -> dict[str, Any]:
    """Return what has to be done, with the keys that M(herdops.alpacon.alpamon_info) documents.

    Args:
        options: by the names of :data:`SPEC`; no value is null.
        agent: the result of the module.
    """
    odd = problem_of_result(agent)
    if odd:
        return refused([odd])
    family = family_of(agent["distribution"])
    if family is None:
        system = agent["distribution"]
        return refused([f"The agent does not run on {system['name']} {system['version']}. It runs on {SUPPORTED}."])
    if agent["uid"] != 0:
        return refused(["The tasks of this role need root. Set become to true for them."])
    state = AgentState(options, agent, controller, family)
    problems = problems_of(state)
    return {
        "problems": problems,
        # Another version than the pinned one is no downgrade that somebody asks for.
        "installed_problems": list(installed_problems(state)) or problems,
        "warnings": warnings_of(state),
        "state": options["state"],
        "parts": sorted(state.parts),
        "work": state.work,
        **_package(state),
        **_registration(state),
        "configuration": state.configuration_text,
        "configuration_path": CONFIGURATION,
        "folders": [{"path": path, "mode": mode} for path, mode in FOLDERS.items()],
        "write_configuration": state.write_configuration,
        "configuration_changes": state.configuration_changes,
        "override": {"path": OVERRIDE, "content": options["service_override"]},
        "change_override": state.override_changes,
        "certificate": {
            "path": family.certificate,
            "trust": family.update_certificates,
            "forget": family.forget_certificates,
        },
        "change_certificate": state.certificate_changes,
        "restart": state.restart,
        "start": state.start,
        "clock": state.clock,
        "lock": LOCK,
        "remove": _leftovers(state),
    }


def refused(problems: list[str]) -> dict[str, Any]:
    """Return the plan for a host on which nothing can be done."""
    lines = [clean_line(problem) for problem in problems]
    return {"problems": lines, "installed_problems": lines, "workspace": "", "ca_path": ""}


def _package(state: AgentState) -> dict[str, Any]:
    options, family = state.options, state.family
    return {
        "manager": family.manager,
        # With an id and a key in its environment, the package would configure and start the agent. zypper waits for its
        # lock only if it is told to.
        "environment": {
            "PLUGIN_ID": "",
            "PLUGIN_KEY": "",
            "ZYPP_LOCK_TIMEOUT": "300",
            "LC_ALL": "C",
            **({name: options["package_proxy"] for name in ("http_proxy", "https_proxy") if options["package_proxy"]}),
        },
        "provide": state.provide,
        "repository": _repository(state) if state.from_repository else None,
        "repository_key": family.key,
        "package_file": {
            "source": state.controller.files.get("package_file") or options["package_file"],
            "is_url": _is_url(options["package_file"]),
            "path": f"{PACKAGES}/{state.file_name}",
        }
        if options["package_file"]
        else None,
        "install": state.install,
        "predict": state.install and bool(state.agent["check_mode"]),
        # deb and rpm write 2.6.0-rc1 as 2.6.0~rc1.
        "release": state.pinned.replace("-", "~"),
        "hold": options["hold"],
        "change_hold": state.change_hold,
        "hold_commands": _HOLD_COMMANDS[family.manager],
    }


def _repository(state: AgentState) -> dict[str, Any]:
    repository, family = state.repository, state.family
    secret = repository.has_secret(family)
    paths = [{"path": family.key.rpartition("/")[0], "state": "directory"}]
    vendors = REPOSITORIES[1]
    if state.agent["files"][vendors]["exists"]:
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


def _registration(state: AgentState) -> dict[str, Any]:
    options, agent, found = state.options, state.agent, state.configuration
    present = options["state"] == "present"
    own = found["complete"] and not state.copied
    same_machine = agent["registered_machine_id"] in ("", agent["machine_id"])
    may_register = state.register or options["reregister_stale"]
    return {
        "workspace": state.workspace,
        "ca_path": state.controller.files.get("ca_cert", ""),
        "register": state.register,
        "needs_token": state.does("register") and may_register and not options["registration_token"],
        "ask": own and not state.elsewhere and state.does("register", "configure", "verify"),
        "record": found["id"].lower() if own else "",
        "elsewhere": state.elsewhere,
        "leave": present and own and state.elsewhere,
        # Its key is not known, so nobody can unregister it.
        "incomplete": (found["id"] or "") if not found["complete"] and same_machine else "",
        "copied": found["id"] if state.copied else "",
        "name": state.name,
        "platform": state.family.platform,
        "tags": options["tags"],
        # Clones may share the machine id.
        "machine": f"{agent['machine_id']} {state.controller.host}" if agent["machine_id"] else "",
    }


def _leftovers(state: AgentState) -> list[str]:
    """Return what packages of the agent and the role leave behind, units and all."""
    units = [f"{folder}/{unit}" for folder in _UNIT_FOLDERS for unit in _UNITS]
    own = [*FOLDERS, PID_FILE, PACKAGES, "/usr/lib/tmpfiles.d/alpamon.conf", OVERRIDE.rpartition("/")[0]]
    repository = [*REPOSITORIES, state.family.key] if state.options["manage_repository"] else []
    return [*own, *units, state.family.certificate, *repository]


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))
