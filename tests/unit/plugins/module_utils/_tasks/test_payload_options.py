# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts and programs in place of a line: what is packed, and what is refused before any request."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import parse_digest
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CommandOptions
from ansible_collections.herdops.alpacon.tests.unit.support import COMMAND, SERVER, command_options

LATER = "2031-01-01T03:00:00Z"
SCRIPT: dict[str, Any] = {
    "servers": ["web-01"],
    "script": "files/job.sh one 'two words'",
    "_script_content": base64.b64encode(b"#!/bin/sh\necho \xff\n").decode(),
}
ARGV: dict[str, Any] = {"servers": ["web-01"], "argv": ["/usr/bin/id", "-u"]}


def order(**given: Any) -> CommandOptions:
    return CommandOptions.from_options(command_options(**given))


def test_what_is_carried_takes_the_place_of_the_line() -> None:
    carried = order(**SCRIPT, env={"A": "b"})
    assert carried.has_payload
    assert carried.line.startswith("/bin/sh -c $RUN script:job.sh sha256:")
    assert carried.extra["env"]["A"] == "b"
    assert {"RUN", "BODY", "P0"} < set(carried.extra["env"])
    body = carried.body(Server(SERVER, "web-01"))
    assert (body["line"], body["env"]) == (carried.line, carried.extra["env"])
    assert order(**ARGV).line.startswith("/bin/sh -c $RUN argv:id sha256:")


def test_a_line_stays_a_line() -> None:
    plain = order(servers=["web-01"], line="  echo $RUN  ")
    assert (plain.line, plain.has_payload) == ("  echo $RUN  ", False)
    assert "env" not in plain.extra


DECIDING: list[dict[str, Any]] = [
    {"script": "files/job.sh one two words"},
    {"script": "files/other.sh one 'two words'"},
    {"_script_content": base64.b64encode(b"#!/bin/sh\necho\n").decode()},
    {"chdir": "/srv"},
    {"creates": "/x"},
    {"removes": "/x"},
]


@pytest.mark.parametrize("given", DECIDING, ids="-".join)
def test_the_digest_covers_what_decides_what_runs(given: dict[str, Any]) -> None:
    assert parse_digest(order(**{**SCRIPT, **given}).line) != parse_digest(order(**SCRIPT).line)


def test_the_digest_is_the_same_wherever_the_file_lies_and_whatever_the_variables_are() -> None:
    other = {**SCRIPT, "script": "/elsewhere/job.sh   one  two\\ words", "env": {"A": "b"}, "username": "root"}
    assert order(**other).line == order(**SCRIPT).line


NOISE = base64.b64encode(random.Random(1).randbytes(2_000_000)).decode()
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({**SCRIPT, "line": "true"}, "script", "it does not go with line"),
    ({**ARGV, "line": "true"}, "argv", "it does not go with line"),
    ({"servers": ["web-01"], "line": "true", "stdin": ""}, "stdin", "it can only be used with script or argv"),
    ({"servers": ["web-01"], "stdin": "x"}, "line", "state=executed needs it"),
    ({"ids": [COMMAND], "state": "finished", "script": "x"}, "script", "does not go with state=finished"),
    ({**SCRIPT, "shell": "internal"}, "shell", "it is internal, and script is run by a shell"),
    ({**SCRIPT, "script": "''"}, "script", "it is empty"),
    ({**SCRIPT, "script": "job.sh 'a"}, "script", "it cannot be split: no closing quotation"),
    ({**SCRIPT, "_script_content": None}, "script", "its file was not read"),
    ({**ARGV, "argv": ["", "x"]}, "argv", "it names no program"),
    ({**ARGV, "argv": ["echo", "a\0b"]}, "argv", "one of its elements has a NUL character"),
    ({**ARGV, "executable": "bash"}, "executable", "The program is the first element of argv."),
    ({**SCRIPT, "creates": "/x\0"}, "creates", "it has a NUL character"),
    ({**ARGV, "env": {"RUN": "hunter22"}}, "env", "with argv, RUN is the name of a variable that carries it"),
    ({**SCRIPT, "env": {"alpacon_body": "x"}}, "env", "with script, alpacon_body is the name of a variable"),
    ({**SCRIPT, "_script_content": NOISE, "stdin": "x"}, "script", "bytes of script and 1 bytes of stdin take "),
    ({**SCRIPT, "stdin": NOISE}, "stdin", "and one submit carries 1500000"),
]


@pytest.mark.parametrize(("given", "option", "words"), BAD)
def test_what_is_refused(given: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        order(**given)
    assert caught.value.option == option
    assert words in str(caught.value)
    assert "hunter22" not in str(caught.value)
