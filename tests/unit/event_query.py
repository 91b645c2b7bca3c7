# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The queries of automation controller, carried out on the result of a task."""

from __future__ import annotations

import re

import jq
import yaml

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

AUDIT = yaml.safe_load((ROOT / "extensions/audit/event_query.yml").read_text(encoding="utf-8"))
CLASSES = {"infra_type", "infra_bucket", "device_type"}


def touched(module: str, result: Row) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in jq.compile(AUDIT[f"herdops.alpacon.{module}"]["query"]).input_value(result).all():
        assert set(node) == {"name", "canonical_facts", "facts"}
        assert set(node["facts"]) == CLASSES
        assert all(re.fullmatch("[a-z_]+", value) for value in node["facts"].values())
        [(fact, server_id)] = node["canonical_facts"].items()
        assert fact == "alpacon_server_id"
        assert isinstance(server_id, str)
        assert isinstance(node["name"], str)
        found[server_id] = node["name"]
    return found
