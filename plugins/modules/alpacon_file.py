#!/usr/bin/python

# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alpacon_file
short_description: Upload a file to servers of an Alpacon workspace, or download a file from them
version_added: 1.0.0
description:
  - Uploads a file to one server or many, or downloads a file from them, by the file transfer of the workspace. A large
    file takes one transfer, where the connection plugin sends it in parts.
  - The content goes through the object storage of the workspace, at a URL that the workspace states. The module sends
    it over HTTPS, without the token, and follows no redirect. The result names the host of the storage.
  - A file that is the same on both sides is not transferred. To find that out, a command on each server computes the
    SHA-256 of its file.
  - An upload begins on a server at most once. If the response to that request is lost, the module waits for the end of
    the upload, and never starts it again.
author:
  - herdops.alpacon contributors (@herdops)
options:
  servers:
    description:
      - Names or UUIDs of the servers. If omitted, the server whose UUID is in the host variable C(alpacon_server_id),
        or else the server that has the name of the inventory host.
    type: list
    elements: str
    aliases: [server]
  state:
    description:
      - With V(uploaded), the servers get the file.
      - With V(downloaded), the controller gets the file of each server.
    type: str
    choices: [uploaded, downloaded]
    default: uploaded
  src:
    description:
      - With O(state=uploaded), a file on the controller. A relative path is searched in C(files/) and beside the
        playbook, as M(ansible.builtin.copy) does, and a file encrypted by Ansible Vault is decrypted. Give either this
        or O(content).
      - With O(state=downloaded), the absolute path of the file on the servers. Required.
    type: str
  content:
    description:
      - With O(state=uploaded), the content of the file.
    type: str
  dest:
    description:
      - With O(state=uploaded), the absolute path of the file on the servers. With a slash at its end, the folder of a
        file that has the name of O(src). The folder must exist.
      - With O(state=downloaded), the path of the file on the controller, relative to the playbook. With a slash at its
        end, a folder, in which the file of each server becomes C(SERVER/NAME). C(SERVER) is what O(servers) says, or
        the name of the inventory host. Several servers need that. Missing folders are created. Two hosts of a task
        cannot download to the same file.
    type: str
    required: true
  overwrite:
    description:
      - With O(state=uploaded), whether to replace a file that differs. The file keeps its owner and mode then.
      - If V(false), the file is uploaded only to servers that have no such file.
    type: bool
    default: true
  compare:
    description:
      - Whether to compare the files before a transfer, with the command C(sha256sum -- PATH) on each server. The access
        list of the token has to allow it; if it does not, the file is transferred in any case.
      - If V(false), each upload counts as changed.
    type: bool
    default: true
  username:
    description:
      - User as which the agent writes or reads the file. A new file belongs to that user. If omitted, the workspace
        decides.
    type: str
  groupname:
    description:
      - Group for O(username). If omitted, the workspace decides.
    type: str
  work_session:
    description:
      - UUID of a work session, if the workspace requires one.
    type: str
  max_size:
    description:
      - With O(state=downloaded), the most bytes that the file of a server may have, such as V(20M) or V(2G).
    type: bytes
    default: 1G
  offline:
    description:
      - What to do with a server whose agent is not connected. V(wait) waits for it, within O(wait_timeout). V(fail)
        fails it, and V(skip) leaves it out.
    type: str
    choices: [wait, fail, skip]
    default: wait
  wait_timeout:
    description:
      - How long to wait for each server, as a number of seconds or a duration such as V(90s), V(10m) or V(1h30m). The
        comparison and the transfer have this time each.
    type: str
    default: 10m
  max_concurrency:
    description:
      - To how many servers files may be transferred at the same time, as a number or a percentage of O(servers). If
        omitted, there is no limit; the module sends or reads at most 16 files at a time.
    type: str
  max_errors:
    description:
      - How many failed servers to accept, as a number or a percentage of O(servers). If more fail, no further transfers
        begin. If omitted, there is no limit.
    type: str
extends_documentation_fragment:
  - herdops.alpacon.connection.tasks
  - herdops.alpacon.connection
  - herdops.alpacon.attributes
attributes:
  check_mode:
    support: full
    details:
      - Sends nothing, so it cannot compare files, and predicts a change for each server.
  diff_mode:
    support: none
  action:
    details:
      - The task cannot be delegated to another host.
  idempotent:
    support: full
    details:
      - With O(compare=true).
notes:
  - The mode of a new file is up to the agent. Set it with M(herdops.alpacon.alpacon_command). A new file on the
    controller is for its owner only.
  - An agent writes a file in place. If an upload fails, the server may have a part of the file, and the next run
    replaces it.
  - Each transfer takes three requests or more. A service token has 1,000 of them an hour.
  - The token needs the scopes for uploaded or downloaded files, and a file ACL that allows the path.
  - With O(validate_certs=false), the certificate of the object storage is not verified either.
  - Workspaces of 2024 and those of the published API have no file transfers that the module can use.
seealso:
  - module: ansible.builtin.copy
  - module: ansible.builtin.fetch
  - plugin: herdops.alpacon.alpacon
    plugin_type: connection
"""

EXAMPLES = r"""
- name: Upload a file to the inventory host
  herdops.alpacon.alpacon_file:
    url: https://my-workspace.us1.alpacon.io
    content: "Managed by Ansible\n"
    dest: /etc/motd
    username: root

- name: Upload a file to all servers of a group, ten at a time
  herdops.alpacon.alpacon_file:
    servers: "{{ groups['web'] }}"
    src: app.tar
    dest: /opt/app/
    max_concurrency: 10
  run_once: true

- name: Download a log from each of them, to logs/SERVER/syslog
  herdops.alpacon.alpacon_file:
    state: downloaded
    servers: "{{ groups['web'] }}"
    src: /var/log/syslog
    dest: logs/
    username: root
    max_size: 100M
  run_once: true
"""

RETURN = r"""
servers:
  description:
    - What happened to each server. With one server, these keys are at the top level of the result too.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: UUID of the server.
      type: str
    name:
      description: Name of the server.
      type: str
    outcome:
      description:
        - V(success); V(offline), V(refused) or V(not_tried) if nothing was written; V(failed); V(timed_out); V(unknown)
          if a response was lost and nothing shows the end; or what a reviewer decided, as in
          M(herdops.alpacon.alpacon_command). Null in check mode.
      type: str
    msg:
      description: Explanation of the outcome.
      type: str
    path:
      description: Path of the file that is written, on the server or on the controller.
      type: str
    checksum:
      description: SHA-256 of the file; null if it is not known, and with C(no_log).
      type: str
    size:
      description: Size of the file in bytes; null if it was not transferred.
      type: int
    storage:
      description: Host and port of the object storage; null if the file was not transferred.
      type: str
    transfer_id:
      description: UUID of the upload, or of the command of a download; null if there is none.
      type: str
    changed:
      description: Whether the task wrote the file, or may have.
      type: bool
  sample:
    - id: 7a50ea6c-2138-4d3f-9633-e50694c847c4
      name: web-01
      outcome: success
      msg: Uploaded.
      path: /etc/motd
      checksum: 1c1b4a1de6d1ad9e4b3e5a0b5b1fd1ab3d2b5c1fbd5ea2b4ef2ea9d6f3a3b1c7
      size: 19
      storage: bucket.s3.us-east-1.amazonaws.com:443
      transfer_id: 550e8400-e29b-41d4-a716-446655440000
      changed: true
summary:
  description: Number of servers with each outcome.
  returned: unless the task failed before anything was sent
  type: dict
  sample:
    success: 98
    timed_out: 2
servers_left:
  description:
    - IDs of the servers whose transfer failed or never ran, for the option O(servers) of another task.
    - Servers whose transfer may still run are in RV(servers_unknown) instead. Those whose transfer a reviewer or a
      policy declined are in neither list.
  returned: unless the task failed before anything was sent
  type: list
  elements: str
  sample: [550e8400-e29b-41d4-a716-446655440000]
servers_unknown:
  description:
    - IDs of the servers whose transfer may still run. Its outcome is V(unknown), V(timed_out), V(stuck), V(error) or
      V(awaiting_approval).
  returned: unless the task failed before anything was sent
  type: list
  elements: str
  sample: []
requests:
  description: How many HTTP requests the task made to the workspace.
  returned: unless the task failed before anything was sent
  type: int
  sample: 6
"""
