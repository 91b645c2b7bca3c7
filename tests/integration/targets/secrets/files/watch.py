# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command and report where secrets appeared: output, log, or arguments of processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECRETS = ("alpacon_token", "secret")


def main(secrets_file: str, log: str, *command: str) -> None:
    known = json.loads(Path(secrets_file).read_text(encoding="utf-8"))
    secrets = {name: known[name] for name in SECRETS}
    # Ansible appends to it.
    Path(log).unlink(missing_ok=True)
    processes, looks = set(), 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            processes.update(subprocess.check_output(["ps", "-eo", "args"], text=True).splitlines())
            looks += 1
            time.sleep(0.02)
        output.seek(0)
        written = output.read()
    logged = Path(log).read_text(encoding="utf-8")
    texts = {"output": written, "log": logged, "arguments": "\n".join(processes)}
    found = [
        f"{name} in {place}" for name, secret in secrets.items() for place, text in texts.items() if secret in text
    ]
    seen = {
        "rc": process.returncode,
        "found": found,
        "looks": looks,
        "shipped": any("AnsiballZ_alpacon_command" in line or "alpacon_command.py" in line for line in processes),
        "logged": "PLAY RECAP" in logged,
    }
    print(json.dumps(seen))
    if process.returncode or found:
        print(hide(written, secrets), file=sys.stderr)


def hide(text: str, secrets: dict[str, str]) -> str:
    """Replace secrets by their names."""
    for name, secret in secrets.items():
        text = text.replace(secret, f"<{name.upper()}>")
    return text


if __name__ == "__main__":
    main(*sys.argv[1:])
