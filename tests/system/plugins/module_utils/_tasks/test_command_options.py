# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""script and argv, in every state."""

from __future__ import annotations

import pytest
from system.support import AGENTS, count_methods, run, run_payload
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

BOTH_STREAMS = b"#!/bin/sh\necho out $1\necho err >&2\nexit 3\n"


def test_a_script_returns_its_code_and_both_streams(current: Workspace) -> None:
    current.change_server("web-02", allow_sh=False)
    outcome = run_payload(current, BOTH_STREAMS, script="job.sh 'a  b'", servers=["web-01", "web-02"])
    assert (outcome.changed, outcome.failed) == (True, True)
    for row in outcome.commands:
        assert (row["rc"], row["stdout"], row["stderr"], row["output_complete"]) == (3, "out a b", "err", True)
        assert row["line"].startswith("/bin/sh -c $RUN script:job.sh sha256:")
    assert count_methods(current)["POST"] == 2


def test_creates_and_removes_are_decided_by_each_server(current: Workspace) -> None:
    current.change_server("web-03", allow_sh=False)
    run_payload(current, argv=["touch", "a mark"], servers=["web-02"])  # in the home of one of them
    created = run_payload(current, argv=["touch", "made"], creates="a mar[k]", servers=list(AGENTS))
    assert [row["changed"] for row in created.commands] == [True, False, True]
    assert created.changed
    assert created.commands[1]["stdout"] == created.commands[1]["msg"] == "skipped, since a mar[k] exists"
    removed = run_payload(current, argv=["rm", "a mark"], removes="~/a mark", servers=list(AGENTS))
    assert [row["changed"] for row in removed.commands] == [False, True, False]
    assert removed.commands[0]["stdout"] == "skipped, since ~/a mark does not exist"
    again = run_payload(current, argv=["rm", "a mark"], removes="~/a mark", servers=list(AGENTS))
    assert not again.changed
    assert {(row["rc"], row["outcome"]) for row in again.commands} == {(0, "success")}
    assert count_methods(current)["POST"] == 10


def test_a_secret_cut_by_output_limit_stays_hidden(current: Workspace) -> None:
    argv = ["sh", "-c", "printf '%s-end' \"$S\" >&2"]
    result = run_payload(current, argv=argv, env={"S": "s3cret-value"}, output_limit=9).result
    line = run(current, servers=["web-01"], line='printf "%s-end" "$S"', env={"S": "s3cret-value"}, output_limit=9)
    assert result["stderr"] == line["stdout"] == "*****-end"
    assert "value" not in f"{result}{line.result}"


def test_a_payload_is_scheduled_once_per_digest(current: Workspace) -> None:
    later: Row = {"state": "scheduled", "scheduled_at": FAR}
    first = run_payload(current, BOTH_STREAMS, **later)
    again = run_payload(current, BOTH_STREAMS, **later)
    other = run_payload(current, BOTH_STREAMS + b"\n", **later)
    argued = run_payload(current, BOTH_STREAMS, script="job.sh a", **later)
    assert [outcome.changed for outcome in (first, again, other, argued)] == [True, False, True, True]
    assert again["id"] == first["id"]
    cancelled = run_payload(current, BOTH_STREAMS, state="cancelled")
    assert [(row["id"], row["outcome"]) for row in cancelled.commands] == [(first["id"], "cancelled")]
    assert not run_payload(current, BOTH_STREAMS, state="cancelled").changed
    left = {row["id"] for row in current.commands() if row["status"] == "scheduled"}
    assert left == {other["id"], argued["id"]}


@pytest.mark.parametrize("by", ["bob", "service", "root"])
def test_payloads_of_others_are_not_reused(current: Workspace, by: str) -> None:
    other: Row = {"username": by} if by == "root" else {"token": current.tokens()[by]}
    first = run_payload(current, argv=["echo", "a"], **other)
    again = run_payload(current, argv=["echo", "a"], reuse_within="1h")
    assert first["line"] == again["line"]
    assert (again["id"] != first["id"], again.changed) == (True, True)
    own = run_payload(current, argv=["echo", "a"], reuse_within="1h")
    assert (own["id"], own["stdout"], own.changed) == (again["id"], "a", False)
