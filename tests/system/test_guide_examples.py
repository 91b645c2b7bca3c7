# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the YAML blocks of the guides against a workspace, or check the syntax of those that need real servers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from system.inventories import Source
from system.plays import run_playbook
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row, read_code_blocks

pytestmark = pytest.mark.slow

GUIDES = ROOT / "docs/docsite/rst"
#: Links to the inventory of Getting started.
LINK = "<ansible_collections.herdops.alpacon.docsite.getting_started.inventory>"
WORKSPACE = "https://my-workspace.us1.alpacon.io"
HOSTS = {"web": ["web-01", "web-02", "web-03"], "db": ["db-01", "db-02"]}
#: Variables of examples.
VARIABLES = {"vault_pgpassword": "pssst"}


@dataclass(frozen=True)
class Page:
    """A guide whose plays and tasks run.

    Attributes:
        skipped: names of plays and tasks that need something else, such as SSH or real servers.
        replaced: texts of examples, with their replacements.
        files: files beside the playbook that examples name, with their content.
    """

    name: str
    skipped: tuple[str, ...] = ()
    replaced: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


#: Here a command ends at once, and its output is its line.
PAGES = (
    Page("getting_started"),
    Page("run_commands"),
    Page("schedule_commands"),
    Page("waiting_and_cost"),
    Page("from_ssh"),
    Page("inventory"),
    Page("agent_rollout", skipped=("Install the agent",)),
    Page("awx"),
    # test_cookbook.py runs the reboot.
    Page("planned_work", skipped=("Reboot in waves",)),
)
#: Here the servers have agents, and tasks run over the connection plugin. `{folder}` is a temporary folder.
ON_SERVERS = (
    Page(
        "any_module",
        replaced={
            "/etc/motd": "{folder}/motd",
            "/srv/app/manage.py check": "id",
            "/usr/local/bin/reindex": "id",
            "poll: 60": "poll: 1",
        },
    ),
    # test_verified_guide.py runs the verified scripts, and test_held_sudo.py the sudo.
    Page(
        "reviewing",
        skipped=("Maintain the web servers", "Reload the web server"),
        replaced={"certbot renew": "id"},
    ),
    Page(
        "tasks_in_batches",
        replaced={"/etc/motd": "{folder}/motd", "/etc/issue": "{folder}/issue"},
        files={
            "roles/geerlingguy.ntp/tasks/main.yml": "[{name: Read the time, ansible.builtin.command: date}]",
            "templates/motd.j2": "{{ inventory_hostname }}",
        },
    ),
)
#: Guides whose examples are run by other tests, or only have their syntax checked here.
CHECKED = ("hardening", "scripts")
#: Guides whose examples a test below, test_cookbook.py, test_audit.py, test_guides.py and `make rulebook` run. Those of
#: audit_report are steps of CI.
ELSEWHERE = (
    *("audit", "audit_attestations", "audit_history", "audit_report", "audit_scanners"),
    *("command_line", "cookbook", "events", "waves"),
)


def read_blocks(page: str) -> list[Any]:
    return [entry for block in read_code_blocks(page, "yaml") for entry in yaml.safe_load_all(block)]


def read_plays(page: str, skipped: tuple[str, ...] = ()) -> list[Row]:
    """Return the plays of a page, with each block of tasks as a play of web-01."""
    plays: list[Row] = []
    for block in read_blocks(page):
        if not isinstance(block, list):
            continue
        entries = [entry for entry in block if entry.get("name") not in skipped]
        if entries and "hosts" not in entries[0] and "ansible.builtin.import_playbook" not in entries[0]:
            entries = [{"hosts": "web-01", "gather_facts": False, "tasks": entries}]
        plays += entries
    return plays


def read_inventory(page: str) -> Row | None:
    """Return the options of my.alpacon.yml as a guide shows it, or as Getting started does if the guide says so."""
    for block in read_code_blocks(page, "yaml"):
        if re.match(r"# (inventory/)?my\.alpacon\.yml\n", block):
            options: Row = yaml.safe_load(block)
            return options
    if page != "getting_started" and LINK in (GUIDES / f"{page}.rst").read_text(encoding="utf-8"):
        return read_inventory("getting_started")
    return None


def read_patterns(page: str) -> list[str]:
    """Return the patterns and groups in the examples of a guide."""
    entries = [entry for block in read_blocks(page) if isinstance(block, list) for entry in block]
    plays = [entry for entry in entries if "hosts" in entry and "sources" not in entry]
    yaml_text, commands = ("".join(read_code_blocks(page, language)) for language in ("yaml", "console"))
    return [
        *(play["hosts"] for play in plays),
        *re.findall(r"groups\['(\w+)'\]", yaml_text),
        *re.findall(r"# group_vars/(\w+)\.yml", yaml_text),
        *re.findall(r"\$ ansible (\S+) -i my\.alpacon\.yml", commands),
        *re.findall(r"my\.alpacon\.yml.* --limit '?([^\s'@]+)", commands),
    ]


def write_inventory(workspace: Workspace, folder: Path, page: str) -> str:
    """Write the inventory of a guide, with the variables of examples beside it, and return its path."""
    options = read_inventory(page) or read_inventory("getting_started")
    assert options
    source = Source(workspace, folder)
    source.write(**{name: value for name, value in options.items() if name != "plugin"})
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_text(yaml.safe_dump(VARIABLES), encoding="utf-8")
    return str(source.path)


def make_inventory(**variables: Any) -> Row:
    children: Row = {group: {"hosts": {host: {} for host in hosts}} for group, hosts in HOSTS.items()}
    return {"all": {"children": children, "vars": {"ansible_connection": "local", **VARIABLES, **variables}}}


@pytest.fixture(scope="module")
def busy(instant: Workspace) -> Workspace:
    for hosts in HOSTS.values():
        facts = {"metrics": [{"disk-usage": 95}]}
        instant.add_servers(*hosts, connected=True, groups=["Operations"], facts=facts)
    instant.settings(agent_rollout_policy="manual")
    return instant


def test_the_examples_of_every_guide_are_tested() -> None:
    with_plays = {path.stem for path in GUIDES.glob("*.rst") if read_plays(path.stem)}
    untested = with_plays - {*(page.name for page in (*PAGES, *ON_SERVERS)), *CHECKED, *ELSEWHERE}
    assert not untested, "add these guides to PAGES in tests/system/test_guide_examples.py, or to another list there"


@pytest.mark.parametrize("page", sorted(path.stem for path in GUIDES.glob("*.rst")))
def test_examples_of_a_guide_match_hosts_of_its_inventory(busy: Workspace, tmp_path: Path, page: str) -> None:
    options = {**(read_inventory(page) or {"filters": {"name": "no server"}})}
    options.pop("plugin", None)
    parsed = Source(busy, tmp_path).parse(**options)
    assert not parsed.failure
    inventory = InventoryManager(DataLoader())
    inventory._inventory = parsed.inventory
    unmatched = [pattern for pattern in read_patterns(page) if not inventory.list_hosts(pattern)]
    assert not unmatched, f"docs/docsite/rst/{page}.rst neither shows nor links to an inventory with these hosts"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_a_guide_run(busy: Workspace, tmp_path: Path, page: Page) -> None:
    plays = yaml.safe_load(yaml.safe_dump(read_plays(page.name, page.skipped)).replace(WORKSPACE, busy.url))
    assert plays
    run = run_playbook(busy, tmp_path, plays, None, "-i", write_inventory(busy, tmp_path, page.name))
    assert run.code == 0, run.log
    tasks = [task for play in plays for entry in play["tasks"] for task in entry.get("block", [entry])]
    assert {task["name"] for task in tasks} <= run.tasks.keys()


def test_servers_that_are_left_get_the_command_of_the_guide_again(busy: Workspace, tmp_path: Path) -> None:
    busy.add_servers("left-01", connected=True)
    busy.add_servers("left-02")
    [play] = read_plays("command_line")
    first, again = play["tasks"]
    again["herdops.alpacon.alpacon_command"]["offline"] = "skip"
    inventory: Row = {"all": {"children": {"web": {"hosts": {"left-01": {}, "left-02": {}}}}}}
    run = run_playbook(busy, tmp_path, [{**play, "hosts": "left-01"}], inventory)
    assert run.code == 0, run.log
    [result] = run.tasks[again["name"]]
    assert [command["server"]["name"] for command in result["commands"]] == ["left-02"], first


@pytest.mark.parametrize("page", ON_SERVERS, ids=lambda page: page.name)
def test_examples_of_a_guide_run_over_the_connection(current: Workspace, tmp_path: Path, page: Page) -> None:
    text = yaml.safe_dump(read_plays(page.name, page.skipped))
    for example, here in page.replaced.items():
        assert example in text, f"docs/docsite/rst/{page.name}.rst lacks a text of its Page in this file"
        text = text.replace(example, here.format(folder=tmp_path))
    for file, content in page.files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content, encoding="utf-8")
    plays = yaml.safe_load(text)
    run = run_playbook(current, tmp_path, plays, None, "-i", write_inventory(current, tmp_path, page.name))
    assert run.code == 0, run.log
    assert {task["name"] for play in plays for task in play["tasks"]} <= run.tasks.keys()
    assert all(row["line"].startswith("/bin/sh -c $RUN ") for row in current.commands())


@pytest.mark.parametrize("page", CHECKED)
def test_examples_of_a_guide_are_plays(busy: Workspace, tmp_path: Path, page: str) -> None:
    plays = read_plays(page)
    assert plays
    run = run_playbook(busy, tmp_path, plays, make_inventory(), "--syntax-check")
    assert run.code == 0, run.log


def test_the_tokens_of_the_inventory_guide_are_those_of_the_workspaces(busy: Workspace, tmp_path: Path) -> None:
    [tokens] = [block["alpacon_tokens"] for block in read_blocks("inventory") if "alpacon_tokens" in block]
    [eu, _us] = tokens
    play = {"hosts": "web-01", "gather_facts": False, "tasks": [{"herdops.alpacon.alpacon_server_info": {}}]}
    own = {
        "alpacon_workspace": busy.url,
        "alpacon_tokens": {busy.url if url == eu else url: tokens[url] for url in tokens},
    }
    inventory = make_inventory(**own, vault_eu_token=busy.token)
    run = run_playbook(busy, tmp_path, [play], inventory, ALPACON_URL="", ALPACON_TOKEN="")
    assert run.code == 0, run.log


def _inventories() -> list[tuple[str, Row]]:
    pages = sorted(path.stem for path in GUIDES.glob("*.rst"))
    return [
        (page, block) for page in pages for block in read_blocks(page) if isinstance(block, dict) and "plugin" in block
    ]


@pytest.mark.parametrize(
    ("page", "options"),
    [pytest.param(page, options, id=f"{page}-{number}") for number, (page, options) in enumerate(_inventories())],
)
def test_inventories_of_a_guide_list_servers(
    busy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, options: Row
) -> None:
    monkeypatch.setenv("EU_TOKEN", busy.token)
    source = Source(busy, tmp_path)
    text = re.sub(r"https://[\w-]+\.us1\.alpacon\.io", busy.url, yaml.safe_dump(options))
    source.path.write_text(text, encoding="utf-8")
    listing = source.run("--list")
    assert listing.code == 0, listing.log
    assert "Failed to parse" not in listing.log, listing.log
