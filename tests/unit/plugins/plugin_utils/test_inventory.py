# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the names of hosts and groups, and that no text of a workspace becomes a template."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils import _inventory
from ansible_collections.herdops.alpacon.plugins.plugin_utils._inventory import (
    make_distinct,
    to_group_name,
    to_host_name,
)


@pytest.fixture
def disabled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return disable_templates with visible marks, as an older ansible-core sets them."""
    monkeypatch.setattr(_inventory, "wrap_var", lambda text: f"!{text}")
    return lambda value: _inventory.disable_templates(value, trusts_all_text=True)


@pytest.mark.parametrize(
    "value",
    [
        *("web-01", "", "Debian GNU/Linux", "it@example.com", "2001:db8::1", "C++", "Ünï", "u\u0308", "दिल्ली"),
        *(None, 3, 1.5, True, [], {}, ["a", 1], {"a": {"b": ["c", {}]}}),
    ],
)
def test_harmless_values_do_not_change(disabled: Any, value: Any) -> None:
    assert disabled(value) is value


@pytest.mark.parametrize(
    ("value", "marked"),
    [
        ("{{ x }}", "!{{ x }}"),
        ("{", "!{"),
        ({"#": ["#"]}, {"!#": ["!#"]}),
        ({"a": {"b": "{# x #}"}}, {"a": {"b": "!{# x #}"}}),
        ({"{{ x }}": 1, "b": None}, {"!{{ x }}": "!1", "b": None}),
        ({"{{ x }}": [], "}}": {}}, {"!{{ x }}": "![]", "!}}": "!{}"}),
        ({"f()": {"a": [1, True]}}, {"!f()": {"a": ["!1", "!True"]}}),
        # Ansible runs these if they become an expression.
        ("lookup('pipe','x')", "!lookup('pipe','x')"),
        *((f"a{char}", f"!a{char}") for char in "'\"`()[]}|~=,;&<>$*%^!?\\\n\t\0\x1b\u2028\u202e\uff07\ud800"),
    ],
)
def test_unsafe_values_are_marked(disabled: Any, value: Any, marked: Any) -> None:
    assert disabled(value) == marked


def test_only_harmless_text_is_trusted_since_2_19(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.template.trust_as_template", lambda text: f"+{text}", raising=False)
    texts = ["web-01", "lookup('pipe','x')", "{{ y }}", 3, True, None, []]
    assert _inventory.disable_templates({"{{ x }}": texts, "a": {"b": "c d"}}, trusts_all_text=False) == {
        "{{ x }}": ["+web-01", *texts[1:]],
        "a": {"b": "+c d"},
    }


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        *((name, name) for name in ("web-01.example.com", "Ünï", "app@prod", "192.0.2.7", "2001:DB8::1", "a_b+c")),
        *((name, name) for name in ("u\u0308", "दिल्ली")),
        ("{{ x }}", "___x___"),
        ("a b\n\tc", "a_b__c"),
        ("{-ansible_vault", "_-ansible_vault"),
        ("ü:1", "ü_1"),
        ("../../etc/x", ".._.._etc_x"),
        ("--limit", "__limit"),
        ("!a&b", "_a_b"),
        ("$(id>x)", "__id_x_"),
        ("'~lipsum.__globals__.os.popen('id').read()~'", "__lipsum.__globals__.os.popen__id__.read____"),
        *((f"a{char}b", "a_b") for char in "'\"`()|~=;&<>$%^!\\#\uff07\uff40\uff5b"),
        ("@~x", "__x"),
        ("a[0],b*?", "a_0__b__"),
        ("red\x1b[31m\0\x9b", "red__31m__"),
        ("web\u202e10\u200b\ufeff\ud800", "web_10___"),
        ("fe80::1%{{x}}", "fe80__1___x__"),
        ("x" * 300, "x" * 180),
    ],
)
def test_names_of_hosts(name: str, safe: str) -> None:
    assert to_host_name(name) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("os_debian", "os_debian"),
        ("_-ansible_vault", "_ansible_vault"),
        ("{{ x }}", "___x___"),
        ("1st/2", "_st_2"),
        ("localhost", "localhost_"),
        ("ungrouped", "ungrouped_"),
        ("a" * 300, "a" * 180 + "_9835fa6b"),
    ],
)
def test_names_of_groups(name: str, safe: str) -> None:
    assert to_group_name(name) == safe


@pytest.mark.parametrize(
    ("servers", "names"),
    [
        ([("a", "1"), ("b", "2")], ["a", "b"]),
        ([("a", "11111111-1"), ("b", "2"), ("a", "33333333-3")], ["a-11111111", "b", "a-33333333"]),
        # The short name is another server's, or both ids begin alike.
        ([("a", "11111111-1"), ("a-11111111", "2"), ("a", "3")], ["a-11111111-1", "a-11111111", "a-3"]),
        ([("a", "11111111-1"), ("a", "11111111-2")], ["a-11111111-1", "a-11111111-2"]),
    ],
)
def test_each_server_has_a_name_of_its_own(servers: list[tuple[str, str]], names: list[str]) -> None:
    warnings: list[str] = []
    assert make_distinct(servers, warnings.append) == names
    assert len(warnings) == (1 if names != [name for name, _id in servers] else 0)


def test_number_of_warnings_of_shared_names() -> None:
    warnings: list[str] = []
    make_distinct([("192.0.2.7", f"{number:08x}-1") for number in range(10_000)], warnings.append)
    [warning] = warnings
    assert warning.startswith(
        "10,000 servers would share the host name 192.0.2.7. Their names are 192.0.2.7-00000000, "
    )
    assert warning.endswith(" and 9,980 more.")
    assert len(warning) < 2_000
    warnings.clear()
    make_distinct([(f"web-{number // 2}", f"{number:08x}-1") for number in range(600)], warnings.append)
    assert len(warnings) == 21
    assert warnings[-1] == "280 more host names would be shared."
