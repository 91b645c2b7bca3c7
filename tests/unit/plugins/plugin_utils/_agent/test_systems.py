# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test supported systems, and the files of the agent on them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._agent.systems import (
    DEBIAN,
    REDHAT,
    SETTINGS,
    SUSE,
    Family,
    Repository,
    find_family,
    read_settings,
    render_configuration,
)

VENDOR = "https://packagecloud.io/alpacax/alpamon"
PROXY = "http://user:hunter2@proxy.example:3128"
OPTIONS: dict[str, Any] = {
    "channel": "stable",
    "repository_url": "",
    "repository_key": "",
    "key_fingerprints": [],
    "package_proxy": "",
    "validate_certs": True,
    "settings": {},
}


@pytest.mark.parametrize(
    ("identifier", "version", "family"),
    [
        ("debian", "11", DEBIAN),
        ("debian", "13", DEBIAN),
        # Unstable.
        ("debian", "", DEBIAN),
        ("debian", "trixie/sid", DEBIAN),
        ("debian", "10", None),
        ("raspbian", "12", DEBIAN),
        ("ubuntu", "18.04", DEBIAN),
        ("ubuntu", "26.04", DEBIAN),
        ("ubuntu", "16.04", None),
        ("rhel", "8.10", REDHAT),
        ("rhel", "10.0", REDHAT),
        ("rhel", "7.9", None),
        ("centos", "9", REDHAT),
        ("rocky", "9.4", REDHAT),
        ("almalinux", "10.0", REDHAT),
        ("ol", "9.4", REDHAT),
        ("fedora", "43", REDHAT),
        ("fedora", "40", None),
        ("amzn", "2023", REDHAT),
        ("amzn", "2", None),
        ("opensuse-leap", "15.6", SUSE),
        ("opensuse-tumbleweed", "20260101", SUSE),
        ("sles", "15.6", SUSE),
        ("sles_sap", "16.0", SUSE),
        ("sles", "12.5", None),
        ("linuxmint", "22", None),
        ("arch", "", None),
        # A method of a dictionary.
        ("pop", "22.04", None),
        ("", "", None),
    ],
)
def test_distributions(identifier: str, version: str, family: Family | None) -> None:
    assert find_family({"id": identifier, "name": "", "version": version}) is family


def repository(**options: Any) -> Repository:
    return Repository.from_options({**OPTIONS, **options}, "")


def test_repository_of_apt() -> None:
    text = repository(key_fingerprints=["ab 12"]).render_file(DEBIAN)
    assert f"# The key is from {VENDOR}/gpgkey, checked for: AB12\n" in text
    source = f"Types: deb\nURIs: {VENDOR}/any/\nSuites: any\nComponents: main\nSigned-By: {DEBIAN.key}\n"
    assert text.endswith(source)


def test_repositories_of_rpm() -> None:
    dnf, zypper = repository().render_file(REDHAT), repository().render_file(SUSE)
    for text in (dnf, zypper):
        assert (
            f"[alpacax_alpamon]\nname=alpacax_alpamon\nbaseurl={VENDOR}/rpm_any/rpm_any/$basearch\nenabled=1\n" in text
        )
        assert text.endswith(f"gpgkey=file://{REDHAT.key}\n")
    assert "repo_gpgcheck=1\ngpgcheck=0\n" in dnf
    assert "repo_gpgcheck=1\npkg_gpgcheck=0\n" in zypper
    # apt and zypper take a proxy from the environment.
    proxied = repository(package_proxy=PROXY)
    assert f"proxy={PROXY}\n" in proxied.render_file(REDHAT)
    assert PROXY not in proxied.render_file(SUSE) + proxied.render_file(DEBIAN)


@pytest.mark.parametrize(
    ("options", "url", "key"),
    [
        ({"channel": "rc"}, f"{VENDOR}-latest", f"{VENDOR}-latest/gpgkey"),
        ({"channel": "dev"}, f"{VENDOR}-dev", f"{VENDOR}-dev/gpgkey"),
        ({"channel": "rc", "repository_url": "https://a/b/"}, "https://a/b", "https://a/b/gpgkey"),
        ({"repository_key": "https://c/key"}, VENDOR, "https://c/key"),
    ],
)
def test_sources(options: dict[str, Any], url: str, key: str) -> None:
    found = repository(**options)
    assert (found.url, found.key_source) == (url, key)


@pytest.mark.parametrize(
    ("options", "families"),
    [
        ({}, set()),
        ({"repository_url": "https://user:hunter2@mirror.example"}, {"apt", "dnf", "zypper"}),
        ({"repository_key": "https://user:hunter2@mirror.example/key"}, {"apt", "dnf", "zypper"}),
        ({"package_proxy": PROXY}, {"dnf"}),
    ],
)
def test_secrets_in_the_file_of_a_repository(options: dict[str, Any], families: set[str]) -> None:
    found = repository(**options)
    assert {family.manager for family in (DEBIAN, REDHAT, SUSE) if found.has_secret(family)} == families


def test_commands_that_read_the_index_of_this_repository_only() -> None:
    [apt] = repository().get_refresh_commands(DEBIAN)
    assert {f"-oDir::Etc::SourceList={DEBIAN.repository}", "-oDir::Etc::SourceParts=-"} <= set(apt)
    assert repository().get_refresh_commands(SUSE)[-1][-2:] == ["--repo", "alpacax_alpamon"]
    assert {"--disablerepo=*", "--enablerepo=alpacax_alpamon"} <= set(repository().get_refresh_commands(REDHAT)[0])


def written(url: str = "https://a.example", machine: str = "0123", **options: Any) -> str:
    return render_configuration({**OPTIONS, **options}, url, machine, {}) % {"id": "ID", "key": "K%s{key}"}


def test_configuration() -> None:
    assert "# Machine: 0123\n[server]\nurl = https://a.example\nid = ID\nkey = K%s{key}\n\n" in written()
    assert "[ssl]\nverify = true\nca_cert =\n\n[logging]\ndebug = false\n\n[pool]\nmax_workers = 20\n" in written()
    text = written(settings={"debug": True, "max_workers": 5, "queue_size": None}, validate_certs=False)
    assert "verify = false\n" in text
    assert "debug = true\n" in text
    assert "max_workers = 5\nqueue_size = 200\n" in text
    assert "Machine" not in written(machine="")


def test_settings_that_the_host_has() -> None:
    given = {"debug": True, "max_workers": 5, "max_download_bytes": 7}
    assert read_settings(written(settings=given)) == {**SETTINGS, **given}
    odd = "[pool]\nmax_workers = 5; rm\nqueue_size = -1\ndefault_timeout = 9\n[logging]\ndebug = {{ 1 }}\n"
    assert read_settings(odd) == {"default_timeout": 9}
    assert read_settings("no section\n[pool") == {}


def test_formats_in_values_of_the_configuration_stay_as_they_are() -> None:
    assert "# Machine: %(key)s {key}\n[server]\nurl = https://a/%20{id}%(id)s\n" in written(
        "https://a/%20{id}%(id)s", "%(key)s {key}"
    )
