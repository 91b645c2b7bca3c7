# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the decisions of the role alpamon: options and the state of a host in, plan out."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._agent.reading import (
    CERTIFICATES,
    CONFIGURATION,
    FILES,
    FOLDERS,
    KEYS,
    OVERRIDE,
    REPOSITORIES,
    VENDOR_REPOSITORY,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent.plan import KEPT_IF_UNSET, SPEC, make_plan
from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent.state import Controller
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

Row = dict[str, Any]

URL, ID, KEY = "https://my-workspace.us1.alpacon.io", "550e8400-e29b-41d4-a716-446655440000", "aB3-_xyz"
MACHINE, OTHER_MACHINE = "0123456789abcdef" * 2, "fedcba9876543210" * 2
ABSENT: Row = {"exists": False, "mode": None, "uid": None, "gid": None, "sha256": None}
PRESENT: Row = {"exists": True, "mode": "0644", "uid": 0, "gid": 0, "sha256": "0"}
OFF, ON = {"active": False, "enabled": False}, {"active": True, "enabled": True}
_DEFAULTS = yaml.safe_load((ROOT / "roles/alpamon/defaults/main.yml").read_text(encoding="utf-8"))
OPTIONS: Row = {
    **dict.fromkeys(KEPT_IF_UNSET),
    **{name.removeprefix("alpamon_"): value for name, value in _DEFAULTS.items()},
    "url": URL,
    "registration_token": "",
    "key_fingerprints": ["AB12"],
}
FRESH: Row = {
    "version": None,
    "held": False,
    "package_file_version": None,
    "service_manager": "systemd",
    "service": OFF,
    "restart_timer": OFF,
    "process": {"pid": None, "state": "none", "outdated": []},
    "configuration": {"url": None, "id": None, "key": None, "readable": True, "complete": False, "text": ""},
    "machine_id": MACHINE,
    "registered_machine_id": "",
    "pending": [],
    "files": dict.fromkeys(FILES, ABSENT),
    "distribution": {"id": "debian", "name": "Debian GNU/Linux", "version": "13"},
    "hostname": "web-01",
    "proxies": [],
    "uid": 0,
    "clock_ahead": 0,
    "check_mode": False,
}
VENDOR_KEY = "/etc/apt/keyrings/alpacax_alpamon-archive-keyring.gpg"
CREDENTIALS = {"url": URL, "id": ID, "key": KEY, "readable": True, "complete": True, "text": ""}


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Row:
    """Merge changes into a dictionary, and into the dictionaries in it."""
    return {
        **base,
        **{
            name: merge(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
            for name, value in changes.items()
        },
    }


def plan(agent: Mapping[str, Any], options: Mapping[str, Any] | None = None, **known: Any) -> Row:
    return make_plan({**OPTIONS, **(options or {})}, agent, Controller("web", **known))


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def make_converged_host(fresh: Row | None = None, **options: Any) -> Row:
    """Return a host that needs no change with these options."""
    fresh = fresh or FRESH
    found = plan(fresh, options)
    content = found["configuration"] % {"id": ID, "key": KEY}
    files: Row = {path: {**PRESENT, "mode": mode} for path, mode in FOLDERS.items()}
    files[CONFIGURATION] = {**PRESENT, "mode": "0600", "sha256": digest(content)}
    if found["repository"]:
        repository = found["repository"]
        files[repository["path"]] = {**PRESENT, "mode": repository["mode"], "sha256": digest(repository["content"])}
        files[repository["key"]] = PRESENT
    for path, text in (
        (OVERRIDE, found["override"]["content"]),
        (found["certificate"]["path"], options.get("ca_cert_content")),
    ):
        files[path] = {**PRESENT, "sha256": digest(text)} if text else ABSENT
    ready = {
        "version": "2.5.0",
        "service": ON,
        "process": {"pid": 7, "state": "current", "outdated": []},
        "configuration": {**CREDENTIALS, "text": content},
        "registered_machine_id": MACHINE,
        "files": files,
        "held": found["hold"],
    }
    return merge(fresh, ready)


def make_dnf_host(**options: Any) -> Row:
    return make_converged_host(
        {**FRESH, "distribution": {"id": "rocky", "name": "Rocky Linux", "version": "9"}}, **options
    )


READY = make_converged_host()
CLONE = merge(READY, {"registered_machine_id": OTHER_MACHINE})
OTHER_WORKSPACE = merge(READY, {"configuration": {"url": "https://other.example"}})
DAMAGED = merge(READY, {"configuration": {"complete": False, "key": None}})
NOTHING = {
    "add_source": False,
    "install": False,
    "change_hold": False,
    "register": False,
    "write_configuration": False,
    "change_override": False,
    "change_certificate": False,
    "restart": False,
    "start": False,
    "has_changes": False,
}
REGISTERED = {
    **NOTHING,
    "needs_token": False,
    "check_credentials": True,
    "server_id": ID,
    "leave": False,
    "incomplete_id": "",
    "cloned_id": "",
}
BY_FILE = {"package_file": "https://x.example/alpamon_2.6.0_amd64.deb?a#b", "package_checksum": "sha256:0a"}


def change(agent: Mapping[str, Any], **changes: Any) -> Row:
    return merge(agent, changes)


# Each row: the state of the host, the options, and the expected part of the plan.
DECISIONS: dict[str, tuple[Row, Row, Row]] = {
    "converged": (READY, {}, REGISTERED),
    "converged with every option": (
        make_converged_host(
            hold=True,
            ca_cert_content="CA\n",
            service_override="[Service]\nNice=5\n",
            settings={"debug": True, "max_workers": 5},
            validate_certs=False,
            repository_url="https://u:p@mirror.example/a%20b/{id}",
        ),
        {
            "hold": True,
            "ca_cert_content": "CA\n",
            "service_override": "[Service]\nNice=5\n",
            "settings": {"debug": True, "max_workers": 5},
            "validate_certs": False,
            "repository_url": "https://u:p@mirror.example/a%20b/{id}",
        },
        REGISTERED,
    ),
    "fresh": (
        FRESH,
        {},
        {
            **NOTHING,
            "add_source": True,
            "install": True,
            "register": True,
            "needs_token": True,
            "check_credentials": False,
            "server_id": "",
            "start": True,
            "has_changes": True,
        },
    ),
    "fresh with a token": (FRESH, {"registration_token": "t"}, {"register": True, "needs_token": False}),
    # Versions
    "any version stays": (change(READY, version="2.3.0"), {}, NOTHING),
    "pinned": (READY, {"version": "2.5.0"}, NOTHING),
    "pinned newer": (READY, {"version": "2.5.10"}, {"install": True, "add_source": True, "package_version": "2.5.10"}),
    "candidate": (READY, {"version": "2.6.0-rc1"}, {"install": True, "package_version": "2.6.0~rc1"}),
    "candidate as packages write it": (
        change(READY, version="2.6.0-rc1"),
        {"version": "2.6.0~rc1"},
        {"install": False},
    ),
    "latest": (
        READY,
        {"version": "latest"},
        {"install": True, "add_source": True, "package_version": "", "register": False},
    ),
    "downgrade": (READY, {"version": "2.4.0", "allow_downgrade": True}, {"install": True, "problems": []}),
    "own repository": (
        READY,
        {"version": "latest", "manage_repository": False},
        {"add_source": False, "install": True},
    ),
    # Packages that are files
    "file whose name has another version": (READY, BY_FILE, {"add_source": True, "install": True, "repository": None}),
    "file whose name has this version": (
        change(READY, version="2.6.0"),
        BY_FILE,
        {"add_source": True, "install": False},
    ),
    "file that is this version": (change(READY, package_file_version="2.5.0"), BY_FILE, {"install": False}),
    "file that is another version": (change(READY, package_file_version="2.6.0"), BY_FILE, {"install": True}),
    "no package at all": (FRESH, BY_FILE, {"add_source": True, "install": True}),
    # Holds
    "hold": (READY, {"hold": True}, {"change_hold": True, "hold": True, "has_changes": True, "install": False}),
    "hold that is not wanted": (change(READY, held=True), {"hold": False}, {"change_hold": True, "hold": False}),
    "hold of the administrator": (change(READY, held=True), {}, {**NOTHING, "hold": True}),
    "hold of nothing yet": (FRESH, {"hold": True}, {"change_hold": False, "hold": True}),
    # Repository
    "another channel": (READY, {"channel": "rc"}, {"add_source": True, "install": False}),
    "other fingerprints": (READY, {"key_fingerprints": ["CD34"]}, {"add_source": True}),
    "fingerprints in another spelling": (READY, {"key_fingerprints": ["ab 12"]}, NOTHING),
    "key that is gone": (change(READY, files={KEYS[0]: ABSENT}), {}, {"add_source": True}),
    "file of the repository that was changed": (
        change(READY, files={REPOSITORIES[0]: PRESENT}),
        {},
        {"add_source": True},
    ),
    "list of the vendor's setup script": (change(READY, files={VENDOR_REPOSITORY: PRESENT}), {}, {"add_source": True}),
    "repository that is not mentioned": (
        make_converged_host(repository_url="https://mirror.example", channel="rc"),
        {"key_fingerprints": []},
        NOTHING,
    ),
    "repository that is not mentioned, of another version": (
        make_converged_host(repository_url="https://mirror.example"),
        {"key_fingerprints": [], "version": "2.6.0"},
        {"add_source": True, "install": True},
    ),
    # dnf takes the proxy from the file of the repository, apt and zypper from their environment.
    "another proxy for dnf": (
        make_dnf_host(package_proxy="http://a:3128"),
        {"key_fingerprints": [], "package_proxy": "http://b:3128"},
        {"add_source": True, "install": False},
    ),
    "proxy for dnf that is not mentioned": (
        make_dnf_host(package_proxy="http://a:3128"),
        {"key_fingerprints": []},
        NOTHING,
    ),
    "another proxy for apt": (
        make_converged_host(package_proxy="http://a:3128"),
        {"key_fingerprints": [], "package_proxy": "http://b:3128"},
        NOTHING,
    ),
    "repository of somebody else": (READY, {"channel": "rc", "manage_repository": False}, NOTHING),
    # With credentials in its environment, the package would register the host by itself.
    "environment of the package manager": (
        READY,
        {"package_proxy": "http://a:3128"},
        {
            "environment": {
                "PLUGIN_ID": "",
                "PLUGIN_KEY": "",
                "ZYPP_LOCK_TIMEOUT": "300",
                "LC_ALL": "C",
                **dict.fromkeys(("http_proxy", "https_proxy"), "http://a:3128"),
            }
        },
    ),
    # Credentials
    "stale credentials may go": (
        READY,
        {"reregister_stale": True},
        {**NOTHING, "needs_token": True, "check_credentials": True},
    ),
    "id in capitals": (change(READY, configuration={"id": ID.upper()}), {}, {"server_id": ID, "register": False}),
    "another spelling of the URL": (
        change(READY, configuration={"url": f"{URL.replace('https://my', 'HTTPS://MY')}:443//"}),
        {},
        REGISTERED,
    ),
    "clone": (
        CLONE,
        {},
        {
            "register": True,
            "needs_token": True,
            "check_credentials": False,
            "server_id": "",
            "leave": False,
            "cloned_id": ID,
            "has_changes": True,
        },
    ),
    "clone of a host of another workspace": (
        change(CLONE, configuration={"url": "https://other.example"}),
        {"allow_workspace_change": True},
        {"register": True, "leave": False, "server_id": "", "cloned_id": ID},
    ),
    "host from before machine ids were recorded": (
        change(READY, registered_machine_id=""),
        {},
        {"register": False, "server_id": ID, "cloned_id": ""},
    ),
    "host without a machine id": (
        change(READY, machine_id=""),
        {},
        {"register": False, "cloned_id": "", "machine": ""},
    ),
    "another workspace": (
        OTHER_WORKSPACE,
        {"allow_workspace_change": True},
        {
            "problems": [],
            "register": True,
            "needs_token": True,
            "check_credentials": False,
            "leave": True,
            "other_workspace": True,
        },
    ),
    "damaged configuration": (
        DAMAGED,
        {},
        {
            "register": True,
            "server_id": "",
            "incomplete_id": ID,
            "check_credentials": False,
            "cloned_id": "",
            "write_configuration": False,
        },
    ),
    "damaged configuration of another machine": (
        change(DAMAGED, registered_machine_id=OTHER_MACHINE),
        {},
        {"register": True, "incomplete_id": ""},
    ),
    "an id that was cut off": (
        change(DAMAGED, configuration={"id": ID[:8]}),
        {},
        {"register": True, "incomplete_id": ""},
    ),
    # The configuration and the service
    "configuration by hand": (
        change(READY, files={CONFIGURATION: PRESENT}),
        {},
        {**REGISTERED, "write_configuration": True, "has_changes": True},
    ),
    "mode of the configuration": (
        change(READY, files={CONFIGURATION: {"mode": "0640"}}),
        {},
        {"write_configuration": True},
    ),
    "owner of a folder": (change(READY, files={"/var/lib/alpamon": {"uid": 5}}), {}, {"write_configuration": True}),
    "folder that is gone": (change(READY, files={"/run/alpamon": ABSENT}), {}, {"write_configuration": True}),
    "settings": (READY, {"settings": {"max_workers": 5}}, {"write_configuration": True, "register": False}),
    "null settings": (READY, {"settings": {"max_workers": None}}, NOTHING),
    "settings that are not mentioned": (make_converged_host(settings={"debug": True, "queue_size": 9}), {}, NOTHING),
    "one of two settings": (
        make_converged_host(settings={"debug": True, "queue_size": 9}),
        {"settings": {"queue_size": 9}},
        NOTHING,
    ),
    "no verification": (READY, {"validate_certs": False}, {"write_configuration": True}),
    "override": (READY, {"service_override": "[Service]\n"}, {"change_override": True, "has_changes": True}),
    "override that is not wanted": (
        change(READY, files={OVERRIDE: PRESENT}),
        {"service_override": ""},
        {"change_override": True},
    ),
    "override that is not mentioned": (change(READY, files={OVERRIDE: PRESENT}), {}, NOTHING),
    "CA": (READY, {"ca_cert_content": "CA"}, {"change_certificate": True, "has_changes": True}),
    # Somebody else may have put it there.
    "CA that is not mentioned": (change(READY, files={CERTIFICATES[0]: PRESENT}), {}, NOTHING),
    "old process": (
        change(READY, process={"state": "outdated", "outdated": ["package"]}),
        {},
        {"restart": True, "has_changes": True},
    ),
    "stopped": (change(READY, service={"active": False}), {}, {"start": True, "restart": False}),
    "disabled": (change(READY, service={"enabled": False}), {}, {"start": True}),
    "timer that restarts": (change(READY, restart_timer={"active": True}), {}, {"start": True}),
    "timer that would restart": (change(READY, restart_timer={"enabled": True}), {}, {"start": True}),
    # Other states
    "image": (
        READY,
        {"state": "installed", "url": ""},
        {
            "problems": [],
            "needs_token": False,
            "check_credentials": False,
            "server_id": ID,
            "leave": False,
            "has_changes": True,
        },
    ),
    "image in a container": (
        change(FRESH, service_manager="bash"),
        {"state": "installed"},
        {"problems": [], "install": True},
    ),
    "removal": (
        READY,
        {"state": "absent"},
        {"problems": [], "server_id": ID, "check_credentials": False, "install": False, "has_changes": True},
    ),
    "removal of a clone": (CLONE, {"state": "absent"}, {"server_id": "", "cloned_id": ID}),
    "removal of a host of another workspace": (
        OTHER_WORKSPACE,
        {"state": "absent"},
        {"problems": [], "server_id": ID, "other_workspace": True, "leave": False},
    ),
    "removal with what would be refused": (
        change(READY, pending=["/x"], service_manager="init", hostname="10.0.0.5"),
        {"state": "absent", "version": "x", "url": "", "connect_timeout": "x"},
        {"problems": []},
    ),
}


@pytest.mark.parametrize("row", DECISIONS)
def test_decisions(row: str) -> None:
    agent, options, expected = DECISIONS[row]
    found = plan(agent, options)
    assert {name: found[name] for name in expected} == expected


REFUSED: dict[str, tuple[Row, Row, str]] = {
    "no root": (change(FRESH, uid=1000), {}, "The tasks of this role need root. Set become to true for them."),
    "system": (
        change(FRESH, distribution={"id": "debian", "version": "10"}),
        {},
        "The agent does not run on Debian GNU/Linux 10. It runs on Debian from 11 on, Ubuntu from 18.04 on,",
    ),
    "no systemd": (change(FRESH, service_manager="bash"), {}, "systemd does not manage the services of this host"),
    "pending": (
        change(READY, pending=["/var/lib/alpamon/upgrade.pending"]),
        {},
        "Try again when /var/lib/alpamon/upgrade.pending is gone.",
    ),
    "another workspace": (
        OTHER_WORKSPACE,
        {},
        f"is registered in https://other.example, not in {URL}. Set alpamon_allow_",
    ),
    "no URL": (FRESH, {"url": ""}, "alpamon_url is empty. Set it, or ALPACON_URL, to the base URL of the workspace."),
    "no URL at all": (FRESH, {"url": "my-workspace"}, "alpamon_url: 'my-workspace' is not an http or https URL."),
    "no version": (FRESH, {"version": "2.5"}, "alpamon_version is '2.5'. Give a version such as 2.5.0, latest,"),
    "wildcard": (FRESH, {"version": "2.5.*"}, "alpamon_version is '2.5.*'."),
    "old version": (FRESH, {"version": "2.2.9"}, "alpamon_version is 2.2.9, and the role needs 2.3.0 or newer."),
    "old candidate": (FRESH, {"version": "2.3.0-rc1"}, "the role needs 2.3.0 or newer"),
    "old package": (
        change(READY, version="2.2.9"),
        {},
        "alpamon 2.2.9 is installed, and this role needs 2.3.0 or newer.",
    ),
    "downgrade": (READY, {"version": "2.4.9"}, "alpamon 2.5.0 is installed, and 2.4.9 is older. Set alpamon_allow_d"),
    "candidate of what is installed": (READY, {"version": "2.5.0-rc2"}, "and 2.5.0-rc2 is older."),
    "older file": (
        change(READY, package_file_version="2.4.0"),
        BY_FILE,
        "alpamon 2.5.0 is installed, and 2.4.0 is older.",
    ),
    "latest file": (FRESH, {**BY_FILE, "version": "latest"}, "alpamon_version=latest and alpamon_package_file exclude"),
    "latest and held": (FRESH, {"version": "latest", "hold": True}, "exclude each other"),
    "checksum": (
        FRESH,
        {**BY_FILE, "package_checksum": "ab12"},
        "alpamon_package_checksum must begin with its algorithm",
    ),
    "two CAs": (FRESH, {"ca_cert": "/a.pem", "ca_cert_content": "CA"}, "exclude each other"),
    "tag": (FRESH, {"tags": {"env": "a", "rack": 4}}, "alpamon_tags: the value of rack is not a string."),
    "duration": (FRESH, {"connect_timeout": "5 x"}, "alpamon_connect_timeout: '5 x' is not a duration."),
    "address as a name": (change(FRESH, hostname="10.0.0.5"), {}, "alpamon_name: 10.0.0.5 is an address"),
    "no name": (FRESH, {"name": "..."}, "alpamon_name: '...' has no character for a name"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_problems(row: str) -> None:
    agent, options, message = REFUSED[row]
    [problem] = plan(agent, options)["problems"]
    assert message in problem


@pytest.mark.parametrize("options", [{"version": "2.2.0"}, {"url": "ftp://a.example"}])
def test_a_mistake_is_one_problem(options: Row) -> None:
    assert len(plan(READY, options)["problems"]) == 1


def test_each_problem_is_reported() -> None:
    problems = plan(change(FRESH, pending=["/a"]), {"url": "", "version": "x", "connect_timeout": "y"})["problems"]
    assert len(problems) == 4


WARNED: dict[str, tuple[Row, Row, list[str]]] = {
    "nothing": (READY, {}, []),
    "clock ahead": (change(READY, clock_ahead=7200), {}, ["web: The clock of the host is 120 minutes ahead of"]),
    "clock behind": (change(READY, clock_ahead=-86400), {}, ["web: The clock of the host is 1440 minutes behind"]),
    "slow connection": (change(READY, clock_ahead=-200), {}, []),
    "clone": (CLONE, {}, [f"web: The configuration was made on another machine, so the record {ID} in {URL} is not"]),
    "kept key": (READY, {"key_fingerprints": []}, []),
    "key": (FRESH, {"key_fingerprints": []}, ["alpamon_key_fingerprints is empty"]),
    "package": (FRESH, {**BY_FILE, "package_checksum": ""}, ["alpamon_package_checksum is empty"]),
    "plain": (FRESH, {"url": "http://a.example"}, ["alpamon_url is not https"]),
    "certificates": (FRESH, {"validate_certs": False}, ["Certificates are not verified"]),
    "port": (FRESH, {"url": "https://a.example:8000"}, ["The agent turns the first 8000 in a.example:8000 into 8081"]),
    "proxy": (change(READY, proxies=["https_proxy"]), {}, ["web: The environment of the host names a proxy."]),
    "removal": (change(READY, proxies=["x"], clock_ahead=7200), {"state": "absent", "validate_certs": False}, []),
}


@pytest.mark.parametrize("row", WARNED)
def test_warnings(row: str) -> None:
    agent, options, message = WARNED[row]
    warnings = plan(agent, options)["warnings"]
    assert [warning[: len(text)] for warning, text in zip(warnings, message, strict=True)] == message


# After the package manager


@pytest.mark.parametrize(
    ("version", "options", "message"),
    [
        ("2.5.0", {}, ""),
        ("2.5.0", {"version": "2.5.0"}, ""),
        (
            "2.5.10",
            {"version": "2.5.1"},
            "alpamon_version is 2.5.1, and alpamon 2.5.10 is inst",
        ),
        (
            None,
            {"version": "2.5.1"},
            "alpamon_version is 2.5.1, and nothing is installed, although the package manager",
        ),
        (None, {}, "alpamon is to be installed, and nothing is installed"),
    ],
)
def test_version_that_the_package_manager_did_not_install(version: Any, options: Row, message: str) -> None:
    problems = plan(change(READY, version=version), options)["installed_problems"]
    assert [problem[: len(message)] for problem in problems] == ([message] if message else [])


# Parts

PARTS: dict[str, tuple[str, Row]] = {
    "install": (
        "install",
        {"add_source": True, "install": True, "register": True, "needs_token": False, "start": False},
    ),
    "register": (
        "register",
        {"add_source": False, "install": False, "needs_token": True, "start": False, "has_changes": True},
    ),
    "configure": ("configure", {"install": False, "needs_token": False, "start": True, "change_override": True}),
    "verify": ("verify", {**NOTHING, "register": True, "needs_token": False}),
    "uninstall": ("uninstall", {**NOTHING, "register": True, "needs_token": False, "check_credentials": False}),
}


@pytest.mark.parametrize("row", PARTS)
def test_parts(row: str) -> None:
    part, expected = PARTS[row]
    options = {"service_override": "[Service]\n"}
    found = plan(FRESH, options, parts=frozenset({part}))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("parts", "option", "rolls_back"),
    [
        (set(), True, True),
        (set(), False, False),
        ({"verify"}, True, False),
        ({"install", "verify"}, True, False),
        ({"install", "configure", "verify"}, True, True),
    ],
)
def test_only_a_run_that_upgrades_and_restarts_rolls_back(parts: set[str], option: bool, rolls_back: bool) -> None:
    assert plan(READY, {"rollback": option}, parts=frozenset(parts))["rollback"] is rolls_back


@pytest.mark.parametrize("part", ["configure", "verify"])
def test_parts_that_need_a_registration(part: str) -> None:
    [problem] = plan(FRESH, parts=frozenset({part}))["problems"]
    assert problem == "The host is not registered. Run the whole role, or also its tag register."


def test_parts_that_need_no_workspace_need_no_url() -> None:
    assert plan(FRESH, {"url": ""}, parts=frozenset({"install"}))["problems"] == []
    assert plan(READY, {"state": "absent"}, parts=frozenset({"install"}))["has_changes"] is False
    assert plan(READY, {"state": "absent"}, parts=frozenset({"uninstall"}))["has_changes"] is True


# Files of the controller


def test_files_of_the_controller() -> None:
    options = {"ca_cert": "our.pem", "repository_key": "key.asc", "package_file": ""}
    files = {"ca_cert": "/plays/files/our.pem", "repository_key": "/plays/key.asc"}
    digests = {"ca_cert": digest("CA"), "repository_key": digest("KEY")}
    found = plan(READY, options, files=files, digests=digests)
    assert (found["ca_path"], found["change_certificate"]) == (files["ca_cert"], True)
    assert found["repository"]["key_source"] == files["repository_key"]
    assert found["repository"]["key_is_url"] is False
    repository = {"sha256": digest(found["repository"]["content"])}
    present = {
        CERTIFICATES[0]: {**PRESENT, "sha256": digest("CA")},
        KEYS[0]: {**PRESENT, "sha256": digest("KEY")},
        REPOSITORIES[0]: repository,
    }
    found = plan(change(READY, files=present), options, files=files, digests=digests)
    assert (found["add_source"], found["change_certificate"], found["has_changes"]) == (False, False, False)
    # Another key is copied again.
    assert plan(change(READY, files=present), options, files=files, digests={**digests, "repository_key": "0"})[
        "add_source"
    ]


def test_the_repository_file_of_the_vendor_is_removed() -> None:
    assert "absent" not in [row["state"] for row in plan(FRESH)["repository"]["paths"]]
    paths = plan(change(FRESH, files={REPOSITORIES[1]: PRESENT}))["repository"]["paths"]
    assert {"path": REPOSITORIES[1], "state": "absent"} in paths


@pytest.mark.parametrize("url", ["https://user:password@mirror.example", "https://mirror.example"])
def test_a_kept_repository_may_have_a_password(url: str) -> None:
    host = make_converged_host(repository_url=url)
    repository = plan(host, {"key_fingerprints": [], "version": "latest"})["repository"]
    assert (repository["keep"], repository["has_secret"]) == (True, "@" in url)


@pytest.mark.parametrize(
    ("options", "missing", "message"),
    [
        (
            {"ca_cert": "a.pem", "package_file": "b_2.5.0.deb"},
            ("ca_cert", "package_file"),
            "alpamon_ca_cert (a.pem) and alpamon_package_file (b_2.5.0.deb): the controller has no such readable file",
        ),
        ({"manage_repository": False}, ("repository_key",), ""),
        ({"state": "installed"}, ("ca_cert",), ""),
        ({"state": "absent"}, ("ca_cert", "package_file", "repository_key"), ""),
    ],
)
def test_missing_files(options: Row, missing: tuple[str, ...], message: str) -> None:
    problems = plan(FRESH, options, missing=missing)["problems"]
    assert [problem[: len(message)] for problem in problems] == ([message] if message else [])


def test_checksum_of_a_file_of_the_controller() -> None:
    options = {"package_file": "a.deb", "package_checksum": "SHA256:0A"}
    assert plan(FRESH, options, digests={"package_file": "sha256:0a"})["problems"] == []
    [problem] = plan(FRESH, options, digests={"package_file": "sha256:0b"})["problems"]
    assert problem == "a.deb does not have the checksum in alpamon_package_checksum. It is not installed."


def test_package_file() -> None:
    found = plan(FRESH, BY_FILE)["package_file"]
    assert found["is_url"]
    assert found["path"] == "/var/cache/alpamon/alpamon_2.6.0_amd64.deb"
    known = {"package_file": "/plays/files/alpamon.deb"}
    found = plan(FRESH, {"package_file": "alpamon.deb"}, files=known)["package_file"]
    assert found == {"source": known["package_file"], "is_url": False, "path": "/var/cache/alpamon/alpamon.deb"}


# The name of the server


@pytest.mark.parametrize(
    ("options", "hostname", "name"),
    [({}, "web-01", "web-01"), ({"name": "db"}, "web-01", "db"), ({}, "", "web")],
)
def test_name(options: Row, hostname: str, name: str) -> None:
    found = plan(change(FRESH, hostname=hostname), options)
    assert (found["name"], found["machine"], found["platform"]) == (name, f"{MACHINE} web", "debian")


def test_check_mode() -> None:
    assert plan(change(FRESH, check_mode=True))["would_install"]
    assert not plan(FRESH)["would_install"]
    assert not plan(change(READY, check_mode=True))["would_install"]


def test_paths_to_remove() -> None:
    everything = plan(READY, {"state": "absent"})["paths_to_remove"]
    assert {"/etc/alpamon", "/var/lib/alpamon", "/var/cache/alpamon", "/run/alpamon.pid", KEYS[0]} <= set(everything)
    assert set(REPOSITORIES) <= set(everything)
    kept = plan(READY, {"state": "absent", "manage_repository": False})["paths_to_remove"]
    assert set(everything) - set(kept) == {*REPOSITORIES, KEYS[0], VENDOR_KEY}


# Unexpected values in the result of the module

HOSTILE: dict[str, Row] = {
    "configuration as a list": {"configuration": []},
    "configuration without its credentials": {"configuration": {**CREDENTIALS, "key": None}},
    "id that is a path": {"configuration": {**CREDENTIALS, "id": "../../servers"}},
    "key with a line break": {"configuration": {**CREDENTIALS, "key": "a\n[x]"}},
    "version as a dictionary": {"version": {}},
    "version that is a text": {"version": "%(key)s"},
    "version without end": {"version": "9" * 5000},
    "no version": {"version": ""},
    "files missing": {"files": None},
    "a file missing": {"files": {}},
    "files that are no files": {"files": dict.fromkeys(FILES, "yes")},
    "name with a line break": {"hostname": "web\n[server]"},
    "name without end": {"hostname": "w" * 5000},
    "machine with a format": {"machine_id": "%(key)s"},
    "machine with a template": {"machine_id": "{{ lookup('pipe', 'id') }}"},
    "machine with a line break": {"machine_id": "0123\n[server]\nurl = https://evil.example"},
    "numbers": {"uid": "0"},
    "truth": {"uid": False},
    "clock": {"clock_ahead": "late"},
    "distribution": {"distribution": "debian"},
    "pending": {"pending": "no"},
    "pending of numbers": {"pending": [1]},
    "proxies": {"proxies": {}},
    "unit": {"service": {"active": "yes", "enabled": True}},
    "process": {"process": None},
    "job of async": {"started": 1, **dict.fromkeys(FRESH)},
}


@pytest.mark.parametrize("row", HOSTILE)
@pytest.mark.parametrize("state", SPEC["state"]["choices"])
def test_unexpected_values(row: str, state: str) -> None:
    found = plan({**READY, **HOSTILE[row]}, {"state": state})
    assert found == {
        **dict.fromkeys(("problems", "installed_problems"), found["problems"]),
        "workspace": "",
        "ca_path": "",
    }
    [problem] = found["problems"]
    assert problem.startswith("The host returned an unexpected value for ")
    assert problem.isprintable()
    assert len(problem) < 200


def test_messages_are_printable() -> None:
    odd = "{{ 1 }} %(key)s \u202e\x9b"
    name = "https://evil.example/x"
    agent = change(OTHER_WORKSPACE, hostname=name, configuration={"url": f"https://{odd}"}, distribution={"name": odd})
    [problem] = plan(agent)["problems"]
    assert problem.isprintable()
    assert plan(agent, {"allow_workspace_change": True})["name"] == name
    [problem] = plan(change(agent, distribution={"id": "x"}))["problems"]
    assert problem.isprintable()
