# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the page that describes the audit's checks."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from checks import check_files

_HEAD = """\
.. _ansible_collections.herdops.alpacon.docsite.audit_checks:

Checks of the audit
===================

These are the {checks} checks of the role ``herdops.alpacon.audit``, in {sets} sets. They change nothing on a server. If
a check lacks a right or a program, its outcome is ``unknown``, and the report has the reason.

Set ``audit_check_sets`` to run only some sets, and ``audit_skip`` to skip single checks. Set parameters as variables
of the play, a group or a host, see :ref:`ansible_collections.herdops.alpacon.docsite.audit`. A check whose list is
``[]`` does not apply until you set it. References are controls of NIST SP 800-53.

.. contents::
   :local:
   :depth: 2
"""


def page() -> str:
    sets = check_files.sets()
    parts = [_HEAD.format(checks=sum(len(content["checks"]) for content in sets.values()), sets=len(sets))]
    for name, content in sets.items():
        parts += [_heading(f"Set ``{name}``", "-"), *map(_check, content["checks"])]
    return "\n".join(parts)


def _check(check: dict[str, Any]) -> str:
    parameters = [f"``audit_{name}``: ``{_shown(value)}``" for name, value in check.get("parameters", {}).items()]
    fields = {
        "Severity": check["severity"],
        "Remedy": _plain(check["remedy"]),
        "Parameters": "; ".join(parameters),
        "References": ", ".join(map(_plain, check["references"])),
    }
    lines = [
        _heading(f"``{check['name']}``", "^"),
        _wrapped(f"**{_plain(check['title'])}.** {_plain(check['rationale'])}"),
        "",
        *(_wrapped(f":{name}: {text}", "    ") for name, text in fields.items() if text),
    ]
    return "\n".join([*lines, ""])


def _shown(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return textwrap.shorten(text, 100, placeholder=" ...") or "[]"


def _plain(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
