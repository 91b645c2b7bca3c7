# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several workspaces in one inventory: each host's tasks go to its own, with the token that belongs there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import collection_tree
import pytest
import yaml
from ansible_cores import CORES, prepare
from system.certificates import authority
from system.inventories import Listing, Source, listing
from system.playing import environment, play, play_out, task
from system.support import Reply, ScriptedServer
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.plugin_utils import _workspaces
from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN, page

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workspaces, "_read_with", {})


# Two workspaces, each of which has web-01 to web-03 with the same UUIDs


@dataclass(frozen=True)
class Both:
    """One inventory of two workspaces."""

    here: Workspace
    there: Workspace
    folder: Path

    def write(self, here: Row, there: Row) -> None:
        """Write both sources."""
        (self.folder / "inventory").mkdir()
        (self.folder / "ansible.cfg").touch()
        for name, options in (("1.alpacon.yml", here), ("2.alpacon.yml", there)):
            text = json.dumps({"plugin": "herdops.alpacon.alpacon", **options})
            (self.folder / "inventory" / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str, program: str = "ansible-inventory", **environ: str | None) -> Listing:
        """Run a program with this inventory and none of a workspace's settings in its environment."""
        every: dict[str, str | None] = {
            **environment(self.here, self.folder),
            "ALPACON_URL": None,
            "ALPACON_TOKEN": None,
            **environ,
        }
        return listing(collection_tree.TOOLS / program, self.folder / "inventory", arguments, every, self.folder)

    def play(self, hosts: str, *tasks: Row, **environ: str | None) -> tuple[Listing, dict[str, Row]]:
        """Run tasks, and give what the last one of each host returned."""
        plays = [{"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}]
        (self.folder / "play.json").write_text(json.dumps(plays), encoding="utf-8")
        (self.folder / "results").unlink(missing_ok=True)
        listing = self.run(str(self.folder / "play.json"), program="ansible-playbook", **environ)
        lines = (self.folder / "results").read_text(encoding="utf-8").splitlines()
        return listing, {entry["host"]: entry["result"] for entry in map(json.loads, lines)}

    def check_tokens(self) -> None:
        """No workspace ever got a token that is not its own."""
        for workspace in (self.here, self.there):
            assert "unknown" not in workspace.counters()["tokens"]


@pytest.fixture
def both(running: Callable[[str], Workspace], tmp_path: Path) -> Iterator[Both]:
    """Two workspaces of different dialects."""
    two = Both(running("current"), running("2024"), tmp_path)
    for workspace in (two.here, two.there):
        workspace.reset()
        workspace.wait_connected("web-01", "web-02", "web-03")
        workspace.reset_counters()
    yield two
    two.check_tokens()


def source(workspace: Workspace, *names: str, **more: Any) -> Row:
    """The options of an inventory of one workspace, with its token."""
    return {"url": workspace.url, "token": workspace.token, "filters": {"name": list(names)}, **more}


def test_equal_names_are_two_hosts_and_told_of(both: Both) -> None:
    both.write(source(both.here, "web-01", "web-02"), source(both.there, "web-01", "web-03"))
    listing = both.run("--list")
    twin = f"web-01-{both.there.server_ids()['web-01'][:8]}"
    assert {name: host["alpacon_workspace"] for name, host in listing.hosts.items()} == {
        "web-01": both.here.url,
        "web-02": both.here.url,
        twin: both.there.url,
        "web-03": both.there.url,
    }
    assert listing.hosts[twin]["alpacon_name"] == "web-01"
    assert listing.hosts["web-03"]["alpacon_workspaces"] == [both.here.url, both.there.url]
    told = f"1 server of {both.there.url} had the name of another server's host, so a part of the UUID was added:"
    assert f"{told} web-01 ({twin})." in listing.warnings
    assert both.here.token not in listing.out + listing.said
    # The same sources once more change nothing.
    again = both.run("--list", "-i", str(both.folder / "inventory"), "-i", str(both.folder / "inventory/2.alpacon.yml"))
    assert again.hosts.keys() == listing.hosts.keys()


def test_a_workspace_in_two_spellings_is_one(both: Both) -> None:
    url = both.here.url.replace("127.0.0.1", "localhost")
    shouted = f"{url.replace('localhost', 'LOCALHOST')}/api/"
    both.write(source(both.here, "web-01", "web-02", url=shouted), source(both.here, "web-*", url=url))
    of_ones_own = {"web-03": {"alpacon_workspace": shouted, "alpacon_server_id": both.here.server_ids()["web-03"]}}
    (both.folder / "inventory/0.yml").write_text(json.dumps({"all": {"hosts": of_ones_own}}), encoding="utf-8")
    listing = both.run("--list")
    assert listing.hosts.keys() == both.here.server_ids().keys(), listing.said
    assert {host["alpacon_workspace"] for host in listing.hosts.values()} == {url}
    assert listing.hosts["web-03"]["alpacon_workspaces"] == [url]
    assert "another server" not in listing.warnings


def test_commands_lookups_and_lists_go_to_the_workspace_of_their_host(both: Both) -> None:
    both.write(source(both.here, "web-01", "web-02"), source(both.there, "web-01", "web-03"))
    listing, results = both.play(
        "all",
        {"herdops.alpacon.alpacon_command": {"line": "echo {{ alpacon_workspace }}"}, "register": "ran"},
        {"herdops.alpacon.alpacon_command": {"line": "echo by name", "server": "{{ alpacon_name }}"}},
        {"herdops.alpacon.alpacon_command_info": {"line": "echo by name", "with_output": False}, "register": "info"},
        {"herdops.alpacon.alpacon_server_info": {"servers": ["{{ alpacon_name }}"]}, "register": "servers"},
        {"meta": "refresh_inventory"},
        {
            "ansible.builtin.debug": {
                "msg": {
                    "output": "{{ ran.stdout }}",
                    "listed": "{{ info.commands | map(attribute='server.name') | sort }}",
                    "looked_up": "{{ query('herdops.alpacon.alpacon_command', alpacon_server_id, want='id',"
                    " line='echo ' ~ alpacon_workspace) == [ran.id] }}",
                    "servers": "{{ servers.servers | length }}",
                }
            }
        },
    )
    assert listing.code == 0, listing.out + listing.said
    twin = f"web-01-{both.there.server_ids()['web-01'][:8]}"
    for workspace, hosts, names in (
        (both.here, ("web-01", "web-02"), ["web-01", "web-02"]),
        (both.there, (twin, "web-03"), ["web-01", "web-03"]),
    ):
        for host in hosts:
            said = results[host]["msg"]
            assert (said["output"].strip(), said["listed"]) == (workspace.url, names)
            assert (str(said["looked_up"]), int(said["servers"])) == ("True", 1)
        assert sorted(row["server"] for row in workspace.commands(line=f"echo {workspace.url}")) == names
        assert sorted(row["server"] for row in workspace.commands(line="echo by name")) == names


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("carol_first", [True, False])
def test_a_server_is_commanded_with_the_token_of_the_file_that_lists_it(
    both: Both, core: str, carol_first: bool
) -> None:
    # Carol may see web-02 only, and Bob all of them.
    carol, bob = (both.here.tokens()[name] for name in ("carol", "bob"))
    hers = source(both.here, "*", token=carol, connection=True)
    his = source(both.here, "web-01", "web-02" if carol_first else "web-03", token=bob, connection=True)
    both.write(*((hers, his) if carol_first else (his, hers)))
    (both.folder / "inventory/3.yml").write_text("all: {hosts: {elsewhere: {}}}", encoding="utf-8")
    names = ["web-01", "web-02"] if carol_first else ["web-01", "web-02", "web-03"]
    command, lookup = "herdops.alpacon.alpacon_command", "query('herdops.alpacon.alpacon_command', alpacon_server_id)"
    tasks: list[Row] = [
        {command: {"line": "echo one"}},
        {"meta": "refresh_inventory"},
        {"ansible.builtin.raw": "echo two"},
        {command: {"line": "echo three", "servers": ["{{ alpacon_name }}"]}},
        {"ansible.builtin.debug": {"msg": f"{{{{ {lookup} }}}}"}},
        audit(),
    ]
    elsewhere = {"herdops.alpacon.alpacon_server_info": {"url": both.here.url}, "ignore_errors": True}
    plays = [
        {"hosts": "all:!elsewhere", "gather_facts": False, "tasks": tasks},
        {"hosts": "elsewhere", "gather_facts": False, "tasks": [elsewhere]},
    ]
    (both.folder / "play.json").write_text(json.dumps(plays), encoding="utf-8")
    listing = both.run(str(both.folder / "play.json"), program=str(prepare(core) / "ansible-playbook"))
    assert listing.code == 0, listing.out + listing.said
    made = [(row["server"], row["requested_by"]) for row in both.here.commands()]
    assert len(made) == 4 * len(names)
    assert set(made) == {(name, "carol" if name == "web-02" else "bob") for name in names}
    # A host that no file lists is told of the choice.
    said = " ".join((listing.out + listing.said).split())
    assert f"The inventory was read with several tokens of {both.here.url}, and nothing says which" in said


def test_tokens_come_from_the_environment_and_from_variables(both: Both) -> None:
    # As where the inventory was made elsewhere: nothing but the hosts' workspaces is known.
    hosts = {
        name: {"alpacon_workspace": workspace.url, "alpacon_server_id": workspace.server_ids()["web-01"]}
        for name, workspace in (("one", both.here), ("two", both.there))
    }
    workspaces = [both.here.url, both.there.url]
    (both.folder / "inventory").write_text(
        json.dumps({"all": {"hosts": hosts, "vars": {"alpacon_workspaces": workspaces}}}), encoding="utf-8"
    )
    (both.folder / "ansible.cfg").touch()
    task = {"herdops.alpacon.alpacon_command": {"line": "hostname"}, "ignore_errors": True}
    looked_up = "{{ query('herdops.alpacon.alpacon_command', alpacon_server_id, default='none') }}"
    lookup = {"ansible.builtin.debug": {"msg": looked_up}, "ignore_errors": True}
    own = {"ALPACON_URL": both.here.url, "ALPACON_TOKEN": both.here.token}
    _listing, results = both.play("all", task, **own)
    assert (results["one"]["failed"], results["two"]["failed"]) == (False, True)
    assert (
        f"ALPACON_TOKEN is the token of {both.here.url}, and is not sent to {both.there.url}."
        in (results["two"]["msg"])
    )
    listing, results = both.play("all", lookup, **own)
    assert not results["one"]["failed"]
    assert f"ALPACON_TOKEN is the token of {both.here.url}, and is not sent" in listing.out + listing.said
    _listing, results = both.play("all", task, ALPACON_TOKEN=both.here.token)
    assert [result["failed"] for result in results.values()] == [True, True]
    with_tokens = {
        **task,
        "vars": {"alpacon_tokens": {both.there.url: "{{ lookup('ansible.builtin.env', 'THEIR_TOKEN') }}"}},
    }
    _listing, results = both.play("all", with_tokens, **own, THEIR_TOKEN=both.there.token)
    assert [result["failed"] for result in results.values()] == [False, False]


@pytest.mark.parametrize("core", CORES)
def test_one_token_is_not_for_groups_of_two_workspaces(both: Both, core: str) -> None:
    # As inventories made by hand: a host knows its own group's URL, and no other.
    program = str(prepare(core) / "ansible-playbook")
    elsewhere = both.here.url.replace("127.0.0.1", "localhost")
    (both.folder / "ansible.cfg").touch()
    task = {"herdops.alpacon.alpacon_command": {"line": "echo hello", "offline": "fail"}, "ignore_errors": True}
    looked_up = {
        "ansible.builtin.debug": {"msg": "{{ query('herdops.alpacon.alpacon_command', inventory_hostname) }}"},
        "ignore_errors": True,
    }
    own, theirs = both.here.token, both.there.token

    def play(first: Row, second: Row, every: Row, **environ: str) -> list[bool]:
        """Which of three tasks failed on the second host; none may on the first."""
        groups = {
            "first": {"hosts": {"web-01": {}}, "vars": first},
            "second": {"hosts": {"web-02": {}}, "vars": second},
        }
        inventory = {"all": {"vars": every, "children": groups}}
        (both.folder / "inventory").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        plays = [
            {"hosts": "all", "gather_facts": False, "tasks": [task, looked_up]},
            {"hosts": "all", "gather_facts": False, "tasks": [{**audit(), "ignore_errors": True}]},
        ]
        (both.folder / "play.json").write_text(json.dumps(plays), encoding="utf-8")
        results = both.folder / "results"
        results.unlink(missing_ok=True)
        listing = both.run(str(both.folder / "play.json"), program=program, ANSIBLE_FORKS="1", **environ)
        rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        failed = [row["result"].get("failed", False) for row in rows]
        assert len(rows) == 5, listing.out + listing.said
        assert (failed[0], failed[2]) == (False, False), listing.out + listing.said
        if any(failed):
            assert "Name the token of" in str(rows[1]["result"]) + str(rows[-1]["result"]), listing.said
        return [failed[1], failed[3], failed[4]]

    here, there, alias = ({"alpacon_url": url} for url in (both.here.url, both.there.url, elsewhere))
    assert play(here, there, {}, ALPACON_TOKEN=own) == [True, True, True]
    assert play(here, there, {"alpacon_token": own}) == [True, True, True]
    assert play(here | {"alpacon_token": own}, there | {"alpacon_token": theirs}, {}) == [False, False, False]
    assert play(here | {"alpacon_token": own}, alias | {"alpacon_token": own}, {}) == [False, False, False]


# Audits


def audit(**options: Any) -> Row:
    """A task that asks every host for a word."""
    checks = [{"name": "hello", "line": "echo hello", "contains": "hello"}]
    return {"herdops.alpacon.alpacon_audit": {"checks": checks, "progress": False, **options}}


def test_an_audit_asks_each_host_in_its_own_workspace(both: Both) -> None:
    both.write(source(both.here, "web-01", "web-02"), source(both.there, "web-01", "web-03"))
    both.here.reset_counters()
    listing, results = both.play("all", audit(dest=str(both.folder / "report")))
    assert listing.code == 0, listing.out + listing.said
    report = json.loads((both.folder / "report/audit.json").read_text(encoding="utf-8"))
    twin = f"web-01-{both.there.server_ids()['web-01'][:8]}"
    assert report["workspace"] == f"{both.here.url}, {both.there.url}"
    assert {server["host"]: server["workspace"] for server in report["servers"]} == {
        "web-01": both.here.url,
        "web-02": both.here.url,
        twin: both.there.url,
        "web-03": both.there.url,
    }
    commands = {}
    for workspace, names in ((both.here, ["web-01", "web-02"]), (both.there, ["web-01", "web-03"])):
        made = workspace.commands()
        assert sorted({row["server"] for row in made}) == names
        commands[workspace.url] = {row["id"] for row in made}
    where = {server["host"]: server["workspace"] for server in report["servers"]}
    assert all(result["command"] in commands[where[result["host"]]] for result in report["results"])
    [result] = [result for result in results.values() if "summary" in result]
    # There, nothing can be carried, which the rows of its servers tell before anything is submitted.
    assert (result["summary"]["passed"], result["summary"]["commands"]) == (4, 4)
    # The inventory took a request and another for names of groups here.
    assert result["requests"] == both.here.requests_made() - 2 + both.there.requests_made() - 1
    assert not any(
        workspace.token in text for workspace in (both.here, both.there) for text in (listing.out, str(report))
    )


def test_a_budget_is_for_all_workspaces_of_an_audit(both: Both) -> None:
    both.write(source(both.here, "web-01", "web-02"), source(both.there, "web-01", "web-03"))
    # What either workspace takes alone: a command for each of its servers, and eight requests to read the answers.
    _listing, results = both.play("all", audit(budget=12, min_coverage=50))
    [result] = [result for result in results.values() if "summary" in result]
    assert result["requests"] <= 12
    assert len(both.here.commands()) == 2
    assert both.there.commands() == []
    assert result["summary"]["not_asked"] == 2


def test_a_name_alone_is_looked_for_in_the_workspace_of_its_host(both: Both) -> None:
    # As a host of an inventory made by hand: it ran on the server of the same name in the first host's workspace.
    both.there.add_servers("only-there", connected=False)
    hosts = {"web-01": {"alpacon_url": both.here.url, "alpacon_token": both.here.token}}
    hosts["only-there"] = {"alpacon_url": both.there.url, "alpacon_token": both.there.token}
    hosts["web-02"] = hosts["only-there"]
    (both.folder / "inventory").write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    (both.folder / "ansible.cfg").touch()
    listing, _results = both.play("all", audit(dest=str(both.folder / "report"), min_coverage=60))
    assert listing.code == 0, listing.out + listing.said
    assert [row["server"] for row in both.here.commands()] == ["web-01"]
    assert {row["server"] for row in both.there.commands()} == {"web-02"}
    listing, results = both.play("all", audit(url=both.here.url))
    assert "token: an API or service token is missing" in str(results)
    assert "Host: only-there." in str(results)


def test_an_audit_names_the_workspace_that_could_not_be_asked(both: Both) -> None:
    both.write(source(both.here, "web-01"), source(both.there, "web-03"))
    task = {
        **audit(dest=str(both.folder / "report")),
        "vars": {"alpacon_tokens": {both.there.url: "alpat-wrong"}},
    }
    listing, results = both.play("all", task)
    assert listing.code != 0
    [result] = [result for result in results.values() if "summary" in result]
    assert f"The workspace {both.there.url} could not be asked: The token is unknown" in result["msg"]
    both.there.reset_counters()
    report = json.loads((both.folder / "report/audit.json").read_text(encoding="utf-8"))
    assert {row["host"]: row["outcome"] for row in report["results"]} == {"web-01": "passed"}
    assert [row["host"] for row in report["servers"] if not row["reached"]] == ["web-03"]


def test_an_audit_refuses_a_url_that_is_not_its_hosts(both: Both) -> None:
    both.write(source(both.here, "web-01"), source(both.there, "web-03"))
    listing, _results = both.play("all", audit(url=both.here.url))
    assert listing.code != 0
    assert f"url: it names {both.here.url}, and the host is a server of {both.there.url}" in listing.out + listing.said
    assert both.here.commands() + both.there.commands() == []


# What verifies certificates, wherever it is said and whatever asks

#: What a task or plugin does first, by what it is a part of.
ASKS: dict[str, Row] = {
    "module": task("module", {"filters": {"name": "web-01"}}, "herdops.alpacon.alpacon_server_info"),
    "lookup": task(
        "lookup", {"msg": "{{ query('herdops.alpacon.alpacon_command', 'web-01') }}"}, "ansible.builtin.debug"
    ),
    "audit": task("audit", {"checks": [{"name": "one", "line": "true"}]}, "herdops.alpacon.alpacon_audit"),
    "connection": task(
        "connection",
        {},
        "ansible.builtin.ping",
        ignore_unreachable=True,
        vars={"ansible_connection": "herdops.alpacon.alpacon"},
    ),
}
SOMEBODY = "is not trusted"


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("place", ["environment", "variable"])
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("", SOMEBODY),
        (" ", SOMEBODY),
        ("true", SOMEBODY),
        ("ture", "validate_certs"),
        ('"true"', "validate_certs"),
        ("false", None),
        ("no", None),
    ],
)
def test_no_word_but_one_for_false_trusts_a_stranger(
    current: Workspace,
    serve: Callable[..., ScriptedServer],
    tmp_path: Path,
    core: str,
    place: str,
    word: str,
    said: str | None,
) -> None:
    server = serve([Reply(status=403)], tls=authority(tmp_path, "Nobody").server)
    environ = {"ALPACON_URL": server.url, "ALPACON_TOKEN": TOKEN}
    arguments = ["-e", json.dumps({"alpacon_validate_certs": word})] if place == "variable" else []
    if place == "environment":
        environ["ALPACON_VALIDATE_CERTS"] = word
    done = play_out(current, tmp_path, play(*ASKS.values()), ["web-01"], *arguments, core=core, **environ)
    assert done.tasks.keys() == ASKS.keys()
    for what, [result] in done.tasks.items():
        if said is None:
            assert SOMEBODY not in result["msg"], f"{what}: {result['msg']}"
            assert "validate_certs" not in result["msg"], f"{what}: {result['msg']}"
        else:
            assert said in result["msg"], f"{what}: {result['msg']}"
    assert bool(server.requests) is (said is None)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("word", ["", "ture", "false"])
@pytest.mark.parametrize("place", ["environment", "file"])
def test_an_inventory_trusts_nobody_else_either(
    current: Workspace, serve: Callable[..., ScriptedServer], tmp_path: Path, core: str, word: str, place: str
) -> None:
    server = serve([Reply(page([]))], tls=authority(tmp_path, "Nobody").server)
    source = Source(current, tmp_path, prepare(core))
    environ = {"ALPACON_URL": server.url, "ALPACON_TOKEN": TOKEN, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
    if place == "environment":
        environ["ALPACON_VALIDATE_CERTS"] = word
    source.write(**({"validate_certs": word} if place == "file" else {}))
    listing = source.run("--list", **environ)
    assert {"": SOMEBODY, "ture": "'ture' is neither true nor false", "false": ""}[word] in listing.warnings
    assert bool(server.requests) is (word == "false")


@pytest.mark.parametrize("core", CORES)
def test_home_is_known_to_everything_that_asks(current: Workspace, tmp_path: Path, core: str) -> None:
    ca = authority(tmp_path, "Ours")
    with Workspace("current", servers=["web-01"], tick=0.1, tls=(ca.chain, ca.chain), ca=ca.file) as workspace:
        workspace.wait_connected("web-01")
        for path in ("~/Ours.pem", "$HOME/Ours.pem"):
            environ = {"HOME": str(tmp_path), "ALPACON_CA_PATH": path}
            done = play_out(workspace, tmp_path / "play", play(*ASKS.values()), ["web-01"], core=core, **environ)
            assert not [row["msg"] for rows in done.tasks.values() for row in rows if SOMEBODY in row.get("msg", "")]
            assert done.tasks["connection"][0]["ping"] == "pong"
            assert not done.tasks["module"][0]["failed"]
