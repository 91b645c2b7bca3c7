# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the file of the hosts to run a playbook on again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable

from ..module_utils._api.errors import clean_line


def write_retry_file(path: str, hosts: Iterable[str], show: Callable[[str], None], warn: Callable[[str], None]) -> None:
    try:
        write_private_file(path, "".join(f"{host}\n" for host in hosts), os.O_TRUNC)
    except OSError as error:
        warn(f"The hosts to retry cannot be written to {path}: {error.strerror}.")
    else:
        show(f"To retry the other hosts, add: --limit @{clean_line(path)}")


def remove_retry_file(path: str, done: Collection[str]) -> None:
    """Remove the file of an earlier run if these hosts include all that it names."""
    with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding="utf-8") as file:
        if set(done).issuperset(file.read().splitlines()):
            os.remove(path)


def write_private_file(path: str, text: str, flag: int) -> None:
    """Write to a file, which only the owner may read if this creates it.

    Args:
        flag: C(os.O_APPEND) or C(os.O_TRUNC).
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(text)
