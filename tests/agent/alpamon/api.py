# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP client of the agent. It ignores proxies of the environment, as the genuine agent does."""

from __future__ import annotations

import json
import ssl
import time
import typing as t
import urllib.error
import urllib.request

from .config import Config
from .version import VERSION

USER_AGENT = f"alpamon/{VERSION}"


class ApiError(Exception):
    """No response was received."""


class Api:
    def __init__(self, url: str, authorization: str, verify: bool = True, ca_cert: str = "") -> None:
        self.url, self.authorization = url.removesuffix("/"), authorization
        #: What it trusts.
        self.context = ssl.create_default_context(cafile=ca_cert or None)
        if not verify:
            self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context))
        self._opener = urllib.request.build_opener(*handlers)

    @classmethod
    def of(cls, config: Config) -> Api:
        return cls(config.url, f'id="{config.id}", key="{config.key}"', config.verify, config.ca_cert)

    def send(self, method: str, path: str, body: t.Any = None, timeout: float = 5) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": self.authorization, "User-Agent": USER_AGENT, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except (OSError, ValueError) as error:
            raise ApiError(str(error)) from error

    def report(self, method: str, path: str, body: t.Any = None) -> bool:
        for pause in (1, 2, 4, 8, 16, 0):
            try:
                if 200 <= self.send(method, path, body)[0] < 300:
                    return True
            except ApiError:
                pass
            time.sleep(pause)
        return False
