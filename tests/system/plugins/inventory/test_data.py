# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that data of a workspace never runs on the controller, whatever a play does with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_cores import prepare
from system.inventories import Listing, Source
from system.support import Response, ScriptedServer

from ansible_collections.herdops.alpacon.tests.unit.support import TOKEN, page

#: What exists only if a text was run.
RUN = "was-run"
CALL = f"lookup('pipe', 'touch {RUN}')"
#: The tag named state, by the names of the hosts.
STATES = {"fine": "in use", "call": CALL, "quoted": f"' == {CALL} or '", "template": f"{{{{ {CALL} }}}}"}
#: Expressions were evaluated twice before 2.19; what ansible-core has trusted since is the same in all releases.
on_both = pytest.mark.parametrize("core", ["oldest", pytest.param("newest", marks=pytest.mark.slow)])
#: Uses of variables in plays whose result ansible-core takes for an expression, or did before 2.19.
CONDITIONS = (
    "{{ alpacon_tags.state }}",
    "'{{ alpacon_tags.state }}' == 'in use'",
    "{{ hostvars[inventory_hostname].alpacon_tags.state }}",
    "{{ lookup('vars', 'alpacon_tags').state }}",
    "{{ alpacon_tags | first }}",
    "{{ alpacon_description }}",
    "'{{ alpacon_status.messages | first }}' == 'x'",
    "{{ state }}",
)
#: Each of them runs something if it becomes a part of an expression, or of a line of a shell.
NAMES = (f"'~lipsum.__globals__.os.popen('id>{RUN}').read()~'", f"$(id>{RUN})", f"x;id>{RUN};x", f"x\\\n`id>{RUN}`")


def row(number: int, name: str, **more: Any) -> dict[str, Any]:
    """Return the row of a server."""
    return {"id": f"{number:08x}-0000-4000-8000-000000000000", "name": name, **more}


def played(source: Source, rows: list[Any], *plays: dict[str, Any], **options: Any) -> Listing:
    """Run plays with the inventory of a workspace with these servers."""
    (source.folder / "play.json").write_text(json.dumps(plays), encoding="utf-8")
    with ScriptedServer([Response(page(rows))]) as server:
        source.write(url=server.url, token=TOKEN, **options)
        settings = ("-e", json.dumps({"alpacon_url": server.url, "alpacon_token": TOKEN}))
        return source.run(str(source.folder / "play.json"), *settings, program="ansible-playbook")


SHOW: dict[str, Any] = {"ansible.builtin.debug": {"msg": "x"}, "ignore_errors": True}


def tasks_with(conditions: Sequence[str]) -> list[dict[str, Any]]:
    """Return a task for each condition, and for the first one a task of every other keyword with conditions."""
    first = conditions[0]
    return [
        *({**SHOW, "when": condition} for condition in conditions),
        {**SHOW, "changed_when": first},
        {**SHOW, "failed_when": first},
        {**SHOW, "until": first, "retries": 1, "delay": 0},
        {"ansible.builtin.assert": {"that": [first]}, "ignore_errors": True},
        {"ansible.builtin.set_fact": {"kept": first}, "ignore_errors": True},
        {**SHOW, "when": "{{ kept }}"},
    ]


@on_both
def test_no_text_becomes_an_expression(tmp_path: Path, current: Any, core: str) -> None:
    source = Source(current, tmp_path, prepare(core))
    rows = [
        row(n, name, tags={"state": state}, description=state, status={"messages": [state]})
        for n, (name, state) in enumerate(STATES.items())
    ]
    # An empty value has no text that could say what is to be thought of the key.
    keys = (CALL, f"{{{{ {CALL} }}}}")
    rows += [row(99 + n, f"key-{n}", tags={key: [], "b": {}}) for n, key in enumerate(keys)]
    tasks = tasks_with(CONDITIONS)
    play = {"hosts": "all", "gather_facts": False, "tasks": tasks}
    ran = played(source, rows, play, compose={"state": "alpacon_tags.state"})
    assert f"ok={len(tasks)} " in ran.out, ran.out + ran.log
    assert not (tmp_path / RUN).exists()


@on_both
def test_no_name_of_a_host_becomes_an_expression_or_a_line_of_a_shell(tmp_path: Path, current: Any, core: str) -> None:
    source = Source(current, tmp_path, prepare(core))
    rows = [row(n, name, os_name=name, groups=[{"id": str(n), "name": name}]) for n, name in enumerate(NAMES)]
    conditions = (
        "'{{ inventory_hostname }}' == 'web-01'",
        "'{{ groups.all | join(' ') }}' == 'web-01'",
        "'{{ group_names | join(' ') }}' == 'web-01'",
        "'{{ ansible_play_hosts | last }}' == 'web-01'",
    )
    line = "echo {{ inventory_hostname }} {{ group_names | join(' ') }} >> hosts"
    tasks = [
        *({"ansible.builtin.debug": {"msg": "x"}, "when": condition} for condition in conditions),
        {"ansible.builtin.raw": line, "delegate_to": "localhost", "throttle": 1},
    ]
    ran = played(source, rows, {"hosts": "all", "gather_facts": False, "tasks": tasks})
    assert ran.code == 0, ran.out + ran.log
    assert not (tmp_path / RUN).exists()
    assert len((tmp_path / "hosts").read_text(encoding="utf-8").splitlines()) == len(NAMES)


def test_no_result_of_a_task_becomes_an_expression_before_2_19(tmp_path: Path, current: Any) -> None:
    source = Source(current, tmp_path, prepare("oldest"))
    info: dict[str, Any] = {"herdops.alpacon.alpacon_server_info": {}, "register": "listed"}
    again = {**info, "register": "twice", "loop": [1]}
    kept = {"ansible.builtin.set_fact": {"server": "{{ listed.servers | first }}"}}
    conditions = (
        "{{ listed.servers[0].tags.state }}",
        "'{{ listed.servers[1].tags.state }}' == 'x'",
        "'{{ twice.results[0].servers[1].tags.state }}' == 'x'",
        "'{{ hostvars.localhost.listed.servers[1].tags.state }}' == 'x'",
    )
    tasks = [info, again, kept, *tasks_with(conditions)]
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
    rows = [row(n, name, tags={"state": STATES[name]}) for n, name in enumerate(("call", "quoted"))]
    ran = played(source, rows, play)
    assert f"ok={len(tasks)} " in ran.out, ran.out + ran.log
    assert not (tmp_path / RUN).exists()


@on_both
def test_harmless_text_is_listed_plainly(tmp_path: Path, current: Any, core: str) -> None:
    source = Source(current, tmp_path, prepare(core))
    server = row(1, "web-01", os_name="Debian GNU/Linux", tags={"call": CALL, "role": "db"})
    with ScriptedServer([Response(page([server]))]) as scripted:
        compose = {"fqdn": "alpacon_name ~ '.example.com'", "odd": "alpacon_tags.call ~ '.'"}
        source.write(url=scripted.url, token=TOKEN, compose=compose)
        host = json.loads(source.run("--list").out)["_meta"]["hostvars"]["web-01"]
    assert host["alpacon_tags"] == {"call": {"__ansible_unsafe": CALL}, "role": "db"}
    assert host["odd"] == {"__ansible_unsafe": f"{CALL}."}
    assert (host["alpacon_os_name"], host["fqdn"]) == ("Debian GNU/Linux", "web-01.example.com")
    assert host["alpacon_workspace"] == scripted.url
