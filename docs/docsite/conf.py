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
html_theme = "sphinx_ansible_theme"
html_theme_options = {
    "documentation_home_url": "https://github.com/herdops/herdops.alpacon",
    "show_rtd_ethical_ads": False,
    "titles_only": True,
    "topbar_links": {
        "Galaxy": "https://galaxy.ansible.com/ui/repo/published/herdops/alpacon/",
        "Issues": "https://github.com/herdops/herdops.alpacon/issues",
    },
}
html_title = "herdops.alpacon"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
# Links into Ansible's own documentation resolve only there, and the changelog has a title only after the first release.
suppress_warnings = ["ref.ref", "toc.no_title"]
