# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of every module: documentation, use and secrets."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.action import alpacon_tasks
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks import (
    agent_policy,
    command,
    command_info,
    file,
    registration,
    registration_token,
    server,
    server_action,
    server_info,
)
from ansible_collections.herdops.alpacon.plugins.modules import alpamon_info
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit import options as audit
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.attestations import ATTESTATION
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import CHECK_SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.openscap import BENCHMARK
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.waivers import WAIVER
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

PLUGINS = "ansible_collections.herdops.alpacon.plugins"
#: The options of modules that reach a workspace.
SPECS = {
    "alpacon_agent_policy": agent_policy.SPEC,
    "alpacon_audit": audit.SPEC,
    "alpacon_command": command.SPEC,
    "alpacon_command_info": command_info.SPEC,
    "alpacon_file": file.SPEC,
    "alpacon_registration": registration.SPEC,
    "alpacon_registration_info": registration.INFO_SPEC,
    "alpacon_registration_token": registration_token.SPEC,
    "alpacon_server": server.SPEC,
    "alpacon_server_action": server_action.SPEC,
    "alpacon_server_info": server_info.SPEC,
}
#: The options in the documentation of every module.
DOCUMENTED: dict[str, Mapping[str, Any]] = {
    **SPECS,
    "alpacon_audit": {
        **audit.SPEC,
        # Each check, benchmark, waiver and attestation is read by itself.
        "checks": {**audit.SPEC["checks"], "options": CHECK_SPEC},
        "benchmarks": {**audit.SPEC["benchmarks"], "options": BENCHMARK},
        "waivers": {**audit.SPEC["waivers"], "options": WAIVER},
        "attestations": {**audit.SPEC["attestations"], "options": ATTESTATION},
    },
    "alpacon_tasks": alpacon_tasks.SPEC,
    "alpamon_info": alpamon_info.SPEC,
}
#: The oldest ansible-core of plugins that do not support all that the collection supports.
NEWER_CORES = {"alpacon_tasks": "2.21", "pending_result": "2.21"}


def file_of(module: str) -> str:
    """Return the path of the file with the spec of a module."""
    spec = {**SPECS, "alpacon_tasks": alpacon_tasks.SPEC, "alpamon_info": alpamon_info.SPEC}[module]
    homes = [audit, command, command_info, file, registration, registration_token, server_action, server_info]
    homes += [agent_policy, server, alpacon_tasks, alpamon_info]
    home = next(home for home in homes if any(value is spec for value in vars(home).values()))
    return f"plugins{home.__name__.removeprefix(PLUGINS).replace('.', '/')}.py"


def parts(kind: str, name: str) -> list[Row]:
    """Return the documentation fragments of a plugin, then its own documentation."""
    documented = yaml.safe_load(import_module(f"{PLUGINS}.{kind}.{name}").DOCUMENTATION)
    fragments = []
    named = [each for each in documented.get("extends_documentation_fragment", ()) if each.startswith("herdops.")]
    for each in named:
        name, _dot, variant = each.removeprefix("herdops.alpacon.").partition(".")
        fragment = import_module(f"{PLUGINS}.doc_fragments.{name}").ModuleDocFragment
        fragments.append(yaml.safe_load(getattr(fragment, variant.upper() or "DOCUMENTATION")))
    return [*fragments, documented]


def documentation(module: str) -> Row:
    """Return the documented options of a module, including its fragments."""
    return {name: option for part in parts("modules", module) for name, option in part.get("options", {}).items()}


def facts(table: Mapping[str, Any]) -> Row:
    """Return the facts about options that a documentation and a spec share."""
    keys = ("type", "elements", "required", "choices", "default", "aliases")
    return {
        name: {
            **{key: option[key] for key in keys if key in option},
            "suboptions": facts(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in table.items()
    }


@pytest.mark.parametrize("kind", ["modules", "lookup", "inventory", "connection", "become"])
def test_every_documentation_has_requirements(kind: str) -> None:
    for path in (ROOT / "plugins" / kind).glob("*.py"):
        required = " ".join(text for part in parts(kind, path.stem) for text in part.get("requirements", ()))
        core = NEWER_CORES.get(path.stem, "2.16")
        assert f"ansible-core {core} or newer" in required, f"plugins/{kind}/{path.name}: state it in requirements"
        assert "Python 3." in required, f"plugins/{kind}/{path.name}: state it in requirements"


@pytest.mark.parametrize("module", DOCUMENTED)
def test_every_module_has_its_attributes(module: str) -> None:
    attributes = {name for part in parts("modules", module) for name in part.get("attributes", ())}
    missing = {"check_mode", "diff_mode", "idempotent", "async", "facts", "platform"} - attributes
    assert not missing, f"document the attributes {sorted(missing)} in plugins/modules/{module}.py"


def test_every_module_is_covered() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    assert set(DOCUMENTED) == modules, "correct DOCUMENTED in tests/unit/plugins/test_options.py"


@pytest.mark.parametrize("module", DOCUMENTED)
def test_the_documentation_matches_the_spec(module: str) -> None:
    documented, specified = facts(documentation(module)), facts(DOCUMENTED[module])
    different = {
        name: {"documentation": documented.get(name), "spec": specified.get(name)}
        for name in {*documented, *specified}
        if documented.get(name) != specified.get(name)
    }
    assert not different, f"plugins/modules/{module}.py and the spec in {file_of(module)} differ"


def _texts_beside_specs() -> set[str]:
    """Return all texts in the code of plugins except the names of options in specs."""
    files = [
        file
        for folder in ("action", "modules", "module_utils", "plugin_utils")
        for file in (ROOT / "plugins" / folder).rglob("*.py")
    ]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    in_specs = {id(key) for node in nodes if isinstance(node, ast.Dict) for key in node.keys if _is_option(node)}
    return {str(node.value) for node in nodes if isinstance(node, ast.Constant) and id(node) not in in_specs}


def _is_option(node: ast.Dict) -> bool:
    return any(isinstance(value, ast.Dict) and "'type'" in ast.unparse(value) for value in node.values)


def test_every_option_is_read() -> None:
    texts = _texts_beside_specs()
    unread = {file_of(module): names for module, spec in DOCUMENTED.items() if (names := sorted(set(spec) - texts))}
    assert not unread, "no code reads these options of specs"


@pytest.mark.parametrize("module", SPECS)
def test_options_that_hold_secrets_are_never_logged(module: str) -> None:
    spec = SPECS[module]
    secrets = {name for name in spec if name in ("token", "key", "registration_token")}
    assert "token" in secrets
    assert {name for name in spec if spec[name].get("no_log")} == secrets, (
        f"correct no_log in {file_of(module)}, or in _options/connection.py"
    )
