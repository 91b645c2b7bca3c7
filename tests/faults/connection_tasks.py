# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks of modules for a round over the connection plugin: what each does, and what must have come of it."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

#: Stands for the name of the host, in what is expected.
HOST = "HOST"
_RAN = b"ran\n"


@dataclass(frozen=True)
class Deed:
    """A task.

    Attributes:
        task: as a play has it.
        returns: what it returns on each host, if it has ended.
        leaves: what it leaves in its file on each host, once it has run; None where it only reads.
        fetches: what it brings to the controller.
    """

    number: int
    kind: str
    task: Row
    returns: Mapping[str, Any]
    leaves: bytes | None = None
    fetches: bytes | None = None

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
        return next((times for times in range(4) if trace == left * times), None)


def draw_deeds(rng: random.Random, folder: Path, count: int) -> list[Deed]:
    """Draw the tasks of a play, whose files go into a folder."""
    folder.mkdir(exist_ok=True)
    large = rng.randbytes(rng.choice((5, 5, 70_000, 1_600_000)))
    (folder / "source").write_bytes(large)
    script = '#!/bin/sh\necho ran >> "$1"; echo "$2"; echo error >&2; exit "$3"\n'
    (folder / "script.sh").write_text(script, encoding="utf-8")
    return [_draw(rng, folder, large, number) for number in range(count)]


def _draw(rng: random.Random, folder: Path, large: bytes, number: int) -> Deed:
    rc, last = rng.choice((0, 0, 0, 3)), rng.choice((2_000, 30_000, 200_000))
    host = "{{ inventory_hostname }}"
    source, trace, fetched = f"{folder}/source", f"{folder}/{host}.{number}", f"{folder}/fetched.{host}.{number}"
    ended = {"stderr": "error", "rc": rc}

    def shell(then: str) -> Row:
        return {"ansible.builtin.shell": f"echo ran >> {trace}; {then}; echo error >&2; exit {rc}"}

    def copy(**options: str) -> Row:
        return {"ansible.builtin.copy": {"dest": trace, "mode": "0600", **options}}

    text, line = f"{HOST} ünïcode  汉语", f"printf '%s\\n\\n' \"{host} ünïcode  汉语\""
    numbers = "\n".join(map(str, range(1, last + 1)))
    later = {**shell(f"sleep 1.3; echo {host}"), "async": 12, "poll": 2}
    fetch = {"ansible.builtin.fetch": {"src": source, "dest": fetched, "flat": True}}
    script = {"ansible.builtin.script": f"{folder}/script.sh {trace} {host} {rc}"}
    copied = f"copied to {HOST}\n"
    kinds: dict[str, tuple[Any, ...]] = {
        "shell": (shell(line), {"stdout": text, **ended}, _RAN),
        "long": (shell(f"seq 1 {last}"), {"stdout": numbers, **ended}, _RAN),
        "later": (later, {"stdout": HOST, "rc": rc}, _RAN),
        "script": (script, {"stdout": f"{HOST}\n", "stderr": "error\n", "rc": rc}, _RAN),
        "copy": (copy(content=copied.replace(HOST, host)), {"changed": True}, copied.encode()),
        "file": (copy(src=source), {"changed": True}, large),
        "slurp": ({"ansible.builtin.slurp": {"src": source}}, {"content": base64.b64encode(large).decode()}),
        "fetch": (fetch, {"changed": True}, None, large),
    }
    kind = rng.choice(list(kinds))
    task, *rest = kinds[kind]
    keywords = {"name": f"{number} {kind}", "ignore_errors": True, "ignore_unreachable": True}
    return Deed(number, kind, {**keywords, **task}, *rest)
