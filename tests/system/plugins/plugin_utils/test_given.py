# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tasks are given, through ansible-core itself: selections that are empty, names that there are not, keywords."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_cores import CORES, prepare
from system.playing import COMMAND_MODULE, PATIENCE, Play, Row, environment, play, play_out, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND

AUDIT_MODULE = "herdops.alpacon.alpacon_audit"
EVERY_STATE: dict[str, Row] = {
    "executed": {"line": "echo hello"},
    "scheduled": {"line": "echo hello", "state": "scheduled", "scheduled_at": "2999-01-01T00:00:00Z"},
    "cancelled": {"line": "echo hello", "state": "cancelled"},
}
#: Selections that select nothing, as playbooks write them.
NOTHING: dict[str, Any] = {
    "an empty list": [],
    "null": None,
    "an empty text": "",
    "blanks": "  ",
    "a template of an empty list": "{{ [] }}",
    "a group that is not there": "{{ groups['nosuch'] | default([]) }}",
    "a template of null": "{{ none }}",
    "an empty element": ["web-01", ""],
    "an element that is null": ["web-01", None],
    "an empty part": "web-01,,web-02",
    "a list in a list": [["web-01"]],
    "a dictionary": {"name": "web-01"},
    "true": True,
    "an element that is true": [True],
}
#: Those that are no filters either.
NO_FILTERS = ("null", "an empty list", "an empty text", "blanks", "a template of an empty list", "a template of null")


def messages(done: Play) -> dict[str, str]:
    """What each task that failed said, in one text for each."""
    return {name: " | ".join(row["msg"] for row in rows if row["failed"]) for name, rows in done.tasks.items()}


@pytest.mark.parametrize("core", CORES)
def test_a_selection_that_is_empty_selects_nothing(current: Workspace, tmp_path: Path, core: str) -> None:
    tasks = [
        task(f"{option}: {state}: {what}", {**given, option: value})
        for what, value in NOTHING.items()
        for state, given in EVERY_STATE.items()
        for option in ("servers", "server")
    ]
    tasks += [
        task(f"run_after: {state}: {what}", {**EVERY_STATE[state], "run_after": value})
        for what, value in NOTHING.items()
        for state in ("executed", "scheduled")
        if what not in ("a list in a list", "a dictionary", "true", "an element that is true")
    ]
    for what, value in NOTHING.items():
        tasks += [
            task(f"ids: finished: {what}", {"state": "finished", "ids": value}),
            task(f"ids: cancelled: {what}", {"state": "cancelled", "ids": value}),
            task(f"ids: cancelled with a line: {what}", {"state": "cancelled", "id": value, "line": "echo hello"}),
            task(f"ids: info: {what}", {"ids": value}, "herdops.alpacon.alpacon_command_info"),
            task(f"servers: server_info: {what}", {"servers": value}, "herdops.alpacon.alpacon_server_info"),
            task(f"hosts: audit: {what}", {"checks": [], "hosts": value}, "herdops.alpacon.alpacon_audit"),
        ]
    for what, value in (*((what, NOTHING[what]) for what in NO_FILTERS), ("an empty dictionary", {})):
        tasks.append(task(f"filters: server_info: {what}", {"filters": value}, "herdops.alpacon.alpacon_server_info"))
    if core != "development":
        tasks = [
            one for one in tasks if "template" in one["name"] or ": null" in one["name"] or "not there" in one["name"]
        ]
    shown = {"var": "query('herdops.alpacon.alpacon_command', *selected)"}
    for what, value in {"no terms": [], "an empty term": [""], "null": [None], "a list": [[]]}.items():
        tasks.append(task(f"terms: {what}", shown, "ansible.builtin.debug", vars={"selected": value}))
    before = current.requests_made()
    done = play_out(current, tmp_path, play(*tasks), ["web-01"], core=core)
    assert done.code == 0, done.said
    said = messages(done)
    assert sorted(said) == sorted(one["name"] for one in tasks)
    assert {name: text for name, text in said.items() if name.split(":")[0] not in text} == {}
    assert said["servers: executed: null"] == (
        "servers: it is null. Give names or UUIDs of servers, or leave it out to mean the inventory host."
    )
    assert said["filters: server_info: null"] == (
        "filters: it is null. Give a filter, or leave it out to mean all servers."
    )
    assert current.requests_made() == before


def test_a_filter_that_is_empty_selects_nothing(current: Workspace, tmp_path: Path) -> None:
    info, servers = "herdops.alpacon.alpacon_command_info", "herdops.alpacon.alpacon_server_info"
    texts = ("server", "shell", "requested_by", "search", "line", "cmd", "since", "until")
    tasks = [task(f"{name}: {value}", {name: value}, info) for name in texts for value in ("", " ", None)]
    tasks += [task(f"status: {value}", {"status": value}, info) for value in ([], None, "", ["success", ""])]
    filters: Row = {"name": ("", [], None), "groups": ([], [""], None), "tags": ({}, None), "connected": (None,)}
    tasks += [
        task(f"filters: {name}: {value}", {"filters": {name: value}}, servers)
        for name, values in filters.items()
        for value in values
    ]
    looked_up = "query('herdops.alpacon.alpacon_command', 'web-01', {})"
    for given in ("line=''", "line=none", "status=[]", "within=''"):
        name = given.split("=", maxsplit=1)[0]
        tasks.append(
            task(f"{name}: lookup {given}", {"that": f"{looked_up.format(given)} == 1"}, "ansible.builtin.assert")
        )
    before = current.requests_made()
    done = play_out(current, tmp_path, play(*tasks), ["web-01"])
    assert done.code == 0, done.said
    said = messages(done)
    assert sorted(said) == sorted(one["name"] for one in tasks)
    named = {name: "line" if name.startswith("cmd") else name.split(":")[0] for name in said}
    assert {name: text for name, text in said.items() if f"{named[name]}: " not in text} == {}
    assert said["search: "] == "search: it is empty. Give what the commands must have, or leave it out."
    assert current.requests_made() == before
    # Commas are part of a line.
    done = play_out(current, tmp_path, play(task("line", {"line": "echo a,,b"}, info)), ["web-01"])
    assert done.tasks["line"][0]["commands"] == []


def test_an_account_that_is_empty_is_not_every_account(current: Workspace, tmp_path: Path) -> None:
    kept = current.submit("web-01", "reboot", scheduled_at="2999-01-01T00:00:00Z")
    states: dict[str, Row] = {**EVERY_STATE, "reused": {"line": "echo hello", "reuse_within": "1h"}}
    tasks = [
        task(f"{option}: {state}: {what}", {"server": "web-01", **given, "line": "reboot", option: value})
        for option in ("username", "groupname")
        for state, given in states.items()
        for what, value in {"empty": "", "blanks": "  ", "null": None, "undefined": "{{ no | default('') }}"}.items()
    ]
    before = current.requests_made()
    done = play_out(current, tmp_path, play(*tasks), ["web-01"])
    assert done.code == 0, done.said
    said = messages(done)
    assert sorted(said) == sorted(one["name"] for one in tasks)
    assert {name: text for name, text in said.items() if not text.startswith(name.split(":")[0] + ": it is ")} == {}
    assert said["username: cancelled: empty"] == (
        "username: it is empty. Give the user to run as, or leave it out to mean the one of the token."
    )
    assert current.requests_made() == before
    assert [row["id"] for row in current.commands() if row["status"] == "scheduled"] == [kept]


@pytest.mark.parametrize("core", CORES)
def test_what_is_no_text_is_not_sent_as_python_writes_it(current: Workspace, tmp_path: Path, core: str) -> None:
    no_text: dict[str, Any] = {"a list": ["echo", "hi"], "a dictionary": {"a": "b"}, "true or false": True}
    others: Row = {"line": {}, "cmd": {}, "stdin": {"argv": ["cat"]}, "purpose": {"line": "echo hi"}}
    tasks = [
        task(f"{option}: {what}", {"server": "web-01", **others[option], option: value})
        for option in others
        for what, value in no_text.items()
    ]
    tasks.append(task("line: templates", {"server": "web-01", "line": "{{ ['echo', 'hi'] }}"}))
    tasks.append(task("server: info", {"server": ["web-01"]}, "herdops.alpacon.alpacon_command_info"))
    before = current.requests_made()
    done = play_out(current, tmp_path, play(*tasks), ["web-01"], core=core)
    said = messages(done)
    assert sorted(said) == sorted(one["name"] for one in tasks), done.said
    assert (
        said["line: a list"]
        == said["cmd: a list"]
        == said["line: templates"]
        == (
            "line: it is a list. Give one text: in quotes if it is a word such as true or yes, and data with the filter"
            " to_json."
        )
    )
    assert said["stdin: a dictionary"].startswith("stdin: it is a dictionary. ")
    assert said["purpose: true or false"].startswith("purpose: it is true or false. ")
    assert said["server: info"].startswith("server: it is a list. ")
    assert current.requests_made() == before
    number = task("number", {"server": "web-01", "argv": ["cat"], "stdin": 5, "purpose": 2026})
    text = task("text", {"server": "web-01", "argv": ["cat"], "stdin": "{{ ['a', 1] | to_json }}"})
    done = play_out(current, tmp_path / "texts", play(number, text), ["web-01"], core=core)
    assert [row["stdout"] for name in ("number", "text") for row in done.tasks[name]] == ["5", '["a", 1]']


@pytest.mark.parametrize("core", CORES)
def test_what_is_omitted_is_left_out(current: Workspace, tmp_path: Path, core: str) -> None:
    left_out = {"servers": "{{ nosuch | default(omit) }}", "ids": "{{ nosuch | default(omit) }}"}
    done = play_out(
        current,
        tmp_path,
        play(
            task("run", {"line": "echo hello", **left_out, "username": "{{ omit }}"}),
            task(
                "info",
                left_out | {"servers": None, "ids": "{{ omit }}"} and {"ids": "{{ nosuch | default(omit) }}"},
                "herdops.alpacon.alpacon_command_info",
            ),
        ),
        ["web-02"],
        core=core,
    )
    [ran], [listed] = done.tasks["run"], done.tasks["info"]
    assert (ran["stdout"], ran["server"]["name"]) == ("hello", "web-02"), done.said
    assert [row["line"] for row in listed["commands"]] == ["echo hello"]


def test_names_of_options(current: Workspace, tmp_path: Path) -> None:
    line = {"line": "uptime"}
    tasks = {
        "both names": (
            line | {"servers": ["web-01"], "server": "web-02"},
            "servers: it is given twice, as servers and as",
        ),
        "both lines": ({"line": "a", "cmd": "b"}, "line: it is given twice"),
        "both ids": ({"state": "finished", "ids": [COMMAND], "id": COMMAND}, "ids: it is given twice"),
        "a typo": (
            line | {"usernam": "x"},
            "usernam: herdops.alpacon.alpacon_command has no such option. Did you mean username?",
        ),
        "nothing like it": (line | {"zzz": 1}, "ansible-doc herdops.alpacon.alpacon_command"),
        "chdir": (line | {"server": "web-01", "chdir": "/srv"}, "chdir: it can only be used with script or argv"),
        "both": (line | {"server": "web-01", "argv": ["a"]}, "argv: it does not go with line"),
        "a text as argv": ({"argv": "a b"}, "argv: it is no list"),
        "a number with a point": ({"argv": ["a", 1.10]}, "argv: element 2 is no text"),
        "a flag": ({"argv": ["a", True]}, "argv: element 2 is no text"),
        "no argv": ({"server": "web-01", "argv": []}, "argv: it names no program"),
        "no such file": ({"server": "web-01", "script": "nosuch.sh a"}, "script: nosuch.sh cannot be read"),
        "an open quote": ({"server": "web-01", "script": "job.sh 'a"}, "script: it cannot be split: no closing"),
        "no time to wait": (line | {"server": "web-01", "wait_timeout": 0}, "wait_timeout: 0 is no time to wait"),
        "no host": (line, "servers: it is left out, and the inventory host localhost is no server"),
        "a credential": (
            line | {"url": "https://me:hunter22@workspace.example"},
            "url: it carries a user name or password",
        ),
        "a value as a name": (
            line | {"server": "web-01", "env": {"PASSWORD=hunter22": ""}},
            "env: the name of entry 1 has an =",
        ),
    }
    looked_up = {"var": "query('herdops.alpacon.alpacon_command', 'web-01', withn='1h')"}
    misspelt = task("lookup", looked_up, "ansible.builtin.debug")
    in_background = {**task("async", line), "async": 10, "poll": 0}
    done = play_out(
        current,
        tmp_path,
        play(*(task(name, given) for name, (given, _text) in tasks.items()), in_background, misspelt),
        ["localhost"],
    )
    said = messages(done)
    assert {name: said[name] for name, (_given, text) in tasks.items() if text not in said[name]} == {}
    assert "wait set to false" in said["async"]
    assert "withn: the lookup herdops.alpacon.alpacon_command has no such option. Did you mean within?" in said.pop(
        "lookup"
    )
    assert all(row["commands"] == [] for name in said for row in done.tasks[name]), done.said
    assert "hunter22" not in done.said
    assert current.commands() == []


@pytest.mark.parametrize("core", CORES)
def test_keywords_without_effect_are_told_of_once(current: Workspace, tmp_path: Path, core: str) -> None:
    line = {"line": "echo hello"}
    quiet = [
        task("read", {}, "herdops.alpacon.alpacon_command_info", become=True),
        task("as asked", {**line, "username": "nobody"}, become=True, become_user="nobody"),
        task("not so", line, become=False, vars={"ansible_become": "false"}),
    ]
    become = [task("keyword", line, become=True, become_user="nobody"), task("again", line, become=True)]
    check = {"name": "greets", "line": "echo hello"}
    audit: Row = {"module": AUDIT_MODULE, "check_mode": True}
    quiet.append(task("audit as asked", {"checks": [{**check, "username": "root"}]}, become=True, **audit))
    audits = [task(f"audit {number}", {"checks": [check]}, become=True, **audit) for number in (1, 2)]
    first = play_out(current, tmp_path / "quiet", play(*quiet), ["web-01", "web-02"], core=core)
    assert " has no effect" not in first.said
    last = [task("play", line), task("audit", {"checks": [check]}, **audit)]
    plays = [*play(*quiet, *become, *audits), *play(*last, become=True, environment={"A": "b"})]
    done = play_out(current, tmp_path / "told", plays, ["web-01", "web-02"], core=core)
    assert done.code == 0, done.said
    warnings = [warning for rows in done.tasks.values() for row in rows for warning in row.get("warnings", ())]
    assert sorted(re.sub(r"on web-0[12]", "on HOST", text.split(":")[0]) for text in warnings) == [
        f"become (nobody on HOST) has no effect on {COMMAND_MODULE}",
        f"become (root on HOST) has no effect on {AUDIT_MODULE}",
        f"environment has no effect on {AUDIT_MODULE}",
        f"environment has no effect on {COMMAND_MODULE}",
    ]
    assert "Give username there in its place." in done.said.replace("\n", " ")
    assert "Set the variables in the lines of the checks." in done.said.replace("\n", " ")
    assert "Give username in its place." in done.said.replace("\n", " ")
    assert "Give env in its place." in done.said.replace("\n", " ")
    by_variable = play(task("variable", line), vars={"ansible_become": True, "ansible_become_user": "nobody"})
    said = play_out(current, tmp_path / "variable", by_variable, ["web-01"], core=core).said
    assert said.count("ansible_become (nobody on web-01) has no effect") == 1


@pytest.mark.parametrize("core", CORES)
def test_a_remote_user_that_username_does_not_name_is_told_of_once(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    line, deploy = {"line": "echo hello"}, {"username": "deploy"}
    own = play(
        task("as asked", {**line, **deploy}),
        task("the same", {**line, **deploy}, remote_user="deploy"),
        task("another", {**line, **deploy}, remote_user="admin"),
        remote_user="root",
    )
    unnamed = task("keyword", line, remote_user="deploy"), task("again", line, remote_user="root")
    ways: dict[str, tuple[list[Row], dict[str, str]]] = {
        "keyword": (play(*unnamed), {}),
        "variable": (play(task("variable", line), vars={"who": "deploy", "ansible_user": "{{ who }}"}), {}),
        "setting": (play(task("setting", line)), {"ANSIBLE_REMOTE_USER": "deploy"}),
        "own": (own, {}),
    }
    names = {"keyword": "remote_user", "variable": "ansible_user", "setting": "remote_user"}
    why = "the agent runs the line as the user that the option username names. Give username in its place."
    expected = {
        way: [f"{name} (deploy on web-01) has no effect on {COMMAND_MODULE}: {why}"] for way, name in names.items()
    }
    both = "username names deploy. Leave one of the two out."
    expected["own"] = [f"remote_user (admin on web-01) has no effect on {COMMAND_MODULE}: {both}"]
    for way, (plays, settings) in ways.items():
        done = play_out(current, tmp_path / way, plays, ["web-01"], core=core, **settings)
        warnings = [text for rows in done.tasks.values() for row in rows for text in row.get("warnings", ())]
        assert warnings == expected[way], done.said


@pytest.mark.parametrize("core", CORES)
def test_an_account_in_become_user_that_username_contradicts_is_told(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    line, root = {"line": "echo hello"}, {"username": "root"}
    check = {"checks": [{"name": "greets", **line}], "username": "root"}
    quiet = [
        task("of the play", {**line, **root}),
        task("the same", {**line, **root}, become_user="root"),
        task("off", {**line, **root}, become=False, become_user="nobody"),
        {"block": [task("of a block", {**line, **root})], "become_user": "{{ who }}"},
        task("audit of the play", check, AUDIT_MODULE, check_mode=True),
    ]
    told = [
        task("command", {**line, **root}, become_user="{{ who }}"),
        task("again", {**line, **root}, become_user="nobody"),
        task("audit", check, AUDIT_MODULE, check_mode=True, become_user="nobody"),
    ]
    plays = play(*quiet, *told, become=True, become_user="{{ who }}", vars={"who": "nobody"})
    done = play_out(current, tmp_path, plays, ["web-01"], core=core)
    assert done.code == 0, done.said
    warnings = {name: row["warnings"] for name, [row] in done.tasks.items() if row.get("warnings")}
    has_no_effect = "become_user (nobody on web-01) has no effect on herdops.alpacon."
    assert warnings == {
        "command": [f"{has_no_effect}alpacon_command: username names root. Leave one of the two out."],
        "audit": [f"{has_no_effect}alpacon_audit: username names root. Leave one of the two out."],
    }


def test_a_condition_on_the_stderr_of_a_line_is_told_of_once(current: Workspace, tmp_path: Path) -> None:
    line = {"line": "echo one; echo two >&2"}
    tasks = [
        task("stdout", line, register="r", failed_when="'three' in r.stdout"),
        task("argv", {"argv": ["true"]}, register="r", failed_when="r.stderr != ''"),
        task("line", line, register="r", failed_when=["r.rc != 0", "r.stderr != ''"], until="r.stderr_lines == []"),
        task("again", line, register="r", changed_when="r.stderr != ''"),
    ]
    done = play_out(current, tmp_path, play(*tasks), ["web-01"])
    warnings = {name: row["warnings"] for name, [row] in done.tasks.items() if row.get("warnings")}
    said = (
        "failed_when and until: stderr is always empty with line, since Alpacon merges both streams into stdout."
        " Use script or argv, which return them apart, or look for the words in stdout."
    )
    assert warnings == {"line": [said]}, done.said


@pytest.mark.parametrize("core", CORES)
def test_a_token_in_the_keyword_environment_is_not_sent_to_servers(
    current: Workspace, tmp_path: Path, core: str
) -> None:
    keyword = {"ALPACON_URL": current.url, "ALPACON_TOKEN": "alpat-in-the-keyword", "A": "b"}
    nothing = {"ALPACON_URL": "", "ALPACON_TOKEN": ""}
    told = (
        "environment: this keyword is not where ALPACON_URL and ALPACON_TOKEN can be set, since the environment of"
        " ansible-playbook itself is read. Set alpacon_url and alpacon_token among the variables instead."
    )
    modules: dict[str, Row] = {
        COMMAND_MODULE: {"line": "echo hello"},
        f"{COMMAND_MODULE}_info": {"limit": 1},
        AUDIT_MODULE: {"checks": [{"name": "greets", "line": "echo hello"}]},
    }
    for module, options in modules.items():
        folder = tmp_path / module
        tasks = [task("first", options, module, environment="{{ own }}"), task("again", options, module)]
        plays = play(*tasks, environment=keyword, vars={"own": {"ALPACON_URL": current.url}})
        done = play_out(current, folder, plays, ["web-01"], core=core, **nothing)
        warnings = [warning for rows in done.tasks.values() for row in rows for warning in row.get("warnings", ())]
        assert warnings == [told]
        assert "Give env" not in done.said
        assert "alpat-in-the-keyword" not in done.said
        assert "or in the environment of ansible-playbook as ALPACON_URL." in done.tasks["first"][0]["msg"]


@pytest.mark.parametrize(
    ("core", "argument"), [("oldest", "line='echo a b'"), ("development", "echo a b"), ("newest", "echo a b")]
)
def test_a_line_from_the_shell(current: Workspace, tmp_path: Path, core: str, argument: str) -> None:
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / "inventory").write_text("[web]\nweb-01\n", encoding="utf-8")
    done = subprocess.run(
        [prepare(core) / "ansible", "web", "-i", tmp_path / "inventory", "-m", COMMAND_MODULE, "-a", argument],
        env=environment(current, tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"stdout": "a b"' in done.stdout
    assert [row["line"] for row in current.commands()] == ["echo a b"]


def test_a_line_without_a_name(current: Workspace, tmp_path: Path) -> None:
    tasks = [task("free", "echo hello"), task("beside", "echo hello state=cancelled")]
    done = play_out(current, tmp_path, play(*tasks), ["web-01"])
    [free], [beside] = done.tasks["free"], done.tasks["beside"]
    assert (free["stdout"], free["line"]) == ("hello", "echo hello")
    assert beside["msg"] == "line: it was given without a name next to other options. Give it as line='...'."


def test_a_missing_library_is_named_with_the_one_command_to_run(tmp_path: Path, current: Workspace) -> None:
    """Where requests cannot be imported, as on a controller that lacks it."""
    shadow = tmp_path / "requests"
    shadow.mkdir()
    (shadow / "__init__.py").write_text("raise ImportError('no such library')", encoding="utf-8")
    one = play(task("run", {"server": "web-01", "line": "uptime"}))
    done = play_out(current, tmp_path / "run", one, ["web-01"], PYTHONPATH=str(tmp_path))
    [row] = done.tasks["run"]
    assert row["msg"].startswith("The Python library requests is missing where this runs. Install it: /")
    assert row["msg"].endswith(" -m pip install requests")
    assert row["commands"] == []
