# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A headless Chromium, and reports for it to open."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import collection_tree
import pytest
from browser import reports
from browser.pages import FLAGS, Opened
from hosts import requirements
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.history_file import record_audit
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import write_report
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.comparison import compare_reports

#: Programs, and the Debian package of each.
PROGRAMS = {"chromium": "chromium", "java": "default-jre-headless", "npm": "npm"}
PACKAGES = collection_tree.BUILD / "browser"

_MAKERS: Mapping[str, Callable[[], reports.Report]] = {
    "example": reports.report,
    "clean": reports.clean,
    "hostile": reports.hostile,
    "many": reports.many,
    "benchmark": reports.benchmark,
    "hardening": reports.hardening,
    "rules": lambda: reports.hardening(rules=400, servers=2000),
    "huge": lambda: reports.report(servers=5000, checks=20, everywhere=True),
}

#: Reports that say what changed since an earlier one, and those with a history, too.
_WITH_TREND, _WITH_HISTORY = ("example", "hostile", "hardening"), ("hardening",)


def pytest_configure(config: pytest.Config) -> None:
    """Install what is missing, once for all workers: programs on a Debian as root, and what npm brings."""
    if hasattr(config, "workerinput"):
        return
    if requirements.missing_packages(PROGRAMS) and os.geteuid() == 0:
        requirements.install([*requirements.missing_packages(PROGRAMS), "fonts-dejavu-core"])
    if not requirements.missing_packages(PROGRAMS):
        PACKAGES.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(Path(__file__).with_name(name), PACKAGES)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=PACKAGES, check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if requirements.missing_packages(PROGRAMS):
        skip = pytest.mark.skip(
            reason=f"these packages are missing: {', '.join(requirements.missing_packages(PROGRAMS))}"
        )
        for item in items:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write the HTML of a report by the name of the report."""
    written: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in written:
            report, folder = _MAKERS[name](), tmp_path_factory.mktemp(name)
            if name in _WITH_TREND:
                previous = reports.earlier(report)
                report["trend"] = compare_reports(report, previous)
                for one in (previous, report) if name in _WITH_HISTORY else ():
                    record_audit(one, folder, print)
            (written[name],) = write_report(report, folder, ["html"])
        return written[name]

    return write


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the browser that all tests share."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, html: Callable[[str], Path]) -> Iterator[Callable[..., Opened]]:
    """Open a report, and check at the end that no page asked the network, had an error or opened a dialog."""
    contexts: list[BrowserContext] = []
    opened: list[Opened] = []

    def go(name: str = "example", hash_: str = "", **options: Any) -> Opened:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        opened.append(Opened(context.new_page(), html(name)))
        opened[-1].open(hash_)
        return opened[-1]

    yield go
    for page in opened:
        page.check()
    for context in contexts:
        context.close()
