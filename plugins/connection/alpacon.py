# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: alpacon
short_description: Run any module on servers of an Alpacon workspace, without SSH
version_added: 1.0.0
description:
  - Runs tasks through the Alpacon API. The agent of the server carries them out, so that the server needs no SSH
    daemon, no inbound port and no key, and every task is a command in the record of the workspace.
  - A task of a module costs one submit, and polls that the workers of a run share.
  - What a command carries is in its variables, and the line names the module and has the digest of all that runs. The
    server compares the digest before it runs anything.
author:
  - herdops.alpacon contributors (@herdops)
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.connection.plugins
options:
  server:
    description:
      - UUID or name of the server. If omitted, the server that has the name of the host.
    type: str
    vars:
      - name: inventory_hostname
      - name: alpacon_server_id
  connected:
    description:
      - Whether the agent was connected when the inventory was read.
      - If it was not, the workspace is asked again before anything is submitted.
    type: raw
    vars:
      - name: alpacon_is_connected
  workspace:
    description: URL of the workspace of the host, which the inventory sets.
    type: str
    vars:
      - name: alpacon_workspace
  workspaces:
    description: URLs of all workspaces of the inventory, which the inventory sets.
    type: raw
    vars:
      - name: alpacon_workspaces
  tokens:
    description: Tokens by the URLs of their workspaces.
    type: raw
    vars:
      - name: alpacon_tokens
  remote_user:
    description:
      - Account that tasks run as, unless C(become) with P(herdops.alpacon.account#become) names another.
      - If omitted, the account that the workspace has for the token.
    type: str
    ini:
      - section: defaults
        key: remote_user
    env:
      - name: ANSIBLE_REMOTE_USER
    cli:
      - name: user
    keyword:
      - name: remote_user
    vars:
      - name: ansible_user
      - name: ansible_alpacon_user
  groupname:
    description: Group that tasks run as.
    type: str
    vars:
      - name: alpacon_groupname
  purpose:
    description:
      - Why the commands are run, for those who review them.
      - If omitted, the names of the play and the task and the user who plays it.
    type: str
    vars:
      - name: alpacon_purpose
  work_session:
    description: UUID of the work session that the commands belong to.
    type: str
    vars:
      - name: alpacon_work_session
  play:
    description: Name of the play, which Ansible sets.
    type: str
    vars:
      - name: ansible_play_name
  awx_user:
    description: User who launched the job, which AWX and automation controller set.
    type: str
    vars:
      - name: awx_user_name
      - name: tower_user_name
  wait_timeout:
    description:
      - How long to wait for each command, as a number of seconds or a duration such as V(10m) or V(1h30m).
      - A command that has not been delivered by then is cancelled.
    type: str
    default: 30m
    vars:
      - name: alpacon_wait_timeout
  wait_for_approval:
    description:
      - Whether to go on waiting for a command that the workspace holds until somebody approves it.
      - Otherwise the command is withdrawn, and the host is unreachable.
    type: bool
    default: false
    vars:
      - name: alpacon_wait_for_approval
  pipelining:
    description:
      - Whether modules are fed to Python on the server, instead of written to files there first.
      - Without it, a task takes three times as many submits.
    type: bool
    default: true
    vars:
      - name: ansible_pipelining
      - name: ansible_alpacon_pipelining
  module_cache:
    description:
      - Whether the host keeps the code that modules have in common, so that it is sent once in a run of Ansible.
      - It is kept in C(~/.cache/alpacon/modules), which only the account itself may read, and is compared with its
        digest before it is used. Arguments of tasks are never kept.
    type: bool
    default: true
    vars:
      - name: alpacon_module_cache
notes:
  - The agent has no terminal. A become method that asks for a password is refused.
  - M(ansible.posix.synchronize) needs SSH or a daemon of its own, and does not work.
  - The signature of a command in the workspace covers its line, and with it the digest, but not its variables.
seealso:
  - plugin: herdops.alpacon.account
    plugin_type: become
  - module: herdops.alpacon.alpacon_command
"""

EXAMPLES = r"""
- name: Use any module on a server of the workspace
  hosts: web-1
  gather_facts: false
  vars:
    ansible_connection: herdops.alpacon.alpacon
  tasks:
    - name: See that it answers
      ansible.builtin.ping:

    - name: Copy a text to it
      ansible.builtin.copy:
        content: "hello\n"
        dest: /tmp/alpacon-example
        mode: "0644"
"""

import getpass
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ansible import context
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean, clean_line
from ansible_collections.herdops.alpacon.plugins.module_utils._api.settings import Settings
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values
from ansible_collections.herdops.alpacon.plugins.plugin_utils._host_connection import HostConnection, NotDone
from ansible_collections.herdops.alpacon.plugins.plugin_utils._remote import Access, Remote
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import current_run
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspaces import Found, find_settings, run_folder

T = TypeVar("T")

display = Display()


class Connection(ConnectionBase):
    """Tasks through the workspace."""

    transport = "herdops.alpacon.alpacon"
    has_pipelining = True
    has_tty = False

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        """Take the options, and the task and the variables that they come from."""
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._task_keys: Mapping[str, Any] = task_keys or {}
        self._variables: Mapping[str, Any] = var_options or {}

    def _connect(self) -> Connection:
        self._connected = True
        return self

    @cached_property
    def _host(self) -> HostConnection:
        """The way to the host, which is looked for when something is to be done there."""
        found = Found({})
        try:
            found = find_settings({}, self._variables, os.environ, folder=run_folder())
            settings = Settings.from_options(found.options, lambda text: display.warning(clean_line(text)))
            access = self._access()
        except AlpaconError as error:
            raise AnsibleError(clean(found.explain(error))) from None
        display.vvv(f"SERVER {access.server} AS {access.username or 'the account of the token'}", host=self._host_name)
        return HostConnection(
            Remote(access, settings, _run()),
            str(self._task_keys.get("action") or "connection"),
            self.get_option("module_cache"),
        )

    def _access(self) -> Access:
        given = {name: self.get_option(name) for name in ("groupname", "work_session", "wait_timeout")}
        extra = {
            "work_session": values.uuid("work_session", given["work_session"]) if given["work_session"] else None,
            "purpose": values.purpose("purpose", self.get_option("purpose") or self._own_purpose()),
        }
        limits = Limits(
            wait_timeout=values.duration("wait_timeout", given["wait_timeout"]),
            wait_for_approval=self.get_option("wait_for_approval"),
            cancel_on_timeout=True,
            offline="fail",
        )
        return Access(
            server=str(self._variables.get("alpacon_server_id") or self._host_name),
            connected=self.get_option("connected"),
            username=self._username(),
            groupname=given["groupname"],
            extra={name: value for name, value in extra.items() if value},
            limits=limits,
        )

    @property
    def _host_name(self) -> str:
        return str(self._variables.get("inventory_hostname") or self._play_context.remote_addr)

    def _username(self) -> str | None:
        if self.become and self.become.name == "herdops.alpacon.account":
            return str(self.become.get_option("become_user"))
        return self.get_option("remote_user") or self._play_context.remote_user or None

    def _own_purpose(self) -> str:
        user = self.get_option("awx_user") or _login()
        task = self._task_keys.get("name") or self._task_keys.get("action") or "connection"
        play = self.get_option("play")
        return f"Ansible task {task!s:.200}{f' of play {play!s:.200}' if play else ''}, played by {user}"

    def _guarded(self, act: Callable[[], T]) -> T:
        """Do something on the host; what keeps it from being done makes the host unreachable."""
        try:
            return act()
        except NotDone as error:
            raise AnsibleError(clean(str(error))) from None
        except AlpaconError as error:
            raise AnsibleConnectionFailure(clean(str(error))) from None

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command."""
        self._connect()
        if sudoable and self.become and self.become.expect_prompt():
            raise AnsibleError(
                f"The agent has no terminal, and become method {self.become.name} asks for a password there."
                " Use become_method: herdops.alpacon.account, or let the account become the other without a password."
            )
        display.vvv(f"EXEC {cmd}", host=self._host_name)
        answer = self._guarded(lambda: self._host.run(cmd, in_data or b""))
        return answer.rc, answer.stdout, answer.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        """Write a file of the controller to the host."""
        self._connect()
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._host_name)
        file = Path(os.fsdecode(in_path))
        if not file.exists():
            raise AnsibleFileNotFound(f"file or module does not exist: {file}")
        self._guarded(lambda: self._host.put(file.read_bytes(), os.fsdecode(out_path)))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Read a file of the host into one of the controller."""
        self._connect()
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._host_name)
        self._guarded(lambda: self._host.fetch(os.fsdecode(in_path), Path(os.fsdecode(out_path))))

    def reset(self) -> None:
        """Forget which server the host is."""
        self._leave(forget=True)

    def close(self) -> None:
        """Do what is still held back, and end."""
        try:
            self._leave()
        except AnsibleError as error:
            display.warning(str(error))  # whoever closes a connection takes no notice of errors

    def _leave(self, forget: bool = False) -> None:
        host = self.__dict__.pop("_host", None)
        self._connected = False
        if host:
            self._guarded(lambda: host.close(forget))


def _run() -> Run:
    """The run, in which as many hosts may be looked for at once as it has workers."""
    return replace(current_run(), hosts=int(context.CLIARGS.get("forks") or 1))


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())  # a container without an entry for it
