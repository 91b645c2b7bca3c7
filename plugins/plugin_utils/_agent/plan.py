# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan the tasks of the role alpamon on a host, from the options of the role and the state of the host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...module_utils._agent.reading import (
    CONFIGURATION,
    FILES,
    FOLDERS,
    OVERRIDE,
    PID_FILE,
    REPOSITORIES,
    SERVICE,
    TIMER,
    VENDOR_REPOSITORY,
)
from ...module_utils._api.errors import clean_line
from ...module_utils._api.records import is_uuid
from .problems import find_installed_problems, find_problems, find_warnings
from .state import AgentState, Controller
from .systems import SETTINGS, SUPPORTED, find_family

#: The options of the role, without their prefix. The role has the defaults.
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
#: Options whose null value keeps what the host has.
KEPT_IF_UNSET = frozenset({"hold", "channel", "service_override"})
#: Folder of package files on the host, for a later rollback.
_PACKAGES = "/var/cache/alpamon"
#: The key that the setup script of the vendor installs.
_VENDOR_KEY = "/etc/apt/keyrings/alpacax_alpamon-archive-keyring.gpg"
_HOLD_COMMANDS = {
    "apt": {"add": ["apt-mark", "hold", "alpamon"], "delete": ["apt-mark", "unhold", "alpamon"]},
    "dnf": {"add": ["dnf", "versionlock", "add", "alpamon"], "delete": ["dnf", "versionlock", "delete", "alpamon"]},
    "zypper": {
        "add": ["zypper", "--non-interactive", "addlock", "alpamon"],
        "delete": ["zypper", "--non-interactive", "removelock", "alpamon"],
    },
}


def make_plan(options: Mapping[str, Any], agent: Mapping[str, Any], controller: Controller) -> dict[str, Any]:
    """Return the plan for a host, with the conditions and arguments of the role's tasks.

    Args:
        options: by the names of :data:`SPEC`, only those of :data:`KEPT_IF_UNSET` may be null.
        agent: the result of M(herdops.alpacon.alpamon_info).
    """
    unexpected = ", ".join(_find_unexpected(agent)[:3])
    if unexpected:
        problem = f"The host returned an unexpected value for {unexpected} of alpamon_info. Check the host."
        return refuse([problem])
    family = find_family(agent["distribution"])
    if family is None:
        system = agent["distribution"]
        return refuse([f"The agent does not run on {system['name']} {system['version']}. It runs on {SUPPORTED}."])
    if agent["uid"] != 0:
        return refuse(["The tasks of this role need root. Set become to true for them."])
    state = AgentState(options, controller, agent, family)
    problems = find_problems(state)
    return {
        "problems": problems,
        # If the package manager left an old version, the problem is not a downgrade.
        "installed_problems": find_installed_problems(state) or problems,
        "warnings": find_warnings(state),
        "state": options["state"],
        "parts": sorted(state.parts),
        "has_changes": state.has_changes,
        **_plan_package(state),
        **_plan_registration(state),
        "configuration": state.configuration_text,
        "configuration_path": CONFIGURATION,
        "folders": [{"path": path, "mode": mode} for path, mode in FOLDERS.items()],
        "write_configuration": state.write_configuration,
        "configuration_changes": state.configuration_changes,
        "override": {"path": OVERRIDE, "content": options["service_override"] or ""},
        "change_override": state.change_override,
        "certificate": {
            "path": family.certificate,
            "add_command": family.add_certificate,
            "remove_command": family.remove_certificate,
        },
        "change_certificate": state.change_certificate,
        "restart": state.restart,
        "start": state.start,
        # Roll back only in runs that may have both installed a version and started it.
        "rollback": options["rollback"] and {"install", "configure"} <= state.parts,
        "clock": state.clock,
        "lock": "/run/alpamon-registering",
        "paths_to_remove": _list_paths_to_remove(state),
    }


def refuse(problems: list[str]) -> dict[str, Any]:
    lines = [clean_line(problem) for problem in problems]
    return {"problems": lines, "installed_problems": lines, "workspace": "", "ca_path": ""}


def _plan_package(state: AgentState) -> dict[str, Any]:
    options, family = state.options, state.family
    return {
        "manager": family.manager,
        # With PLUGIN_ID and PLUGIN_KEY, the package would register the agent.
        "environment": {
            "PLUGIN_ID": "",
            "PLUGIN_KEY": "",
            "ZYPP_LOCK_TIMEOUT": "300",
            "LC_ALL": "C",
            **{name: options["package_proxy"] for name in ("http_proxy", "https_proxy") if options["package_proxy"]},
        },
        "add_source": state.add_source,
        "repository": _plan_repository(state) if state.from_repository else None,
        "repository_key": family.key,
        "package_file": {
            "source": state.controller.files.get("package_file") or options["package_file"],
            "is_url": _is_url(options["package_file"]),
            "path": f"{_PACKAGES}/{state.package_file_name}",
        }
        if options["package_file"]
        else None,
        "install": state.install,
        "would_install": state.install and bool(state.agent["check_mode"]),
        # deb and rpm write 2.6.0-rc1 as 2.6.0~rc1.
        "package_version": state.pinned.replace("-", "~"),
        "hold": state.hold,
        "change_hold": state.change_hold,
        "hold_commands": _HOLD_COMMANDS[family.manager],
    }


def _plan_repository(state: AgentState) -> dict[str, Any]:
    repository, family = state.repository, state.family
    secret = state.repository_has_secret
    paths = [{"path": family.key.rpartition("/")[0], "state": "directory"}]
    if state.agent["files"][VENDOR_REPOSITORY]["exists"]:
        # apt refuses two files that name one repository with different keys.
        paths.append({"path": VENDOR_REPOSITORY, "state": "absent"})
    return {
        "keep": state.keep_repository,
        "path": family.repository,
        "content": repository.render_file(family),
        "mode": "0600" if secret else "0644",
        "has_secret": secret,
        "key": family.key,
        "key_source": repository.key_source,
        "key_is_url": _is_url(repository.key_source),
        "fingerprints": repository.fingerprints,
        "paths": paths,
        "refresh_commands": repository.get_refresh_commands(family),
    }


def _plan_registration(state: AgentState) -> dict[str, Any]:
    options, agent, found = state.options, state.agent, state.configuration
    is_own = found["complete"] and not state.cloned
    same_machine = agent["registered_machine_id"] in ("", agent["machine_id"])
    may_register = state.register or options["reregister_stale"]
    return {
        "workspace": state.workspace,
        "ca_path": state.controller.files.get("ca_cert", ""),
        "register": state.register,
        "needs_token": state.selects("register") and may_register and not options["registration_token"],
        "check_credentials": is_own and not state.other_workspace and state.selects("register", "configure", "verify"),
        "server_id": found["id"].lower() if is_own else "",
        "other_workspace": state.other_workspace,
        "leave": options["state"] == "present" and is_own and state.other_workspace,
        # The agent cannot unregister this record without its key.
        "incomplete_id": found["id"] if not found["complete"] and same_machine and is_uuid(found["id"]) else "",
        "cloned_id": found["id"] if state.cloned else "",
        "name": state.name,
        "platform": state.family.platform,
        "tags": options["tags"],
        # Clones may share the machine id.
        "machine": f"{agent['machine_id']} {state.controller.host}" if agent["machine_id"] else "",
    }


def _list_paths_to_remove(state: AgentState) -> list[str]:
    """Return the paths to remove after the package manager has removed the package."""
    units = (SERVICE, TIMER, "alpamon-restart.service")
    unit_files = [f"{folder}/{unit}" for folder in ("/lib/systemd/system", "/etc/systemd/system") for unit in units]
    files = [*FOLDERS, PID_FILE, _PACKAGES, "/usr/lib/tmpfiles.d/alpamon.conf", OVERRIDE.rpartition("/")[0]]
    repository = [*REPOSITORIES, state.family.key, _VENDOR_KEY] if state.options["manage_repository"] else []
    return [*files, *unit_files, state.family.certificate, *repository]


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


# The result of the module

_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,1000}")
_TEXT = re.compile(r"[^\x00]{0,1048576}")
_VERSION = re.compile(r"\d[\w.+-]{0,63}")
#: A machine id, or C(uninitialized) in images that never ran.
_MACHINE = re.compile(r"[\w-]{0,64}")
_UNIT = {"active": bool, "enabled": bool}
#: By key of the result: its type, pattern, or the keys in it. A tuple lists alternatives, a list has items of one kind.
_EXPECTED: Mapping[str, Any] = {
    "version": (_VERSION, None),
    "held": bool,
    "package_file_version": (_VERSION, None),
    "service_manager": _LINE,
    "service": _UNIT,
    "restart_timer": _UNIT,
    "process": {"state": _LINE},
    "configuration": {"url": (_LINE, None), "id": (_LINE, None), "key": (_LINE, None), "complete": bool, "text": _TEXT},
    "machine_id": _MACHINE,
    "registered_machine_id": _LINE,
    "pending": [_LINE],
    "files": {path: {"exists": bool} for path in FILES},
    "distribution": {"id": _LINE, "name": _LINE, "version": _LINE},
    "hostname": _LINE,
    "proxies": [_LINE],
    "uid": int,
    "clock_ahead": (int, None),
    "check_mode": bool,
}
_CREDENTIALS = {"url": _LINE, "id": re.compile(r"[0-9A-Fa-f-]{32,36}"), "key": re.compile(r"[!-~]{1,1000}")}


def _find_unexpected(agent: Mapping[str, Any]) -> list[str]:
    """Return the keys of the result with unexpected values. A compromised host may return anything."""
    unexpected = [name for name, expected in _EXPECTED.items() if not _is_expected(agent.get(name), expected)]
    if not unexpected and agent["configuration"]["complete"] and not _is_expected(agent["configuration"], _CREDENTIALS):
        return ["configuration"]
    return unexpected


def _is_expected(value: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        return isinstance(value, Mapping) and all(_is_expected(value.get(key), one) for key, one in expected.items())
    if isinstance(expected, list):
        return isinstance(value, list) and all(_is_expected(item, expected[0]) for item in value)
    if isinstance(expected, tuple):
        return any(_is_expected(value, choice) for choice in expected)
    if isinstance(expected, re.Pattern):
        return isinstance(value, str) and expected.fullmatch(value) is not None
    if expected is None:
        return value is None
    return isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
