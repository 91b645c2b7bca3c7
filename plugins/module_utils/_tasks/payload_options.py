# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What a task carries in place of a line: a script or a program, what it reads, and where and when it runs."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping
from typing import Any

from .._api.errors import UsageError
from .._options.values import without_nul
from .._payload import shell
from .._payload.packing import LARGEST_PAYLOAD, Carried, TooLarge, is_own_variable, label_of, pack

#: The options of which one says what is to run.
WHAT = ("line", "script", "argv")
_WITH = ("stdin", "chdir", "executable", "creates", "removes")
#: The options of what is carried.
OPTIONS = ("script", "argv", *_WITH)
#: What the script's file holds, in Base64; the action reads it, and users have no such option.
CONTENT = "_script_content"


def carried_by(options: Mapping[str, Any], env: Mapping[str, str]) -> Carried | None:
    """What a task carries, packed for one submit; None where it has a line, or nothing to run.

    Args:
        env: the checked value of O(env).

    Raises:
        UsageError: the options do not go together, or it does not fit into one submit.
    """
    given = [name for name in WHAT if options.get(name) is not None]
    if len(given) > 1:
        raise UsageError(given[1], f"it does not go with {given[0]}", "Give one of line, script and argv.")
    if given in ([], ["line"]):
        _refuse_with_line(options)
        return None
    [what] = given
    _check_env(what, env)
    if options["shell"] != "system":
        why = f"it is {options['shell']}, and {what} is run by a shell of the server"
        raise UsageError("shell", why, "Leave it out, or give line.")
    label, body, files = _script(options) if what == "script" else _program(options)
    stdin = (options.get("stdin") or "").encode("utf-8", "surrogateescape")
    try:
        return pack(label, body, stdin, files, env)
    except TooLarge as error:
        raise _too_large(what, sum(map(len, (body, *files))), len(stdin), error) from None


def script_words(text: str) -> list[str]:
    """The path of a script's file on the controller and the arguments behind it, split as a shell splits them.

    Raises:
        UsageError: there is no path, or a quote is not closed.
    """
    without_nul("script", text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        why = str(error).rstrip(".").lower()
        raise UsageError("script", f"it cannot be split: {why}", "Close its quotes, as for a shell.") from None
    if not words or not words[0]:
        raise UsageError("script", "it is empty", "Give the path of a file, and arguments behind it.")
    return words


def _refuse_with_line(options: Mapping[str, Any]) -> None:
    for name in _WITH:
        if options.get(name) is not None:
            raise UsageError(name, "it can only be used with script or argv", "Give one of them in place of line.")


def _check_env(what: str, env: Mapping[str, str]) -> None:
    for name in env:
        if is_own_variable(name):
            raise UsageError("env", f"with {what}, {name} is the name of a variable that carries it", "Rename it.")


def _script(options: Mapping[str, Any]) -> tuple[str, str, list[bytes]]:
    """Label, body and file of a script."""
    path, *arguments = script_words(options["script"])
    if options.get(CONTENT) is None:
        raise UsageError("script", "its file was not read", "Run it as a task, which reads it on the controller.")
    name = path.rstrip("/").rpartition("/")[2]
    body = shell.script(name, arguments, _path("executable", options), _place(options))
    return label_of("script", name), body, [base64.b64decode(options[CONTENT])]


def _program(options: Mapping[str, Any]) -> tuple[str, str, list[bytes]]:
    """Label and body of a program."""
    argv = [str(word) for word in options["argv"]]
    for word in argv:
        without_nul("argv", word, "one of its elements")
    if not argv or not argv[0].strip():
        raise UsageError("argv", "it names no program", "Give a list: the program, and its arguments behind it.")
    if argv[0].startswith("-"):
        raise UsageError("argv", f"no program is called {argv[0]:.40}", "Begin with the program.")
    if options.get("executable") is not None:
        raise UsageError("executable", "it can only be used with script", "The program is the first element of argv.")
    name = argv[0].rstrip("/").rpartition("/")[2]
    return label_of("argv", name), shell.program(argv, _place(options)), []


def _place(options: Mapping[str, Any]) -> shell.Place:
    return shell.Place(_path("chdir", options), _path("creates", options), _path("removes", options))


def _path(name: str, options: Mapping[str, Any]) -> str | None:
    path = options.get(name)
    if path is None:
        return None
    without_nul(name, path)
    if not path.strip():
        raise UsageError(name, "it is empty", "Give a path, or leave it out.")
    return str(path)


def _too_large(what: str, size: int, stdin: int, error: TooLarge) -> UsageError:
    with_stdin = f" and {stdin} bytes of stdin" if stdin else ""
    return UsageError(
        "stdin" if stdin > size else what,
        f"{size} bytes of {what}{with_stdin} take {error.size} bytes, compressed and encoded, and one submit carries"
        f" {LARGEST_PAYLOAD}",
        "Make it smaller, split it into several tasks, or have the server fetch the large part from where it is.",
    )
