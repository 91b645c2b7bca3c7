# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in agent on hosts: what the role relies on. Needs what hosts need; `make molecule` runs it."""

from __future__ import annotations

import subprocess
import time
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosts import Hosts, Wanted, missing, network
from hosts.needs import PROGRAMS as HOST_PROGRAMS
from workspace.client import Workspace

from agent import Repository
from agent.repository import CHANNELS, PROGRAMS

BUILD = Path(__file__).resolve().parents[2] / "build"
SYSTEMD = ("debian12", "debian13")
FAMILIES = ("debian13", "rocky", "leap")
EVERY = ("debian12", *FAMILIES, "plain")
KEYRING = "/etc/apt/keyrings/alpamon.asc"
FETCH = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())"
REPO = r"[alpamon]\nbaseurl={place}/rpm_any/rpm_any/\$basearch\nrepo_gpgcheck=1\ngpgcheck=0\ngpgkey={place}/gpgkey\n"


class Manager(t.NamedTuple):
    """How a package manager is told of the repository in a place, and what installs and removes the agent."""

    add: str
    install: str
    remove: str


MANAGERS = {
    "apt": Manager(
        f"mkdir -p /etc/apt/keyrings && python3 -c '{FETCH}' {{place}}/gpgkey >{KEYRING} "
        f"&& echo 'deb [signed-by={KEYRING}] {{place}}/any/ any main' >/etc/apt/sources.list.d/alpamon.list "
        "&& apt-get update",
        "apt-get install --yes --no-install-recommends alpamon={version}",
        "apt-get purge --yes alpamon",
    ),
    "dnf": Manager(
        f'printf "{REPO}" >/etc/yum.repos.d/alpamon.repo && dnf --assumeyes makecache',
        "dnf --assumeyes --setopt=install_weak_deps=False install alpamon-{version}",
        "dnf --assumeyes remove alpamon",
    ),
    "zypper": Manager(
        "zypper addrepo --refresh '{place}/rpm_any/rpm_any/$basearch' alpamon && zypper --gpg-auto-import-keys refresh",
        "zypper --non-interactive install --no-recommends alpamon={version}",
        "zypper --non-interactive remove alpamon",
    ),
}
#: What hosts do not have apt.
OTHERS = {"rocky": "dnf", "leap": "zypper"}

Run = subprocess.CompletedProcess[str]


class Fleet(t.NamedTuple):
    """Hosts with the agent's repository, and their workspace."""

    hosts: Hosts
    workspace: Workspace
    token: str

    def ssh(self, host: str, line: str) -> Run:
        """Run a line on a host."""
        command = ["ssh", "-F", str(self.hosts.ssh_config), host, line]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    def register(self, host: str, options: str = "") -> Run:
        """Register a host with the agent's own command."""
        return self.ssh(host, f"alpamon register --url {self.workspace.url} --token {self.token} {options}")

    def records(self, host: str) -> list[dict[str, t.Any]]:
        """The records of a host."""
        return [record for record in self.workspace.registered() if record["name"].startswith(f"{host}-")]

    def connected(self, host: str) -> str:
        """The name of a host's only record, once its agent is connected and has told of its host."""
        (record,) = self.records(host)
        self.workspace.wait_connected(record["name"])
        wait(lambda: bool(self.records(host)[0]["commissioned"]))
        return str(record["name"])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if lacking := missing(HOST_PROGRAMS | PROGRAMS):
        pytest.skip("; ".join(lacking))
    with (
        network.bridge() as address,
        Hosts(tmp_path_factory.mktemp("hosts"), BUILD / "hosts/images") as hosts,
        Repository(BUILD / "agent", address) as repository,
        Workspace(servers=0, host=address) as workspace,
    ):
        systems = [Wanted("debian12", "bookworm"), Wanted("debian13"), Wanted("rocky", "rocky"), Wanted("leap", "leap")]
        hosts.up([*systems, Wanted("plain", kind="plain")])
        made = Fleet(hosts, workspace, workspace.add_registration_token()["key"])
        place = f"{repository.url}/{CHANNELS['stable']}"
        for host in EVERY:
            added = made.ssh(host, manager(host).add.format(place=place))
            assert added.returncode == 0, added.stderr
        yield made


@pytest.fixture
def install(fleet: Fleet) -> Iterator[Callable[..., None]]:
    """Installs the agent on a host; at the end it is gone, with its record."""
    used = []

    def install_on(host: str, version: str = "2.5.0") -> None:
        used.append(host)
        done = fleet.ssh(host, manager(host).install.format(version=version))
        assert done.returncode == 0, done.stderr

    yield install_on
    for host in set(used):
        fleet.ssh(host, f"alpamon unregister --yes; pkill -x alpamon; {manager(host).remove}; rm -rf /etc/alpamon")


def manager(host: str) -> Manager:
    return MANAGERS[OTHERS.get(host, "apt")]


def wait(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("host", EVERY)
def test_a_fresh_package_starts_nothing_and_a_registered_host_answers(
    fleet: Fleet, install: Callable[..., None], host: str
) -> None:
    install(host)
    assert fleet.ssh(host, "pgrep -x alpamon").returncode == 1
    assert fleet.ssh(host, "alpamon --version").stdout == "2.5.0\n"
    done = fleet.register(host, "--tag env=test,site=lab")
    assert done.returncode == 0, done.stderr
    name = fleet.connected(host)
    assert f"Name: {name}" in done.stdout
    assert fleet.records(host)[0]["tags"] == {"env": "test", "site": "lab"}
    command = fleet.workspace.submit(name, "hostname")
    assert fleet.workspace.wait_for_command(command)["exit_code"] == 0
    assert fleet.workspace.api("GET", f"events/commands/{command}/").json()["result"] == f"{host}\n"


@pytest.mark.parametrize("host", [*SYSTEMD, "plain"])
def test_a_second_registration_is_refused_unless_forced_and_leaves_one_record(
    fleet: Fleet, install: Callable[..., None], host: str
) -> None:
    install(host)
    fleet.register(host)
    (first,) = fleet.records(host)
    again = fleet.register(host)
    assert again.returncode == 1
    assert "Error: config file already exists:" in again.stderr
    if host != "plain":  # without systemd the old process stays, as it does with the genuine one
        assert fleet.register(host, "--force").returncode == 0
        (second,) = fleet.records(host)
        assert second["id"] != first["id"]
        fleet.connected(host)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("", 'Error: required flag(s) "token", "url" not set'),
        ("--url {url} --token wrong", "Error: registration failed (status 401): "),
        ("--url http://10.77.0.1:1 --token {token}", "Error: request failed: "),
        ("--url {url} --token {token} --name ...", "leaves no valid server name"),
    ],
)
def test_a_registration_that_fails_says_why_and_leaves_nothing(
    fleet: Fleet, install: Callable[..., None], options: str, complaint: str
) -> None:
    install("plain")
    done = fleet.ssh("plain", "alpamon register " + options.format(url=fleet.workspace.url, token=fleet.token))
    assert done.returncode == 1
    assert complaint in done.stderr
    assert fleet.ssh("plain", "ls /etc/alpamon").stdout == ""
    assert fleet.records("plain") == []


@pytest.mark.parametrize("host", SYSTEMD)
def test_an_agent_without_a_record_stays_active_and_says_nothing(
    fleet: Fleet, install: Callable[..., None], host: str
) -> None:
    install(host)
    fleet.register(host)
    name = fleet.connected(host)
    fleet.workspace.remove_server(name)
    fleet.ssh(host, "systemctl restart alpamon; sleep 2")
    assert fleet.ssh(host, "systemctl is-active alpamon").stdout == "active\n"
    journal = fleet.ssh(host, "journalctl --unit alpamon --output cat --lines 2").stdout
    assert "Initialized global worker pool" in journal


@pytest.mark.parametrize("host", SYSTEMD)
def test_a_quit_ends_the_agent_for_good(fleet: Fleet, install: Callable[..., None], host: str) -> None:
    install(host)
    fleet.register(host)
    fleet.workspace.order_agent(fleet.connected(host), "quit")
    wait(lambda: fleet.ssh(host, "systemctl is-active alpamon").stdout == "inactive\n")
    shown = fleet.ssh(host, "systemctl show --property ExecMainStatus,NRestarts alpamon").stdout
    assert set(shown.split()) == {"ExecMainStatus=0", "NRestarts=0"}


@pytest.mark.parametrize("host", FAMILIES)
def test_an_upgrade_leaves_the_old_agent_running_and_a_timer_behind(
    fleet: Fleet, install: Callable[..., None], host: str
) -> None:
    install(host, "2.4.0")
    fleet.register(host)
    name = fleet.connected(host)
    install(host, "2.4.1")
    assert fleet.ssh(host, "systemctl is-active alpamon-restart.timer").stdout == "active\n"
    assert fleet.records(host)[0]["version"] == "2.4.0"
    assert fleet.records(host)[0]["is_connected"]
    fleet.ssh(host, "systemctl start alpamon-restart.service")
    wait(lambda: not fleet.records(host)[0]["is_connected"])
    time.sleep(1)
    assert fleet.ssh(host, "systemctl is-active alpamon").stdout == "active\n"
    assert [record["name"] for record in fleet.records(host) if record["is_connected"]] == [], name


def test_a_configuration_without_verify_turns_verification_off(fleet: Fleet, install: Callable[..., None]) -> None:
    install("plain")
    lines = "[server]\\nurl = https://10.77.0.1:1\\nid = i\\nkey = k\\n"
    for rest, warned in (("", True), ("[ssl]\\nverify = maybe\\n", True), ("[ssl]\\nverify = true\\n", False)):
        fleet.ssh("plain", f"printf '{lines}{rest}' > /etc/alpamon/alpamon.conf")
        said = fleet.ssh("plain", "timeout 2 alpamon").stderr
        assert ("SSL verification is turned off" in said) == warned


def test_unregister_is_content_with_nothing_to_do(fleet: Fleet, install: Callable[..., None]) -> None:
    install("plain")
    fleet.register("plain")
    assert fleet.ssh("plain", "alpamon unregister </dev/null").returncode == 1
    assert fleet.ssh("plain", "alpamon unregister --yes").returncode == 0
    assert fleet.records("plain") == []
    assert fleet.ssh("plain", "alpamon unregister --yes").returncode == 0


@pytest.mark.parametrize("host", FAMILIES)
def test_a_package_that_is_removed_has_stopped_its_units(fleet: Fleet, install: Callable[..., None], host: str) -> None:
    install(host)
    fleet.register(host)
    fleet.connected(host)
    done = fleet.ssh(host, manager(host).remove)
    assert done.returncode == 0, done.stderr
    assert fleet.ssh(host, "pgrep -x alpamon").returncode == 1
    assert fleet.ssh(host, "systemctl is-enabled alpamon alpamon-restart.timer").stdout.split() == ["not-found"] * 2
