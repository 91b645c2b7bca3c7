# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send a host the parts of a module once: later ones name what is in a folder of the account there.

ansible-core packs a module with all of its utilities into an archive, the same ones for nearly every module. Only code
is kept on the host; the arguments of a task stand beside the archive. What is kept is named by its SHA-256, and the
host compares that, and the one of the whole module, before it runs anything. Where something is missing it says so,
runs nothing, and gets all of it.
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

from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import RunResult

#: What is shorter costs less to send than to name, in bytes.
_SHORTEST = 400
#: Where the wrapper of ansible-core has it; arguments have their quotes escaped, so that none can look like that.
_ARCHIVE = re.compile(rb"(?<=(?:ZIPDATA = '|\nzip_data='))[A-Za-z0-9+/]{4000,}={0,2}(?=')")
_MISSING = "alpacon: what is kept for this module is not complete"
_MISSING_RC = 125

# Runs on every Python that modules run on, in the home of the account, from which nothing must be imported. An item of
# the list is the digest of what is kept, or a number of bytes that come along, negative where they are to be kept.
_CODE = r"""
import sys
sys.path = [place for place in sys.path if place not in ("", ".")]
import base64, hashlib, json, os, time, zlib
about, sent = json.loads(@ABOUT@), zlib.decompress(base64.b64decode("@SENT@"))
folder = os.path.join(os.path.expanduser("~"), ".cache", "alpacon", "modules")
def trusted():
    if not os.path.isdir(folder):
        os.makedirs(os.path.dirname(folder), 0o700) if not os.path.isdir(os.path.dirname(folder)) else None
        os.mkdir(folder, 0o700)
    state = os.lstat(folder)
    own = state.st_uid == os.getuid() and not state.st_mode & 0o077
    return own and os.path.isdir(folder) and not os.path.islink(folder)
def kept(name):
    with open(os.path.join(folder, name), "rb") as file:
        part = file.read()
    if hashlib.sha256(part).hexdigest() != name:
        raise IOError(name)
    return part
def keep(part):
    name = os.path.join(folder, hashlib.sha256(part).hexdigest())
    fresh = "%s.%d" % (name, os.getpid())
    with open(fresh, "wb") as file:
        file.write(part)
    os.rename(fresh, name)
def assembled():
    at, parts, new = 0, [], []
    for item in about["parts"]:
        if isinstance(item, int):
            parts.append(sent[at:at + abs(item)])
            at += abs(item)
            if item < 0:
                new.append(parts[-1])
        else:
            parts.append(kept(item))
    first, last = about["ends"]
    whole = b"".join(parts)
    code = whole[:first] + base64.b64encode(whole[first:len(whole) - last]) + whole[len(whole) - last:]
    return code, new
def found():
    try:
        safe = trusted()
    except (IOError, OSError):
        safe = False
    try:
        code, new = assembled() if safe or all(isinstance(item, int) for item in about["parts"]) else ("", [])
    except (IOError, OSError):
        code, new = "", []
    if hashlib.sha256(code or b"").hexdigest() != about["digest"]:
        sys.stdout.write("@MISSING@ " + about["digest"])
        sys.stdout.flush()
        os._exit(@RC@)
    try:
        for name in os.listdir(folder) if new and safe else ():
            path = os.path.join(folder, name)
            if os.stat(path).st_mtime < time.time() - 30 * 86400:
                os.unlink(path)
        for part in new if safe else ():
            keep(part)
    except (IOError, OSError):
        pass
    return code
exec(compile(found(), "<stdin>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
"""


@dataclass(frozen=True)
class ReducedModule:
    """A module without the parts that a host keeps.

    Attributes:
        program: what is fed to Python instead.
        digest: of the module.
        parts: digests of what the host keeps when it has run.
        relies_on_host: whether the host has to have kept something.
    """

    program: bytes
    digest: str
    parts: frozenset[str]
    relies_on_host: bool

    def is_missed(self, answer: RunResult) -> bool:
        """Whether the host had not kept what it should have, and has run nothing."""
        # With become, a line stands before it that says that the other account was reached.
        last = answer.stdout.rpartition(b"\n")[2]
        return self.relies_on_host and answer.rc == _MISSING_RC and last == f"{_MISSING} {self.digest}".encode()


def reduce_module(fed: bytes, known: Collection[str]) -> ReducedModule | None:
    """A module without what the host is known to keep; None where what is fed is no such module.

    Args:
        known: digests of what the host keeps.
    """
    archive = _ARCHIVE.search(fed)
    content = _decoded(archive[0]) if archive else None
    if archive is None or content is None:
        return None
    head, tail = fed[: archive.start()], fed[archive.end() :]
    items: list[int | str] = [len(head)]
    sent, parts = [head], set()
    for part in _parts(content):
        name = hashlib.sha256(part).hexdigest()
        if len(part) < _SHORTEST:
            items.append(len(part))
            sent.append(part)
            continue
        parts.add(name)
        items.append(name if name in known else -len(part))
        sent += [] if name in known else [part]
    items.append(len(tail))
    sent.append(tail)
    digest = hashlib.sha256(fed).hexdigest()
    about = json.dumps({"digest": digest, "ends": [len(head), len(tail)], "parts": items}, separators=(",", ":"))
    relies_on_host = any(isinstance(item, str) for item in items)
    return ReducedModule(_program(about, b"".join(sent)), digest, frozenset(parts), relies_on_host)


def _program(about: str, sent: bytes) -> bytes:
    packed = base64.b64encode(zlib.compress(sent)).decode()
    code = _CODE.replace("@ABOUT@", repr(about)).replace("@SENT@", packed)
    return code.replace("@MISSING@", _MISSING).replace("@RC@", str(_MISSING_RC)).encode()


def _decoded(text: bytes) -> bytes | None:
    """The archive that stands in Base64, if it is one, and would be written in just this way again."""
    try:
        content = base64.b64decode(text, validate=True)
        zipfile.ZipFile(io.BytesIO(content)).close()
    except (binascii.Error, zipfile.BadZipFile):
        return None
    return content if base64.b64encode(content) == text else None


def _parts(archive: bytes) -> Iterator[bytes]:
    """An archive in pieces: each member apart from its header, which has the time at which it was packed."""
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
