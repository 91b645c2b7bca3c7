# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.journal import SubmittedCommands
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run, RunContext
from ansible_collections.herdops.alpacon.plugins.plugin_utils import _token_acl
from ansible_collections.herdops.alpacon.plugins.plugin_utils._token_acl import compare_acl, make_acl, write_acl
from ansible_collections.herdops.alpacon.tests.unit.support import SERVER

Need = Callable[..., None]


@pytest.fixture
def needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SubmittedCommands:
    found = SubmittedCommands(tmp_path / "needs")
    found.file.touch()
    monkeypatch.setattr(_token_acl, "get_needs", lambda: found)
    return found


@pytest.fixture
def need(needs: SubmittedCommands) -> Need:
    """Record the need of a command."""
    run = Run(RunContext(needs=needs), own_server="host")

    def record(line: str, username: str = "", groupname: str = "", name: str | None = "web-01") -> None:
        body = {"line": line, "username": username, "groupname": groupname}
        run.record_need("https://a.example.com", Server(SERVER, name), body)

    return record


def compare(folder: Path, *commands: tuple[str, str, str]) -> dict[str, list[str]]:
    entries = [{"command": command, "username": username, "groupname": group} for command, username, group in commands]
    allowed = {"command_acl": entries, "server_acl": [{"server": SERVER.upper()}]}
    (folder / "acl.yml").write_text(yaml.safe_dump(allowed), encoding="utf-8")
    return compare_acl(str(folder / "acl.yml"))


@pytest.mark.parametrize(
    ("allowed", "is_covered"),
    [
        (("df -h", "root", "adm"), True),
        (("df -h", "*", ""), True),
        (("*", "*", "*"), True),
        (("d*-*h", "root", "adm"), True),
        (("df", "root", "adm"), False),
        (("df.-h", "root", "adm"), False),
        (("df -h", "", "adm"), False),
        (("df -h", "deploy", "adm"), False),
        (("df -h", "root", "wheel"), False),
    ],
)
def test_an_entry_covers_what_its_pattern_and_account_match(
    tmp_path: Path, need: Need, allowed: tuple[str, str, str], is_covered: bool
) -> None:
    need(" df -h ", "root", "adm")
    command = "command df -h as root in group adm"
    compared = compare(tmp_path, allowed)
    assert compared["missing"] == ([] if is_covered else [command])
    assert bool(compared["unused"]) is not is_covered


def test_a_payload_needs_the_pattern_of_all_payloads(tmp_path: Path, need: Need, needs: SubmittedCommands) -> None:
    for digest in ("a" * 64, "b" * 64):
        need(f"/bin/sh -c $RUN module:ansible.builtin.ping sha256:{digest}", name=None)
    acl = make_acl(needs.read_rows().values())
    assert acl["command_acl"] == [{"command": "/bin/sh -c $RUN *", "username": "", "groupname": ""}]
    assert acl["server_acl"] == [{"server": SERVER, "name": "host"}]
    assert compare(tmp_path, ("/bin/sh -c $RUN *", "", "")) == {"missing": [], "unused": []}


@pytest.mark.parametrize(
    ("allowed", "is_covered"),
    [
        (("/srv/app", "upload", "root", ""), True),
        (("/srv/*", "*", "*", ""), True),
        (("/srv/app", "download", "root", ""), False),
        (("/srv", "upload", "root", ""), False),
        (("/srv/*", "*", "", ""), False),
    ],
)
def test_a_transfer_needs_an_entry_of_its_own_list(
    tmp_path: Path, needs: SubmittedCommands, allowed: tuple[str, str, str, str], is_covered: bool
) -> None:
    body = {"path": "/srv/app", "action": "upload", "username": "root", "groupname": ""}
    Run(RunContext(needs=needs)).record_need("https://a.example.com", Server(SERVER, "web-01"), body)
    [entry] = make_acl(needs.read_rows().values())["file_acl"]
    assert entry == {"path": "/srv/app", "action": "upload", "username": "root", "groupname": ""}
    acl = {"command_acl": [], "file_acl": [dict(zip(entry, allowed, strict=True))], "server_acl": [{"server": SERVER}]}
    (tmp_path / "acl.yml").write_text(yaml.safe_dump(acl), encoding="utf-8")
    compared = compare_acl(str(tmp_path / "acl.yml"))
    assert compared["missing"] == ([] if is_covered else ["upload of /srv/app as root"])


def test_hosts_that_failed_are_named() -> None:
    lines = write_acl([], [f"web-{number}" for number in range(22)])
    assert lines[2:] == [
        f"# Incomplete, because hosts failed: {', '.join(f'web-{number}' for number in range(20))} and 2 more",
        "command_acl: []",
        "server_acl: []",
    ]


def test_tasks_that_no_entry_covers_are_compared_as_well(tmp_path: Path, needs: SubmittedCommands) -> None:
    for task in ("Old", "New\x1b"):
        needs.add({"id": task, "task": task, "reason": "it failed"})
    lines = write_acl(needs.read_rows().values(), [])
    entries = [{"task": "New\x1b", "reason": "it failed"}, {"task": "Old", "reason": "it failed"}]
    assert (yaml.safe_load("\n".join(lines))["not_covered"], "\x1b" in "".join(lines)) == (entries, False)
    file = tmp_path / "acl.yml"
    for covered, missing, unused in (
        ([], ["task New\\x1b, since it failed", "task Old, since it failed"], []),
        ([*entries, {"task": "Gone", "reason": "it failed"}], [], ["task Gone, since it failed"]),
    ):
        file.write_text(yaml.safe_dump({"command_acl": [], "server_acl": [], "not_covered": covered}), encoding="utf-8")
        assert compare_acl(str(file)) == {"missing": missing, "unused": unused}


def test_equal_needs_and_entries_are_matched_without_patterns(
    tmp_path: Path, needs: SubmittedCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        server = Server(f"{number:08}{SERVER[8:]}", f"web-{number}")
        body = {"line": f"echo {number}", "username": "", "groupname": ""}
        Run(RunContext(needs=needs)).record_need("https://a.example.com", server, body)
    lines = write_acl(needs.read_rows().values(), [])
    (tmp_path / "acl.yml").write_text("\n".join(lines), encoding="utf-8")
    compared: list[object] = []
    monkeypatch.setattr(_token_acl, "_covers", lambda *pair: compared.append(pair))
    assert compare_acl(str(tmp_path / "acl.yml")) == {"missing": [], "unused": []}
    assert not compared


def test_several_workspaces_are_named(needs: SubmittedCommands) -> None:
    for url in ("https://a.example.com", "https://b.example.com"):
        Run(RunContext(needs=needs)).record_need(url, Server(SERVER, "web-01"))
        text = "\n".join(write_acl(needs.read_rows().values(), []))
        assert ("for several workspaces: https://a.example.com, https://b.example.com." in text) is ("b." in url)


def test_needs_that_no_run_recorded_are_not_compared(tmp_path: Path, needs: SubmittedCommands) -> None:
    needs.file.unlink()
    with pytest.raises(AnsibleFilterError, match="not known"):
        compare(tmp_path)


@pytest.mark.parametrize("content", [None, "- uptime", "command_acl: [{}]\nserver_acl: []", "[", "server_acl: {}"])
def test_a_bad_file_of_allowed_entries_is_an_error(
    tmp_path: Path, needs: SubmittedCommands, content: str | None
) -> None:
    assert not needs.read_rows()
    file = tmp_path / "acl.yml"
    if content:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(AnsibleFilterError, match=f"alpacon_allowed: {file}"):
        compare_acl(str(file))
