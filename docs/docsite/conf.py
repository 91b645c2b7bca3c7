# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sphinx settings for the HTML that `make docs` builds."""

from __future__ import annotations

project = "herdops.alpacon"
copyright = "2026, herdops.alpacon contributors"
extensions = ["sphinx_antsibull_ext"]
root_doc = "collections/herdops/alpacon/index"
exclude_patterns = ["collections/index.rst", "collections/herdops/index.rst"]
html_theme = "alabaster"
html_title = "herdops.alpacon"
# Links into Ansible's own documentation resolve only there, and the changelog has a title only after the first release.
suppress_warnings = ["ref.ref", "toc.no_title"]
