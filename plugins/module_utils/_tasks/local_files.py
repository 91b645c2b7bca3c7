# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read files of the controller, and replace them as a whole by what is downloaded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from typing import Any, BinaryIO, Callable, NamedTuple

from .._api.errors import AlpaconError

_PIECE = 2**20


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
