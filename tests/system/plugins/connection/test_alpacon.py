# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules and files over the connection plugin, on servers whose agents really run them."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.playing import Row, over_connection, play, play_out, start_over_connection, task, until
from system.support import methods
from workspace.client import Workspace

#: Text that is not only in a module's arguments, but nowhere else either.
SECRET = "Xenops-and-Xerus-4711"
ARGV_OF_ALL = "for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $file; echo; done 2> /dev/null; true"
NAME = "ä 'ö' \"ü\" $x 汉语.bin"
MEGABYTES = 20


def builtin(name: str, module: str, options: object = None, **keywords: object) -> Row:
    return task(name, options, f"ansible.builtin.{module}", **keywords)


def submits(workspace: Workspace) -> int:
    return methods(workspace)["POST"]


@pytest.mark.parametrize("shell", [True, False])
def test_a_module_is_one_submit_and_three_requests(current: Workspace, tmp_path: Path, shell: bool) -> None:
    current.change_server("web-01", allow_sh=shell)
    # An answer that comes so late that the module has ended by then: nobody looks in vain.
    current.fault("slow", method="POST", path="^/api/events/commands/$", delay=5)
    hosts = {"web-01": {"alpacon_server_id": current.server_ids()["web-01"], "alpacon_is_connected": True}}
    run = over_connection(current, tmp_path, [builtin("Ping", "ping")], hosts)
    assert run.tasks["Ping"][0]["ping"] == "pong"
    assert submits(current) == 1
    assert current.requests_made() <= 3
    assert len(list((tmp_path / "home/alpacon/durations").iterdir())) == 1


def test_files_come_back_as_they_were(current: Workspace, tmp_path: Path) -> None:
    content = {"bytes": bytes(range(256)) * 40, "empty": b"", NAME: "汉语\r\n\n".encode()}
    for name, written in content.items():
        (tmp_path / name).write_bytes(written)
    place, back = f"{tmp_path}/there", f"{tmp_path}/back"
    tasks = [builtin("Folder", "file", {"path": place, "state": "directory"})]
    for name in content:
        item = {"vars": {"item_name": name}}
        copied = {"src": f"{tmp_path}/{{{{ item_name }}}}", "dest": f"{place}/{{{{ item_name }}}}", "mode": "0600"}
        fetched = {"src": f"{place}/{{{{ item_name }}}}", "dest": f"{back}/{{{{ item_name }}}}", "flat": True}
        tasks += [builtin(f"Copy {name}", "copy", copied, **item), builtin(f"Again {name}", "copy", copied, **item)]
        tasks += [builtin(f"Fetch {name}", "fetch", fetched, **item)]
    tasks += [builtin("Nothing there", "fetch", {"src": f"{place}/none", "dest": back})]
    run = over_connection(current, tmp_path, tasks)
    for name, written in content.items():
        assert (tmp_path / "there" / name).read_bytes() == written
        assert (tmp_path / "back" / name).read_bytes() == written
        assert [run.tasks[f"{step} {name}"][0]["changed"] for step in ("Copy", "Again", "Fetch")] == [True, False, True]
    assert run.tasks["Nothing there"][0]["failed"]


@pytest.mark.parametrize(("become", "submits"), [(False, 2), (True, 1)])
def test_what_fetching_a_small_file_costs(current: Workspace, tmp_path: Path, become: bool, submits: int) -> None:
    (tmp_path / "there").write_text("small", encoding="utf-8")
    fetch = builtin("Fetch", "fetch", {"src": f"{tmp_path}/there", "dest": f"{tmp_path}/back", "flat": True})
    run = over_connection(current, tmp_path, [{**fetch, "become": become, "become_method": "herdops.alpacon.account"}])
    assert run.code == 0, run.said
    assert sum("ansible.builtin.fetch" in command["line"] for command in current.commands()) == submits


@pytest.mark.timeout(600)
def test_large_files_go_both_ways(current: Workspace, tmp_path: Path) -> None:
    # What cannot be compressed.
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(MEGABYTES * 1_000_000))
    run = over_connection(
        current,
        tmp_path,
        [
            builtin("Copy", "copy", {"src": f"{tmp_path}/large", "dest": f"{tmp_path}/there", "mode": "0600"}),
            builtin("Fetch", "fetch", {"src": f"{tmp_path}/there", "dest": f"{tmp_path}/back", "flat": True}),
        ],
    )
    assert run.code == 0, run.said
    assert (tmp_path / "there").read_bytes() == (tmp_path / "large").read_bytes() == (tmp_path / "back").read_bytes()


#: What nginx takes unless it is told otherwise.
NGINX = 1024 * 1024


@pytest.mark.timeout(300)
def test_whatever_the_size_it_fits_through_a_proxy_as_it_comes(current: Workspace, tmp_path: Path) -> None:
    current.settings(body_max=NGINX)
    names = {"held": 740_000, "large": 3_000_000}
    for name, size in names.items():
        (tmp_path / name).write_bytes(random.Random(size).randbytes(size))
    copies = [
        builtin(f"Copy {name}", "copy", {"src": f"{tmp_path}/{name}", "dest": f"{tmp_path}/{name} there"})
        for name in names
    ]
    # In the arguments of a module, which are sent with its code.
    stdin = base64.b64encode(random.Random(1).randbytes(750_000)).decode()
    run = over_connection(current, tmp_path, [*copies, builtin("Count", "command", {"cmd": "wc -c", "stdin": stdin})])
    assert run.code == 0, run.said
    for name in names:
        assert (tmp_path / f"{name} there").read_bytes() == (tmp_path / name).read_bytes()
    assert run.tasks["Count"][0]["stdout"] == "1000001"  # and a line break
    pieces = [row for row in current.commands() if "file:ansible.builtin.copy" in row["line"]]
    assert {row["run_count"] for row in pieces} == {1}
    sizes = [int(entry["headers"]["content-length"]) for entry in current.log() if entry["status"] == 413]
    assert all(size > NGINX for size in sizes)
    assert len(sizes) <= 2, "files fit at once, and what goes with a module is tried together with it"


#: What ModSecurity takes unless it is told otherwise.
MODSECURITY = 128 * 1024


@pytest.mark.timeout(300)
@pytest.mark.parametrize("body_max", [MODSECURITY, 400_000])
def test_whatever_is_written_becomes_smaller_where_a_proxy_takes_little(
    current: Workspace, tmp_path: Path, body_max: int
) -> None:
    current.settings(body_max=body_max)
    for name, size in {"held": 500_000, "large": 1_200_000, "again": 600_000}.items():
        (tmp_path / name).write_bytes(random.Random(size).randbytes(size))
    junk = base64.b64encode(random.Random(1).randbytes(400_000)).decode()
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\nwc -c < $0\necho run >> {tmp_path}/runs\nexit 0\n{junk}\n", encoding="utf-8")
    tasks = [
        builtin(name, "copy", {"src": f"{tmp_path}/{name}", "dest": f"{tmp_path}/{name} there", "mode": "0600"})
        for name in ("held", "large", "again")
    ]
    script_and_module = [
        builtin("Script", "script", str(script)),
        builtin("Files", "command", "true", vars={"ansible_pipelining": False}),
    ]
    run = over_connection(current, tmp_path, [*tasks, *script_and_module])
    assert run.code == 0, run.said
    for name in ("held", "large", "again"):
        assert (tmp_path / f"{name} there").read_bytes() == (tmp_path / name).read_bytes()
    assert run.tasks["Script"][0]["stdout"].strip() == str(script.stat().st_size)
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "run\n"
    assert {row["run_count"] for row in current.commands()} == {1}
    refused = [int(entry["headers"]["content-length"]) for entry in current.log() if entry["status"] == 413]
    assert len(refused) <= 3, "what the proxy takes is found once"


def test_what_no_proxy_lets_through_in_any_size_is_told_with_the_host(current: Workspace, tmp_path: Path) -> None:
    current.settings(body_max=4000)
    (tmp_path / "file").write_bytes(random.Random(1).randbytes(100_000))
    server = current.server_ids()["web-01"]
    raw = builtin("Raw", "raw", f"true {random.Random(1).randbytes(4000).hex()}")
    copied = builtin("Copy", "copy", {"src": f"{tmp_path}/file", "dest": f"{tmp_path}/there"})
    run = over_connection(current, tmp_path, [raw, copied], {"web-01": {"alpacon_server_id": server}})
    for [refused] in (run.tasks["Raw"], run.tasks["Copy"]):
        assert (refused["failed"], refused.get("unreachable", False)) == (True, False)
        assert "web-01: The request is larger" in refused["msg"]
        assert "client_max_body_size" in refused["msg"]
        assert server not in refused["msg"]
        assert "may have run" not in refused["msg"]
    assert not (tmp_path / "there").exists()


def test_outputs_come_apart_and_exact(current: Workspace, tmp_path: Path) -> None:
    script = tmp_path / "a script.sh"
    script.write_text('#!/bin/sh\nprintf "%s|" "$@"\n', encoding="utf-8")
    run = over_connection(
        current,
        tmp_path,
        [
            builtin("Nothing", "command", "true"),
            builtin("Both", "shell", "printf 'ä \\n'; printf 'ö' >&2; exit 3"),
            builtin("Raw", "raw", "printf ' 汉语  '; printf err >&2; exit 4"),
            builtin("Words", "raw", "echo 'Failed to submit command: job queue is full'; exit 1"),
            builtin("Script", "script", {"cmd": f"'{script}' 'a b' \"c'd\""}),
            builtin("Fails", "stat", {"path": "relative", "checksum_algorithm": "none"}),
        ],
    )
    [both], [raw] = run.tasks["Both"], run.tasks["Raw"]
    assert (run.tasks["Nothing"][0]["stdout"], run.tasks["Nothing"][0]["rc"]) == ("", 0)
    assert (both["stdout"], both["stderr"], both["rc"]) == ("ä ", "ö", 3)
    assert (raw["stdout"], raw["stderr"], raw["rc"]) == (" 汉语  ", "err", 4)
    assert run.tasks["Words"][0]["stdout"] == "Failed to submit command: job queue is full\n"
    assert run.tasks["Script"][0]["stdout"] == "a b|c'd|"
    assert "checksum_algorithm" in run.tasks["Fails"][0]["msg"]


def test_settings_of_ansible_hold(current: Workspace, tmp_path: Path) -> None:
    unpipelined = {"ansible_pipelining": False, "ansible_remote_tmp": f"{tmp_path}/own tmp"}
    run = over_connection(
        current,
        tmp_path,
        [
            builtin("Unpipelined", "ping", vars=unpipelined),
            builtin("Check", "copy", {"content": "x", "dest": f"{tmp_path}/none"}, check_mode=True),
            builtin("Begin", "command", "sleep 1", **{"async": 30, "poll": 0, "register": "begun"}),
            {"name": "Reset", "ansible.builtin.meta": "reset_connection"},
            builtin(
                "End",
                "async_status",
                {"jid": "{{ begun.ansible_job_id }}"},
                until="ended is finished",
                register="ended",
                retries=50,
                delay=1,
            ),
        ],
    )
    assert run.tasks["Unpipelined"][0]["ping"] == "pong"
    assert list((tmp_path / "own tmp").iterdir()) == []
    assert run.tasks["Check"][0]["changed"]
    assert not (tmp_path / "none").exists()
    assert run.tasks["End"][0]["rc"] == 0
    assert run.code == 0, run.said


def test_files_are_kept_where_that_is_asked_for(current: Workspace, tmp_path: Path) -> None:
    hosts = {"web-01": {"ansible_remote_tmp": f"{tmp_path}/remote"}}
    over_connection(current, tmp_path, [builtin("Ping", "ping")], hosts, ANSIBLE_KEEP_REMOTE_FILES="1")
    assert [path.name for path in (tmp_path / "remote").rglob("*.py")] == ["AnsiballZ_ping.py"]


def test_what_tasks_are_given_stays_with_them(current: Workspace, tmp_path: Path) -> None:
    run = over_connection(
        current,
        tmp_path,
        [
            builtin("Home", "command", "pwd"),
            builtin("Fails", "command", {"stdin": SECRET, "cmd": "cat /none"}, no_log=True),
            builtin("Writes", "copy", {"content": SECRET, "dest": f"{tmp_path}/own"}, no_log=True),
            builtin("Removes", "file", {"path": f"{tmp_path}/own", "state": "absent"}),
            builtin("Shows", "shell", {"stdin": SECRET, "cmd": ARGV_OF_ALL}, vars={"ansible_pipelining": False}),
        ],
        ANSIBLE_VERBOSITY="3",
    )
    [shown] = run.tasks["Shows"]
    assert run.code == 0, run.said
    assert "/bin/sh -c" in shown["stdout"]
    assert SECRET not in shown["stdout"]
    assert current.token not in shown["stdout"]
    before, _task, _after = run.said.partition("TASK [Shows]")
    assert "EXEC" in before
    assert SECRET not in before
    assert current.token not in run.said
    left = [path for path in Path(run.tasks["Home"][0]["stdout"]).rglob("*") if path.is_file()]
    left += [path for path in Path("/tmp").glob("a[ln][ps]*/**/*") if path.is_file()]
    assert [path for path in left if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("core", CORES)
def test_no_log_keeps_what_tasks_give_and_get_out_of_messages(current: Workspace, tmp_path: Path, core: str) -> None:
    tasks = [
        builtin("Raw", "raw", "echo {{ word }}; false"),
        # The folder cannot be made, and the server says which one.
        builtin("Copy", "copy", {"content": "x", "dest": "/x"}, vars={"ansible_remote_tmp": "/proc/{{ word }}"}),
    ]
    variables = {
        "ansible_connection": "herdops.alpacon.alpacon",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    inventory = {"all": {"hosts": {"web-01": variables}}}
    arguments = ("-vvv", "-e", f"word={SECRET}")
    shown = play_out(current, tmp_path / "shown", play(*tasks), inventory, *arguments, core=core)
    silent = play_out(current, tmp_path / "silent", play(*tasks, no_log=True), inventory, *arguments, core=core)
    assert f"EXEC echo {SECRET}; false" in shown.said
    assert "The host could not be made ready: mkdir: cannot create directory " in shown.said
    assert SECRET not in silent.said
    assert "EXEC (not shown, since the task has no_log)" in silent.said


def test_an_agent_that_comes_back_is_waited_for(current: Workspace, tmp_path: Path) -> None:
    current.disconnect("web-01")
    tasks = [builtin("Wait", "wait_for_connection", {"sleep": 1, "timeout": 50}), builtin("Ping", "ping")]
    run = start_over_connection(current, tmp_path, tasks)
    try:
        # It asks again and again, and submits nothing to a server that is known to be offline.
        until(lambda: current.requests_made() > 2)
        sent_before = current.commands()
        current.connect("web-01")
        run.end()
    finally:
        run.stop()
    assert run.tasks["Ping"][0]["ping"] == "pong", run.said
    assert sent_before == []
    assert [row["run_count"] for row in current.commands()] == [1] * len(run.tasks)


@pytest.mark.parametrize("workspace", ["published", "2024"], indirect=True)
def test_a_workspace_that_hands_on_no_variables_is_told_apart(workspace: Workspace, tmp_path: Path) -> None:
    run = over_connection(workspace, tmp_path, [builtin("Ping", "ping")])
    [result] = run.tasks["Ping"]
    assert result["unreachable"]
    assert "nothing was run: the workspace did not pass on the variables" in result["msg"]
