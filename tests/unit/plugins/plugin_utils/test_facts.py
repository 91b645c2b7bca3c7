# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse facts of any host that have the name of a variable which the collection reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.vars.clean import clean_facts

from ansible_collections.herdops.alpacon.plugins.become import account
from ansible_collections.herdops.alpacon.plugins.connection import alpacon
from ansible_collections.herdops.alpacon.plugins.doc_fragments.connection import ModuleDocFragment
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._facts import (
    refuse_facts_named_as_settings,
    refuse_settings_of_any_host,
)

ROOT = Path(__file__).parents[4]
#: ansible-core sets these after the facts.
_OF_PLAY = {"ansible_play_name", "ansible_facts"}


def _list_variables() -> Iterator[str]:
    """Yield the variables that plugins and roles document."""
    for text in (alpacon.DOCUMENTATION, account.DOCUMENTATION, ModuleDocFragment.PLUGINS):
        for option in yaml.safe_load(text)["options"].values():
            yield from (variable["name"] for variable in option.get("vars", ()))
    for role in ("alpamon", "audit"):
        specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8"))
        yield from specs["argument_specs"]["main"]["options"]


VARIABLES = sorted(set(_list_variables()) - _OF_PLAY)


def test_variables_are_found() -> None:
    expected = {"alpacon_url", "alpacon_tokens", "alpacon_server_id", "alpacon_purpose", "alpamon_url", "audit_checks"}
    assert expected < set(VARIABLES)


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_that_is_read(name: str) -> None:
    facts = clean_facts({name: "forged"})
    if facts:
        with pytest.raises(AlpaconError, match=f"Host web-01 returned settings as facts: {name}"):
            refuse_facts_named_as_settings({"inventory_hostname": "web-01", "ansible_facts": facts}, str)


def test_facts_of_earlier_items_of_a_loop() -> None:
    # Older releases of ansible-core put them a level deeper.
    facts = {"distribution": "Debian", "ansible_facts": {"alpacon_server_id": "forged"}}
    with pytest.raises(AlpaconError, match="Host web-01 returned settings as facts: alpacon_server_id"):
        refuse_facts_named_as_settings({"inventory_hostname": "web-01", "ansible_facts": facts}, str)


def refuse(cache: Any) -> None:
    refuse_settings_of_any_host(SimpleNamespace(_variable_manager=SimpleNamespace(_fact_cache=cache)))


class Client:
    """A plugin of a fact cache that holds nothing in memory."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts

    def keys(self) -> list[str]:
        return list(self._facts)

    def get(self, host: str) -> Any:
        return self._facts[host]


class Pool(Client):
    """A plugin whose client is where others hold facts."""

    _cache = object()


class Encoding:
    """The proxy of ansible-core 2.19 and later for a plugin of a persistent fact cache."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._cache = {f"s1_{host}": {"__payload__": json.dumps(facts[host])} for host in facts}

    def _restore_key(self, key: str) -> str:
        return key.removeprefix("s1_")


CACHES = {
    "memory": lambda facts: SimpleNamespace(_cache=facts),
    "oldest": lambda facts: SimpleNamespace(_plugin=SimpleNamespace(_cache=facts)),
    "encoded": Encoding,
    "client": Client,
    "pool": Pool,
}
HONEST = {"ansible_distribution": "Debian", "packages": {"alpacon_url": []}}


@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize("name", ["alpacon_server_id", "ansible_alpacon_user", "inventory_hostname", "_audit_x"])
def test_any_host_of_a_fact_cache(kind: str, name: str) -> None:
    with pytest.raises(AlpaconError, match=f"Host s1 returned settings as facts: {name}."):
        refuse(CACHES[kind]({"s0": HONEST, "s1": {**HONEST, name: "forged"}}))


@pytest.mark.parametrize("kind", CACHES)
def test_other_facts_are_accepted(kind: str) -> None:
    refuse(CACHES[kind]({"s0": HONEST, "s1": {"inventory_hostname_short": "s1", "my_alpacon_url": "x"}}))


class Folder:
    """A plugin of a persistent fact cache that has loaded nothing yet."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._cache: dict[str, Any] = {}
        self._facts = facts
        self.read: list[str] = []

    def get(self, host: str) -> Any:
        self.read.append(host)
        self._cache[host] = self._facts[host]
        return self._cache[host]


def check(cache: Folder, *hosts: str) -> None:
    inventory = SimpleNamespace(hosts=dict.fromkeys(hosts))
    manager = SimpleNamespace(_fact_cache=cache, _inventory=inventory)
    refuse_settings_of_any_host(SimpleNamespace(_variable_manager=manager))


@pytest.fixture(autouse=True)
def folder_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path), raising=False)


def test_cached_facts_are_read_once_in_a_run_and_not_kept() -> None:
    cache = Folder({"s0": HONEST, "s1": HONEST})
    check(cache, "s0", "s1", "never gathered")
    check(cache, "s0", "s1", "never gathered")
    assert cache.read == ["s0", "s1", "never gathered"]
    assert cache._cache == {}


def test_cached_facts_that_are_refused_are_refused_again() -> None:
    cache = Folder({"s0": HONEST, "s1": {"alpacon_url": "forged"}})
    for _attempt in range(2):
        with pytest.raises(AlpaconError, match="Host s1 returned settings as facts: alpacon_url"):
            check(cache, "s0", "s1")


def test_cached_facts_of_hosts_that_a_task_adds() -> None:
    cache = Folder({"s0": HONEST, "added": {"alpacon_url": "forged"}})
    check(cache, "s0")
    with pytest.raises(AlpaconError, match="Host added returned settings as facts"):
        check(cache, "s0", "added")


def test_no_fact_cache() -> None:
    refuse_settings_of_any_host()
    refuse(None)
