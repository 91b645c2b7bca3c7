# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helpers that run audits in this process."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import pack
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.audit import AuditResult, build_result, run_audit
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.check_selection import CheckSelector
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.checks import Check, parse_checks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.hosts import Host
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import SPEC as AUDIT_SPEC
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.options import AuditOptions
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.payloads import build_script
from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

HELLO = {"name": "hello", "line": "echo hello", "matches": "hello"}
SCHEMA = json.loads((ROOT / "docs/audit-report.schema.json").read_text(encoding="utf-8"))
UNAUTHENTICATED = '{"code": "auth_authentication_failed"}'


@dataclass(frozen=True)
class AuditRun:
    audited: AuditResult
    warnings: list[str]

    @property
    def report(self) -> Row:
        return self.audited.report

    @property
    def summary(self) -> Row:
        summary: Row = self.report["summary"]
        return summary

    @property
    def outcomes(self) -> dict[tuple[str, str], str]:
        return {(result["host"], result["check"]): result["outcome"] for result in self.report["results"]}

    @property
    def reasons(self) -> dict[str, str]:
        return {server["host"]: server["reason"] for server in self.report["servers"] if not server["reached"]}

    @property
    def result(self) -> Row:
        return build_result(self.audited)

    @property
    def the_result(self) -> Row:
        [result] = self.report["results"]
        found: Row = result
        return found


def encode_part(answer: str) -> str:
    lines = base64.encodebytes(answer.encode()).decode().splitlines()
    return "\n".join([*lines, str(len(lines)), "[part]"])


def answered_command(*checks: Row, prints: str = "hello") -> Row:
    """Return the row of a finished command in which each check passed with this output."""
    parsed = parse_checks("checks", checks)
    packed = pack(*build_script(parsed), in_parts=True)
    parts = [encode_part(f"{check.name}\n{prints}\n{check.name} rc 0 in 30 by 0") for check in parsed]
    text = "\n".join([f"[alpacon {packed.digest}]", *parts, "[stderr]", "[rc 0]", "[end]", ""])
    account = {"requested_by": "admin", "username": "admin"}
    return {**account, "line": packed.line, "status": "success", "exit_code": 0, "result": text}


@dataclass(frozen=True)
class AuditedHost:
    name: str
    server: str
    groups: frozenset[str] = frozenset()
    checks: Sequence[Check] | None = None
    settings: Settings | None = None


def hosts(*names: str, groups: dict[str, list[str]] | None = None) -> list[AuditedHost]:
    known = groups or {}
    return [
        AuditedHost(name, name, frozenset({"all", *(g for g, of in known.items() if name in of)})) for name in names
    ]


def audit_hosts(options: Row, members: Sequence[AuditedHost], run: Run) -> AuditResult:
    selector = CheckSelector({}, options)
    checks = [selector.select(one.name, {}) if one.checks is None else one.checks for one in members]
    settings = parse_settings(options, run.warn)
    audited = [
        Host(one.name, one.server, one.groups, own_checks, one.settings or settings)
        for one, own_checks in zip(members, checks, strict=True)
    ]
    return run_audit(AuditOptions.from_options(options, checks), audited, run)


def options(workspace: Workspace, *checks: Row, **given: Any) -> Row:
    task = {"url": workspace.url, "token": workspace.token, "checks": list(checks), "progress": False, **given}
    validated = ArgumentSpecValidator(AUDIT_SPEC).validate(task)
    assert validated.error_messages == []
    values: Row = validated.validated_parameters
    return values


def audit(
    workspace: Workspace,
    *checks: Row,
    of: list[AuditedHost] | None = None,
    check_mode: bool = False,
    **given: Any,
) -> AuditRun:
    """Run an audit, and check its report against the schema and the number of requests."""
    warnings: list[str] = []
    before = workspace.requests_made()
    run = Run(warn=warnings.append, check_mode=check_mode)
    done = audit_hosts(options(workspace, *checks, **given), hosts("web-01") if of is None else of, run)
    assert done.report["summary"]["requests"] == workspace.requests_made() - before
    if not check_mode:
        jsonschema.validate({**done.report, "results": done.report["results"][:20]}, SCHEMA)
    return AuditRun(done, warnings)
