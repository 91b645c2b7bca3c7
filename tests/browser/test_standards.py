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
    """What axe objects to: rule, and the elements."""
    if not opened.page.evaluate("'axe' in window"):
        opened.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = opened.page.evaluate("axe.run({resultTypes: ['violations']}).then(results => results.violations)")
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("hash_", ["", "#s1", "#c0", "#about-group=db"])
def test_axe_finds_nothing(visit: Visit, scheme: str, width: int, hash_: str) -> None:
    opened = visit(hash_=hash_, color_scheme=scheme, viewport={"width": width, "height": 900})
    # What is skipped for being out of sight, or closed, would not be looked at.
    opened.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    opened.page.wait_for_timeout(50)
    opened.page.evaluate(
        "document.querySelectorAll('.check').forEach(each => { each.style.contentVisibility = 'visible'; })"
    )
    assert violations(opened) == []


@pytest.mark.parametrize("name", ["clean", "hostile"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_other_reports(visit: Visit, name: str, scheme: str) -> None:
    opened = visit(name, color_scheme=scheme)
    opened.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert violations(opened) == []


@pytest.mark.parametrize("hash_", ["#outcome=failed", "#q=nothing+has+this"])
def test_axe_finds_nothing_in_a_filtered_report(visit: Visit, hash_: str) -> None:
    assert violations(visit(hash_=hash_)) == []


def test_axe_would_find_something(visit: Visit) -> None:
    opened = visit()
    opened.page.evaluate("document.querySelector('.sentence').style.color = 'var(--page)'")
    assert [rule for rule, _nodes in violations(opened)] == ["color-contrast"]


def test_is_valid_html(html: Callable[[str], Path]) -> None:
    paths = [str(html(name)) for name in ("example", "clean", "hostile", "large")]
    assert validate(*paths) == ""


def test_the_validator_would_find_something(html: Callable[[str], Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(html("clean").read_text(encoding="utf-8").replace("<main", "<main id=main", 1), encoding="utf-8")
    assert "Duplicate attribute" in validate(str(broken))


def validate(*paths: str) -> str:
    """What the Nu HTML checker says about files."""
    command = ["java", "-jar", str(VALIDATOR), "--format", "gnu", "--stdout", "--filterpattern", NO_FINDING, *paths]
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout
