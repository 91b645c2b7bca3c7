# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the evidence in a file of results of OpenSCAP with the awks of servers, and parse it."""

from __future__ import annotations

import base64
import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.evidence import (
    EVIDENCE,
    FUNCTIONS,
    parse_evidence,
)

ARF = Path(__file__).parent / "files/little-arf.xml"
AWKS = [words for words in ("mawk", "gawk", "gawk --posix", "busybox awk") if shutil.which(words.split()[0])]


@pytest.fixture(params=AWKS)
def printed(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Return the lines that a server with this awk prints."""
    program, *arguments = request.param.split()
    (tmp_path / "awk").write_text(f'#!/bin/sh\nexec {" ".join([str(shutil.which(program)), *arguments])} "$@"\n')
    (tmp_path / "awk").chmod(0o755)
    argv = ["/bin/sh", "-c", f'{FUNCTIONS}\nexplain "$1"', "check", str(ARF)]
    done = subprocess.run(argv, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_failed_rules_have_their_texts_and_what_was_found(printed: list[str]) -> None:
    evidence = parse_evidence(["a line of oscap", *printed])
    texts = {name: one.texts for name, one in evidence.items() if one.texts}
    assert set(texts) == {"passwords", "mounts"}
    passwords, mounts = texts["passwords"], texts["mounts"]
    assert (passwords["title"], passwords["rationale"]) == ("Passwords are old & known", "Guessing takes time.")
    assert passwords["remedy"].splitlines() == ["Change them every", "365 days:", "$ passwd NAME"]
    assert passwords["output"].splitlines() == [
        "Two accounts.",
        "Not met: password age <= 365",
        "  found: username old, password (hidden), chg_req 99999",
        "Not met: hashes in the file",
        "  found: filepath /etc/secret.conf, subexpression (hidden)",
    ]
    assert mounts["remedy"] == "Add noexec."
    assert mounts["output"].splitlines() == [
        "Not met: noexec in /etc/fstab",
        "  Nothing was found.",
        "Not met: mode of /etc/fstab",
        "  found: filepath /etc/fstab, group_id 0, sticky true, mode rw-r---w-",
        "Met, and must not be: /media is mounted",
        "  found: mount_point /media",
    ]


def test_each_rule_has_its_references_to_catalogues(printed: list[str]) -> None:
    references = {name: one.references for name, one in parse_evidence(printed).items() if one.references}
    cis, nist = "https://www.cisecurity.org/benchmark/debian_linux/", "https://nvlpubs.nist.gov/NIST.SP.800-53r4.pdf"
    assert references == {"fine": (f"{cis} 1.1.1", f"{nist} CM-6(a), AC-2 & so on")}


def test_a_server_says_which_versions_it_has(printed: list[str]) -> None:
    assert parse_evidence(printed).versions == (
        "OpenSCAP 1.4.2",
        "A little & old guide 0.1.76",
        "Profile Level 1 - Server",
    )


def test_a_server_sends_no_secret_and_little_else(printed: list[str]) -> None:
    assert all(line.startswith(EVIDENCE) and len(line) < 200 for line in printed)
    content = gzip.decompress(base64.b64decode("".join(line.removeprefix(EVIDENCE) for line in printed))).decode()
    assert not {text for text in ("plain-secret", "hash-secret", "Nobody reads", "pages") if text in content}
    assert sum(map(len, printed)) < 1800


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<why rule='a'",
        b"<Rule id='a'>" + b" " * 3_000_000 + b"</Rule>",
        b"<a>" * 200 + b"</a>" * 200,
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    ],
)
def test_damaged_evidence_is_ignored(content: bytes) -> None:
    encoded = base64.b64encode(gzip.compress(content)).decode()
    assert parse_evidence([f"{EVIDENCE}{encoded}"]) == {}
    assert parse_evidence([f"{EVIDENCE}{encoded[:-9]}", f"{EVIDENCE}%%"]) == {}


def test_evidence_is_bounded() -> None:
    parts = "".join(
        f'<part of="d" test="t{number}"/><comment id="t{number}" text="{"x" * 400}"/>' for number in range(50)
    )
    loop = '<part of="d" definition="d"/>'
    content = f'<Rule id="a"/><why rule="a" definition="d"/>{loop}{parts}'
    [evidence] = parse_evidence([f"{EVIDENCE}{base64.b64encode(gzip.compress(content.encode())).decode()}"]).values()
    assert len(evidence.texts["output"]) <= 1500
