# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send a tailoring file of the controller along with the code of a benchmark."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ....module_utils._api.errors import UsageError

#: Reads a file on the controller, by the name of the option and the path in it.
ReadFile = Callable[[str, str], bytes]
#: The beginning of a reference to a tailoring file.
REFERENCE = "Tailoring "
#: The largest file to read.
_MAX_FILE_BYTES = 4 * 1024 * 1024
#: The code of a check is one argument of a program, of at most 128 KiB. In characters.
_MAX_ENCODED = 60_000
_ELEMENT = re.compile(rb"<(?:[\w.-]+:)?Tailoring[\s/>]")
_UNPACK = r"""own=$(mktemp) || stop "mktemp failed."
trap 'rm -f "$own"' EXIT
trap 'exit 143' TERM
print_tailoring >"$own"
[ "$(sha256sum <"$own" | cut -c1-64)" = {digest} ] || stop "the tailoring file could not be unpacked."
tailoring=$own
set -- --tailoring-file "$own" "$@"
"""


def read_local_file(option: str, path: str) -> bytes:
    """Read a file, or raise UsageError if it cannot be read or is too large."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(option, f"{path} cannot be read: {error}", "Give a file on the controller.") from None
    if len(content) > _MAX_FILE_BYTES:
        raise UsageError(option, f"{path} has more than {_MAX_FILE_BYTES:,} bytes", "Give a smaller file.")
    return content


@dataclass(frozen=True)
class Tailoring:
    """A tailoring file of the controller.

    Attributes:
        path: the path in the option.
        functions: shell code that defines the function that prints the file.
    """

    path: str
    digest: str
    functions: str

    @classmethod
    def from_content(cls, option: str, path: str, content: bytes) -> Tailoring:
        """Compress the file, or raise UsageError if it is too large to be sent, or is not a tailoring file."""
        if not _ELEMENT.search(content):
            problem = f"{path} is not a tailoring file: it has no XML element Tailoring"
            raise UsageError(option, problem, "Give a file that autotailor or the SCAP Workbench wrote.")
        encoded = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
        if len(encoded) > _MAX_ENCODED:
            problem = f"{path} has {len(encoded):,} bytes when compressed, and at most {_MAX_ENCODED:,} can be sent"
            raise UsageError(option, problem, "Copy it to the servers, and name it in tailoring.")
        code = f"print_tailoring() {{ printf %s {shlex.quote(encoded)} | base64 -d | gzip -dc; }}"
        return cls(path, hashlib.sha256(content).hexdigest(), code)

    @property
    def unpack(self) -> str:
        """Shell code that writes the file to a private temporary file and adds it to the arguments of oscap."""
        return _UNPACK.format(digest=self.digest)

    @property
    def reference(self) -> str:
        return f"{REFERENCE}{self.path}, SHA-256 {self.digest}"
