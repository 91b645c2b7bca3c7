# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role alpamon documents, and which tasks it has for which package manager."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.validation import check_type_dict

from ansible_collections.herdops.alpacon.plugins.module_utils._agent.reading import HOLDS
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import duration
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_order import agent_name
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

ROLE = ROOT / "roles/alpamon"


def load(path: str) -> Any:
    """A YAML file of the role."""
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


# The variables


def test_defaults_and_argument_specs_say_the_same() -> None:
    specs = load("meta/argument_specs.yml")["argument_specs"]
    described = {name: option["default"] for name, option in specs["main"]["options"].items()}
    assert load("defaults/main.yml") == described


def test_every_setting_of_the_agent_is_described_and_has_a_value() -> None:
    options = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert set(options["alpamon_settings"]["options"]) == set(load("vars/main.yml")["__alpamon_usual_settings"])


def test_every_text_that_may_not_be_null_is_refused_as_such() -> None:
    options = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    may_be_null = {"alpamon_token", "alpamon_registration_token", "alpamon_name", "alpamon_package_proxy"}
    # Ansible itself says which of the choices null is not.
    texts = {name for name, option in options.items() if option["type"] == "str" and "choices" not in option}
    assert set(variables_of("preflight")["__alpamon_texts"]) == texts - may_be_null


def test_every_variable_is_set_by_a_scenario_or_a_test_on_scripted_hosts() -> None:
    paths = [*(ROOT / "extensions/molecule").rglob("*.yml"), *(ROOT / "tests/system").rglob("test_*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    assert [name for name in load("defaults/main.yml") if not re.search(rf"\b{name}\b[\"']?\s*[:=]", text)] == []


def refused(check: Any, *given: str) -> bool:
    try:
        check(*given)
    except UsageError:
        return True
    return False


@pytest.mark.parametrize(
    "text",
    ["0", "90", "1.5", "90s", "1h30m", "1.5m", "2w1d", "", ".", "1.", ".5", "5 min", "1h30", "m", "-1", "1s ", "s1"],
)
def test_durations_are_refused_as_by_the_module(text: str) -> None:
    pattern = variables_of("preflight")["__alpamon_duration"]
    assert (re.match(pattern, text.strip().lower()) is None) is refused(duration, "wait_timeout", text)


NAMES = "web-01, 1, _, 10.example.com, web., ::1, fe80::1, ::ffff:10.0.0.5, 10.0.0.5,  10.0.0.5 , -, .a, db:1"
NAMES += ", 10.0.0.5.example.com, a-.b, -a, a::b.c"


@pytest.mark.parametrize("text", NAMES.split(", "))
def test_names_are_refused_as_by_the_module(text: str) -> None:
    pattern = variables_of("preflight")["__alpamon_nameless"]
    assert (re.match(pattern, text) is not None) is refused(agent_name, "name", text)


READ = ["a=b", "env=prod, team=a=b ,x=", " a={b}"]
UNREAD = ["a=b c=d", "a=b, c", '{"a": "b"}', "a='b'", 'a="b, c=d"', "a=b\\,c=d", "a=b\nc=d", "=b", "a", "", "a=b,,c=d"]


@pytest.mark.parametrize(("text", "read"), [(text, text in READ) for text in (*READ, *UNREAD)])
def test_pairs_are_read_as_ansible_reads_them_or_refused(text: str, read: bool) -> None:
    assert (re.match(variables_of("preflight")["__alpamon_pairs"], text) is not None) is read
    if read:
        assert dict(pair.strip().split("=", 1) for pair in text.split(",")) == check_type_dict(text)


def variables_of(tasks: str) -> dict[str, Any]:
    """The variables of the tasks in a file."""
    return {name: value for task in load(f"tasks/{tasks}.yml") for name, value in task.get("vars", {}).items()}


#: Where package managers write down what they hold; apt has it in the database of dpkg, which is asked.
HOLDS_OF: dict[str, set[str]] = {
    "apt": set(),
    "dnf": {"/etc/dnf/plugins/versionlock.list", "/etc/dnf/versionlock.toml"},
    "zypper": {"/etc/zypp/locks"},
}


def test_every_package_manager_has_its_tasks_and_what_it_holds_is_read() -> None:
    managers = {family["manager"] for family in load("vars/main.yml")["__alpamon_families"].values()}
    tasks = {path.relative_to(ROLE / "tasks/packages").as_posix() for path in (ROLE / "tasks/packages").rglob("*.yml")}
    assert tasks == {f"{name}/{kind}.yml" for name in managers for kind in ("repository", "install", "hold", "remove")}
    assert set(HOLDS_OF) == managers
    assert set().union(*HOLDS_OF.values()) == set(HOLDS)
