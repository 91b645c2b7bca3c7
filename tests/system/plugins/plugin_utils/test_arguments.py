# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse empty selections and unknown names, and warn of keywords, through ansible-core itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_cores import CORES
from system.plays import COMMAND_MODULE, Play, Row, play, run_playbook, task
from workspace.client import Workspace

AUDIT_MODULE = "herdops.alpacon.alpacon_audit"
INFO_MODULE = "herdops.alpacon.alpacon_command_info"
SERVERS_MODULE = "herdops.alpacon.alpacon_server_info"
LINE = {"line": "echo hello"}


def warnings_of(done: Play) -> dict[str, list[str]]:
    """Return the warnings of the tasks that warned."""
    assert done.code == 0, done.log
    warnings = {name: [text for row in rows for text in row.get("warnings", ())] for name, rows in done.tasks.items()}
    return {name: texts for name, texts in warnings.items() if texts}


@pytest.mark.parametrize("core", CORES)
def test_bad_options_are_refused_before_any_request(current: Workspace, tmp_path: Path, core: str) -> None:
    nosuch = "{{ groups['nosuch'] | default([]) }}"
    refused: list[tuple[str, Row, str, str]] = [
        ("servers: it is", {**LINE, "servers": nosuch}, COMMAND_MODULE, "a group"),
        ("ids: it is", {"state": "finished", "ids": nosuch}, COMMAND_MODULE, "ids"),
        ("username: it is", {**LINE, "username": "{{ no | default('') }}"}, COMMAND_MODULE, "an account"),
        ("line: it is a list. Give one", {"server": "web-01", "line": "{{ ['a'] }}"}, COMMAND_MODULE, "a list"),
        ("usernam: ", {**LINE, "usernam": "x"}, COMMAND_MODULE, "a typo"),
        ("_script_content: ", {"script": "x", "_script_content": "eA=="}, COMMAND_MODULE, "a hidden option"),
        ("argv: it is not a list", {"argv": "a b"}, COMMAND_MODULE, "a text as argv"),
        ("argv: it names no program", {"server": "web-01", "argv": []}, COMMAND_MODULE, "no argv"),
        (
            "script: nosuch.sh cannot be read",
            {"server": "web-01", "script": "nosuch.sh a"},
            COMMAND_MODULE,
            "no such file",
        ),
        (
            "script: it cannot be split: no closing",
            {"server": "web-01", "script": "job.sh 'a"},
            COMMAND_MODULE,
            "a quote",
        ),
        ("script: empty.sh is empty", {"server": "web-01", "script": "empty.sh"}, COMMAND_MODULE, "an empty script"),
        ("script: the lines of crlf.sh end", {"server": "web-01", "script": "crlf.sh"}, COMMAND_MODULE, "line ends"),
        ("script: bom.sh begins with a byte", {"server": "web-01", "script": "bom.sh"}, COMMAND_MODULE, "a mark"),
        (
            "script: secret.sh is encrypted",
            {"server": "web-01", "script": "secret.sh", "verified": True, "username": "root"},
            COMMAND_MODULE,
            "an encrypted script to review",
        ),
        ("ids: it names commands that exist", {"ids": "x"}, COMMAND_MODULE, "ids without a state"),
        ("servers: it is left out, and the inventory host localhost is not a server", LINE, COMMAND_MODULE, "no host"),
        (
            "url: it contains a user name or",
            {**LINE, "url": "https://me:hunter22@x.example"},
            COMMAND_MODULE,
            "a secret",
        ),
        ("env: the name of entry 1", {**LINE, "server": "web-01", "env": {"A=hunter22": ""}}, COMMAND_MODULE, "env"),
        ("state", {**LINE, "server": "web-01", "state": None}, COMMAND_MODULE, "a null state"),
        ("filters: it is", {"filters": "{{ [] }}"}, SERVERS_MODULE, "filters"),
        ("hosts: it is", {"checks": [], "hosts": nosuch}, AUDIT_MODULE, "of an audit"),
    ]
    tasks = [task(name, given, module) for _said, given, module, name in refused]
    terms = ("[]", "['']", "[none]", "['web-01'], withn='1h'", "['web-01'], line=''", "['web-01'], status=[]")
    for term in terms:
        shown = {"msg": f"{{{{ query('herdops.alpacon.alpacon_command', *{term}) }}}}"}
        tasks.append(task(f"lookup {term}", shown, "ansible.builtin.debug"))
    background = {**task("async", LINE), "async": 10, "poll": 0}
    before = current.requests_made()
    (tmp_path / "empty.sh").touch()
    (tmp_path / "bom.sh").write_bytes("\ufeff#!/usr/bin/python3\n".encode())
    (tmp_path / "secret.sh").write_text("$ANSIBLE_VAULT;1.1;AES256\n61\n", encoding="utf-8")
    (tmp_path / "crlf.sh").write_bytes(b"#!/bin/sh\r\ntrue\r\n")
    done = run_playbook(current, tmp_path, play(*tasks, background), ["localhost"], core=core)
    assert done.code == 0, done.log
    said = {name: row["msg"] for name, [row] in done.tasks.items() if row["failed"]}
    assert sorted(said) == sorted(["async", *(one["name"] for one in tasks)])
    assert {name: said[name] for text, _given, _module, name in refused if text not in said[name]} == {}
    for term, option in zip(terms, ("terms", "terms", "terms", "withn", "line", "status"), strict=True):
        assert f"{option}: " in said[f"lookup {term}"]
    assert "wait set to false" in said["async"]
    assert all(row["commands"] == [] for [row] in (done.tasks[name] for name in ("a typo", "a quote", "async")))
    assert "hunter22" not in done.log
    assert current.requests_made() == before


@pytest.mark.parametrize("core", CORES)
def test_omitted_options_and_conversions_to_text(current: Workspace, tmp_path: Path, core: str) -> None:
    omitted = {
        "servers": "{{ nosuch | default(omit) }}",
        "ids": "{{ nosuch | default(omit) }}",
        "username": "{{ omit }}",
    }
    tasks = [
        task("omitted", {**LINE, **omitted}),
        task("listed", {"ids": "{{ nosuch | default(omit) }}"}, INFO_MODULE),
        task("number", {"argv": ["cat"], "stdin": 5, "purpose": 2026}),
        task("json", {"argv": ["cat"], "stdin": "{{ ['a', 1] | to_json }}"}),
    ]
    # ansible-core 2.16 refuses these itself.
    free = [] if core == "oldest" else [task("free", "echo hello"), task("beside", "echo hello state=cancelled")]
    done = run_playbook(current, tmp_path, play(*tasks, *free), ["web-02"], core=core)
    result = {name: rows[0] for name, rows in done.tasks.items()}
    assert (result["omitted"]["stdout"], result["omitted"]["server"]["name"]) == ("hello", "web-02"), done.log
    assert [row["line"] for row in result["listed"]["commands"]] == ["echo hello"]
    assert [result[name]["stdout"] for name in ("number", "json")] == ["5", '["a", 1]']
    if free:
        assert result["free"]["stdout"] == "hello"
        assert result["beside"]["msg"].startswith("line: it has no name, and there are other options.")


@pytest.mark.parametrize("core", CORES)
def test_keywords_without_effect_are_warned_of_once(current: Workspace, tmp_path: Path, core: str) -> None:
    root = {**LINE, "username": "root"}
    audit: Row = {"module": AUDIT_MODULE, "check_mode": True}
    checks = [{"name": "greets", **LINE}]
    quiet = [
        task("read", {}, INFO_MODULE, become=True),
        task("as asked", {**root, "username": "nobody"}, become=True, become_user="nobody"),
        task("not so", LINE, become=False, vars={"ansible_become": "false"}),
        task("the same user", root, remote_user="root"),
        {"block": [task("of a block", root)], "become": True, "become_user": "nobody"},
        task("audit as asked", {"checks": [{**checks[0], "username": "root"}]}, become=True, **audit),
    ]
    told = [
        task("become", LINE, become=True, become_user="nobody"),
        task("become again", LINE, become=True),
        task("become_user", root, become=True, become_user="{{ 'nobody' }}"),
        task("remote_user", LINE, remote_user="deploy"),
        task("remote_user again", LINE, remote_user="root"),
        task("environment", LINE, environment={"A": "b"}),
        task("audit", {"checks": checks}, become=True, environment={"A": "b"}, **audit),
    ]
    first = run_playbook(current, tmp_path / "told", play(*quiet, *told), ["web-01"], core=core)
    on_host = f"on web-01) has no effect on {COMMAND_MODULE}"
    is_user = "the agent runs the line as the user in the option username. Set username instead."
    warnings = warnings_of(first)
    audited = sorted(warnings.pop("audit"))
    assert warnings == {
        "become": [f"become (nobody {on_host}: {is_user}"],
        "become_user": [f"become_user (nobody {on_host}: username names root. Leave one of the two out."],
        "remote_user": [f"remote_user (deploy {on_host}: {is_user}"],
        "environment": [
            f"environment has no effect on {COMMAND_MODULE}: the agent runs the line with the variables in the option"
            " env. Set env instead."
        ],
    }
    assert [text.partition(":")[0] for text in audited] == [
        f"become (root on web-01) has no effect on {AUDIT_MODULE}",
        f"environment has no effect on {AUDIT_MODULE}",
    ]
    assert "Set the variables in the lines of the checks." in audited[1]
    (tmp_path / "job.sh").write_text("true\n", encoding="utf-8")
    script: Row = {"script": f"{tmp_path}/job.sh", "verified": True, "verified_folder": "/opt"}
    verified = task("verified", script, environment={"A": "b"})
    plays = play(task("one", LINE), task("again", LINE), verified, vars={"who": "deploy", "ansible_user": "{{ who }}"})
    done = run_playbook(current, tmp_path / "variable", plays, ["web-01"], core=core)
    warnings = warnings_of(done)
    assert "Set them in the script." in warnings.pop("verified")[0]
    assert warnings == {"one": [f"ansible_user (deploy {on_host}: {is_user}"]}


@pytest.mark.parametrize("core", CORES)
def test_a_token_in_the_keyword_environment_is_not_sent_to_servers(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    keyword = {"ALPACON_URL": current.url, "ALPACON_TOKEN": "alpat-in-the-keyword", "A": "b"}
    told = (
        "environment: ALPACON_URL and ALPACON_TOKEN have no effect in this keyword, since they are read from the"
        " environment of ansible-playbook. Set the variables alpacon_url and alpacon_token instead."
    )
    own = "{{ {'ALPACON_URL': alpacon_there} }}"
    tasks = [task("first", LINE, environment=own), task("again", {"limit": 1}, INFO_MODULE)]
    plays = play(*tasks, environment=keyword, vars={"alpacon_there": current.url})
    done = run_playbook(current, tmp_path, plays, ["web-01"], core=core, ALPACON_URL="", ALPACON_TOKEN="")
    assert warnings_of(done) == {"first": [told]}
    assert "Set env" not in done.log
    assert "alpat-in-the-keyword" not in done.log
    assert "or as ALPACON_URL in the environment of ansible-playbook." in done.tasks["first"][0]["msg"]
