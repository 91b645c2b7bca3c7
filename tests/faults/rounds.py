# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The random rounds of a fault campaign. Seed and number determine everything about a round."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

DIALECTS = ("current", "published", "2024")
SERVERS = tuple(f"s{number}" for number in range(1, 61))
#: Seconds that the client waits for a response.
REQUEST_TIMEOUT = 3

_SUBMIT = {"method": "POST", "path": "^/api/events/commands/$"}
_LIST = {"method": "GET", "path": r"^/api/events/commands/\?"}
_DETAIL = {"method": "GET", "path": "^/api/events/commands/[0-9a-f-]{36}/$"}
_CHUNKS = {"method": "GET", "path": "/chunks/"}
_CANCEL = {"method": "DELETE", "path": "^/api/events/commands/"}
_SERVERS = {"method": "GET", "path": "^/api/servers/"}
_REPORT = {"method": "POST", "path": "/(ack|chunk|fin)/$", "agents": True}
_ANY: dict[str, str] = {"path": "^/api/"}
_TARGETS = {"submit": _SUBMIT, "list": _LIST, "detail": _DETAIL, "chunks": _CHUNKS, "cancel": _CANCEL, "any": _ANY}

_FAILED = (500, 502, 503, 504, 408)
#: The exit code of a line that was killed by a signal.
KILLED = -1
#: The exit code of a killed script.
_KILLED_BELOW = 137
#: The input of a script, and its exit code if it reads anything else.
INPUT = " to be \n\n read"
_MISREAD = 99
#: Children that outlive the line: the agent kills them, and waits two seconds for their output.
_CHILDREN = ("sleep 20 >/dev/null 2>&1 &", "(sleep 20; echo too late) &")


@dataclass(frozen=True)
class RoundCommand:
    kind: str
    shell: str
    every: int
    code: int
    child: str = ""

    def line(self, tag: str, run_log: str) -> str:
        """Return a line that writes to the run log, starts a child, prints its text, and ends."""
        last = "kill -KILL $$" if self.code == KILLED else f"exit {self.code}"
        end = f"[ $((n % {self.every})) = 0 ] && {last}; exit 0" if self.every else "exit 0"
        return f'n=${{HOSTNAME#s}}; echo "$n {tag}" >>{run_log}; {self.child} {self.shell}; {end}'

    def script(self, tag: str, run_log: str) -> str:
        """Return a script that does the same, reads its input and writes to standard error."""
        # A script waits for children that hold its output.
        quiet = replace(self, child=self.child if self.child == _CHILDREN[0] else "")
        read = f"read=$(cat; echo .); [ \"$read\" = '{INPUT}.' ] || exit {_MISREAD}"
        return f"#!/bin/sh\n{read}\necho error $HOSTNAME >&2\n{quiet.line(tag, run_log)}\n"

    def rc(self, server: str) -> int:
        return self.code if self.every and int(server[1:]) % self.every == 0 else 0

    def text(self, server: str) -> str:
        text: str = _TEXTS[self.kind](server[1:])
        return text


def _numbers(last: int) -> str:
    return "".join(f"{number}\n" for number in range(1, last + 1))


_TEXTS: dict[str, Any] = {
    "nothing": lambda _n: "",
    "words": lambda n: f"server {n} speaks\n",
    "unicode": lambda n: f"Größe {n} 日本語 ✓ 😀\n" * 3,
    "padded": lambda n: f"  indented\n\n{n}  \n\n",
    "long": lambda n: _numbers(3000) + f"{n}\n",
    "paced": lambda n: "".join(f"{n}-{step}\n" for step in (1, 2, 3, 4)),
    "slow": lambda n: f"awake {n}\n",
    "huge": lambda _n: _numbers(180_000),
}
_SHELLS = {
    "nothing": ":",
    "words": 'echo "server $n speaks"',
    "unicode": 'for i in 1 2 3; do echo "Größe $n 日本語 ✓ 😀"; done',
    "padded": "printf '  indented\\n\\n%s  \\n\\n' $n",
    "long": "seq 1 3000; echo $n",
    "paced": "for i in 1 2 3 4; do echo $n-$i; sleep 0.15; done",
    "slow": "sleep 1.$((n % 10)); echo awake $n",
    "huge": "seq 1 180000",
}


@dataclass
class Round:
    """A round of the campaign.

    Attributes:
        scenario: the method of :class:`faults.runner.RoundRunner` that runs the tasks.
        by_name: tasks name their servers instead of giving IDs.
        has_payload: tasks have a script instead of the line.
        http: faults between client and workspace.
        agents: faults of agents.
        reports: faults between agents and workspace; a refused report delays later ones.
        offline: servers that are offline from the start.
        outages: (seconds from the start, duration in seconds, server).
        switches: settings of the workspace, holds included.
        options: options of every task.
        detail: random numbers from 0 to 1 for the scenario.
    """

    seed: str
    number: int
    dialect: str
    scenario: str
    servers: tuple[str, ...]
    by_name: bool
    command: RoundCommand
    has_payload: bool = False
    http: list[dict[str, Any]] = field(default_factory=list)
    agents: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    offline: tuple[str, ...] = ()
    outages: tuple[tuple[float, float, str], ...] = ()
    switches: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    detail: tuple[float, ...] = ()

    @property
    def tag(self) -> str:
        return f"r{self.seed}x{self.number}"

    @property
    def timeout(self) -> float:
        return float(self.options["wait_timeout"])

    @property
    def marker(self) -> str:
        """Return a text that only lines of this round contain."""
        return f"script:{self.tag}.sh " if self.has_payload else f'{self.tag}"'

    @property
    def supports_payload(self) -> bool:
        """Return True unless the workspace passes no variables on, which a payload needs."""
        return not self.has_payload or self.dialect == "current"

    def rc(self, server: str) -> int:
        rc = self.command.rc(server)
        return _KILLED_BELOW if self.has_payload and rc == KILLED else rc

    def may_fail(self, *methods: str) -> bool:
        return any(fault.get("method", "GET") in methods or "method" not in fault for fault in self.http)

    def holds(self, server: str) -> list[dict[str, Any]]:
        return [rule for rule in self.switches.get("holds", ()) if server in rule["servers"]]

    def agent_faults(self, server: str) -> set[str]:
        return {fault["kind"] for fault in self.agents if fault["server"] == server}

    def may_restart(self, server: str) -> bool:
        return bool(self.agent_faults(server) & {"restart", "kill"}) or any(
            name == server for *_when, name in self.outages
        )

    def unreachable(self, server: str) -> bool:
        out = {name for _start, _length, name in self.outages}
        return (
            server in out
            or server in self.offline
            or bool(self.agent_faults(server) & {"disconnect", "restart", "kill"})
        )


#: How often each scenario is chosen.
_SCENARIOS = {
    "executed": 38,
    "twice": 14,
    "later": 12,
    "reuse": 8,
    "scheduled": 10,
    "race": 7,
    "cancelled": 8,
    "per_host": 3,
}


@dataclass(frozen=True)
class Bounds:
    """The possible scenarios (none: all), the maximum of servers, and values of wait_timeout in seconds."""

    scenarios: Sequence[str] = ()
    most: int = len(SERVERS)
    timeouts: Sequence[int] = (4, 6, 8, 12)


def draw_round(seed: str, number: int, bounds: Bounds) -> Round:
    rng = random.Random(f"{seed}/{number}")
    weights = {name: weight for name, weight in _SCENARIOS.items() if not bounds.scenarios or name in bounds.scenarios}
    scenario = rng.choices(list(weights), list(weights.values()))[0]
    dialect = DIALECTS[number % len(DIALECTS)]
    count = min(bounds.most, rng.choice((1, 2, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60)))
    servers = tuple(rng.sample(SERVERS, count))
    drawn = Round(seed, number, dialect, scenario, servers, rng.random() < 0.5, _draw_command(rng, dialect, count))
    drawn.detail = tuple(rng.random() for _turn in range(8))
    drawn.switches = _draw_switches(rng, drawn)
    drawn.http = _draw_http_faults(rng, drawn)
    drawn.agents = _draw_agent_faults(rng, drawn)
    drawn.reports = _draw_report_faults(rng)
    drawn.offline, drawn.outages = _draw_outages(rng, drawn)
    drawn.options = _options(rng, drawn, bounds)
    drawn.has_payload = rng.random() < (0.5 if dialect == "current" else 0.1)
    return drawn


def _draw_command(rng: random.Random, dialect: str, count: int) -> RoundCommand:
    kinds = ["nothing", "words", "words", "unicode", "padded", "long", "paced", "slow"]
    if dialect == "current" and count <= 6:
        kinds += ["huge", "huge"]
    kind = rng.choice(kinds)
    child = rng.choice(_CHILDREN) if rng.random() < 0.15 else ""
    return RoundCommand(kind, _SHELLS[kind], rng.choice((0, 0, 2, 3, 5)), rng.choice((1, 3, 7, KILLED)), child)


def _draw_switches(rng: random.Random, drawn: Round) -> dict[str, Any]:
    switches: dict[str, Any] = {"stuck_after": rng.choice((600.0, 600.0, 1.5, 3.0)), "tick": 0.2}
    if rng.random() < 0.3:
        switches["cancel_mode"] = rng.choice(("mark", "delete"))
    if rng.random() < 0.2:
        switches["offline_mode"] = rng.choice(("queue", "refuse"))
    if drawn.scenario == "reuse":
        switches["date_header"] = True  # reuse needs the workspace's clock
    if drawn.dialect == "current":
        switches["output"] = rng.choice(("both", "chunks", "chunks", "result"))
        switches["lean_rows"] = rng.random() < 0.3
        switches["holds"] = _draw_holds(rng, drawn)
    return switches


def _draw_holds(rng: random.Random, drawn: Round) -> list[dict[str, Any]]:
    if rng.random() < 0.65:
        return []
    rules = []
    for status, then in rng.sample(_HOLDS, rng.choice((1, 2))):
        rule = {"line": drawn.tag, "servers": _choose_servers(rng, drawn.servers, 0.2), "status": status}
        rules.append(rule if then is None else {**rule, "seconds": rng.choice((0.3, 1.0, 3.0)), "then": then})
    return rules


_HOLDS: tuple[tuple[str, str | None], ...] = (
    ("awaiting_approval", None),
    ("awaiting_approval", ""),
    ("awaiting_approval", "rejected"),
    ("awaiting_approval", "expired"),
    ("verifying", ""),
    ("verifying", "denied"),
    ("awaiting_purpose", ""),
    ("denied", None),
    ("rejected", None),
    ("expired", None),
)


def _choose_servers(rng: random.Random, servers: Sequence[str], share: float) -> list[str]:
    return [server for server in servers if rng.random() < share] or [rng.choice(servers)]


# Faults: each name has a list of values


def _choose_values(rng: random.Random, values: dict[str, Sequence[Any]]) -> dict[str, Any]:
    return {name: rng.choice(choices) for name, choices in values.items()}


_TOO_LONG = REQUEST_TIMEOUT + 1
_RETRY_AFTER: tuple[dict[str, str], ...] = (
    {},
    *({"Retry-After": when} for when in ("0", "1", "1", "2", "Wed, 21 Oct 2015 07:28:00 GMT")),
)
_THROTTLED = ('{"code": "api_rate_limited"}', '{"detail": "Request was throttled."}', "<html>Slow down</html>")
_NONSENSE = ("", "null", "[]", "{}", '"ok"', "[null]", '{"results": [null]}', '{"id": null}', "7")
_JSON = {"content-type": "application/json"}
_KINDS: tuple[dict[str, Any], ...] = (
    *({"kind": ("lose_before", "lose_after", "reset"), "delay": (0, 0, 0.1, 0.5)},) * 2,
    *({"kind": ("status_after",), "status": _FAILED},) * 2,
    {"kind": ("truncate",), "length": ("correct", "wrong")},
    {"kind": ("timeout_after", "lose_before"), "delay": (_TOO_LONG,)},
    {"kind": ("status",), "status": _FAILED},
    {"kind": ("status",), "status": (503,), "headers": _RETRY_AFTER},
    {"kind": ("status",), "status": (429,), "headers": _RETRY_AFTER[:-1], "body": _THROTTLED},
    {"kind": ("html",), "status": (200, 200, 502)},
    {"kind": ("status",), "status": (200,), "body": ("<html><body>Please sign in</body></html>",)},
    {"kind": ("status",), "status": (404, 404, 403), "body": ("default backend - 404",)},
    {"kind": ("status", "html"), "status": (200,), "body": _NONSENSE, "headers": (_JSON,)},
    {"kind": ("slow",), "delay": (0.5, 1.5, _TOO_LONG), "dribble": (True, False)},
)


def _draw_http_faults(rng: random.Random, drawn: Round) -> list[dict[str, Any]]:
    number = rng.choices((0, 1, 2, 3, 5), (10, 30, 30, 20, 10))[0]
    faults = [_draw_http_fault(rng, drawn) for _turn in range(number)]
    if rng.random() < 0.08:
        faults.append({"kind": "status", "times": rng.choice((1, 4)), **_SERVERS, "status": rng.choice(_FAILED)})
    return faults


def _draw_http_fault(rng: random.Random, drawn: Round) -> dict[str, Any]:
    names = ["submit", "submit", "submit", "list", "list", "detail", "any"]
    names += ["chunks"] if drawn.dialect == "current" else []
    names += ["cancel", "cancel", "cancel"] if drawn.scenario in ("cancelled", "race") else []
    fault: dict[str, Any] = {
        **_TARGETS[rng.choice(names)],
        **_choose_values(rng, rng.choice(_KINDS)),
        "seed": rng.randrange(2**31),
    }
    if rng.random() < 0.4:
        fault.update(times=rng.choice((1, 1, 2, 3, 6)), after=rng.choice((0, 0, 1, 3)))
    else:
        fault["probability"] = rng.choice((0.05, 0.1, 0.2, 0.4))
    if fault["kind"] in ("timeout_after", "slow") or fault.get("delay", 0) > REQUEST_TIMEOUT:
        # Each costs seconds.
        fault["times"] = min(fault.get("times", 6), 6)
    return fault


_SECONDS = {"seconds": (0.3, 1.0, 2.0, 6.0)}
_SOON = {"seconds": (0.1, 0.3, 1.0)}
_REASONS = ("user", "group", "membership", "no_home", "closed_home", "too_large", "queue_full", "cancelled")
_AGENT_KINDS: tuple[dict[str, Any], ...] = (
    {"kind": ("vanish", "never_ack")},
    *({"kind": ("slow_ack", "late_fin", "disconnect"), **_SECONDS},) * 2,
    {"kind": ("fail_start",), "reason": _REASONS},
    {"kind": ("time_out",), **_SOON},
    {"kind": ("restart",), **_SOON, "results": (True, False)},
    {"kind": ("kill",), **_SOON, "away": (0, 1, 3)},
)
_CHUNK_KINDS: tuple[dict[str, Any], ...] = (
    {"kind": ("drop_chunk", "duplicate_chunk"), "seq": (0, 0, 1, 2)},
    {"kind": ("late_chunk",), "seconds": (0.2, 1.0, 4.0, 15.0), "seq": (0, 0, 1, 2)},
    {"kind": ("reverse_chunks",)},
)


def _draw_agent_faults(rng: random.Random, drawn: Round) -> list[dict[str, Any]]:
    share = rng.choice((0.0, 0.1, 0.2, 0.4))
    in_chunks = drawn.switches.get("output") in ("both", "chunks")
    kinds = (*_AGENT_KINDS, *_CHUNK_KINDS) if in_chunks else _AGENT_KINDS
    faults = []
    for server in drawn.servers:
        while rng.random() < share:
            fault = {"times": rng.choice((1, 1, 2)), **_choose_values(rng, rng.choice(kinds))}
            faults.append({"server": server, "line": drawn.tag, **fault})
    return faults


def _draw_report_faults(rng: random.Random) -> list[dict[str, Any]]:
    if rng.random() < 0.8:
        return []
    kinds = ({"kind": "lose_after"}, {"kind": "status", "status": rng.choice((400, 500, 503))})
    return [{**_REPORT, **rng.choice(kinds), "times": rng.choice((1, 2, 3, 8)), "after": rng.choice((0, 1, 4))}]


def _draw_outages(rng: random.Random, drawn: Round) -> tuple[tuple[str, ...], tuple[tuple[float, float, str], ...]]:
    offline = tuple(_choose_servers(rng, drawn.servers, 0.1)) if rng.random() < 0.2 else ()
    if rng.random() < 0.75:
        return offline, ()
    outages = [
        (rng.uniform(0.0, 2.0), rng.uniform(0.2, 2.0), server)
        for server in _choose_servers(rng, drawn.servers, 0.1)[:5]
        if server not in offline
    ]
    return offline, tuple(outages)


def _options(rng: random.Random, drawn: Round, bounds: Bounds) -> dict[str, Any]:
    options: dict[str, Any] = {
        "wait_timeout": str(rng.choice(bounds.timeouts)),
        "success_codes": rng.choice(([0], [0], [0, 3])),
        "wait_for_approval": rng.random() < 0.5,
        "cancel_on_timeout": rng.random() < 0.4,
    }
    if rng.random() < 0.2:
        options["max_concurrency"] = rng.choice(("50%", "30%", str(max(2, len(drawn.servers) // 2))))
    if rng.random() < 0.15:
        options["max_errors"] = rng.choice(("0", "1", "20%"))
    return options
