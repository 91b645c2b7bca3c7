# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test which URLs of a workspace's object storage are used."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._api.storage import UnsafeUrl, check_url

_REMOTE = Settings("https://my-workspace.us1.alpacon.io", "")
_LOCAL = Settings("http://127.0.0.1:8080", "")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://bucket.s3.amazonaws.com/a/b?X-Amz-Signature=0a1b%2F", "bucket.s3.amazonaws.com:443"),
        ("https://storage.example.com:9000/x", "storage.example.com:9000"),
        ("HTTPS://10.1.2.3/x", "10.1.2.3:443"),
    ],
)
def test_an_https_url_is_used_and_its_host_is_named(url: str, host: str) -> None:
    checked = check_url(url, _REMOTE)
    assert (checked.text, checked.host) == (url, host)
    assert "Signature" not in repr(checked)


@pytest.mark.parametrize(
    "url",
    [
        None,
        {},
        "",
        "https://",
        "/api/events/commands/",
        "//storage.example.com/x",
        "http://storage.example.com/x",
        "ftp://storage.example.com/x",
        "file:///etc/passwd",
        "unix:///run/docker.sock",
        "https://user:word@storage.example.com/x",
        "https://user@storage.example.com/x",
        "https://good.example.com\\@evil.example.com/x",
        "https://good.example.com /x",
        "https://good.example.com/x\r\nAuthorization: y",
        "https://good.example.com:0/x",
        "https://good.example.com:99999/x",
        "https://good.example.com:x/x",
        "https://b\u00fccher.example.com/x",
        "https://" + "a" * 20_000 + ".example.com/",
        "https://a..b/x",
    ],
)
def test_any_other_url_is_refused(url: Any) -> None:
    for settings in (_REMOTE, _LOCAL):
        with pytest.raises(UnsafeUrl, match="Nothing was sent"):
            check_url(url, settings)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ),
        *("0.0.0.0", "[::]", "169.254.169.254", "[fe80::1]", "127.1", "2130706433", "0x7f000001", "0x7f.1"),
    ],
)
def test_a_workspace_elsewhere_may_not_name_this_machine(host: str) -> None:
    with pytest.raises(UnsafeUrl, match="this machine"):
        check_url(f"https://{host}:443/x", _REMOTE)


def test_a_workspace_on_this_machine_may_have_its_storage_there() -> None:
    assert check_url("http://127.0.0.1:9000/x", _LOCAL).host == "127.0.0.1:9000"
    assert check_url("http://localhost:9000/x", _LOCAL).host == "localhost:9000"
