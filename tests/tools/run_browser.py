# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the audit's report in Chromium; with --screenshot, take the picture of it that the documentation shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import collection_tree

sys.path[:0] = [str(collection_tree.ROOT / "tests"), str(collection_tree.link())]

from hosts import needs

SOURCES = collection_tree.ROOT / "tests/browser"
PACKAGES = collection_tree.BUILD / "browser"
SCREENSHOT = collection_tree.ROOT / "docs/docsite/rst/audit_report.png"
#: Programs, and the Debian package of each.
PROGRAMS = {"chromium": "chromium", "java": "default-jre-headless", "npm": "npm"}


def main(arguments: list[str]) -> int:
    """Run the tests, or take the picture, and return the exit code."""
    if needs.absent(PROGRAMS) and os.geteuid() == 0:
        needs.install([*needs.absent(PROGRAMS), "fonts-dejavu-core"])
    if needs.absent(PROGRAMS):
        return collection_tree.skip(f"these packages are missing: {', '.join(needs.absent(PROGRAMS))}")
    if arguments == ["--screenshot"]:
        return take_screenshot()
    PACKAGES.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCES / name, PACKAGES)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=PACKAGES, check=True)
    command = [sys.executable, "-m", "pytest", "-o", "cache_dir=.pytest_cache/browser", "tests/browser", "-n", "2"]
    return subprocess.run(command, cwd=collection_tree.ROOT, check=False).returncode


def take_screenshot() -> int:
    """Write the documentation's picture of a report."""
    from browser import reports
    from browser.pages import FLAGS
    from playwright.sync_api import sync_playwright

    from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import write_report

    report = reports.report()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (html,) = write_report(report, Path(folder), ["html"], reports.history(report))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 1180}, color_scheme="light")
        page.goto(html.as_uri())
        page.screenshot(path=SCREENSHOT)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
