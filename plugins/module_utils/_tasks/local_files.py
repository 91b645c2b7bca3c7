# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read files of the controller, and replace them as a whole by what is downloaded, or by the output of a command."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Sequence
from typing import Any, BinaryIO, Callable, NamedTuple

from .._api.errors import AlpaconError, UsageError

_PIECE = 2**20
#: A name that is one part of a path, is not hidden, and leaves room for a suffix.
_SAFE_PART = re.compile(r"[A-Za-z0-9_][\w.@-]{0,239}", re.ASCII)


class SavedFile(NamedTuple):
    """A file that was downloaded; C(changed) is False if the file on the controller was the same already."""

    size: int
    digest: str
    changed: bool


def compute_digest(file: BinaryIO) -> str:
    """Return the SHA-256 of the rest of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def find_digest(path: str) -> str | None:
    """Return the digest of a file, or None if it cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return compute_digest(file)
    return None


def check_names(names: Sequence[str], kind: str, option: str) -> None:
    """Refuse names of servers that are no names of files, or that are the same on some file systems.

    Args:
        kind: "file" or "folder".
        option: the option that needs these names.
    """
    for name in names:
        if not _SAFE_PART.fullmatch(name):
            raise UsageError(option, f"'{name}' cannot be the name of a {kind}", "Give its UUID in servers.")
    if len({name.casefold() for name in names}) < len(names):
        raise UsageError(option, "two servers have the same name", "Give UUIDs, or name each server once.")


def replace_text(path: str, text: str) -> None:
    """Replace a file as a whole by a text, for its owner only. Surrogates become the bytes that they stand for.

    Raises:
        OSError: it cannot be written; then it is as it was.
    """
    descriptor, part = tempfile.mkstemp(prefix=".alpacon-", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            for start in range(0, len(text), _PIECE):
                file.write(text[start : start + _PIECE].encode("utf-8", "surrogateescape"))
        # A link is replaced, and not what it refers to.
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def save_file(path: str, fetch: Callable[[Callable[[bytes], Any]], Any]) -> SavedFile:
    """Replace a file as a whole, unless it is the same. A new file is for its owner only.

    Args:
        fetch: calls its argument with each piece of the content; an exception leaves the file as it is.
    """
    folder = os.path.dirname(path) or "."
    digest = hashlib.sha256()
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=".alpacon-", dir=folder)
    except OSError as error:
        raise AlpaconError(f"dest: {folder} cannot be written: {error.strerror}.") from None
    try:
        with open(descriptor, "wb") as file:

            def write(piece: bytes) -> None:
                digest.update(piece)
                file.write(piece)

            fetch(write)
            size = file.tell()
        changed = find_digest(path) != digest.hexdigest()
        if changed:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(part, stat.S_IMODE(os.stat(path).st_mode))
            os.replace(part, path)
        return SavedFile(size, digest.hexdigest(), changed)
    except OSError as error:
        raise AlpaconError(f"dest: {path} cannot be written: {error.strerror}.") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)
