# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: xccdf_checks
short_description: Make checks for an audit of a profile of an XCCDF data stream
version_added: 1.0.0
description:
  - Reads a data stream such as those of the SCAP Security Guide on the controller, and returns the check that evaluates
    one of its profiles on servers by OpenSCAP, C(oscap xccdf eval).
  - It is one check and one command for each server, and has one result for each rule that the profile selects.
    Titles, severities, rationale, references and remedies are those of the data stream.
  - A rule of the profile that C(oscap) says nothing about is unknown, and never passed.
notes:
  - The servers need C(oscap), the data stream, and C(sha256sum).
author:
  - herdops.alpacon contributors (@herdops)
options:
  _terms:
    description:
      - Paths of data streams on the controller. Relative ones are looked for in the folder C(files) of the role or the
        play, and beside it.
    required: true
    type: list
    elements: str
  profile:
    description:
      - The id of the profile, such as V(xccdf_org.ssgproject.content_profile_standard), or its end, V(standard).
      - C(oscap info) lists those that there are, and so does the error if there is no such profile.
    required: true
    type: str
  same_content:
    description:
      - Whether a server is evaluated only if its data stream is the one on the controller, byte for byte. Where it is
        not, all rules are unknown, and the result says why.
    type: bool
    default: true
  path:
    description:
      - Where the data stream is on the servers.
      - If omitted, where it is on the controller.
    type: str
  name:
    description:
      - The name of the check. Names of results begin with it, as in C(NAME/sshd_disable_root_login).
      - If omitted, it is made of the id of the profile.
    type: str
seealso:
  - plugin: herdops.alpacon.inspec_checks
    plugin_type: lookup
extends_documentation_fragment:
  - herdops.alpacon.scanner_checks
"""

EXAMPLES = r"""
# The data stream is in the folder files of the play, and where ssg-debian puts it on servers.
- name: Make a check of a profile of the SCAP Security Guide
  ansible.builtin.set_fact:
    audit_checks: "{{ query('herdops.alpacon.xccdf_checks', 'ssg-debian12-ds.xml', profile='anssi_np_nt28_average',
                            path='/usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml', username='root') }}"

- name: Show what the rules of a profile are
  ansible.builtin.debug:
    msg: "{{ query('herdops.alpacon.xccdf_checks', 'ssg-debian12-ds.xml',
                   profile='xccdf_org.ssgproject.content_profile_anssi_np_nt28_average')[0].results.rules
             | map(attribute='title') }}"
"""

RETURN = r"""
_list:
  description:
    - One check for each term, as the option O(herdops.alpacon.alpacon_audit#module:checks) takes them. Its kind is
      V(results), and its rules have what the data stream says about them.
  type: list
  elements: dict
  sample:
    - name: anssi-np-nt28-average
      title: "Guide to the Secure Configuration of Debian 12: Profile for ANSSI DAT-NT28 Average (Intermediate) Level"
      kind: results
      timeout: 1800
      line: oscap xccdf eval --progress --profile xccdf_org.ssgproject.content_profile_anssi_np_nt28_average ssg-ds.xml
      results:
        format: xccdf
        rules:
          - name: sshd_disable_root_login
            title: Disable SSH Root Login
            severity: medium
"""

from typing import Any, ClassVar

from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.content import Wanted, xccdf_check
from ansible_collections.herdops.alpacon.plugins.plugin_utils._audit.scanners.lookup import ChecksOfContent


class LookupModule(ChecksOfContent):
    """Make checks of profiles of XCCDF data streams."""

    plugin: ClassVar[str] = "herdops.alpacon.xccdf_checks"
    own: ClassVar[tuple[str, ...]] = ("profile", "same_content")

    def check(self, path: str, wanted: Wanted) -> dict[str, Any]:
        """The check that evaluates the profile of a data stream."""
        profile = str(self.get_option("profile"))
        return xccdf_check(path, profile, wanted, same_content=bool(self.get_option("same_content")))
