# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report for everyone and every browser: axe finds nothing, and the validator finds nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import collection_tree
import pytest
from browser.pages import Opened

Visit = Callable[..., Opened]

PACKAGES = collection_tree.BUILD / "browser/node_modules"
AXE = PACKAGES / "axe-core/axe.min.js"
VALIDATOR = PACKAGES / "vnu-jar/build/dist/vnu.jar"

#: It matches no hash of a long element, and takes data for a script; every test sees that Chromium blocks nothing.
NO_FINDING = ".*violates Content Security Policy.*"


def violations(opened: Opened) -> list[Any]:
    """Return the violations that axe finds: rule and elements."""
    if not opened.page.evaluate("'axe' in window"):
        opened.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = opened.page.evaluate("axe.run({resultTypes: ['violations']}).then(results => results.violations)")
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "hash_", "width"),
    [
        ("example", "", 1280),
        ("example", "", 400),
        ("example", "#s1", 1280),
        ("example", "#c0", 400),
        ("example", "#group=db", 1280),
        ("example", "#q=nothing+has+this", 1280),
        ("hostile", "", 1280),
    ],
)
def test_axe_finds_nothing(visit: Visit, scheme: str, name: str, hash_: str, width: int) -> None:
    opened = visit(name, hash_, color_scheme=scheme, viewport={"width": width, "height": 900})
    # Axe skips what is closed or out of sight.
    opened.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    opened.page.wait_for_timeout(50)
    opened.page.evaluate(
        "document.querySelectorAll('.check').forEach(each => { each.style.contentVisibility = 'visible'; })"
    )
    assert violations(opened) == []


def test_is_valid_html(html: Callable[[str], Path]) -> None:
    paths = [str(html(name)) for name in ("example", "clean", "hostile")]
    command = ["java", "-jar", str(VALIDATOR), "--format", "gnu", "--stdout", "--filterpattern", NO_FINDING, *paths]
    assert subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout == ""
