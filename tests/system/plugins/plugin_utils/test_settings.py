# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send the tasks of each host to its own workspace with its token, with several workspaces in one inventory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_cores import CORES, prepare
from system.certificates import authority
from system.inventories import Listing, Source, parse_sources, run_inventory
from system.plays import environment, play, run_playbook, task
from system.support import Response, ScriptedServer
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN

Row = dict[str, Any]
RUN = "herdops.alpacon.alpacon_command"


# Two workspaces, each of which has web-01 to web-03 with the same UUIDs


@dataclass(frozen=True)
class Both:
    """Manage one inventory of two workspaces."""

    here: Workspace
    there: Workspace
    folder: Path

    @property
    def twin(self) -> str:
        """Return the host name of the second web-01."""
        return f"web-01-{self.there.server_ids()['web-01'][:8]}"

    def write(self, here: Row, there: Row) -> list[Path]:
        """Write both sources, and return their files."""
        (self.folder / "inventory").mkdir()
        files = [Source(self.here, self.folder / "inventory", name=f"{number}.alpacon.yml") for number in (1, 2)]
        for file, options in zip(files, (here, there), strict=True):
            file.write(**options)
        return [file.path for file in files]

    def write_hosts(self, **inventory: Any) -> None:
        """Write an inventory without the plugin."""
        (self.folder / "inventory").write_text(json.dumps({"all": inventory}), encoding="utf-8")

    def play(self, *tasks: Row, core: str = "development", **environ: str | None) -> tuple[Listing, dict[str, Row]]:
        """Run tasks on all hosts without settings in the environment, and return the last result of each host."""
        plays = [{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]
        (self.folder / "ansible.cfg").touch()
        (self.folder / "play.json").write_text(json.dumps(plays), encoding="utf-8")
        (self.folder / "results").unlink(missing_ok=True)
        every = {**environment(self.here, self.folder), "ALPACON_URL": None, "ALPACON_TOKEN": None, **environ}
        arguments = (str(self.folder / "play.json"),)
        program = prepare(core) / "ansible-playbook"
        listed = run_inventory(program, self.folder / "inventory", arguments, every, self.folder)
        lines = (self.folder / "results").read_text(encoding="utf-8").splitlines()
        return listed, {entry["host"]: entry["result"] for entry in map(json.loads, lines)}


@pytest.fixture
def both(running: Callable[[str], Workspace], tmp_path: Path) -> Iterator[Both]:
    """Yield two workspaces of different dialects, and check that each got only its own token."""
    two = Both(running("current"), running("2024"), tmp_path)
    for workspace in (two.here, two.there):
        workspace.reset()
        workspace.wait_connected("web-01", "web-02", "web-03")
        workspace.reset_counters()
    yield two
    for workspace in (two.here, two.there):
        assert "unknown" not in workspace.counters()["tokens"]


def source(workspace: Workspace, *names: str, **more: Any) -> Row:
    """Return the options of an inventory of one workspace, with its token."""
    return {"url": workspace.url, "token": workspace.token, "filters": {"name": list(names)}, **more}


def test_servers_with_equal_names_are_two_hosts_with_a_warning(both: Both) -> None:
    files = both.write(source(both.here, "web-01", "web-02"), source(both.there, "web-01", "web-03"))
    read = parse_sources(*files)
    assert {name: host["alpacon_workspace"] for name, host in read.hosts.items()} == {
        "web-01": both.here.url,
        "web-02": both.here.url,
        both.twin: both.there.url,
        "web-03": both.there.url,
    }
    assert read.hosts[both.twin]["alpacon_name"] == "web-01"
    assert read.inventory.groups["all"].vars["alpacon_workspaces"] == [both.here.url, both.there.url]
    told = f"1 server of {both.there.url} had the name of another server's host, so a part of the UUID was added:"
    assert f"{told} web-01 ({both.twin})." in read.warnings
    # The same sources once more change nothing.
    assert parse_sources(*files, *files).hosts.keys() == read.hosts.keys()


def audit(**options: Any) -> Row:
    """Return a task that audits every host."""
    checks = [{"name": "hello", "line": "echo hello", "matches": "hello"}]
    return {"herdops.alpacon.alpacon_audit": {"checks": checks, "progress": False, **options}}


def test_tasks_lookups_and_audits_go_to_the_workspace_of_their_host(both: Both) -> None:
    both.write(source(both.here, "web-01", "web-02"), source(both.there, "web-01", "web-03"))
    looked_up = "query('herdops.alpacon.alpacon_command', alpacon_server_id, want='id', line=ran.line)"
    listed, results = both.play(
        {RUN: {"line": "echo {{ alpacon_workspace }}"}, "register": "ran"},
        {RUN: {"line": "echo by name", "server": "{{ alpacon_name }}"}},
        {"herdops.alpacon.alpacon_server_info": {"servers": ["{{ alpacon_name }}"]}, "register": "servers"},
        audit(dest=str(both.folder / "report")),
        {"ansible.builtin.assert": {"that": [f"{looked_up} == [ran.id]", "servers.servers | length == 1"]}},
        {"ansible.builtin.debug": {"msg": "{{ ran.stdout }}"}},
    )
    assert listed.code == 0, listed.out + listed.log
    assert both.here.token not in listed.out + listed.log
    report = json.loads((both.folder / "report/audit.json").read_text(encoding="utf-8"))
    assert report["workspace"] == f"{both.here.url}, {both.there.url}"
    where = {server["host"]: server["workspace"] for server in report["servers"]}
    for workspace, hosts in ((both.here, ["web-01", "web-02"]), (both.there, [both.twin, "web-03"])):
        names = ["web-01", hosts[1]]
        for host in hosts:
            assert (results[host]["msg"].strip(), where[host]) == (workspace.url, workspace.url)
        for line in (f"echo {workspace.url}", "echo by name"):
            assert sorted(row["server"] for row in workspace.commands(line=line)) == names
        made = {row["id"] for row in workspace.commands()}
        assert {row["command"] in made for row in report["results"] if row["host"] in hosts} == {True}


@pytest.mark.parametrize("core", CORES)
def test_tasks_use_the_token_of_the_file_with_the_server(both: Both, core: str) -> None:
    # Carol may see web-02 only, and Bob all of them.
    carol, bob = (both.here.tokens()[name] for name in ("carol", "bob"))
    hers = source(both.here, "*", token=carol, connection=True)
    both.write(hers, source(both.here, "web-01", "web-02", token=bob, connection=True))
    lookup = "query('herdops.alpacon.alpacon_command', alpacon_server_id)"
    listed, _results = both.play(
        {RUN: {"line": "echo one"}},
        {"meta": "refresh_inventory"},
        {"ansible.builtin.raw": "echo two"},
        {RUN: {"line": "echo three", "servers": ["{{ alpacon_name }}"]}},
        {"ansible.builtin.debug": {"msg": f"{{{{ {lookup} }}}}"}},
        audit(),
        core=core,
    )
    assert listed.code == 0, listed.out + listed.log
    made = [(row["server"], row["requested_by"]) for row in both.here.commands()]
    assert sorted(made) == sorted([("web-01", "bob"), ("web-02", "carol")] * 4)


@pytest.mark.parametrize("core", CORES)
def test_a_default_token_is_refused_for_a_second_workspace(both: Both, core: str) -> None:
    # Without the inventory plugin, a host has only the URL of its group.
    groups = {
        "first": {"hosts": {"web-01": {}}, "vars": {"alpacon_url": both.here.url}},
        "second": {"hosts": {"web-02": {}}, "vars": {"alpacon_url": both.there.url}},
    }
    both.write_hosts(children=groups)
    looked_up = {"msg": "{{ query('herdops.alpacon.alpacon_command', inventory_hostname) }}"}
    last: Row = {}
    for one in ({RUN: {"line": "echo hello"}}, {"ansible.builtin.debug": looked_up}, audit()):
        own = {"ALPACON_TOKEN": both.here.token, "ANSIBLE_FORKS": "1"}
        listed, last = both.play({**one, "ignore_errors": True}, core=core, **own)
        if "herdops.alpacon.alpacon_audit" not in one:
            assert [last[host]["failed"] for host in ("web-01", "web-02")] == [False, True], listed.out + listed.log
            assert "Name the token of" in str(last["web-02"])
    assert "Name the token of" in str(last)
    assert both.there.commands() == []


# Audits


def test_an_audit_names_a_workspace_that_fails(both: Both) -> None:
    both.write(source(both.here, "web-01", "web-02"), source(both.there, "web-01", "web-03"))
    wrong = {**audit(dest=str(both.folder / "report")), "vars": {"alpacon_tokens": {both.there.url: "alpat-wrong"}}}
    listed, results = both.play(wrong)
    assert listed.code != 0
    [result] = [result for result in results.values() if "summary" in result]
    assert f"The workspace {both.there.url} could not be asked: The workspace does not recognise" in result["msg"]
    both.there.reset_counters()
    report = json.loads((both.folder / "report/audit.json").read_text(encoding="utf-8"))
    assert {row["host"]: row["outcome"] for row in report["results"]} == {"web-01": "passed", "web-02": "passed"}


# Verification of certificates

#: Tasks that send a request first, by kind of plugin.
TASKS: dict[str, Row] = {
    "module": task("module", {"filters": {"name": "web-01"}}, "herdops.alpacon.alpacon_server_info"),
    "lookup": task("lookup", {"msg": f"{{{{ query('{RUN}', 'web-01') }}}}"}, "ansible.builtin.debug"),
    "audit": task("audit", {"checks": [{"name": "one", "line": "true"}]}, "herdops.alpacon.alpacon_audit"),
    "connection": task(
        "connection",
        {},
        "ansible.builtin.ping",
        ignore_unreachable=True,
        vars={"ansible_connection": "herdops.alpacon.alpacon"},
    ),
}
UNTRUSTED = "is not trusted"


@pytest.mark.parametrize(
    ("word", "in_environment", "said"),
    [("", True, UNTRUSTED), ("ture", True, "validate_certs"), ("ture", False, "validate_certs"), ("no", False, None)],
)
def test_only_false_disables_the_verification_of_certificates(
    current: Workspace,
    serve: Callable[..., ScriptedServer],
    tmp_path: Path,
    word: str,
    in_environment: bool,
    said: str | None,
) -> None:
    server = serve([Response(status=403)], tls=authority(tmp_path, "Nobody").server)
    environ = {"ALPACON_URL": server.url, "ALPACON_TOKEN": TOKEN}
    if in_environment:
        environ["ALPACON_VALIDATE_CERTS"] = word
    arguments = [] if in_environment else ["-e", json.dumps({"alpacon_validate_certs": word})]
    done = run_playbook(current, tmp_path, play(*TASKS.values()), ["web-01"], *arguments, **environ)
    assert done.tasks.keys() == TASKS.keys()
    for what, [result] in done.tasks.items():
        assert (said in result["msg"].lower()) if said else (UNTRUSTED not in result["msg"]), f"{what}: {result['msg']}"
    assert bool(server.requests) is (said is None)
