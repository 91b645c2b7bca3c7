# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find workspace, token and other settings of a task, with several workspaces in one inventory."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.plugin_utils import _settings
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import (
    find_settings,
    normalize_url,
    refuse_other_workspace,
    refuse_shared_name,
    register_inventory,
    unregister_inventory,
)
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

Row = dict[str, Any]

PLUGINS = "ansible_collections.herdops.alpacon.plugins"

A, B = "https://a.example", "https://b.example"
ONE, TWO, NONE = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "123")


@pytest.fixture(autouse=True)
def no_inventories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_settings, "_inventories", {})


def env(url: str | None = None, token: str | None = None) -> dict[str, str]:
    return {name: value for name, value in (("ALPACON_URL", url), ("ALPACON_TOKEN", token)) if value}


@pytest.mark.parametrize(
    ("url", "workspace"),
    [
        ("https://A.Example:443/api/", A),
        ("http://a.example:80", "http://a.example"),
        ("https://[::1]:1/", "https://[::1]:1"),
    ],
)
def test_urls_of_a_workspace_are_normalized(url: str, workspace: str) -> None:
    assert normalize_url(url) == workspace


@pytest.mark.parametrize(
    ("given", "variables", "environ", "url", "token"),
    [
        # One workspace.
        ({}, {}, env(A, "a"), A, "a"),
        ({}, {"alpacon_url": A}, env(None, "a"), A, "a"),
        ({}, {"alpacon_url": A, "alpacon_token": "v"}, env(B, "b"), A, "v"),
        ({"url": A, "token": "g"}, {"alpacon_token": "v"}, env(B, "b"), A, "g"),
        ({"url": A}, {}, env(None, "a"), A, "a"),
        ({}, {"alpacon_workspace": A}, env(A, "a"), A, "a"),
        ({}, {"alpacon_workspace": A, "alpacon_workspaces": [A]}, env(None, "a"), A, "a"),
        ({}, {}, env(), None, None),
        # Several workspaces: the one of the host, and only with its own token.
        ({}, {"alpacon_workspace": B}, env(A, "a"), B, None),
        ({}, {"alpacon_workspace": B, "alpacon_token": "v"}, env(A, "a"), B, None),
        ({}, {"alpacon_workspace": B, "alpacon_url": f"{B}/", "alpacon_token": "v"}, env(A, "a"), B, "v"),
        ({}, {"alpacon_workspace": B, "alpacon_workspaces": [A, B]}, env(None, "a"), B, None),
        ({"url": B}, {"alpacon_workspaces": [A], "alpacon_token": "v"}, env(), B, None),
        ({}, {"alpacon_workspace": B, "alpacon_tokens": {A: "x", f"{B}/": "y"}}, env(A, "a"), B, "y"),
        ({}, {"alpacon_workspace": B, "alpacon_tokens": {B: ""}}, env(B, "b"), B, None),
        ({"url": B}, {}, env(A, "a"), B, None),
        ({"url": B}, {"alpacon_workspace": A, "alpacon_tokens": {A: "x", B: "y"}}, env(A, "a"), B, "y"),
        ({}, {"alpacon_url": B}, env(A, "a"), B, None),
        ({"url": A}, {"alpacon_url": B, "alpacon_token": "v"}, env(), A, None),
        ({}, {"alpacon_url": B}, env("nowhere", "a"), B, None),
    ],
)
def test_workspace_and_token_of_a_task(
    given: Row, variables: Row, environ: dict[str, str], url: str | None, token: str | None
) -> None:
    options = {**given, **find_settings(given, variables, environ).options}
    assert (options.get("url"), options.get("token")) == (url, token)


def test_settings_of_the_inventory_have_the_lowest_precedence() -> None:
    settings = Settings(f"{B}/", "remembered", validate_certs=False, ca_path="/ca.pem", request_timeout=9.0)
    register_inventory("b.alpacon.yml", settings, [ONE])
    assert find_settings({}, {"alpacon_workspace": B}, env(A, "a")).options == {
        "url": B,
        "token": "remembered",
        "validate_certs": False,
        "ca_path": "/ca.pem",
        "request_timeout": 9,
        "requests_per_hour": 1000,
    }
    assert isinstance(find_settings({}, {"alpacon_workspace": B}, {}).options["request_timeout"], int)
    variables = {"alpacon_workspace": B, "alpacon_tokens": {B: "mine"}, "alpacon_validate_certs": True}
    options = find_settings({"request_timeout": 3}, variables, env(A, "a")).options
    assert options == {
        "url": B,
        "token": "mine",
        "validate_certs": True,
        "ca_path": "/ca.pem",
        "requests_per_hour": 1000,
    }
    assert find_settings({}, {"alpacon_workspace": A}, env(A, "a")).options == {"url": A, "token": "a"}


def test_the_settings_are_those_of_the_first_file_with_the_server() -> None:
    def options(server_id: str | None, **more: Any) -> Row:
        variables = {"alpacon_workspace": A, "alpacon_server_id": server_id, **more}
        return find_settings({}, variables, {}).options

    register_inventory("1.alpacon.yml", Settings(A, "one", validate_certs=False, ca_path="/ca.pem"), [ONE])
    assert options(TWO)["token"] == "one"
    register_inventory("2.alpacon.yml", Settings(f"{A}/", "two", ca_path="/ca.pem"), [ONE, TWO])
    # Read again, with meta: refresh_inventory.
    register_inventory("1.alpacon.yml", Settings(A, "anew", validate_certs=False, ca_path="/ca.pem"), [ONE])
    assert [options(ONE)[name] for name in ("token", "validate_certs")] == ["anew", False]
    assert [options(TWO.upper())[name] for name in ("token", "validate_certs")] == ["two", True]
    # A server in no file has the values that are the same in all files.
    for server_id in (NONE, "web-01", None):
        assert options(server_id) == {
            "url": A,
            "ca_path": "/ca.pem",
            "request_timeout": 30,
            "requests_per_hour": 1000,
        }
    assert options(NONE, alpacon_tokens={A: "named"})["token"] == "named"
    found = find_settings({"url": A}, {}, {})
    said = found.explain(UsageError("token", "it is missing"))
    assert f"The inventory was read with several tokens of {A}, and none of the files has this host. Name" in said
    unregister_inventory("2.alpacon.yml")
    assert options(TWO)["token"] == "anew"


def test_only_the_needed_token_is_templated() -> None:
    templated: list[Any] = []

    def template(value: Any) -> Any:
        templated.append(value)
        return value

    variables = {"alpacon_workspace": B, "alpacon_tokens": {A: "{{ x }}", B: "{{ y }}"}}
    assert find_settings({}, variables, {}, template).options["token"] == "{{ y }}"
    assert "{{ x }}" not in templated


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"alpacon_url": A, "alpacon_workspace": B}, "alpacon_url: it is https://a.example, and the host is"),
        ({"alpacon_url": A, "alpacon_tokens": ["x"]}, "alpacon_tokens: it is not a dictionary."),
    ],
)
def test_wrong_variables_are_refused(variables: Row, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        find_settings({}, variables, {})


@pytest.mark.parametrize(
    ("variables", "environ", "said"),
    [
        ({"alpacon_workspace": B}, env(A, "a"), f"ALPACON_TOKEN is the token of {A}, and is not sent to {B}. Name the"),
        (
            {"alpacon_workspace": B, "alpacon_workspaces": [A, B]},
            env(None, "a"),
            f"ALPACON_TOKEN is not sent to {B}, since the inventory has several workspaces.",
        ),
        ({"alpacon_workspace": B}, env(), f"Name the token of {B} under that URL in the variable alpacon_tokens."),
        ({"alpacon_workspace": B, "alpacon_tokens": {B: ""}}, env(), f"alpacon_tokens has an empty token for {B}."),
    ],
)
def test_the_hint_explains_a_missing_token(variables: Row, environ: dict[str, str], said: str) -> None:
    found = find_settings({}, variables, environ)
    assert said in found.explain(UsageError("token", "it is missing"))
    assert found.explain(UsageError("line", "it is empty")) == "line: it is empty"


def test_a_default_token_belongs_to_one_workspace_in_a_run(tmp_path: Path) -> None:
    def token(variables: Row, environ: Row) -> Any:
        return find_settings({}, variables, environ, folder=tmp_path).options.get("token")

    for _once_more in range(2):
        assert token({"alpacon_url": f"{A}/api/"}, env(None, "a")) == "a"
        assert token({"alpacon_url": B}, env(None, "a")) is None
        assert token({"alpacon_url": B, "alpacon_token": "v"}, {}) == "v"
        assert token({"alpacon_url": A, "alpacon_token": "v"}, {}) is None
        assert token({"alpacon_url": A, "alpacon_token": "other"}, {}) == "other"
        assert token({"alpacon_url": B, "alpacon_tokens": {B: "a"}}, env(None, "a")) == "a"
    found = find_settings({}, {"alpacon_url": B}, env(None, "a"), folder=tmp_path)
    said = found.explain(UsageError("token", "it is missing"))
    assert f"ALPACON_TOKEN is the token of {A}, and is not sent to {B}. Name the token of {B} under" in said
    assert "alpacon_tokens" in said


def variables_of_plugins() -> set[str]:
    """Return the variables that plugins and roles read settings from."""
    kinds = [("connection", "alpacon"), ("inventory", "alpacon"), ("lookup", "alpacon_command"), ("become", "account")]
    texts = [import_module(f"{PLUGINS}.{kind}.{name}").DOCUMENTATION for kind, name in kinds]
    options = [option for text in texts for option in yaml.safe_load(text)["options"].values()]
    options += yaml.safe_load(import_module(f"{PLUGINS}.doc_fragments.connection").ModuleDocFragment.PLUGINS)[
        "options"
    ].values()
    names = {variable["name"] for option in options for variable in option.get("vars", ())}
    for role in ("alpamon", "audit"):
        specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8"))
        names |= set(specs["argument_specs"]["main"]["options"])
    return names


#: ansible-core ignores these facts, or sets them itself.
OF_CORE = {"ansible_facts", "ansible_play_name", "ansible_user", "ansible_pipelining", "ansible_become_user"}


@pytest.mark.parametrize("name", sorted(variables_of_plugins() - OF_CORE))
def test_facts_with_names_of_settings_are_refused(name: str) -> None:
    facts = {name.removeprefix("ansible_"): "forged", "distribution": "Debian", "user_id": "root"}
    with pytest.raises(AlpaconError, match=f"Host web-01 returned settings as facts: {name.removeprefix('ansible_')}"):
        find_settings({}, {"inventory_hostname": "web-01", "ansible_facts": facts}, env(A, "a"))


def test_a_task_for_its_host_cannot_name_another_workspace() -> None:
    refuse_other_workspace(f"{A}/api", A)
    refuse_other_workspace(None, A)
    refuse_other_workspace(A, None)
    with pytest.raises(UsageError, match=r"url: it is .*, and the host is a server of"):
        refuse_other_workspace(B, A)


def test_a_host_with_the_name_of_a_group_is_refused() -> None:
    own = {"alpacon_workspace": A}
    refuse_shared_name("web", own, {"db": ["web"]})
    refuse_shared_name("web", own, {"web": ["web"]})
    refuse_shared_name("web", {}, {"web": ["web-01"]})
    with pytest.raises(UsageError, match="web is a host and a group of the inventory"):
        refuse_shared_name("web", own, {"web": ["web", "web-01"]})
