# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the short name and the result of each rule in a file of OpenSCAP, as JSON."""

from __future__ import annotations

import json
import sys
from xml.etree import ElementTree

XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"
rows = [
    (row.get("idref").split("_rule_")[-1], row.findtext(f"{XCCDF}result"))
    for row in ElementTree.parse(sys.argv[1]).iter(f"{XCCDF}rule-result")
]
print(json.dumps([row for row in rows if row[1] != "notselected"]))
