# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole runs against stand-in workspaces."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from acceptance.created import Created
from acceptance.proxy import RecordingProxy
from acceptance.shapes import get_route
from system.certificates import authority
from workspace.client import Control, Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).parents[2] / "acceptance"
SERVERS = ["web-01", "web-02"]


class Acceptance:
    """Runs of the program with one folder.

    Attributes:
        name: part of the names of what it creates.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"acceptance-{folder.name}"

    @property
    def report(self) -> str:
        return (self.folder / "report.md").read_text(encoding="utf-8")

    def start(self, url: str, token: str, *targets: str) -> subprocess.Popen[str]:
        config = self.folder / "config.yml"
        ca_path = str(self.folder.parent / "CA.pem")
        described = {"url": url, "token": token, "servers": SERVERS, "accounts": ["root"], "ca_path": ca_path}
        config.write_text(yaml.safe_dump(described), encoding="utf-8")
        options = [f"--config={config}", f"--output={self.folder}", f"--name={self.name}"]
        command = [sys.executable, str(PROGRAM), *options, *targets]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, url: str, token: str, *targets: str) -> tuple[int, str]:
        process = self.start(url, token, *targets)
        return process.wait(), process.communicate()[0]


@pytest.fixture
def acceptance(tmp_path: Path) -> Acceptance:
    folder = tmp_path / f"run{time.time_ns()}"
    folder.mkdir()
    return Acceptance(folder)


@pytest.fixture
def own_workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    ca = authority(tmp_path, "CA")
    dialect: Any = getattr(request, "param", "current")
    with Workspace(dialect, servers=SERVERS, tick=0.1, tls=(ca.chain, ca.chain), ca=ca.file) as workspace:
        yield workspace


def find_left(workspace: Control, acceptance: Acceptance) -> list[Any]:
    """Return what a run left in a workspace and on its servers."""
    left: list[Any] = [row for row in workspace.commands() if not row["handled_at"] and row["status"] != "cancelled"]
    left += workspace.registration_tokens()
    left += workspace.registered()
    return left + [path for path in (Path("/tmp", acceptance.name),) if path.exists()]


@pytest.mark.parametrize("own_workspace", ["current", "published", "2024"], indirect=True)
def test_the_stand_in_is_like_itself(own_workspace: Workspace, acceptance: Acceptance) -> None:
    code, output = acceptance.run(own_workspace.url, own_workspace.token)
    assert code == 0, output
    assert "Differences: 0." in acceptance.report
    assert find_left(own_workspace, acceptance) == []
    written = "".join(
        path.read_text() for path in acceptance.folder.rglob("*") if path.suffix in (".log", ".md", ".json")
    )
    assert own_workspace.token not in written + output
    assert not re.search(
        "web-0|[0-9a-f]{8}-[0-9a-f]{4}", acceptance.report + (acceptance.folder / "shapes.json").read_text()
    )


ALTERATIONS: dict[tuple[str, int], Callable[[Any], object]] = {
    ("GET /api/servers/servers/", 200): lambda page: [row.pop("osquery_version") for row in page["results"]],
    ("GET /api/events/commands/", 200): lambda page: [row.update(requested_by=7) for row in page["results"]],
    ("POST /api/events/commands/", 201): lambda rows: [row.update(tenant="x") for row in rows],
    ("POST /api/events/commands/", 401): lambda error: error.update(code="token_unknown"),
    ("GET /api/events/commands/", 401): lambda error: error.update(code="token_unknown"),
    ("GET /api/servers/servers/", 401): lambda error: error.update(code="token_unknown"),
}


def alter(method: str, path: str, status: int, content: bytes) -> tuple[int, bytes]:
    route = get_route(method, path)
    if route == "DELETE /api/servers/registration-tokens/{id}/" and status == 204:
        return 200, content
    if (route, status) in ALTERATIONS:
        value = json.loads(content)
        ALTERATIONS[route, status](value)
        content = json.dumps(value).encode()
    return status, content


def test_deliberate_differences_are_named(own_workspace: Workspace, acceptance: Acceptance, tmp_path: Path) -> None:
    created = Created(tmp_path / "created.json", own_workspace.url)
    ca_path = str(tmp_path / "CA.pem")
    with RecordingProxy(own_workspace.url, own_workspace.token, created, ca_path, alter) as other:
        code, output = acceptance.run(other.url, other.token)
    assert code == 1, output
    differences = acceptance.report.partition("## Not compared")[0].partition("## Left behind")[0]
    assert [line for line in differences.splitlines() if line.startswith(("- ", "Failed"))] == [
        "- `DELETE /api/servers/registration-tokens/{id}/` 200: expected status 204",
        "- `GET /api/events/commands/` 200 `results[].requested_by`: integer, expected object",
        "- `GET /api/servers/servers/` 200 `results[].osquery_version`: missing field",
        "- `GET /api/servers/servers/` 401 `code`: code token_unknown, expected code auth_authentication_failed",
        "- `POST /api/events/commands/` 201 `[].tenant`: additional field: string",
    ]
    assert find_left(own_workspace, acceptance) == []


def is_scheduled(workspace: Control, _acceptance: Acceptance) -> bool:
    return any(row["status"] == "scheduled" for row in workspace.commands())


def is_registered(workspace: Control, _acceptance: Acceptance) -> bool:
    return bool(workspace.registered())


def has_folder(_workspace: Control, acceptance: Acceptance) -> bool:
    return Path("/tmp", acceptance.name).exists()


def wait_until(condition: Callable[[Control, Acceptance], bool], *arguments: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition(*arguments):
        assert time.monotonic() < deadline, f"never {condition.__name__}"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("target", "moment"),
    [
        ("alpacon_command", is_scheduled),
        ("alpacon_registration", is_registered),
        ("connection_alpacon", has_folder),
    ],
)
def test_an_interrupted_run_leaves_nothing(
    own_workspace: Workspace, acceptance: Acceptance, target: str, moment: Callable[[Control, Acceptance], bool]
) -> None:
    process = acceptance.start(own_workspace.url, own_workspace.token, target)
    wait_until(moment, own_workspace, acceptance)
    process.send_signal(signal.SIGINT)
    output, _error = process.communicate()
    assert process.returncode == 130, output
    assert find_left(own_workspace, acceptance) == []


def test_the_next_run_removes_what_a_killed_run_left(own_workspace: Workspace, acceptance: Acceptance) -> None:
    process = acceptance.start(own_workspace.url, own_workspace.token, "alpacon_registration")
    wait_until(is_registered, own_workspace, acceptance)
    process.kill()
    process.communicate()
    assert own_workspace.registration_tokens()
    code, output = acceptance.run(own_workspace.url, own_workspace.token, "alpacon_server_info")
    assert code == 0, output
    assert find_left(own_workspace, acceptance) == []
