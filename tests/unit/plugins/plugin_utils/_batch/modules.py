# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make modules as ansible-core packs them, and parts of outputs as hosts write them."""

from __future__ import annotations

import base64
import io
import json
import random
import zipfile
import zlib


def make_module(words: str, minute: int = 0) -> bytes:
    """Return a module with an archive, packed at a time, that prints its arguments in JSON."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as members:
        for number in range(5):
            header = zipfile.ZipInfo(f"utilities{number}.py", (2026, 11, 26, 12, minute, 0))
            members.writestr(header, f"# {random.Random(number).randbytes(3000).hex()}\n")
    return f"""import base64, io, json, zipfile
ZIPDATA = '{base64.b64encode(packed.getvalue()).decode()}'
assert zipfile.ZipFile(io.BytesIO(base64.b64decode(ZIPDATA))).testzip() is None
print(json.dumps({{"words": {words!r}}}))
""".encode()


def make_part(about: object, streams: bytes = b"", packed: bytes | None = None) -> bytes:
    """Return a part as the output of a program has it; bytes are no JSON."""
    line = about if isinstance(about, bytes) else json.dumps(about).encode()
    content = line + b"\n" + (zlib.compress(streams) if packed is None else packed)
    return b"[part %d]\n%s\n" % (len(content), content)
