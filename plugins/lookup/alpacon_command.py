# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: alpacon_command
short_description: Look up the latest command of servers in an Alpacon workspace
version_added: 1.0.0
description:
  - Returns the output, the id or the whole record of the latest matching command of each server.
  - It runs nothing, and reads the list of commands once for all servers.
author:
  - herdops.alpacon contributors (@herdops)
options:
  _terms:
    description: Names or UUIDs of servers. One term can list several, separated by commas.
    required: true
    type: list
    elements: str
  line:
    description: The exact command line. Blanks at both ends are ignored.
    type: str
  status:
    description: One or more of the statuses that M(herdops.alpacon.alpacon_command_info) describes.
    type: list
    elements: str
    default: [success]
  within:
    description:
      - The maximum age of the command, as a duration such as V(90s), V(10m) or V(1h30m). A short one saves requests.
    type: str
  want:
    description:
      - The value to return. V(record) is a dictionary with the keys of a command in
        M(herdops.alpacon.alpacon_command_info).
    type: str
    default: output
    choices: [output, id, record]
  default:
    description:
      - The value to return for a server without a matching command. If omitted, the lookup fails.
    type: raw
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.connection.plugins
seealso:
  - module: herdops.alpacon.alpacon_command
  - module: herdops.alpacon.alpacon_command_info
"""

EXAMPLES = r"""
- name: Show the latest uptime
  ansible.builtin.debug:
    msg: "{{ query('herdops.alpacon.alpacon_command', 'web-01', 'web-02', line='uptime', within='1h') }}"

- name: Show the last backup
  ansible.builtin.debug:
    msg: "{{ lookup('herdops.alpacon.alpacon_command', 'db-01', line='/usr/local/bin/backup', default='none') }}"

- name: Show when it ended
  ansible.builtin.debug:
    msg: "{{ query('herdops.alpacon.alpacon_command', 'db-01', line='/usr/local/bin/backup', want='record')[0].end }}"

- name: Await the running command
  herdops.alpacon.alpacon_command:
    ids: "{{ query('herdops.alpacon.alpacon_command', inventory_hostname, status=['running'], want='id') }}"
    state: finished
"""

RETURN = r"""
_list:
  description: One element for each server, in the order of the terms.
  type: list
  elements: raw
  sample: [" 10:30:44 up 12 days,  3:04,  1 user,  load average: 0.00, 0.01, 0.05"]
"""

import os
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean, clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import CONNECTION
from ansible_collections.herdops.alpacon.plugins.module_utils._options.values import split_list
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.command_info import run_lookup
from ansible_collections.herdops.alpacon.plugins.plugin_utils._arguments import check_option_names, check_selection
from ansible_collections.herdops.alpacon.plugins.plugin_utils._facts import refuse_settings_of_any_host
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import make_printer
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import (
    TaskSettings,
    find_settings,
    get_run_folder,
)

display = Display()

_QUERY = ("line", "status", "within", "want")
_OPTIONS = (*_QUERY, "default", *CONNECTION)


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        kwargs.pop("wantlist", None)  # from loops with_ before ansible-core 2.19
        found = TaskSettings({})
        try:
            # Ansible ignores unknown options.
            check_option_names(
                "the lookup herdops.alpacon.alpacon_command", kwargs, _OPTIONS, f"Give some of {', '.join(_OPTIONS)}."
            )
            for name, is_list in (("line", False), ("status", True), ("within", False)):
                if name in kwargs:
                    check_selection(name, kwargs[name], "Give a value, or leave it out to mean all commands.", is_list)
            servers = self._split_terms(terms)
            # Ansible does not template the variables of a lookup.
            found = find_settings(kwargs, variables or {}, os.environ, self._templar.template, get_run_folder())  # type: ignore[union-attr]
            refuse_settings_of_any_host((variables or {}).get("hostvars"))
            self.set_options(direct=kwargs)
            # get_option would read a token of another workspace, and convert any word to false.
            settings = {name: found.options.get(name, kwargs.get(name)) for name in CONNECTION}
            default = {"default": kwargs["default"]} if "default" in kwargs else {}
            options = {**{name: self.get_option(name) for name in _QUERY}, **settings, **default}
            return run_lookup(servers, options, lambda text: display.warning(clean_line(text)), make_printer(4))
        except AlpaconError as error:
            raise AnsibleError(clean(found.explain(error))) from None

    def _split_terms(self, terms: list[Any]) -> list[str]:
        names = [name for term in self._flatten(terms) for name in split_list(term)]
        for listed in [*(term for term in terms if isinstance(term, list)), names]:
            check_selection("terms", listed, "Give names or UUIDs of servers.")
        return [str(name) for name in names]
