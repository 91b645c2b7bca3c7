# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report that a browser has opened, and what the browser must never do with it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import CDPSession, Dialog, Page

#: Run by root, without a screen, and without Chromium's own network traffic.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


class Opened:
    """A page with a report."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.url = path.as_uri()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)

    def open(self, hash_: str = "") -> None:
        """Open the report again, with this fragment of its URL."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}{hash_}")

    def seconds_to_open(self) -> float:
        """Open the report again, and return the CPU time that the page took until it was drawn."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = self._busy(session)
        self.open()
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        return self._busy(session) - before

    @staticmethod
    def _busy(session: CDPSession) -> float:
        metrics = {row["name"]: row["value"] for row in session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    @property
    def hash(self) -> str:
        """Return the fragment of the URL."""
        return self.page.url.partition("#")[2]

    def check(self) -> None:
        """Check that nothing forbidden happened."""
        assert {url.partition("#")[0] for url in self.requests} == {self.url}
        assert self.complaints == []

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()
