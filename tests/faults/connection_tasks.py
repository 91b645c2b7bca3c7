# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks of modules for a round over the connection plugin: what each does, and what must have come of it."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]

#: Stands for the name of the host, in what is expected.
HOST = "HOST"
_RAN = b"ran\n"
_SOURCE, _FETCHED = "source", "fetched"


@dataclass(frozen=True)
class Deed:
    """A task.

    Attributes:
        task: as a play has it.
        returns: what it returns on each host, if it has ended.
        leaves: what it leaves in its file on each host, once it has run; None where it only reads.
        fetches: what it brings to the controller.
        rc: its exit code.
    """

    number: int
    kind: str
    task: Row
    returns: Mapping[str, Any]
    leaves: bytes | None = None
    fetches: bytes | None = None
    rc: int = 0

    @property
    def name(self) -> str:
        return f"{self.number} {self.kind}"

    def expected(self, host: str) -> Row:
        return {
            key: value.replace(HOST, host) if isinstance(value, str) else value for key, value in self.returns.items()
        }

    def times_run(self, trace: bytes, host: str) -> int | None:
        """How often it has run on a host, as its file tells; None where that has what no run can have written."""
        left = (self.leaves or b"").replace(HOST.encode(), host.encode())
        for times in range(4):
            if trace == left * times:
                return times
        return None


@dataclass
class Drawing:
    rng: random.Random
    folder: Path
    large: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.large = self.rng.randbytes(self.rng.choice((5, 5, 70_000, 1_600_000)))
        (self.folder / _SOURCE).write_bytes(self.large)
        script = '#!/bin/sh\necho ran >> "$1"; echo "$2"; echo error >&2; exit "$3"\n'
        (self.folder / "script.sh").write_text(script, encoding="utf-8")

    def deed(self, number: int) -> Deed:
        kind = self.rng.choice(list(_KINDS))
        deed = _KINDS[kind](self, number, self.rng.choice((0, 0, 0, 3)))
        keywords = {"name": deed.name, "ignore_errors": True, "ignore_unreachable": True}
        return Deed(**{**vars(deed), "task": {**keywords, **deed.task}})

    def trace(self, number: int, host: str = "{{ inventory_hostname }}") -> str:
        return f"{self.folder}/{host}.{number}"

    def fetched(self, number: int, host: str = "{{ inventory_hostname }}") -> str:
        return f"{self.folder}/{_FETCHED}.{host}.{number}"

    def line(self, number: int, then: str, rc: int) -> str:
        return f"echo ran >> {self.trace(number)}; {then}; echo error >&2; exit {rc}"

    def shell(self, number: int, rc: int) -> Deed:
        said = f"{HOST} ünïcode  汉语"
        line = self.line(number, "printf '%s\\n\\n' \"{{ inventory_hostname }} ünïcode  汉语\"", rc)
        returns = {"stdout": said, "stderr": "error", "rc": rc}
        return Deed(number, "shell", {"ansible.builtin.shell": line}, returns, _RAN, rc=rc)

    def long(self, number: int, rc: int) -> Deed:
        last = self.rng.choice((2_000, 30_000, 200_000))
        text = "\n".join(map(str, range(1, last + 1)))
        task = {"ansible.builtin.shell": self.line(number, f"seq 1 {last}", rc)}
        return Deed(number, "long", task, {"stdout": text, "stderr": "error", "rc": rc}, _RAN, rc=rc)

    def later(self, number: int, rc: int) -> Deed:
        task = {
            "ansible.builtin.shell": self.line(number, "sleep 1.3; echo {{ inventory_hostname }}", rc),
            "async": 12,
            "poll": 2,
        }
        return Deed(number, "later", task, {"stdout": HOST, "rc": rc}, _RAN, rc=rc)

    def script(self, number: int, rc: int) -> Deed:
        line = f"{self.folder}/script.sh {self.trace(number)} {{{{ inventory_hostname }}}} {rc}"
        returns = {"stdout": f"{HOST}\n", "stderr": "error\n", "rc": rc}
        return Deed(number, "script", {"ansible.builtin.script": line}, returns, _RAN, rc=rc)

    def copy(self, number: int, _rc: int) -> Deed:
        options = {"content": "copied to {{ inventory_hostname }}\n", "dest": self.trace(number), "mode": "0600"}
        left = f"copied to {HOST}\n".encode()
        return Deed(number, "copy", {"ansible.builtin.copy": options}, {"changed": True}, left)

    def file(self, number: int, _rc: int) -> Deed:
        options = {"src": f"{self.folder}/{_SOURCE}", "dest": self.trace(number), "mode": "0600"}
        return Deed(number, "file", {"ansible.builtin.copy": options}, {"changed": True}, self.large)

    def slurp(self, number: int, _rc: int) -> Deed:
        content = base64.b64encode(self.large).decode()
        task = {"ansible.builtin.slurp": {"src": f"{self.folder}/{_SOURCE}"}}
        return Deed(number, "slurp", task, {"content": content})

    def fetch(self, number: int, _rc: int) -> Deed:
        options = {"src": f"{self.folder}/{_SOURCE}", "dest": self.fetched(number), "flat": True}
        return Deed(number, "fetch", {"ansible.builtin.fetch": options}, {"changed": True}, fetches=self.large)


_KINDS: dict[str, Callable[[Drawing, int, int], Deed]] = {
    "shell": Drawing.shell,
    "long": Drawing.long,
    "later": Drawing.later,
    "script": Drawing.script,
    "copy": Drawing.copy,
    "file": Drawing.file,
    "slurp": Drawing.slurp,
    "fetch": Drawing.fetch,
}
