# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the picture of the audit's report that the documentation shows."""

from __future__ import annotations

import base64
import shutil
import tempfile
from pathlib import Path

from browser import reports
from browser.pages import FLAGS
from playwright.sync_api import sync_playwright

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report import write_report
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.report.comparison import compare_reports

report = reports.report()
with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
    report["trend"] = compare_reports(report, reports.earlier(report))
    (html,) = write_report(report, Path(folder), ["html"])
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
    # 1100 x 612 pixels: the verdict, what to fix first and the counts.
    page = browser.new_page(viewport={"width": 1375, "height": 765}, device_scale_factor=0.8, color_scheme="light")
    page.goto(html.as_uri())
    # Playwright itself writes no WebP, which is half as large as PNG.
    picture = page.context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    (Path(__file__).parents[2] / "docs/docsite/rst/audit_report.webp").write_bytes(base64.b64decode(picture["data"]))
    browser.close()
