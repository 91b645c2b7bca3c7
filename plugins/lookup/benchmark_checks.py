# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: benchmark_checks
short_description: Make audit checks from benchmark files
version_added: 1.0.0
description:
  - Reads an XCCDF data stream, or the output of C(inspec json), on the controller. Returns an audit check that
    runs the benchmark on servers.
  - Each rule becomes a result, with its rationale, remedy and references in the report. A server without an answer
    counts with all rules of the profile. O(herdops.alpacon.alpacon_audit#module:benchmarks) needs no file on the
    controller, and takes the texts of failed rules from the servers.
requirements:
  - ansible-core 2.16 or newer
  - Python 3.10 or newer
notes:
  - For XCCDF, the servers need C(oscap) and the same data stream. With a different data stream, all rules are unknown.
  - For InSpec, the servers need InSpec and the profile. Impacts below 0.4 become V(low), below 0.7 V(medium), below 0.9
    V(high), others V(critical).
author:
  - herdops.alpacon contributors (@herdops)
options:
  _terms:
    description: Benchmark files on the controller. Relative paths are searched in C(files) of the role or the play.
    required: true
    type: list
    elements: str
  profile:
    description:
      - XCCDF profile, by its ID or the end of it, such as V(standard) for
        V(xccdf_org.ssgproject.content_profile_standard). Required for XCCDF.
    type: str
  path:
    description: Path of the data stream or InSpec profile on the servers. By default, the path of the file.
    type: str
  command:
    description: InSpec command on the servers, such as V(cinc-auditor) or V(sudo inspec).
    type: str
    default: inspec
  reporter:
    description:
      - InSpec reporter. Profiles of MITRE and DISA need V(json), in which an impact of 0 means that a control does not
        apply. Its output is larger; a check can return at most 4 MiB.
    type: str
    default: json-min
    choices: [json-min, json]
  name:
    description: Name of the check. Results are named C(NAME/RULE). By default, the name of the profile.
    type: str
  username:
    description: System user that runs the check. OpenSCAP needs V(root). By default, the account of the token.
    type: str
  timeout:
    description: Seconds after which the check is stopped on a server.
    type: int
    default: 1800
seealso:
  - module: herdops.alpacon.alpacon_audit
  - name: Audits by other scanners
    description: Guide with examples for InSpec, TAP, JUnit and JSON.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/audit_scanners.html
"""

EXAMPLES = r"""
- name: Check an XCCDF profile
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.benchmark_checks', 'ssg-debian12-ds.xml', profile='anssi_bp28_minimal',
                            path='/usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml', username='root') }}"

# To create the file, run: inspec json profiles/linux-baseline >files/linux-baseline.json
- name: Check an InSpec profile
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.benchmark_checks', 'linux-baseline.json', path='/opt/linux-baseline',
                            username='root') }}"

- name: Use CINC Auditor
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.benchmark_checks', 'linux-baseline.json', path='/opt/linux-baseline',
                            command='cinc-auditor', name='baseline') }}"
"""

RETURN = r"""
_list:
  description:
    - One check for each file, for O(herdops.alpacon.alpacon_audit#module:checks).
  type: list
  elements: dict
  sample:
    - name: linux-baseline
      title: "DevSec Linux Security Baseline"
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
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import check_option_names
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.benchmarks import make_check

_OPTIONS = ("profile", "path", "command", "reporter", "name", "username", "timeout")


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        kwargs.pop("wantlist", None)  # a loop with_ passes it on before ansible-core 2.19
        try:
            # Ansible ignores unknown options.
            remedy = f"Give some of {', '.join(_OPTIONS)}."
            check_option_names("the lookup herdops.alpacon.benchmark_checks", kwargs, _OPTIONS, remedy)
            self.set_options(var_options=variables, direct=kwargs)
            options = {option: self.get_option(option) for option in _OPTIONS}
            checks = []
            for term in map(str, self._flatten(terms)):
                path = self.find_file_in_search_path(variables or {}, "files", term, ignore_missing=True)
                checks.append(make_check(str(path or term), options))
            return checks
        except AlpaconError as error:
            raise AnsibleError(clean(error)) from None
