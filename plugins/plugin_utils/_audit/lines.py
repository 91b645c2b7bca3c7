# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""One check as one line, for servers that nothing can be carried to: as short as it can be with the same meaning."""

from __future__ import annotations

import base64
import re
import shlex
import zlib
from collections.abc import Iterator
from urllib.parse import quote

from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import LINE_LENGTH

from .checks import OUTPUT, Check
from .questions import assignments

#: The longest line of workspaces of 2024, and of all others, in characters.
SHORT, LONG = 512, LINE_LENGTH
#: What a line prints, and nothing else, where it does not apply.
NOT_APPLIED = "[does not apply]"
#: The beginning of a function in a check set, and the line that ends one of several lines.
_FUNCTION, _END = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\(\) *[({]"), ("}", ")")
#: Where a shell takes a sign for the beginning of a comment.
_WORD_BEGINS = " \t\n;&|("
#: The container of zlib that gzip reads.
_GZIP = 31


def line_of(check: Check, most: int) -> str:
    """The line that asks one check: the first of its forms that fits, or the shortest where none does.

    Args:
        most: so many characters fit.
    """
    code = _code(check)
    forms = [_written(code), _written(_without_indents(code))]
    # Where it cannot be unpacked, nothing runs: only what has to print something does not take that for an answer.
    if check.kind != OUTPUT:
        forms.append(_compressed(_without_indents(code), check.name, most))
    return next((form for form in forms if len(form) <= most), min(forms, key=len))


def _code(check: Check) -> str:
    """All that a shell needs to answer it, the functions that it uses among them."""
    condition = f"(\n{check.applies_if}\n) >/dev/null 2>&1 || {{ echo '{NOT_APPLIED}'; exit; }}\n"
    parts = [assignments(check.parameters), condition if check.applies_if else "", check.line]
    if not check.functions:
        return "".join(parts)
    return "".join([parts[0], *_needed(check.functions, "".join(parts[1:])), *parts[1:]])


def _needed(functions: str, code: str) -> Iterator[str]:
    """What stands before a check, without the functions that it has no use for."""
    # What stands between functions may be a comment that names them.
    pieces = [(name, text) for name, text in _pieces(functions) if name or not re.match(r"\s*(#|$)", text)]
    used = code + "".join(text for name, text in pieces if not name)
    found: set[str] = set()
    while more := {name for name, _text in pieces if name not in found and re.search(rf"\b{name}\b", used) and name}:
        found |= more
        used = "".join(text for name, text in pieces if name in more)
    return (text for name, text in pieces if not name or name in found)


def _pieces(functions: str) -> Iterator[tuple[str, str]]:
    """Each function with its name, and what stands between them with none."""
    name, lines = "", []
    for line in functions.splitlines(keepends=True):
        if not name:
            begun = _FUNCTION.match(line)
            name = begun[1] if begun else ""
        lines.append(line)
        is_one_line = len(lines) == 1 and line.rstrip().endswith(_END)
        if not name or is_one_line or line.rstrip() in _END:
            yield name, "".join(lines)
            name, lines = "", []
    if lines:
        yield "", "".join(lines)


def _without_indents(code: str) -> str:
    """Code without comments, blank lines, and blanks before lines; what stands in quotes over lines stays as it is."""
    if "<<" in code:
        return code
    kept, quoted = [], ""
    for line in code.splitlines():
        text = line if quoted else line.lstrip()
        if quoted or (text and not text.startswith("#")):
            kept.append(f"{text}\n")
        quoted = _quoted_after(text, quoted)
    return "".join(kept)


def _quoted_after(line: str, quoted: str) -> str:
    """The sign that quotes what comes after a line, if one does.

    Args:
        quoted: the one that quotes its beginning.
    """
    before, skipped = "\n", False
    for sign in line:
        if skipped:
            skipped = False
        elif sign == "\\" and quoted != "'":
            skipped = True
        elif sign == quoted:
            quoted = ""
        elif not quoted and sign in "'\"":
            quoted = sign
        elif not quoted and sign == "#" and before in _WORD_BEGINS:
            break
        before = sign
    return quoted


def _written(code: str) -> str:
    """Code that a person can read, in one line."""
    if "\n" not in code.strip():
        return f"export LC_ALL=C; {code.strip()}"
    # Workspaces of 2024 whose access list allows any line still let none with a line break through.
    escaped = code.strip().replace("\\", "\\\\").replace("\n", "\\n")
    return f'LC_ALL=C sh -c "$(printf %b {shlex.quote(escaped)})"'


def _compressed(code: str, name: str, most: int) -> str:
    """A packed line that runs code; the name of the check stands behind it where that fits."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP, 9)
    packed = base64.b64encode(packer.compress(code.strip().encode()) + packer.flush()).decode()
    line = f'LC_ALL=C sh -c "$(echo {packed}|base64 -d|zcat)"'
    named = f"{line} # {quote(name, safe='')}"
    return named if len(named) <= most else line
