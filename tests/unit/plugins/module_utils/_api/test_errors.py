# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test errors from every shape of body, and their sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api import errors as _errors
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, UsageError, error_from_body
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, recorded, recordings


def read(status: int, body: Any, **more: Any) -> ApiError:
    return error_from_body("POST", LIST, status, body, **more)


def test_every_code_has_a_sentence_and_is_a_certain_refusal() -> None:
    for code, sentence in _errors.SENTENCES.items():
        error = read(400, {"code": code.upper()})
        assert str(error) == f"{sentence} [POST {LIST}: HTTP 400 {code}]"
        assert (error.code, error.stated) == (code, True)
        assert sentence.endswith(".")


def test_an_unknown_code_comes_through() -> None:
    error = read(400, {"code": "Moon_Not_Full", "source": "sky"})
    assert str(error) == f"source: sky [POST {LIST}: HTTP 400 moon_not_full]"
    assert error.details == {"error": {"status": 400, "code": "moon_not_full", "message": "source: sky"}}
    assert str(read(503, {"code": "moon_not_full"})).startswith("The response gives only a code as the reason. [")
    refused = error_from_body("GET", LIST, 401, {"code": "moon_not_full"})
    assert str(refused).startswith("The workspace refuses this, and gives only a code as the reason. [")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"detail": "Not found."}),
        (404, "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"),
        (502, "<title>502 Bad Gateway</title><center>nginx</center>"),
        (403, "Forbidden"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_cause_comes_before_words_that_repeat_the_status(method: str, status: int, body: Any) -> None:
    error = error_from_body(method, LIST, status, body)
    silent = error_from_body(method, LIST, status, body, quoted=False)
    cause = str(silent).removesuffix(f" [{method} {LIST}: HTTP {status}]")
    assert str(error) == f"{cause} {error.text} [{method} {LIST}: HTTP {status}]"
    assert cause.endswith(".")


def test_other_words_of_the_workspace_explain_themselves() -> None:
    assert str(read(400, {"line": ["Too long."]})) == f"line: Too long. [POST {LIST}: HTTP 400]"


def test_a_blamed_field_has_its_own_sentence() -> None:
    error = str(read(400, {"code": "invalid_command", "source": "server"}))
    assert "There is no server with that id" in error
    assert "read it again with --flush-cache" in error
    assert "groupname" not in error


@pytest.mark.parametrize("field", ["username", "groupname"])
def test_a_blamed_account_is_named(field: str) -> None:
    error = read(400, {"code": "INVALID_COMMAND", "source": field})
    assert str(error).startswith("The workspace does not know this username or groupname, or the token is not allowed")
    assert "over the connection become_user, ansible_user and alpacon_groupname" in str(error)
    assert "server" not in str(error)
    assert error.refuses_account
    error.describe_command({field: "deploy", "line": "true"})
    assert f"The command names {field} deploy. [POST" in str(error)
    silent = ApiError("POST", LIST, 400, "invalid_command", source=field, quoted=False)
    silent.describe_command({field: "deploy"})
    assert "deploy" not in str(silent)


@pytest.mark.parametrize(
    ("line", "pattern"), [("df -h /", "df -h /"), ("/bin/sh -c $RUN alpacon:x sha256:0", "/bin/sh -c $RUN *")]
)
def test_a_refusal_by_the_access_list_shows_the_line_and_the_pattern(line: str, pattern: str) -> None:
    error = read(403, {"code": "api_token_acl_not_allowed"})
    error.describe_command({"line": line, "username": "deploy"})
    assert f"The line with username deploy: {line} Its pattern: {pattern} [POST" in str(error)
    silent = ApiError("POST", LIST, 403, "api_token_acl_not_allowed", quoted=False)
    silent.describe_command({"line": line})
    assert line not in str(silent)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "No.", "code": "forbidden", "source": "token"}, "No.; source: token"),
        ({"message": "No.", "error": ["One.", "Two."], "line": "Too long."}, "No.; One. Two.; line: Too long."),
        ({"line": ["One.", "Two."], "shell": ["Three."]}, "line: One. Two.; shell: Three."),
        ({"run_after": {"0": ["Unknown."]}}, "run_after: 0: Unknown."),
        (
            {"code": "invalid", "field_errors": {"line": [{"code": "max_length", "message": "Too long."}]}},
            "line: Too long.",
        ),
        ({"code": "invalid", "field_errors": {"a.b": [{"code": "blank"}], "c": "No."}}, "a.b: blank; c: No."),
        ({"code": "x", "gate": "token_scope", "missing": ["a", "b"]}, "gate: token_scope; missing: a b"),
        ("<html><head><title>502</title></head><body><h1>Bad\n Gateway</h1></body></html>", "502 Bad Gateway"),
        ({"status_code": 400, "next": None, "detail": "No."}, "No."),
        (None, ""),
    ],
)
def test_every_body_shape(body: Any, text: str) -> None:
    assert read(400, body).text == text


@pytest.mark.parametrize("code", [{}, {"code": "server_limit_exceeded"}])
def test_a_limit_of_the_plan_is_named(code: dict[str, str]) -> None:
    error = str(read(402, {**code, "gate": "plan", "axis": "server", "next": "team"}))
    assert error.startswith("The plan of the workspace does not include this. gate: plan; axis: server; next: team [")
    assert "plan of" not in str(read(402, "<h1>Pay</h1>"))


def nested(depth: int, put: Callable[[Any], Any] = lambda inside: [inside]) -> Any:
    return put(nested(depth - 1, put)) if depth else "deep"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>" + "word " * 500 + "</p>", ("word " * 40)[:200]),
        ({"detail": "x" * 4001}, "x" * 4000),
        ({"detail": "\x1b[31m\r\nred"}, "\\x1b[31m\nred"),
        ({"detail": ["x"] * 101}, " ".join("x" * 100)),
        ({"detail": nested(8)}, "deep"),
        ({"detail": nested(9)}, "..."),
        ({"detail": nested(9, lambda inside: {"a": inside})}, "a: " * 9 + "..."),
    ],
)
def test_long_texts_are_cut(body: Any, text: str) -> None:
    assert error_from_body("GET", "/x", 400, body).text == text


@pytest.mark.parametrize(
    ("recording", "status", "code"),
    [
        ("105-create-server-not-connected", 400, "server_not_connected"),
        ("143-delete-sent", 400, "event_command_already_sent"),
        ("151-auth-bad-token", 403, "auth_authentication_failed"),
        ("137-delete-scheduled-again", 404, ""),
        ("124-create-noacl", 400, "api_token_acl_not_allowed"),
    ],
)
def test_texts_of_servers_of_2024_get_codes(recording: str, status: int, code: str) -> None:
    assert read(status, recorded(recording)).code == code


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "unknown, disabled or expired"),
        (403, "not allowed to do this"),
        (404, "no such record"),
        (499, "refused the request"),
        (413, "client_max_body_size 8m"),
        (429, "quota"),
        (500, "or a proxy in front of it, failed"),
    ],
)
def test_an_empty_body_is_explained_by_the_status(status: int, words: str) -> None:
    error = error_from_body("GET", LIST, status, None)
    assert words in str(error)
    assert error.details["error"] == {"status": status, "code": None, "message": ""}
    assert not error.stated


@pytest.mark.parametrize(("status", "is_explained"), [(401, False), (403, True), (404, True)])
def test_an_unknown_code_hides_only_the_sentence_about_the_token(status: int, is_explained: bool) -> None:
    error = error_from_body("GET", LIST, status, {"code": "brand_new"})
    assert (_errors._SENTENCES_OF_STATUSES[status] in str(error)) is is_explained


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 451, 502])
def test_a_page_of_a_gateway_does_not_say_why_a_write_failed(status: int) -> None:
    assert str(read(status, "<html></html>")).startswith("The workspace, or a proxy in front of it, ")


@pytest.mark.parametrize(
    ("status", "body", "refuses", "is_unexplained"),
    [
        (401, None, True, True),
        (401, {"code": "auth_mfa_required"}, True, False),
        (401, {"detail": "Invalid token."}, True, True),
        (401, "<html>Sign in</html>", False, True),
        (403, {"detail": "Authentication credentials were not provided."}, True, True),
        (403, {"detail": "You do not have permission to perform this action."}, False, False),
        (403, {"code": "api_token_acl_not_allowed"}, False, False),
        (400, {"line": ["Permission denied"]}, False, False),
    ],
)
def test_errors_of_the_token_and_of_an_outage(status: int, body: Any, refuses: bool, is_unexplained: bool) -> None:
    error = read(status, body)
    assert (error.refuses_token, error.is_unexplained) == (refuses, is_unexplained)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, {"code": "SERVER_NOT_CONNECTED"}),
        (400, {"code": "USER_USERNAME_TOO_LONG"}),
        (402, {"gate": "plan", "axis": "server"}),
        (429, {"detail": "Request was throttled. Expected available in 37 seconds."}),
        (403, {"detail": "You do not have permission to perform this action."}),
    ],
)
def test_errors_of_the_api_are_certain_refusals(status: int, body: Any) -> None:
    assert read(status, body).stated


def test_recorded_errors_of_2024_are_certain_refusals() -> None:
    refusals = [seen for seen in recordings() if seen["response"]["status"] >= 400]
    assert len(refusals) > 20
    for seen in refusals:
        assert read(seen["response"]["status"], seen["response"]["json"]).stated, seen["name"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, "<h1>Gateway</h1>"),
        (400, "Requested server is not connected."),
        (400, {"line": "Permission denied"}),
        (400, {"line": ["Permission denied"], "request_id": ["17"]}),
        (403, {"code": "moon_not_full"}),
        (403, {"detail": "You shall not pass."}),
        (409, {"line": ["Permission denied"]}),
        (500, {"code": "invalid_command"}),
        (503, {"code": "auth_verification_unavailable"}),
    ],
)
def test_errors_that_a_gateway_may_send_are_uncertain(status: int, body: Any) -> None:
    error = read(status, body)
    assert not error.stated
    assert error.code == (body["code"] if isinstance(body, dict) and "code" in body else "")


def test_a_usage_error_names_the_option_the_problem_and_the_remedy() -> None:
    assert str(UsageError("line", "it is empty.", "Fill it.")) == "line: it is empty. Fill it."
    assert str(UsageError("line", "it is empty")) == "line: it is empty"
