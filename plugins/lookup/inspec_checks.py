# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: inspec_checks
short_description: Make checks for an audit of a profile of InSpec
version_added: 1.0.0
description:
  - Reads what C(inspec json) wrote of a profile, on the controller, and returns the check that runs the profile on
    servers by C(inspec exec).
  - It is one check and one command for each server, and has one result for each control of the profile. Titles,
    severities, rationale, references and remedies are those of the profile.
  - A control of the profile that InSpec says nothing about is unknown, and never passed.
notes:
  - The servers need InSpec, or a relative of it such as CINC Auditor, and the profile.
author:
  - herdops.alpacon contributors (@herdops)
options:
  _terms:
    description:
      - Paths of JSON files on the controller. Relative ones are looked for in the folder C(files) of the role or the
        play, and beside it.
    required: true
    type: list
    elements: str
  command:
    description: The program on the servers, such as V(cinc-auditor) or V(sudo inspec).
    type: str
    default: inspec
  path:
    description:
      - Where the profile is on the servers, as C(inspec exec) takes it.
    type: str
    required: true
  reporter:
    description:
      - What InSpec prints on the servers. V(json-min) has the results alone, which is little to transfer.
      - V(json) repeats all about the controls, several kilobytes for each, and tells their impacts on the server. Give
        it for profiles that say that a control does not apply by the impact 0, as those of MITRE and DISA do; with
        V(json-min), such a control is unknown. The output of a check may have 4 MiB.
    type: str
    default: json-min
    choices: [json-min, json]
  name:
    description:
      - The name of the check. Names of results begin with it, as in C(NAME/sshd-01).
      - If omitted, it is made of the name of the profile.
    type: str
seealso:
  - plugin: herdops.alpacon.xccdf_checks
    plugin_type: lookup
extends_documentation_fragment:
  - herdops.alpacon.scanner_checks
"""

EXAMPLES = r"""
# The file is what "inspec json profiles/linux-baseline" wrote, in the folder files of the play.
- name: Make a check of a profile of InSpec
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.inspec_checks', 'linux-baseline.json', path='/opt/linux-baseline') }}"

- name: Let CINC Auditor run it
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.inspec_checks', 'linux-baseline.json', path='/opt/linux-baseline',
                            command='cinc-auditor', name='baseline', username='root') }}"

- name: Let controls say on the server that they do not apply
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.inspec_checks', 'linux-baseline.json', path='/opt/linux-baseline',
                            reporter='json') }}"
"""

RETURN = r"""
_list:
  description:
    - One check for each term, as the option O(herdops.alpacon.alpacon_audit#module:checks) takes them. Its kind is
      V(results), and its rules have what the profile says about its controls.
  type: list
  elements: dict
  sample:
    - name: linux-baseline
      title: "DevSec Linux Security Baseline"
      kind: results
      timeout: 1800
      line: inspec exec /opt/linux-baseline --reporter json-min --no-color
      results:
        format: inspec
        rules:
          - name: os-02
            title: Check owner and permissions for /etc/shadow
            severity: critical
"""

from typing import Any, ClassVar

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.content import Wanted, inspec_check
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.lookup import ChecksOfContent


class LookupModule(ChecksOfContent):
    """Make checks of profiles of InSpec."""

    plugin: ClassVar[str] = "herdops.alpacon.inspec_checks"
    own: ClassVar[tuple[str, ...]] = ("command", "reporter")

    def check(self, path: str, wanted: Wanted) -> dict[str, Any]:
        """The check that runs a profile."""
        return inspec_check(path, str(self.get_option("command")), wanted, str(self.get_option("reporter")))
