# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Templates that say the same for every host, and those that may not."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._host_variables import CommonVariables, is_same_for_all

OF_PLAY = {
    "line": "uptime",
    "content": "{{ folder }}/ds.xml",
    "folder": "/usr/share",
    "by_host": "{{ inventory_hostname }}",
    "loop": "{{ loop }}",
    "first": "{{ second }}",
    "second": "{{ first }}",
    "hostvars": object(),
}
OF_HOSTS = [
    {"inventory_hostname": name, "region": "eu", "line": name, "rack": number, **({"own": 1} if number else {})}
    for number, name in enumerate(("web-01", "web-02"))
]
COMMON = CommonVariables(OF_PLAY, OF_HOSTS)


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        7,
        [{"name": "ready", "line": "{{ line }}", "number": {"at_most": 3}}],
        "{{ content }}",
        "{{ line | default('x') | upper }}",
        "{{ query('herdops.alpacon.xccdf_checks', content, profile='standard') }}",
        "{% if line == 'x' %}a{% else %}{{ folder }}{% endif %}",
    ],
)
def test_the_same_for_every_host(value: Any) -> None:
    assert is_same_for_all(value, COMMON)


@pytest.mark.parametrize(
    "value",
    [
        "{{ disk_max }}",
        "{{ own }}",
        "{{ inventory_hostname }}",
        "{{ by_host }}",
        ["plain", {"{{ by_host }}": 1}],
        "{{ hostvars['web-01'].x }}",
        "{{ loop }}",
        "{{ first }}",
        "{{ query('ansible.builtin.vars', line) }}",
        "{{ query(line, content) }}",
        "{{ now() }}",
        "{{ line | some.where.filter }}",
        "{% include line %}",
        "{{ broken",
        object(),
    ],
)
def test_what_may_differ(value: Any) -> None:
    assert not is_same_for_all(value, COMMON)


def test_what_hosts_have_in_common() -> None:
    assert set(COMMON) == {*OF_PLAY, "region"}
    assert len(COMMON) == len(OF_PLAY) + 1
    assert COMMON["line"] == "uptime"
