# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookups that make checks of content for scanners, through Ansible itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_cores import CORES
from system.playing import play_out
from workspace.client import Workspace

from ansible_collections.herdops.alpacon.tests.unit.support import ROOT, Row

STREAM = ROOT / "tests/unit/plugins/plugin_utils/_audit/scanners/files/little-ds.xml"
#: What content says may look like a template, and is none.
TRAP = "{{ lookup('ansible.builtin.pipe', 'touch trapped') }}"
XCCDF, INSPEC = "herdops.alpacon.xccdf_checks", "herdops.alpacon.inspec_checks"
MISTAKES = {
    f"'{XCCDF}', 'little-ds.xml', profile='strickt'": "has no profile strickt. Did you mean strict?",
    f"'{XCCDF}', 'little-ds.xml', profil='strict'": "has no such option. Did you mean profile?",
    f"'{XCCDF}', 'little-ds.xml'": "profile",
    f"'{XCCDF}', 'absent.xml', profile='strict'": "absent.xml cannot be read: No such file or directory",
    f"'{XCCDF}', 'little-ds.xml', profile='strict', timeout='soon'": "timeout",
    f"'{INSPEC}', 'little-ds.xml', path='/opt/x'": "The output is no JSON",
    f"'{INSPEC}', 'profile.json'": "path",
}


@pytest.mark.parametrize("core", CORES)
def test_content_becomes_checks(current: Workspace, tmp_path: Path, core: str) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "little-ds.xml").write_text(
        STREAM.read_text().replace("It needs another one", TRAP).replace("Lock it", TRAP)
    )
    (files / "profile.json").write_text(json.dumps({"name": "p", "controls": [{"id": "a", "title": TRAP}]}))
    lookups = {
        "one": f"'{XCCDF}', 'little-ds.xml', profile='strict', path='/ds.xml', severity='low'",
        "two": f"'{XCCDF}', 'little-ds.xml', '{files}/little-ds.xml', profile='base', name='base'",
        "three": f"'{INSPEC}', 'profile.json', path='/opt/p', timeout='60'",
    }
    tasks: list[Row] = [
        {"name": name, "ansible.builtin.debug": {"msg": f"{{{{ query({arguments}) }}}}"}}
        for name, arguments in lookups.items()
    ]
    tasks += [
        {"name": told, "ansible.builtin.debug": {"msg": f"{{{{ query({arguments}) }}}}"}, "ignore_errors": True}
        for arguments, told in MISTAKES.items()
    ]
    play = play_out(current, tmp_path, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], ["web-01"], core=core)
    assert play.code == 0, play.said
    [strict], bases, [profile] = (play.tasks[name][0]["msg"] for name in lookups)
    assert (strict["name"], strict["severity"], strict["set"], strict["timeout"]) == (
        "strict",
        "low",
        "benchmarks",
        1800,
    )
    assert strict["results"]["rules"][2]["remedy"] == f"{TRAP}."
    assert [len(base["results"]["rules"]) for base in bases] == [3, 3]
    assert (profile["timeout"], profile["results"]["rules"]) == (60, [{"name": "a", "title": TRAP}])
    assert not list(tmp_path.rglob("trapped"))
    for told in MISTAKES.values():
        assert told in str(play.tasks[told][0]["msg"])
