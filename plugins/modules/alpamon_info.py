#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: alpamon_info
short_description: Read the state of Alpacon's agent on a host
version_added: 1.0.0
description:
  - Reads the installed version, the service and the configuration of the agent (alpamon) on the host.
  - Sends nothing to the workspace. M(herdops.alpacon.alpacon_registration_info) checks the credentials and the
    connection.
author:
  - herdops.alpacon contributors (@herdops)
requirements:
  - ansible-core 2.16 or newer
  - Linux, and Python 3.6 or newer on the host
options:
  return_key:
    description:
      - Return RV(configuration.key), which only root can read. It is a secret, so set C(no_log) to V(true).
    type: bool
    default: false
  package_file:
    description:
      - Path on the host of a C(.deb) or C(.rpm) whose version to return as RV(package_file_version).
    type: path
  plan:
    description:
      - Return RV(plan). Works only in the role P(herdops.alpacon.alpamon#role).
    type: bool
    default: false
  controller_time:
    description:
      - Time to compare the host's clock with, in seconds since the epoch. By default, the time of the controller.
    type: float
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the host.
    support: full
    details:
      - The module only reads.
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row, with the same arguments, the second invocation indicates no change.
    support: full
  async:
    description: Can be used with the C(async) keyword.
    support: full
  facts:
    description: Returns C(ansible_facts), which become facts of the host.
    support: none
  platform:
    description: Systems on which the module can run.
    support: full
    platforms: linux
seealso:
  - module: herdops.alpacon.alpacon_registration_info
  - module: herdops.alpacon.alpacon_server_info
"""

EXAMPLES = r"""
- name: Read the agent's state
  herdops.alpacon.alpamon_info:
  become: true
  register: agent

- name: Show the agent's version
  ansible.builtin.debug:
    msg: "{{ agent.version or 'not installed' }}, held: {{ agent.held }}"

- name: Check that the agent restarted
  ansible.builtin.assert:
    that: agent.process.state != 'outdated'
    fail_msg: "alpamon {{ agent.version }} is installed, but an older version is running."
"""

RETURN = r"""
version:
  description: Installed version, such as V(2.6.0-rc1); null if the package is not installed.
  returned: always
  type: str
  sample: 2.5.0
held:
  description: Whether the package is held by dpkg, dnf versionlock or a lock of zypper.
  returned: always
  type: bool
  sample: false
package_file_version:
  description: Version of O(package_file); null if it is not a package.
  returned: always
  type: str
  sample: null
service_manager:
  description: Name of process 1, usually V(systemd).
  returned: always
  type: str
  sample: systemd
service:
  description: The agent's systemd unit. All values are V(false) without systemd.
  returned: always
  type: dict
  sample: {active: true, enabled: true}
  contains:
    active:
      description: Whether the unit is active.
      type: bool
    enabled:
      description: Whether the unit starts at boot.
      type: bool
restart_timer:
  description: The systemd timer that restarts the agent after an upgrade of the package.
  returned: always
  type: dict
  sample: {active: false, enabled: false}
  contains:
    active:
      description: Whether the unit is active.
      type: bool
    enabled:
      description: Whether the unit starts at boot.
      type: bool
process:
  description: The agent's process.
  returned: always
  type: dict
  sample: {pid: 812, state: current, outdated: []}
  contains:
    pid:
      description: The process ID; null if the agent does not run.
      type: int
    state:
      description:
        - V(none) if the agent does not run, V(outdated) if its package or configuration changed since it started, else
          V(current).
      type: str
    outdated:
      description: Changes since the start, V(package) or V(configuration) or both.
      type: list
      elements: str
configuration:
  description: The agent's configuration.
  returned: always
  type: dict
  sample:
    url: https://my-workspace.us1.alpacon.io
    id: 550e8400-e29b-41d4-a716-446655440000
    key: null
    readable: true
    complete: true
    text: "[server] ..."
  contains:
    url:
      description: URL of the workspace; null if it is missing or unreadable.
      type: str
    id:
      description: UUID of the server; null if it is missing.
      type: str
    key:
      description: Key of the server; null if it is missing or without O(return_key=true).
      type: str
    readable:
      description: Whether the task could read the file. If V(false), use C(become).
      type: bool
    complete:
      description: Whether URL, ID and key are present and well-formed.
      type: bool
    text:
      description: The content of the file, with secrets masked.
      type: str
machine_id:
  description: Machine ID of the host.
  returned: always
  type: str
  sample: 0123456789abcdef0123456789abcdef
registered_machine_id:
  description:
    - Machine ID in the agent's configuration; empty if it is missing. If it differs from RV(machine_id), the host is
      a clone, or its machine ID has changed.
  returned: always
  type: str
  sample: 0123456789abcdef0123456789abcdef
pending:
  description: Marker files of an upgrade or migration that the agent started.
  returned: always
  type: list
  elements: str
  sample: []
files:
  description: The files and folders that the role manages, by path.
  returned: always
  type: dict
  sample:
    /etc/alpamon: {exists: true, mode: "0700", uid: 0, gid: 0}
distribution:
  description: The distribution in C(/etc/os-release).
  returned: always
  type: dict
  sample: {id: debian, name: Debian GNU/Linux, version: "13"}
  contains:
    id:
      description: Its C(ID).
      type: str
    name:
      description: Its C(NAME).
      type: str
    version:
      description: Its C(VERSION_ID), which is empty for Debian unstable.
      type: str
hostname:
  description: The short hostname; empty for default names such as V(localhost.localdomain).
  returned: always
  type: str
  sample: web-01
proxies:
  description: Names of the environment variables that set an HTTP proxy.
  returned: always
  type: list
  elements: str
  sample: []
uid:
  description: The user ID of the task; V(0) is root.
  returned: always
  type: int
  sample: 0
clock_ahead:
  description:
    - Seconds that the host's clock is ahead of O(controller_time), negative if it is behind.
  returned: always
  type: int
  sample: 0
check_mode:
  description: Whether the task ran in check mode.
  returned: always
  type: bool
  sample: false
plan:
  description:
    - Changes that the role has to make. All other keys are private to the role.
  returned: with O(plan=true)
  type: dict
  sample: {problems: [], warnings: [], install: false, register: false, write_configuration: false, restart: false}
  contains:
    problems:
      description: Reasons to refuse the host. If there are any, other keys may be missing.
      type: list
      elements: str
    warnings:
      description: The warnings that the task shows.
      type: list
      elements: str
    install:
      description: Whether a package has to be installed.
      type: bool
    register:
      description: Whether the host has to be registered.
      type: bool
    write_configuration:
      description: Whether the configuration has to be changed.
      type: bool
    restart:
      description: Whether the agent has to be restarted.
      type: bool
"""

from typing import List, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.herdops.alpacon.plugins.module_utils._agent.reading import System, read_agent

SPEC = {
    "return_key": {"type": "bool", "default": False, "no_log": False},
    "package_file": {"type": "path"},
    "plan": {"type": "bool", "default": False},
    "controller_time": {"type": "float"},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)

    def program(command: List[str]) -> Tuple[int, str]:
        code, output, _error = module.run_command(command, environ_update={"LC_ALL": "C"})
        return code, output

    options = module.params
    result = read_agent(
        System(program),
        package_file=options["package_file"] or "",
        return_key=options["return_key"],
        controller_time=options["controller_time"],
    )
    module.exit_json(changed=False, check_mode=module.check_mode, **result)


if __name__ == "__main__":
    main()
