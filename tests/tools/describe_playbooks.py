# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a page about each playbook, from the comment at its start."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from antsibull_docs_parser import dom, parser, rst

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "alpacon_"
#: The module whose options are the variables of `run`, `schedule` and `cancel`.
MODULE = "alpacon_command"


@dataclass
class Playbook:
    """The comment of a playbook, and its variables with their descriptions in reStructuredText."""

    name: str
    summary: str = ""
    paragraphs: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"herdops.alpacon.{self.name} playbook -- {self.summary}"


def read_playbooks() -> list[Playbook]:
    return [_read(path) for path in sorted((ROOT / "playbooks").glob("*.yml"))]


def page(playbook: Playbook) -> str:
    lines = [
        f".. _ansible_collections.herdops.alpacon.{playbook.name}_playbook:\n",
        f"{playbook.title}\n{'=' * len(playbook.title)}\n",
        *(f"{_wrapped(paragraph)}\n" for paragraph in playbook.paragraphs),
    ]
    if playbook.commands:
        lines += [".. code-block:: console\n", *(f"    {line}" for line in playbook.commands), ""]
    if playbook.variables:
        lines += ["Variables\n---------\n"]
        lines += [
            f"``{name}``\n{textwrap.indent(_wrapped(text), '    ')}\n" for name, text in playbook.variables.items()
        ]
    return "\n".join(lines)


def _read(path: Path) -> Playbook:
    text = path.read_text(encoding="utf-8")
    comment = re.match(r"(?:#.*\n)+", text.split("---\n", 1)[1])
    playbook = Playbook(path.stem)
    sentences = _read_comment(playbook, comment[0] if comment else "")
    options = _options()
    for variable in re.findall(r"(?m)^ {6}- (alpacon_\w+)$", text):
        if variable not in playbook.variables:
            mentions = [_literals(sentence) for sentence in sentences if re.search(rf"\b{variable}=", sentence)]
            option = options.get(variable.removeprefix(PREFIX))
            playbook.variables[variable] = option or " ".join(mentions)
    return playbook


def _read_comment(playbook: Playbook, comment: str) -> list[str]:
    """Fill the playbook, and return the lines of its paragraphs."""
    lines, sentences, variable = [line[2:] for line in comment.splitlines()], [], ""
    paragraph: list[str] = []
    for line in [*lines, ""]:
        entry = re.match(r"  (\w+)  +(\S.*)", line)
        if entry and entry[1] != "ansible-playbook":
            variable, playbook.variables[entry[1]] = entry[1], entry[2]
        elif line.startswith("   ") and variable:
            playbook.variables[variable] += f" {line.strip()}"
        elif line.startswith("  "):
            playbook.commands.append(f"{'  ' if line.startswith('    ') else '$ '}{line.strip()}")
        elif line.startswith("Variables for -e"):
            _heading, besides, role = line.rstrip(":").partition("besides those of ")
            playbook.paragraphs += [_literals(f"The variables of {role} are also valid.")] if besides else []
        elif line:
            paragraph.append(line)
            sentences.append(line)
        elif paragraph:
            playbook.paragraphs.append(" ".join(map(_literals, paragraph)))
            paragraph = []
    playbook.summary = sentences.pop(0).rstrip(".")
    if playbook.paragraphs[0] == f"{playbook.summary}.":
        del playbook.paragraphs[0]
    playbook.variables = {name: _literals(f"{text[0].upper()}{text[1:]}.") for name, text in playbook.variables.items()}
    return sentences


def _options() -> dict[str, str]:
    """Return the first paragraph of each option of the module, in reStructuredText."""
    source = (ROOT / f"plugins/modules/{MODULE}.py").read_text(encoding="utf-8")
    documentation = re.search(r'DOCUMENTATION = r?"""\n(.*?)"""', source, re.DOTALL)
    options: dict[str, Any] = yaml.safe_load(documentation[1] if documentation else "")["options"]
    context = parser.Context(current_plugin=dom.PluginIdentifier(f"herdops.alpacon.{MODULE}", "module"))
    found = {}
    for name, option in options.items():
        first = [option["description"]] if isinstance(option["description"], str) else option["description"][:1]
        found[name] = (
            f"{rst.to_rst(parser.parse(first, context))} See :ansopt:`herdops.alpacon.{MODULE}#module:{name}`."
        )
    return found


def _literals(text: str) -> str:
    """Mark variables, their values and names of the collection as literals."""
    role = re.sub(r"(?:ansible-doc -t|the) role (herdops\.alpacon\.\w+)", r":ansplugin:`\1#role`", text)
    names = r"(?<![`\w.-])((?:herdops\.alpacon\.|alpacon_|alpamon_|ALPACON_)\w*(?:=\w+)?|-[a-z]\b|--\w+)"
    return re.sub(names, r"``\1``", role)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 112, break_long_words=False, break_on_hyphens=False)


def write(folder: Path) -> list[Playbook]:
    """Write the pages to this folder, and return their playbooks."""
    playbooks = read_playbooks()
    for playbook in playbooks:
        (folder / f"{playbook.name}_playbook.rst").write_text(page(playbook), encoding="utf-8")
    return playbooks
