# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send the files that scanners write on servers along with their answers, and keep them beside the report.

The code of a check writes its files into the folder C($audit_files). After the answer of the check, each file is a part
of the output of its own (see C(_payload.frames)), so that a damaged file damages nothing else. A part is a line with
the names of the check and the file, the compressed file, and the same line with C(sha256 DIGEST), or with C(bytes
NUMBER) in place of a file that is too large.

Files of servers are hostile: their names are not used, and they are not unpacked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ...module_utils._payload.frames import split_parts
from .private_files import open_private

#: The folder beside the report, and the file with the digests of the others, as sha256sum reads it.
FOLDER, SUMS = "evidence", "SHA256SUMS"
#: The largest file to send, compressed.
_MAX_BYTES = 4 * 1024 * 1024
_SUFFIXES = (".xz", ".gz")
_NOT_SENT = "The server did not send it."
#: Shell functions: alpacon_run_with_files runs a check whose files are sent.
FUNCTIONS = rf"""
alpacon_pack() {{
xz -1 <"$1" >"$1.xz" && alpacon_packed=$1.xz && return
gzip <"$1" >"$1.gz" && alpacon_packed=$1.gz
}}
alpacon_send_file() {{
alpacon_pack "$2" || return
alpacon_name="$1 ${{alpacon_packed##*/}}"
alpacon_size=$(wc -c <"$alpacon_packed")
{{
echo "$alpacon_name"
if [ "$alpacon_size" -le {_MAX_BYTES} ]; then
cat "$alpacon_packed"
printf '\n%s sha256 %s' "$alpacon_name" "$(sha256sum <"$alpacon_packed" | cut -c1-64)"
else
printf '\n%s bytes %s' "$alpacon_name" "$alpacon_size"
fi
}} | alpacon_lines >&3
echo '[part]' >&3
}}
alpacon_run_with_files() {{
audit_files=$(mktemp -d) && export audit_files || audit_files=
alpacon_run_check "$@"
[ "$audit_files" ] || return
for alpacon_file in "$audit_files"/*; do
[ ! -s "$alpacon_file" ] || alpacon_send_file "$1" "$alpacon_file"
done
rm -r "$audit_files"
unset audit_files
}}
"""


@dataclass(frozen=True)
class ScannerFile:
    """A compressed file of a scanner.

    Attributes:
        content: empty once it is stored, and if there is a problem.
        path: where it is stored, relative to the report; empty if it is not.
        problem: why there is no file; otherwise empty.
    """

    name: str
    content: bytes = field(default=b"", repr=False)
    problem: str = ""
    path: str = ""
    size: int = 0
    digest: str = ""

    def to_row(self, check: str) -> dict[str, Any]:
        about = {"path": self.path or None, "bytes": self.size or None, "sha256": self.digest or None}
        return {"check": check, "name": self.name, **about, "problem": self.problem}


def parse_files(stdout: bytes, expected: Mapping[str, Sequence[str]]) -> dict[str, list[ScannerFile]]:
    """Return the files in the output of a payload, by the names of checks.

    Args:
        expected: the names of the files of each check, before they were compressed.
    """
    found: dict[tuple[str, str], ScannerFile] = {}
    for part in split_parts(stdout) if expected else ():
        first, _newline, rest = part.partition(b"\n")
        check, _blank, packed_name = first.decode("ascii", "replace").partition(" ")
        name, suffix = os.path.splitext(packed_name)
        if suffix in _SUFFIXES and name in expected.get(unquote(check), ()):
            content, _newline, last = rest.rpartition(b"\n")
            status = last.decode("ascii", "replace").removeprefix(f"{check} {packed_name} ")
            found[unquote(check), name] = _make_file(packed_name, content, status)
    return {
        check: [found.get((check, name), ScannerFile(name, problem=_NOT_SENT)) for name in names]
        for check, names in expected.items()
    }


def _make_file(name: str, content: bytes, status: str) -> ScannerFile:
    kind, _blank, value = status.partition(" ")
    if kind == "bytes" and value.isdecimal() and not content:
        problem = f"It has {int(value[:12]):,} bytes when compressed, and at most {_MAX_BYTES:,} are sent."
        return ScannerFile(name, problem=problem)
    digest = hashlib.sha256(content).hexdigest()
    if kind != "sha256" or value != digest:
        return ScannerFile(name, problem="It was damaged on its way.")
    return ScannerFile(name, content, size=len(content), digest=digest)


class EvidenceFolder:
    """The folder of scanners' files beside the report."""

    def __init__(self, report_folder: Path) -> None:
        self._folder = report_folder / FOLDER
        #: The digests by the names of files.
        self._digests: dict[str, str] = {}

    def store(self, host: str, check: str, file: ScannerFile) -> ScannerFile:
        """Write a file, and return it without its content."""
        if not file.content:
            return file
        name = f"{quote(host, safe='')}.{quote(check, safe='')}.{file.name}"
        try:
            self._write(name, file.content)
        except OSError as error:
            return ScannerFile(file.name, problem=f"It could not be written: {error.strerror or error}.")
        self._digests[name] = file.digest
        return replace(file, content=b"", path=f"{FOLDER}/{name}")

    def write_sums(self) -> dict[str, str] | None:
        """Write the file of digests, and return its path and its own digest; None if there is nothing in it.

        Raises:
            OSError: it cannot be written.
        """
        if not self._digests:
            return None
        content = "".join(f"{digest}  {name}\n" for name, digest in sorted(self._digests.items())).encode()
        self._write(SUMS, content)
        return {"path": f"{FOLDER}/{SUMS}", "sha256": hashlib.sha256(content).hexdigest()}

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with open_private(self._folder / name) as file:
            file.write(content)
