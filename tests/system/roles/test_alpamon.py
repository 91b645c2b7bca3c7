# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role alpamon, by hosts that answer by script, of every distribution; extensions/molecule has hosts that run.

A run costs seconds, so hosts in different states share one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import collection_tree
import pytest
import yaml
from system.scripted_hosts import (
    DEBIAN,
    KEY,
    MACHINE,
    Answer,
    Distribution,
    Host,
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

CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
#: The facts in which the key of a server is while it is needed.
KEYS = ("__alpamon_registration", "__alpamon_host", "__alpamon_reread")
#: A file is there that differs from what is to be written.
COPY = [("^file .*_diff_peek", {"changed": False, "state": "file", "size": 10, "appears_binary": False})]
ID = "550e8400-e29b-41d4-a716-446655440000"
KEY_FILE = "/etc/apt/keyrings/alpacax_alpamon.asc"
VENDOR = "https://packagecloud.io/alpacax/alpamon"
PROXY = "http://user:hunter2@proxy.example:3128"
FULL = {"failed": True, "rc": 1, "msg": "No space left on device", "stdout": "", "stderr": ""}
NO_RETRIES = {"__alpamon_lock_retries": 2, "__alpamon_lock_delay": 0}
STOPPED = {"name": "alpamon.service", "enabled": False, "state": "stopped"}

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

APT = {
    "debian11": Distribution("Debian", "11.11"),
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
    "sap16": Distribution("SLES_SAP", "16.0", "zypper"),
}
SUPPORTED = {**APT, **DNF, **ZYPPER}
FAMILIES = ("debian13", "rocky9", "leap15")
UNSUPPORTED = {
    # A method of a dictionary.
    "pop": Distribution("Pop", "22.04", "apt"),
    "debian10": Distribution("Debian", "10.13", "apt"),
}


def register(workspace: Workspace) -> dict[str, Any]:
    """The record of a server that has registered itself, with its key."""
    key = workspace.add_registration_token()["key"]
    body = {"name": "Web", "platform": "debian"}
    headers = {"Authorization": f'token="{key}"'}
    record: dict[str, Any] = workspace.api("POST", "servers/servers/register/", headers=headers, json=body).json()
    return record


def each_family(*answers: Any, **variables: Any) -> dict[str, ScriptedHost]:
    """A host of each package manager, which are otherwise alike."""
    return {name: ScriptedHost(SUPPORTED[name], answers, variables) for name in FAMILIES}


def removed(host: Host) -> list[str]:
    """The files that were removed."""
    return [row["path"] for row in host.of("file") if row["state"] == "absent"]


def said(host: Host) -> str:
    """All messages of its tasks."""
    return str([result.get("msg") for result in host.results])


# The package


def test_distributions(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: ScriptedHost(distribution) for name, distribution in {**SUPPORTED, **UNSUPPORTED}.items()}
    names = ("__alpamon_family", "__alpamon_repository_path")
    looked = run_role(tmp_path, current, hosts, entry="preflight", show=names)
    for name in SUPPORTED:
        assert looked[name].failure == "", name
        shown = looked[name].results[-1]["msg"]
        manager = "apt" if name in APT else "zypper" if name in ZYPPER else "dnf"
        assert shown["__alpamon_family"]["manager"] == manager
        assert shown["__alpamon_family"]["platform"] == ("debian" if name in APT else "rhel")
        folder = {"apt": "/etc/apt/sources.list.d", "dnf": "/etc/yum.repos.d", "zypper": "/etc/zypp/repos.d"}[manager]
        kind = "repo" if name not in APT else "list" if name in ("debian11", "ubuntu1804") else "sources"
        assert shown["__alpamon_repository_path"] == f"{folder}/alpacax_alpamon.{kind}", name
    for name, distribution in UNSUPPORTED.items():
        told = f"The agent does not run on {distribution.name} {distribution.version}. It runs on Debian from 11 on"
        assert told in looked[name].failure
        assert [call.module for call in looked[name].calls] == ["alpamon_info"]


def test_present(current: Workspace, tmp_path: Path) -> None:
    token = current.add_registration_token()["key"]
    variables = {"alpamon_ca_cert_content": CERTIFICATE, "alpamon_tags": {"env": "test"}}
    hosts = {"debian11": ScriptedHost(SUPPORTED["debian11"], variables=variables), **each_family(**variables)}
    with agents_come(current):
        done = run_role(tmp_path, current, hosts, show=KEYS, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 0, done.said
    assert token not in done.said
    records = current.registered()
    assert {record["name"][:-7] for record in records} == {"Web"}
    assert sorted(record["platform"] for record in records) == ["debian", "debian", "rhel", "rhel"]
    assert all(record["tags"]["env"] == "test" and record["key"] not in done.said for record in records)
    for host in done.hosts.values():
        assert_configured(host)
    old, apt, dnf, zypper = done.hosts.values()
    listed = "/etc/apt/sources.list.d/alpacax_alpamon.list"
    assert f"deb [signed-by={KEY_FILE}] {VENDOR}/any/ any main\n" in old.files[listed]
    source = f"URIs: {VENDOR}/any/\nSuites: any\nComponents: main\nSigned-By: {KEY_FILE}\n"
    assert source in apt.files["/etc/apt/sources.list.d/alpacax_alpamon.sources"]
    assert listed in removed(apt)
    key = "/etc/pki/rpm-gpg/RPM-GPG-KEY-alpamon"
    assert apt.files[KEY_FILE] == dnf.files[key] == KEY
    repository = dnf.files["/etc/yum.repos.d/alpacax_alpamon.repo"]
    assert f"baseurl={VENDOR}/rpm_any/rpm_any/$basearch\n" in repository
    assert "repo_gpgcheck=1\ngpgcheck=0\n" in repository
    assert f"gpgkey=file://{key}\n" in repository
    assert "repo_gpgcheck=1\npkg_gpgcheck=0\n" in zypper.files["/etc/zypp/repos.d/alpacax_alpamon.repo"]
    assert [row["key"] for row in zypper.of("rpm_key")] == [key]
    for package, weak in ((apt.of("apt")[0], "install_recommends"), (dnf.of("dnf")[0], "install_weak_deps")):
        assert (package["name"], package["state"], package[weak]) == ("alpamon", "present", False)
    assert "zypper --non-interactive install --no-recommends alpamon" in zypper.commands
    assert apt.files["/usr/local/share/ca-certificates/alpamon.crt"] == CERTIFICATE
    assert zypper.files["/etc/pki/trust/anchors/alpamon.pem"] == CERTIFICATE
    assert "update-ca-certificates" in apt.commands
    assert "update-ca-trust extract" in dnf.commands


def assert_configured(host: Host) -> None:
    """Expect the files, modes and units of an agent that was registered."""
    text = host.files["/etc/alpamon/alpamon.conf"]
    assert "verify = true\nca_cert =\n" in text
    assert "max_workers = 20\n" in text
    assert host.files["/etc/alpamon/.ansible-registered"] == f"{MACHINE}\n"
    [row] = [row for row in host.of("copy") if row["dest"] == "/etc/alpamon/alpamon.conf"]
    assert (row["mode"], row["owner"]) == ("0600", "root")
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
    # With credentials in its environment, the package would register the host by itself.
    installers = [
        call for call in host.calls if call.module in ("apt", "dnf") or "--no-recommends" in str(call.arguments)
    ]
    assert installers
    assert all(call.environment["PLUGIN_ID"] == call.environment["PLUGIN_KEY"] == "" for call in installers)


def test_keys_that_are_not_expected_are_not_trusted(current: Workspace, tmp_path: Path) -> None:
    named, own = a_signing_key(tmp_path / "own")
    stranger, foreign = a_signing_key(tmp_path / "foreign")
    pages = {
        "foreign": (foreign, stranger),
        "both": (own + foreign, f"{named}, {stranger}"),
        "page": (KEY, "of no key"),
    }
    hosts = {}
    for name, (page, _fingerprints) in pages.items():
        serves = ("^uri ", {"changed": False, "status": 200, "content": page})
        hosts[name] = ScriptedHost(DEBIAN, [serves], {"alpamon_key_fingerprints": named})
    done = run_role(tmp_path / "run", current, hosts, "--tags", "install")
    assert done.code == 2, done.said
    for name, (_page, fingerprints) in pages.items():
        told = f"has the fingerprint {fingerprints}, which is not in alpamon_key_fingerprints. It is not trusted."
        assert told in done[name].failure
        assert done[name].of("copy") == []


def listed(*versions: str) -> Answer:
    """Return the output of apt-cache for these versions."""
    row = f"   alpamon | {{}} | {VENDOR}/any any/main amd64 Packages\n"
    return ("^command .*madison", {"rc": 0, "stdout": "".join(map(row.format, versions))})


def test_versions(current: Workspace, tmp_path: Path) -> None:
    def asking(version: str, *answers: Answer, brings: str = "", **variables: Any) -> ScriptedHost:
        given = {"alpamon_version": version, "recording_brings": brings or version, **variables}
        return ScriptedHost(DEBIAN, answers, given)

    hosts = {
        "revised": asking("2.5.1", listed("2.5.10-1", "1:2.5.1-2", "2.5.1-1")),
        "candidate": asking("2.6.0-rc1", listed("2.6.0~rc10-1", "2.6.0~rc1-1"), *installed("2.5.9")),
        "older": asking("2.4.0", *installed("2.5.0"), alpamon_allow_downgrade=True, alpamon_hold=True),
        "other": asking("2.5.1", brings="2.5.10", alpamon_hold=True),
        "back": asking("2.6.0-rc1", *installed("2.6.0")),
        "minimum": ScriptedHost(DEBIAN, installed("2.3.0-rc1"), {"alpamon_manage_repository": False}),
    }
    done = run_role(tmp_path, current, hosts, "--tags", "install")
    failed = {
        "other": "alpamon_version is 2.5.1, and alpamon 2.5.10 is installed",
        "back": "alpamon 2.6.0 is installed, and 2.6.0-rc1 is older. Set alpamon_allow_downgrade",
        "minimum": "alpamon 2.3.0-rc1 is installed, and this role needs 2.3.0 or newer.",
    }
    assert {name for name, host in done.hosts.items() if host.failure} == set(failed), done.said
    assert all(done[name].failure.startswith(told) for name, told in failed.items())
    names = {name: [row.get("name", "index") for row in host.of("apt")] for name, host in done.hosts.items()}
    assert names["revised"] == ["alpamon=1:2.5.1-2"]
    assert names["candidate"] == ["alpamon=2.6.0~rc1-1"]
    [package] = done["older"].of("apt")
    assert (package["name"], package["allow_downgrade"], package["allow_change_held_packages"]) == (
        *("alpamon=2.4.0", True, True),
    )
    assert done["older"].of("dpkg_selections") == [{"name": "alpamon", "selection": "hold"}]
    assert names["back"] == done["other"].of("dpkg_selections") == []


# An upgrade that does not connect

UNCHANGED = ("^(apt|copy) ", {"changed": False})


def upgraded(workspace: Workspace, process: str, runs: str) -> list[Answer]:
    """A registered host whose process is in that state, and whose record has the version that runs."""
    record = register(workspace)
    workspace.change_server(record["name"], commissioned=True, is_connected=True, version=runs)
    return [*configuration(workspace.url, record["id"], record["key"]), *installed("2.5.0", process)]


def test_agents_that_do_not_connect_are_replaced_by_the_version_before(current: Workspace, tmp_path: Path) -> None:
    token = current.add_registration_token()["key"]
    package = tmp_path / "alpamon_2.5.0.deb"
    package.touch()
    kept = "/var/cache/alpamon/alpamon_2.4.1_amd64.deb"
    file = ("^find ", {"changed": False, "files": [{"path": kept}]})
    gone = ("^apt .*alpamon=2.4.0", {"failed": True, "msg": "E: Version '2.4.0' for 'alpamon' was not found"})
    asked = {"alpamon_version": "2.5.0", "recording_brings": "2.5.0"}
    of_file = {"alpamon_package_file": str(package)}
    hosts = {
        "well": ScriptedHost(DEBIAN, [*upgraded(current, "current", "2.5.0"), UNCHANGED]),
        "asis": ScriptedHost(DEBIAN, upgraded(current, "outdated", "2.4.0"), {"alpamon_rollback": False}),
        # Nothing else asks for a restart.
        "outdated": ScriptedHost(DEBIAN, [*upgraded(current, "outdated", "2.4.0"), UNCHANGED]),
        "gone": ScriptedHost(DEBIAN, [gone, *found(held=True), *installed("2.4.0")], {**asked, "alpamon_hold": True}),
        "file": ScriptedHost(DEBIAN, [file, *upgraded(current, "outdated", "2.4.1")], of_file),
    }
    limit = ("-e", "alpamon_connect_timeout=1s")
    done = run_role(tmp_path, current, hosts, *limit, show=KEYS, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 2, done.said
    assert all(record["key"] not in done.said for record in current.registered())
    assert done["well"].failure == ""
    assert done["well"].of("systemd_service") == done["well"].of("apt") == []
    why = "Not connected within 1 s. An agent of version 2.4.0 is connected, not 2.5.0."
    assert done["asis"].failure.startswith(why)
    assert done["asis"].of("apt") == []
    host = done["outdated"]
    assert "alpamon 2.5.0 did not connect. alpamon 2.4.0 is back and connected." in host.failure
    assert why in host.failure
    assert [row["name"] for row in host.of("apt")] == ["alpamon=2.4.0"]
    told = "2.5.0 did not connect. alpamon 2.4.0 could not be installed again, and alpamon 2.5.0 is installed."
    assert told in done["gone"].failure
    assert done["gone"].of("dpkg_selections")[-1] == {"name": "alpamon", "selection": "hold"}
    assert done["file"].of("apt")[-1]["deb"] == kept
    [pattern] = [row["patterns"] for row in done["file"].of("find") if row.get("use_regex")]
    versions = ["2.4.1_amd64", "2.4.1-1.x86_64", "2.4.10_amd64", "2.4.1-rc1", "2.4.1~rc1_amd64", "12.4.1"]
    assert [version for version in versions if re.match(pattern, f"alpamon_{version}.deb")] == versions[:2]


@pytest.mark.promise
def test_another_spelling_of_the_url_is_the_same_workspace(current: Workspace, tmp_path: Path) -> None:
    answers = upgraded(current, "current", "2.5.0")
    its = answers[0][1]["configuration"]
    spelled = f"{current.url.replace('http', 'HTTP')}//"
    other = configuration(spelled, its["id"], its["key"])
    hosts = {
        "option": ScriptedHost(DEBIAN, [*answers, UNCHANGED], {"alpamon_url": spelled}),
        "absent": ScriptedHost(DEBIAN, [*other, *answers], {"alpamon_state": "absent"}),
    }
    done = run_role(tmp_path, current, hosts)
    assert [host.failure for host in done.hosts.values()] == ["", ""]
    # The workspace is not asked as another one would be.
    assert current.registered() == []
    assert "left behind" not in said(done["absent"])


# Options


def test_options(current: Workspace, tmp_path: Path) -> None:
    current.settings(instant=True)
    token = current.add_registration_token()["key"]
    (tmp_path / "key").write_text("-----A KEY-----\n", encoding="utf-8")
    record = register(current)
    its = {"id": record["id"], "name": record["name"], "credentials": "valid", "commissioned": True}
    answers = [
        ('^alpacon_registration .*"state": "registered"', {"changed": True, **its, "key": record["key"]}),
        ("^alpacon_registration ", {"changed": False, **its, "connected": True}),
        # As zypper ends where it has installed, and has passed over another repository.
        ("^command .*zypper.*install", {"rc": 106, "failed": True, "stdout": "", "stderr": "Not refreshed."}),
    ]
    broken = {"url": current.url, "id": ID, "key": None, "complete": False, "text": ""}
    rocky, leap = SUPPORTED["rocky9"], SUPPORTED["leap15"]
    hosts = {
        "channel": ScriptedHost(DEBIAN, variables={"alpamon_channel": "rc", "alpamon_install_recommends": True}),
        "own": ScriptedHost(DEBIAN, variables={"alpamon_manage_repository": False}),
        "key": ScriptedHost(rocky, variables={"alpamon_repository_key": str(tmp_path / "key")}),
        "host": ScriptedHost(leap, answers, {"alpamon_register_from": "host"}),
        "name": ScriptedHost(DEBIAN, variables={"alpamon_name": "db.example.com", "alpamon_validate_certs": False}),
        "proxy": ScriptedHost(rocky, variables={"alpamon_package_proxy": PROXY}),
        "held": ScriptedHost(DEBIAN, [*found(held=True), *installed("2.5.0")]),
        "override": ScriptedHost(DEBIAN, variables={"alpamon_service_override": "[Service]\nNice=5\n"}),
        "incomplete": ScriptedHost(DEBIAN, found(configuration=broken)),
    }
    with agents_come(current):
        done = run_role(tmp_path, current, hosts, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 0, done.said
    assert record["key"] not in done.said
    assert "db" in {row["name"][:-7] for row in current.registered()}
    source = done["channel"].files["/etc/apt/sources.list.d/alpacax_alpamon.sources"]
    assert f"URIs: {VENDOR}-latest/any/\n" in source
    assert [row["install_recommends"] for row in done["channel"].of("apt")] == [True]
    assert done["own"].of("uri") == done["key"].of("uri") == []
    assert not any("alpacax" in str(call.arguments.get("dest")) for call in done["own"].calls)
    assert done["key"].files["/etc/pki/rpm-gpg/RPM-GPG-KEY-alpamon"] == "-----A KEY-----\n"
    assert [row["state"] for row in done["host"].of("alpacon_registration")] == ["registered", "connected"]
    assert "zypper --non-interactive install python3-requests" in done["host"].commands
    assert "verify = false\n" in done["name"].files["/etc/alpamon/alpamon.conf"]
    [row] = [row for row in done["proxy"].of("copy") if row["dest"].endswith(".repo")]
    assert f"proxy={PROXY}\n" in row["content"]
    assert {call.environment["https_proxy"] for call in done["proxy"].calls if call.module == "dnf"} == {PROXY}
    assert done["held"].of("dpkg_selections") == [{"name": "alpamon", "selection": "install"}]
    assert done["override"].files["/etc/systemd/system/alpamon.service.d/ansible.conf"] == "[Service]\nNice=5\n"
    assert done["incomplete"].facts["alpamon_orphans"] == [ID]
    told = f"named the record {ID}. It may be left behind in {current.url}. Delete it there."
    assert told in said(done["incomplete"])


def test_files_of_the_controller_are_found_beside_the_play_and_where_it_is_started(
    current: Workspace, tmp_path: Path
) -> None:
    current.settings(instant=True)
    plays = tmp_path / "plays"
    (plays / "files").mkdir(parents=True)
    for file in ("plays/files/our.pem", "plays/files/alpamon_2.5.0.deb", "plays/beside.asc", "here.deb"):
        (tmp_path / file).write_text(f"{Path(file).name}\n", encoding="utf-8")
    play = {"hosts": "all", "gather_facts": False, "roles": ["herdops.alpacon.alpamon"]}
    (plays / "site.yml").write_text(json.dumps([play]), encoding="utf-8")
    variables = {
        "file": {"alpamon_ca_cert": "our.pem", "alpamon_package_file": "alpamon_2.5.0.deb"},
        "beside": {"alpamon_ca_cert": "plays/files/our.pem", "alpamon_repository_key": "beside.asc"},
        "started": {"alpamon_ca_cert": "our.pem", "alpamon_package_file": "here.deb"},
    }
    hosts = {name: ScriptedHost(DEBIAN, variables=its) for name, its in variables.items()}
    token = current.add_registration_token()["key"]
    parts, book = ("--tags", "install,register"), str(plays / "site.yml")
    done = run_role(tmp_path, current, hosts, *parts, playbook=book, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 0, done.said
    packages = {name: [row.get("deb") for row in host.of("apt")] for name, host in done.hosts.items()}
    assert packages["file"] == ["/var/cache/alpamon/alpamon_2.5.0.deb"]
    assert packages["started"] == ["/var/cache/alpamon/here.deb"]
    assert done["beside"].files[KEY_FILE] == "beside.asc\n"
    for host in done.hosts.values():
        assert host.files["/usr/local/share/ca-certificates/alpamon.crt"] == "our.pem\n"


# Removing


def test_absent(current: Workspace, tmp_path: Path) -> None:
    away = "http://127.0.0.1:9"
    there = installed("2.5.0")
    missing = {"failed": True, "msg": "Could not find the requested service a: host"}
    process = {"pid": 7, "state": "current", "outdated": []}
    answers: dict[str, list[Answer]] = {
        "archive": found(service={"active": True, "enabled": True}, process=process),
        "by_hand": found(process=process),
        "no_unit": [("^systemd_service .*stopped", missing), *there],
        "refused": [("^systemd_service .*stopped", {"failed": True, "msg": "Unable to stop"}), *there],
        "id": [*configuration(away, "web-01", "k"), *there],
        "away": [*configuration(away, ID, "k"), *there],
    }
    absent = {"alpamon_state": "absent"}
    done = run_role(tmp_path, current, {name: ScriptedHost(DEBIAN, its, absent) for name, its in answers.items()})
    assert {name: host.failure for name, host in done.hosts.items() if host.failure} == {"refused": "Unable to stop"}
    for name in ("archive", "no_unit"):
        assert STOPPED in done[name].of("systemd_service"), name
    ended = {name for name, host in done.hosts.items() if any('kill "$pid"' in line for line in host.commands)}
    assert ended == {"by_hand", "no_unit"}
    # Nobody can be asked for their records.
    for name, server in {"id": "web-01", "away": ID}.items():
        assert {"/etc/alpamon", "/var/lib/alpamon", "/run/alpamon"} <= set(removed(done[name])), name
        assert done[name].facts["alpamon_orphans"] == [server]
        assert f"The record {server} is left behind in" in said(done[name])


# What is refused before anything is changed

REFUSED: dict[str, tuple[dict[str, Any], list[Any], str]] = {
    "nourl": ({"alpamon_url": ""}, [], "alpamon_url is empty."),
    "notoken": ({"alpamon_registration_token": ""}, [], "there is no registration token"),
    "old": ({"alpamon_version": "2.2.9"}, [], "the role needs 2.3.0 or newer"),
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
    "setting": ({"alpamon_settings": {"max_worker": 3}}, [], "alpamon_settings.max_worker"),
    "timeout": (
        {"alpamon_version": "2.5.0", "alpamon_connect_timeout": "5 min"},
        installed("2.4.0"),
        "alpamon_connect_timeout is '5 min', which is no duration. Give one such as 90s or 5m.",
    ),
    "nulls": (
        {"alpamon_url": None, "alpamon_ca_cert": "{{ none }}"},
        [],
        "alpamon_url and alpamon_ca_cert have no value. Give one, or leave it out.",
    ),
    "text": ({"alpamon_tags": "env=prod team=x"}, [], "alpamon_tags cannot be read. Give a dictionary"),
    "address": ({}, found(hostname="10.0.0.5"), "The name '10.0.0.5' is an address"),
    "elsewhere": (
        {},
        configuration("https://other.example", ID, "k"),
        "is registered in https://other.example, not in",
    ),
    "misspelt": ({"alpamon_versoin": "2.5.0"}, [], "Did you mean alpamon_version?"),
}


def test_refusals(current: Workspace, tmp_path: Path) -> None:
    hosts = {name: ScriptedHost(DEBIAN, answers, variables) for name, (variables, answers, _message) in REFUSED.items()}
    done = run_role(tmp_path, current, hosts, ALPACON_REGISTRATION_TOKEN="key")
    for name, host in done.hosts.items():
        assert REFUSED[name][2] in host.failure, name
        assert {call.module for call in host.calls} <= {"alpamon_info"}


def test_a_host_is_not_reached_through_the_agent_that_is_to_be_removed(tmp_path: Path) -> None:
    variables = {"ansible_connection": "herdops.alpacon.alpacon", "alpamon_state": "absent"}
    # The agents of this workspace run what they are sent here, so no more than a look is taken.
    with Workspace("current", servers=["web-01"]) as workspace:
        done = run_role(tmp_path, workspace, {"web-01": ScriptedHost(variables=variables)}, entry="preflight")
    assert done.code == 2, done.said
    assert done["web-01"].failure.startswith("The host is reached through the agent itself, which this role stops,")


# Check mode and the diff


def test_check_mode_changes_nothing_and_shows_a_diff_without_the_key(current: Workspace, tmp_path: Path) -> None:
    record = register(current)
    current.reset_counters()
    conf = configuration(current.url, record["id"], record["key"], "[pool]\nmax_workers = 5\n")
    lacking = ("^alpacon_registration ", {"failed": True, "msg": "Failed to import the required Python library"})
    from_host = {"alpamon_register_from": "host", "alpamon_ca_cert_content": CERTIFICATE}
    hosts = {
        "known": ScriptedHost(DEBIAN, [*conf, *installed("2.5.0"), *COPY], {"alpamon_settings": {"debug": True}}),
        "fresh": ScriptedHost(DEBIAN),
        "clone": ScriptedHost(DEBIAN, [*found(registered_machine_id="another"), *conf, *installed("2.5.0")]),
        "host": ScriptedHost(DEBIAN, [lacking], from_host),
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
    assert ids == {"known": record["id"], "fresh": "", "clone": "", "host": ""}
    assert done["host"].of("alpacon_registration") == []


def test_passwords_of_repositories_are_hidden(current: Workspace, tmp_path: Path) -> None:
    url = "https://user:hunter2@mirror.example/alpamon"
    repository = {"alpamon_repository_url": url}
    page = ("^uri ", {"failed": True, "status": 404, "url": url, "msg": f"Cannot read {url}"})
    index = ("^command ", {"rc": 1, "stderr": f"Cannot read {url}"})
    shown = url.replace("hunter2", "swordfish")
    shows = ("^command ", {"rc": 1, "stderr": f"Cannot read {shown}"})
    kinds = {"debian11": ScriptedHost(SUPPORTED["debian11"], variables=repository), **each_family(**repository)}
    hosts = {
        **kinds,
        "proxy": ScriptedHost(SUPPORTED["rocky9"], variables={"alpamon_package_proxy": PROXY}),
        "public": ScriptedHost(DEBIAN),
        "key": ScriptedHost(DEBIAN, [page], repository),
        **{f"{name}-fails": ScriptedHost(host.distribution, [index], repository) for name, host in kinds.items()},
        "shown": ScriptedHost(DEBIAN, [shows], {"alpamon_repository_url": shown, "alpamon_no_log": False}),
    }
    done = run_role(tmp_path, current, hosts, "--tags", "install", "--diff")
    assert "hunter2" not in done.said
    assert f"Cannot read {shown}" in done.said
    failed = {name for name, host in done.hosts.items() if any(row["failed"] for row in host.results)}
    assert failed == {"key", "shown", *(f"{name}-fails" for name in kinds)}
    assert f"+URIs: {VENDOR}/any/" in done.said
    modes = {
        name: row["mode"]
        for name, host in done.hosts.items()
        for row in host.of("copy")
        if "alpacax_alpamon" in row["dest"] and not row["dest"].endswith(".asc")
    }
    assert {name for name, mode in modes.items() if mode != "0600"} == {"public"}


# What goes wrong


def test_lock_of_registrations(tmp_path: Path) -> None:
    lock = tmp_path / "registering"
    [task, _look] = yaml.safe_load((collection_tree.ROOT / "roles/alpamon/tasks/lock.yml").read_text(encoding="utf-8"))
    script = task["ansible.builtin.shell"].replace("{{ __alpamon_lock | dirname }}", str(tmp_path))
    script = script.replace("{{ __alpamon_lock }}", str(lock))

    def take() -> tuple[int, str]:
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.partition(":")[0]

    assert take() == (0, "")
    assert take() == (1, "Another run registers this host")
    os.utime(lock, (time.time() - 200,) * 2)
    assert take()[0] == 1
    os.utime(lock, (time.time() - 250,) * 2)
    assert take() == (0, "")
    assert time.time() - lock.stat().st_mtime < 200
    lock.unlink()
    # Nobody may make it, and nobody has.
    lock.symlink_to(tmp_path / "gone" / "registering")
    assert take()[0] == 3


def test_failures_leave_no_record_and_show_no_secret(current: Workspace, tmp_path: Path) -> None:
    token = current.add_registration_token()["key"]
    log = "alpamon.service: Main process exited, code=exited, status=78/CONFIG\n"
    log += f'{{"level":"debug"}} Authorization: id="{ID}", key="abc-DEF_123"\ntoken={token}\nBackhaul closed.'
    index = {"rc": 100, "stdout": "", "stderr": "E: Could not get lock /var/lib/apt/lists/lock."}
    busy = Distribution("Debian", "13.1", hostname="busy")
    journal = ("^command .*journalctl", {"rc": 0, "stdout": log})
    hosts = {
        "full": ScriptedHost(DEBIAN, [("^copy .*alpamon.conf", FULL)]),
        "note": ScriptedHost(DEBIAN, [("^copy .*ansible-registered", FULL)]),
        "locked": ScriptedHost(DEBIAN, [("^command .*apt-get", index)]),
        "busy": ScriptedHost(busy, [("^command .*set -C", {"rc": 1, "stderr": "Taken."})]),
        "shell": ScriptedHost(Distribution("Debian", "13.1", service_manager="bash", hostname="shell")),
        "silent": ScriptedHost(DEBIAN, [journal, *found(clock_ahead=-86400)]),
    }
    limit = json.dumps({"alpamon_connect_timeout": "1s", **NO_RETRIES})
    done = run_role(tmp_path, current, hosts, "-e", limit, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 2, done.said
    # What was written goes with the record that it names; what was not written is as it was before.
    for name, is_written in {"full": False, "note": True}.items():
        assert "No space left on device The new record was taken back." in done[name].failure
        assert ("/etc/alpamon/alpamon.conf" in removed(done[name])) is is_written
    assert len([line for line in done["locked"].commands if line.startswith("apt-get update")]) == 3
    # Another run registers that one, which keeps its lock.
    assert "busy" not in {record["name"][:-7] for record in current.registered()}
    assert len([line for line in done["busy"].commands if "set -C" in line]) == 3
    assert "/run/alpamon-registering" not in removed(done["busy"])
    assert "/run/alpamon-registering" in removed(done["full"])
    # Process 1 is no systemd there, although it is installed.
    assert done["shell"].of("systemd_service") == []
    [record] = [record for record in current.registered() if record["name"].startswith("Web-")]
    failure = done["silent"].failure
    assert record["id"] in done["silent"].files["/etc/alpamon/alpamon.conf"]
    for told in (
        "Not connected within 1 s.",
        "The agent has exited with code 78",
        "For a private CA, set alpamon_ca_cert.",
        "The clock of the host is 1440 minutes behind that of the controller",
        'key="********"\ntoken=********\nBackhaul closed.',
    ):
        assert told in failure
    assert all(secret not in done.said for secret in (token, record["key"], "abc-DEF_123"))


# What is not this host's, or not this workspace's


def test_a_clone_that_leaves_takes_nobody_out_of_the_workspace(current: Workspace, tmp_path: Path) -> None:
    original = register(current)
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


@pytest.mark.promise
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


@pytest.mark.promise
def test_settings_that_the_host_returns_as_facts_are_refused(current: Workspace, tmp_path: Path) -> None:
    secret = tmp_path / "secret.pem"
    secret.write_text(CERTIFICATE + "of the controller", encoding="utf-8")
    token = current.add_registration_token()["key"]
    with ScriptedServer([Reply({})]) as evil:
        facts = {"alpamon_url": evil.url, "alpamon_ca_cert": str(secret), "alpamon_repository_url": evil.url}
        forged = {"changed": False, "ansible_facts": facts}
        hosts = {
            name: ScriptedHost(answers=[(when, forged)]) for name, when in (("once", "agent"), ("later", "^file "))
        }
        done = run_role(tmp_path / "run", current, hosts, ALPACON_REGISTRATION_TOKEN=token)
        assert evil.requests == []
    names = "alpamon_ca_cert, alpamon_repository_url, alpamon_url"
    for name, host in done.hosts.items():
        assert f"Host {name} returned settings as facts: {names}." in host.failure
        assert "of the controller" not in str(host.calls)
    assert current.registered() == []
