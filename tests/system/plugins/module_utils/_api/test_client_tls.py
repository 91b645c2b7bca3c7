# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS with a private CA: verified, refused, and not verified where a task says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from system.certificates import Authority, authority
from system.conftest import Connect
from system.support import Clock, Reply, ScriptedServer

from ansible_collections.herdops.alpacon.plugins.module_utils._api.client import ATTEMPTS
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, Untrusted
from ansible_collections.herdops.alpacon.tests.unit.support import LIST, TOKEN

Serve = Callable[..., ScriptedServer]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA of the workspace."""
    return authority(tmp_path_factory.mktemp("ours"), "Our CA")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another CA, which has nothing to do with it."""
    return authority(tmp_path_factory.mktemp("theirs"), "Their CA")


@pytest.fixture
def server(serve: Serve, ours: Authority) -> ScriptedServer:
    """A workspace with a certificate of our CA."""
    return serve([Reply([1])], tls=ours.server)


def test_a_private_ca_is_named_by_its_file(server: ScriptedServer, connect: Connect, ours: Authority) -> None:
    assert connect(server, ca_path=str(ours.file)).get(LIST) == [1]
    assert server.requests[0].headers["Authorization"] == f'token="{TOKEN}"'


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("named", [False, True])
def test_a_certificate_that_is_not_trusted(
    server: ScriptedServer, connect: Connect, clock: Clock, theirs: Authority, method: str, named: bool
) -> None:
    client = connect(server, ca_path=str(theirs.file) if named else None, sleep=clock.sleep)
    with pytest.raises(Untrusted, match=r"is not trusted.*ca_path"):
        client.get(LIST) if method == "GET" else client.write(method, LIST, {})
    assert server.requests == []
    assert (client.requests, clock.slept) == (1, []), "no repetition helps"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_not_verified_where_a_task_says_so(
    server: ScriptedServer, connect: Connect, theirs: Authority
) -> None:
    assert connect(server, validate_certs=False).get(LIST) == [1]
    assert connect(server, validate_certs=False, ca_path=str(theirs.file)).get(LIST) == [1]


BUNDLES = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


@pytest.mark.parametrize("variable", BUNDLES)
def test_the_bundle_of_the_environment_is_used_where_nothing_else_is_said(
    server: ScriptedServer, connect: Connect, ours: Authority, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(ours.file))
    assert connect(server).get(LIST) == [1]


@pytest.mark.parametrize("variable", BUNDLES)
def test_the_bundle_of_the_environment_does_not_replace_ca_path(
    server: ScriptedServer,
    connect: Connect,
    ours: Authority,
    theirs: Authority,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, str(theirs.file))
    assert connect(server, ca_path=str(ours.file)).get(LIST) == [1]
    monkeypatch.setenv(variable, str(ours.file))
    with pytest.raises(Untrusted):
        connect(server, ca_path=str(theirs.file)).get(LIST)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("variable", BUNDLES)
def test_the_bundle_of_the_environment_does_not_bring_verification_back(
    server: ScriptedServer, connect: Connect, theirs: Authority, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(theirs.file))
    assert connect(server, validate_certs=False).get(LIST) == [1]


def test_a_redirect_from_https_to_http_is_not_followed(
    serve: Serve, connect: Connect, clock: Clock, ours: Authority
) -> None:
    plain = serve([Reply([])])
    server = serve([Reply(status=302, headers={"Location": f"{plain.url}{LIST}"})], tls=ours.server)
    with pytest.raises(AlpaconError, match="which the token is not for"):
        connect(server, ca_path=str(ours.file), sleep=clock.sleep).get(LIST)
    assert plain.requests == []


def test_a_server_that_speaks_no_tls(serve: Serve, connect: Connect, clock: Clock) -> None:
    plain = serve([Reply([1])])
    client = connect(plain.url.replace("http:", "https:"), sleep=clock.sleep)
    with pytest.raises(AlpaconError) as caught:
        client.get(LIST)
    assert plain.requests == []
    assert client.requests <= ATTEMPTS
    assert TOKEN not in str(caught.value)
