# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the problems that stop the role alpamon on a host, and the warnings that the role shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...module_utils._api.errors import AlpaconError, clean_line
from ...module_utils._options.values import parse_duration, version_key
from ...module_utils._tasks.registration_task import to_server_name
from .._settings import normalize_url
from .state import AgentState, RoleOptions

#: Older agents have neither ``register --force`` nor ``unregister``.
_MIN_VERSION = "2.3.0"
_VERSION = re.compile(r"(latest|\d+(\.\d+){2,}([-~](rc|dev|alpha|beta)[.\d]*)?)?")


def find_option_problems(role: RoleOptions) -> list[str]:
    """Return the problems of variables, which need no state of a host."""
    problems = list(_find_workspace_option_problems(role))
    if role.options["state"] != "absent":
        problems = [*_find_version_option_problems(role), *_find_file_problems(role), *problems]
    return [clean_line(problem) for problem in problems if problem]


def find_problems(state: AgentState) -> list[str]:
    problems = list(_find_workspace_problems(state))
    if state.options["state"] != "absent":
        problems = [*_find_version_problems(state), *_find_upgrade_problems(state), *problems]
    return [*find_option_problems(state), *(clean_line(problem) for problem in problems if problem)]


def _find_version_option_problems(role: RoleOptions) -> Iterator[str]:
    options, version = role.options, role.options["version"]
    if not _VERSION.fullmatch(version):
        yield f"alpamon_version is '{version}'. Give a version such as 2.5.0, latest, or nothing."
    elif role.pinned and version_key(version) < version_key(_MIN_VERSION):
        yield f"alpamon_version is {version}, and the role needs {_MIN_VERSION} or newer."
    if version == "latest" and options["package_file"]:
        yield "alpamon_version=latest and alpamon_package_file exclude each other. Set only one of them."
    if version == "latest" and options["hold"]:
        yield "alpamon_hold and alpamon_version=latest exclude each other. Set alpamon_version to the version to hold."


def _find_version_problems(state: AgentState) -> Iterator[str]:
    if any(_find_version_option_problems(state)):
        return
    is_downgrade = state.version and version_key(state.target_version or state.version) < version_key(state.version)
    if not state.install and state.version and version_key(state.version) < version_key(_MIN_VERSION):
        yield (
            f"alpamon {state.version} is installed, and this role needs {_MIN_VERSION} or newer. Set alpamon_version to"
            " latest, or to a newer version."
        )
    elif is_downgrade and not state.options["allow_downgrade"]:
        yield (
            f"alpamon {state.version} is installed, and {state.target_version} is older. Set alpamon_allow_downgrade to"
            " true to install it. If the workspace has upgraded the agent, set alpamon_hold to true too."
        )


def _find_file_problems(role: RoleOptions) -> Iterator[str]:
    options, controller = role.options, role.controller
    checksum = options["package_checksum"].lower()
    if checksum and ":" not in checksum:
        yield "alpamon_package_checksum must begin with its algorithm, as in sha256:0a1b..."
    elif controller.digests.get("package_file", checksum) != checksum:
        yield f"{options['package_file']} does not have the checksum in alpamon_package_checksum. It is not installed."
    unused = {"repository_key": not role.from_repository, "ca_cert": options["state"] != "present"}
    missing = [f"alpamon_{name} ({options[name]})" for name in controller.missing if not unused.get(name)]
    if missing:
        yield (
            f"{' and '.join(missing)}: the controller has no such readable file. Give an absolute path, or one"
            " that is relative to files/ beside the playbook, to the playbook, or to the current directory."
        )


def _find_upgrade_problems(state: AgentState) -> Iterator[str]:
    pending = state.agent["pending"]
    if pending:
        yield (
            "An upgrade or migration of the agent is in progress, and a restart or another version would break it. Try"
            f" again when {' and '.join(pending)} {'is' if len(pending) == 1 else 'are'} gone."
        )


def _find_workspace_option_problems(role: RoleOptions) -> Iterator[str]:
    options = role.options
    if options["state"] != "present":
        return
    yield _get_error("alpamon_connect_timeout", parse_duration, options["connect_timeout"])
    if not role.selects("register", "configure", "verify"):
        return
    texts = [name for name, value in options["tags"].items() if not isinstance(value, str)]
    if texts:
        yield f"alpamon_tags: the value of {', '.join(texts)} is not a string. Put it in quotes."
    if options["ca_cert"] and options["ca_cert_content"]:
        yield "alpamon_ca_cert and alpamon_ca_cert_content exclude each other."
    if not options["url"]:
        yield "alpamon_url is empty. Set it, or ALPACON_URL, to the base URL of the workspace."
    elif error := _get_url_error(role):
        yield f"alpamon_{error}"


def _find_workspace_problems(state: AgentState) -> Iterator[str]:
    options = state.options
    if options["state"] != "present":
        return
    if state.agent["service_manager"] != "systemd":
        yield (
            "systemd does not manage the services of this host, and the agent needs it. alpamon_state=installed"
            " installs the package without starting it."
        )
    yield _get_error("alpamon_name", to_server_name, state.name)
    if not state.selects("register", "configure", "verify"):
        return
    if state.register and not state.selects("register"):
        yield "The host is not registered. Run the whole role, or also its tag register."
    is_url = options["url"] and not _get_url_error(state)
    if is_url and state.other_workspace and not options["allow_workspace_change"]:
        yield (
            f"The host is registered in {state.configuration['url']}, not in {state.workspace}. Set"
            " alpamon_allow_workspace_change to true to move it."
        )


def _get_url_error(role: RoleOptions) -> str:
    return _get_error("url", lambda _option, text: normalize_url(text), role.options["url"])


def find_installed_problems(state: AgentState) -> list[str]:
    """Return the problem of a package manager that succeeded without installing the requested version."""
    if not state.selects("install") or (state.version and state.pinned in ("", state.version)):
        return []
    installed = f"alpamon {state.version}" if state.version else "nothing"
    requested = f"alpamon_version is {state.pinned}" if state.pinned else "alpamon is to be installed"
    return [f"{requested}, and {installed} is installed, although the package manager did not fail."]


def find_warnings(state: AgentState) -> list[str]:
    """Return the warnings. Only those about the host itself name it, since Ansible shows equal warnings once."""
    options, host = state.options, state.controller.host
    warnings = []
    if state.cloned:
        warnings.append(
            f"{host}: The configuration was made on another machine, so the record {state.configuration['id']} in"
            f" {clean_line(state.configuration['url'])} is not changed. If the host is the same one, and only its"
            " machine id has changed, delete that record."
        )
    if options["state"] == "absent":
        return warnings
    if state.clock:
        warnings.append(f"{host}: {state.clock}")
    if state.from_repository and not state.repository.fingerprints and not state.keep_repository:
        warnings.append("alpamon_key_fingerprints is empty, so the downloaded key of the repository is not checked.")
    if options["package_file"] and not options["package_checksum"]:
        warnings.append("alpamon_package_checksum is empty, so the package is not checked.")
    return warnings + (_find_workspace_warnings(state) if options["state"] == "present" else [])


def _find_workspace_warnings(state: AgentState) -> list[str]:
    address = state.workspace.partition("://")[2].partition("/")[0]
    warnings = []
    if state.workspace.startswith("http://"):
        warnings.append("alpamon_url is not https, so id and key of the server are sent unencrypted.")
    if not state.options["validate_certs"]:
        warnings.append("Certificates are not verified, since alpamon_validate_certs is false.")
    if "8000" in address:
        warnings.append(f"The agent turns the first 8000 in {address} into 8081 for its websockets.")
    if state.agent["proxies"]:
        warnings.append(
            f"{state.controller.host}: The environment of the host names a proxy. The agent ignores it, and connects"
            f" to {address} directly."
        )
    return warnings


def _get_error(option: str, check: Any, text: str) -> str:
    """Return the message of a failed check; empty if it succeeds."""
    try:
        check(option, text)
    except AlpaconError as error:
        return str(error)
    return ""
