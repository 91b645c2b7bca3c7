# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the picture of the audit's report that the documentation shows."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from browser import reports
from browser.pages import FLAGS
from playwright.sync_api import sync_playwright

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import write_report

report = reports.report()
with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
    (html,) = write_report(report, Path(folder), ["html"], reports.earlier(report))
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
    page = browser.new_page(viewport={"width": 1280, "height": 1180}, color_scheme="light")
    page.goto(html.as_uri())
    page.screenshot(path=Path(__file__).parents[2] / "docs/docsite/rst/audit_report.png")
    browser.close()
