# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection to a scripted host: it records modules instead of running them, and returns scripted results.

So a role can be tested on distributions that cannot be started here.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any, NoReturn

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as LocalConnection

from ansible_collections.herdops.alpacon.plugins.module_utils._agent.reading import FILES

DOCUMENTATION = """
name: recording
short_description: Write down modules instead of running them
description:
  - Appends a line for each module to the file in the variable C(recording_file).
author:
  - herdops.alpacon contributors (@herdops)
options:
  recording_file:
    description: Where modules and their arguments are written down.
    vars:
      - name: recording_file
  recording_answers:
    description:
      - What modules answer, as a list of a pattern for C(module arguments) and a result; with C(lost), the host is
        unreachable. With C(hangs), the result comes after these seconds. With C(shell), a command gets the content of a
        file that is to be written, and prints the result as JSON, or nothing where another pattern is to be tried.
      - Results of C(agent) are put together into that of M(herdops.alpacon.alpamon_info).
    default: []
    vars:
      - name: recording_answers
  recording_brings:
    description:
      - The version of the package that is there once it was installed, whatever was asked for.
      - The one that was asked for if empty, or 2.5.0.
    default: ""
    vars:
      - name: recording_brings
"""

_CALL = re.compile(rb"\n    _ansiballz_main\(\n(.*)\n\)\n*$", re.DOTALL)
#: Before ansible-core 2.19.
_OLD_NAME = re.compile(rb"runpy\.run_module\(mod_name='([\w.]+)'")
_OLD_PARAMETERS = re.compile(rb"\n    ANSIBALLZ_PARAMS = (.*)\n")
_INSTALLERS = ("apt", "dnf", "dnf5")


class Connection(LocalConnection):
    """Record modules, and run the other commands of Ansible."""

    transport = "recording"
    has_pipelining = True
    _lost = ""

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Return the result of a module, or run a command."""
        if self._lost:
            self._refuse()
        if in_data is None:
            done: tuple[int, bytes, bytes] = super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
            return done
        module, arguments = _read(in_data)
        given = {name: value for name, value in arguments.items() if not name.startswith("_ansible_")}
        source = given.get("src")
        if module == "copy" and isinstance(source, str) and Path(source).is_file():
            given["content"] = Path(source).read_text(encoding="utf-8")
        check_mode = bool(arguments.get("_ansible_check_mode"))
        entry = {"module": module, "arguments": given, "check_mode": check_mode, "environment": _environment(cmd)}
        with Path(self.get_option("recording_file")).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        answer = (
            self._agent(given) | {"check_mode": check_mode} if module == "alpamon_info" else self._answer(module, given)
        )
        result = {"invocation": {"module_args": given}, **answer}
        time.sleep(result.pop("hangs", 0))
        if "lost" in result:
            self._lost = result["lost"]
            self._refuse()
        return 0, json.dumps(result).encode(), b""

    def _refuse(self) -> NoReturn:
        """Fail as ssh does, without a reason in a task with no_log."""
        raise AnsibleConnectionFailure("<error censored due to no log>" if self._play_context.no_log else self._lost)

    def _answer(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        text = f"{module} {json.dumps(arguments, sort_keys=True)}"
        for pattern, answer in self.get_option("recording_answers"):
            if re.search(pattern, text):
                found = _shell(answer["shell"], arguments) if "shell" in answer else dict(answer)
                if found:
                    return found
        # The defaults are those of a host without the agent.
        usual: dict[str, dict[str, Any]] = {
            "command": {"changed": True, "rc": 0, "stdout": "", "stderr": ""},
            "stat": {"changed": False, "stat": {"exists": False}},
        }
        return usual.get(module, {"changed": True})

    def _agent(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the result of alpamon_info: the scripted results named `agent`, the first ones over later ones."""
        found: dict[str, Any] = {"files": {path: {"exists": False} for path in FILES}}
        for pattern, answer in reversed(self.get_option("recording_answers")):
            if pattern == "agent":
                answer = _shell(answer["shell"], arguments) if "shell" in answer else answer
                for name, value in answer.items():
                    old = found.get(name)
                    found[name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
        version = self._installed()
        return {"changed": False, **found, **({"version": version} if version else {})}

    def _installed(self) -> str:
        lines = Path(self.get_option("recording_file")).read_text(encoding="utf-8").splitlines()
        came = [_installs(call["module"], call["arguments"]) for call in map(json.loads, lines)]
        brings = self.get_option("recording_brings")
        return ["", *(brings or version or "2.5.0" for version in came if version is not None)][-1]


def _shell(command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    content = str(arguments.get("content") or "")
    done = subprocess.run(["/bin/sh", "-c", command], input=content, stdout=subprocess.PIPE, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout or "{}")
    return found


def _installs(module: str, arguments: dict[str, Any]) -> str | None:
    """Return the version that a module installs: empty if it names none, None if it installs nothing."""
    argv = arguments.get("argv") or []
    names = f"{arguments.get('name')} {arguments.get('deb')} {argv}"
    by_module = module in _INSTALLERS and arguments.get("state") != "absent"
    if "alpamon" not in names or not (by_module or "install" in argv) or "--simulate" in argv:
        return None
    asked = re.search(r"alpamon[=-](\d[\d.]*\d)", names)
    return asked.group(1) if asked else ""


def _read(payload: bytes) -> tuple[str, dict[str, Any]]:
    found, name, parameters = _CALL.search(payload), _OLD_NAME.search(payload), _OLD_PARAMETERS.search(payload)
    if found is not None:
        call = ast.parse(b"f(\n" + found.group(1) + b"\n)", mode="eval").body
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}  # type: ignore[attr-defined]
        module, text = ast.literal_eval(given["module_fqn"]), given["params"]
    elif name is not None and parameters is not None:
        module, text = name.group(1).decode(), parameters.group(1).decode()
    else:
        raise ValueError("This is no module as ansible-core sends them.")
    arguments: dict[str, Any] = json.loads(ast.literal_eval(text))["ANSIBLE_MODULE_ARGS"]
    return module.rpartition(".")[2], arguments


def _environment(command: str) -> dict[str, str]:
    words = shlex.split(shlex.split(command)[-1])
    return dict(word.split("=", 1) for word in words if re.match(r"[A-Za-z_]+=", word))
