# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role alpamon documents, and which tasks it has for which package manager."""

from __future__ import annotations

from typing import Any

import yaml

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


def test_every_entry_point_is_described_and_there() -> None:
    specs = load("meta/argument_specs.yml")["argument_specs"]
    assert set(specs) == {"main", "install", "register", "configure", "verify", "uninstall"}
    assert all((ROLE / f"tasks/{entry}.yml").is_file() for entry in specs)


def test_every_package_manager_has_its_tasks() -> None:
    managers = {row["manager"] for row in load("vars/main.yml")["__alpamon_distributions"].values()}
    wanted = [f"{manager}/{kind}.yml" for manager in managers for kind in ("repository", "install", "hold", "remove")]
    assert [name for name in wanted if not (ROLE / "tasks/packages" / name).is_file()] == []
