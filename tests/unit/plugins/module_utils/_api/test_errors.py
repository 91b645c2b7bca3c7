# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors: read out of every body shape, and rendered for a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.module_utils._api import errors as _errors
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import ApiError, UsageError, error_from_body
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, recorded, recordings


def read(status: int, body: Any, **more: Any) -> ApiError:
    return error_from_body("POST", LIST, status, body, **more)


DOCUMENTED = [
    (400, "INVALID_COMMAND"),
    (403, "API_TOKEN_ACL_NOT_ALLOWED"),
    (404, "COMMAND_NOT_FOUND"),
    (409, "EVENT_COMMAND_ALREADY_SENT"),
    (503, "SERVER_NOT_CONNECTED"),
]

#: The rest of what the API is known to answer where commands, servers and lists are concerned.
KNOWN = [
    (401, "auth_token_missing"),
    (401, "auth_authentication_failed"),
    (401, "unauthorized"),
    (401, "auth_mfa_required"),
    (401, "auth_token_mfa_missing"),
    (503, "auth_verification_unavailable"),
    (400, "user_username_required"),
    (403, "api_token_scope_missing"),
    (403, "api_token_scope_action_unresolved"),
    (403, "rbac_permission_required"),
    (403, "rbac_object_permission_required"),
    (403, "forbidden"),
    (400, "command_inline_credential"),
    (400, "server_busy_with_user_work"),
    (403, "work_session_required"),
    (403, "work_session_not_usable"),
    (403, "work_session_not_active"),
    (403, "work_session_expired"),
    (403, "work_session_scope_not_allowed"),
    (403, "work_session_server_not_allowed"),
    (403, "work_session_assignee_mismatch"),
    (400, "event_oversized_unsupported_platform"),
    (404, "api_not_found"),
    (404, "not_found"),
    (429, "api_rate_limited"),
    (400, "api_cursor_expired"),
    (400, "api_invalid_cursor"),
    (503, "api_search_unavailable"),
    (406, "api_not_acceptable"),
    (415, "api_unsupported_media_type"),
    (403, "workspace_extension_not_enabled"),
    (400, "api_token_already_expired"),
]


@pytest.mark.parametrize(("status", "code"), DOCUMENTED + KNOWN)
@pytest.mark.parametrize("spell", [str.lower, str.upper])
def test_every_code_has_a_sentence_however_it_is_spelt(status: int, code: str, spell: Any) -> None:
    error = read(status, {"code": spell(code)})
    assert error.code == code.lower()
    sentence = _errors.SENTENCES[code.lower()]
    assert str(error) == f"{sentence} [POST {LIST}: HTTP {status} {code.lower()}]"
    assert sentence.endswith(".")
    assert sentence[0].isupper()


def test_an_unknown_code_comes_through() -> None:
    error = read(400, {"code": "Moon_Not_Full", "source": "sky"})
    assert str(error) == f"source: sky [POST {LIST}: HTTP 400 moon_not_full]"
    assert error.as_result() == {"error": {"status": 400, "code": "moon_not_full", "message": "source: sky"}}
    assert str(read(403, {"code": "moon_not_full"})).startswith("The token may not do this. [")


def test_a_field_that_is_blamed_alone_is_named_alone() -> None:
    error = str(read(400, {"code": "invalid_command", "source": "server"}))
    assert "There is no server of that id" in error
    assert "read it again with --flush-cache" in error
    assert "groupname" not in error


@pytest.mark.parametrize("field", ["username", "groupname"])
def test_an_account_that_is_blamed_is_told_from_everything_else(field: str) -> None:
    error = read(400, {"code": "INVALID_COMMAND", "source": field})
    assert str(error).startswith("The workspace does not know this username or groupname, or the token may not use it.")
    assert "over the connection become_user, ansible_user and alpacon_groupname" in str(error)
    assert "server" not in str(error)
    assert error.refuses_account
    error.name_account({field: "deploy", "line": "true"})
    assert f"The command names {field} deploy. [POST" in str(error)
    silent = ApiError("POST", LIST, 400, "invalid_command", source=field, quoted=False)
    silent.name_account({field: "deploy"})
    assert "deploy" not in str(silent)


@pytest.mark.parametrize(("code", "source"), [("invalid_command", "line"), ("forbidden", "username")])
def test_nothing_else_is_taken_for_a_refused_account(code: str, source: str) -> None:
    assert not read(400, {"code": code, "source": source}).refuses_account


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "Invalid page."}, "Invalid page."),
        ({"detail": "No.", "code": "forbidden", "source": "token"}, "No.; source: token"),
        ({"message": "No."}, "No."),
        ({"error": "No."}, "No."),
        ({"line": ["This field is required."]}, "line: This field is required."),
        ({"line": "Too long."}, "line: Too long."),
        ({"line": ["One.", "Two."], "shell": ["Three."]}, "line: One. Two.; shell: Three."),
        ({"non_field_errors": ["One.", "Two."]}, "One. Two."),
        ({"run_after": {"0": ["Unknown."]}}, "run_after: 0: Unknown."),
        (
            {"code": "invalid", "field_errors": {"line": [{"code": "max_length", "message": "Too long."}]}},
            "line: Too long.",
        ),
        ({"code": "invalid", "field_errors": {"a.b": [{"code": "blank"}], "c": "No."}}, "a.b: blank; c: No."),
        ({"code": "x", "gate": "token_scope", "missing": ["a", "b"]}, "gate: token_scope; missing: a b"),
        ({"code": "x", "gate": "plan", "axis": "server"}, "gate: plan; axis: server"),
        ({"status": 400, "status_code": 400, "detail": "No."}, "No."),
        (["One.", "Two."], "One.; Two."),
        ("<html><head><title>502</title></head><body><h1>Bad\n Gateway</h1></body></html>", "502 Bad Gateway"),
        ("plain words", "plain words"),
        ({"next": None, "detail": "No."}, "No."),
        ({}, ""),
        (None, ""),
        ("", ""),
    ],
)
def test_every_body_shape(body: Any, text: str) -> None:
    assert read(400, body).text == text


@pytest.mark.parametrize("code", [{}, {"code": "server_limit_exceeded"}])
def test_a_limit_of_the_plan_is_named(code: dict[str, str]) -> None:
    error = str(read(402, {**code, "gate": "plan", "axis": "server", "next": "team"}))
    assert error.startswith("The plan of the workspace does not include this. gate: plan; axis: server; next: team [")
    assert "plan of" not in str(read(402, "<h1>Pay</h1>"))


def test_a_token_that_is_refused_with_a_code_is_not_called_unknown() -> None:
    error = str(read(401, {"code": "moon_not_full"}))
    assert error == f"The workspace refuses this, and says why in a code alone. [POST {LIST}: HTTP 401 moon_not_full]"


def nested(depth: int, put: Callable[[Any], Any] = lambda inside: [inside]) -> Any:
    return put(nested(depth - 1, put)) if depth else "deep"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "x" * 4001}, "x" * 4000),
        (["x"] * 101, "; ".join("x" * 100)),
        ({"detail": ["x"] * 101}, " ".join("x" * 100)),
        ({"detail": nested(8)}, "deep"),
        ({"detail": nested(9)}, "..."),
        ({"detail": nested(8, lambda inside: {"message": inside})}, "deep"),
        ({"detail": nested(9, lambda inside: {"message": inside})}, "..."),
        ({"detail": nested(8, lambda inside: {"a": inside})}, "a: " * 8 + "deep"),
        ({"detail": nested(9, lambda inside: {"a": inside})}, "a: " * 9 + "..."),
    ],
)
def test_words_without_end_are_cut(body: Any, text: str) -> None:
    assert error_from_body("GET", "/x", 400, body).text == text


def test_a_long_page_is_cut() -> None:
    assert read(502, "<p>" + "word " * 500 + "</p>").text == ("word " * 40)[:200]


@pytest.mark.parametrize(
    ("recording", "status", "code"),
    [
        ("105-create-server-not-connected", 400, "server_not_connected"),
        ("106-create-server-not-connected-scheduled", 400, "server_not_connected"),
        ("143-delete-sent", 400, "event_command_already_sent"),
        ("145-delete-handled", 400, "event_command_already_sent"),
        ("151-auth-bad-token", 403, "auth_authentication_failed"),
        ("137-delete-scheduled-again", 404, ""),
        ("124-create-noacl", 400, "api_token_acl_not_allowed"),
    ],
)
def test_what_servers_of_2024_say_in_words(recording: str, status: int, code: str) -> None:
    assert read(status, recorded(recording)).code == code


@pytest.mark.parametrize(
    ("recording", "text"),
    [
        ("090-create-line-513", "line: Ensure this field has no more than 512 characters."),
        ("109-create-groupname-unknown", "Username or groupname is not registered or you do not have permission."),
        ("115-create-malformed-json", "JSON parse error - Expecting value: line 1 column 11 (char 10)"),
    ],
)
def test_the_words_of_servers_of_2024_are_shown(recording: str, text: str) -> None:
    assert str(read(400, recorded(recording))) == f"{text} [POST {LIST}: HTTP 400]"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "refused the request"),
        (401, "unknown, disabled or expired"),
        (402, "The plan of the workspace"),
        (403, "may not do this"),
        (404, "no such record"),
        (413, "client_max_body_size 8m"),
        (429, "request budget"),
        (500, "or a proxy in front of it, failed"),
        (499, "refused the request"),
    ],
)
def test_a_body_that_says_nothing_is_explained_by_the_status(status: int, words: str) -> None:
    error = read(status, None)
    assert words in str(error)
    assert error.as_result()["error"] == {"status": status, "code": None, "message": ""}


def test_a_request_that_is_too_large_is_told_with_what_the_workspace_itself_says_of_it() -> None:
    page = read(413, "<html><h1>413 Request Entity Too Large</h1><hr>nginx/1.22.1</html>")
    stated = read(413, {"code": "file_exec_content_too_large", "detail": "At most 512 kB."})
    assert str(page).endswith("is enough. [POST /api/events/commands/: HTTP 413]")
    assert "that are verified. At most 512 kB. [POST" in str(stated)


@pytest.mark.parametrize(
    ("status", "body", "refuses"),
    [
        (401, None, True),
        (401, {"code": "auth_mfa_required"}, True),
        (401, {"detail": "Invalid token."}, True),
        (401, "<html>Sign in</html>", False),
        (401, {"message": "Unauthorized"}, False),
        (403, {"detail": "Authentication credentials were not provided."}, True),
        (403, {"code": "api_token_acl_not_allowed"}, False),
        (403, None, False),
        (400, {"line": ["Permission denied"]}, False),
    ],
)
def test_which_errors_concern_the_token_itself(status: int, body: Any, refuses: bool) -> None:
    assert read(status, body).refuses_token is refuses


REFUSALS = [
    *((status, {"code": code}) for status, code in DOCUMENTED + KNOWN if status < 500),
    (503, {"code": "SERVER_NOT_CONNECTED"}),
    (400, {"code": "USER_USERNAME_TOO_LONG"}),
    (402, {"code": "server_limit_exceeded", "gate": "plan"}),
    (402, {"gate": "plan", "axis": "server"}),
    (429, {"detail": "Request was throttled. Expected available in 37 seconds."}),
    (403, {"detail": "You do not have permission to perform this action."}),
]


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_what_the_workspace_itself_refuses_is_certainly_refused(status: int, body: Any) -> None:
    assert read(status, body).stated


def test_whatever_the_server_of_2024_was_seen_to_refuse_is_certainly_refused() -> None:
    refusals = [seen for seen in recordings() if seen["response"]["status"] >= 400]
    assert len(refusals) > 40
    for seen in refusals:
        assert read(seen["response"]["status"], seen["response"]["json"]).stated, seen["name"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((status, "<h1>Gateway</h1>") for status in (400, 401, 403, 404, 409, 413, 429, 451, 502, 503)),
        (400, "Requested server is not connected."),
        (400, {}),
        (400, None),
        (400, {"errors": ["Bad request"]}),
        (400, {"line": "Permission denied"}),
        (400, {"line": ["Permission denied"], "request_id": ["17"]}),
        (401, {"message": "Unauthorized"}),
        (403, {"code": "moon_not_full"}),
        (403, {"detail": "You shall not pass."}),
        (404, {"message": "no Route matched with those values"}),
        (409, {"detail": "Conflict"}),
        (409, {"line": ["Permission denied"]}),
        (429, {"message": "API rate limit exceeded"}),
        (500, {"code": "invalid_command"}),
        (502, {"code": "server_not_connected"}),
        (503, {"code": "auth_verification_unavailable"}),
    ],
)
def test_what_a_gateway_may_answer_refuses_nothing(status: int, body: Any) -> None:
    error = read(status, body)
    assert not error.stated
    assert error.code == (body["code"] if isinstance(body, dict) and "code" in body else "")


@pytest.mark.parametrize(
    ("status", "body", "is_unexplained"),
    [
        (403, {"detail": "Authentication credentials were not provided."}, True),
        (403, {"detail": "You do not have permission to perform this action."}, False),
        (403, "<html>", True),
        (401, {"detail": "Invalid token."}, True),
        (401, {"code": "auth_authentication_failed"}, False),
        (400, None, False),
    ],
)
def test_which_refusals_may_be_an_outage(status: int, body: Any, is_unexplained: bool) -> None:
    assert read(status, body).is_unexplained is is_unexplained


def test_the_pause_that_a_server_asks_for() -> None:
    assert read(429, None, retry_after=7.0).retry_after == 7.0


def test_a_usage_error_names_the_option_the_problem_and_the_remedy() -> None:
    assert str(UsageError("line", "it is empty.", "Fill it.")) == "line: it is empty. Fill it."
    assert str(UsageError("line", "it is empty")) == "line: it is empty"
