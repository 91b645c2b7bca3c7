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
  name:
    description:
      - The name of the check. Names of results begin with it, as in C(NAME/sshd-01).
      - If omitted, it is made of the name of the profile.
    type: str
  set:
    description: The set that the check belongs to in the report.
    type: str
    default: benchmarks
  severity:
    description:
      - The severity of controls for which the content names none.
      - If omitted, that of a check without one.
    type: str
    choices: [info, low, medium, high, critical]
  username:
    description:
      - The account on the servers that runs it. Most benchmarks need V(root).
      - If omitted, that of the audit.
    type: str
  timeout:
    description: How many seconds a server may take.
    type: int
    default: 1800
seealso:
  - module: herdops.alpacon.alpacon_audit
  - plugin: herdops.alpacon.xccdf_checks
    plugin_type: lookup
  - name: Audits by other scanners
    description: A guide, with plays that install a scanner through the workspace and run it.
    link: https://github.com/herdops/herdops.alpacon/blob/main/docs/docsite/rst/audit_scanners.rst
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
      set: benchmarks
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

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.content import Wanted, inspec_check
from ansible_collections.herdops.alpacon.plugins.plugin_utils._given import check_names

_WANTED = ("path", "name", "set", "severity", "username", "timeout")
_OPTIONS = ("command", *_WANTED)


class LookupModule(LookupBase):
    """Make checks of profiles of InSpec."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """One check for each term."""
        try:
            # Ansible takes options that there are not without a word.
            check_names(
                "the lookup herdops.alpacon.inspec_checks", kwargs, _OPTIONS, f"Give some of {', '.join(_OPTIONS)}."
            )
            self.set_options(var_options=variables, direct=kwargs)
            wanted = Wanted(**{option: self.get_option(option) for option in _WANTED})
            return [self._check(self._found(str(term), variables), wanted) for term in self._flatten(terms)]
        except AlpaconError as error:
            raise AnsibleError(clean(error)) from None

    def _found(self, term: str, variables: dict[str, Any] | None) -> str:
        """The file of a term, which is looked for where those of ansible.builtin.copy are."""
        return str(self.find_file_in_search_path(variables or {}, "files", term, ignore_missing=True) or term)

    def _check(self, path: str, wanted: Wanted) -> dict[str, Any]:
        return inspec_check(path, str(self.get_option("command")), wanted)
