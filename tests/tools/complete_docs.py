# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Add to the pages of antsibull-docs: the checks of the audit, the playbooks, and the headings of the menu."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import describe_checks
import describe_playbooks


def main(folder: Path) -> None:
    (folder / "docsite/audit_checks.rst").write_text(describe_checks.page(), encoding="utf-8")
    playbooks = describe_playbooks.write(folder)
    index = folder / "index.rst"
    text = index.read_text(encoding="utf-8").replace(
        "    docsite/audit\n", "    docsite/audit\n    docsite/audit_checks\n"
    )
    roles = ".. _role_plugins_in_herdops.alpacon:\n"
    before, after = text.split(roles)
    index.write_text(add_captions(f"{before}{playbook_index(playbooks)}{roles}{after}"), encoding="utf-8")


def playbook_index(playbooks: list[describe_playbooks.Playbook]) -> str:
    head = "Playbook Index\n--------------\n\nThese are the playbooks in the herdops.alpacon collection:\n\n"
    label = ":ref:`{0} playbook <ansible_collections.herdops.alpacon.{0}_playbook>`"
    lines = [f"* {label.format(playbook.name)} -- {playbook.summary}\n" for playbook in playbooks]
    names = [f"    {playbook.name}_playbook\n" for playbook in playbooks]
    return f"{head}{''.join(lines)}\n.. toctree::\n    :maxdepth: 1\n    :hidden:\n\n{''.join(names)}\n"


def add_captions(index: str) -> str:
    """Give each list of pages the heading above it, which the menu then shows."""
    parts = index.split(".. toctree::\n")
    for number, part in enumerate(parts[:-1]):
        heading = re.findall(r"(?m)^(\S.*)\n([-~=])\2+$", part)
        parts[number] += ".. toctree::\n" + (f"    :caption: {heading[-1][0]}\n" if heading else "")
    return "".join(parts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
