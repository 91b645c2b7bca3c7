# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test which hosts and servers a playbook is to be run on again, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.herdops.alpacon.plugins.plugin_utils._retry_file import RetryFile
from ansible_collections.herdops.alpacon.plugins.plugin_utils._retry_list import RetryList

IDS = [f"550e8400-e29b-41d4-a716-44665544000{number}" for number in range(5)]


def result(**outcomes: str) -> dict[str, Any]:
    """Return the result of a task with the outcome of each server."""
    commands = [{"id": f"c-{name}", "server": {"id": name}, "outcome": word} for name, word in outcomes.items()]
    return {
        "commands": commands,
        "servers_left": [name for name, word in outcomes.items() if word in ("failed", "offline")],
        "servers_unknown": [name for name, word in outcomes.items() if word == "unknown"],
    }


def end(retried: RetryList) -> list[str]:
    lines: list[str] = []
    retried.end(lines.append, pytest.fail)
    return lines


def test_hosts_that_failed_or_were_not_tried_are_written(tmp_path: Path) -> None:
    retried = RetryList("run", str(tmp_path))
    retried.add_hosts("abcdefg")
    words = {"a": "success", "b": "failed", "c": "unknown", "d": "denied"}
    for host, word in words.items():
        retried.host_started(host)
        retried.add_result(host, result(**{host: word}))
    retried.add_result("e", {"failed": True, "msg": "wait_timeout: 'soon' is not a duration"})
    retried.host_started("f")  # the run was interrupted
    file = tmp_path / "run.retry"
    shown, unknown = end(retried)
    assert shown.endswith(f"--limit @{file}")
    assert "2 servers" in unknown
    assert unknown.endswith("herdops.alpacon.await"), "the ID of one of them is unknown"
    assert file.read_text(encoding="utf-8") == "b\ne\ng\n"


def test_servers_of_a_task_are_written_as_a_variable(tmp_path: Path) -> None:
    retried = RetryList("run", str(tmp_path))
    words = ("success", "failed", "unknown", "offline")
    retried.add_result("localhost", result(**dict(zip(IDS, words, strict=False))))
    file = tmp_path / "run.retry.yml"
    shown, unknown = end(retried)
    assert shown.endswith(f"-e @{file}")
    assert unknown.endswith(f"herdops.alpacon.await -e alpacon_ids=c-{IDS[2]}")
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == {"alpacon_servers": [IDS[1], IDS[3]]}
    assert file.stat().st_mode & 0o777 == 0o600


def test_hosts_that_did_not_answer_an_audit_are_written(tmp_path: Path) -> None:
    retried = RetryList("audit", str(tmp_path))
    retried.add_hosts("abc")
    retried.host_started("a")
    retried.add_result("a", {"hosts_left": ["b"], "failed": True})
    assert len(end(retried)) == 1, "no command is to be awaited"
    assert (tmp_path / "audit.retry").read_text(encoding="utf-8") == "b\n"


@pytest.mark.parametrize(("earlier", "is_kept"), [(IDS[:2], False), (IDS[:3], True)])
def test_the_file_of_an_earlier_run_is_removed_once_its_servers_are_done(
    tmp_path: Path, earlier: list[str], is_kept: bool
) -> None:
    file = tmp_path / "run.retry.yml"
    RetryFile(str(file), True).write(earlier, list[str]().append, pytest.fail)
    retried = RetryList("run", str(tmp_path))
    retried.add_result("localhost", result(**dict.fromkeys(IDS[:2], "success")))
    assert end(retried) == []
    assert file.exists() is is_kept


@pytest.mark.parametrize(
    "returned",
    [
        pytest.param(result(**{IDS[0]: "failed"}), id="a single server"),
        pytest.param({"failed": True}, id="nothing was sent"),
        pytest.param({"censored": "the output has been hidden"}, id="no_log"),
    ],
)
def test_no_file_is_written_that_would_not_help(tmp_path: Path, returned: dict[str, Any]) -> None:
    retried = RetryList("run", str(tmp_path))
    retried.add_result("localhost", returned)
    assert end(retried) == []
    assert not list(tmp_path.iterdir())


def test_a_name_that_the_workspace_chose_is_no_template(tmp_path: Path) -> None:
    name = "a: {{ 6 * 7 }}\n- b"
    RetryFile(str(tmp_path / "f"), True).write([name, IDS[0]], list[str]().append, pytest.fail)
    header, hostile, plain = (tmp_path / "f").read_text(encoding="utf-8").splitlines()
    assert (header, plain) == ("alpacon_servers:", f"- {IDS[0]}")
    tag, value = hostile.removeprefix("- ").split(" ", 1)
    assert (tag, yaml.safe_load(value)) == ("!unsafe", name)
