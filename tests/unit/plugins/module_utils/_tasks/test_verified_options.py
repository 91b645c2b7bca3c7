# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the options of verified scripts: where a script lies, what runs it, and what is refused."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.verified_scripts import VerifiedScript
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_options import CONTENT, CommandOptions
from ansible_collections.herdops.alpacon.tests.unit.support import Row, command_options

SCRIPT = b"echo hello\n"
DIGEST = hashlib.sha256(SCRIPT).hexdigest()[:32]


def parse(content: bytes = SCRIPT, **given: Any) -> CommandOptions:
    fields: Row = {"servers": ["web-01"], "script": "files/tidy up.sh", "username": "root", "verified": True, **given}
    return CommandOptions.from_options(command_options(**{CONTENT: base64.b64encode(content).decode(), **fields}))


def script_of(content: bytes = SCRIPT, **given: Any) -> VerifiedScript:
    verified = parse(content, **{"script": "'files/tidy up.sh' 'a b' $HOME", **given}).verified
    assert verified
    return verified


def test_the_path_contains_the_digest_and_the_name() -> None:
    assert script_of().path == f"/root/.alpacon-tidy-up.sh-{DIGEST}"
    assert script_of(username="deploy").path == f"/home/deploy/.alpacon-tidy-up.sh-{DIGEST}"
    elsewhere = script_of(username=None, verified_folder="/opt/jobs/")
    assert elsewhere.path == f"/opt/jobs/.alpacon-tidy-up.sh-{DIGEST}"
    assert script_of(SCRIPT + b"\n").path != script_of().path
    assert script_of(script="../...").path == f"/root/.alpacon-script-{DIGEST}"
    assert len(script_of(script="n" * 300 + ".sh").path) < 130


def test_the_body_has_the_file_and_the_line_that_it_will_have() -> None:
    options = parse(script="tidy.sh 'a b' $HOME", reuse_days=30)
    path = f"/root/.alpacon-tidy.sh-{DIGEST}"
    assert options.line == f"/bin/sh {path} 'a b' '$HOME'"
    assert (options.shell, options.extra["file"]) == (
        "file",
        {"path": path, "interpreter": "/bin/sh", "args": ["a b", "$HOME"], "content": "echo hello\n", "reuse_days": 30},
    )


@pytest.mark.parametrize(
    ("content", "executable", "interpreter"),
    [
        (b"echo\n", None, "/bin/sh"),
        (b"#!/usr/bin/python3\n", None, "/usr/bin/python3"),
        (b"#! /bin/bash \necho\n", None, "/bin/bash"),
        (b"#!/bin/bash", None, "/bin/bash"),
        (b"#!/usr/bin/env python3\n", "/usr/bin/python3", "/usr/bin/python3"),
    ],
)
def test_the_interpreter(content: bytes, executable: str | None, interpreter: str) -> None:
    assert script_of(content, executable=executable).interpreter == interpreter


@pytest.mark.parametrize(
    ("given", "option", "word"),
    [
        ({"env": {"A": "1"}}, "env", "which nobody would review"),
        ({"stdin": "x"}, "stdin", "no standard input"),
        ({"chdir": "/srv"}, "chdir", "home of its user"),
        ({"creates": "/x"}, "creates", "decides nothing"),
        ({"removes": "/x"}, "removes", "decides nothing"),
        ({"shell": "internal"}, "shell", "an interpreter runs"),
        ({"script": None, "line": "id"}, "verified", "it is for scripts"),
        ({"script": None, "argv": ["id"]}, "verified", "it is for scripts"),
        ({"not_after": "1h", "wait": False}, "not_after", "a verified script runs as it is"),
        ({"content": b"\xff"}, "script", "is not UTF-8 (byte 0)"),
        ({"content": b"$ANSIBLE_VAULT;1.1;AES256\n61"}, "script", "is encrypted with Ansible Vault"),
        ({"content": b"a\0"}, "script", "a NUL character"),
        ({"content": b"x" * 65_537}, "script", "has 65537 bytes"),
        ({"content": b"#!/usr/bin/env python3\n"}, "executable", "not the absolute path of one program"),
        ({"executable": "python3"}, "executable", "is not an absolute path"),
        ({"username": None}, "verified", "the user of the script is not known"),
        ({"username": "corp\\ann"}, "verified", "the home of corp\\ann is not known"),
        ({"username": "../etc"}, "verified", "the home of ../etc is not known"),
        ({"verified_folder": "scripts"}, "verified_folder", "not the absolute path"),
        ({"verified_folder": "/srv/../root"}, "verified_folder", "not the absolute path"),
        ({"verified_folder": "/srv/my files"}, "verified_folder", "not the absolute path"),
        ({"verified_folder": "/tmp/"}, "verified_folder", "every user of a server may write /tmp"),
        ({"verified_folder": "/tmp/."}, "verified_folder", "not the absolute path"),
        ({"verified_folder": "//tmp"}, "verified_folder", "not the absolute path"),
        ({"verified_folder": "/"}, "verified_folder", "not the absolute path"),
        ({"reuse_days": 0}, "reuse_days", "0 is not a number of days"),
        ({"reuse_days": 367}, "reuse_days", "367 is not a number of days"),
        ({"verified": False, "reuse_days": 3}, "reuse_days", "it is for verified scripts"),
        ({"verified": False, "verified_folder": "/x"}, "verified_folder", "it is for verified scripts"),
        ({"script": f"tidy.sh {'x' * 2048}"}, "script", "2048"),
    ],
)
def test_bad_options_are_refused(given: Row, option: str, word: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(**given)
    assert error.value.option == option
    assert word in str(error.value)
