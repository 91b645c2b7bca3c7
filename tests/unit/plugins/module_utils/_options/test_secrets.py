# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mask values of env in every form, and escape terminal controls."""

from __future__ import annotations

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    ApiError,
    UsageError,
    clean,
    clean_line,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._options.secrets import (
    collect_secrets,
    mask_records,
    mask_secrets,
    redact_error,
    sanitize_result,
)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("s3cret\nsecond", "second"),
        ("s3cret\n", "s3cret"),
        ('a"b\\c', r"a\"b\\c"),
        ("it's\nso", r"it's\nso"),
        ("x" * 400, "x" * 400),
        ("grün!", r"gr\u00fcn!"),
        ("grün!", r"gr\xfcn!"),
        ('grün"\nzz9', r"grün\"\nzz9"),
        ("grün\x1bc9", r"grün\x1bc9"),
        ("a<b&c9", r"a\u003cb\u0026c9"),
        ("a/b/c9", r"a\/b\/c9"),
        ("it's me", r"it'\''s me"),
        ("it's me", "it'\"'\"'s me"),
        ("so (me)", r"so\ \(me\)"),
        (r"Corp\tuser9", "Corp\tuser9"),
        (r"Corp\nuser9", "Corp"),
    ],
)
def test_forms_of_a_secret(value: str, output: str) -> None:
    assert mask_secrets(f"<{output}>", collect_secrets({"env": {"A": value}})) == "<********>"


def test_overlapping_secrets_are_masked() -> None:
    hidden = collect_secrets({"env": {"A": "abcdefgh", "B": "efghijkl", "C": "xyxy", "D": "zzzz"}})
    assert mask_secrets("1abcdefghijkl2xyxyxy3zzzzz4", hidden) == "1********2********3********4"


def test_the_records_of_a_report_are_masked_in_place() -> None:
    rows = [{"output": "a s3cret", "of": ["s3cret", 1]}, {"output": "b"}]
    report = {"title": "s3cret", "results": rows, "summary": {"user": "s3cret"}, "score": 5}
    mask_records(report, {"s3cret"})
    hidden = "*" * 8
    assert rows == [{"output": f"a {hidden}", "of": [hidden, 1]}, {"output": "b"}]
    assert report == {"title": hidden, "results": rows, "summary": {"user": hidden}, "score": 5}


def test_short_values_are_no_secrets() -> None:
    hidden = collect_secrets({"env": {"A": "0", "B": "abc\n", "C": "a\nb\nc"}, "token": None})
    assert mask_secrets("0 abc a b c", hidden) == "0 abc a b c"


def test_numbers_are_secrets() -> None:
    assert {"12345678", "0.12345"} <= collect_secrets({"token": 12345678, "env": {"A": 0.12345}})


def test_values_of_any_type_are_secrets() -> None:
    assert collect_secrets({"token": {"a": ["s3cret"]}, "key": None}) == {"s3cret"}


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (UsageError("line", "'s3cret' is wrong", "Mend it."), "line: the problem is not shown"),
        (UsageError("servers", "there is no web-1", "Mend it."), "servers: there is no web-1"),
        (AlpaconError("no connection"), "no connection"),
    ],
)
def test_no_log_hides_the_value_in_an_error(error: AlpaconError, shown: str) -> None:
    assert str(redact_error(error)).startswith(shown)
    assert "s3cret" not in str(redact_error(error))


def test_a_result_without_commands_is_sanitized() -> None:
    row = {"servers": [{"name": "s3cret"}], "msg": "s3cret\x1b[2J", "id": "s3cret", "status": "s3cret"}
    shown = sanitize_result(row, {"s3cret"})
    assert shown == {"servers": [{"name": "********"}], "msg": r"********\x1b[2J", "id": "s3cret", "status": "********"}


ESCAPES = "\x1b[2J\x9b31m\x07\rgone\u202e\x00\x7f"


def test_messages_have_no_terminal_controls() -> None:
    assert clean("a\tb\r\nc") == "a\tb\nc"
    assert clean("\x1b[2J\rx\x9b\u202e") == "\\x1b[2J\\x0dx\\x9b\\u202e"
    assert clean_line("a\nb") == "a\\nb"
    assert "\x1b" not in str(ApiError("GET", "/", 500, text=ESCAPES))
    result = {
        "msg": ESCAPES,
        "stdout": ESCAPES,
        "commands": [{"msg": ESCAPES, "stdout": ESCAPES}],
        "warnings": ["a\nb"],
    }
    shown = sanitize_result(result, set())
    assert shown["stdout"] == shown["commands"][0]["stdout"] == ESCAPES
    assert shown["msg"] == shown["commands"][0]["msg"] == clean(ESCAPES)
    assert shown["warnings"] == ["a\\nb"]
