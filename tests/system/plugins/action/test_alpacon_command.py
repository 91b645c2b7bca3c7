# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""alpacon_command in plays: scripts, delegation, no_log and check mode."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_cores import CORES, prepare
from system.plays import COMMAND_MODULE, Play, play, run_playbook, task
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import FAR, Row

HOSTS = ("web-01", "web-02")
LIMIT = ("--limit", "web-01")
INFO_MODULE = f"{COMMAND_MODULE}_info"
NO_RC = "one.commands[0].rc is none"
SAYS_WHO = "#!/bin/sh\nprintf '%s|' \"$0\" \"$@\" | sed 's,.*/,,'\n"
#: The interpreter of the tests, for modules that are shipped.
SAME_PYTHON = {"vars": {"ansible_python_interpreter": sys.executable}}


def write(folder: Path, name: str, text: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def role(folder: Path, tasks: list[Row]) -> list[Row]:
    """Return a play with a role of these tasks."""

    write(folder, "roles/app/tasks/main.yml", json.dumps(tasks))
    return [{"hosts": "all", "gather_facts": False, "roles": ["app"]}]


def stdout(done: Play, name: str) -> set[str]:
    return {row["stdout"] for row in done.tasks[name]}


def test_scripts_are_found_where_ansible_finds_them(current: Workspace, tmp_path: Path) -> None:
    write(tmp_path, "roles/app/files/inner.sh", SAYS_WHO)
    write(tmp_path, "files/outer.sh", SAYS_WHO)
    write(tmp_path, "beside it.sh", SAYS_WHO)
    (tmp_path / "crlf.sh").write_bytes(b"#!/bin/sh\r\necho read by sh\r\n")
    tasks = [
        task("role", {"script": "inner.sh 'a  b' $HOME *"}),
        task("folder", {"script": "outer.sh"}),
        task("beside", {"script": "'beside it.sh' {{ inventory_hostname | quote }}"}),
        task("absolute", {"script": f"'{tmp_path}/beside it.sh'"}),
        task("its first line is not used", {"script": "crlf.sh", "executable": "/bin/sh"}),
        task("missing", {"script": "nosuch.sh"}),
        task("a folder", {"script": "files"}),
    ]
    done = run_playbook(current, tmp_path, role(tmp_path, tasks), HOSTS)
    assert stdout(done, "role") == {"inner.sh|a  b|$HOME|*|"}, done.log
    assert stdout(done, "folder") == {"outer.sh|"}
    assert stdout(done, "beside") == {"beside it.sh|web-01|", "beside it.sh|web-02|"}
    assert stdout(done, "absolute") == {"beside it.sh|"}
    assert stdout(done, "its first line is not used") == {"read by sh"}
    for name in ("missing", "a folder"):
        assert all(row["msg"].startswith("script: ") for row in done.tasks[name])
    assert len(current.commands()) == 10


def test_options_without_effect_are_warned_about_once(current: Workspace, tmp_path: Path) -> None:
    limits: Row = {"line": "true", "max_concurrency": 1, "max_errors": 0}
    on_stderr: Row = {"register": "r", "failed_when": "r.stderr != ''"}
    tasks = [
        task("once", limits, run_once=True),
        task("per host", limits),
        task("again", limits),
        task("argv", {"argv": ["true"]}, **on_stderr),
        task("line", {"line": "true"}, until="r.stderr_lines == []", **on_stderr),
        task("line again", {"line": "true"}, **on_stderr),
    ]
    done = run_playbook(current, tmp_path, play(*tasks), HOSTS)
    assert done.code == 0, done.log
    warned = {name: [text for row in rows for text in row.get("warnings", ())] for name, rows in done.tasks.items()}
    [of_limits], [of_line] = warned.pop("per host"), warned.pop("line")
    assert of_limits.startswith("max_concurrency and max_errors: no effect, since the task runs for each host")
    assert of_line.startswith("failed_when and until: stderr is always empty with line and verified, since")
    assert not any(warned.values())


@pytest.mark.parametrize("core", CORES)
def test_a_null_option_counts_as_left_out(current: Workspace, tmp_path: Path, core: str) -> None:
    tasks = [task("argv", {"argv": ["echo", "a"], "line": None}), task("line", {"argv": ["echo"], "line": "echo"})]
    done = run_playbook(current, tmp_path, play(*tasks), HOSTS[:1], core=core)
    assert done.tasks["argv"][0]["stdout"] == "a", done.log
    assert (
        done.tasks["line"][0]["msg"]
        == "argv: it cannot be used with line. Leave argv out, or give script in place of line."
    )


@pytest.mark.parametrize("core", CORES)
def test_an_encrypted_script_is_shown_nowhere(current: Workspace, tmp_path: Path, core: str) -> None:
    write(tmp_path, "password", "open sesame")
    # ansible-core removes what it has decrypted in the end, and it must be gone before the script runs.
    looks = f"grep -rl hunter2 {tmp_path}/home"
    write(tmp_path, "files/secret.sh", f"#!/bin/sh\nsecret=hunter2hunter2\necho ${{#secret}}\n{looks}\nexit 0\n")
    vault = [str(prepare(core) / "ansible-vault"), "encrypt", "--vault-password-file", str(tmp_path / "password")]
    subprocess.run([*vault, str(tmp_path / "files/secret.sh")], check=True, capture_output=True)
    plays = play(task("run", {"script": "secret.sh"}), task("there", {"script": "secret.sh"}, delegate_to="there"))
    plays[0] |= SAME_PYTHON
    arguments = ("--vault-password-file", str(tmp_path / "password"), "-vvv")
    done = run_playbook(current, tmp_path, plays, ["web-01", "there"], *arguments, *LIMIT, core=core)
    assert (stdout(done, "run"), stdout(done, "there")) == ({"14"}, {"14"}), done.log
    assert "hunter2" not in done.log
    assert "secret=" not in str(done.tasks)
    encoded = "c2VjcmV0PWh1bnRlcjJ"  # in Base64
    assert encoded not in done.log
    assert "_script_content" not in done.log
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    locked = run_playbook(
        current, tmp_path / "locked", play(task("run", {"script": f"{tmp_path}/files/secret.sh"})), HOSTS
    )
    assert all(row["msg"].startswith("script: ") for row in locked.tasks["run"])


def test_a_delegated_task_submits_the_same(current: Workspace, tmp_path: Path) -> None:
    noise = random.Random(7).randbytes(100_000)
    write(tmp_path, "files/big", b'#!/bin/sh\nsha256sum < "$0"; cat >&2; exit 3\n' + noise)
    script = {"script": "big a", "stdin": "to read\n", "success_codes": [3]}
    argv = {"argv": ["printf", "%s|", "$HOME", "ä \t'"], "chdir": "/"}
    plays = play(
        *(
            task(name, options, delegate_to=where)
            for where, mark in (("localhost", "here"), ("there", "there"))
            for name, options in ((f"script {mark}", script), (f"argv {mark}", argv))
        )
    )
    plays[0] |= SAME_PYTHON
    done = run_playbook(current, tmp_path, plays, ["web-01", "there"], *LIMIT)
    digest = hashlib.sha256((tmp_path / "files/big").read_bytes()).hexdigest()
    for mark in ("here", "there"):
        [ran] = done.tasks[f"script {mark}"]
        assert (ran["stdout"], ran["stderr"], ran["rc"]) == (f"{digest}  -", "to read", 3), done.log
        assert stdout(done, f"argv {mark}") == {"$HOME|ä \t'|"}
    assert len({row["line"] for row in current.commands()}) == 2


def test_the_playbook_runs_a_script_of_the_current_folder(current: Workspace, tmp_path: Path) -> None:
    start = tmp_path / "a folder"
    write(start, "a job.sh", SAYS_WHO)
    # A program that changes the folder without a shell leaves PWD stale.
    write(tmp_path, "stale/a job.sh", "echo wrong")
    stale = {"PWD": str(tmp_path / "stale")}
    servers = ("-e", "alpacon_servers=web-01,web-02")
    for name in ("'a job.sh'", f"'{tmp_path}/a folder/a job.sh'"):
        script = ("-e", json.dumps({"alpacon_script": f"{name} 'x  y'"}))
        done = run_playbook(current, start, "herdops.alpacon.run", None, *servers, *script, **stale)
        assert done.code == 0, done.log
        assert done.log.count("a job.sh|x  y|") >= 2
    assert len(current.commands()) == 4


def test_outputs_of_hosts_lie_beside_the_playbook_under_their_names(current: Workspace, tmp_path: Path) -> None:
    own = {"line": "echo hello", "output_dir": "outputs"}
    ids = current.server_ids()
    hosts = {"all": {"hosts": {f"host-{name}": {"alpacon_server_id": ids[name]} for name in ("web-01", "web-02")}}}
    tasks: list[Row] = [
        {"name": "own", COMMAND_MODULE: own},
        {"name": "there", COMMAND_MODULE: own, "delegate_to": "host-web-01", "run_once": True},
    ]
    done = run_playbook(current, tmp_path, play(*tasks), hosts)
    written = sorted(path.name for path in (tmp_path / "outputs").iterdir())
    assert written == ["host-web-01.stdout", "host-web-02.stdout"]
    assert all("cannot be delegated" in row["msg"] for row in done.tasks["there"])
    assert len(current.commands()) == 2


# Offline servers


@pytest.mark.parametrize("core", CORES)
def test_an_offline_host_is_unreachable_also_if_delegated(current: Workspace, tmp_path: Path, core: str) -> None:
    current.disconnect("web-01")
    offline = {"line": "echo hello", "offline": "fail"}
    tasks = [
        {"name": where, COMMAND_MODULE: offline, "delegate_to": where, "ignore_unreachable": True}
        for where in ("localhost", "there")
    ]
    plays = [{**play(*tasks)[0], **SAME_PYTHON}]
    done = run_playbook(current, tmp_path, plays, ["web-01", "there"], *LIMIT, core=core)
    assert done.log.count("UNREACHABLE!") == 2, done.log
    for [row] in done.tasks.values():
        assert (row["outcome"], row["unreachable"]) == ("offline", True)


# no_log


SILENT = "hunter2hunter2"
#: Tasks with a secret in the command, in its output, or in the error.
SILENT_TASKS: dict[str, Row] = {
    "refused": {"line": "refuse {{ word }}"},
    "line": {"line": "echo {{ word }}; exit 1"},
    "argv": {"argv": ["sh", "-c", "echo {{ word }} >&2; exit 1"]},
    "sudo": {"line": "echo 'Alpacon denied this sudo command ({{ word | upper }})'; exit 1"},
    "several": {"line": "echo {{ word }}; exit 1", "servers": ["web-01", "web-02"]},
    "unnamed": {"line": "true", "env": "{{ {word ~ ' ': 'x'} }}"},
    "missing": {"script": "{{ word }}.sh"},
    "trimmed": {"line": "exit 1", "env": "{{ {word: ' x '} }}"},
}


@pytest.mark.parametrize(("core", "delegated"), [*((core, False) for core in CORES), ("newest", True)])
def test_no_log_keeps_outputs_and_values_out_of_messages(
    current: Workspace, tmp_path: Path, core: str, delegated: bool
) -> None:
    quoting = json.dumps({"code": "invalid_command", "line": [f"refuse {SILENT} is not allowed."]})
    current.fault("status", method="POST", path="^/api/events/", status=400, body=quoting, times=1)
    where = {"delegate_to": "elsewhere"} if delegated else {}
    tasks = [task(name, options, **where) for name, options in SILENT_TASKS.items()]
    tasks.append(task("looped", {"line": "echo {{ item }}; exit 1"}, loop=["{{ word }}"], **where))
    plays = [{**play(*tasks)[0], "no_log": True, **SAME_PYTHON}]
    arguments = ("-e", f"word={SILENT}", *LIMIT)
    done = run_playbook(current, tmp_path, plays, ["web-01", "elsewhere"], *arguments, core=core)
    assert SILENT not in done.log.lower(), done.log
    assert len(current.commands()) == 7
    if core != "oldest":
        assert "The command ended with rc 1." in done.log
        assert "The workspace does not accept this command." in done.log
        assert "env: the problem is not shown, since the task has no_log." in done.log, done.log


# Check mode


def test_check_mode_ignores_predicted_commands(current: Workspace, tmp_path: Path) -> None:
    [old] = current.add_commands([{"server": "web-01", "line": "old", "status": "success", "result": "done"}])
    started = {"name": "start", COMMAND_MODULE: {"server": "web-01", "line": "echo hi", "wait": False}}
    tasks: list[Row] = [
        {**started, "register": "one"},
        {"name": "rc", "ansible.builtin.assert": {"that": ["one.rc | default(none) is none", NO_RC]}},
        {"name": "await one", COMMAND_MODULE: {"id": "{{ one.id }}", "state": "finished"}},
        {"name": "elsewhere", COMMAND_MODULE: {"id": "{{ one.id }}", "state": "finished"}, "delegate_to": "elsewhere"},
        {"name": "await both", COMMAND_MODULE: {"ids": ["{{ one.id }}", old], "state": "finished"}},
        {"name": "after it", COMMAND_MODULE: {"server": "web-01", "line": "echo", "run_after": ["{{ one.id }}"]}},
        task("nothing", {"ids": [], "state": "finished"}),
        {"name": "cancel", COMMAND_MODULE: {"ids": ["{{ one.id }}"], "state": "cancelled"}},
        {"name": "cancel there", COMMAND_MODULE: {"id": "{{ one.id }}", "state": "cancelled"}, "delegate_to": "there"},
        {"name": "list", INFO_MODULE: {"id": "{{ one.id }}"}, "register": "listed"},
        {"name": "list both", INFO_MODULE: {"ids": ["{{ one.id }}", old]}},
        {"name": "nothing listed", "ansible.builtin.assert": {"that": "listed.commands == []"}},
        task("awaited for real", {"ids": ["{{ one.id }}"], "state": "finished"}, check_mode=False),
        task("misspelt", {"ids": ["{{ one.id }}"], "state": "finished", "waits": True}),
    ]
    done = run_playbook(current, tmp_path, play(*tasks), ["web-01"], "--check")
    failed = [name for name, [*_others, row] in done.tasks.items() if row["failed"]]
    assert failed == ["nothing", "awaited for real", "misspelt"], done.log
    for name in ("await one", "elsewhere", "cancel", "cancel there"):
        for row in done.tasks[name]:
            assert (row["changed"], row["commands"], row["summary"], row["requests"]) == (False, [], {}, 0)
    for name in ("await both", "list both"):
        [both] = done.tasks[name]
        assert [command["id"] for command in both["commands"]] == [old]
    assert done.tasks["after it"][0]["changed"] is True
    assert len(current.commands()) == 1


@pytest.mark.parametrize("core", CORES)
def test_conditions_on_rc_hold_for_predicted_commands(current: Workspace, tmp_path: Path, core: str) -> None:
    grep: Row = {"line": "grep -q nosuch /etc/passwd", "success_codes": [0, 1]}
    conditions: Row = {"failed_when": "one.rc not in [0, 1]", "changed_when": "one.rc == 0", "register": "one"}
    tasks = [
        {"name": "here", COMMAND_MODULE: grep, **conditions},
        {"name": "there", COMMAND_MODULE: grep, "delegate_to": "there", **conditions},
        {"name": "not for real", "ansible.builtin.assert": {"that": ["one.rc_assumed", NO_RC, "one.ran is false"]}},
    ]
    plays = [{**play(*tasks)[0], **SAME_PYTHON}]
    done = run_playbook(current, tmp_path, plays, ["web-01", "there"], "--check", *LIMIT, core=core)
    assert done.code == 0, done.log
    assert current.commands() == []


def test_diffs_name_the_server_of_the_inventory_host(current: Workspace, tmp_path: Path) -> None:
    known = {"alpacon_server_id": current.server_ids()["web-01"], "alpacon_name": "web-01"}
    inventory = {"all": {"hosts": {"a-host": known}}}
    at = "2999-01-01T00:00:00Z"
    scheduled, cancelled = {"state": "scheduled", "scheduled_at": at}, {"state": "cancelled"}
    tasks = [
        task(f"{options['state']} {check}", {"line": "reboot", **options}, check_mode=check, diff=True)
        for options in (scheduled, cancelled)
        for check in (True, False)
    ]
    done = run_playbook(current, tmp_path, play(*tasks), inventory)
    sides = [row["diff"] for [row] in done.tasks.values()]
    line = f"web-01: reboot at {at}\n"
    assert sides == [*[{"before": "", "after": line}] * 2, *[{"before": line, "after": ""}] * 2]


@pytest.mark.parametrize("core", CORES)
def test_a_slice_of_a_job_submits_only_to_its_own_hosts(current: Workspace, tmp_path: Path, core: str) -> None:
    ids = current.server_ids()
    hosts = {"a-host": {"alpacon_server_id": ids["web-01"], "alpacon_name": "web-01"}}
    job = {"awx_job_template_name": "Updates", "awx_workflow_job_name": "Updates"}
    tasks = [
        task("other", {"servers": ["web-01", ids["web-02"].upper()], "line": "true"}),
        task("by name", {"servers": "web-01", "line": "true"}),
        task("by id", {"servers": [ids["web-01"].upper()], "line": "true"}),
        task("schedule", {"servers": "web-02", "line": "true", "state": "scheduled", "scheduled_at": FAR}),
        task("in a workflow", {"servers": "web-02", "line": "true"}),
    ]
    done = run_playbook(current, tmp_path, play(*tasks[:-1]), hosts, "--extra-vars", json.dumps(job), core=core)
    [refused] = done.tasks["other"]
    assert refused["msg"] == (
        f"servers: {ids['web-02'].upper()} is not a host of this slice, and each slice of the job Updates would submit"
        " the command to it. Name hosts in ansible_play_hosts, leave servers out, or run the task in a job without"
        " slices."
    )
    assert sorted(row["server"] for row in current.commands()) == ["web-01", "web-01", "web-02"]
    node = json.dumps({**job, "awx_workflow_job_name": "A workflow of jobs"})
    done = run_playbook(current, tmp_path / "node", play(tasks[-1]), hosts, "--extra-vars", node, core=core)
    assert done.code == 0, done.log
