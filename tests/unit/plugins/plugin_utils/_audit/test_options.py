# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of an audit are those that its documentation has."""

from __future__ import annotations

from typing import Any

from ansible.parsing.plugin_docs import read_docstring

from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_options import CHECK, NUMBER
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import FORMATS
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.waivers import WAIVER
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row


def _documented() -> Row:
    file = ROOT / "plugins/modules/alpacon_audit.py"
    documented: Row = read_docstring(str(file))["doc"]["options"]
    return documented


def _facts(table: Row) -> dict[str, tuple[Any, ...]]:
    keys = ("type", "elements", "required", "choices", "default")
    return {name: tuple(option.get(key) for key in keys) for name, option in table.items()}


def test_the_documentation_has_the_options_that_there_are() -> None:
    documented = _documented()
    checks = documented["checks"]["suboptions"]
    assert _facts(documented) == _facts({name: option for name, option in SPEC.items() if name not in CONNECTION})
    assert _facts(checks) == _facts(CHECK)
    assert _facts(documented["waivers"]["suboptions"]) == _facts(WAIVER)
    assert _facts(checks["number"]["suboptions"]) == _facts(NUMBER)


def test_formats_are_those_that_there_are() -> None:
    assert SPEC["formats"]["choices"] == list(FORMATS)
