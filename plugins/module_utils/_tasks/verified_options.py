# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the options of a verified script, and decide where its file lies on the servers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._api.errors import UsageError
from .._fleet.verified_scripts import VerifiedScript
from .._options import values

MAX_BYTES, MAX_DAYS = 65_536, 366
_NOT_ALLOWED = {
    "env": "a verified script gets no variables, which nobody would review",
    "stdin": "a verified script has no standard input, which nobody would review",
    "chdir": "a verified script begins in the home of its user",
    "creates": "the server decides nothing before a verified script runs",
    "removes": "the server decides nothing before a verified script runs",
}
#: The name of an account whose home is in /home, as far as anybody can know.
_PLAIN_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SHEBANG = re.compile(r"#![ \t]*(/[^ \t\r\n]+)[ \t]*(?:\n|$)")
_DEFAULT_INTERPRETER = "/bin/sh"
_ENCRYPTED = b"$ANSIBLE_VAULT;"
#: Every account of a server can write these, and put a file of its own where a script is to be.
_SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")
#: Characters of the digest in the name of the file, and of the name of the script.
_DIGEST_LENGTH, _NAME_LENGTH = 32, 64


def parse_verified(options: Mapping[str, Any], words: Sequence[str], content: bytes) -> VerifiedScript:
    """Return the script of a task with O(verified=true).

    Args:
        words: the path of the script on the controller, and its arguments.
    """
    for name, why in _NOT_ALLOWED.items():
        if options.get(name):
            raise UsageError(name, why, f"Leave it out, and do in the script what {name} does.")
    if options["shell"] != "system":
        raise UsageError("shell", f"it is {options['shell']}, and an interpreter runs the script", "Leave it out.")
    text = _decode(words[0], content)
    digest = hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", words[0].rstrip("/").rpartition("/")[2]).strip("-.")[:_NAME_LENGTH]
    script = VerifiedScript(
        path=f"{_find_folder(options)}/.alpacon-{name or 'script'}-{digest}",
        interpreter=_find_interpreter(options, text),
        arguments=tuple(words[1:]),
        content=text,
        reuse_days=_parse_days(options.get("reuse_days")),
    )
    values.check_line("script", script.line)
    return script


def refuse_unverified(options: Mapping[str, Any]) -> None:
    """Refuse options of verified scripts without O(verified=true)."""
    for name in ("reuse_days", "verified_folder"):
        if options.get(name) is not None:
            raise UsageError(name, "it is for verified scripts", "Set verified to true, or leave it out.")


def _decode(path: str, content: bytes) -> str:
    if content.startswith(_ENCRYPTED):
        why = f"{path} is encrypted with Ansible Vault, and the workspace shows a verified script to its reviewers"
        raise UsageError("script", why, "Leave verified out, or let the script read its secrets on the server.")
    problem = ""
    if len(content) > MAX_BYTES:
        problem = f"{path} has {len(content)} bytes, and a verified script at most {MAX_BYTES}"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        text, problem = "", f"{path} is not UTF-8 (byte {error.start})"
    if "\0" in text:
        problem = f"{path} has a NUL character"
    if problem:
        raise UsageError("script", problem, "Give a text that a person can review, or leave verified out.")
    return text


def _find_folder(options: Mapping[str, Any]) -> str:
    """Return the folder of the script: O(verified_folder), or the usual home of O(username)."""
    folder, username = options.get("verified_folder"), options.get("username") or ""
    if folder is not None:
        folder = str(folder).rstrip("/")
        root, *parts = folder.split("/")
        remedy = "Give a folder that exists on the servers and that only the user of the script may write."
        is_plain = re.fullmatch(r"[\w./@+-]+", folder, re.ASCII) and not {"", ".", ".."}.intersection(parts)
        if root or not is_plain:
            why = f"'{folder:.200}' is not the absolute path of a folder, without .., blanks and special characters"
            raise UsageError("verified_folder", why, remedy)
        if folder in _SHARED_FOLDERS:
            raise UsageError("verified_folder", f"every user of a server may write {folder}", remedy)
        return folder
    if username == "root":
        return "/root"
    if not _PLAIN_ACCOUNT.fullmatch(username):
        if username:
            raise UsageError("verified", f"the home of {username} is not known", "Give it in verified_folder.")
        why = "the user of the script is not known"
        raise UsageError("verified", why, "Give username, or a folder in verified_folder.")
    return f"/home/{username}"


def _find_interpreter(options: Mapping[str, Any], text: str) -> str:
    """Return O(executable), else the program in the first line of the script, else a shell."""
    given = options.get("executable")
    found = _SHEBANG.match(text)
    if given is None and text.startswith("#!") and not found:
        first = text.partition("\n")[0].strip()
        why = f"the first line of the script, {first:.100}, is not the absolute path of one program"
        raise UsageError("executable", why, "Give the absolute path of the interpreter, such as /usr/bin/python3.")
    interpreter = str(given) if given is not None else found[1] if found else _DEFAULT_INTERPRETER
    if not interpreter.startswith("/") or re.search(r"[\x00-\x1f\x7f]", interpreter):
        why = f"with verified, '{interpreter:.200}' is not an absolute path"
        raise UsageError("executable", why, "Give the path of a program on the servers, such as /usr/bin/python3.")
    return interpreter


def _parse_days(days: Any) -> int | None:
    if days is None:
        return None
    if not 1 <= days <= MAX_DAYS:
        raise UsageError("reuse_days", f"{days} is not a number of days", f"Give 1 to {MAX_DAYS}, or leave it out.")
    return int(days)
