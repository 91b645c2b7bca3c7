# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin, as ansible-inventory lists it."""

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
from ansible_cores import CORES, prepare
from system import inventories
from system.certificates import authority
from system.inventories import APP, DB, NEW, ODD, TWINS, Row, Source
from system.playing import environment
from system.support import Reply, ScriptedServer, in_every_dialect, paths
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import DIALECTS, TOKEN, page

LIST = "/api/servers/servers/?ordering=name"
GOLDEN = Path(__file__).with_name("golden")
#: What the golden lists have for the URL of the workspace.
SOMEWHERE = "https://workspace.example"
PLUGIN = "herdops.alpacon.alpacon"
ALL_HOSTS = sorted(["app-01", "db-01", "new-01", *TWINS, ODD])


@pytest.fixture(scope="module")
def filled() -> Iterator[Callable[[str], Workspace]]:
    """Gives the workspace of a dialect with the servers of the integration target, which no test changes."""
    with ExitStack() as stack:
        started: dict[str, Workspace] = {}

        def get(dialect: Any) -> Workspace:
            if dialect not in started:
                workspace = stack.enter_context(Workspace(dialect, servers=0, agents=False))
                inventories.fill(workspace)
                started[dialect] = workspace
            started[dialect].reset_counters()
            return started[dialect]

        yield get


@pytest.fixture(params=DIALECTS)
def every(request: pytest.FixtureRequest, filled: Callable[[str], Workspace], tmp_path: Path) -> Source:
    """An inventory of each dialect in turn."""
    return Source(filled(request.param), tmp_path)


@pytest.fixture
def source(filled: Callable[[str], Workspace], tmp_path: Path) -> Source:
    """An inventory of a workspace of today."""
    return Source(filled("current"), tmp_path)


def requests_of(source: Source) -> list[str]:
    """The requests of the last run, without what all of them have."""
    made = source.workspace.requests_made()
    asked = paths(source.workspace)[-made:] if made else []
    return [path.replace("&page_size=100", "").replace("?page_size=100", "") for path in asked]


# What it lists


def test_the_list_is_the_golden_one(every: Source) -> None:
    check_golden(every)


@pytest.mark.parametrize("core", ["oldest", "newest"])
def test_the_list_is_the_golden_one_on_every_core(
    filled: Callable[[str], Workspace], tmp_path: Path, core: str
) -> None:
    check_golden(Source(filled("current"), tmp_path, prepare(core)))


def check_golden(source: Source) -> None:
    golden = json.loads((GOLDEN / f"list.{source.workspace.dialect}.json").read_text(encoding="utf-8"))
    listed = source.list().data
    listed["_meta"].pop("profile", None)
    for host in listed["_meta"]["hostvars"].values():
        assert host["alpacon_workspaces"] == [host["alpacon_workspace"]] == [source.workspace.url]
        host.update(alpacon_workspace=SOMEWHERE, alpacon_workspaces=[SOMEWHERE])
    assert in_order(listed) == in_order(golden)


def in_order(inventory: dict[str, Any]) -> dict[str, Any]:
    """An inventory whose hosts and children are in an order that all cores have."""
    return {
        name: {key: sorted(value) if isinstance(value, list) else value for key, value in group.items()}
        for name, group in inventory.items()
    }


@in_every_dialect
def test_250_servers_are_three_pages_and_the_names_of_groups_one_more(workspace: Workspace, tmp_path: Path) -> None:
    workspace.add_servers(*(f"db-{number:03d}" for number in range(247)))
    source = Source(workspace, tmp_path)
    assert len(source.list().hosts) == 250
    # The servers of 2024 list the names beside the ids.
    names = [] if workspace.dialect == "2024" else ["/api/iam/groups/"]
    assert sorted(path.split("?")[0] for path in requests_of(source)) == [*names, *["/api/servers/servers/"] * 3]


def test_servers_without_groups_need_no_names_of_groups(source: Source) -> None:
    source.list(filters={"name": "new-01"})
    assert requests_of(source) == [f"{LIST}&name=new-01"]


def test_a_token_that_may_not_read_groups_gets_their_ids(source: Source) -> None:
    source.workspace.fault("status", path="/api/iam/groups/", status=403, body='{"code": "forbidden"}')
    try:
        listing = source.list()
    finally:
        source.workspace.clear_faults()
    [group] = listing.hosts["db-01"]["alpacon_groups"]
    assert group["name"] == group["id"]
    assert listing.groups["group_" + group["id"].replace("-", "_")] == ["db-01"]
    assert "The names of IAM groups cannot be read, so their ids stand for them: The token may not do this." in (
        listing.warnings
    )


def test_only_files_of_that_name_are_ours(source: Source) -> None:
    source.write()
    source.path.rename(source.folder / "my.yml")
    assert (
        "my.yml"
        in subprocess.run(
            [collection_tree.TOOLS / "ansible-inventory", "-i", source.folder / "my.yml", "--list"],
            env=environment(source.workspace, source.folder),
            capture_output=True,
            text=True,
            check=False,
        ).stderr
    )
    assert source.workspace.requests_made() == 0


# Names


@pytest.mark.parametrize(
    ("hostname", "names"),
    [
        ("name", ALL_HOSTS),
        ("id", [APP, DB, NEW]),
        (["tags.fqdn", "remote_ip", "name"], ["192.0.2.22", "new-01", "app-01.example.com"]),
        (["tags.role", "id"], ["db", NEW, "web"]),
        ("{{ alpacon_name }}.example.com", ["db-01.example.com", "new-01.example.com", "app-01.example.com"]),
        (["{{ alpacon_tags.fqdn }}", "{{ alpacon_server_id }}"], ["app-01.example.com", DB, NEW]),
        ("{{ alpacon_name }} {{ '{' }}", ["db-01__", "new-01__", "app-01__"]),
        ("owner.name", ["admin-11111111", "admin-22222222", "admin-33333333"]),
    ],
)
def test_what_hosts_are_called(source: Source, hostname: Any, names: list[str]) -> None:
    filtered = {} if len(names) == len(ALL_HOSTS) else {"filters": {"name": ["*-01"]}}
    assert sorted(source.list(hostname=hostname, **filtered).hosts) == sorted(names)


def test_servers_of_one_name_are_all_there_under_other_names(source: Source) -> None:
    listing = source.list(filters={"name": "twin"})
    assert sorted(listing.hosts) == list(TWINS)
    assert [listing.hosts[name]["alpacon_name"] for name in TWINS] == ["twin", "twin"]
    assert f"2 servers would be the host twin. They are the hosts {', '.join(TWINS)}." in listing.warnings


@pytest.mark.parametrize(
    ("hostname", "problem"),
    [
        ("nmae", "hostname: 'nmae' is neither a template nor a field"),
        (["name", 7], "hostname: '7' is neither a template nor a field"),
        ("groups", "hostname: 'groups' is neither a template nor a field"),
        ("owner.phone", "hostname: 'owner.phone' is neither a template nor a field"),
        ([], "hostname: it is an empty list. Give name"),
    ],
)
def test_no_name_of_that_kind(source: Source, hostname: Any, problem: str) -> None:
    assert problem in source.fail(hostname=hostname)
    assert source.workspace.requests_made() == 0


def test_a_server_that_gets_no_name_fails_all(source: Source) -> None:
    said = source.fail(hostname=["tags.fqdn", "{{ alpacon_tags.fqdn }}"])
    assert f"hostname: it gives no name for the server {DB}. Add id to it" in said


def test_a_name_that_cannot_be_worked_out_fails_where_it_is_strict(source: Source) -> None:
    said = source.fail(hostname=["{{ alpacon_nothing }}", "id"], strict=True)
    assert "hostname: {{ alpacon_nothing }} cannot be worked out" in said


@pytest.mark.parametrize("core", CORES)
def test_templates_of_names_have_extra_variables_where_these_are_used(source: Source, core: str) -> None:
    source = replace(source, programs=prepare(core))
    source.write(hostname="{{ alpacon_name }}.{{ domain }}", use_extra_vars=True, filters={"name": "app-01"})
    assert list(source.run("--list", "-e", "domain=corp.test").hosts) == ["app-01.corp.test"]
    source.write(hostname=["{{ alpacon_name }}.{{ domain | default('x') }}"], filters={"name": "app-01"})
    assert list(source.run("--list", "-e", "domain=corp.test").hosts) == ["app-01.x"]


@pytest.mark.parametrize("core", CORES)
def test_a_template_that_gives_no_name_is_said_to_be_why(source: Source, core: str) -> None:
    source = replace(source, programs=prepare(core))
    said = source.fail(hostname=["tags.nothing", "{{ alpacon_name }}.{{ domain }}"], filters={"name": "app-01"})
    remedy = "Add id to it, as the last of a list. {{ alpacon_name }}.{{ domain }} cannot be worked out: "
    assert f"hostname: it gives no name for the server {APP}. {remedy}" in said
    assert "'domain' is undefined." in said


# Variables and groups


def test_the_prefix_of_variables(source: Source) -> None:
    host = source.list(hostvars_prefix="a_", default_groups=[]).hosts["app-01"]
    own = ["alpacon_server_id", "alpacon_workspace", "alpacon_workspaces"]
    assert sorted(name for name in host if not name.startswith("a_")) == own
    assert (host["a_id"], host["alpacon_server_id"], host["a_name"]) == (APP, APP, "app-01")


@pytest.mark.parametrize("prefix", ["", "1st_", "my-", "a b"])
def test_a_prefix_that_no_variable_can_have(source: Source, prefix: str) -> None:
    assert f"hostvars_prefix: no variable's name can begin with '{prefix}'" in source.fail(hostvars_prefix=prefix)
    assert source.workspace.requests_made() == 0


@pytest.mark.parametrize(
    ("chosen", "groups"),
    [
        ([], {"ungrouped"}),
        (["groups"], {"group_alpacon_users", "group_operations", "group_legacy", "ungrouped"}),
        (["os"], {"os_debian", "os_rocky_linux", "ungrouped"}),
        (["platform"], {"platform_debian", "platform_rhel", "ungrouped"}),
        (["connected"], {"connected", "disconnected"}),
    ],
)
def test_which_groups_are_made(source: Source, chosen: list[str], groups: set[str]) -> None:
    assert set(source.list(default_groups=chosen, filters={"name": ["*-01"]}).groups) == groups


def test_no_such_default_group(source: Source) -> None:
    assert "default_groups" in source.fail(default_groups=["colour"])


def test_variables_and_groups_of_ones_own(source: Source) -> None:
    listing = source.list(
        "-e",
        "site=north",
        filters={"name": ["*-01"]},
        default_groups=[],
        use_extra_vars=True,
        compose={"memory_gb": "(alpacon_physical_memory / 1024 ** 3) | int", "site": "site"},
        groups={"small": "memory_gb | default(99) < 4", "per cent%": "alpacon_is_connected"},
        keyed_groups=[
            {"key": "alpacon_tags.role", "prefix": "role", "parent_group": "roles"},
            {"key": "alpacon_platform", "prefix": "p", "separator": "-", "default_value": "none"},
            {"key": "alpacon_groups | map(attribute='name')", "separator": ""},
            {"key": "{'off': ''} if not alpacon_is_connected else {}", "trailing_separator": False},
        ],
    )
    assert {name: host.get("memory_gb") for name, host in listing.hosts.items()} == {
        "app-01": 8,
        "db-01": 2,
        "new-01": None,
    }
    assert {host["site"] for host in listing.hosts.values()} == {"north"}
    assert listing.groups == {
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
    assert sorted(listing.data["roles"]["children"]) == ["role_db", "role_web"]


@pytest.mark.parametrize(("leading", "group"), [(True, "_web"), (False, "web")])
def test_a_leading_separator(source: Source, leading: bool, group: str) -> None:
    keyed = [{"key": "alpacon_tags.role"}]
    assert group in source.list(keyed_groups=keyed, leading_separator=leading, default_groups=[]).groups


@pytest.mark.parametrize(
    "options",
    [
        {"compose": {"role": "alpacon_tags.role"}},
        {"groups": {"web": "alpacon_tags.role == 'web'"}},
        {"keyed_groups": [{"key": "alpacon_tags.role"}]},
    ],
)
def test_what_cannot_be_worked_out_fails_where_it_is_strict(source: Source, options: dict[str, Any]) -> None:
    source.list(**options)
    assert "Failed to parse" in source.fail(strict=True, **options)


BY_ROLE = "alpacon_tags.role | default('none')"


def tagged(value: Any) -> list[Row]:
    """Three servers, of which web-2 has this for its role."""
    roles = ("web", value, "db")
    return [{"id": uuid(n), "name": f"web-{n}", "tags": {"role": role}} for n, role in enumerate(roles, 1)]


@pytest.mark.parametrize("core", CORES)
def test_a_tag_that_makes_no_group_costs_no_host(source: Source, core: str) -> None:
    program = str(prepare(core) / "ansible-inventory")
    by_role = {"key": BY_ROLE, "prefix": "role", "parent_group": "role_all"}
    keyed = [by_role, by_role, {"key": "alpacon_name"}]
    reasons = {"all": "can't add group to itself", True: "Invalid group name format"}
    for value, reason in reasons.items():
        listing = served(source, tagged(value), program=program, keyed_groups=keyed)
        assert sorted(listing.hosts) == ["web-1", "web-2", "web-3"], listing.said
        groups = {name: hosts for name, hosts in listing.groups.items() if name != "role_all"}
        assert groups == {"role_web": ["web-1"], "role_db": ["web-3"], **{f"_web_{n}": [f"web-{n}"] for n in (1, 2, 3)}}
        assert f"1 server for which {BY_ROLE} in keyed_groups makes no valid group ({reason}" in listing.warnings
        assert re.search(r"\): web-2\. |\): web-2\.$", listing.warnings)
        said = served(source, tagged(value), program=program, keyed_groups=keyed, strict=True)
        assert said.hosts == {}
        assert f"keyed_groups: {BY_ROLE} makes no valid group for the host web-2: {reason}" in said.warnings


def test_a_text_that_ansible_takes_for_a_boolean_costs_no_host(source: Source) -> None:
    program = str(prepare("oldest") / "ansible-inventory")
    listing = served(source, tagged("True"), program=program, keyed_groups=[{"key": BY_ROLE, "prefix": "role"}])
    assert listing.groups == {"role_web": ["web-1"], "role_db": ["web-3"], "ungrouped": ["web-2"]}
    assert "makes no valid group (Invalid group name format" in listing.warnings


@pytest.mark.parametrize("name", ["all", "ungrouped"])
def test_no_tag_puts_every_host_into_a_group(source: Source, name: str) -> None:
    keyed = [{"key": BY_ROLE, "separator": "", "parent_group": "roles"}]
    listing = served(source, tagged(name), keyed_groups=keyed)
    assert listing.code == 0, listing.said
    assert listing.groups == {"web": ["web-1"], f"{name}_": ["web-2"], "db": ["web-3"]}
    assert sorted(listing.data["roles"]["children"]) == sorted(["web", f"{name}_", "db"])


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("alpacon_name", "'alpacon_name' is not a dictionary. Give entries such as {key: alpacon_name, prefix: name}."),
        ({}, "'{}' is not a dictionary"),
        ({"prefix": "role"}, "there is no key in '{'prefix': 'role'}'. Give entries such as {key: alpacon_name"),
        ({"key": " ", "prefix": "role"}, "there is no key in '{'key': ' ', 'prefix': 'role'}'."),
        ({"key": None}, "there is no key in '{'key': None}'."),
        (
            {"key": "alpacon_name", "default_value": "x", "trailing_separator": False},
            "default_value and trailing_separator exclude each other. Give one of them.",
        ),
    ],
)
def test_keyed_groups_that_make_no_sense(source: Source, entry: Any, problem: str) -> None:
    assert f"keyed_groups: {problem}" in source.fail(keyed_groups=[{"key": "alpacon_name"}, entry])
    assert source.workspace.requests_made() == 0


# Filters


def test_filters_are_left_to_the_workspace_and_hold_all_the_same(every: Source) -> None:
    filters = {"commissioned": True, "connected": "yes", "groups": "Operations", "os": "deb*"}
    assert sorted(every.list(filters=filters).hosts) == ["app-01"]
    assert requests_of(every)[0] == f"{LIST}&commissioned=true"


def test_filters_that_make_no_sense(source: Source) -> None:
    said = source.fail(filters={"conected": True})
    assert "filters: there is no filter conected. Did you mean connected?" in said
    assert source.workspace.requests_made() == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (None, "filters: it is null. Give a filter, or leave it out to mean all servers."),
        ({}, "filters: it is empty."),
        ({"groups": []}, "filters: groups is an empty list."),
        ({"groups": None}, "filters: groups is null. Give what it must be, or leave it out."),
        ({"tags": {}}, "filters: tags are empty."),
    ],
)
def test_filters_that_select_nothing(source: Source, options: dict[str, Any], problem: str) -> None:
    assert problem in source.fail(filters=options)
    assert source.workspace.requests_made() == 0


@pytest.mark.parametrize("core", CORES)
def test_filters_may_be_templates(source: Source, core: str) -> None:
    source = replace(source, programs=prepare(core))
    source.write(
        filters={"name": ["{{ pattern }}", "new-{{ 1 }}"], "connected": "{{ only_connected | default(true) }}"}
    )
    assert list(source.run("--list", "-e", "pattern=app-*").hosts) == ["app-01"]
    given = json.dumps({"pattern": "db-01", "only_connected": False})
    assert list(source.run("--list", "-e", given).hosts) == ["db-01"]


@pytest.mark.parametrize("core", CORES)
def test_lists_may_be_texts_with_commas_everywhere(current: Workspace, tmp_path: Path, core: str) -> None:
    source = Source(current, tmp_path, prepare(core))
    source.write(filters={"name": "{{ pattern }}"})
    (tmp_path / "play.yml").write_text(
        """
- hosts: localhost
  gather_facts: false
  vars: {names: "{{ found.servers | map(attribute='name') }}"}
  tasks:
    - {herdops.alpacon.alpacon_server_info: {servers: "web-01, web-02"}, register: found}
    - {ansible.builtin.assert: {that: "names == ['web-01', 'web-02']"}}
    - {herdops.alpacon.alpacon_server_info: {filters: {name: "web-01, web-02"}}, register: found}
    - {ansible.builtin.assert: {that: "names == ['web-01', 'web-02']"}}
    - {ansible.builtin.assert: {that: "groups.all | sort == ['web-01', 'web-02']"}}
""",
        encoding="utf-8",
    )
    pattern = json.dumps({"pattern": "web-01, web-02"})
    listing = source.run("-e", pattern, str(tmp_path / "play.yml"), program="ansible-playbook")
    assert listing.code == 0, listing.out + listing.said
    assert "there is no server" not in listing.warnings


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ({"name": "{{ pattern }}"}, "filters: its template cannot be worked out:"),
        ({"name": "{{ [] }}"}, "filters: name is an empty list."),
        ({"name": "{{ none }}"}, "filters: name"),
        ({"name": "{{ '' }}"}, "filters: name"),
        ({"connected": "{{ 'perhaps' }}"}, "filters: connected: 'perhaps' is not a boolean."),
    ],
)
@pytest.mark.parametrize("core", CORES)
def test_templates_that_select_nothing(source: Source, core: str, filters: Any, problem: str) -> None:
    assert problem in replace(source, programs=prepare(core)).fail(filters=filters)
    assert source.workspace.requests_made() == 0


@pytest.mark.parametrize("core", CORES)
def test_options_that_there_are_not(source: Source, core: str) -> None:
    program = str(prepare(core) / "ansible-inventory")
    source.write(filter={"connected": True})
    said = source.run("--list", program=program, ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="1").warnings
    assert f"filter: the inventory {PLUGIN} has no such option. Did you mean filters?" in said
    source.write(colour="red")
    said = source.run("--list", program=program).warnings
    assert f"ansible-doc -t inventory {PLUGIN} lists those that there are." in said
    assert source.workspace.requests_made() == 0
    source.write(
        cache=True,
        cache_plugin="ansible.builtin.jsonfile",
        cache_timeout=60,
        cache_connection=str(source.folder / "cache"),
        cache_prefix="x",
        strict=True,
        compose={"here": "alpacon_name"},
        groups={"some": "true"},
        keyed_groups=[],
        use_extra_vars=True,
        leading_separator=False,
    )
    listing = source.run("--list", program=program)
    assert listing.groups["some"] == ALL_HOSTS, listing.said


# Settings


@pytest.mark.parametrize("core", CORES)
def test_settings_from_templates_vaults_and_extra_variables(source: Source, core: str) -> None:
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
    bare: dict[str, Any] = {"ALPACON_TOKEN": None, "ALPACON_URL": None, "HERE": source.workspace.url}
    file = f"url: \"{{{{ lookup('env', 'HERE') }}}}\"\ntoken: {vaulted}"
    source.write(file)
    assert sorted(source.run("--list", "--vault-password-file", str(password), **bare).hosts) == ALL_HOSTS
    source.write("token: '{{ mine }}'\n")
    given = ("-e", f"mine={source.workspace.token}", "-e", f"alpacon_url={source.workspace.url}")
    assert sorted(source.run("--list", *given, **bare).hosts) == ALL_HOSTS


def test_the_workspace_of_a_host_says_nothing_of_where_an_inventory_is_read_from(source: Source) -> None:
    source.write()
    elsewhere = ("-e", "alpacon_workspace=https://other.example")
    assert sorted(source.run("--list", *elsewhere).hosts) == ALL_HOSTS


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "nowhere"}, "url: 'nowhere' is not an http or https URL."),
        ({"token": "{{ nothing }}"}, "token: its template cannot be worked out:"),
        ({"request_timeout": 0}, "request_timeout: 0 is not a time."),
    ],
)
def test_settings_that_are_wrong(source: Source, options: dict[str, Any], problem: str) -> None:
    assert problem in source.fail(**options)


def test_a_missing_token_is_asked_for(source: Source) -> None:
    source.write()
    said = source.run("--list", ALPACON_TOKEN=None).warnings
    assert "token: an API or service token is missing. Give it as the option token" in said


def test_a_token_that_is_refused(source: Source) -> None:
    said = source.fail(token="alpat-wrong")
    assert "The token is unknown, disabled or expired." in said
    assert "alpat-wrong" not in said.replace("token: alpat-wrong", "")


def test_the_token_is_in_no_output(source: Source) -> None:
    source.write(token=source.workspace.token, url=source.workspace.url)
    listing = source.run("--list", "-vvvv")
    assert sorted(listing.hosts) == ALL_HOSTS
    assert source.workspace.token not in listing.out + listing.said


# The cache


def cached(source: Source, **more: Any) -> dict[str, Any]:
    """Options for a cache in a file."""
    folder = str(source.folder / "cache")
    return {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": folder, **more}


@pytest.mark.parametrize("core", CORES)
def test_the_second_run_reads_the_cache(filled: Callable[[str], Workspace], tmp_path: Path, core: str) -> None:
    source = Source(filled("current"), tmp_path, prepare(core))
    first = source.list(**cached(source))
    source.workspace.reset_counters()
    assert source.run("--list").data == first.data
    assert source.workspace.requests_made() == 0
    # What the workspace does not filter by is filtered out of the cache.
    assert list(source.list(**cached(source), filters={"os": "Rocky*"}).hosts) == ["db-01"]
    assert source.workspace.requests_made() == 0
    if core != "oldest":  # its ansible-inventory has no such option
        assert source.run("--list", "--flush-cache").code == 0
        assert source.workspace.requests_made() > 0
    [file] = (source.folder / "cache").iterdir()
    kept = file.read_text(encoding="utf-8")
    assert source.workspace.token not in kept
    assert source.workspace.url not in kept


_TRUSTED: dict[str, Any] = {"__ansible_type": "TrustedAsTemplate"}
_TEMPLATE = f"{{{{ lookup('pipe', 'touch {inventories.MARKER}') }}}}"
#: What ansible-core's own JSON would make templates, vaults and errors of.
KEYS_OF_CORE: tuple[Any, ...] = (
    {"a": {"__ansible_type": "_AnsibleTaggedStr", "value": _TEMPLATE, "tags": [_TRUSTED]}},
    {"a": {"__ansible_unsafe": _TEMPLATE}, **_TRUSTED},
    {"a": [{"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n6161"}]},
    {"a": "\ud800", "\udfff": ["\ud800"]},
)


@pytest.mark.parametrize("core", CORES)
def test_a_cache_makes_nothing_of_what_servers_say_but_data(source: Source, core: str) -> None:
    inventories.MARKER.unlink(missing_ok=True)
    rows = [
        {"id": uuid(n), "name": f"web-{n}", "tags": value, "status": value, "groups": [{"id": "1", "name": value}]}
        for n, value in enumerate(KEYS_OF_CORE)
    ]
    on_core = Source(source.workspace, source.folder, prepare(core))
    show = {"var": "[alpacon_tags, alpacon_status, alpacon_groups, alpacon_name]"}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": show}]}]
    (source.folder / "play.json").write_text(json.dumps(play), encoding="utf-8")
    with ScriptedServer([Reply(page(rows))]) as server:
        on_core.write(url=server.url, token=TOKEN, **cached(on_core))
        for _run in ("from the workspace", "from the cache"):
            shown = on_core.run(str(source.folder / "play.json"), program="ansible-playbook")
            assert shown.code == 0, shown.out + shown.said
            assert shown.out.count("ok=1 ") == len(rows), shown.out + shown.said
            assert not inventories.MARKER.exists()
        assert len(server.requests) == 1


@pytest.mark.parametrize("tags", [{}, *KEYS_OF_CORE])
def test_a_cache_of_an_older_version_is_read_anew(source: Source, tags: dict[str, Any]) -> None:
    first = source.list(**cached(source))
    [file] = (source.folder / "cache").iterdir()
    entry = json.loads(json.loads(file.read_text(encoding="utf-8"))["__payload__"])
    entry["servers"] = [{"id": uuid(1), "name": "older", "tags": tags}]
    file.write_text(json.dumps({"__payload__": json.dumps(entry)}), encoding="utf-8")
    assert source.list(**cached(source)).data == first.data
    source.workspace.reset_counters()
    assert source.list(**cached(source)).data == first.data
    assert source.workspace.requests_made() == 0


def test_another_origin_is_not_read_from_the_cache(source: Source) -> None:
    workspace = source.workspace
    source.list(**cached(source))
    workspace.reset_counters()
    assert sorted(source.list(**cached(source, filters={"commissioned": False})).hosts) == ["new-01"]
    assert workspace.requests_made() == 1
    source.list(**cached(source))
    workspace.reset_counters()
    source.list(**cached(source, token=workspace.tokens()["bob"]))
    assert workspace.requests_made() == 2
    workspace.reset_counters()
    with ScriptedServer([Reply(page([]))]) as server:
        assert source.list(**cached(source, url=server.url, token=workspace.token)).hosts == {}
    assert workspace.requests_made() == 0


def expire(source: Source) -> None:
    """Read the servers into a cache that has expired since."""
    source.list(**cached(source))
    [file] = (source.folder / "cache").iterdir()
    subprocess.run(["touch", "-d", "2 hours ago", str(file)], check=True)


def test_a_workspace_that_fails_leaves_what_is_stale_where_that_is_allowed(source: Source) -> None:
    expire(source)
    workspace = source.workspace
    # Unlike 502 and its like, this one is not tried again for seconds.
    workspace.fault("status", path="/api/servers/", status=507, times=9)
    try:
        assert "[GET /api/servers/servers/: HTTP 507]" in source.fail(**cached(source))
        said = source.fail(**cached(source, cache_allow_stale=True, token=workspace.tokens()["bob"]))
        assert "HTTP 507" in said
        listing = source.list(**cached(source, cache_allow_stale=True))
    finally:
        workspace.clear_faults()
    assert sorted(listing.hosts) == ALL_HOSTS
    assert re.search(r"cannot be reached: .*HTTP 507.* Its servers are taken as of 0:\d\d:\d\d ago", listing.warnings)
    workspace.reset_counters()
    source.list(**cached(source, cache_allow_stale=True))
    assert workspace.requests_made() == 2


def test_nowhere_to_connect_to_names_the_url(source: Source) -> None:
    said = source.fail(url="http://127.0.0.1:9", token=TOKEN)
    assert "no connection to http://127.0.0.1:9" in said
    assert "Check url, the network and any proxy." in said


def test_a_refused_token_gets_nothing_stale(source: Source) -> None:
    expire(source)
    source.workspace.fault("status", path="/api/servers/", status=401, times=9, body="{}")
    try:
        said = source.fail(**cached(source, cache_allow_stale=True))
    finally:
        source.workspace.clear_faults()
    assert "The token is unknown, disabled or expired." in said


# Tasks


def test_tasks_need_not_look_up_servers_of_the_inventory(current: Workspace, tmp_path: Path) -> None:
    source = Source(current, tmp_path)
    source.write(hostname="{{ alpacon_name }}.example.com")
    play = tmp_path / "play.yml"
    play.write_text(
        json.dumps(
            [
                {
                    "hosts": "connected",
                    "gather_facts": False,
                    "tasks": [{"name": "Run it", "herdops.alpacon.alpacon_command": {"line": "echo hello"}}],
                }
            ]
        ),
        encoding="utf-8",
    )
    listing = source.run(str(play), program="ansible-playbook")
    assert listing.code == 0, listing.out + listing.said
    assert sorted(row["server"] for row in current.commands(line="echo hello")) == ["web-01", "web-02", "web-03"]
    assert [path.split("?")[0] for path in paths(current) if "/servers/" in path] == ["/api/servers/servers/"]


# Names that mean something else, and rows that are no servers


def uuid(number: int) -> str:
    """A UUID of its own for each number."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def served(source: Source, rows: list[Any], *arguments: str, program: str = "ansible-inventory", **options: Any) -> Any:
    """List the inventory of a workspace that has just these rows."""
    with ScriptedServer([Reply(page(rows))]) as server:
        source.write(url=server.url, token=TOKEN, **options)
        return source.run(*(arguments or ("--list",)), program=program)


NAMED_LIKE_GROUPS = ("web", "_web", "all", "ungrouped", "localhost", "127.0.0.1", "::1", "connected", "os_debian")


def test_no_server_takes_a_pattern_away(source: Source) -> None:
    rows = [
        {"id": uuid(n), "name": name, "os_name": "Debian", "is_connected": True, "tags": {"role": "web"}}
        for n, name in enumerate(NAMED_LIKE_GROUPS)
    ]
    keyed = [{"key": "alpacon_tags.role", "separator": ""}, {"key": "alpacon_tags.role"}]
    listing = served(source, rows, keyed_groups=keyed)
    assert listing.code == 0, listing.said
    renamed = sorted(f"{name}-{uuid(n)[:8]}" for n, name in enumerate(NAMED_LIKE_GROUPS))
    assert sorted(listing.hosts) == renamed
    assert listing.groups == {"connected": renamed, "os_debian": renamed, "web": renamed, "_web": renamed}
    assert [listing.hosts[name]["alpacon_name"] for name in renamed] == sorted(NAMED_LIKE_GROUPS)
    assert "9 servers had the name of a group or of this machine, so a part of the UUID was added: " in listing.warnings
    assert f"web (web-{uuid(0)[:8]})" in listing.warnings
    assert "same name" not in listing.warnings
    hosts = served(source, rows, "--list-hosts", "all", program="ansible", keyed_groups=keyed).out
    assert "hosts (9):" in hosts


def test_a_group_takes_its_name_from_a_host_of_an_earlier_source(source: Source) -> None:
    (source.folder / "groups.alpacon.yml").write_text("plugin: herdops.alpacon.alpacon\n", encoding="utf-8")
    rows = [{"id": uuid(1), "name": "web", "tags": {}}, {"id": uuid(2), "name": "db", "tags": {"role": "web"}}]
    with ScriptedServer([Reply(page(rows))]) as server:
        second = {"url": server.url, "token": TOKEN, "keyed_groups": [{"key": "alpacon_tags.role", "separator": ""}]}
        text = json.dumps({"plugin": "herdops.alpacon.alpacon", **second, "filters": {"name": "db"}})
        (source.folder / "groups.alpacon.yml").write_text(text, encoding="utf-8")
        source.write(url=server.url, token=TOKEN, default_groups=[])
        listing = source.run("-i", str(source.folder / "groups.alpacon.yml"), "--list")
    assert sorted(listing.hosts) == ["db", f"web-{uuid(1)[:8]}"]
    assert listing.groups["web"] == ["db"]
    assert listing.hosts[f"web-{uuid(1)[:8]}"]["alpacon_server_id"] == uuid(1)


def test_a_group_of_a_later_inventory_stops_the_task(current: Workspace, tmp_path: Path) -> None:
    source = Source(current, tmp_path)
    source.write()
    (tmp_path / "later.ini").write_text("[web-01]\nweb-01\nweb-02\n", encoding="utf-8")
    (tmp_path / "play.yml").write_text(
        "- hosts: web-01\n  gather_facts: false\n  tasks:\n    - herdops.alpacon.alpacon_command: {line: hostname}\n",
        encoding="utf-8",
    )
    listing = source.run("-i", str(tmp_path / "later.ini"), str(tmp_path / "play.yml"), program="ansible-playbook")
    assert listing.code != 0
    assert "web-01 is a host and a group of the inventory, and in patterns means the host only" in listing.out
    assert current.commands() == []


def test_names_are_safe_to_show_and_to_use_and_are_told_of(source: Source) -> None:
    names = {
        "../../../tmp/x": ".._.._.._tmp_x",
        "\x1b]0;owned\x07\x1b[2J": "__0_owned___2J",
        "a,b:!c": "a_b__c",
        "-e": "_e",
        "web\u202e10": "web_10",
        "fine.example.com": "fine.example.com",
        "fine_example": "fine_example",
        "fine example": f"fine_example-{uuid(7)[:8]}",
        "n" * 400: "n" * 180,
    }
    rows = [{"id": uuid(n), "name": name} for n, name in enumerate(names)]
    listing = served(source, rows)
    assert sorted(listing.hosts) == sorted(names.values())
    assert {host["alpacon_name"] for host in listing.hosts.values()} == set(names)
    assert "7 servers had a name that is not safe for a host, which is now: " in listing.warnings
    # As a variable the true name is data, which ansible-inventory prints as it likes.
    graph = served(source, rows, "--graph")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", graph.out + graph.said)
    play = source.folder / "play.yml"
    play.write_text("- {hosts: all, gather_facts: false, tasks: [{set_fact: {x: 1, cacheable: true}}]}\n")
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(source.folder / "facts/deep")}
    with ScriptedServer([Reply(page(rows))]) as server:
        source.write(url=server.url, token=TOKEN)
        assert source.run(str(play), program="ansible-playbook", **cache).code == 0
    assert len(list((source.folder / "facts/deep").iterdir())) == len(names)


ODD_ROWS: list[Any] = [
    {"id": None, "name": "x"},
    {"name": "x"},
    {"id": 7, "name": "x"},
    {"id": "../x", "name": "x"},
]
ODD_FIELDS: list[Any] = [
    None,
    7,
    -1.5,
    True,
    "",
    "text",
    [],
    ["x", None, 3],
    {},
    {"x": {"y": []}},
    [{"id": 1}, {}],
    "{{ 7 }}",
]


@pytest.mark.parametrize(
    "field", ["name", "groups", "groups_name", "tags", "owner", "os_name", "is_connected", "status"]
)
def test_a_server_with_an_odd_field_is_a_host_all_the_same(source: Source, field: str) -> None:
    rows = [
        {"id": uuid(n), "name": f"web-{n}", "groups": [uuid(99)], field: value} for n, value in enumerate(ODD_FIELDS)
    ]
    keyed = [{"key": "alpacon_tags"}, {"key": "alpacon_groups"}, {"key": "alpacon_os_name"}]
    listing = served(source, [*ODD_ROWS, *rows], keyed_groups=keyed, compose={"a": "alpacon_tags.role"})
    assert listing.code == 0, listing.said
    assert "Failed to parse" not in listing.said, listing.said
    assert "Traceback" not in listing.said
    assert {host["alpacon_server_id"] for host in listing.hosts.values()} == {uuid(n) for n in range(len(ODD_FIELDS))}
    assert "4 of the servers that the workspace lists have no UUID, and are left out." in listing.warnings


@pytest.mark.parametrize("filters", [{"tags": {"x": "y"}}, {"groups": "x"}, {"os": "x*"}, {"connected": True}])
def test_filters_pass_over_odd_fields(source: Source, filters: Any) -> None:
    [(name, _value)] = filters.items()
    field = {"tags": "tags", "groups": "groups", "os": "os_name", "connected": "is_connected"}[name]
    rows = [{"id": uuid(n), "name": f"web-{n}", field: value} for n, value in enumerate(ODD_FIELDS)]
    listing = served(source, rows, filters=filters)
    assert listing.code == 0, listing.said
    assert "Failed to parse" not in listing.said, listing.said


# What is stale is of its own origin


def test_a_cache_is_of_one_url_however_stale(source: Source) -> None:
    expire(source)
    workspace = source.workspace
    # The same workspace by another name, as far as that goes: nobody answers there.
    url = "http://127.0.0.1:9"
    said = source.fail(**cached(source, cache_allow_stale=True, url=url, token=workspace.token))
    assert "no connection to http://127.0.0.1:9" in said
    assert "taken as of" not in said


def test_an_untrusted_certificate_gets_nothing_stale(source: Source) -> None:
    ca = authority(source.folder, "Our CA")
    with ScriptedServer([Reply(page([{"id": APP, "name": "app-01"}]))], ca.server) as server:
        own = {"url": server.url, "token": TOKEN, "cache_allow_stale": True}
        assert list(source.list(**cached(source, **own, ca_path=str(ca.file))).hosts) == ["app-01"]
        [file] = (source.folder / "cache").iterdir()
        subprocess.run(["touch", "-d", "2 hours ago", str(file)], check=True)
        said = source.fail(**cached(source, **own))
    assert "taken as of" not in said
    assert "certificate" in said


@pytest.mark.parametrize("core", CORES)
def test_a_header_of_templates_is_text_on_every_core(source: Source, core: str) -> None:
    header = "#jinja2: variable_start_string: '[[', variable_end_string: ']]'\n"
    text = f"{header}[[ lookup('pipe', 'touch {inventories.MARKER}') ]]"
    rows = [{"id": uuid(1), "name": "web", "description": text, "tags": {"role": text, text: "x"}}]
    inventories.MARKER.unlink(missing_ok=True)
    on_core = Source(source.workspace, source.folder, prepare(core))
    own: dict[str, Any] = {
        "keyed_groups": [{"key": "alpacon_tags.role"}],
        "compose": {"shown": "alpacon_description | trim"},
    }
    listing = served(on_core, rows, **own)
    assert listing.hosts["web"]["alpacon_description"] == listing.hosts["web"]["shown"] == text
    show = {"var": "[alpacon_description, shown, hostvars[inventory_hostname] | to_json, alpacon_tags]"}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": show}]}]
    (source.folder / "play.json").write_text(json.dumps(play), encoding="utf-8")
    shown = served(on_core, rows, str(source.folder / "play.json"), program="ansible-playbook", **own)
    assert shown.code == 0, shown.said
    assert "touch" in shown.out
    assert not inventories.MARKER.exists()


def test_groups_that_would_be_one_are_kept_apart(source: Source) -> None:
    groups = [{"id": uuid(n), "name": name} for n, name in enumerate(("Prod DB", "prod-db", "Web"), 10)]
    rows = [{"id": uuid(n), "name": f"server-{n}", "groups": [group, groups[2]]} for n, group in enumerate(groups[:2])]
    listing = served(source, rows, default_groups=["groups"])
    apart = sorted(name for name in listing.groups if name.startswith("group_prod_db"))
    assert len(apart) == 2
    assert sorted(listing.groups[name] for name in apart) == [["server-0"], ["server-1"]]
    assert "group_prod_db" not in listing.groups
    assert listing.groups["group_web"] == ["server-0", "server-1"]
    assert (
        f"2 groups of the workspace would be the group group_prod_db. They are the groups {apart[0]}, {apart[1]}."
        in (listing.warnings)
    )


def test_a_connection_of_another_inventory_stays(source: Source) -> None:
    rows = [{"id": uuid(1), "name": "web-01"}, {"id": uuid(2), "name": "web-02"}]
    own = Source(source.workspace, source.folder, name="a.ini")
    own.path.write_text("web-01 ansible_host=10.0.0.1 ansible_connection=ssh\n", encoding="utf-8")
    with ScriptedServer([Reply(page(rows))]) as server:
        source.write(url=server.url, token=TOKEN, connection=True)
        listing = own.run("-i", str(source.path), "--list")
    assert listing.hosts["web-01"]["ansible_connection"] == "ssh", listing.said
    assert listing.hosts["web-01"]["alpacon_server_id"] == uuid(1)
    assert listing.hosts["web-02"]["ansible_connection"] == PLUGIN
    kept = "1 server had the name of a host that another inventory gives a connection, which stays: web-01."
    assert kept in listing.warnings


def beside(source: Source, hosts: str, **options: Any) -> Any:
    """List two servers beside an inventory of INI that is read first."""
    rows = [{"id": uuid(1), "name": "web-01"}, {"id": uuid(2), "name": "web-02"}]
    own = Source(source.workspace, source.folder, source.programs, "a.ini")
    own.path.write_text(hosts, encoding="utf-8")
    with ScriptedServer([Reply(page(rows))]) as server:
        source.write(url=server.url, token=TOKEN, connection=True, **options)
        return own.run("-i", str(source.path), "--list")


@pytest.mark.parametrize(
    ("hosts", "connection"),
    [
        ("[legacy]\nweb-01 ansible_host=192.0.2.9\n[legacy:vars]\nansible_connection=local\n", "local"),
        ("[legacy]\nweb-01\n[old:children]\nlegacy\n[old:vars]\nansible_connection=local\n", "local"),
        ("web-01 ansible_host=192.0.2.9 ansible_user=deploy ansible_ssh_private_key_file=/k\n", None),
        ("web-01 ansible_ssh_private_key_file=/k\n", None),
        ("web-01\n[all:vars]\nansible_port=2222\n", None),
    ],
)
@pytest.mark.parametrize("core", ["oldest", "newest"])
def test_a_host_that_is_reached_in_another_way_stays_there(
    source: Source, core: str, hosts: str, connection: str | None
) -> None:
    listing = beside(replace(source, programs=prepare(core)), hosts)
    assert listing.hosts["web-01"].get("ansible_connection") == connection, listing.said
    assert listing.hosts["web-01"]["alpacon_server_id"] == uuid(1)
    assert listing.hosts["web-02"]["ansible_connection"] == PLUGIN
    kept = "1 server had the name of a host that another inventory gives a connection, which stays: web-01."
    assert kept in listing.warnings


def test_a_host_of_another_inventory_that_gets_the_connection_is_told_of(source: Source) -> None:
    told = "had the name of a host of another inventory, which is reached through the workspace now: web-01."
    listing = beside(source, "[web]\nweb-01\n")
    assert listing.hosts["web-01"]["ansible_connection"] == PLUGIN
    assert f"1 server {told}" in listing.warnings
    # Somebody has said so.
    listing = beside(source, f"[web]\nweb-01 ansible_user=deploy\n[web:vars]\nansible_connection={PLUGIN}\n")
    assert listing.hosts["web-01"]["ansible_connection"] == PLUGIN
    assert "had the name of a host" not in listing.warnings


def test_a_host_of_two_files_of_a_workspace_gets_the_connection(source: Source) -> None:
    rows = [{"id": uuid(1), "name": "web-01", "remote_ip": "192.0.2.1"}]
    compose = {"ansible_host": "alpacon_remote_ip"}
    first = Source(source.workspace, source.folder, name="a.alpacon.yml")
    with ScriptedServer([Reply(page(rows))]) as server:
        for file in (first, source):
            file.write(url=server.url, token=TOKEN, connection=True, compose=compose)
        listing = first.run("-i", str(source.path), "--list")
    assert listing.hosts["web-01"]["ansible_connection"] == PLUGIN
    assert "had the name of a host" not in listing.warnings


@pytest.mark.parametrize("core", CORES)
def test_an_inventory_that_fails_leaves_nothing_behind(source: Source, core: str) -> None:
    rows = [{"id": uuid(n), "name": f"web-0{n}", "os_name": "Debian", "is_connected": True} for n in (1, 2, 3, 4)]
    tagged = [{**row, "tags": {"role": "web"} if row["name"] != "web-03" else {}} for row in rows]
    keyed = [{"key": "role"}]
    strict: dict[str, Any] = {"strict": True, "compose": {"role": "alpacon_tags.role"}, "keyed_groups": keyed}
    own = Source(source.workspace, source.folder, prepare(core), name="a.ini")
    own.path.write_text("[connected]\nweb-01 color=red\n[web]\nweb-01\n", encoding="utf-8")
    with ScriptedServer([Reply(page(tagged))]) as server:
        source.write(url=server.url, token=TOKEN, **strict)
        listing = own.run("-i", str(source.path), "--list")
        alone = Source(source.workspace, source.folder, prepare(core)).run("all", "--list-hosts", program="ansible")
    assert "Could not set role for host web-03" in listing.warnings
    assert listing.hosts == {"web-01": {"color": "red"}}
    assert listing.groups == {"connected": ["web-01"], "web": ["web-01"]}
    assert "os_debian" not in listing.data["all"]["children"]
    assert "hosts (0):" in alone.out


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["inventory.yml", "alpacon-inventory.yml"])
def test_a_file_of_another_name_is_told_how_to_be_called(source: Source, core: str, name: str) -> None:
    other = Source(source.workspace, source.folder, prepare(core), name)
    other.write()
    said = re.sub(r"\s+", "", other.run("--list").said)
    assert f"{name}isnotread:itsnamemustendinalpacon.ymloralpacon.yaml." in said
    assert source.workspace.requests_made() == 0
    other.path.write_text("all: {hosts: {one: {plugin: herdops.alpacon.alpacon}}}\n", encoding="utf-8")
    assert "must end in" not in other.run("--list").warnings


@pytest.mark.parametrize("option", ["connection", "strict", "cache", "use_extra_vars"])
def test_what_is_neither_true_nor_false_is_refused(source: Source, option: str) -> None:
    assert f"{option}: 'maybe' is neither true nor false. Give one of the two." in source.fail(**{option: "maybe"})
    assert source.workspace.requests_made() == 0
