# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read values with the tag !vault, which have a type of their own before ansible-core 2.19."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_cores import CORES
from system.plays import play, run_playbook, task
from workspace.client import Workspace

PASSWORD = "open sesame"
SECRET = "correct horse {{ battery }} staple"
MARK = "encrypted: "
GROUP = "group/herdops.alpacon.alpacon"
#: Delegated modules run in the Python of the controller.
SAME_PYTHON = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
CONNECTED = {**SAME_PYTHON, "ansible_connection": "herdops.alpacon.alpacon"}
AUDIT = "herdops.alpacon.alpacon_audit"


def vaulted(data: Any) -> str:
    """Return YAML in which the texts that begin with the mark are encrypted."""

    def encrypt(found: re.Match[str]) -> str:
        text = json.loads(f'"{found[1]}"')
        return f"!vault {json.dumps(VaultLib([('default', VaultSecret(PASSWORD.encode()))]).encrypt(text).decode())}"

    return re.sub(rf'"{MARK}([^"]*)"', encrypt, json.dumps(data))


@pytest.mark.parametrize("core", CORES)
def test_vaulted_values_are_texts_everywhere(current: Workspace, tmp_path: Path, core: str) -> None:
    token, secret = f"{MARK}{current.token}", f"{MARK}{SECRET}"
    audited = [{"name": "open", "line": "echo open", "matches": f"{MARK}open"}]
    no_token = {"alpacon_token": None}
    tokens = {**no_token, "alpacon_tokens": {current.url: token}}
    looked_up = "query('herdops.alpacon.alpacon_command', 'web-01', line='echo hi'{})"
    print_it = {"line": 'printf %s "$WORD" | sha256sum', "env": {"WORD": secret}}
    tasks = [
        task("variable", {"line": "echo hi"}),
        task("env", print_it),
        task("shipped", print_it, delegate_to="elsewhere", vars=SAME_PYTHON),
        task("argv", {"argv": ["test", f"{MARK}open", "=", "open"]}),
        task("option", {"line": "echo hi", "token": token}, vars=no_token),
        task("defaults", {"line": "echo hi"}, vars=no_token, module_defaults={GROUP: {"token": token}}),
        task("tokens", {"line": "echo hi"}, vars=tokens),
        task("lookup", {"msg": f"{{{{ {looked_up.format('')} }}}}"}, "ansible.builtin.debug"),
        task(
            "lookup option",
            {"msg": f"{{{{ {looked_up.format(', token=here')} }}}}"},
            "ansible.builtin.debug",
            vars={**no_token, "here": token},
        ),
        task("connection", {}, "ansible.builtin.ping", vars=CONNECTED),
        task("audit", {"checks": audited}, AUDIT, run_once=True),
        task("audit by hosts", {}, AUDIT, run_once=True),
        task("audit by the task", {}, AUDIT, run_once=True, vars={"audit_checks": audited}),
        task("refused", {"line": "echo hi", "env": {"WORD": secret, "1": secret}}),
    ]
    (tmp_path / "group_vars").mkdir()
    variables = {"alpacon_token": token, "audit_checks": audited}
    (tmp_path / "group_vars/all.yml").write_text(vaulted(variables), encoding="utf-8")
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "vaulted.yml").write_text(vaulted(play(*tasks)), encoding="utf-8")
    arguments = ("--vault-password-file", str(tmp_path / "password"), "-vvvv")
    playbook = str(tmp_path / "vaulted.yml")
    done = run_playbook(current, tmp_path, playbook, ["web-01"], *arguments, core=core, ALPACON_TOKEN="")
    results = {name: rows[0] for name, rows in done.tasks.items()}
    failed = {name: result["msg"] for name, result in results.items() if result.get("failed")}
    assert list(failed) == ["refused"], failed
    for text in (current.token, SECRET):
        assert text not in done.log
        assert text not in (tmp_path / "results").read_text(encoding="utf-8")
