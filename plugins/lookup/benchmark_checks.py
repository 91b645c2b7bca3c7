# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: benchmark_checks
short_description: Make audit checks of benchmarks on the controller
version_added: 1.0.0
description:
  - Reads a benchmark on the controller, and returns the check that evaluates it on servers. The benchmark is an XCCDF
    data stream, such as those of the SCAP Security Guide, or the output of C(inspec json).
  - The check has one result for each rule, with the texts of the benchmark. A rule without a result is unknown.
  - If the servers have the content of the SCAP Security Guide, use the option
    O(herdops.alpacon.alpacon_audit#module:benchmarks) instead.
requirements:
  - ansible-core 2.16 or newer
  - Python 3.10 or newer
notes:
  - For XCCDF, the servers need C(oscap) and the same data stream as the controller. If a server has another one, all
    rules are unknown.
  - For InSpec, the servers need the profile and InSpec, or a program that works like it, such as CINC Auditor.
author:
  - herdops.alpacon contributors (@herdops)
options:
  _terms:
    description:
      - Paths of XCCDF data streams, or of files that C(inspec json) wrote, on the controller. Relative ones are in the
        directory C(files) of the role or the play, or beside it.
    required: true
    type: list
    elements: str
  profile:
    description:
      - The ID of the profile of a data stream, such as V(xccdf_org.ssgproject.content_profile_standard), or its end,
        V(standard). C(oscap info) lists them.
    type: str
  path:
    description: The path of the data stream or the InSpec profile on the servers. If omitted, the path of the file.
    type: str
  command:
    description: InSpec on the servers, such as V(cinc-auditor) or V(sudo inspec).
    type: str
    default: inspec
  reporter:
    description:
      - The reporter of InSpec. Profiles of MITRE and DISA need V(json), which has the impact 0 of a control that does
        not apply. It prints several kilobytes for each control, and the output of a check may have 4 MiB.
    type: str
    default: json-min
    choices: [json-min, json]
  name:
    description:
      - The name of the check, with which names of results begin, as in C(NAME/sshd_disable_root_login). If omitted, the
        end of the ID of the XCCDF profile, or the name of the InSpec profile.
    type: str
  username:
    description: The account that runs the check. OpenSCAP must run as V(root). If omitted, that of the audit.
    type: str
  timeout:
    description: Seconds that the check may take on a server.
    type: int
    default: 1800
seealso:
  - module: herdops.alpacon.alpacon_audit
  - name: Audits by other scanners
    description: A guide, with examples for InSpec, TAP, JUnit and JSON.
    link: https://github.com/herdops/herdops.alpacon/blob/main/docs/docsite/rst/audit_scanners.rst
"""

EXAMPLES = r"""
# The data stream is in the directory files of the play, and where ssg-debian puts it on servers.
- name: Make a check of a profile of a data stream
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.benchmark_checks', 'ssg-debian12-ds.xml', profile='anssi_bp28_minimal',
                            path='/usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml', username='root') }}"

# The file is what "inspec json profiles/linux-baseline" wrote.
- name: Make a check of a profile of InSpec, for CINC Auditor
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.benchmark_checks', 'linux-baseline.json', path='/opt/linux-baseline',
                            command='cinc-auditor', name='baseline', username='root') }}"
"""

RETURN = r"""
_list:
  description:
    - One check for each term, for the option O(herdops.alpacon.alpacon_audit#module:checks). Its rules have the texts
      of the benchmark.
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
    """Make checks of benchmarks."""

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
