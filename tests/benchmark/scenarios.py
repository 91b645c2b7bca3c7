# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenarios."""

from __future__ import annotations

import random
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

TASKS = Path(__file__).resolve().parent / "tasks"
Task = dict[str, t.Any]
Place = t.Literal["stand_in", "on_hosts", "rollout", "runner", "transfers", "verified"]


@dataclass(frozen=True)
class Variant:
    """A program of a scenario.

    Attributes:
        run: a playbook of the folder `playbooks`, a program of this folder, or the file of an inventory to list; by
            default a play of the scenario's tasks.
        commands: number of commands of one run; by default one for each server.
        net: the CPU per command is without that of the scenario's first variant.
        inventory: file of the inventory.
        variables: variables of the play.
        environ: more environment variables.
    """

    name: str
    run: str = ""
    commands: int | None = None
    net: bool = False
    inventory: str = "servers.ini"
    variables: Mapping[str, object] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """Programs to run in turn, `runs` times.

    Attributes:
        title: what the page calls it.
        servers: number of servers or hosts.
        rival: variant with which the page compares the variants after it.
        place: module of this folder that starts the workspace and runs the variants.
        asked: run only if named, because it takes minutes.
        tasks: tasks of a play of its own.
        handlers: handlers of this play.
        seconds: durations of commands that run one after another and print the time of their end.
        size: bytes of the file that a task copies.
        tls: the workspace uses https, with a CA beside those that clients trust by default.
        instant: the workspace answers for the agents; many real ones would take most of the time.
        lines: with `instant`, how often the output has the line.
        script: bytes of a script that replaces the line; 0 for none.
    """

    name: str
    title: str
    servers: int
    variants: tuple[Variant, ...]
    runs: int = 1
    rival: str = ""
    place: Place = "stand_in"
    asked: bool = False
    tasks: tuple[Task, ...] = ()
    handlers: tuple[Task, ...] = ()
    seconds: tuple[float, ...] = ()
    size: int = 0
    dialect: t.Literal["current", "published"] = "current"
    line: str = "echo ready"
    tls: bool = False
    instant: bool = False
    lines: int = 1
    script: int = 0

    def commands(self, variant: Variant) -> int:
        return self.servers if variant.commands is None else variant.commands


EMPTY = Variant("empty play", "empty", commands=0)
FLOOR = Variant("floor", "floor.py")
FLEET = Variant("one task", "fleet", net=True)
NOOP = Variant("debug task", "noop", commands=0)
PER_HOST = Variant("task per host", "perhost")
SCRIPT = Variant("one task", "script", net=True)
CONNECTED = Variant("polling", commands=500, inventory="my.alpacon.yml")
STATIC = Variant("static file", "static.yml", commands=0)
LISTED = Variant("inventory plugin", "list.alpacon.yml", commands=0)
NAMES = Variant("one task", "names", commands=0)
PLAYBOOK, ROLE = Variant("playbook", "audit"), Variant("role", "audit_role")
REPORT = Variant("all formats", "report.py", commands=0)
RULES = Variant("compared, with the history of a year", "report_of_rules.py", commands=0)
#: Runs the play of the scenario's own tasks.
FOLLOW = "follow.py"
FOLD = Variant("shown", "fold.py", commands=0)
SLICES = Variant("4 slices")
ROLLOUTS = (Variant("first run"), Variant("second run"))
#: 79 characters, and how often an output of 64 KiB has them.
LONG_LINE, LARGE_OUTPUT = f"echo {'x' * 74}", 65536 // 80
PING: Task = {"ansible.builtin.ping": {}}
#: Five kinds of tasks, four times.
WORK = tuple(
    task
    for folder in ("/srv/0", "/srv/1", "/srv/2", "/srv/3")
    for task in (
        PING,
        {"ansible.builtin.command": "true", "changed_when": False},
        {"ansible.builtin.file": {"path": folder, "state": "directory", "mode": "0755"}},
        {"ansible.builtin.lineinfile": {"path": f"{folder}/file", "line": "text", "create": True, "mode": "0644"}},
        {"ansible.builtin.stat": {"path": f"{folder}/file"}},
    )
)
#: Enables the inventory plugin, which loads the connection before workers are forked.
ENABLED = {"ANSIBLE_INVENTORY_ENABLED": "herdops.alpacon.alpacon,ansible.builtin.ini"}
ON_HOSTS = (
    Variant("ssh", inventory="ssh.ini"),
    Variant("connection, INI inventory", inventory="connection.ini"),
    Variant("connection, INI inventory, plugin enabled", inventory="connection.ini", environ=ENABLED),
    Variant("connection, inventory plugin", inventory="hosts.alpacon.yml"),
)
#: The file that is fetched from a host.
SOURCE = "/srv/source"
#: A name that no earlier run used, so that nothing is there already.
NEW = "{{ new }}"
COPY: Task = {"ansible.builtin.copy": {"src": "{{ source }}", "dest": f"/srv/{NEW}", "mode": "0644"}}
FETCH: Task = {"ansible.builtin.fetch": {"src": SOURCE, "dest": f"fetched/{NEW}", "flat": True}}
#: The same file of tasks, included or in batches.
SERVICE: Task = {"ansible.builtin.include_tasks": f"{TASKS}/{{{{ tasks }}}}.yml", "vars": {"folder": f"/srv/{NEW}"}}
RESTART: Task = {
    "name": "Restart the service",
    "ansible.builtin.command": "true",
    "changed_when": False,
}
BATCHES = (
    Variant("ssh", inventory="ssh.ini", variables={"tasks": "service"}),
    Variant("connection", inventory="hosts.alpacon.yml", variables={"tasks": "service"}),
    Variant("in batches", inventory="hosts.alpacon.yml", variables={"tasks": "service_in_batches"}),
)
#: The ways of a file to a server and back, on the stand-in's agents.
TRANSFERS = (
    Variant("copy over the connection", "copy", commands=0, inventory="connection.ini"),
    Variant("alpacon_file", "upload", commands=0),
    Variant("alpacon_file, unchanged", "upload", commands=0),
    Variant("alpacon_file, download", "download", commands=0),
)
NIGHTS = tuple(Variant(name, "verified") for name in ("first night", "second night", "third night, no notes"))


def _fleet(servers: int, **more: t.Any) -> Scenario:
    return Scenario(f"fleet_{servers}", f"{servers:,} servers", servers, (EMPTY, FLOOR, FLEET), rival="floor", **more)


def _per_host(servers: int, **more: t.Any) -> Scenario:
    title, variants = f"{servers:,} hosts", (NOOP, PER_HOST)
    return Scenario(f"hosts_{servers}", title, servers, variants, rival=NOOP.name, instant=True, **more)


def _tasks(name: str, title: str, task: Task, **more: t.Any) -> Scenario:
    variants = _polling_and_push(20, "connection.ini")
    return Scenario(f"tasks_{name}", f"20 tasks of {title}", 1, variants, tasks=(task,) * 20, **more)


def _polling_and_push(commands: int, inventory: str) -> tuple[Variant, ...]:
    polling = Variant("polling", commands=commands, inventory=inventory)
    return polling, replace(polling, name="push", environ={"PYTHONPATH": ""})


def _sleep(seconds: int) -> Task:
    return {"ansible.builtin.command": f"sleep {seconds}", "changed_when": False}


def _awaited(name: str, title: str, seconds: t.Sequence[float], **more: t.Any) -> Scenario:
    module = "herdops.alpacon.alpacon_command"
    tasks = [
        {module: {"servers": ["{{ server_id }}"], "line": f"sleep {duration}; date +%s.%N"}} for duration in seconds
    ]
    variants = _polling_and_push(len(tasks), "servers.ini")
    return Scenario(f"lag_{name}", title, 1, variants, tasks=tuple(tasks), seconds=tuple(seconds), **more)


def _followed(seconds: int) -> Scenario:
    line = f"for second in $(seq {seconds}); do echo $second; sleep 1; done"
    task = {"herdops.alpacon.alpacon_command": {"servers": ["{{ server_id }}"], "line": line, "progress": "output"}}
    variants = _polling_and_push(1, "servers.ini")
    return Scenario(f"follow_{seconds}", f"Live output, {seconds} s", 1, variants, tasks=(task,), asked=True)


def _followed_fleet(servers: int, seconds: int) -> Scenario:
    line = f"for second in $(seq {seconds}); do date +%s.%N; sleep 1; done"
    ids = "{{ lookup('ansible.builtin.file', ids).splitlines() }}"
    task = {"herdops.alpacon.alpacon_command": {"servers": ids, "line": line, "progress": "output"}, "run_once": True}
    limited = {"ALPACON_REQUESTS_PER_HOUR": "1000"}
    variants = tuple(
        replace(variant, run=FOLLOW, environ={**variant.environ, **limited})
        for variant in _polling_and_push(servers, "servers.ini")
    )
    title = f"Live output of {servers} servers, {seconds} s"
    return Scenario(f"follow_{servers}x{seconds}", title, servers, variants, tasks=(task,), asked=True)


def _ssh(name: str, title: str, servers: int, *tasks: Task, **more: t.Any) -> Scenario:
    variants = ON_HOSTS[:2] if more.get("size") else ON_HOSTS
    return Scenario(f"ssh_{name}", title, servers, variants, rival="ssh", place="on_hosts", tasks=tasks, **more)


def _batches(servers: int, title: str, **more: t.Any) -> Scenario:
    return Scenario(
        f"batches_{servers}",
        f"20 tasks, {title}",
        servers,
        BATCHES,
        rival="ssh",
        place="on_hosts",
        tasks=(SERVICE,),
        handlers=(RESTART,),
        **more,
    )


def _transfer(megabytes: int) -> Scenario:
    title, size = f"{megabytes} MB to one server", megabytes * 1_000_000
    return Scenario(
        f"transfer_{megabytes}MB", title, 1, TRANSFERS, 3, TRANSFERS[0].name, place="transfers", asked=True, size=size
    )


def _random_seconds(count: int) -> list[float]:
    seeded = random.Random(31)
    return [round(seeded.uniform(1, 60), 1) for _number in range(count)]


#: Sections of docs/benchmarks.md.
GROUPS: dict[str, list[Scenario]] = {
    "fleet": [
        _fleet(1000, runs=3),
        _fleet(10000, instant=True, asked=True),
        _fleet(50000, instant=True, asked=True),
        Scenario("runner_10000", "10,000 servers in a job of AWX", 10000, (SLICES,), place="runner", asked=True),
        Scenario("fleet_1000_published", "1,000 servers, published API", 1000, (EMPTY, FLEET), dialect="published"),
        Scenario("script_1000", "1,000 servers, script of 100 kB", 1000, (EMPTY, SCRIPT), script=100_000),
        Scenario(
            "outputs_1000",
            "1,000 servers, 64 KiB of output each",
            1000,
            (EMPTY, FLEET, Variant("output_limit: 2000", "fleet", net=True, variables={"output_limit": 2000})),
            instant=True,
            line=LONG_LINE,
            lines=LARGE_OUTPUT,
        ),
    ],
    "hosts": [
        Scenario("uri_300", "300 hosts", 300, (Variant("uri tasks", "by_hand"), PER_HOST), 2, "uri tasks", asked=True),
        Scenario("perhost_300", "300 hosts", 300, (PER_HOST,)),
        Scenario("perhost_300_https", "300 hosts, HTTPS", 300, (PER_HOST,), tls=True),
        _per_host(300, runs=3),
        _per_host(1000),
        _per_host(3000, asked=True),
    ],
    "ssh": [
        _ssh("ping_1", "ping, 1 host", 1, PING, runs=5),
        _ssh("ping_20", "ping, 20 hosts", 20, PING, runs=3),
        _ssh("ping_100", "ping, 100 hosts", 100, PING, runs=3, asked=True),
        _ssh("tasks_1", "20 tasks, 1 host", 1, *WORK, runs=3),
        _ssh("tasks_10", "20 tasks, 10 hosts", 10, *WORK, runs=2, asked=True),
        _ssh("setup_10", "setup, 10 hosts", 10, {"ansible.builtin.setup": {}}, runs=3),
    ],
    "batches": [_batches(1, "1 host", runs=3), _batches(10, "10 hosts", runs=3)],
    "files": [
        _ssh(f"{name}_{title.replace(' ', '')}", f"{name}, {title}", 1, task, size=size, runs=3)
        for title, size in (("1 kB", 1000), ("1 MB", 1_000_000), ("20 MB", 20_000_000))
        for name, task in (("copy", COPY), ("fetch", FETCH))
    ],
    "transfers": [_transfer(20), _transfer(200)],
    "verified": [Scenario("verified_100", "Verified script, 100 servers", 100, NIGHTS, place="verified")],
    "tasks": [
        _tasks("quick", "ping", PING, runs=2),
        _tasks("1s", "1 s", _sleep(1)),
        _tasks("15s", "15 s", _sleep(15), asked=True),
        Scenario("connection_100", "5 tasks of ping, 100 hosts", 100, (CONNECTED,), tasks=(PING,) * 5),
    ],
    "lag": [
        _awaited("2", "2 s", [2], runs=3),
        _awaited("20", "20 s", [20]),
        _awaited("60", "60 s", [60], asked=True),
        _awaited("600", "600 s", [600], asked=True),
        _awaited("random", "10 commands, 1 to 60 s", _random_seconds(10), asked=True),
        _followed(60),
        _followed_fleet(20, 150),
    ],
    "work": [
        Scenario("inventory_5000", "Inventory of 5,000 servers", 5000, (STATIC, LISTED), 2, STATIC.name, instant=True),
        Scenario("names_10000", "Two names of 10,000 servers", 10000, (NAMES,), instant=True),
        # An audit uses results of the last hour again, so these two do not share a workspace.
        Scenario("audit_1000", "Audit of 1,000 hosts", 1000, (PLAYBOOK,), instant=True),
        Scenario("audit_role_1000", "Audit of 1,000 hosts", 1000, (ROLE,), instant=True),
        Scenario("audit_report_5000", "Report of 5,000 servers, 20 checks", 5000, (REPORT,), instant=True),
        Scenario("audit_report_2000", "Report of 2,000 servers, 400 rules", 2000, (RULES,), instant=True),
        Scenario("fold_2000", "Folded output of 2,000 results", 2000, (FOLD,), runs=3, instant=True),
        Scenario("rollout_100", "Rollout to 100 hosts", 100, ROLLOUTS, place="rollout", asked=True),
    ],
}
SCENARIOS = {scenario.name: scenario for group in GROUPS.values() for scenario in group}
