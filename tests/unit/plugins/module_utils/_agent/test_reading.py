# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the agent of a host whose files are in a folder and whose programs are in a table."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._agent import reading
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import is_uuid, is_valid_key
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

URL, ID, KEY = "https://my-workspace.us1.alpacon.io", "550e8400-e29b-41d4-a716-446655440000", "aB3-_xyz"
CONFIGURATION = f"# By hand\n[server]\nurl = {URL}\nid = {ID}\nkey = {KEY}\n\n[ssl]\nverify = true\n"
SHOWN = """\
Id=alpamon.service
ActiveState=active
UnitFileState=enabled
MainPID=4

Id=alpamon-restart.timer
ActiveState=active
UnitFileState=disabled
MainPID=0
"""


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, str]]:
    """Provide the output of the installed programs by their names."""
    table: dict[str, tuple[int, str]] = {}
    monkeypatch.setattr(shutil, "which", lambda name: name if name in table else None)
    return table


@pytest.fixture
def host(tmp_path: Path, programs: dict[str, tuple[int, str]]) -> reading.System:
    """Provide an empty host."""
    return reading.System(lambda command: programs[command[0]], str(tmp_path), {})


def put(host: reading.System, path: str, content: str = "", age: float = 0) -> Path:
    """Write a file with an age in seconds."""
    file = Path(host.root + path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def run_agent(host: reading.System, program: str, age: float = 100) -> None:
    """Start a process of the agent, with its age in seconds."""
    put(host, "/run/alpamon.pid", "4\n", age)
    put(host, "/proc/4/comm", "alpamon\n")
    Path(f"{host.root}/proc/4/exe").symlink_to(program)


def test_host_without_an_agent(host: reading.System) -> None:
    found = reading.read_agent(host)
    assert found["version"] is None
    assert found["held"] is False
    assert found["process"] == {"pid": None, "state": "none", "outdated": []}
    assert found["service"] == found["restart_timer"] == {"active": False, "enabled": False}
    nothing = {"url": None, "id": None, "key": None, "complete": False, "text": ""}
    assert found["configuration"] == {**nothing, "readable": True}
    assert found["files"] == {path: {"exists": False} for path in reading.FILES}
    assert found["registered_machine_id"] == ""
    assert found["pending"] == found["proxies"] == []
    assert found["clock_ahead"] is None


def test_host_with_an_agent(host: reading.System, programs: dict[str, tuple[int, str]]) -> None:
    programs["dpkg-query"] = (0, "hold installed 2.5.0-1\n")
    programs["systemctl"] = (0, SHOWN)
    for path, content in (
        ("/proc/1/comm", "systemd\n"),
        ("/etc/machine-id", "0123\n"),
        ("/etc/alpamon/alpamon.conf", f"# Managed by Ansible\n# Machine: 4567\n{CONFIGURATION}"),
        ("/var/lib/alpamon/upgrade.pending", ""),
    ):
        put(host, path, content, 1000)
    put(host, "/proc/4/comm", "alpamon\n")
    environ = {"https_proxy": "http://u:p@proxy", "HOME": "/"}
    found = reading.read_agent(host._replace(environ=environ), controller_time=time.time() - 86400)
    assert abs(found["clock_ahead"] - 86400) < 30
    assert (found["version"], found["held"], found["service_manager"]) == ("2.5.0", True, "systemd")
    assert found["service"] == {"active": True, "enabled": True}
    assert found["restart_timer"] == {"active": True, "enabled": False}
    # There is no pid file, but systemd knows the pid.
    assert found["process"]["pid"] == 4
    assert (found["machine_id"], found["registered_machine_id"]) == ("0123", "4567")
    assert found["pending"] == ["/var/lib/alpamon/upgrade.pending"]
    assert found["proxies"] == ["https_proxy"]


@pytest.mark.parametrize(
    ("package_version", "version"),
    [
        ("2.5.0", "2.5.0"),
        ("2.5.0-1", "2.5.0"),
        ("2.6.0~rc1-1.el9", "2.6.0-rc1"),
        ("1:2.5.0+git3", "2.5.0"),
        ("package alpamon is not installed", None),
    ],
)
def test_versions(package_version: str, version: str | None) -> None:
    assert reading.to_agent_version(package_version) == version


@pytest.mark.parametrize(
    ("answers", "version"),
    [
        ({"dpkg-query": (0, "deinstall config-files 2.4.0")}, None),
        ({"dpkg-query": (0, "install half-configured 2.4.0")}, None),
        # A host with the tools of two families.
        ({"dpkg-query": (1, ""), "rpm": (0, "2.5.0\n")}, "2.5.0"),
    ],
)
def test_partly_installed_packages(
    host: reading.System, programs: dict[str, tuple[int, str]], answers: Any, version: str | None
) -> None:
    programs.update(answers)
    assert reading.read_package(host) == (version, False)


@pytest.mark.parametrize(
    ("path", "program"),
    [("/tmp/a.deb", "dpkg-deb"), ("/tmp/a.rpm", "rpm")],
)
def test_version_of_a_package_file(
    host: reading.System, programs: dict[str, tuple[int, str]], path: str, program: str
) -> None:
    programs[program] = (0, "2.6.0-1\n")
    assert reading.read_file_version(host, path) == "2.6.0"


@pytest.mark.parametrize(
    ("path", "line", "held"),
    [
        ("/etc/dnf/plugins/versionlock.list", "# Added lock on Thu\nalpamon-0:2.4.0-1.*", True),
        ("/etc/dnf/plugins/versionlock.list", "alpamon-pam-0:1.0.0-1.*", False),
        ("/etc/dnf/versionlock.toml", '[[packages]]\nname = "alpamon"', True),
        ("/etc/zypp/locks", "type: package\nsolvable_name: alpamon\n", True),
        ("/etc/zypp/locks", "solvable_name: alpamon-pam\n", False),
    ],
)
def test_holds_of_rpm(host: reading.System, path: str, line: str, held: bool) -> None:
    put(host, path, line)
    assert reading.read_agent(host)["held"] is held


# The process


def test_process_of_a_replaced_program(host: reading.System) -> None:
    run_agent(host, "/usr/bin/alpamon (deleted)")
    assert reading.read_process(host, "") == {"pid": 4, "state": "outdated", "outdated": ["package"]}


def test_process_of_a_replaced_script(host: reading.System) -> None:
    put(host, "/usr/bin/alpamon", age=1000)
    run_agent(host, "/usr/bin/python3.13")
    # Its modification time is that of the build, and its change time that of the installation.
    assert reading.read_process(host, "")["outdated"] == ["package"]
    put(host, "/run/alpamon.pid", "4")
    os.utime(f"{host.root}/run/alpamon.pid", (time.time() + 5, time.time() + 5))
    assert reading.read_process(host, "")["outdated"] == []


@pytest.mark.parametrize("path", [reading.CONFIGURATION, reading.OVERRIDE, *reading.CERTIFICATES])
@pytest.mark.parametrize(
    ("age", "outdated"),
    [
        pytest.param(1000, [], id="before"),
        pytest.param(10, ["configuration"], id="after"),
        # The clock was a day ahead, so every run would restart the agent.
        pytest.param(-86400, [], id="in the future"),
    ],
)
def test_process_that_is_older_than_its_configuration(
    host: reading.System, path: str, age: float, outdated: list[str]
) -> None:
    run_agent(host, "/usr/bin/alpamon")
    put(host, path, CONFIGURATION, age)
    found = reading.read_process(host, "")
    assert (found["outdated"], found["state"]) == (outdated, "outdated" if outdated else "current")


@pytest.mark.parametrize(("pid", "name"), [("4\n", "sshd\n"), ("../../etc\n", "alpamon\n")])
def test_pid_of_another_process(host: reading.System, pid: str, name: str) -> None:
    put(host, "/run/alpamon.pid", pid)
    put(host, "/proc/4/comm", name)
    assert reading.read_process(host, "")["state"] == "none"


# The configuration


def test_configuration_without_and_with_its_key(host: reading.System) -> None:
    put(host, "/etc/alpamon/alpamon.conf", f"{CONFIGURATION}# was {KEY} before\n[x]\napi_token=t0k\n")
    found = reading.read_configuration(host, return_key=False)
    assert (found["url"], found["id"], found["key"], found["complete"]) == (URL, ID, None, True)
    assert "key = ********\n" in found["text"]
    assert "api_token=********" in found["text"]
    assert KEY not in str(found)
    assert found["readable"]
    assert reading.read_configuration(host, return_key=True)["key"] == KEY


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ('[server]\nurl: `https://a`\nid="i"\nkey =\n', {"url": "https://a", "id": "i"}),
        ("[ssl]\nkey = a\n[server]\nkey = b\n[x]\nkey = c\n", {"key": "b"}),
        ("key = a\n[server]\n; id = c\n#id = d\n  id = e # f\nid = g\n", {"id": "g"}),
    ],
)
def test_settings(text: str, settings: dict[str, str]) -> None:
    assert reading.read_settings(text) == settings


@pytest.mark.parametrize(
    ("server", "key", "complete"),
    [
        (ID, KEY, True),
        (ID.upper(), "!#[]~", True),
        (ID[:-17], KEY, False),
        (ID, "a\\b", False),
        (ID, "a\u00e9", False),
        (ID, "a\x7f", False),
    ],
)
def test_invalid_id_or_key(host: reading.System, server: str, key: str, complete: bool) -> None:
    put(host, "/etc/alpamon/alpamon.conf", f"[server]\nurl = {URL}\nid = {server}\nkey = {key}\n")
    found = reading.read_configuration(host, return_key=True)
    assert (found["id"], found["key"], found["complete"]) == (server, key, complete)
    # The options of modules have the same rules.
    assert (is_uuid(server) and is_valid_key(key)) is complete


@pytest.mark.parametrize(
    ("error", "readable"), [(PermissionError(13, "No."), False), (NotADirectoryError(20, "No."), True)]
)
def test_unreadable_and_missing_configurations(
    host: reading.System, monkeypatch: pytest.MonkeyPatch, error: OSError, readable: bool
) -> None:
    def refuse(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(reading, "open", refuse, raising=False)
    found = reading.read_configuration(host, return_key=True)
    assert (found["readable"], found["complete"], found["text"]) == (readable, False, "")


# The host


def test_files(host: reading.System) -> None:
    put(host, reading.CONFIGURATION, "text").chmod(0o640)
    folder = Path(host.root + reading.CONFIGURATION).parent
    folder.chmod(0o700)
    found = reading.read_agent(host)["files"]
    owner = {"uid": os.geteuid(), "gid": os.getegid()}
    assert found["/etc/alpamon"] == {"exists": True, "mode": "0700", **owner}
    digest = hashlib.sha256(b"text").hexdigest()
    assert found[reading.CONFIGURATION] == {"exists": True, "mode": "0640", **owner, "sha256": digest}
    # A link to a file is not followed.
    Path(host.root + reading.OVERRIDE).parent.mkdir(parents=True)
    Path(host.root + reading.OVERRIDE).symlink_to(host.root + reading.CONFIGURATION)
    assert "sha256" not in reading.read_agent(host)["files"][reading.OVERRIDE]


def test_folder_that_is_a_link_has_the_mode_of_its_target(host: reading.System) -> None:
    (folder := Path(host.root + "/srv/alpamon")).mkdir(parents=True, mode=0o700)
    Path(host.root + "/etc").mkdir()
    Path(host.root + "/etc/alpamon").symlink_to(folder)
    assert reading.read_agent(host)["files"]["/etc/alpamon"]["mode"] == "0700"


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("# Managed\n# Machine: 4567\n[server]\n", "4567"),
        ("[server]\nname = # Machine: 4567\n", ""),
        ("# Machine: 45 67\n", ""),
    ],
)
def test_machine_in_the_configuration(host: reading.System, text: str, machine: str) -> None:
    put(host, reading.CONFIGURATION, text)
    assert reading.read_agent(host)["registered_machine_id"] == machine


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ('ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="13"\n', ("debian", "Debian GNU/Linux", "13")),
        ("ID='opensuse-leap'\nVERSION_ID=15.6\n", ("opensuse-leap", "opensuse-leap", "15.6")),
        ("ID=debian\nNAME=Debian\n", ("debian", "Debian", "")),
        ("# ID=x\n", ("", "Linux", "")),
    ],
)
def test_distributions(host: reading.System, text: str, distribution: tuple[str, str, str]) -> None:
    put(host, "/usr/lib/os-release", text)
    identifier, name, version = distribution
    assert reading.read_distribution(host) == {"id": identifier, "name": name, "version": version}


@pytest.mark.parametrize(("node", "name"), [("web.example.com", "web"), ("localhost.localdomain", ""), ("(none)", "")])
def test_short_hostnames(host: reading.System, monkeypatch: pytest.MonkeyPatch, node: str, name: str) -> None:
    monkeypatch.setattr(platform, "node", lambda: node)
    assert reading.read_agent(host)["hostname"] == name


# Python 3.6, which ruff and mypy do not check

PATHS = ["plugins/modules/alpamon_info.py", "plugins/module_utils/_agent/reading.py"]
#: Modules of Python 3.6. Check its documentation before adding one.
KNOWN = {"ansible.module_utils.basic", "hashlib", "os", "platform", "re", "shutil", "stat", "time", "typing"}


@pytest.mark.parametrize("path", PATHS)
def test_syntax_and_imports_of_python_3_6(path: str) -> None:
    tree: Any = ast.parse((ROOT / path).read_text(encoding="utf-8"), feature_version=(3, 6))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module for module in modules if not module.startswith("ansible_collections.")} <= KNOWN
    # Annotations as text came with 3.7, and types such as list[str] with 3.9.
    subscripted = [node.value for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    assert {node.id for node in subscripted if isinstance(node, ast.Name)} & {"dict", "list", "tuple", "type"} == set()
