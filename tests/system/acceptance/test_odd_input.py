# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test configurations and responses that are not what a run expects."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from acceptance.config import ConfigError, read_config
from acceptance.created import COMMANDS, Created, Removal
from acceptance.proxy import RecordingProxy
from acceptance.report import render
from acceptance.running import Run
from acceptance.shapes import Recording

SESSIONS = "/api/events/sessions/"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("url: https://x.example\ntoken: alpat-secret: x\n", "YAML in line 2"),
        ("", "mapping"),
        ("{url: https://x.example, servers: [web-01]}", "token"),
        ("{url: https://x.example, token: , servers: [web-01]}", "token"),
        ("{url: 5, token: alpat-secret, servers: [web-01]}", "url"),
        ("{url: https://x.example, token: alpat-secret, servers: web-01}", "servers"),
    ],
)
def test_a_wrong_configuration_is_refused_without_its_token(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "config.yml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=word) as error:
        read_config(file)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("path", "content"), [(COMMANDS, b"<h1>Created</h1>"), (SESSIONS, b"websocket_url")])
def test_a_page_in_place_of_a_record_is_recorded(tmp_path: Path, path: str, content: bytes) -> None:
    proxy = RecordingProxy("http://127.0.0.1:1", "alpat-secret", Created(tmp_path / "created.json", ""))
    response: Any = SimpleNamespace(status_code=201, content=content, headers={"Content-Type": "text/html"})
    with proxy:
        assert proxy.record("POST", path, response) == (201, content)
    assert proxy.recording.routes[f"POST {path}"][201].media_types == {"text/html"}


def test_the_report_has_no_ids_of_records_that_are_left() -> None:
    left = [f"{COMMANDS}7a50ea6c-2138-4d3f-9633-e50694c847c4/: status 500", "/api/servers/servers/12/: status 500"]
    report = render(Run(Recording(), Removal(left=left)), None, "current")
    assert f"{COMMANDS}{{id}}/: status 500" in report
    assert "/api/servers/servers/{id}/: status 500" in report
