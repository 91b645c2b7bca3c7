# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook that runs commands: what it shows of them."""

from __future__ import annotations

from pathlib import Path

from system.playing import Play, play_out
from workspace.client import Workspace

RUN = "herdops.alpacon.run"


def shown(done: Play) -> list[str]:
    """The lines of the only server."""
    [result] = done.tasks["Show each command"]
    lines: list[str] = result["msg"]
    return lines


def test_what_a_script_wrote_to_both_streams_is_shown(current: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bad.sh").write_text("echo to-out; echo 'cannot open {{ 6 * 7 }}' >&2; exit 4\n", encoding="utf-8")
    given = ("-e", "alpacon_servers=web-01", "-e", "alpacon_script=bad.sh")
    done = play_out(current, tmp_path, RUN, None, *given)
    assert done.code == 2, done.said
    assert shown(done) == ["web-01: failed, rc 4", "    to-out", "    cannot open {{ 6 * 7 }}"]
    predicted = play_out(current, tmp_path / "check", RUN, None, *given[:2], "-e", "alpacon_line=uptime", "--check")
    assert (predicted.code, shown(predicted)[0]) == (0, "web-01: check mode"), predicted.said


def test_an_exit_code_that_the_workspace_did_not_state_is_marked(published: Workspace, tmp_path: Path) -> None:
    done = play_out(published, tmp_path, RUN, None, "-e", "alpacon_servers=web-01", "-e", "alpacon_line='exit 7'")
    assert (done.code, shown(done)) == (2, ["web-01: failed, rc 1 (assumed)"]), done.said


def test_limits_that_count_servers_of_one_task_are_refused_of_an_inventory(current: Workspace, tmp_path: Path) -> None:
    given = ("-e", "alpacon_line=true", "-e", "alpacon_max_errors=0")
    done = play_out(current, tmp_path, RUN, ["web-01", "web-02"], *given)
    assert done.code == 2, done.said
    assert "alpacon_max_errors: such limits count the servers of alpacon_servers" in " ".join(done.said.split())
    time = ("-e", "alpacon_scheduled_at=2031-01-01T00:00:00Z", "-e", "alpacon_servers=web-01")
    later = play_out(current, tmp_path / "later", "herdops.alpacon.schedule", None, *given, *time)
    assert "alpacon_max_errors: this playbook takes no such variable" in " ".join(later.said.split())
    assert current.counters()["writes"] == 0


def test_tags_choose_a_playbook_only_where_it_is_imported(current: Workspace, tmp_path: Path) -> None:
    for name in ("audit", "run"):
        done = play_out(current, tmp_path / name, f"herdops.alpacon.{name}", ["web-01"], "--tags", "ssh")
        assert done.code == 2, done.said
        assert "--tags ssh chooses no task of this playbook, so nothing would run." in " ".join(done.said.split())
    imported = {"ansible.builtin.import_playbook": RUN, "vars": {"alpacon_line": "echo hello"}, "tags": ["now"]}
    done = play_out(current, tmp_path / "imported", [imported], ["web-01"], "--tags", "now")
    assert (done.code, shown(done)) == (0, ["web-01: success, rc 0", "    hello"]), done.said
