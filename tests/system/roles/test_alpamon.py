# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role alpamon, by hosts that answer by script, of every distribution; extensions/molecule has hosts that run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import collection_tree
import pytest
import yaml
from system.certificates import authority
from system.scripted_hosts import (
    DEBIAN,
    KEY,
    MACHINE,
    Answer,
    Distribution,
    Host,
    RoleRun,
    ScriptedHost,
    a_signing_key,
    agents_come,
    configuration,
    found,
    installed,
    run_role,
)
from system.support import Reply, ScriptedServer
from workspace.client import Workspace

LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
#: The facts in which the key of a server is while it is needed.
KEYS = ("__alpamon_registered", "__alpamon_registration", "__alpamon_agent", "__alpamon_left")
#: A file is there that differs from what is to be written.
COPY = [("^file .*_diff_peek", {"changed": False, "state": "file", "size": 10, "appears_binary": False})]
ID = "550e8400-e29b-41d4-a716-446655440000"
KEY_FILE = "/etc/apt/keyrings/alpacax_alpamon.asc"
VENDOR = "https://packagecloud.io/alpacax/alpamon"

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

APT = {
    "debian11": Distribution("Debian", "11.11"),
    "debian12": Distribution("Debian", "12.7"),
    "debian13": Distribution("Debian", "13.1"),
    "sid": Distribution("Debian", ""),
    "raspbian12": Distribution("Raspbian", "12"),
    "ubuntu1804": Distribution("Ubuntu", "18.04"),
    "ubuntu2404": Distribution("Ubuntu", "24.04"),
}
DNF = {
    "rhel8": Distribution("RedHat", "8.10", "dnf"),
    "centos9": Distribution("CentOS", "9", "dnf"),
    "rocky9": Distribution("Rocky", "9.4", "dnf"),
    "alma10": Distribution("AlmaLinux", "10.0", "dnf"),
    "oracle9": Distribution("OracleLinux", "9.4", "dnf"),
    "fedora43": Distribution("Fedora", "43", "dnf5"),
    "amazon2023": Distribution("Amazon", "2023", "dnf"),
}
ZYPPER = {
    "leap15": Distribution("openSUSE Leap", "15.6", "zypper"),
    "tumbleweed": Distribution("openSUSE Tumbleweed", "20261120", "zypper"),
    "sles15": Distribution("SLES", "15.6", "zypper"),
    "sap16": Distribution("SLES_SAP", "16.0", "zypper"),
}
SUPPORTED = {**APT, **DNF, **ZYPPER}
#: One of each kind.
KINDS = ("debian11", "debian13", "rocky9", "leap15")
UNSUPPORTED = {
    "arch": Distribution("Archlinux", "rolling", "pacman"),
    "mint": Distribution("Linux Mint", "22", "apt"),
    # Names of methods of a dictionary.
    "pop": Distribution("Pop", "22.04", "apt"),
    "items": Distribution("Items", "1", "apt"),
    "alpine": Distribution("Alpine", "3.20.1", "apk"),
    "debian10": Distribution("Debian", "10.13", "apt"),
    "rhel7": Distribution("RedHat", "7.9", "yum"),
    "amazon2": Distribution("Amazon", "2", "yum"),
    "sles12": Distribution("SLES", "12.5", "zypper"),
}

Running = Callable[[str], Workspace]


def registration(workspace: Workspace) -> dict[str, Any]:
    """How the agent of a host registers it."""
    key = workspace.add_registration_token()["key"]
    return {"headers": {"Authorization": f'token="{key}"'}, "json": {"name": "Web", "platform": "debian"}}


def scripted_hosts(names: dict[str, Distribution], *answers: Any, **variables: Any) -> dict[str, ScriptedHost]:
    """Hosts of these distributions that are otherwise alike."""
    return {name: ScriptedHost(distribution, answers, variables) for name, distribution in names.items()}


# Every distribution


@pytest.fixture(scope="module")
def looked(running: Running, tmp_path_factory: pytest.TempPathFactory) -> RoleRun:
    """All of them looked at."""
    hosts = scripted_hosts({**SUPPORTED, **UNSUPPORTED})
    names = ("__alpamon_family", "__alpamon_repository_path")
    return run_role(tmp_path_factory.mktemp("looked"), running("current"), hosts, entry="preflight", show=names)


@pytest.mark.parametrize("name", SUPPORTED)
def test_supported_distributions(looked: RoleRun, name: str) -> None:
    assert looked[name].failure == ""
    shown = looked[name].results[-1]["msg"]
    manager = "apt" if name in APT else "zypper" if name in ZYPPER else "dnf"
    assert shown["__alpamon_family"]["manager"] == manager
    assert shown["__alpamon_family"]["platform"] == ("debian" if name in APT else "rhel")
    folder = {"apt": "/etc/apt/sources.list.d", "dnf": "/etc/yum.repos.d", "zypper": "/etc/zypp/repos.d"}[manager]
    kind = "repo" if name not in APT else "list" if name in ("debian11", "ubuntu1804") else "sources"
    assert shown["__alpamon_repository_path"] == f"{folder}/alpacax_alpamon.{kind}"


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_distributions(looked: RoleRun, name: str) -> None:
    distribution = UNSUPPORTED[name]
    assert f"The agent does not run on {distribution.name} {distribution.version}." in looked[name].failure
    assert "Debian from 11 on, Ubuntu from 18.04 on, Raspbian from 11 on, RHEL from 8 on" in looked[name].failure
    assert [call.module for call in looked[name].calls] == ["alpamon_info"]


@pytest.fixture(scope="module")
def present(running: Running, tmp_path_factory: pytest.TempPathFactory) -> RoleRun:
    """One of each kind brought into a workspace."""
    workspace = running("current")
    workspace.reset()
    token = workspace.add_registration_token()["key"]
    variables = {"alpamon_ca_cert_content": CERTIFICATE, "alpamon_tags": {"env": "test"}}
    hosts = scripted_hosts({name: SUPPORTED[name] for name in KINDS}, **variables)
    with agents_come(workspace):
        done = run_role(
            tmp_path_factory.mktemp("present"), workspace, hosts, show=KEYS, ALPACON_REGISTRATION_TOKEN=token
        )
    assert done.code == 0, done.said
    assert token not in done.said
    records = workspace.registered()
    assert {record["name"][:-7] for record in records} == {"Web"}
    assert sorted(record["platform"] for record in records) == ["debian", "debian", "rhel", "rhel"]
    assert all(record["tags"]["env"] == "test" and record["key"] not in done.said for record in records)
    return done


@pytest.mark.parametrize("name", KINDS)
def test_configuration_and_units(present: RoleRun, name: str) -> None:
    host = present[name]
    text = host.files["/etc/alpamon/alpamon.conf"]
    assert "verify = true\nca_cert =\n" in text
    assert "max_workers = 20\n" in text
    assert host.files["/etc/alpamon/.ansible-registered"] == f"{MACHINE}\n"
    [row] = [row for row in host.of("copy") if row["dest"] == "/etc/alpamon/alpamon.conf"]
    assert (row["mode"], row["owner"]) == ("0600", "root")
    # The lock was free, and is given back.
    assert "/run/alpamon-registering" in removed(host)
    folders = {row["path"]: row.get("mode") for row in host.of("file")}
    assert folders["/etc/alpamon"] == "0700"
    assert folders["/var/lib/alpamon"] == folders["/var/log/alpamon"] == folders["/run/alpamon"] == "0750"
    assert [(row["name"], row["state"], row.get("enabled")) for row in host.of("systemd_service")] == [
        ("alpamon.service", "restarted", True),
        ("alpamon-restart.timer", "stopped", False),
        ("alpamon.service", "started", True),
        ("alpamon-restart.timer", "stopped", False),
    ]


@pytest.mark.parametrize("name", ["debian11", "debian13"])
def test_apt(present: RoleRun, name: str) -> None:
    host = present[name]
    key = "/etc/apt/keyrings/alpacax_alpamon.asc"
    assert host.files[key] == KEY
    folder = "/etc/apt/sources.list.d/alpacax_alpamon"
    if name == "debian11":
        wanted, other = f"deb [signed-by={key}] {VENDOR}/any/ any main\n", f"{folder}.sources"
        assert wanted in host.files[f"{folder}.list"]
    else:
        wanted, other = f"URIs: {VENDOR}/any/\nSuites: any\nComponents: main\nSigned-By: {key}\n", f"{folder}.list"
        assert wanted in host.files[f"{folder}.sources"]
    assert other in removed(host)
    [package] = host.of("apt")
    assert (package["name"], package["state"], package["install_recommends"]) == ("alpamon", "present", False)
    assert host.of("dpkg_selections") == []
    assert "update-ca-certificates" in host.commands
    assert host.files["/usr/local/share/ca-certificates/alpamon.crt"] == CERTIFICATE


def test_dnf(present: RoleRun) -> None:
    host = present["rocky9"]
    repository = host.files["/etc/yum.repos.d/alpacax_alpamon.repo"]
    key = "/etc/pki/rpm-gpg/RPM-GPG-KEY-alpamon"
    assert host.files[key] == KEY
    assert f"baseurl={VENDOR}/rpm_any/rpm_any/$basearch\n" in repository
    assert "repo_gpgcheck=1\ngpgcheck=0\n" in repository
    assert f"gpgkey=file://{key}\n" in repository
    [package] = host.of("dnf")
    assert (package["name"], package["state"], package["install_weak_deps"]) == ("alpamon", "present", False)
    [index] = [line for line in host.commands if line.endswith(" makecache")]
    assert index.startswith("dnf --refresh --assumeyes --disablerepo=* --enablerepo=alpacax_alpamon ")
    assert "--setopt=alpacax_alpamon.skip_if_unavailable=0" in index
    assert "update-ca-trust extract" in host.commands


def test_zypper(present: RoleRun) -> None:
    host = present["leap15"]
    assert "repo_gpgcheck=1\npkg_gpgcheck=0\n" in host.files["/etc/zypp/repos.d/alpacax_alpamon.repo"]
    assert [row["key"] for row in host.of("rpm_key")] == ["/etc/pki/rpm-gpg/RPM-GPG-KEY-alpamon"]
    assert "zypper --non-interactive refresh --repo alpacax_alpamon" in host.commands
    assert "zypper --non-interactive install --no-recommends alpamon" in host.commands
    assert host.files["/etc/pki/trust/anchors/alpamon.pem"] == CERTIFICATE
    calls = [call for call in host.calls if call.module == "command" and call.line.startswith("zypper")]
    assert {call.environment["ZYPP_LOCK_TIMEOUT"] for call in calls} == {"300"}


@pytest.mark.parametrize("name", KINDS)
def test_package_never_finds_credentials_in_its_environment(present: RoleRun, name: str) -> None:
    calls = present[name].calls
    installers = [
        call for call in calls if call.module in ("apt", "dnf") or "--no-recommends" in call.arguments.get("argv", ())
    ]
    assert installers
    assert all(call.environment["PLUGIN_ID"] == call.environment["PLUGIN_KEY"] == "" for call in installers)


def removed(host: Host) -> list[str]:
    """The files that were removed."""
    return [row["path"] for row in host.of("file") if row["state"] == "absent"]


def test_page_that_is_no_key_is_not_trusted(running: Running, tmp_path: Path) -> None:
    hosts = {"web": ScriptedHost(DEBIAN, variables={"alpamon_key_fingerprints": "AAAA"})}
    done = run_role(tmp_path / "run", running("current"), hosts, "--tags", "install")
    assert done.code == 2, done.said
    told = f"The key from {VENDOR}/gpgkey has the fingerprint of no key, which is not in alpamon_key_fingerprints."
    assert done["web"].failure.startswith(f"{told} It is not trusted. gpg: ")
    assert done["web"].of("copy") == []

    programs = tmp_path / "programs"
    programs.mkdir()
    for program in {*Path("/bin").iterdir(), *Path("/usr/bin").iterdir()}:
        if not program.name.startswith("gpg") and not (programs / program.name).is_symlink():
            (programs / program.name).symlink_to(program)
    done = run_role(tmp_path / "without", running("current"), hosts, "--tags", "install", PATH=str(programs))
    assert done.code == 2, done.said
    assert done["web"].failure.startswith("gpg cannot be run on the controller, and alpamon_key_fingerprints needs it.")
    assert done["web"].of("copy") == []


# Versions


@pytest.fixture(scope="module")
def downgraded(running: Running, tmp_path_factory: pytest.TempPathFactory) -> RoleRun:
    """2.4.0 asked for and held, where 2.5.0 is."""
    variables = {
        "alpamon_version": "2.4.0",
        "alpamon_hold": True,
        "alpamon_allow_downgrade": True,
        "alpamon_install_recommends": True,
        "alpamon_package_proxy": "http://proxy.example:3128",
    }
    hosts = scripted_hosts(
        {name: SUPPORTED[name] for name in ("debian13", "rocky9", "leap15")}, *installed("2.5.0"), **variables
    )
    done = run_role(tmp_path_factory.mktemp("downgraded"), running("current"), hosts, "--tags", "install")
    assert done.code == 0, done.said
    return done


def test_pinned_with_apt(downgraded: RoleRun) -> None:
    host = downgraded["debian13"]
    [package] = host.of("apt")
    assert package["name"] == "alpamon=2.4.0"
    assert package["allow_downgrade"] is package["allow_change_held_packages"] is package["install_recommends"] is True
    assert host.of("dpkg_selections") == [{"name": "alpamon", "selection": "hold"}]
    [call] = [call for call in host.calls if call.module == "apt"]
    assert call.environment["https_proxy"] == "http://proxy.example:3128"


def test_pinned_with_dnf(downgraded: RoleRun) -> None:
    host = downgraded["rocky9"]
    [package] = [row for row in host.of("dnf") if "alpamon" in row["name"]]
    assert package["name"] == "alpamon-2.4.0"
    assert package["allow_downgrade"] is package["install_weak_deps"] is True
    assert host.commands[-1] == "dnf versionlock add alpamon"


def test_pinned_with_zypper(downgraded: RoleRun) -> None:
    host = downgraded["leap15"]
    assert "zypper --non-interactive install --oldpackage --recommends alpamon=2.4.0" in host.commands
    assert host.commands[-1] == "zypper --non-interactive addlock alpamon"


#: What apt-cache says, a version a line.
LISTED = "   alpamon | {} | https://packagecloud.io/alpacax/alpamon/any any/main amd64 Packages\n"
#: What is in the repository, which version is asked for, and which package is to come.
PACKAGES = {
    "longer": (["2.5.10", "2.5.1", "2.5.0"], "2.5.1", "2.5.1"),
    "revised": (["2.5.10-1", "2.5.1-2", "2.5.1-1"], "2.5.1", "2.5.1-2"),
    "epoch": (["1:2.5.1-1"], "2.5.1", "1:2.5.1-1"),
    "candidate": (["2.6.0~rc10-1", "2.6.0~rc1-1"], "2.6.0-rc1", "2.6.0~rc1-1"),
    "candidates": (["2.6.0~rc1"], "2.6.0", "2.6.0"),
    "stale": ([], "2.5.1", "2.5.1"),
}


@pytest.fixture(scope="module")
def pinned(running: Running, tmp_path_factory: pytest.TempPathFactory) -> RoleRun:
    """A host for each of them."""
    hosts = {
        name: ScriptedHost(
            DEBIAN,
            [("^command .*madison", {"rc": 0, "stdout": "".join(map(LISTED.format, listed))})],
            {"alpamon_version": asked, "recording_brings": asked},
        )
        for name, (listed, asked, _package) in PACKAGES.items()
    }
    return run_role(tmp_path_factory.mktemp("pinned"), running("current"), hosts, "--tags", "install")


@pytest.mark.parametrize("name", PACKAGES)
def test_apt_is_asked_for_no_other_version(pinned: RoleRun, name: str) -> None:
    assert pinned.code == 0, pinned.said
    assert [row["name"] for row in pinned[name].of("apt")] == [f"alpamon={PACKAGES[name][2]}"]


@pytest.mark.parametrize("name", ["debian13", "rocky9", "leap15"])
def test_a_version_that_is_another_one_is_no_success(running: Running, tmp_path: Path, name: str) -> None:
    variables = {"alpamon_version": "2.5.1", "alpamon_hold": True, "recording_brings": "2.5.10"}
    hosts = {name: ScriptedHost(SUPPORTED[name], variables=variables)}
    done = run_role(tmp_path, running("current"), hosts, "--tags", "install")
    assert done.code == 2, done.said
    assert done[name].failure.startswith("alpamon_version is 2.5.1, and alpamon 2.5.10 is installed")
    assert done[name].of("dpkg_selections") == []
    assert not any("lock add" in line or "addlock" in line for line in done[name].commands)


def test_a_release_candidate_is_older_than_its_release(running: Running, tmp_path: Path) -> None:
    #: The installed version, the one that is asked for, and whether that is a downgrade.
    steps = {
        "release": ("2.6.0-rc1", "2.6.0", False),
        "next": ("2.6.0-rc2", "2.6.0-rc10", False),
        "later": ("2.5.9", "2.6.0-rc1", False),
        "back": ("2.6.0", "2.6.0-rc1", True),
        "tilde": ("2.6.0", "2.6.0~rc1", True),
        "older": ("2.6.0-rc10", "2.6.0-rc2", True),
    }
    hosts = {
        name: ScriptedHost(DEBIAN, installed(before), {"alpamon_version": asked, "recording_brings": asked})
        for name, (before, asked, _back) in steps.items()
    }
    hosts["minimum"] = ScriptedHost(DEBIAN, installed("2.3.0-rc1"), {"alpamon_manage_repository": False})
    done = run_role(tmp_path, running("current"), hosts, "--tags", "install")
    for name, (before, asked, back) in steps.items():
        told = f"alpamon {before} is installed, and {asked} is older. Set alpamon_allow_downgrade" if back else ""
        assert done[name].failure.startswith(told) if back else not done[name].failure, name
        assert len(done[name].of("apt")) == (0 if back else 1), name
    assert "alpamon 2.3.0-rc1 is installed, and this role needs 2.3.0 or newer." in done["minimum"].failure


def test_a_held_package_is_let_go_of_before_the_newest_comes(running: Running, tmp_path: Path) -> None:
    answers = [*found(held=True), *installed("2.4.0")]
    hosts = scripted_hosts(
        {name: SUPPORTED[name] for name in ("debian13", "rocky9", "leap15")}, *answers, alpamon_version="latest"
    )
    done = run_role(tmp_path, running("current"), hosts, "--tags", "install")
    assert done.code == 0, done.said
    for name, host in done.hosts.items():
        calls = [f"{call.module} {json.dumps(call.arguments)}" for call in host.calls]
        steps = [
            "release" if re.search('"selection": "install"|versionlock delete|removelock', call) else "install"
            for call in calls
            if re.search("^(apt|dnf|dpkg_selections) |versionlock|removelock|-recommends", call)
        ]
        assert steps[:2] == ["release", "install"], name


@pytest.mark.promise
def test_a_package_that_was_held_is_held_again_after_a_failed_upgrade(running: Running, tmp_path: Path) -> None:
    released = '"selection": "install"|versionlock delete|removelock'
    said = json.dumps({"held": False})
    failure = {"failed": True, "rc": 1, "msg": "No space left on device", "stdout": "", "stderr": ""}
    hosts = {
        name: ScriptedHost(
            SUPPORTED[name],
            [
                ("^(apt .*alpamon|dnf .*alpamon|command .*recommends)", failure),
                ("agent", {"shell": f"grep -Eq '{released}' {tmp_path}/{name}.calls && echo '{said}'"}),
                *found(held=True),
                *installed("2.4.0"),
            ],
            {"alpamon_version": "latest", "recording_brings": "2.4.0"},
        )
        for name in ("debian13", "rocky9", "leap15")
    }
    done = run_role(tmp_path, running("current"), hosts, "--tags", "install")
    assert done.code == 2, done.said
    assert done["debian13"].of("dpkg_selections")[-1] == {"name": "alpamon", "selection": "hold"}
    assert done["rocky9"].commands[-1] == "dnf versionlock add alpamon"
    assert done["leap15"].commands[-1] == "zypper --non-interactive addlock alpamon"


def test_apt_reads_the_index_before_it_looks_again(running: Running, tmp_path: Path) -> None:
    updated = tmp_path / "updated"
    row = LISTED.format("2.5.1-1").strip()
    answers: list[Answer] = [
        ("^apt .*alpamon=2.5.1[^-]", {"failed": True, "msg": "no available installation candidate"}),
        ("^apt .*update_cache.: true", {"shell": f"touch {updated}; echo '{{\"changed\": true}}'"}),
        ("^command .*madison", {"shell": f'test -f {updated} && echo \'{{"rc": 0, "stdout": "{row}"}}\''}),
    ]
    hosts = {"web": ScriptedHost(DEBIAN, answers, {"alpamon_version": "2.5.1", "recording_brings": "2.5.1"})}
    done = run_role(tmp_path / "run", running("current"), hosts, "--tags", "install")
    assert done.code == 0, done.said
    names = [row.get("name", "index") for row in done["web"].of("apt")]
    assert names == ["alpamon=2.5.1", "index", "alpamon=2.5.1-1"]


def test_index_that_cannot_be_read_hides_no_other_failure(running: Running, tmp_path: Path) -> None:
    answers: list[Answer] = [
        ("^apt .*update_cache.: true", {"failed": True, "msg": "Failed to update apt cache: unknown reason"}),
        ("^apt ", {"failed": True, "msg": "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"}),
    ]
    done = run_role(tmp_path, running("current"), {"web": ScriptedHost(DEBIAN, answers)}, "--tags", "install")
    assert done.code == 2, done.said
    assert "dpkg was interrupted" in done["web"].failure
    assert [row.get("name", "index") for row in done["web"].of("apt")] == ["alpamon", "index", "alpamon"]


#: What the package managers say where another process has their lock.
TAKEN: dict[str, dict[str, Any]] = {
    "debian13": {"msg": "'apt-get install' failed", "stderr": "E: Could not get lock /var/lib/dpkg/lock-frontend."},
    "rocky9": {"msg": "Failed to obtain the transaction lock (logged in as: root)."},
    "fedora43": {"msg": "Failed to install", "failures": ["Failed to obtain rpm transaction lock: another one runs"]},
}


@pytest.mark.parametrize("state", ["present", "absent"])
def test_locks_of_package_managers_are_waited_for(running: Running, tmp_path: Path, state: str) -> None:
    hosts = {}
    for name, said in TAKEN.items():
        tried, failure = tmp_path / f"{name}.tried", json.dumps({"failed": True, **said})
        first = ("^(apt|dnf5?) ", {"shell": f"test -f {tried} || {{ touch {tried}; cat <<'E'\n{failure}\nE\n}}"})
        before = installed("2.5.0") if state == "absent" else []
        hosts[name] = ScriptedHost(SUPPORTED[name], [first, *before], {"alpamon_state": state})
    wait = {"__alpamon_lock_retries": 2, "__alpamon_lock_delay": 0}
    done = run_role(tmp_path / "run", running("current"), hosts, "--tags", "install,uninstall", "-e", json.dumps(wait))
    assert done.code == 0, done.said
    for name, host in done.hosts.items():
        calls = [call.arguments for call in host.calls if call.module in ("apt", "dnf", "dnf5")]
        assert len(calls) == 2, name
        assert calls[0] == calls[1]


def test_only_for_locks_a_package_manager_is_tried_again(running: Running, tmp_path: Path) -> None:
    # As the module of apt says which command it was.
    said = "'apt-get -y -o DPkg::Lock::Timeout=0 install alpamon' failed: No space left on block device"
    failure = ("^(apt|dnf) ", {"failed": True, "msg": said})
    hosts = scripted_hosts({name: SUPPORTED[name] for name in ("debian13", "rocky9")}, failure)
    wait = {"__alpamon_lock_retries": 2, "__alpamon_lock_delay": 0}
    done = run_role(tmp_path, running("current"), hosts, "--tags", "install", "-e", json.dumps(wait))
    assert done.code == 2, done.said
    # apt reads the index between two attempts.
    assert len(done["debian13"].of("apt")) == 3
    assert len(done["rocky9"].of("dnf")) == 1


# An upgrade that a run before did not end


AWAY = {"kind": "status", "method": "GET", "path": "/servers/-/$", "status": 503}
UNCHANGED = ("^(apt|copy) ", {"changed": False})


def upgraded_alone(workspace: Workspace, state: str, version: str = "2.4.0") -> tuple[dict[str, Any], list[Any]]:
    """A record whose agent has that version, and a host with it, 2.5.0 installed and its process in that state."""
    record = workspace.api("POST", "servers/servers/register/", **registration(workspace)).json()
    workspace.change_server(record["name"], commissioned=True, is_connected=True, version=version)
    return record, [*configuration(workspace.url, record["id"], record["key"]), *installed("2.5.0", state)]


def test_failed_upgrade_stays_where_no_rollback_is_wanted(current: Workspace, tmp_path: Path) -> None:
    _record, answers = upgraded_alone(current, "outdated")
    options = {"alpamon_connect_timeout": "1s", "alpamon_rollback": False}
    done = run_role(tmp_path, current, {"web": ScriptedHost(DEBIAN, answers, options)})
    assert done.code == 2, done.said
    assert done["web"].failure.startswith(
        "Not connected within 1 s. An agent of version 2.4.0 is connected, not 2.5.0."
    )
    assert done["web"].of("apt") == []


@pytest.mark.parametrize("state", ["outdated", "none"])
def test_old_agent_under_a_new_package_is_restarted_and_replaced_where_that_fails(
    current: Workspace, tmp_path: Path, state: str
) -> None:
    record, answers = upgraded_alone(current, state)
    wait = {"alpamon_connect_timeout": "1s"}
    # Nothing else asks for a restart.
    done = run_role(tmp_path, current, {"web": ScriptedHost(DEBIAN, [*answers, UNCHANGED], wait)})
    assert done.code == 2, done.said
    host = done["web"]
    assert "alpamon 2.5.0 did not connect. alpamon 2.4.0 is back and connected." in host.failure
    assert "An agent of version 2.4.0 is connected, not 2.5.0." in host.failure
    assert [row["name"] for row in host.of("apt")] == ["alpamon=2.4.0"]
    units = [(row["name"], row["state"]) for row in host.of("systemd_service")]
    assert units.count(("alpamon.service", "restarted")) == 2
    assert units.index(("alpamon.service", "restarted")) < units.index(("alpamon-restart.timer", "stopped"))
    assert record["key"] not in done.said


@pytest.mark.parametrize(("before", "process", "asked"), [("2.4.0", "outdated", ""), ("2.4.0", "current", "2.5.0")])
def test_old_agent_that_does_not_start_again_is_said_to_be_back(
    current: Workspace, tmp_path: Path, before: str, process: str, asked: str
) -> None:
    # An upgrade was interrupted, or failed before.
    runs = "2.5.0" if asked else "2.3.5"
    record = current.api("POST", "servers/servers/register/", **registration(current)).json()
    current.change_server(record["name"], commissioned=True, is_connected=False, version=runs)
    broken = ("^systemd_service .*restarted", {"failed": True, "msg": "Job for alpamon.service failed."})
    answers = [broken, *configuration(current.url, record["id"], record["key"]), *installed(before, process)]
    options = {"alpamon_connect_timeout": "1s", "alpamon_version": asked}
    done = run_role(tmp_path, current, {"web": ScriptedHost(DEBIAN, answers, options)})
    assert done.code == 2, done.said
    came, back = (asked, before) if asked else (before, runs)
    told = f"alpamon {came} did not connect. alpamon {back} is back, and not connected either. Job for alpamon.service"
    assert done["web"].failure.startswith(told)
    assert done["web"].of("apt")[-1]["name"] == f"alpamon={back}"


def test_version_before_stays_when_nobody_can_say_whether_it_is_connected(current: Workspace, tmp_path: Path) -> None:
    _record, answers = upgraded_alone(current, "outdated")
    silence = f"curl -s -d '{json.dumps(AWAY)}' -H 'Content-Type: application/json' {current.url}/_control/faults/"
    silenced = ("^apt .*alpamon=2.4.0", {"shell": f"{silence} >&2; echo '{json.dumps({'changed': True})}'"})
    wait = {"alpamon_connect_timeout": "1s"}
    done = run_role(tmp_path, current, {"web": ScriptedHost(DEBIAN, [silenced, *answers], wait)})
    assert done.code == 2, done.said
    told = "alpamon 2.5.0 did not connect. alpamon 2.4.0 is back, and not known to be connected. The workspace"
    current.clear_faults()
    assert done["web"].failure.startswith(told)


NOT_FOUND = ("^apt .*alpamon=2.4.0", {"failed": True, "msg": "E: Version '2.4.0' for 'alpamon' was not found"})


def test_rollback_without_the_package_says_why_the_upgrade_failed(running: Running, tmp_path: Path) -> None:
    workspace = running("current")
    token = workspace.add_registration_token()["key"]
    options = {
        "alpamon_version": "2.5.0",
        "alpamon_hold": True,
        "alpamon_connect_timeout": "1s",
        "recording_brings": "2.5.0",
    }
    answers = [NOT_FOUND, *found(held=True), *installed("2.4.0")]
    hosts = {"web": ScriptedHost(DEBIAN, answers, options)}
    done = run_role(tmp_path, workspace, hosts, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 2, done.said
    first, *others = done["web"].failure.splitlines()
    assert "2.5.0 did not connect. alpamon 2.4.0 could not be installed again, and alpamon 2.5.0 is installed." in first
    assert "was not found" in first
    assert "Not connected within 1 s." in others[others.index("Why alpamon 2.5.0 did not connect:") + 1]
    assert done["web"].of("dpkg_selections")[-1] == {"name": "alpamon", "selection": "hold"}


def test_rollback_that_does_not_connect_says_what_is_back_and_why_the_upgrade_failed(
    running: Running, tmp_path: Path
) -> None:
    workspace = running("current")
    token = workspace.add_registration_token()["key"]
    options = {"alpamon_version": "2.5.0", "alpamon_connect_timeout": "1s"}
    hosts = {"web": ScriptedHost(DEBIAN, installed("2.4.0"), options)}
    done = run_role(tmp_path, workspace, hosts, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 2, done.said
    first, *others = done["web"].failure.splitlines()
    assert first.startswith("alpamon 2.5.0 did not connect. alpamon 2.4.0 is back, and not connected either. Not conn")
    assert "Not connected within 1 s." in others[others.index("Why alpamon 2.5.0 did not connect:") + 1]
    assert [row["name"] for row in done["web"].of("apt")] == ["alpamon=2.5.0", "alpamon=2.4.0"]


def test_package_of_the_version_before_is_told_from_longer_ones(current: Workspace, tmp_path: Path) -> None:
    _record, answers = upgraded_alone(current, "outdated", "2.4.1")
    kept = "/var/cache/alpamon/alpamon_2.4.1_amd64.deb"
    (tmp_path / "alpamon_2.5.0.deb").touch()
    found_file = ("^find ", {"changed": False, "files": [{"path": kept}]})
    options = {"alpamon_connect_timeout": "1s", "alpamon_package_file": str(tmp_path / "alpamon_2.5.0.deb")}
    done = run_role(tmp_path / "run", current, {"web": ScriptedHost(DEBIAN, [found_file, *answers], options)})
    assert done.code == 2, done.said
    assert done["web"].of("apt")[-1]["deb"] == kept
    [pattern] = [row["patterns"] for row in done["web"].of("find") if row.get("use_regex")]
    versions = ["2.4.1_amd64", "2.4.1", "2.4.1-1.x86_64", "2.4.10_amd64", "2.4.1-rc1", "2.4.1~rc1_amd64", "12.4.1"]
    assert [version for version in versions if re.match(pattern, f"alpamon_{version}.deb")] == versions[:3]


def test_agent_of_the_installed_version_is_not_restarted(current: Workspace, tmp_path: Path) -> None:
    record, answers = upgraded_alone(current, "current", "2.5.0")
    done = run_role(tmp_path, current, {"web": ScriptedHost(DEBIAN, [*answers, UNCHANGED])}, show=KEYS)
    assert done.code == 0, done.said
    assert "'__alpamon_agent'" in done.said.replace('"', "'")
    assert record["key"] not in done.said
    assert done["web"].of("systemd_service") == done["web"].of("apt") == []


@pytest.mark.promise
def test_another_spelling_of_the_url_is_the_same_workspace(current: Workspace, tmp_path: Path) -> None:
    record, answers = upgraded_alone(current, "current", "2.5.0")
    spelled = f"{current.url.replace('http', 'HTTP')}//"
    its = configuration(spelled, record["id"], record["key"])
    hosts = {
        "host": ScriptedHost(DEBIAN, [*its, *answers]),
        "option": ScriptedHost(DEBIAN, [*answers, UNCHANGED], {"alpamon_url": spelled}),
        "absent": ScriptedHost(DEBIAN, [*its, *answers], {"alpamon_state": "absent"}),
    }
    done = run_role(tmp_path, current, hosts)
    assert [host.failure for host in done.hosts.values()] == ["", "", ""]
    assert f"url = {current.url}\n" in done["host"].files["/etc/alpamon/alpamon.conf"]
    # The workspace is not asked as another one would be.
    assert current.registered() == []
    assert not any("left behind" in str(result.get("msg")) for result in done["absent"].results)


# Options


@pytest.fixture(scope="module")
def optional(running: Running, tmp_path_factory: pytest.TempPathFactory) -> RoleRun:
    """A host for each of several options."""
    workspace = running("current")
    workspace.reset()
    workspace.settings(instant=True)
    token = workspace.add_registration_token()["key"]
    folder = tmp_path_factory.mktemp("optional")
    (folder / "key").write_text("-----A KEY-----\n", encoding="utf-8")
    record = workspace.api("POST", "servers/servers/register/", **registration(workspace)).json()
    said = {"id": record["id"], "name": record["name"], "credentials": "valid", "commissioned": True}
    answers = [
        ('^alpacon_registration .*"state": "registered"', {"changed": True, **said, "key": record["key"]}),
        ("^alpacon_registration ", {"changed": False, **said, "connected": True}),
    ]
    rocky, leap = SUPPORTED["rocky9"], SUPPORTED["leap15"]
    # As zypper ends where it has installed, and has passed over another repository.
    dead = ("^command .*zypper.*install", {"rc": 106, "failed": True, "stdout": "", "stderr": "Not refreshed."})
    proxy = "http://user:secret@proxy.example:3128"
    hosts = {
        "channel": ScriptedHost(DEBIAN, variables={"alpamon_channel": "rc"}),
        "own": ScriptedHost(DEBIAN, variables={"alpamon_manage_repository": False}),
        "key": ScriptedHost(rocky, variables={"alpamon_repository_key": str(folder / "key")}),
        "host": ScriptedHost(leap, [dead, *answers], {"alpamon_register_from": "host"}),
        "name": ScriptedHost(DEBIAN, variables={"alpamon_name": "db.example.com", "alpamon_validate_certs": False}),
        "nameless.example.com": ScriptedHost(DEBIAN, found(hostname="")),
        "proxy": ScriptedHost(rocky, variables={"alpamon_package_proxy": proxy}),
        "held": ScriptedHost(DEBIAN, [*found(held=True), *installed("2.5.0")]),
        "override": ScriptedHost(DEBIAN, variables={"alpamon_service_override": "[Service]\nNice=5\n"}),
    }
    with agents_come(workspace):
        done = run_role(folder, workspace, hosts, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 0, done.said
    assert record["key"] not in done.said
    names = {row["name"][:-7] for row in workspace.registered()}
    assert {"db", "nameless"} <= names
    return done


def test_files_of_the_controller_are_found_beside_the_play_and_where_it_is_started(tmp_path: Path) -> None:
    started, plays = tmp_path / "run", tmp_path / "run/plays"
    (plays / "files").mkdir(parents=True)
    ca = authority(tmp_path, "Our CA")
    shutil.copy(ca.file, plays / "files/our.pem")
    (plays / "files/alpamon_2.5.0.deb").touch()
    (started / "alpamon_2.5.0~rc1.deb").touch()
    (plays / "beside.asc").write_text("-----BESIDE-----\n", encoding="utf-8")
    (started / "key.asc").write_text("-----STARTED-----\n", encoding="utf-8")
    play = {"hosts": "all", "gather_facts": False, "roles": ["herdops.alpacon.alpamon"]}
    (plays / "site.yml").write_text(json.dumps([play]), encoding="utf-8")
    variables = {
        "file": {"alpamon_ca_cert": "our.pem", "alpamon_package_file": "alpamon_2.5.0.deb"},
        "folder": {"alpamon_ca_cert": "files/our.pem", "alpamon_package_file": "files/alpamon_2.5.0.deb"},
        "beside": {"alpamon_ca_cert": "plays/files/our.pem", "alpamon_repository_key": "beside.asc"},
        "started": {"alpamon_ca_cert": "our.pem", "alpamon_package_file": "alpamon_2.5.0~rc1.deb"},
        "key": {"alpamon_ca_cert": "our.pem", "alpamon_repository_key": "key.asc"},
    }
    with Workspace("current", servers=0, agents=False, tls=(ca.chain, ca.chain), ca=ca.file) as workspace:
        token = workspace.add_registration_token()["key"]
        hosts = {name: ScriptedHost(DEBIAN, variables=its) for name, its in variables.items()}
        with agents_come(workspace):
            book = str(plays / "site.yml")
            done = run_role(started, workspace, hosts, playbook=book, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 0, done.said
    for name, host in done.hosts.items():
        written = host.files["/usr/local/share/ca-certificates/alpamon.crt"]
        assert written == ca.file.read_text(encoding="utf-8"), name
    packages = {name: [row.get("deb") for row in host.of("apt")] for name, host in done.hosts.items()}
    assert packages["file"] == packages["folder"] == ["/var/cache/alpamon/alpamon_2.5.0.deb"]
    assert packages["started"] == ["/var/cache/alpamon/alpamon_2.5.0~rc1.deb"]
    assert done["beside"].files[KEY_FILE] == "-----BESIDE-----\n"
    assert done["key"].files[KEY_FILE] == "-----STARTED-----\n"


def test_channel(optional: RoleRun) -> None:
    source = optional["channel"].files["/etc/apt/sources.list.d/alpacax_alpamon.sources"]
    assert f"URIs: {VENDOR}-latest/any/\n" in source


def test_repository_of_ones_own(optional: RoleRun) -> None:
    host = optional["own"]
    assert host.of("uri") == []
    assert not any("alpacax" in str(call.arguments.get("dest")) for call in host.calls)
    assert [row["name"] for row in host.of("apt")] == ["alpamon"]


def test_key_from_the_controller(optional: RoleRun) -> None:
    host = optional["key"]
    assert host.of("uri") == []
    assert host.files["/etc/pki/rpm-gpg/RPM-GPG-KEY-alpamon"] == "-----A KEY-----\n"
    assert "/key, checked for: nothing\n" in host.files["/etc/yum.repos.d/alpacax_alpamon.repo"]


def test_registration_from_the_host(optional: RoleRun) -> None:
    host = optional["host"]
    assert [row["state"] for row in host.of("alpacon_registration")] == ["registered", "connected"]
    assert "zypper --non-interactive install python3-requests" in host.commands
    assert "zypper --non-interactive install --no-recommends alpamon" in host.commands


def test_a_package_that_zypper_does_not_find_fails_whatever_else_is_out_of_order(
    running: Running, tmp_path: Path
) -> None:
    missing = ("^command .*zypper.*install", {"rc": 104, "failed": True, "stderr": "'alpamon' not found."})
    hosts = {"web": ScriptedHost(SUPPORTED["leap15"], [missing])}
    done = run_role(tmp_path, running("current"), hosts, "--tags", "install")
    assert done.code == 2, done.said
    assert any(row["failed"] and row.get("rc") == 104 for row in done["web"].results)


def test_name_and_certificates(optional: RoleRun) -> None:
    assert "verify = false\n" in optional["name"].files["/etc/alpamon/alpamon.conf"]


def test_proxy_with_a_password(optional: RoleRun) -> None:
    host = optional["proxy"]
    [row] = [row for row in host.of("copy") if row["dest"].endswith(".repo")]
    assert "proxy=http://user:secret@proxy.example:3128\n" in row["content"]
    assert row["mode"] == "0600"


def test_package_that_is_to_be_held_no_longer(optional: RoleRun) -> None:
    assert optional["held"].of("dpkg_selections") == [{"name": "alpamon", "selection": "install"}]


def test_additions_to_the_unit(optional: RoleRun) -> None:
    host = optional["override"]
    assert host.files["/etc/systemd/system/alpamon.service.d/ansible.conf"] == "[Service]\nNice=5\n"


# Removing


def test_absent(running: Running, tmp_path: Path) -> None:
    hosts = scripted_hosts(
        {name: SUPPORTED[name] for name in ("debian13", "rocky9", "leap15")},
        *installed("2.5.0"),
        ("^command .*rpm --query", {"rc": 0, "stdout": "package alpamon-pam is not installed\nalpamon"}),
        alpamon_state="absent",
    )
    done = run_role(tmp_path, running("current"), hosts)
    assert done.code == 0, done.said
    for name, host in done.hosts.items():
        gone = removed(host)
        assert {"/etc/alpamon", "/var/lib/alpamon", "/var/log/alpamon", "/run/alpamon", "/run/alpamon.pid"} <= set(gone)
        assert any("alpacax_alpamon" in path for path in gone)
        assert [row["regexp"] for row in host.of("lineinfile")] == ["(pam_alpamon|alpacon_approval)\\.so"] * 2
        assert {"name": "alpamon.service", "enabled": False, "state": "stopped"} in host.of("systemd_service"), name
    [package] = done["debian13"].of("apt")
    assert (package["name"], package["purge"]) == (["alpamon-pam", "alpamon"], True)
    assert done["rocky9"].of("dnf")[0]["name"] == ["alpamon-pam", "alpamon"]
    assert "zypper --non-interactive remove alpamon" in done["leap15"].commands


def test_absent_stops_an_agent_without_a_package_and_removes_a_package_without_its_unit(
    running: Running, tmp_path: Path
) -> None:
    no_unit = ("^systemd_service .*stopped", {"failed": True, "msg": "Could not find the requested service a: host"})
    process = {"pid": 7, "state": "current", "outdated": []}
    answers = {
        "archive": found(service={"active": True, "enabled": True}, process=process),
        "enabled": found(service={"active": False, "enabled": True}),
        "by_hand": found(process=process),
        "no_unit": [no_unit, *installed("2.5.0")],
        "refused": [("^systemd_service .*stopped", {"failed": True, "msg": "Unable to stop"}), *installed("2.5.0")],
    }
    hosts = {name: ScriptedHost(DEBIAN, its, {"alpamon_state": "absent"}) for name, its in answers.items()}
    done = run_role(tmp_path, running("current"), hosts)
    stopped = {"name": "alpamon.service", "enabled": False, "state": "stopped"}
    for name in ("archive", "enabled", "no_unit"):
        assert stopped in done[name].of("systemd_service"), name
    ended = {name for name, host in done.hosts.items() if any('kill "$pid"' in line for line in host.commands)}
    assert ended == {"by_hand", "no_unit"}
    assert {name: host.failure for name, host in done.hosts.items() if host.failure} == {"refused": "Unable to stop"}
    assert [row["state"] for row in done["no_unit"].of("apt")] == ["absent"]


def test_an_agent_without_its_timer_is_well(running: Running, tmp_path: Path) -> None:
    no_timer = ("^systemd_service .*timer", {"failed": True, "msg": "Could not find the requested service a: host"})
    hosts = {"web": ScriptedHost(DEBIAN, [no_timer], {"alpamon_state": "installed"})}
    done = run_role(tmp_path, running("current"), hosts)
    assert done.code == 0, done.said


@pytest.mark.parametrize("options", [{"alpamon_state": "absent"}, {"alpamon_version": "2.6.0", "alpamon_hold": True}])
def test_every_call_of_dnf_goes_through_the_proxy(running: Running, tmp_path: Path, options: dict[str, Any]) -> None:
    proxy = "http://proxy.example:3128"
    answers = [*found(held=True), *installed("2.5.0")]
    host = ScriptedHost(SUPPORTED["rocky9"], answers, {**options, "alpamon_package_proxy": proxy})
    done = run_role(tmp_path, running("current"), {"web": host}, "--tags", "install,uninstall")
    assert done.code == 0, done.said
    calls = [
        call for call in done["web"].calls if re.search("dnf", f"{call.module} {call.arguments.get('_raw_params')}")
    ]
    assert any("versionlock" in str(call.arguments) for call in calls)
    assert [call.environment.get("https_proxy") for call in calls] == [proxy] * len(calls)


def test_absent_where_nobody_can_be_asked_for_the_record(running: Running, tmp_path: Path) -> None:
    other = "http://127.0.0.1:9"
    records = {"id": (other, "web-01"), "url": ("workspace.example", ID), "away": (other, ID)}
    hosts = {
        name: ScriptedHost(DEBIAN, [*configuration(url, server, "k"), *installed("2.5.0")], {"alpamon_state": "absent"})
        for name, (url, server) in records.items()
    }
    hosts["nourl"] = ScriptedHost(DEBIAN, hosts["id"].answers, {"alpamon_state": "absent", "alpamon_url": ""})
    done = run_role(tmp_path, running("current"), hosts)
    assert done.code == 0, done.said
    ids = {name: server for name, (_url, server) in records.items()} | {"nourl": "web-01"}
    for name, host in done.hosts.items():
        assert {"/etc/alpamon", "/var/lib/alpamon"} <= set(removed(host)), name
        assert len(host.of("apt")) == 1
        assert host.facts["alpamon_orphans"] == [ids[name]]
        assert f"The record {ids[name]} is left behind in" in str([result.get("msg") for result in host.results])


def test_record_of_an_incomplete_configuration_is_named(running: Running, tmp_path: Path) -> None:
    workspace = running("current")
    token = workspace.add_registration_token()["key"]
    row = {"url": workspace.url, "id": ID, "key": None, "complete": False, "text": ""}
    incomplete = found(configuration=row)
    cut = ID[:20]
    hosts = {
        "present": ScriptedHost(DEBIAN, incomplete),
        "cut": ScriptedHost(DEBIAN, found(configuration={**row, "id": cut, "key": "k"})),
        "absent": ScriptedHost(DEBIAN, [*incomplete, *installed("2.5.0")], {"alpamon_state": "absent"}),
        "clone": ScriptedHost(
            DEBIAN, [*found(registered_machine_id="another"), *incomplete], {"alpamon_state": "absent"}
        ),
    }
    with agents_come(workspace):
        done = run_role(tmp_path, workspace, hosts, show=("alpamon_orphans",), ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 0, done.said
    shown = {name: host.results[-1]["msg"]["alpamon_orphans"] for name, host in done.hosts.items()}
    assert shown == {"present": [ID], "cut": [cut], "absent": [ID], "clone": []}
    for name, record in {"present": ID, "cut": cut, "absent": ID}.items():
        told = f"named the record {record}. It may be left behind in {workspace.url}. Delete it there."
        assert told in str([result.get("msg") for result in done[name].results])


def test_a_host_that_moves_leaves_no_record_in_a_workspace_with_another_ca(tmp_path: Path) -> None:
    for name in ("before", "now"):
        (tmp_path / name).mkdir()
    before, now = authority(tmp_path / "before", "Old CA"), authority(tmp_path / "now", "New CA")
    with (
        Workspace("current", servers=0, agents=False, tls=(before.chain, before.chain), ca=before.file) as left,
        Workspace("current", servers=0, agents=False, tls=(now.chain, now.chain), ca=now.file) as workspace,
        agents_come(workspace),
    ):
        options = {"alpamon_ca_cert": str(now.file), "alpamon_allow_workspace_change": True}
        token = workspace.add_registration_token()["key"]

        def moves(name: str, **environ: str) -> Host:
            record = left.api("POST", "servers/servers/register/", **registration(left)).json()
            answers = [*configuration(left.url, record["id"], record["key"]), *installed("2.5.0")]
            hosts = {"web": ScriptedHost(DEBIAN, answers, options)}
            environ["ALPACON_REGISTRATION_TOKEN"] = token
            done = run_role(tmp_path / name, workspace, hosts, show=("alpamon_orphans",), **environ)
            assert done.code == 0, done.said
            return done["web"]

        host = moves("known", ALPACON_CA_PATH=str(before.file))
        assert host.results[-1]["msg"]["alpamon_orphans"] == []
        assert left.registered() == []
        host = moves("unknown")
        [record] = left.registered()
        assert host.results[-1]["msg"]["alpamon_orphans"] == [record["id"]]
        told = [str(result.get("msg")) for result in host.results if "is left behind in" in str(result.get("msg"))]
        assert "Name the CA in ca_path if it is a private one. In the role, that is alpacon_ca_path." in told[0]


# What is refused before anything is changed

REFUSED: dict[str, tuple[dict[str, Any], list[Any], str]] = {
    "nourl": ({"alpamon_url": ""}, [], "alpamon_url is empty."),
    "badurl": ({"alpamon_url": "workspace.example"}, [], "which is no URL"),
    "notoken": ({"alpamon_registration_token": ""}, [], "there is no registration token"),
    "old": ({"alpamon_version": "2.2.9"}, [], "the role needs 2.3.0 or newer"),
    "candidate": ({"alpamon_version": "2.3.0-rc1"}, [], "alpamon_version is 2.3.0-rc1, and the role needs 2.3.0"),
    "version": ({"alpamon_version": "newest"}, [], "Give a version such as 2.5.0, latest, or nothing."),
    "revision": ({"alpamon_version": "2.5.0-1"}, [], "alpamon_version is '2.5.0-1'. Give a version such as 2.5.0,"),
    "checksum": (
        {"alpamon_package_file": "a.deb", "alpamon_package_checksum": "ab12"},
        [],
        "needs its algorithm in front",
    ),
    "held": ({"alpamon_version": "latest", "alpamon_hold": True}, [], "contradict each other"),
    "cas": ({"alpamon_ca_cert": "a.pem", "alpamon_ca_cert_content": "b"}, [], "exclude each other"),
    "pending": (
        {},
        found(pending=["/var/lib/alpamon/upgrade.pending"]),
        "Try again when /var/lib/alpamon/upgrade.pending is gone.",
    ),
    "user": ({}, found(uid=1000), "Set become to true"),
    "override": (
        {"alpamon_service_override": "[Service]"},
        found(service_manager="tini"),
        "which does not manage the services of this host",
    ),
    "files": (
        {"alpamon_ca_cert": "ca.pem", "alpamon_package_file": "~/no/alpamon.deb"},
        [],
        "alpamon_ca_cert and alpamon_package_file: there is no such file on the controller.",
    ),
    "key": ({"alpamon_repository_key": "/no/key.asc"}, [], "alpamon_repository_key: there is no such file"),
    "setting": ({"alpamon_settings": {"max_worker": 3}}, [], "alpamon_settings.max_worker"),
    "timeout": (
        {"alpamon_version": "2.5.0", "alpamon_connect_timeout": "5 min"},
        installed("2.4.0"),
        "alpamon_connect_timeout is '5 min', which is no duration. Give one such as 90s or 5m.",
    ),
    **{
        option: ({option: None}, [], f"{option} has no value. Give one, or leave it out.")
        for option in (
            "alpamon_version",
            "alpamon_package_file",
            "alpamon_package_checksum",
            "alpamon_repository_url",
            "alpamon_repository_key",
            "alpamon_url",
            "alpamon_ca_cert",
            "alpamon_ca_cert_content",
            "alpamon_service_override",
            "alpamon_connect_timeout",
        )
    },
    "nulls": (
        {"alpamon_url": None, "alpamon_ca_cert": "{{ none }}"},
        [],
        "alpamon_url and alpamon_ca_cert have no value. Give one, or leave it out.",
    ),
    "nulltoken": ({"alpamon_registration_token": None}, [], "there is no registration token"),
    "notimeout": ({"alpamon_connect_timeout": ""}, [], "alpamon_connect_timeout is '', which is no duration."),
    "tags": (
        {"alpamon_tags": {"tier": 1, "env": "prod", "web": True}},
        [],
        "alpamon_tags: the value of tier, web is not a string. Put it in quotes.",
    ),
    **{
        f"text{number}": ({option: text}, [], f"{option} cannot be read. Give a dictionary")
        for number, (text, option) in enumerate(
            {
                "env=prod team=x": "alpamon_tags",
                '{"env": "prod"}': "alpamon_tags",
                "env=prod,note='a, b'": "alpamon_tags",
                "env=a\\,b": "alpamon_tags",
                "max_workers=7 debug=true": "alpamon_settings",
                '{"max_workers": 7}': "alpamon_settings",
            }.items()
        )
    },
    "address": ({}, found(hostname="10.0.0.5"), "The name '10.0.0.5' is an address"),
    "address6": ({"alpamon_name": "fe80::1"}, [], "Set alpamon_name to one such as web-01."),
    "nothing": ({"alpamon_name": "-.example.com"}, [], "Set alpamon_name to one such as web-01."),
    "elsewhere": (
        {},
        configuration("https://other.example", ID, "k"),
        "is registered in https://other.example, not in",
    ),
}


@pytest.fixture(scope="module")
def refused(running: Running, tmp_path_factory: pytest.TempPathFactory) -> RoleRun:
    """Each of them tried."""
    hosts = {name: ScriptedHost(DEBIAN, answers, variables) for name, (variables, answers, _message) in REFUSED.items()}
    return run_role(tmp_path_factory.mktemp("refused"), running("current"), hosts, ALPACON_REGISTRATION_TOKEN="key")


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(refused: RoleRun, name: str) -> None:
    host = refused[name]
    assert REFUSED[name][2] in host.failure
    assert {call.module for call in host.calls} <= {"alpamon_info"}


def test_a_host_is_not_reached_through_the_agent_that_is_to_be_removed(tmp_path: Path) -> None:
    variables = {"ansible_connection": "herdops.alpacon.alpacon", "alpamon_state": "absent"}
    # The agents of this workspace run what they are sent here, so no more than a look is taken.
    with Workspace("current", servers=["web-01"]) as workspace:
        done = run_role(tmp_path, workspace, {"web-01": ScriptedHost(variables=variables)}, entry="preflight")
    assert done.code == 2, done.said
    assert done["web-01"].failure.startswith("The host is reached through the agent itself, which this role stops,")


def test_tags_that_would_skip_the_whole_role_are_refused(running: Running, tmp_path: Path) -> None:
    done = run_role(tmp_path, running("current"), {"web": ScriptedHost(DEBIAN)}, "--skip-tags", "verify,register,mine")
    assert done.code == 2, done.said
    assert done["web"].failure.startswith("--skip-tags register,verify would skip the role as a whole.")
    assert done["web"].calls == []


# Check mode and the diff


def test_check_mode_shows_a_diff_without_the_key(current: Workspace, tmp_path: Path) -> None:
    [record] = [current.api("POST", "servers/servers/register/", **registration(current)).json()]
    current.reset_counters()
    conf = configuration(current.url, record["id"], record["key"], "[pool]\nmax_workers = 5\n")
    hosts = {
        "known": ScriptedHost(DEBIAN, [*conf, *installed("2.5.0"), *COPY], {"alpamon_settings": {"debug": True}}),
        "fresh": ScriptedHost(DEBIAN),
        "clone": ScriptedHost(DEBIAN, [*found(registered_machine_id="another"), *conf, *installed("2.5.0")]),
    }
    done = run_role(tmp_path, current, hosts, "--check", "--diff", ALPACON_REGISTRATION_TOKEN="key")
    assert done.code == 0, done.said
    assert record["key"] not in done.said
    shown = [result["msg"] for result in done["known"].results if isinstance(result.get("msg"), list)]
    assert {"- max_workers = 5", "+ max_workers = 20", "+ debug = true"} <= set(shown[-1])
    assert not any("key" in line for line in shown[-1])
    assert current.counters()["writes"] == 0
    assert len(current.registered()) == 1
    for host in done.hosts.values():
        assert all(call.check_mode or call.module in ("command", "uri") for call in host.calls)
    # A server that would be registered has no id yet.
    ids = {name: host.facts["alpamon_server_id"] for name, host in done.hosts.items()}
    assert ids == {"known": record["id"], "fresh": "", "clone": ""}


def test_check_mode_needs_nothing_on_a_fresh_host_to_register_from_it(current: Workspace, tmp_path: Path) -> None:
    lacking = ("^alpacon_registration ", {"failed": True, "msg": "Failed to import the required Python library"})
    options = {"alpamon_register_from": "host", "alpamon_ca_cert_content": CERTIFICATE}
    hosts = {"a": ScriptedHost(DEBIAN, [lacking], options)}
    token = current.add_registration_token()["key"]
    writes = current.counters()["writes"]
    done = run_role(tmp_path, current, hosts, "--check", ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 0, done.said
    assert done["a"].of("alpacon_registration") == []
    assert current.counters()["writes"] == writes


def test_diff_shows_no_password_of_a_repository(running: Running, tmp_path: Path) -> None:
    repository = {"alpamon_repository_url": "https://user:hunter2@mirror.example/alpamon"}
    hosts = {
        **scripted_hosts({name: SUPPORTED[name] for name in KINDS}, **repository),
        "proxy": ScriptedHost(
            SUPPORTED["rocky9"], variables={"alpamon_package_proxy": "http://user:hunter2@proxy.example:3128"}
        ),
        "public": ScriptedHost(DEBIAN),
    }
    done = run_role(tmp_path, running("current"), hosts, "--tags", "install", "--diff")
    assert done.code == 0, done.said
    assert "hunter2" not in done.said
    assert f"+URIs: {VENDOR}/any/" in done.said
    modes = {
        name: row["mode"]
        for name, host in done.hosts.items()
        for row in host.of("copy")
        if "alpacax_alpamon" in row["dest"] and not row["dest"].endswith(".asc")
    }
    assert modes == {**dict.fromkeys(hosts, "0600"), "public": "0644"}


def test_failed_downloads_show_no_password_of_a_repository(running: Running, tmp_path: Path) -> None:
    url = "https://user:hunter2@mirror.example/alpamon"
    says = f"Cannot read {url}"
    page, index = (
        ("^uri ", {"failed": True, "status": 404, "url": url, "msg": says}),
        ("^command ", {"rc": 1, "stderr": says}),
    )
    variables = {"alpamon_repository_url": url}
    hosts = {
        "key": ScriptedHost(DEBIAN, [page], variables),
        **{kind: ScriptedHost(SUPPORTED[kind], [index], variables) for kind in KINDS},
    }
    done = run_role(tmp_path / "hidden", running("current"), hosts, "--tags", "install")
    assert done.code == 2
    assert all(any(row["failed"] for row in host.results) for host in done.hosts.values())
    assert "hunter2" not in done.said
    key = "https://mirror.example/alpamon/gpgkey. Cannot read https://mirror.example/alpamon"
    assert done["key"].failure == f"The key of the repository cannot be read from {key}"
    hosts = {"shown": ScriptedHost(DEBIAN, [index], {**variables, "alpamon_no_log": False})}
    done = run_role(tmp_path / "shown", running("current"), hosts, "--tags", "install")
    assert says in done.said


def test_readable_file_of_a_repository_with_a_password_is_written_again(running: Running, tmp_path: Path) -> None:
    url, source = "https://user:hunter2@mirror.example/alpamon", "/etc/apt/sources.list.d/alpacax_alpamon.sources"
    variables = {"alpamon_repository_url": url}
    fresh = {"web": ScriptedHost(DEBIAN, variables=variables)}
    first = run_role(tmp_path / "first", running("current"), fresh, "--tags", "install")
    text = first["web"].files[source]
    there = {"exists": True, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    hosts = {
        mode: ScriptedHost(
            DEBIAN,
            [*installed("2.5.0"), *found(files={source: {**there, "mode": mode}, KEY_FILE: {"exists": True}})],
            variables,
        )
        for mode in ("0644", "0600")
    }
    done = run_role(tmp_path / "second", running("current"), hosts, "--tags", "install")
    assert done.code == 0, done.said
    assert [row["mode"] for row in done["0644"].of("copy") if row["dest"] == source] == ["0600"]
    assert done["0600"].of("copy") == []


# What goes wrong


def test_lock_of_registrations(tmp_path: Path) -> None:
    lock = tmp_path / "registering"
    [task, _look] = yaml.safe_load((collection_tree.ROOT / "roles/alpamon/tasks/lock.yml").read_text(encoding="utf-8"))
    script = task["ansible.builtin.shell"].replace("{{ __alpamon_lock | dirname }}", str(tmp_path))
    script = script.replace("{{ __alpamon_lock }}", str(lock))

    def take() -> tuple[int, str]:
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert take() == (0, "")
    assert take() == (1, f"Another run registers this host: {lock} is there. Run the role again in a few minutes.\n")
    os.utime(lock, (time.time() - 200,) * 2)
    assert take()[0] == 1
    os.utime(lock, (time.time() - 250,) * 2)
    assert take() == (0, "")
    assert time.time() - lock.stat().st_mtime < 200
    lock.unlink()
    # Nobody may make it, and nobody has.
    lock.symlink_to(tmp_path / "gone" / "registering")
    code, error = take()
    assert code == 3
    assert error.startswith(f"{lock} cannot be made, which keeps two runs from registering this host. /bin/sh: ")


def test_failures_leave_no_record_and_show_no_secret(current: Workspace, tmp_path: Path) -> None:
    token = current.add_registration_token()["key"]
    log = "alpamon.service: Main process exited, code=exited, status=78/CONFIG\n"
    log += f'{{"level":"debug"}} Authorization: id="{ID}", key="abc-DEF_123"\ntoken={token}\nBackhaul closed.'
    hosts = {
        "full": ScriptedHost(DEBIAN, [("^copy .*alpamon.conf", {"failed": True, "msg": "No space left on device"})]),
        "note": ScriptedHost(DEBIAN, [("^copy .*ansible-registered", {"failed": True, "msg": "No space left"})]),
        "locked": ScriptedHost(DEBIAN, [("^command .*apt-get", {"rc": 100, "stdout": "", "stderr": LOCKED})]),
        "requests": ScriptedHost(
            DEBIAN,
            [("^apt .*python3-requests", {"failed": True, "msg": LOCKED})],
            {"alpamon_register_from": "host"},
        ),
        "busy": ScriptedHost(
            Distribution("Debian", "13.1", hostname="busy"), [("^command .*set -C", {"rc": 1, "stderr": "Taken."})]
        ),
        "full_run": ScriptedHost(DEBIAN, [("^command .*set -C", {"rc": 3, "stderr": "No space left."})]),
        "shell": ScriptedHost(Distribution("Debian", "13.1", service_manager="bash", hostname="shell")),
        "silent": ScriptedHost(
            DEBIAN, [("^command .*journalctl", {"rc": 0, "stdout": log}), *found(clock_ahead=-86400)]
        ),
    }
    limit = {"alpamon_connect_timeout": "1s", "__alpamon_lock_retries": 2, "__alpamon_lock_delay": 0}
    done = run_role(tmp_path, current, hosts, "-e", json.dumps(limit), ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 2, done.said
    assert "No space left on device The new record was taken back." in done["full"].failure
    # What was written goes with the record that it names; what was not written is as it was before.
    assert "No space left The new record was taken back." in done["note"].failure
    written = {name: "/etc/alpamon/alpamon.conf" in removed(done[name]) for name in ("full", "note")}
    assert written == {"full": False, "note": True}
    assert len([line for line in done["locked"].commands if line.startswith("apt-get update")]) == 3
    assert [row["name"] for row in done["requests"].of("apt")] == ["alpamon", *["python3-requests"] * 3]
    # Another run registers that one, which keeps its lock.
    assert "busy" not in {record["name"][:-7] for record in current.registered()}
    assert "/run/alpamon-registering" not in removed(done["busy"])
    assert "/run/alpamon-registering" in removed(done["full"])
    # What does not get better by itself is not waited for.
    attempts = {name: [line for line in host.commands if "set -C" in line] for name, host in done.hosts.items()}
    assert (len(attempts["busy"]), len(attempts["full_run"])) == (3, 1)
    # Process 1 is no systemd there, although it is installed.
    assert done["shell"].of("systemd_service") == []
    [record] = [record for record in current.registered() if record["name"].startswith("Web-")]
    assert record["id"] in done["silent"].files["/etc/alpamon/alpamon.conf"]
    assert "Not connected within 1 s." in done["silent"].failure
    assert "The agent has exited with code 78" in done["silent"].failure
    assert "For a private CA, set alpamon_ca_cert." in done["silent"].failure
    behind = "The clock of the host is 1440 minutes behind that of the controller"
    assert behind in done["silent"].failure
    assert any(behind in str(result.get("msg")) for result in done["silent"].results if not result["failed"])
    assert 'key="********"\ntoken=********\nBackhaul closed.' in done["silent"].failure
    assert all(secret not in done.said for secret in (token, record["key"], "abc-DEF_123"))


# What is not this host's, or not this workspace's


def test_a_clone_that_leaves_takes_nobody_out_of_the_workspace(current: Workspace, tmp_path: Path) -> None:
    original = current.api("POST", "servers/servers/register/", **registration(current)).json()
    copied = [*found(registered_machine_id="another"), *configuration(current.url, original["id"], original["key"])]
    hosts = {
        state: ScriptedHost(DEBIAN, [*copied, *installed("2.5.0")], {"alpamon_state": state})
        for state in ("absent", "installed")
    }
    current.reset_counters()
    done = run_role(tmp_path, current, hosts, show=("alpamon_orphans",))
    assert done.code == 0, done.said
    assert [host.results[-1]["msg"] for host in done.hosts.values()] == [{"alpamon_orphans": []}] * 2
    assert [record["id"] for record in current.registered()] == [original["id"]]
    assert current.counters()["writes"] == 0


def test_the_api_token_is_not_sent_to_the_workspace_that_a_host_leaves(
    current: Workspace, serve: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    # It knows the agent, and then no longer: with an API token the record could still be looked for.
    refused = Reply({"detail": "Authentication credentials were not provided."}, 403)
    other = serve([Reply({"id": ID, "commissioned": True}), refused])
    answers = [*configuration(other.url, ID, "k"), *installed("2.5.0")]
    options = {"alpamon_state": "absent", "alpamon_token": current.token}
    done = run_role(tmp_path, current, {"web": ScriptedHost(DEBIAN, answers, options)})
    assert done.code == 0, done.said
    asked = [(request.method, request.headers["Authorization"]) for request in other.requests]
    assert asked == [("GET", f'id="{ID}", key="k"'), ("DELETE", f'id="{ID}", key="k"')]


def test_a_key_that_is_not_named_is_not_trusted(running: Running, tmp_path: Path) -> None:
    named, own = a_signing_key(tmp_path / "own")
    stranger, foreign = a_signing_key(tmp_path / "foreign")
    hosts = {
        name: ScriptedHost(
            DEBIAN,
            [("^uri ", {"changed": False, "status": 200, "content": page})],
            {"alpamon_key_fingerprints": named},
        )
        for name, page in {"foreign": foreign, "beside": own + foreign}.items()
    }
    done = run_role(tmp_path / "run", running("current"), hosts, "--tags", "install")
    assert done.code == 2, done.said
    for name, fingerprints in {"foreign": stranger, "beside": f"{named}, {stranger}"}.items():
        told = f"has the fingerprint {fingerprints}, which is not in alpamon_key_fingerprints. It is not trusted."
        assert told in done[name].failure
        assert done[name].of("copy") == []


# A hostile host


@pytest.mark.promise
@pytest.mark.parametrize("when", ["at once", "later"])
def test_settings_that_the_host_returns_as_facts_are_refused(running: Running, tmp_path: Path, when: str) -> None:
    workspace = running("current")
    workspace.reset()
    secret = tmp_path / "secret.pem"
    secret.write_text(CERTIFICATE + "of the controller", encoding="utf-8")
    token = workspace.add_registration_token()["key"]
    with ScriptedServer([Reply({})]) as evil:
        facts = {"alpamon_url": evil.url, "alpamon_ca_cert": str(secret), "alpamon_repository_url": evil.url}
        forged: Answer = ("agent" if when == "at once" else "^file ", {"changed": False, "ansible_facts": facts})
        hosts = {"web-01": ScriptedHost(answers=[forged])}
        done = run_role(tmp_path / "run", workspace, hosts, ALPACON_REGISTRATION_TOKEN=token)
        assert evil.requests == []
    assert (
        "Host web-01 returned settings as facts: alpamon_ca_cert, alpamon_repository_url, alpamon_url."
        in done["web-01"].failure
    )
    assert "of the controller" not in str(done["web-01"].calls)
    assert workspace.registered() == []
