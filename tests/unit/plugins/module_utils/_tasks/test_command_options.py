# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check and pack the options of alpacon_command."""

from __future__ import annotations

import base64
import random
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._api.records import Server
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import parse_digest
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command import RULES, run_command
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CommandOptions
from ansible_collections.herdops.alpacon.tests.unit.support import (
    COMMAND,
    CONNECTION,
    OTHER_SERVER,
    SERVER,
    SHIPPED_SPEC,
    Row,
    command_options,
)

LATER = "2031-01-01T03:00:00Z"


def parse(**given: Any) -> CommandOptions:
    return CommandOptions.from_options(command_options(**given))


RUN: Row = {"servers": ["web-01"], "line": "true"}
SCHEDULE: Row = {**RUN, "state": "scheduled", "scheduled_at": LATER}
FINISH: Row = {"ids": [COMMAND], "state": "finished"}
CANCEL: Row = {"ids": [COMMAND], "state": "cancelled"}

SCRIPT: Row = {
    "servers": ["web-01"],
    "script": "files/job.sh one 'two words'",
    "_script_content": base64.b64encode(b"#!/bin/sh\necho \xff\n").decode(),
}
ARGV: Row = {"servers": ["web-01"], "argv": ["/usr/bin/id", "-u"]}
NOISE = base64.b64encode(random.Random(1).randbytes(2_000_000)).decode()

#: Combinations that the argument spec refuses, each with its message.
REFUSED_BY_RULES: list[tuple[Row, str]] = [
    ({"servers": ["web-01"]}, "state is executed but any of the following are missing: line, script, argv"),
    ({"line": "true"}, "one of the following is required: servers, ids"),
    ({**RUN, "state": "scheduled"}, "state is scheduled but all of the following are missing: scheduled_at"),
    ({"servers": ["web-01"], "state": "finished"}, "state is finished but all of the following are missing: ids"),
    (
        {"servers": ["web-01"], "state": "cancelled"},
        "state is cancelled but any of the following are missing: ids, line, script, argv",
    ),
    ({**CANCEL, "line": "true"}, "parameters are mutually exclusive: ids|line|script|argv"),
    ({**FINISH, "servers": ["web-01"]}, "parameters are mutually exclusive: ids|servers"),
    ({**CANCEL, "scheduled_at": LATER}, "parameters are mutually exclusive: ids|scheduled_at"),
    ({**SCRIPT, "line": "true"}, "parameters are mutually exclusive: ids|line|script|argv"),
    ({**RUN, "stdin": ""}, "parameters are mutually exclusive: line|stdin"),
    ({**FINISH, "chdir": "/srv"}, "parameters are mutually exclusive: ids|chdir"),
    ({**ARGV, "executable": "bash"}, "missing parameter(s) required by 'executable': script"),
]
REFUSED: list[tuple[Row, str, str]] = [
    ({**RUN, "output_limit": -1}, "output_limit", "-1 is negative"),
    ({**RUN, "not_after": LATER, "wait": False}, "not_after", "a line runs as it is"),
    ({**SCHEDULE, "not_after": "2031-06-01T03:00:00Z"}, "not_after", "a line runs as it is"),
    ({**ARGV, "not_after": "2020-01-01T00:00:00Z"}, "not_after", "it has passed"),
    ({**ARGV, "not_after": "soon"}, "not_after", "'soon' is not a duration"),
    ({**ARGV, "not_after": "2031-01-01T03:00:00"}, "not_after", "has no zone"),
    ({**ARGV, "not_after": "0"}, "not_after", "it has passed"),
    ({**ARGV, "state": "cancelled", "not_after": "1h"}, "not_after", "it cannot be used with state=cancelled"),
    (
        {**ARGV, "state": "scheduled", "scheduled_at": LATER, "not_after": LATER},
        "not_after",
        f"{LATER} is not after scheduled_at, {LATER}",
    ),
    (
        {**RUN, "ids": [COMMAND]},
        "ids",
        "it cannot be used with state=executed. Use it with state=finished or",
    ),
    ({**RUN, "scheduled_at": LATER}, "scheduled_at", "Use it with state=scheduled"),
    ({**SCHEDULE, "reuse_within": "1h"}, "reuse_within", "cannot be used with state=scheduled"),
    ({**RUN, "wait": False, "max_concurrency": "1"}, "max_concurrency", "cannot be used with wait=false"),
    ({**FINISH, "max_errors": "0"}, "max_errors", "cannot be used with state=finished"),
    ({**FINISH, "offline": "skip"}, "offline", "cannot be used with state=finished"),
    ({**RUN, "line": "x" * 2049}, "line", "give the file as script"),
    ({**RUN, "line": "  "}, "line", "is empty"),
    ({**RUN, "line": None}, "line", "is empty"),
    ({**RUN, "servers": ["web-01", " "]}, "servers", "one of them is empty"),
    ({**RUN, "servers": []}, "servers", "it is empty"),
    ({**SCHEDULE, "scheduled_at": "2031-01-01T03:00:00"}, "scheduled_at", "has no zone"),
    ({**FINISH, "ids": ["web-01"]}, "ids", "is not a UUID"),
    ({**RUN, "username": ""}, "username", "it is empty"),
    ({**RUN, "username": "root "}, "username", "'root ' begins or ends with a blank"),
    ({**RUN, "groupname": "\twheel"}, "groupname", "begins or ends with a blank"),
    ({**RUN, "run_after": ["first"]}, "run_after", "is not a UUID"),
    ({**RUN, "purpose": " "}, "purpose", "1 characters"),
    ({**RUN, "env": {"A": 1}}, "env", "is not a string"),
    ({**RUN, "wait_timeout": "0"}, "wait_timeout", "0 is not a valid timeout. Give a duration such as 90s. Set wait"),
    ({**RUN, "max_concurrency": "0"}, "max_concurrency", "too small"),
    ({**RUN, "max_errors": "few"}, "max_errors", "neither a number nor a percentage"),
    ({**RUN, "success_codes": []}, "success_codes", "every command would count as failed"),
    ({**RUN, "shell": "file"}, "shell", "it is file, which cannot be used with state=executed"),
    ({**SCRIPT, "shell": "internal"}, "shell", "it is internal, and a shell of the server runs script"),
    ({**SCRIPT, "script": "''"}, "script", "it is empty"),
    ({**SCRIPT, "script": "job.sh 'a"}, "script", "it cannot be split: no closing quotation"),
    ({**SCRIPT, "_script_content": None}, "script", "its file was not read"),
    ({**ARGV, "argv": ["", "x"]}, "argv", "it names no program"),
    ({**ARGV, "argv": ["-c", "id"]}, "argv", "no program is called -c"),
    ({**ARGV, "argv": ["echo", "a\0b"]}, "argv", "one of its elements has a NUL character"),
    ({**SCRIPT, "creates": "/x\0"}, "creates", "it has a NUL character"),
    ({**ARGV, "env": {"RUN": "hunter22"}}, "env", "with argv, the name RUN is reserved"),
    ({**SCRIPT, "env": {"alpacon_body": "x"}}, "env", "with script, the name alpacon_body is reserved"),
    ({**SCRIPT, "_script_content": NOISE, "stdin": "x"}, "script", "bytes of script and 1 bytes of stdin take "),
    ({**SCRIPT, "stdin": NOISE}, "stdin", "and a submit has room for 1500000"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED_BY_RULES)
def test_refused_combinations(given: Row, message: str) -> None:
    result = ArgumentSpecValidator(SHIPPED_SPEC, **RULES).validate({**CONNECTION, **given})
    assert result.error_messages == [message]


@pytest.mark.parametrize("given", [RUN, SCHEDULE, FINISH, CANCEL, SCRIPT, {**ARGV, "creates": "/x"}])
def test_accepted_combinations(given: Row) -> None:
    assert ArgumentSpecValidator(SHIPPED_SPEC, **RULES).validate({**CONNECTION, **given}).error_messages == []


@pytest.mark.parametrize(("given", "option", "words"), REFUSED)
def test_options_that_are_refused(given: Row, option: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(**given)
    assert caught.value.option == option
    assert words in str(caught.value)
    assert "hunter22" not in str(caught.value)


def test_values_are_parsed() -> None:
    options = parse(
        servers=[" web-01 ", SERVER],
        line="true",
        reuse_within="1h",
        wait_timeout="5m",
        max_concurrency="50%",
        max_errors="10%",
        success_codes=[0, 3],
    )
    assert options.servers == ["web-01", SERVER]
    assert options.username is None
    assert options.reuse_within == 3600
    limits = options.limits
    assert (limits.wait, limits.wait_timeout, limits.max_concurrency, limits.max_errors) == (True, 300, 1, 0)
    assert not parse(**RUN, wait=False).limits.wait
    assert limits.success_codes == {0, 3}


@pytest.mark.parametrize(
    ("given", "progress"),
    [
        (RUN, None),
        ({**RUN, "servers": ["web-01", "web-02"]}, True),
        ({**FINISH, "ids": [COMMAND, SERVER]}, True),
        ({**RUN, "progress": "true"}, True),
        ({**RUN, "servers": ["web-01", "web-02"], "progress": "false"}, False),
        ({**RUN, "progress": "output"}, True),
    ],
)
def test_progress_is_reported_for_several_servers_by_default(given: Row, progress: bool | None) -> None:
    assert parse(**given).progress is progress


def test_a_body_has_only_the_published_fields_by_default() -> None:
    assert parse(**RUN).make_body(Server(SERVER, "web-01")) == {
        "server": SERVER,
        "shell": "system",
        "line": "true",
        "username": "",
        "groupname": "",
        "scheduled_at": None,
    }


def test_a_body_with_every_field() -> None:
    full = parse(
        **SCHEDULE,
        shell="osquery",
        username="root",
        groupname="wheel",
        env={"A": "b"},
        run_after=[COMMAND.upper()],
        work_session=OTHER_SERVER,
        purpose="since",
    )
    assert full.time == datetime(2031, 1, 1, 3, tzinfo=timezone.utc)
    assert full.make_body(Server(SERVER)) == {
        "server": SERVER,
        "shell": "osquery",
        "line": "true",
        "username": "root",
        "groupname": "wheel",
        "scheduled_at": LATER,
        "env": {"A": "b"},
        "run_after": [COMMAND],
        "work_session": OTHER_SERVER,
        "purpose": "since",
    }


def test_an_http_url_is_warned_about() -> None:
    warnings: list[str] = []
    with pytest.raises(UsageError):
        run_command(command_options(url="http://workspace.invalid", servers=[]), Run(warn=warnings.append))
    [warning] = warnings
    assert "unencrypted" in warning


# Scripts and programs


def test_a_payload_replaces_the_line() -> None:
    packed = parse(**SCRIPT, env={"A": "b"})
    assert packed.has_payload
    assert packed.line.startswith("/bin/sh -c $RUN script:job.sh sha256:")
    assert packed.extra["env"]["A"] == "b"
    assert {"RUN", "BODY", "P0"} < set(packed.extra["env"])
    body = packed.make_body(Server(SERVER, "web-01"))
    assert (body["line"], body["env"]) == (packed.line, packed.extra["env"])
    assert parse(**ARGV).line.startswith("/bin/sh -c $RUN argv:id sha256:")


def test_a_line_has_no_payload() -> None:
    plain = parse(servers=["web-01"], line="  echo $RUN  ")
    assert (plain.line, plain.has_payload) == ("  echo $RUN  ", False)
    assert "env" not in plain.extra


PAYLOADS: list[Row] = [
    {"script": "files/job.sh one two words"},
    {"script": "files/other.sh one 'two words'"},
    {"_script_content": base64.b64encode(b"#!/bin/sh\necho\n").decode()},
    {"chdir": "/srv"},
    {"creates": "/x"},
    {"removes": "/x"},
]


@pytest.mark.parametrize("given", PAYLOADS, ids="-".join)
def test_the_digest_depends_on_the_payload(given: Row) -> None:
    assert parse_digest(parse(**{**SCRIPT, **given}).line) != parse_digest(parse(**SCRIPT).line)


def test_the_digest_ignores_the_folder_of_the_file_and_the_variables() -> None:
    other = {**SCRIPT, "script": "/elsewhere/job.sh   one  two\\ words", "env": {"A": "b"}, "username": "root"}
    assert parse(**other).line == parse(**SCRIPT).line
