# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the role alpamon on scripted hosts. Its decisions are in _agent/test_plan.py, real hosts in Molecule.

A run costs seconds, so hosts in different states share one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import collection_tree
import pytest
import yaml
from ansible_cores import CORES
from system.scripted_hosts import (
    DEBIAN,
    KEY,
    MACHINE,
    Answer,
    Distribution,
    ScriptedHost,
    agent_facts,
    configuration,
    connect_agents,
    installed,
    make_signing_key,
    run_role,
    upgraded,
)
from system.support import Response, ScriptedServer
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

#: The facts that the role gives, and those that hold the key of a server while it is needed.
FACTS = (
    "alpamon_server_id",
    "alpamon_connected",
    "alpamon_installed_version",
    "alpamon_orphans",
    "alpamon_duplicates",
)
KEYS = ("__alpamon_registration", "__alpamon_host", "__alpamon_host_after")
CONFIGURATION, LOCK = "/etc/alpamon/alpamon.conf", "/run/alpamon-registering"
ID = "550e8400-e29b-41d4-a716-446655440000"
CA, KEY_FILE = "/usr/local/share/ca-certificates/alpamon.crt", "/etc/apt/keyrings/alpacax_alpamon.asc"
SOURCES = "/etc/apt/sources.list.d/alpacax_alpamon.sources"
VENDOR = "https://packagecloud.io/alpacax/alpamon"
FULL = {"failed": True, "rc": 1, "msg": "No space left on device", "stdout": "", "stderr": ""}
ROCKY, LEAP = Distribution("Rocky", "9.4", "dnf"), Distribution("openSUSE Leap", "15.6", "zypper")
QUICK = ("-e", json.dumps({"alpamon_connect_timeout": "1s", "__alpamon_lock_retries": 2}))
#: How many task banners a converged run of the role alone may take, and how many lines a host that fails.
CONVERGED, LINES = 9, 25

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
in_every_core = pytest.mark.parametrize("core", CORES)


@in_every_core
def test_present_and_again(current: Workspace, tmp_path: Path, core: str) -> None:
    token, old = current.add_registration_token()["key"], current.register("again")
    body = {"groups": [current.add_group("Production")]}
    current.api("PATCH", f"servers/servers/{old['id']}/", json=body).raise_for_status()
    offline = current.register("twice")
    for record in (old, offline):
        current.change_server(record["name"], commissioned=True, is_connected=False)
    (tmp_path / "plays/files").mkdir(parents=True)
    for file in ("plays/files/our.pem", "plays/files/alpamon_2.5.0.deb", "plays/beside.asc", "here.deb"):
        (tmp_path / file).write_text(f"{Path(file).name}\n", encoding="utf-8")
    show = {"debug": {"msg": {name: f"{{{{ {name} }}}}" for name in (*FACTS, *KEYS)}}}
    play = {"hosts": "all", "gather_facts": False, "roles": ["herdops.alpacon.alpamon"], "post_tasks": [show]}
    (tmp_path / "plays/site.yml").write_text(json.dumps([play]), encoding="utf-8")
    damaged = agent_facts(configuration={"url": current.url, "id": ID, "key": None, "complete": False, "text": ""})
    own = {"alpamon_package_file": "here.deb", "alpamon_manage_repository": False}
    hosts = {
        "apt": ScriptedHost(variables={"alpamon_tags": {"env": "test"}, "alpamon_service_override": "[Service]\n"}),
        "dnf": ScriptedHost(ROCKY, variables={"alpamon_name": "db.a", "alpamon_hold": True}),
        # As zypper ends where it has installed, and has passed over another repository.
        "zypper": ScriptedHost(
            LEAP,
            [("^command .*zypper.*install", {"rc": 106, "failed": True, "stdout": ""})],
            {"alpamon_channel": "rc", "alpamon_ca_cert_content": "A CA\n"},
        ),
        "file": ScriptedHost(variables={"alpamon_ca_cert": "our.pem", "alpamon_package_file": "alpamon_2.5.0.deb"}),
        "beside": ScriptedHost(variables={"alpamon_repository_key": "beside.asc", "alpamon_ca_cert": "here.deb"}),
        "started": ScriptedHost(variables=own),
        "damaged": ScriptedHost(answers=damaged, variables={"alpamon_validate_certs": False}),
        "twice": ScriptedHost(Distribution("Debian", "13.1", hostname="twice")),
        "again": ScriptedHost(Distribution("Debian", "13.1", hostname="again"), variables={"alpamon_replace": True}),
    }
    given = {"core": core, "playbook": str(tmp_path / "plays/site.yml"), "ALPACON_REGISTRATION_TOKEN": token}
    with connect_agents(current, but=[old["name"], offline["name"]]):
        done = run_role(tmp_path, current, hosts, **given)
        assert done.code == 0, done.log
        records = {record["id"]: record for record in current.registered()}
        # Package files are copied again, since only their content shows a change.
        once_more = {
            name: replace(hosts[name], answers=[*agent_facts(held=name == "dnf"), *done[name].left()])
            for name in ("apt", "dnf", "zypper", "again")
        }
        current.reset_counters()
        again = run_role(tmp_path / "again", current, once_more, **given)
    assert again.code == 0, again.log
    assert [call.module for host in again.hosts.values() for call in host.calls] == ["alpamon_info"] * 4
    assert current.counters()["writes"] == 0
    assert again.banners <= CONVERGED, again.log
    for run in (done, again):
        assert token not in run.log
        assert all(record["key"] not in run.log for record in records.values())
        assert all(host.shown["alpamon_connected"] is True for host in run.hosts.values())
    its = {name: records[host.shown["alpamon_server_id"]] for name, host in done.hosts.items()}
    assert (its["apt"]["tags"]["env"], its["again"]["groups"]) == ("test", ["Production"])
    assert old["id"] not in records
    assert done["twice"].shown["alpamon_duplicates"] == [f"{offline['name']}, {offline['id']}"]
    for host in done.hosts.values():
        # With credentials in its environment, the package would register the host by itself.
        assert {call.environment.get("PLUGIN_KEY") for call in host.calls if call.module in ("apt", "dnf")} <= {""}
        assert f"# Machine: {MACHINE}\n" in host.files[CONFIGURATION]
        [row] = [row for row in host.of("copy") if row["dest"] == CONFIGURATION]
        assert (row["mode"], row["owner"]) == ("0600", "root")
        assert LOCK in host.removed
        assert {"/etc/alpamon", "/var/lib/alpamon"} <= {row["path"] for row in host.of("file") if "mode" in row}
        units = [(row["name"], row["state"], row["enabled"]) for row in host.of("systemd_service")]
        assert units == [("alpamon.service", "restarted", True), ("alpamon-restart.timer", "stopped", False)]
    apt, dnf, zypper = (done[name] for name in ("apt", "dnf", "zypper"))
    assert apt.files["/etc/systemd/system/alpamon.service.d/ansible.conf"] == "[Service]\n"
    assert apt.files[KEY_FILE] == dnf.files["/etc/pki/rpm-gpg/RPM-GPG-KEY-alpamon"] == KEY
    assert "dnf versionlock add alpamon" in dnf.commands
    assert {"zypper --non-interactive install --no-recommends alpamon", "update-ca-certificates"} <= set(
        zypper.commands
    )
    assert zypper.files["/etc/pki/trust/anchors/alpamon.pem"] == "A CA\n"
    packages = [done[name].of("apt")[-1]["deb"] for name in ("file", "started")]
    assert packages == ["/var/cache/alpamon/alpamon_2.5.0.deb", "/var/cache/alpamon/here.deb"]
    assert done["beside"].files[KEY_FILE] == "beside.asc\n"
    assert (done["file"].files[CA], done["beside"].files[CA]) == ("our.pem\n", "here.deb\n")
    assert done["damaged"].shown["alpamon_orphans"] == [ID]


UNCHANGED = ("^(apt|copy) ", {"changed": False})


@in_every_core
def test_upgrades_and_rollbacks(current: Workspace, tmp_path: Path, core: str) -> None:
    token = current.add_registration_token()["key"]
    by_file = {"alpamon_package_file": str(tmp_path / "alpamon_2.5.0.deb")}
    Path(by_file["alpamon_package_file"]).touch()
    kept = ("^find ", {"files": [{"path": "/var/cache/alpamon/alpamon_2.4.1_amd64.deb"}]})
    missing = {"failed": True, "msg": "E: Version '2.4.0' for 'alpamon' was not found"}
    index = ("^command .*simulate.*alpamon=2.5.1", {"rc": 100, "stdout": "", "stderr": "E: no such version"})
    held = [*agent_facts(held=True), *installed("2.4.0")]
    pinned = {"alpamon_version": "2.5.0", "recording_brings": "2.5.0"}
    image = {"alpamon_state": "installed", "alpamon_version": "2.5.1"}
    rows = "".join(f" alpamon | {found} | {VENDOR} amd64 Packages\n" for found in ("2.5.10-1", "1:2.5.1-2", "2.5.1-1"))
    versions = ("^command .*madison", {"rc": 0, "stdout": rows})
    added = ("agent", {"shell": f"grep -q 'versionlock.*add' {tmp_path}/locks.calls && echo '{{\"held\": true}}'"})
    unknown = [
        ("^apt .*alpamon", FULL),
        ("^command .*apt-mark", {"failed": True, "rc": 100, "msg": "No packages found"}),
    ]
    hosts = {
        "rolls": ScriptedHost(DEBIAN, [*upgraded(current, "outdated", "2.4.0"), UNCHANGED]),
        "asis": ScriptedHost(DEBIAN, upgraded(current, "outdated", "2.4.0"), {"alpamon_rollback": False}),
        "gone": ScriptedHost(DEBIAN, [("^apt .*alpamon=2.4.0", missing), *held], {**pinned, "alpamon_hold": True}),
        "file": ScriptedHost(DEBIAN, [kept, *upgraded(current, "outdated", "2.4.1")], by_file),
        "revised": ScriptedHost(DEBIAN, [index, versions], image),
        "older": ScriptedHost(DEBIAN, installed("2.5.2"), {**image, "alpamon_allow_downgrade": True}),
        "other": ScriptedHost(DEBIAN, held, {**image, "recording_brings": "2.5.10"}),
        "full": ScriptedHost(DEBIAN, [("^apt .*alpamon=2.5.1", FULL), *held], image),
        "nothing": ScriptedHost(DEBIAN, unknown, {"alpamon_state": "installed", "alpamon_hold": True}),
        "locks": ScriptedHost(ROCKY, [added, *installed("2.4.0")], {"alpamon_version": "2.5.0", "alpamon_hold": True}),
    }
    done = run_role(tmp_path, current, hosts, *QUICK, show=KEYS, core=core, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 2, done.log
    assert not [record for record in current.registered() if record["key"] in done.log]
    why = "Not connected within 1 s. An agent of version 2.4.0 is connected, not 2.5.0."
    assert (done["asis"].failure[: len(why)], done["asis"].of("apt")) == (why, [])
    assert re.search(f"2.5.0 did not connect. alpamon 2.4.0 is back and connected.*{why}", done["rolls"].failure, re.S)
    assert [row["name"] for row in done["rolls"].of("apt")] == ["alpamon=2.4.0"]
    # Without that, systemd refuses to start the version that works after one that has ended several times.
    assert "systemctl reset-failed alpamon.service" in done["rolls"].commands
    assert max(done.lines_of_failures(name) for name in ("rolls", "gone", "asis", "full")) <= LINES
    assert "2.4.0 could not be installed again, and alpamon 2.5.0 is installed." in done["gone"].failure
    assert f"{missing['msg']}\nWhy alpamon 2.5.0 did not connect:\nNot connected" in done["gone"].failure
    assert done["file"].of("apt")[-1]["deb"] == "/var/cache/alpamon/alpamon_2.4.1_amd64.deb"
    [pattern] = [row["patterns"] for row in done["file"].of("find")]
    names = ["2.4.1_amd64", "2.4.1-1.x86_64", "2.4.10_amd64", "2.4.1-rc1", "2.4.1~rc1_amd64", "12.4.1"]
    assert [name for name in names if re.match(pattern, f"alpamon_{name}.deb")] == names[:2]
    assert done["revised"].of("apt")[-1]["name"] == "alpamon=1:2.5.1-2"
    assert done["older"].of("apt")[-1]["allow_downgrade"] is True
    assert "alpamon_version is 2.5.1, and alpamon 2.5.10 is installed" in done["other"].failure
    assert "No space left on device" in done["full"].failure
    assert "No space left on device" in done["nothing"].failure
    # The hold that the upgrade has added does not keep the previous version out.
    locks = [line.split()[2] for line in done["locks"].commands if "versionlock" in line]
    assert locks == ["add", "delete", "add"]
    # A package that was held before a run that fails is held after it.
    for name in ("gone", "other", "full"):
        assert [line for line in done[name].commands if "hold" in line][-1] == "apt-mark hold alpamon", name


@in_every_core
@pytest.mark.promise
def test_failures_leave_no_record_and_show_no_secret(current: Workspace, tmp_path: Path, core: str) -> None:
    token = current.add_registration_token()["key"]
    log = "alpamon.service: Main process exited, code=exited, status=78/CONFIG\n"
    log += f'{{"level":"debug"}} Authorization: id="{ID}", key="abc-DEF_123"\ntoken={token}\nBackhaul closed.'
    locked = {"rc": 100, "stdout": "", "stderr": "E: Could not get lock /var/lib/apt/lists/lock."}
    busy = Distribution("Debian", "13.1", hostname="busy")
    url = "https://user:hunter2@mirror.example/alpamon"
    private = {"alpamon_state": "installed", "alpamon_repository_url": url, "alpamon_package_proxy": url}
    index = ("^command .*(apt-get|makecache|refresh)", {"rc": 1, "stderr": f"Cannot read {url}"})
    page = ("^uri ", {"failed": True, "status": 404, "url": url, "msg": f"Cannot read {url}"})
    named, own = make_signing_key(tmp_path / "own")
    other, foreign = make_signing_key(tmp_path / "foreign")
    trusted = {"alpamon_key_fingerprints": named}
    keys = {
        "foreign": (foreign, other),
        "both": (own + foreign, f"{named}, {other}"),
        "page": (KEY, "of no key"),
    }
    pages = {name: ({"status": 200, "content": key}, message) for name, (key, message) in keys.items()}
    hosts = {
        "full": ScriptedHost(DEBIAN, [("^copy .*alpamon.conf", FULL)]),
        "locked": ScriptedHost(DEBIAN, [("^command .*apt-get", locked)]),
        "busy": ScriptedHost(busy, [("^command .*set -C", {"rc": 1, "stderr": "Taken."})]),
        "silent": ScriptedHost(
            DEBIAN, [("^command .*journalctl", {"rc": 0, "stdout": log}), *agent_facts(clock_ahead=-86400)]
        ),
        **{name: ScriptedHost(DEBIAN, [("^uri ", page)], trusted) for name, (page, _message) in pages.items()},
        "lost key": ScriptedHost(DEBIAN, [page], private),
        **{f"{each.manager} fails": ScriptedHost(each, [index], private) for each in (DEBIAN, ROCKY, LEAP)},
        **{f"{each.manager} works": ScriptedHost(each, variables=private) for each in (DEBIAN, ROCKY, LEAP)},
        "misspelt": ScriptedHost(variables={"alpamon_versoin": "2.5.0"}),
        "own connection": ScriptedHost(variables={"ansible_connection": "herdops.alpacon.alpacon"}),
        "setting": ScriptedHost(variables={"alpamon_settings": {"max_worker": 3}}),
        "odd": ScriptedHost(DEBIAN, agent_facts(configuration=[], hostname="{{ 1 + 1 }}\n")),
    }
    done = run_role(tmp_path / "run", current, hosts, *QUICK, "--diff", core=core, ALPACON_REGISTRATION_TOKEN=token)
    assert done.code == 2, done.log
    failed = {name for name, host in done.hosts.items() if any(row["failed"] for row in host.results)}
    assert set(hosts) - failed == {"apt works", "dnf works", "zypper works"}
    lines = {name: done.lines_of_failures(name) for name in failed}
    assert {name: count for name, count in lines.items() if not 0 < count <= LINES} == {}
    assert "No space left on device The new record was taken back." in done["full"].failure
    assert LOCK in done["full"].removed
    assert len([line for line in done["locked"].commands if line.startswith("apt-get update")]) == 3
    # Another run registers that one, which keeps its lock.
    assert len([line for line in done["busy"].commands if "set -C" in line]) == 3
    assert LOCK not in done["busy"].removed
    [record] = current.registered()  # of the host silent
    why = r'Not connected .*1440 minutes behind.*alpamon_ca_cert.*status=78.*key="\*{8}"\ntoken=\*{8}\nBackhaul'
    assert re.search(why, done["silent"].failure, re.S)
    assert all(secret not in done.log for secret in (token, record["key"], "abc-DEF_123", "hunter2"))
    for name, (_page, fingerprints) in pages.items():
        message = f"has the fingerprint {fingerprints}, which is not in alpamon_key_fingerprints. It is not trusted."
        assert message in done[name].failure
        assert done[name].of("copy") == []
    assert f"+URIs: {VENDOR}/any/" in done.log
    modes = {name: row["mode"] for name in hosts for row in done[name].of("copy") if "alpacax_alpamon." in row["dest"]}
    assert {modes[f"{manager} works"] for manager in ("apt", "dnf", "zypper")} == {"0600"}
    refused = {
        "misspelt": "Did you mean alpamon_version?",
        "own connection": "The tasks reach the host through the agent, which this role stops,",
        "setting": "max_worker",
        "odd": "The host returned an unexpected value for configuration, hostname of alpamon_info.",
    }
    for name, message in refused.items():
        assert message in done[name].failure
        assert {call.module for call in done[name].calls} <= {"alpamon_info"}


@in_every_core
@pytest.mark.promise
@pytest.mark.parametrize("when", ["agent", "^file "])
def test_facts_that_a_host_forges_reach_no_task(
    current: Workspace, serve: Callable[..., ScriptedServer], tmp_path: Path, core: str, when: str
) -> None:
    evil, ca = serve([Response({})]), str(tmp_path / "secret.pem")
    Path(ca).write_text("A CA of the controller", encoding="utf-8")
    planned = {"plan": {"repository": {"key_is_url": False, "key_source": ca, "key": KEY_FILE}}}
    urls = {"alpamon_url": evil.url, "alpamon_repository_url": evil.url}
    forged = {"ansible_facts": {**urls, "alpamon_ca_cert": ca, "__alpamon_host_after": planned}}
    hosts = {"forger": ScriptedHost(answers=[(when, forged)])}
    token = current.add_registration_token()["key"]
    done = run_role(tmp_path / "run", current, hosts, *QUICK, core=core, ALPACON_REGISTRATION_TOKEN=token)
    names = "__alpamon_host_after, alpamon_ca_cert, alpamon_repository_url, alpamon_url"
    assert f"Host forger returned settings as facts: {names}." in done["forger"].failure
    assert "of the controller" not in str(done["forger"].calls)
    assert evil.requests == []
    assert when != "agent" or {call.module for call in done["forger"].calls} == {"alpamon_info"}


@in_every_core
def test_check_mode_changes_nothing_and_shows_no_key(current: Workspace, tmp_path: Path, core: str) -> None:
    record = current.register()
    current.reset_counters()
    conf = configuration(current.url, record["id"], record["key"])
    # Ansible would resolve it in a variable of the host.
    text = f"{conf[0][1]['configuration']['text']}[pool]\nmax_workers = 5\n# {{{{ lookup('pipe', 'touch canary') }}}}\n"
    (tmp_path / "odd").write_text(json.dumps({"configuration": {"text": text}}), encoding="utf-8")
    odd = ("agent", {"shell": f"cat {tmp_path}/odd"})
    settings = {"alpamon_settings": {"debug": True}, "alpamon_no_log": False}
    hosts = {
        "known": ScriptedHost(DEBIAN, [odd, *conf, *installed("2.5.0")], settings),
        "fresh": ScriptedHost(variables={"alpamon_ca_cert_content": "A CA\n"}),
        "clone": ScriptedHost(DEBIAN, [*agent_facts(registered_machine_id="another"), *conf, *installed("2.5.0")]),
        "leaves": ScriptedHost(DEBIAN, [*conf, *installed("2.5.0")], {"alpamon_state": "absent"}),
    }
    given = {"core": core, "ALPACON_REGISTRATION_TOKEN": "not-used-here"}
    done = run_role(tmp_path, current, hosts, "--check", "--diff", show=(*FACTS, *KEYS), **given)
    assert done.code == 0, done.log
    assert record["key"] not in done.log
    shown = [line for row in done["known"].results if isinstance(row.get("msg"), list) for line in row["msg"]]
    assert {"- # {{ lookup('pipe', 'touch canary') }}", "+ debug = true"} <= set(shown)
    assert not any("max_workers" in line for line in shown), "the host keeps a setting that is not mentioned"
    assert not (tmp_path / "canary").exists()
    assert not any("key" in line for line in shown)
    assert "alpamon would be installed." in done.log
    assert current.counters()["writes"] == 0
    for host in done.hosts.values():
        assert all(call.check_mode or call.module in ("command", "uri") for call in host.calls)
    # A server that would be registered has no id yet.
    ids = [done[name].shown["alpamon_server_id"] for name in ("known", "fresh", "clone")]
    assert ids == [record["id"], "", ""]


@in_every_core
@pytest.mark.promise
def test_absent_and_the_token_of_the_workspace(
    current: Workspace, serve: Callable[..., ScriptedServer], tmp_path: Path, core: str
) -> None:
    # The workspace refuses the credentials now. With an API token, the task could still search for the record.
    gone = Response({"detail": "Authentication credentials were not provided."}, 403)
    other, original, left = serve([gone]), current.register(), current.register()
    missing = {"failed": True, "msg": "Could not find the requested service a: host"}
    unable = {"failed": True, "msg": "Unable to stop"}
    there, absent = installed("2.5.0"), {"alpamon_state": "absent", "alpamon_token": current.token}
    copied = [
        *agent_facts(registered_machine_id="another"),
        *configuration(current.url, original["id"], original["key"]),
    ]
    damaged = {"url": current.url, "id": ID, "key": None, "complete": False, "text": ""}
    (tmp_path / "damaged").write_text(json.dumps({"configuration": damaged}), encoding="utf-8")
    until_removed = {"shell": f"grep -q '{CONFIGURATION}.*absent' {tmp_path}/half.calls || cat {tmp_path}/damaged"}
    answers: dict[str, list[Answer]] = {
        "half": [("agent", until_removed), *there],
        "own": [*configuration(f"{current.url.upper()}//", left["id"], left["key"]), *there],
        "clone": [*copied, *there],
        # It has the id of another server, and not its key.
        "liar": [*configuration(current.url, original["id"], "k"), *there],
        "other": [*configuration(other.url, ID, "k"), *there],
        "away": [*configuration("http://127.0.0.1:9", ID, "k"), *there],
        "archive": agent_facts(service={"active": True, "enabled": True}),
        "no unit": [("^systemd_service .*stopped", missing), *there],
        "refuses": [("^systemd_service .*stopped", unable), *there],
        "container": agent_facts(service_manager="bash", version="2.5.0"),
    }
    hosts = {name: ScriptedHost(DEBIAN, its, absent) for name, its in answers.items()}
    hosts["image"] = ScriptedHost(DEBIAN, [*copied, *there], {"alpamon_state": "installed"})
    done = run_role(tmp_path, current, hosts, show=FACTS, core=core)
    assert {name for name, host in done.hosts.items() if host.failure} == {"refuses"}, done.log
    assert [record["id"] for record in current.registered()] == [original["id"]]
    asked = [(request.method, request.headers["Authorization"]) for request in other.requests]
    assert asked == [("DELETE", f'id="{ID}", key="k"')]
    shown = {name: host.shown for name, host in done.hosts.items() if name != "refuses"}
    orphans = {name: facts["alpamon_orphans"] for name, facts in shown.items() if facts["alpamon_orphans"]}
    assert orphans == {"away": [ID], "half": [ID]}
    assert {facts["alpamon_server_id"] for facts in shown.values()} == {""}
    assert f"The record {ID} may be left behind" in done.log
    for name in set(answers) - {"refuses"}:
        assert {"/etc/alpamon", "/var/lib/alpamon", "/run/alpamon", SOURCES} <= set(done[name].removed), name
        assert done[name].of("apt")[-1]["state"] == "absent"
    stopped = {"name": "alpamon.service", "enabled": False, "state": "stopped"}
    assert all(stopped in done[name].of("systemd_service") for name in ("own", "archive", "no unit", "image"))
    assert done["container"].of("systemd_service") == []


@pytest.mark.parametrize("page", ["docs/docsite/rst/agent_rollout.rst", "roles/alpamon/README.md"])
def test_the_play_of_the_guide_installs_the_agent(current: Workspace, tmp_path: Path, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    [play] = re.findall(r"(?m)^ *- name: Install the agent\n(?: +.*\n)+", text)
    play = textwrap.dedent(play).replace("https://my-workspace.us1.alpacon.io", current.url)
    (tmp_path / "site.yml").write_text(play.replace("hosts: web", "hosts: all"), encoding="utf-8")
    variables = {"vault_registration_token": current.add_registration_token()["key"]}
    with connect_agents(current):
        hosts = {"web-01": ScriptedHost(variables=variables)}
        done = run_role(tmp_path, current, hosts, playbook=str(tmp_path / "site.yml"))
    assert done.code == 0, done.log
    assert len(current.registered()) == 1


def test_lock_of_registrations(tmp_path: Path) -> None:
    lock = tmp_path / "registering"
    tasks = yaml.safe_load((collection_tree.ROOT / "roles/alpamon/tasks/present.yml").read_text(encoding="utf-8"))
    [block] = [task["block"] for task in tasks if task["name"] == "Register and configure the host"]
    script = block[0]["ansible.builtin.shell"].replace("{{ __alpamon_plan.lock }}", str(lock))

    def take() -> tuple[int, str]:
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.partition(":")[0]

    assert take() == (0, "")
    assert take() == (1, "Another run registers this host")
    os.utime(lock, (time.time() - 200,) * 2)
    assert take()[0] == 1
    os.utime(lock, (time.time() - 250,) * 2)
    assert take() == (0, "")
    lock.unlink()
    # Nobody may make it, and nobody has.
    lock.symlink_to(tmp_path / "gone" / "registering")
    assert take()[0] == 3
