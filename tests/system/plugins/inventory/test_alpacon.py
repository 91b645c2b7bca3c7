# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the inventory plugin in this process, and through Ansible's programs if the core or a play matters."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import collection_tree
import pytest
from ansible.plugins.loader import inventory_loader
from ansible_cores import CORES, prepare
from system import inventories
from system.inventories import APP, DB, NEW, ODD, TWINS, Listing, Parsed, Row, Source, parse_sources
from system.plays import environment
from system.support import Response, ScriptedServer, request_paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.server_info import SPEC, run_server_info
from ansible_collections.herdops.alpacon.tests.unit.support import DIALECTS, TOKEN, page

PLUGIN = "herdops.alpacon.alpacon"
ALL_HOSTS = sorted(["app-01", "db-01", "new-01", *TWINS, ODD])
ONES: Row = {"name": ["*-01"]}
BY_ROLE = "alpacon_tags.role | default('none')"


@pytest.fixture(scope="module")
def filled() -> Iterator[Callable[[str], Workspace]]:
    """Provide the workspace of a dialect with servers that no test changes."""
    with ExitStack() as stack:
        started: dict[str, Workspace] = {}

        def get(dialect: Any) -> Workspace:
            if dialect not in started:
                started[dialect] = stack.enter_context(Workspace(dialect, servers=0, agents=False))
                inventories.add_servers(started[dialect])
            started[dialect].clear_faults()
            started[dialect].reset_counters()
            return started[dialect]

        yield get


@pytest.fixture
def source(filled: Callable[[str], Workspace], tmp_path: Path) -> Source:
    """Provide an inventory of a current workspace."""
    return Source(filled("current"), tmp_path)


def requests_of(source: Source) -> list[str]:
    """List the requests of the last run, without their common prefix."""
    made = source.workspace.requests_made()
    asked = request_paths(source.workspace)[-made:] if made else []
    return [path.replace("&page_size=100", "").replace("?page_size=100", "") for path in asked]


def uuid(number: int) -> str:
    """Return a different UUID for each number."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def web(*more: Row) -> list[Row]:
    """Return the rows of web-1, web-2 and so on, with these fields."""
    return [{"id": uuid(number), "name": f"web-{number}", **row} for number, row in enumerate(more, 1)]


def served(source: Source, rows: list[Any], *before: Path, **options: Any) -> Parsed:
    """Read the inventory of a workspace with these rows, after other inventories."""
    with ScriptedServer([Response(page(rows))]) as server:
        source.write(url=server.url, token=TOKEN, **options)
        return parse_sources(*before, source.path)


def printed(
    source: Source, rows: list[Any], *arguments: str, program: str = "ansible-inventory", **more: Any
) -> Listing:
    """Run a program with the inventory of a workspace with these rows."""
    with ScriptedServer([Response(page(rows))]) as server:
        source.write(url=server.url, token=TOKEN, **more)
        return source.run(*(arguments or ("--list",)), program=program)


# What it lists


@pytest.mark.parametrize("dialect", DIALECTS)
def test_hosts_have_what_server_info_returns(filled: Callable[[str], Workspace], tmp_path: Path, dialect: str) -> None:
    workspace = filled(dialect)
    read = Source(workspace, tmp_path).parse()
    defaults = {name: option.get("default") for name, option in SPEC.items()}
    given = {**defaults, "url": workspace.url, "token": workspace.token}
    expected = {
        row["id"]: {**{f"alpacon_{name}": value for name, value in row.items()}, "alpacon_server_id": row["id"]}
        for row in run_server_info(given, Run())["servers"]
    }
    assert {host["alpacon_id"]: {**host, "alpacon_workspace": None} for host in read.hosts.values()} == {
        server: {**host, "alpacon_workspace": None} for server, host in expected.items()
    }
    assert sorted(read.hosts) == ALL_HOSTS
    assert {host["alpacon_workspace"] for host in read.hosts.values()} == {workspace.url}
    assert read.inventory.groups["all"].vars["alpacon_workspaces"] == [workspace.url]


def test_250_servers_are_three_pages_and_the_names_of_groups_one_more(workspace: Workspace, tmp_path: Path) -> None:
    workspace.add_servers(*(f"db-{number:03d}" for number in range(247)))
    source = Source(workspace, tmp_path)
    assert len(source.parse().hosts) == 250
    # The workspaces of 2024 list the names beside the ids.
    names = [] if workspace.dialect == "2024" else ["/api/iam/groups/"]
    assert sorted(path.split("?")[0] for path in requests_of(source)) == [*names, *["/api/servers/servers/"] * 3]


def test_filters_that_the_workspace_knows_are_sent(tmp_path: Path) -> None:
    listed = "/api/servers/servers/?ordering=name"
    with Workspace(servers=0, agents=False) as workspace:
        names = [f"db-{number:03d}" for number in range(250)]
        workspace.add_servers(*names, groups=[], tags={"role": "db"}, connected=True)
        workspace.add_servers("app-01", "app-02", groups=["Legacy"], tags={"role": "app"}, connected=False)
        legacy = next(group["id"] for group in workspace.state()["groups"] if group["name"] == "Legacy")
        source = Source(workspace, tmp_path)
        for filters, sent in (
            ({"tags": {"role": "app"}}, "&tag=role%3Aapp"),
            ({"connected": False}, "&is_connected=false"),
            ({"name": "app-*"}, "&search=app-"),
            ({"groups": "Legacy"}, f"&groups={legacy}"),
        ):
            workspace.reset_counters()
            assert sorted(source.parse(filters=filters).hosts) == ["app-01", "app-02"]
            assert sorted(requests_of(source)) == ["/api/iam/groups/", f"{listed}{sent}"]


def test_endings_of_inventory_files(tmp_path: Path) -> None:
    plugin: Any = inventory_loader.get(PLUGIN)
    plugin.display = inventories.RecordingDisplay()
    for name in ("my.alpacon.yml", "alpacon.yaml", "inventory.yml"):
        (tmp_path / name).write_text(f"plugin: {PLUGIN}\n", encoding="utf-8")
        assert plugin.verify_file(str(tmp_path / name)) is (name != "inventory.yml")
    assert plugin.display.warned == [
        f"{tmp_path}/inventory.yml is ignored: its name must end in alpacon.yml or alpacon.yaml."
    ]


# Names


@pytest.mark.parametrize(
    ("hostname", "names"),
    [
        ("id", [APP, DB, NEW]),
        (["tags.fqdn", "remote_ip", "name"], ["192.0.2.22", "new-01", "app-01.example.com"]),
        ("{{ alpacon_name }}.example.com", ["db-01.example.com", "new-01.example.com", "app-01.example.com"]),
        ("owner.name", ["admin-11111111", "admin-22222222", "admin-33333333"]),
    ],
)
def test_names_of_hosts_by_option(source: Source, hostname: Any, names: list[str]) -> None:
    assert sorted(source.parse(hostname=hostname, filters=ONES).hosts) == sorted(names)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"hostname": ["tags.fqdn", "{{ alpacon_tags.fqdn }}"]},
            f"hostname: it gives no name for the server {DB}. Add",
        ),
        ({"hostname": ["{{ alpacon_nothing }}", "id"], "strict": True}, "hostname: {{ alpacon_nothing }} cannot be"),
        ({"hostname": ["name.{{ domain }}"]}, "name.{{ domain }} cannot be rendered: 'domain' is undefined."),
        ({"strict": True, "compose": {"role": "alpacon_tags.role"}}, "role"),
        ({"strict": True, "keyed_groups": [{"key": "alpacon_tags.role"}]}, "role"),
        ({"url": "http://127.0.0.1:9"}, "no connection to http://127.0.0.1:9"),
    ],
)
def test_a_failed_inventory_leaves_no_host(source: Source, options: Row, problem: str) -> None:
    read = source.parse(filters=ONES, **options)
    assert problem in read.failure
    assert read.hosts == {}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"hostname": "nmae"}, "hostname: 'nmae' is neither a template nor a field"),
        ({"hostvars_prefix": "my-"}, "hostvars_prefix: names of variables cannot begin with 'my-'"),
        ({"default_groups": ["colour"]}, "default_groups"),
        ({"keyed_groups": ["alpacon_name"]}, "keyed_groups: 'alpacon_name' is not a dictionary. Give entries such as"),
        (
            {"keyed_groups": [{"key": "x", "default_value": "x", "trailing_separator": False}]},
            "default_value and trailing_separator exclude each other. Give one of them.",
        ),
        ({"groups": {"web": "name is match('"}}, "groups: web: it is not an expression: "),
        ({"compose": {"ansible_user": "{{ name }}"}}, "Write no braces around it, "),
        ({"keyed_groups": [{"key": "a b"}]}, "keyed_groups: key: it is not an expression: "),
        ({"filters": None}, "filters: it is null. Give a filter, or leave it out to mean all servers."),
        ({"filters": {"name": "{{ pattern }}"}}, "filters: its template cannot be rendered:"),
        ({"filters": {"name": "{{ [] }}"}}, "filters: name is an empty list."),
        ({"filter": {"connected": True}}, "filter: the inventory herdops.alpacon.alpacon has no such option. Did you"),
        ({"connection": "maybe"}, "connection: 'maybe' is not a boolean. Give true or false."),
        ({"token": "{{ nothing }}"}, "token: its template cannot be rendered:"),
        ({"token": ""}, "token: an API or service token is missing. Give it as the option token"),
    ],
)
def test_bad_options_are_refused_before_the_first_request(source: Source, options: Row, problem: str) -> None:
    assert problem in source.refuse(**options)


# Variables and groups


def test_the_prefix_of_variables(source: Source) -> None:
    host = source.parse(hostvars_prefix="a_", default_groups=[]).hosts["app-01"]
    assert sorted(name for name in host if not name.startswith("a_")) == ["alpacon_server_id", "alpacon_workspace"]
    assert (host["a_id"], host["alpacon_server_id"], host["a_name"]) == (APP, APP, "app-01")


@pytest.mark.parametrize(("chosen", "groups"), [([], {"ungrouped"}), (["connected"], {"connected", "disconnected"})])
def test_default_groups(source: Source, chosen: list[str], groups: set[str]) -> None:
    assert set(source.parse(default_groups=chosen, filters=ONES).groups) == groups


def test_compose_groups_and_keyed_groups(source: Source) -> None:
    read = source.parse(
        filters=ONES,
        default_groups=[],
        compose={"memory_gb": "(alpacon_physical_memory / 1024 ** 3) | int"},
        groups={"small": "memory_gb | default(99) < 4", "per cent%": "alpacon_is_connected"},
        keyed_groups=[
            {"key": "alpacon_tags.role", "prefix": "role", "parent_group": "roles"},
            {"key": "alpacon_platform", "prefix": "p", "separator": "-", "default_value": "none"},
            {"key": "alpacon_groups | map(attribute='name')", "separator": ""},
            {"key": "{'off': ''} if not alpacon_is_connected else {}", "trailing_separator": False},
        ],
    )
    memory = {name: host.get("memory_gb") for name, host in read.hosts.items()}
    assert memory == {"app-01": 8, "db-01": 2, "new-01": None}
    assert read.groups == {
        "small": ["db-01"],
        "per_cent_": ["app-01"],
        "role_web": ["app-01"],
        "role_db": ["db-01"],
        "p_debian": ["app-01"],
        "p_rhel": ["db-01"],
        "p_none": ["new-01"],
        "Alpacon_users": ["app-01"],
        "Operations": ["app-01"],
        "Legacy": ["db-01"],
        "_off": ["db-01", "new-01"],
    }
    assert read.children("roles") == ["role_db", "role_web"]


@pytest.mark.parametrize("core", CORES)
def test_a_tag_that_makes_no_group_removes_no_host(source: Source, core: str) -> None:
    source = replace(source, programs=prepare(core))
    rows = web({"tags": {"role": "web"}}, {"tags": {"role": "all"}}, {"tags": {"role": True}})
    by_role = {"key": BY_ROLE, "prefix": "role", "parent_group": "role_all"}
    listing = printed(source, rows, keyed_groups=[by_role, {"key": "alpacon_name"}])
    assert sorted(listing.hosts) == ["web-1", "web-2", "web-3"], listing.log
    assert listing.groups["role_web"] == ["web-1"]
    assert [listing.groups[f"_web_{number}"] for number in (1, 2, 3)] == [["web-1"], ["web-2"], ["web-3"]]
    assert f"got no group from {BY_ROLE} in keyed_groups, since the value is not valid (" in listing.warnings
    strict = printed(source, rows, keyed_groups=[by_role], strict=True)
    assert strict.hosts == {}
    assert f"keyed_groups: the value of {BY_ROLE} makes no valid group for the host web-2: " in strict.warnings


# Filters, and options that are templates


@pytest.mark.parametrize("core", CORES)
def test_templates_vaults_and_extra_variables_on_every_core(source: Source, core: str) -> None:
    source = replace(source, programs=prepare(core))
    password = source.folder / "password"
    password.write_text("open sesame", encoding="utf-8")
    vaulted = subprocess.run(
        [collection_tree.TOOLS / "ansible-vault", "encrypt_string", "--vault-password-file", password],
        input=source.workspace.token,
        env=environment(source.workspace, source.folder),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # The workspace of a host says nothing about where an inventory is read from.
    extra = {
        "pattern": "app-*, web-02",
        "only_connected": True,
        "domain": "corp.test",
        "alpacon_workspace": "https://x",
    }
    bare: dict[str, Any] = {"ALPACON_TOKEN": None, "ALPACON_URL": None, "HERE": source.workspace.url}
    text = f"url: \"{{{{ lookup('env', 'HERE') }}}}\"\ntoken: {vaulted}"
    filters = {"name": "{{ pattern }}", "connected": "{{ only_connected }}"}
    source.write(text, filters=filters, hostname="{{ alpacon_name }}.{{ domain }}", use_extra_vars=True)
    given = ("-e", json.dumps(extra), "--vault-password-file", str(password), "-vvvv")
    listing = source.run("--list", *given, **bare)
    assert list(listing.hosts) == ["app-01.corp.test"], listing.log
    assert "alpacon: GET /api/servers/servers/: HTTP 200 (" in listing.out
    assert source.workspace.token not in listing.out + listing.log
    source.write("token: '{{ mine }}'\n", hostname="{{ alpacon_name }}.{{ domain | default('x') }}", filters=ONES)
    extra_too = ("-e", f"mine={source.workspace.token} alpacon_url={source.workspace.url} domain=corp.test")
    assert "app-01.x" in source.run("--list", *extra_too, **bare).hosts, "only use_extra_vars lets names have them"


# The cache


def cached(source: Source, **more: Any) -> Row:
    """Return options for a cache in a file."""
    folder = str(source.folder / "cache")
    return {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": folder, **more}


def cache_file(source: Source) -> Path:
    file: Path
    [file] = (source.folder / "cache").iterdir()
    return file


@pytest.mark.parametrize("core", CORES)
def test_the_second_run_reads_the_cache(filled: Callable[[str], Workspace], tmp_path: Path, core: str) -> None:
    source = Source(filled("current"), tmp_path, prepare(core))
    first = source.list(**cached(source))
    source.workspace.reset_counters()
    assert source.run("--list").data == first.data
    assert source.workspace.requests_made() == 0
    # Filters that the workspace does not apply are applied to the cache.
    assert list(source.list(**cached(source), filters={"os": "Rocky*"}).hosts) == ["db-01"]
    assert source.workspace.requests_made() == 0
    kept = cache_file(source).read_text(encoding="utf-8")
    assert source.workspace.token not in kept
    assert source.workspace.url not in kept
    if core != "oldest":  # its ansible-inventory has no such option
        assert source.run("--list", "--flush-cache").code == 0
        assert source.workspace.requests_made() > 0


_TRUSTED: Row = {"__ansible_type": "TrustedAsTemplate"}
_TEMPLATE = f"{{{{ lookup('pipe', 'touch {inventories.MARKER}') }}}}"
_HEADER = f"#jinja2: variable_start_string: '[[', variable_end_string: ']]'\n{_TEMPLATE.replace('{{', '[[')}"
#: What ansible-core's own JSON would turn into templates, vaults and errors.
CORE_KEY_PREFIX: tuple[Any, ...] = (
    {"a": {"__ansible_type": "_AnsibleTaggedStr", "value": _TEMPLATE, "tags": [_TRUSTED]}},
    {"a": {"__ansible_unsafe": _TEMPLATE}, **_TRUSTED},
    {"a": [{"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n6161"}]},
    {"a": "\ud800", "\udfff": ["\ud800"]},
    {"a": _HEADER.replace("}}", "]]"), _TEMPLATE: "x"},
)


@pytest.mark.parametrize("core", CORES)
def test_texts_of_the_workspace_and_the_cache_are_never_run(source: Source, core: str) -> None:
    inventories.MARKER.unlink(missing_ok=True)
    rows = [
        {"id": uuid(n), "name": f"web-{n}", "tags": value, "status": value, "groups": [{"id": "1", "name": value}]}
        for n, value in enumerate(CORE_KEY_PREFIX)
    ]
    source = replace(source, programs=prepare(core))
    show = {"var": "[alpacon_tags, alpacon_status, alpacon_groups, shown, hostvars[inventory_hostname] | to_json]"}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": show}]}]
    (source.folder / "play.json").write_text(json.dumps(play), encoding="utf-8")
    own: Row = {"keyed_groups": [{"key": "alpacon_tags.a"}], "compose": {"shown": "alpacon_tags.a | string | trim"}}
    with ScriptedServer([Response(page(rows))]) as server:
        source.write(url=server.url, token=TOKEN, **cached(source, **own))
        for _run in ("from the workspace", "from the cache"):
            shown = source.run(str(source.folder / "play.json"), program="ansible-playbook")
            assert shown.code == 0, shown.out + shown.log
            assert shown.out.count("ok=1 ") == len(rows), shown.out + shown.log
            assert not inventories.MARKER.exists()
        assert len(server.requests) == 1


def test_another_origin_is_not_read_from_the_cache(source: Source) -> None:
    workspace = source.workspace
    for more, requests in (
        ({}, 2),
        ({"filters": {"commissioned": False}}, 1),
        ({}, 2),
        ({"token": workspace.tokens()["bob"]}, 2),
    ):
        workspace.reset_counters()
        assert source.parse(**cached(source, **more)).failure == ""
        assert workspace.requests_made() == requests
    assert served(source, [], **cached(source)).hosts == {}


# Tasks


def test_tasks_use_the_server_id_and_fail_if_a_group_has_that_name(current: Workspace, tmp_path: Path) -> None:
    source = Source(current, tmp_path)
    source.write(hostname=["{{ alpacon_name if alpacon_name == 'web-01' else alpacon_name ~ '.example.com' }}"])
    (tmp_path / "later.ini").write_text("[web-01]\nweb-01\nelsewhere\n", encoding="utf-8")
    run = {"herdops.alpacon.alpacon_command": {"line": "echo hello"}}
    plays = [{"hosts": hosts, "gather_facts": False, "tasks": [run]} for hosts in ("connected:!web-01", "web-01")]
    (tmp_path / "play.json").write_text(json.dumps(plays), encoding="utf-8")
    listing = source.run("-i", str(tmp_path / "later.ini"), str(tmp_path / "play.json"), program="ansible-playbook")
    assert listing.code != 0
    assert "a host and a group of the inventory, and patterns with this name match the host only" in listing.out
    assert sorted(row["server"] for row in current.commands()) == ["web-02", "web-03"]
    assert [path.split("?")[0] for path in request_paths(current) if "/servers/" in path] == ["/api/servers/servers/"]


# Names that mean something else, and rows that are not servers

NAMED_LIKE_GROUPS = ("web", "_web", "all", "ungrouped", "localhost", "127.0.0.1", "::1", "connected", "os_debian")


def test_names_of_servers_do_not_break_patterns(source: Source) -> None:
    rows = [
        {"id": uuid(n), "name": name, "os_name": "Debian", "is_connected": True, "tags": {"role": "web"}}
        for n, name in enumerate(NAMED_LIKE_GROUPS)
    ]
    keyed = [{"key": "alpacon_tags.role", "separator": ""}, {"key": "alpacon_tags.role"}]
    read = served(source, rows, keyed_groups=keyed)
    renamed = sorted(f"{name}-{uuid(n)[:8]}" for n, name in enumerate(NAMED_LIKE_GROUPS))
    assert sorted(read.hosts) == renamed
    assert read.groups == {"connected": renamed, "os_debian": renamed, "web": renamed, "_web": renamed}
    assert [read.hosts[name]["alpacon_name"] for name in renamed] == sorted(NAMED_LIKE_GROUPS)
    assert "servers had the name of a group or of this machine, so a part of the UUID was added: " in read.warnings
    assert f"web (web-{uuid(0)[:8]})" in read.warnings


def test_unsafe_names_are_warned_of_without_control_characters(source: Source) -> None:
    names = {"\x1b]0;owned\x07\x1b[2J": "__0_owned___2J", "fine_one": "fine_one", "fine one": f"fine_one-{uuid(3)[:8]}"}
    rows = web(*({"name": name} for name in names))
    read = served(source, rows)
    assert {name: host["alpacon_name"] for name, host in read.hosts.items()} == {new: old for old, new in names.items()}
    assert "2 servers had a name that is not safe for a host, so the host has another name: " in read.warnings
    graph = printed(source, rows, "--graph")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", graph.out + graph.log)


ODD_ROWS: list[Any] = json.loads('[{"id": null, "name": "x"}, {"name": "x"}, {"id": 7}, {"id": "../x", "name": "x"}]')
ODD_FIELDS: list[Any] = json.loads(
    '[null, 7, -1.5, true, "", "text", [], ["x", null, 3], {}, {"x": {"y": []}}, [{"id": 1}, {}], "{{ 7 }}"]'
)
ODD_FILTERS: Row = {"tags": {"x": "y"}, "groups": "x", "os_name": "x*", "is_connected": True}


@pytest.mark.parametrize("field", ["name", "groups", "groups_name", "tags", "owner", *list(ODD_FILTERS)[2:], "status"])
def test_a_server_with_an_invalid_field_is_a_host(source: Source, field: str) -> None:
    rows = [
        {"id": uuid(n), "name": f"web-{n}", "groups": [uuid(99)], field: value} for n, value in enumerate(ODD_FIELDS)
    ]
    keyed = [{"key": "alpacon_tags"}, {"key": "alpacon_groups"}, {"key": "alpacon_os_name"}]
    read = served(source, [*ODD_ROWS, *rows], keyed_groups=keyed, compose={"a": "alpacon_tags.role"})
    assert read.failure == ""
    assert {host["alpacon_server_id"] for host in read.hosts.values()} == {uuid(n) for n in range(len(ODD_FIELDS))}
    assert "The inventory leaves out 4 servers that have no UUID in the workspace." in read.warnings
    if field in ODD_FILTERS:
        names = {"os_name": "os", "is_connected": "connected"}
        assert served(source, rows, filters={names.get(field, field): ODD_FILTERS[field]}).failure == ""


# Other inventories


@pytest.mark.parametrize(
    ("hosts", "connection"),
    [
        ("[legacy]\nweb-1\n[old:children]\nlegacy\n[old:vars]\nansible_connection=local\n", None),
        ("web-1 ansible_host=192.0.2.9 ansible_connection=ssh\n", "ssh"),
        ("web-1\n[all:vars]\nansible_port=2222\n", None),
    ],
)
def test_a_host_of_another_inventory_keeps_its_connection(source: Source, hosts: str, connection: str | None) -> None:
    other = source.folder / "a.ini"
    other.write_text(hosts, encoding="utf-8")
    read = served(source, web({}, {}), other, connection=True)
    assert read.hosts["web-1"].get("ansible_connection") == connection
    assert read.hosts["web-1"]["alpacon_server_id"] == uuid(1)
    assert read.hosts["web-2"]["ansible_connection"] == PLUGIN
    kept = "since another inventory has a host of that name with a connection: web-1."
    assert kept in read.warnings


def test_a_host_of_another_inventory_gets_the_connection_with_a_warning(source: Source) -> None:
    other = source.folder / "a.ini"
    for variables, is_warned in (("", True), (f"\n[web:vars]\nansible_connection={PLUGIN}", False)):
        other.write_text(f"[web]\nweb-1{variables}\n", encoding="utf-8")
        read = served(source, web({}), other, connection=True)
        assert read.hosts["web-1"]["ansible_connection"] == PLUGIN
        warning = (
            "1 server had the name of a host of another inventory, which now has the connection of the server: web-1"
        )
        assert (warning in read.warnings) is is_warned


def test_groups_that_share_a_name_get_suffixes(source: Source) -> None:
    groups = [{"id": uuid(number), "name": name} for number, name in enumerate(("Prod DB", "prod-db", "Web"), 10)]
    read = served(source, web(*({"groups": [group, groups[2]]} for group in groups[:2])), default_groups=["groups"])
    apart = sorted(name for name in read.groups if name.startswith("group_prod_db_"))
    assert sorted(read.groups[name] for name in apart) == [["web-1"], ["web-2"]]
    assert "group_prod_db" not in read.groups
    assert read.groups["group_web"] == ["web-1", "web-2"]
    assert (
        f"2 groups of the workspace would share the group name group_prod_db. Their names are {apart[0]}"
        in read.warnings
    )


def test_no_tag_adds_all_hosts_to_a_group(source: Source) -> None:
    keyed = [{"key": BY_ROLE, "separator": "", "parent_group": "roles"}]
    read = served(source, web({"tags": {"role": "web"}}, {"tags": {"role": "all"}}), keyed_groups=keyed)
    assert read.groups == {"web": ["web-1"], "all_": ["web-2"]}
    assert read.children("roles") == ["all_", "web"]


def test_hosts_get_the_connection_only_with_the_option(current: Workspace, tmp_path: Path) -> None:
    source = Source(current, tmp_path)
    current.add_servers("win-01", "win-02", connected=True, platform="Windows")
    settings: list[Row] = [{}, {"connection": False}]
    for options in settings:
        read = source.parse(**options)
        assert not [host for host in read.hosts.values() if "ansible_connection" in host]
        assert read.warnings == ""
    compose = {"ansible_connection": "'ssh' if own_name == 'web-02' else ansible_connection"}
    read = source.parse(connection=True, hostvars_prefix="own_", compose=compose)
    assert read.hosts["web-01"].items() >= {"ansible_connection": PLUGIN, "alpacon_is_connected": True}.items(), (
        "whatever the prefix"
    )
    assert read.hosts["web-02"]["ansible_connection"] == "ssh"
    assert "ansible_connection" not in read.hosts["win-01"]
    warning = "2 servers got no connection, since the agent for Windows has no POSIX shell: win-01, win-02."
    assert warning in read.warnings
