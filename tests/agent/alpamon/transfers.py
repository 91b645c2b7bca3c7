# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File transfers: what an agent fetches from the object storage, or stores there."""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

from .faults import CommandFaults
from .lines import Account
from .version import VERSION

#: Seconds of silence, and the size of a piece in bytes.
_TIMEOUT, _PIECE = 60.0, 2**16


class Transfers:
    """Carries out the internal commands `download` (into a file of the server) and `upload` (of one)."""

    VERBS = ("download", "upload")

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        handlers: list[t.Any] = [urllib.request.ProxyHandler({})]
        if tls is not None:
            handlers.append(urllib.request.HTTPSHandler(context=tls))
        self._opener = urllib.request.build_opener(*handlers)

    def run(
        self, verb: str, order: dict[str, t.Any], path: Path, account: Account, faults: CommandFaults
    ) -> tuple[int, str]:
        """Return the exit code and the result; blocks, so call it in a thread."""
        try:
            if verb == "upload":
                return self._store(path, order["content"])
            if path.exists() and not order["allow_overwrite"]:
                return 1, f"{order['path']} already exists."
            return self._fetch(path, order["content"], account, bool(faults.get("half_file")))
        except urllib.error.HTTPError as error:
            return 1, f"Failed to transfer the file: status code {error.code}"
        except urllib.error.URLError as error:
            return 1, f"Failed to transfer the file: {error.reason}"
        except OSError as error:
            return 1, f"open {order['path']}: {os.strerror(error.errno or 0).lower()}"

    def _fetch(self, path: Path, url: str, account: Account, stops: bool) -> tuple[int, str]:
        """Write the file in place, so that its owner and mode stay; `stops` ends in the middle of it."""
        with tempfile.TemporaryFile() as content, self._open("GET", url) as response:
            shutil.copyfileobj(response, content, _PIECE)
            size = content.tell()
            content.seek(0)
            is_new = not path.exists()
            with path.open("r+b" if not is_new else "wb") as file:
                file.truncate(0)
                if stops:
                    file.write(content.read(size // 2))
                    return 1, f"write {path}: no space left on device"
                shutil.copyfileobj(content, file, _PIECE)
            if is_new and account.options():
                os.chown(path, account.uid or 0, account.gid or 0)
        return 0, f"Successfully downloaded {path}."

    def _store(self, path: Path, url: str) -> tuple[int, str]:
        with path.open("rb") as content:
            size = os.fstat(content.fileno()).st_size
            headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
            with self._open("PUT", url, content, headers):
                return 0, f"Successfully uploaded {path}."

    def _open(self, method: str, url: str, content: t.Any = None, headers: dict[str, str] | None = None) -> t.Any:
        agent = {"User-Agent": f"alpamon/{VERSION}"}
        request = urllib.request.Request(url, data=content, method=method, headers={**agent, **(headers or {})})
        return self._opener.open(request, timeout=_TIMEOUT)
