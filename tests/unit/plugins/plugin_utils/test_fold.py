# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.herdops.alpacon.plugins.filter.by_output import by_output
from ansible_collections.herdops.alpacon.plugins.plugin_utils._fold import fold_commands, get_name, show_results

Row = dict[str, Any]


def command(number: int, stdout: str = "", rc: int | None = 0, outcome: str = "success", **fields: Any) -> Row:
    server = {"id": f"id-{number}", "name": f"web-{number:04}"}
    texts = {"stdout": stdout, "stderr": "", "msg": "Succeeded."}
    return {"id": f"command-{number}", "server": server, "outcome": outcome, "rc": rc, **texts, **fields}


def make_fleet(servers: int) -> list[Row]:
    """Return the results of a fleet: 40 differ, two are offline, the others are alike."""
    rows = [command(number, "5.15.0-91") for number in range(servers)]
    for number in range(40):
        place = number * 7 + 3
        rows[place] = command(place, "5.4.0" if number < 4 else f"5.15.0-{number}")
    for place in (servers - 9, servers - 1):
        rows[place] = command(place, rc=None, outcome="offline")
    return rows


def fold(*rows: Row) -> list[str]:
    return fold_commands([(get_name(row), row) for row in rows])


def test_two_thousand_results_are_three_lines() -> None:
    hosts = {"localhost": {"alpacon_result": {"commands": make_fleet(2000)}}}
    assert show_results(hosts, hosts, fold=True) == [
        "1,958 servers alike, rc 0: 5.15.0-91",
        "40 differ: web-0003 and 3 more: 5.4.0; web-0031: 5.15.0-4; web-0038: 5.15.0-5; web-0045: 5.15.0-6;"
        " web-0052: 5.15.0-7; and 32 more (-v shows every result)",
        "2 offline: web-1991, web-1999",
    ]


def test_the_output_of_a_group_is_a_block_if_it_has_several_lines() -> None:
    rows = [command(number, "one\ntwo", stderr="three") for number in range(9)]
    failed = [command(number, rc=4, outcome="failed") for number in (20, 21)]
    assert fold(*rows, *failed, command(30, "a\n\nb")) == [
        "9 servers alike, rc 0",
        "    one",
        "    two",
        "    three",
        "web-0020, web-0021: failed, rc 4",
        "web-0030: rc 0",
        "    a",
        "    ",
        "    b",
    ]


def test_of_servers_that_all_differ_the_first_are_named() -> None:
    rows = [command(number, f"{number}\nmore" if number else "x" * 81) for number in range(21)]
    assert fold(*rows) == [
        f"21 differ: web-0000: {'x' * 80}...; web-0001: 1...; web-0002: 2...; web-0003: 3...; web-0004: 4...;"
        " and 16 more (-v shows every result)"
    ]
    assert len(fold(*rows[1:])) == 60


def test_an_exit_code_is_shown_if_it_is_not_the_usual_one() -> None:
    alike = [command(number, rc=3, outcome="failed", rc_assumed=True) for number in range(30)]
    others = [command(100 + number, str(number), rc=number % 2) for number in range(21)]
    header, line = fold(*alike, *others)
    assert header == "30 servers alike, failed, rc 3 (assumed)"
    assert line.startswith("21 differ: web-0100: rc 0: 0; web-0101: rc 1: 1; ")
    assert fold(*others)[0].startswith("21 differ: web-0100: 0; web-0101: rc 1: 1; ")
    assert fold(*alike[:2], command(9, output_complete=False))[1] == "web-0009: rc 0, output incomplete"


def test_other_outcomes_are_a_line_each() -> None:
    rows = [command(number, rc=None, outcome="timed_out", msg=f"message {number}") for number in range(7)]
    never_ran = command(8, "sudo: unknown user", rc=None, outcome="failed")
    predicted = {**command(9, rc=None), "outcome": None, "id": None}
    assert fold(*rows, never_ran, predicted) == [
        "7 timed_out: web-0000, web-0001, web-0002, web-0003, web-0004 and 2 more",
        f"    Ids: {','.join(f'command-{number}' for number in range(7))}",
        "1 failed: web-0008",
        "1 check mode: web-0009",
    ]


def test_an_id_is_shown_once() -> None:
    for message, lines in (("Held.", ["    Held. Id command-1"]), ("Await id=command-1.", ["    Await id=command-1."])):
        row = command(1, rc=None, outcome="awaiting_approval", msg=message)
        shown = show_results(["a"], {"a": {"alpacon_result": {"commands": [row]}}})
        assert shown == ["web-0001: awaiting_approval", *lines]


def test_texts_of_hosts_reach_no_terminal() -> None:
    escape = "\x1b]0;title\x07\u202e"
    rows = [command(number, f"{escape}\n{escape}") for number in range(2)]
    rows += [command(number + 10, f"{number}{escape}") for number in range(21)]
    for row in rows:
        row["server"]["name"] += escape
    shown = "\n".join([*fold(*rows), *fold(*rows[:12]), *fold(*[{**row, "outcome": "offline"} for row in rows])])
    shown += "\n".join(show_results(["a"], {"a": {"alpacon_result": {"commands": rows}}}))
    assert shown.replace("\n", "").isprintable()


def test_the_host_names_a_server_without_a_name() -> None:
    nameless = [{**command(number), "server": {"id": f"id-{number}", "name": None}} for number in range(2)]
    variables: dict[str, Row] = {
        f"host-{number}": {"alpacon_result": {"commands": [row]}} for number, row in enumerate(nameless)
    }
    variables["failed"] = {}
    assert show_results(variables, variables) == ["host-0: success, rc 0", "host-1: success, rc 0"]
    assert show_results(["host-1"], variables) == ["id-1: success, rc 0"]


def test_groups_are_returned_with_the_largest_first() -> None:
    rows = [command(1, "b", msg="first"), command(2, "a"), command(3, "b", rc=1, outcome="failed"), command(4, "b")]
    first, *others = by_output(rows)
    expected = {"outcome": "success", "rc": 0, "stdout": "b", "stderr": "", "msg": "first"}
    assert first == {"count": 2, "servers": ["web-0001", "web-0004"], **expected}
    assert [group["servers"] for group in others] == [["web-0002"], ["web-0003"]]
    assert by_output([]) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"commands": []}, "It needs a list of commands, not a mapping."),
        ("web-01", "not a value of the type str"),
        (None, "not a value of the type NoneType"),
        ([command(1), "text"], "Element 1 is not a command"),
        ([{"id": "x"}], "Element 0 is not a command: it has no server."),
        ([{**command(1), "stdout": ["a"]}], "Element 0 has a value of the type list in stdout."),
        ([{**command(1), "rc": {}}], "Element 0 has a mapping in rc."),
    ],
)
def test_other_input_is_an_error_with_a_remedy(given: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match="Give commands of a result") as caught:
        by_output(given)
    assert message in str(caught.value)
