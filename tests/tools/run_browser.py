# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at the audit's report in Chromium: run the tests of tests/browser, or take the documentation's screenshot."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import collection_tree
import npm_packages

sys.path[:0] = [str(collection_tree.ROOT / "tests"), str(collection_tree.link())]

SOURCES = collection_tree.ROOT / "tests/browser"
SCREENSHOT = collection_tree.ROOT / "docs/docsite/rst/audit_report.png"
LARGEST_SCREENSHOT = 300_000

#: program -> what brings it.
PROGRAMS = {
    "chromium": "Debian: apt install chromium; elsewhere the package of that name",
    "java": "Debian: apt install default-jre-headless",
    "npm": "Debian: apt install npm",
}
DEBIAN = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]


def main(arguments: list[str]) -> int:
    """Run the tests, or take the screenshot, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshot", action="store_true", help=f"write {SCREENSHOT.name} instead of running tests")
    options = parser.parse_args(arguments)
    missing = missing_programs()
    if missing:
        return without(missing)
    if options.screenshot:
        return take_screenshot()
    npm_packages.install(SOURCES, collection_tree.BUILD / "browser")
    command = [sys.executable, "-m", "pytest", "-o", "cache_dir=.pytest_cache/browser", "tests/browser"]
    tried = subprocess.run([*command, "-n", "2"], cwd=collection_tree.ROOT, check=False).returncode
    if tried:
        print("browser: what failed is run once more, by itself", flush=True)
        again = ["--last-failed", "--last-failed-no-failures", "none"]
        tried = subprocess.run([*command, *again], cwd=collection_tree.ROOT, check=False).returncode
    return tried


def missing_programs() -> list[str]:
    """The programs that are not there, after installing Chromium where that is ours to do."""
    if not shutil.which("chromium") and os.geteuid() == 0 and Path("/etc/debian_version").exists():
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], DEBIAN):
            subprocess.run(command, env=environ, check=False, stdout=subprocess.DEVNULL)
    return [name for name in PROGRAMS if not shutil.which(name)]


def without(missing: list[str]) -> int:
    """Say what is missing, and return the exit code for that."""
    lines = [f"{name} is missing ({PROGRAMS[name]})" for name in missing]
    if os.environ.get("ALLOW_MISSING_BROWSER") == "1":
        print("\n".join(f"WARNING: SKIPPED: {line}" for line in lines))
        return 0
    print("\n".join(f"ERROR: {line}" for line in lines))
    print("Install what is missing, or set ALLOW_MISSING_BROWSER=1 to skip this step.")
    return 1


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
    size = SCREENSHOT.stat().st_size
    print(f"{SCREENSHOT.relative_to(collection_tree.ROOT)}: {size // 1000} kB")
    return 0 if size <= LARGEST_SCREENSHOT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
