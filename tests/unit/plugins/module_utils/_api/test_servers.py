# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a name that no server has: the server that is certainly meant, and never just any other."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.servers import remedy

SEEN = ["db-01", "My Server", "web-01", "web-02", "web-03", "twin.a.example", "twin.b.example"]
NOBODY: Any = None
A_LIST = "Give a list, or names with commas between them."
A_GROUP = "For the hosts of a group of the inventory, give groups['all'] in a template."
NO_PATTERN = (
    "Patterns are not taken here: name servers, or select them with alpacon_server_info"
    " or by the hosts of an inventory."
)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("wbe-01", "Did you mean web-01?"),
        ("web01", "Did you mean web-01?"),
        ("web-1", "Did you mean web-01?"),
        ("WEB-01", "Did you mean web-01?"),
        (" web-01\t", "Did you mean web-01?"),
        ("Web-01.example.com", "Did you mean web-01?"),
        ("my-server", "Did you mean My Server?"),
        ("web-*", NO_PATTERN),
        ("web-0?", NO_PATTERN),
        ("web-0[12]*", NO_PATTERN),
        ("web-01 web-02", A_LIST),
        ('["web-01"]', A_LIST),
        ("web-01;web-02", A_LIST),
        ("all", A_GROUP),
        ("web-99", "Check the name."),
        ("web-9", "Check the name."),
        ("wbe-04", "Check the name."),
        ("twin", "Check the name."),
        ("10.0.0.1", "Check the name."),
        ("c0ffee00-0000-4000-8000-000000000000", "Check the UUID."),
    ],
)
def test_only_a_server_that_is_certainly_meant_is_offered(reference: str, said: str) -> None:
    rights = "" if said in (A_LIST, NO_PATTERN, A_GROUP) else " The token may also not see that server."
    assert remedy(NOBODY, reference, SEEN) == f"{said}{rights}"
