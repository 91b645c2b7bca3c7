# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replace the parts of a module that the host has cached by their digests.

ansible-core packs each module with its utilities, mostly the same ones, into an archive. The account caches the members
of that archive on the host, named by their SHA-256. It never caches the arguments of a task, which are outside of the
archive. The host compares the digests of the parts and of the whole module before it runs the module. If a part is
missing, nothing runs, and the whole module has to be sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ...module_utils._payload.packing import compress
from .runner import CommandResult

#: In bytes. Shorter parts are sent each time, since a digest is hardly shorter.
MIN_CACHED_PART = 400
#: Archive in ansible-core's wrapper. Arguments cannot match, since their quotes are escaped.
_ARCHIVE = re.compile(rb"(?<=(?:ZIPDATA = '|\nzip_data='))[A-Za-z0-9+/]{4000,}={0,2}(?=')")
_MISSING = "alpacon: cached parts of this module are missing"
#: Exit code of a program whose cached parts are missing.
MISSING_RC = 125

#: Beginning of programs that run on the host, on every Python that modules run on. The current directory is the home of
#: the account: nothing is imported from there. A part is the digest of a cached part, or the number of bytes of a sent
#: one, negative if it is to be cached.
CACHE_CODE = r"""
import sys
sys.path = [place for place in sys.path if place not in ("", ".")]
import base64, hashlib, json, os, time, zlib
folder = os.path.join(os.path.expanduser("~"), ".cache", "alpacon", "modules")
def is_safe():
    try:
        if not os.path.isdir(folder):
            os.makedirs(os.path.dirname(folder), 0o700) if not os.path.isdir(os.path.dirname(folder)) else None
            os.mkdir(folder, 0o700)
        state = os.lstat(folder)
    except (IOError, OSError):
        return False
    own = state.st_uid == os.getuid() and not state.st_mode & 0o077
    return own and os.path.isdir(folder) and not os.path.islink(folder)
def load_part(name):
    with open(os.path.join(folder, name), "rb") as file:
        part = file.read()
    if hashlib.sha256(part).hexdigest() != name:
        raise IOError(name)
    return part
def load_parts(items, sent):
    # Return all parts, or None if a cached one is missing, and those to cache.
    safe = any(not isinstance(item, int) or item < 0 for item in items) and is_safe()
    at, parts, new = 0, [], []
    try:
        for item in items:
            if not isinstance(item, int):
                if not safe:
                    return None, []
                parts.append(load_part(item))
                continue
            parts.append(sent[at:at + abs(item)])
            at += abs(item)
            if item < 0 and safe:
                new.append(parts[-1])
    except (IOError, OSError):
        return None, []
    return parts, new
def store_parts(parts):
    try:
        for name in os.listdir(folder) if parts else ():
            path = os.path.join(folder, name)
            if os.stat(path).st_mtime < time.time() - 30 * 86400:
                os.unlink(path)
        for part in parts:
            name = os.path.join(folder, hashlib.sha256(part).hexdigest())
            fresh = "%s.%d" % (name, os.getpid())
            with open(fresh, "wb") as file:
                file.write(part)
            os.rename(fresh, name)
    except (IOError, OSError):
        pass
"""
_CODE = r"""
about, sent = json.loads(@ABOUT@), zlib.decompress(base64.b64decode("@SENT@"))
def get_code():
    parts, new = load_parts(about["parts"], sent)
    whole, (first, last) = b"".join(parts or ()), about["ends"]
    code = whole[:first] + base64.b64encode(whole[first:len(whole) - last]) + whole[len(whole) - last:]
    if parts is None or hashlib.sha256(code).hexdigest() != about["digest"]:
        sys.stdout.write("@MISSING@ " + about["digest"])
        sys.stdout.flush()
        os._exit(@RC@)
    store_parts(new)
    return code
exec(compile(get_code(), "<stdin>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
"""


@dataclass(frozen=True)
class ReducedModule:
    """Program that assembles a module from sent and cached parts, and runs it.

    Attributes:
        digest: SHA-256 of the module.
        parts: Digests of the parts that the host has cached after the command.
        relies_on_host: At least one part is not sent.
    """

    program: bytes
    digest: str
    parts: frozenset[str]
    relies_on_host: bool

    def is_part_missing(self, result: CommandResult) -> bool:
        """Return True if a cached part was missing, and the module did not run."""
        # With become, ansible-core's success mark is on the line before.
        last = result.stdout.rpartition(b"\n")[2]
        return self.relies_on_host and result.rc == MISSING_RC and last == f"{_MISSING} {self.digest}".encode()


def reduce_module(module: bytes, cached: Collection[str]) -> ReducedModule | None:
    """Leave out the cached parts of a module; return None for a module without an archive.

    Args:
        cached: Digests of the cached parts.
    """
    pieces = split_module(module)
    if pieces is None:
        return None
    head, members, tail = pieces
    items: list[int | str] = [len(head)]
    sent, parts = [head], set()
    for part in members:
        name = hashlib.sha256(part).hexdigest()
        if len(part) < MIN_CACHED_PART:
            items.append(len(part))
            sent.append(part)
            continue
        parts.add(name)
        items.append(name if name in cached else -len(part))
        sent += [] if name in cached else [part]
    items.append(len(tail))
    sent.append(tail)
    digest = hashlib.sha256(module).hexdigest()
    about = json.dumps({"digest": digest, "ends": [len(head), len(tail)], "parts": items}, separators=(",", ":"))
    relies_on_host = any(isinstance(item, str) for item in items)
    packed = base64.b64encode(compress(b"".join(sent), zlib.MAX_WBITS)).decode()
    code = _CODE.replace("@ABOUT@", repr(about)).replace("@SENT@", packed)
    code = code.replace("@MISSING@", _MISSING).replace("@RC@", str(MISSING_RC))
    return ReducedModule(f"{CACHE_CODE}{code}".encode(), digest, frozenset(parts), relies_on_host)


def split_module(module: bytes) -> tuple[bytes, list[bytes], bytes] | None:
    """Return the code before the archive of a module, the parts of that archive and the code after it.

    Joined and encoded in Base64, the parts are the archive. Return None for a module without an archive.
    """
    archive = _ARCHIVE.search(module)
    content = _decode_archive(archive[0]) if archive else None
    if archive is None or content is None:
        return None
    return module[: archive.start()], list(_split_archive(content)), module[archive.end() :]


def _decode_archive(text: bytes) -> bytes | None:
    """Decode an archive in Base64 if encoding it again gives the same text."""
    try:
        content = base64.b64decode(text, validate=True)
        zipfile.ZipFile(io.BytesIO(content)).close()
    except (binascii.Error, zipfile.BadZipFile):
        return None
    return content if base64.b64encode(content) == text else None


def _split_archive(archive: bytes) -> Iterator[bytes]:
    """Yield headers and contents of members one by one, since a header has the time of packing."""
    end = 0
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        for member in sorted(members.infolist(), key=lambda member: member.header_offset):
            header = archive[member.header_offset : member.header_offset + 30]
            start = (
                member.header_offset
                + 30
                + int.from_bytes(header[26:28], "little")
                + int.from_bytes(header[28:30], "little")
            )
            yield archive[end:start]
            end = start + member.compress_size
            yield archive[start:end]
    yield archive[end:]
