# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test what the documentation says of playbooks, and of the headings of its menu."""

from __future__ import annotations

import re

import pytest

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT

pytest.importorskip("antsibull_docs_parser")
complete_docs = pytest.importorskip("complete_docs")
playbooks = pytest.importorskip("describe_playbooks")

_PLAYBOOKS = {playbook.name: playbook for playbook in playbooks.read_playbooks()}


@pytest.mark.parametrize("name", _PLAYBOOKS)
def test_a_page_describes_every_variable_and_has_an_example(name: str) -> None:
    playbook, file = _PLAYBOOKS[name], f"playbooks/{name}.yml"
    undescribed = [variable for variable, text in playbook.variables.items() if not text]
    assert not undescribed, f"describe them in the comment of {file}"
    assert playbook.summary, f"begin {file} with a comment that says what it does"
    assert playbook.commands, f"give an example in the comment of {file}"


def test_variables_are_options_of_the_module_or_described_in_the_comment() -> None:
    variables = _PLAYBOOKS["run"].variables
    assert "#module:chdir`" in variables["alpacon_chdir"]
    assert "``alpacon_follow=true``" in variables["alpacon_follow"]
    # Descriptions of more than one line.
    assert "no entry covers" in _PLAYBOOKS["token_acl"].variables["alpacon_allowed"]


def test_the_menu_has_the_headings_of_the_index() -> None:
    index = "Audits\n------\n\n.. toctree::\n    :maxdepth: 1\n\n    a\n\nRoles\n~~~~~\n\n.. toctree::\n\n    b\n"
    assert re.findall(r":caption: (\w+)\n(?:    :.*\n)*\n    (\w)", complete_docs.add_captions(index)) == [
        ("Audits", "a"),
        ("Roles", "b"),
    ]


def test_every_playbook_is_in_the_index() -> None:
    listed = re.findall(r"(?m)^    (\w+)_playbook$", complete_docs.playbook_index(_PLAYBOOKS.values()))
    assert listed == sorted(file.stem for file in (ROOT / "playbooks").glob("*.yml"))
