#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: alpamon_info
short_description: Read what a host has of Alpacon's agent
version_added: 1.0.0
description:
  - Reads, on the host itself, which version of alpamon is installed, whether it runs, how it is configured, and what
    else the role P(herdops.alpacon.alpamon#role) decides by.
  - It asks no workspace, so it cannot tell whether the credentials are still valid, or whether the agent is connected;
    M(herdops.alpacon.alpacon_registration_info) does.
author:
  - herdops.alpacon contributors (@herdops)
requirements:
  - ansible-core 2.16 or newer
  - Linux, and Python 3.6 or newer on the host
options:
  return_key:
    description:
      - Whether RV(configuration.key) is returned, which only root can read. It is a secret, so set C(no_log) to V(true)
        on such a task.
    type: bool
    default: false
  package_file:
    description:
      - A C(.deb) or C(.rpm) on the host whose version is returned as well.
    type: path
  plan:
    description:
      - Whether RV(plan) is returned, which says what the role P(herdops.alpacon.alpamon#role) has to do by its
        variables. The role uses it; the task has to be one of its own.
    type: bool
    default: false
  controller_time:
    description:
      - The time that RV(clock_ahead) compares the clock of the host with, in seconds since the epoch. By default, that
        of the controller.
    type: float
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the host.
    support: full
    details:
      - It only reads.
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
- name: Read what there is of the agent
  herdops.alpacon.alpamon_info:
  become: true
  register: agent

- name: Stop where an agent runs on from before its package was upgraded
  ansible.builtin.assert:
    that: agent.process.state != 'outdated'
    fail_msg: "alpamon {{ agent.version }} is installed, and an older one runs."
"""

RETURN = r"""
version:
  description: The installed version, as the agent states it; null if the package is not installed.
  returned: always
  type: str
  sample: 2.5.0
held:
  description: Whether a hold of dpkg, a versionlock of dnf or a lock of zypper keeps the installed version.
  returned: always
  type: bool
  sample: false
package_file_version:
  description: The version in O(package_file); null if that is not given, or is no package.
  returned: always
  type: str
  sample: null
service_manager:
  description: The name of process 1, which is V(systemd) where systemd manages services.
  returned: always
  type: str
  sample: systemd
service:
  description: The unit of the agent; everything is V(false) where systemd does not manage services.
  returned: always
  type: dict
  sample: {active: true, enabled: true}
  contains:
    active:
      description: Whether it is active.
      type: bool
    enabled:
      description: Whether it is started at every boot.
      type: bool
restart_timer:
  description: The timer that the package starts when it is upgraded, as RV(service).
  returned: always
  type: dict
  sample: {active: false, enabled: false}
  contains:
    active:
      description: Whether it is active.
      type: bool
    enabled:
      description: Whether it is started at every boot.
      type: bool
process:
  description: The process of the agent.
  returned: always
  type: dict
  sample: {pid: 812, state: current, outdated: []}
  contains:
    pid:
      description: Its number; null if it does not run.
      type: int
    state:
      description:
        - V(none) if it does not run, V(outdated) if it has been running since before its package or its configuration
          came, or V(current).
      type: str
    outdated:
      description: What came later, V(package) or V(configuration) or both.
      type: list
      elements: str
configuration:
  description: The configuration of the agent.
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
      description: URL of the workspace; null if there is none, or none that can be read.
      type: str
    id:
      description: UUID of the server, as it is written there; null if there is none.
      type: str
    key:
      description: The key of the server, with O(return_key=true); null if there is none.
      type: str
    readable:
      description: Whether it can be read, or is not there. If V(false), there may be one all the same that takes root.
      type: bool
    complete:
      description:
        - Whether there are a URL, an id and a key, as far as it is RV(configuration.readable).
        - An id that is no UUID, such as one that was cut off, and a key with a character that no key has do not count.
      type: bool
    text:
      description: All of it, with its secrets masked.
      type: str
machine_id:
  description: The machine id of the host.
  returned: always
  type: str
  sample: 0123456789abcdef0123456789abcdef
registered_machine_id:
  description:
    - The machine id in a comment of the configuration, which the role writes when it registers the host; empty without
      it. If it differs from RV(machine_id), the disk is a copy of another host's, or the machine id of this one has
      changed.
  returned: always
  type: str
  sample: 0123456789abcdef0123456789abcdef
pending:
  description: Files that tell of an upgrade or a migration by the agent itself that is under way.
  returned: always
  type: list
  elements: str
  sample: []
files:
  description: The files and folders that the role manages, by their paths.
  returned: always
  type: dict
  sample:
    /etc/alpamon: {exists: true, mode: "0700", uid: 0, gid: 0}
distribution:
  description: What C(/etc/os-release) says.
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
  description: The short name of the host; empty if it has none of its own, such as V(localhost.localdomain).
  returned: always
  type: str
  sample: web-01
proxies:
  description: Names of variables in the environment of the task that set a proxy for HTTP.
  returned: always
  type: list
  elements: str
  sample: []
uid:
  description: The user that the task ran as; V(0) is root.
  returned: always
  type: int
  sample: 0
clock_ahead:
  description:
    - By how many seconds the clock of the host is ahead of O(controller_time), negative if it is behind. It includes
      how long the task took to reach the host.
  returned: always
  type: int
  sample: 0
check_mode:
  description: Whether the task ran in check mode, whatever asked for it.
  returned: always
  type: bool
  sample: false
plan:
  description:
    - What the role has to do. It has more keys than these, which are the role's own and may change in any release.
  returned: with O(plan=true)
  type: dict
  sample: {problems: [], warnings: [], install: false, register: false, write_configuration: false, restart: false}
  contains:
    problems:
      description: Why the host or its variables are refused. If there is one, other keys may be missing.
      type: list
      elements: str
    warnings:
      description: What will not work as it seems. They are shown as warnings, too.
      type: list
      elements: str
    install:
      description: Whether another version may have to be installed.
      type: bool
    register:
      description: Whether the host has no credentials of its own for this workspace.
      type: bool
    write_configuration:
      description: Whether the configuration differs from the options, though its credentials can stay.
      type: bool
    restart:
      description: Whether the agent runs on from before its package or its configuration came.
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
    """Read what the host has of the agent."""
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
