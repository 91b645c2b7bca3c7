# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the options of alpacon_file, and where downloads are saved."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.file import SPEC
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.file_options import FOUND, HOST, FileOptions


def parse(**given: Any) -> FileOptions:
    defaults = {name: option.get("default") for name, option in SPEC.items()}
    options = {**defaults, "max_size": 2**30, "servers": ["web-01"], **given}
    if options["state"] == "uploaded" and options["src"]:
        options[FOUND] = options["src"]
    return FileOptions.from_options(options)


def parse_download(dest: str, *servers: str, **given: Any) -> FileOptions:
    return parse(state="downloaded", src="/etc/hostname", dest=dest, servers=list(servers), **given)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"dest": "/x"}, "src"),
        ({"dest": "/x", "src": "a", "content": "b"}, "src"),
        ({"dest": "x", "content": "b"}, "dest"),
        ({"dest": "/x/", "content": "b"}, "dest"),
        ({"dest": "/x/..", "content": "b"}, "dest"),
        ({"dest": "/srv/../etc/passwd", "content": "b"}, "dest"),
        ({"dest": "/x\n", "content": "b"}, "dest"),
        ({"dest": "/" + "x" * 5000, "content": "b"}, "dest"),
        ({"dest": "/x", "content": "b", "servers": []}, "servers"),
        ({"dest": "/x", "content": "b", "wait_timeout": "0"}, "wait_timeout"),
        ({"state": "downloaded", "dest": "/x"}, "src"),
        ({"state": "downloaded", "dest": "/x", "src": "/y", "content": ""}, "content"),
        ({"state": "downloaded", "dest": "/x", "src": "y"}, "src"),
        ({"state": "downloaded", "dest": "/tmp", "src": "/y"}, "dest"),
        ({"state": "downloaded", "dest": "/dev/null", "src": "/y"}, "dest"),
        ({"state": "downloaded", "dest": "/x", "src": "/y", "servers": ["a", "b"]}, "dest"),
        ({"state": "downloaded", "dest": "/x/", "src": "/y", "servers": ["a", "A"]}, "servers"),
        ({"state": "downloaded", "dest": "/x", "src": "/y", "max_size": -1}, "max_size"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], option: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(**options)
    assert error.value.option == option


def test_a_download_lies_where_the_task_says() -> None:
    assert parse_download("copy", "web-01").list_targets() == {"web-01": "copy"}
    server = "7a50ea6c-2138-4d3f-9633-e50694c847c4"
    found = parse_download("/logs/", "web-01.example.com", server.upper()).list_targets()
    assert list(found.values()) == ["/logs/web-01.example.com/hostname", f"/logs/{server}/hostname"]
    assert parse_download("/logs/", server, **{HOST: "db"}).list_targets() == {server: "/logs/db/hostname"}


@pytest.mark.parametrize("name", ["..", ".", ".ssh", "a/b", "a\nb", "-x", "a b", "\u00e4", "a\0"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"^servers: "):
        parse_download("/logs/", name)
    with pytest.raises(UsageError, match=r"^servers: "):
        parse_download("/logs/", "web-01", **{HOST: name})
