# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a rollout that ended early, while the workspace fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from system.support import Reply, Request, ScriptedServer

from ansible_collections.herdops.alpacon.plugins.plugin_utils import _rollout

ROW = {"id": "550e8400-e29b-41d4-a716-446655440000", "name": "fleet"}
PAGE = Reply({"count": 1, "next": None, "results": [ROW]})
THROTTLED = Reply({"code": "api_rate_limited"}, 429, {"Retry-After": "60"})


@pytest.mark.parametrize("fails", [Reply({"detail": "Oops."}, 500), THROTTLED])
def test_the_end_of_a_run_does_not_wait_for_an_outage(
    serve: Callable[..., ScriptedServer], monkeypatch: pytest.MonkeyPatch, fails: Reply
) -> None:
    monkeypatch.setattr(_rollout, "_PATIENCE", 1)
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return PAGE if len(asked) == 1 else fails

    variables: dict[str, Any] = {"rollout_needs": serve(answer).url, "rollout_token": {"name": "fleet"}}
    began = time.monotonic()
    result = _rollout._delete_token({**variables, "alpamon_token": "t"})
    assert result["failed"]
    assert f"{ROW['id']} could not be deleted: " in result["msg"]
    assert asked[1].method == "DELETE"
    assert time.monotonic() - began < 5
