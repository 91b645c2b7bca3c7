# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: alpacon
short_description: Run any module on servers of an Alpacon workspace, without SSH
version_added: 1.0.0
description:
  - Runs tasks on servers through their Alpacon workspace. The servers need no SSH daemon, no inbound port and no keys.
  - Most tasks submit one command to each host. A command is never submitted twice.
  - Set O(herdops.alpacon.alpacon#inventory:connection) in the inventory of the workspace, the variable
    C(ansible_connection) in another inventory, or the keyword C(connection) of a play or a task. Do not set
    C(ansible_connection) in C(vars) of a play, since it would also apply to C(delegate_to=localhost).
author:
  - herdops.alpacon contributors (@herdops)
extends_documentation_fragment:
  - herdops.alpacon.connection
  - herdops.alpacon.connection.plugins
requirements:
  - Python, C(base64), C(gzip), C(head), C(sed), C(sha256sum) and C(tail) on the server
options:
  server:
    description: UUID or name of the server. By default, the name of the host.
    type: str
    vars:
      - name: inventory_hostname
      - name: alpacon_server_id
  connected:
    description:
      - Whether the agent was connected when the inventory was read. If not, the connection queries the workspace before
        it submits a command. Set by the inventory plugin.
    type: raw
    vars:
      - name: alpacon_is_connected
  workspace:
    description: URL of the workspace of the host. Set by the inventory plugin.
    type: str
    vars:
      - name: alpacon_workspace
  workspaces:
    description: URLs of all workspaces of the inventory. Set by the inventory plugin.
    type: raw
    vars:
      - name: alpacon_workspaces
  tokens:
    description: A dictionary of tokens by the URLs of their workspaces.
    type: raw
    vars:
      - name: alpacon_tokens
  facts:
    description:
      - Facts of the host. A task fails if a fact has the name of a setting, such as C(alpacon_url). Set by Ansible.
    type: raw
    vars:
      - name: ansible_facts
  remote_user:
    description: The account that tasks run as. By default, the account of the token.
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
    description: The system group that tasks run as. By default, the workspace chooses it.
    type: str
    vars:
      - name: alpacon_groupname
  purpose:
    description: Reason for the commands, for reviewers. By default, it names the task, the play and the user.
    type: str
    vars:
      - name: alpacon_purpose
  work_session:
    description: UUID of the work session that the commands belong to.
    type: str
    vars:
      - name: alpacon_work_session
  play:
    description: Name of the play in the default of O(purpose). Set by Ansible.
    type: str
    vars:
      - name: ansible_play_name
  awx_user:
    description: Name of the user in the default of O(purpose). Set by AWX or automation controller.
    type: str
    vars:
      - name: awx_user_name
      - name: tower_user_name
  wait_timeout:
    description:
      - How long to wait for each command, as a number of seconds or a duration such as V(10m) or V(1h30m).
      - A command that has not reached its server by then is cancelled.
    type: str
    default: 31m
    vars:
      - name: alpacon_wait_timeout
  wait_for_approval:
    description:
      - Whether to wait for the approval of a command that the workspace holds. Otherwise the command is cancelled, and
        the host is unreachable.
    type: bool
    default: false
    vars:
      - name: alpacon_wait_for_approval
  pipelining:
    description: Whether to pass modules to Python directly. Writing them to files first needs more commands.
    type: bool
    default: true
    vars:
      - name: ansible_pipelining
      - name: ansible_alpacon_pipelining
  module_cache:
    description:
      - Whether the host keeps the code that modules share in C(~/.cache/alpacon/modules), so that it is sent once.
      - Arguments of tasks are never kept.
    type: bool
    default: true
    vars:
      - name: alpacon_module_cache
notes:
  - A host is unreachable if its agent is offline, if the workspace refuses the command, or if the result is unknown.
    The message says whether the command may have run.
  - Agents end each command after 30 minutes. Use C(async) for longer tasks.
  - The access list of the token must allow C(/bin/sh -c $RUN *), which allows everything that the account may do.
  - Use P(herdops.alpacon.account#become) to become another account. Other become methods, such as sudo, work only
    without a password.
  - Windows servers, and workspaces that do not support environment variables of commands, are not supported.
  - A variable takes precedence over an environment variable. Without both, the settings of the inventory that lists the
    host apply.
  - The variable C(alpacon_workspace), which the inventory P(herdops.alpacon.alpacon#inventory) sets, takes precedence
    over E(ALPACON_URL). An C(alpacon_url) of another workspace is an error.
seealso:
  - plugin: herdops.alpacon.account
    plugin_type: become
  - plugin: herdops.alpacon.alpacon
    plugin_type: inventory
  - module: herdops.alpacon.alpacon_command
  - module: herdops.alpacon.alpacon_tasks
  - name: Any module without SSH
    description: First steps, costs, and what does not work.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/any_module.html
  - name: Reviewing what Ansible runs
    description: How to read the commands, and what a token may run.
    link: https://herdops.github.io/herdops.alpacon/collections/herdops/alpacon/docsite/reviewing.html
"""

EXAMPLES = r"""
# my.alpacon.yml, an inventory whose hosts have this connection:
#
#   plugin: herdops.alpacon.alpacon
#   connection: true
#
# $ ansible all -i my.alpacon.yml -m ansible.builtin.ping

- name: Use the connection in one play
  hosts: web
  connection: herdops.alpacon.alpacon
  gather_facts: false
  tasks:
    - name: Write a file
      ansible.builtin.copy:
        content: "hello\n"
        dest: /tmp/alpacon-example
        mode: "0644"

    - name: Run a long task
      ansible.builtin.command: sleep 1
      async: 7200
      poll: 1
      changed_when: false

    - name: Run a task as root
      ansible.builtin.command: id -un
      become: true
      become_method: herdops.alpacon.account
      changed_when: false

    - name: Compare with the controller
      ansible.builtin.stat:
        path: /tmp/alpacon-example
      delegate_to: localhost

- name: Give a reason and wait for approval
  hosts: web
  connection: herdops.alpacon.alpacon
  gather_facts: false
  vars:
    alpacon_purpose: CHG-4711, check before the upgrade
    alpacon_wait_for_approval: true
    alpacon_wait_timeout: 2h
  tasks:
    - name: Get the distribution
      ansible.builtin.setup:
        gather_subset: ["!all", "!min", distribution]
"""

import contextlib
import getpass
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.loader import action_loader, module_loader
from ansible.template import Templar
from ansible.utils.display import Display

import ansible_collections.herdops.alpacon.plugins.plugin_utils._bytecode  # noqa: F401 # pylint: disable=unused-import
from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import (
    AlpaconError,
    UsageError,
    clean,
    clean_line,
)
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.jobs import Limits
from ansible_collections.herdops.alpacon.plugins.module_utils._fleet.run import Run
from ansible_collections.herdops.alpacon.plugins.module_utils._options import values
from ansible_collections.herdops.alpacon.plugins.module_utils._options.connection import parse_settings
from ansible_collections.herdops.alpacon.plugins.module_utils._payload.packing import PayloadTooLarge
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.connection import (
    HostConnection,
    HostStepFailed,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._connection.runner import (
    AccountRefused,
    CommandResult,
    RequestTooLarge,
    RunTarget,
    ServerRunner,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._facts import (
    list_fact_names,
    refuse_settings_of_any_host,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import get_run_context
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import (
    TaskSettings,
    find_settings,
    get_run_folder,
)

#: Become method whose account is the username of the command.
ACCOUNT = "herdops.alpacon.account"
#: Actions whose later commands never need a file that they put before a module or a script.
_USE_UP_FILES = frozenset(f"ansible.builtin.{name}" for name in ("assemble", "copy", "script", "template", "unarchive"))
_NOT_SHOWN = "not shown, since the task has no_log"

display = Display()


class Connection(ConnectionBase):
    transport = "herdops.alpacon.alpacon"
    has_pipelining = True
    has_tty = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Makes what runs the commands of a task. Tasks in batches record them.
        self.make_host: Callable[..., HostConnection] = HostConnection
        #: What the default purpose says instead of the name of the task.
        self.described_as = ""
        #: By server and account, for all items of a loop.
        self._homes: dict[str, dict[str, bytes]] = {}

    # ansible-core passes only variables of options. So server, url, token and the like are options, although _host and
    # _make_target read the variables.
    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        # Items of a loop share a connection, and each may name another account.
        self.close()
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._task_keys: Mapping[str, Any] = task_keys or {}
        self._variables: Mapping[str, Any] = var_options or {}

    def _resolve_option_variables(self, variables: Any, templar: Any) -> Any:
        # Only the names of facts are needed, and templating their values takes milliseconds.
        names = dict.fromkeys(list_fact_names(variables.get("ansible_facts") or {}))
        return super()._resolve_option_variables({**variables, "ansible_facts": names}, templar)

    def set_become_plugin(self, plugin: Any) -> None:
        super().set_become_plugin(plugin)
        if plugin and plugin.name == ACCOUNT:
            plugin.connection_names_account = True

    def _connect(self) -> Connection:
        """Refuse Windows and passwords. The server is queried when a task needs it."""
        if getattr(self._shell, "_IS_WINDOWS", False):
            raise AnsibleError(
                "Windows servers are not supported by this connection, since it needs a POSIX shell."
                " Remove ansible_shell_type, or reach the server over SSH or WinRM."
            )
        if self.become and self.become.name != ACCOUNT and self.become.get_option("become_pass"):
            # ansible-core does not use become for the same user.
            allow_same_user: bool = C.BECOME_ALLOW_SAME_USER  # type: ignore[attr-defined]
            if allow_same_user or self._become_user != self._username():
                raise AnsibleError(
                    f"A become password is set, and the agent has no terminal for become method {self.become.name} to"
                    f" ask for it. Remove ansible_become_password and --ask-become-pass if the account needs no"
                    f" password, or use become_method: {ACCOUNT}."
                )
        self._connected = True
        return self

    @cached_property
    def _host(self) -> HostConnection:
        task_settings = TaskSettings({})
        try:
            task_settings = find_settings({}, self._variables, os.environ, folder=get_run_folder())
            settings = parse_settings(task_settings.options, lambda text: display.warning(clean_line(text)))
            target = self._make_target()
            refuse_settings_of_any_host()
        except AlpaconError as error:
            if isinstance(error, UsageError) and f"alpacon_{error.option}" in self._variables:
                error = error.rename({error.option: f"alpacon_{error.option}"})
            raise AnsibleError(clean(task_settings.explain(error))) from None
        account = target.username or "the account of the token"
        display.vvv(clean_line(f"SERVER {target.server} AS {account}"), host=self._host_name)
        # All workers may resolve hosts at the same time.
        hosts = int(context.CLIARGS.get("forks") or 1)
        runner = ServerRunner(target, settings, Run(get_run_context(), hosts=hosts, no_log=self._no_log))
        cache_owner = None
        if self.get_option("module_cache"):
            cache_owner = f"{self.become.name} {self._become_user}" if self.become else ""
        homes = self._homes.setdefault(target.server, {})
        return self.make_host(runner, self._get_action(), cache_owner, self._get_temporary_folder(), homes)

    def _get_action(self) -> str:
        """Return the full name of the task's action for reviewers."""
        name = str(self._task_keys.get("action") or "connection")
        for loader in (module_loader, action_loader):
            found = loader.find_plugin_with_context(name, collection_list=self._task_keys.get("collections"))
            if found.resolved:
                return str(found.resolved_fqcn)
        return name

    def _get_temporary_folder(self) -> str | None:
        """Return a folder outside of the home for other accounts, since the homes of daemons are not writable."""
        with_home = (None, *self._shell.get_option("admin_users"), super().get_option("remote_user"))
        if self._account in with_home:
            return None
        folder, folders = self._shell.get_option("remote_tmp"), self._shell.get_option("system_tmpdirs")
        return str(folder if folder in folders else folders[0])

    @property
    def _account(self) -> str | None:
        """Return the account that a task becomes with the become method of this collection."""
        return self._become_user if self.become and self.become.name == ACCOUNT else None

    @property
    def _become_user(self) -> str | None:
        """Return the account that a task becomes with any method."""
        return (self.become.get_option("become_user") or "root") if self.become else None

    def _make_target(self) -> RunTarget:
        work_session = self.get_option("work_session")
        extra = {
            "work_session": values.parse_uuid("work_session", work_session) if work_session else None,
            "purpose": values.check_purpose("purpose", self.get_option("purpose") or self._get_default_purpose()),
        }
        return RunTarget(
            host=self._host_name,
            server=str(self._variables.get("alpacon_server_id") or self._host_name),
            connected=self.get_option("connected"),
            username=values.check_account("become_user" if self._account else "remote_user", self._username()),
            groupname=values.check_account("groupname", self.get_option("groupname")),
            extra={name: value for name, value in extra.items() if value},
            limits=Limits(
                wait_timeout=values.parse_timeout("wait_timeout", self.get_option("wait_timeout")),
                wait_for_approval=self.get_option("wait_for_approval"),
                cancel_on_timeout=True,
                offline="fail",
            ),
        )

    @property
    def _host_name(self) -> str:
        # With delegate_to, inventory_hostname is the host of the task.
        name = self._task_keys.get("delegate_to") or self._variables.get("inventory_hostname")
        return str(name or self._play_context.remote_addr)

    def get_option(self, option: str, hostvars: dict[str, Any] | None = None) -> Any:
        """Return an option; C(remote_user) is the account that commands run as."""
        account = self._account if option == "remote_user" else None
        return account or super().get_option(option, hostvars)

    def _username(self) -> str | None:
        return self.get_option("remote_user") or self._play_context.remote_user or None

    def _get_default_purpose(self) -> str:
        user = self.get_option("awx_user")
        if not user:
            try:
                user = getpass.getuser()
            except (OSError, KeyError):
                user = os.getuid()  # a container may have no name for it
        name = self._task_keys.get("name") or self._task_keys.get("action") or "connection"
        task = self.described_as or f"task {name!s:.200}"
        play = self.get_option("play")
        return f"Ansible {task}{f' of play {play!s:.200}' if play else ''}, played by {user}"

    @property
    def _no_log(self) -> bool:
        """Return True if no message may show data that the task sends or receives."""
        return bool(self._task_keys.get("no_log"))

    def _begin_step(self, name: str, description: str) -> None:
        self._connect()
        shown = f"({_NOT_SHOWN})" if self._no_log else description
        display.vvv(clean(f"{name} {shown}"), host=self._host_name)

    @contextlib.contextmanager
    def _convert_errors(self) -> Iterator[None]:
        """Convert errors to those of Ansible; most make the host unreachable."""
        try:
            yield
        except HostStepFailed as error:
            text = f"A step on the host failed. Its error is {_NOT_SHOWN}." if self._no_log else str(error)
            raise AnsibleError(text) from None
        except (RequestTooLarge, PayloadTooLarge) as error:
            # Another task may be small enough.
            raise AnsibleError(str(error)) from None
        except AlpaconError as error:
            if isinstance(error, AccountRefused) and self._account:
                # Another task may have another account.
                raise AnsibleError(str(error)) from None
            remedy = " To delegate a task to the controller, give it the variable ansible_connection: local."
            raise AnsibleConnectionFailure(f"{error}{remedy if self._host_name in C.LOCALHOST else ''}") from None

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        self._begin_step("EXEC", cmd)
        with self._convert_errors():
            # ansible-core's own commands around modules and scripts are not sudoable.
            result = self._host.run_command(cmd, in_data or b"", sudoable and self._uses_up_files())
        self._check_become(cmd, result)
        return result.rc, result.stdout, result.stderr

    def _uses_up_files(self) -> bool:
        """Return True if a module or script of the action is the last to need the files that were put before it."""
        # Plugins of users may replace actions, also the one that template and assemble call.
        actions = [
            action_loader.find_plugin_with_context(name, collection_list=self._task_keys.get("collections"))
            for name in (str(self._task_keys.get("action")), "ansible.legacy.copy")
        ]
        keep_files: bool = C.DEFAULT_KEEP_REMOTE_FILES  # type: ignore[attr-defined]
        return not keep_files and all(action.resolved_fqcn in _USE_UP_FILES for action in actions)

    def _check_become(self, command: str, result: CommandResult) -> None:
        """Raise an error with the reason if become failed; ansible-core would report that the module failed."""
        if not self.become or not result.rc:
            return
        # The shell of the other account prints this first.
        mark = self.become.success
        if mark and mark in command and mark.encode() not in result.stdout:
            stderr = clean(result.stderr.decode("utf-8", "replace")).strip()[:2000] or f"it ended with rc {result.rc}"
            raise AnsibleError(
                f"The task could not become {self._become_user} by {self.become.name}:"
                f" {_NOT_SHOWN if self._no_log else stderr}. Use become_method: {ACCOUNT}, which needs neither a"
                " program nor a password."
            )

    def put_file(self, in_path: str, out_path: str) -> None:
        self._begin_step("PUT", f"{in_path} TO {out_path}")
        file = Path(os.fsdecode(in_path))
        if not file.exists():
            raise AnsibleFileNotFound(f"{file} does not exist on the controller.")
        with self._convert_errors():
            self._host.put(file.read_bytes(), os.fsdecode(out_path))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        self._begin_step("FETCH", f"{in_path} TO {out_path}")
        with self._convert_errors():
            self._host.fetch(os.fsdecode(in_path), Path(os.fsdecode(out_path)))

    def reset(self) -> None:
        """Query the server again before the next task, in every process."""
        # Before ansible-core 2.19, variables are not templated here.
        templar = Templar(loader=DataLoader(), variables=dict(self._variables))
        names = C.config.get_plugin_vars("connection", self._load_name)
        with _errors_as_warnings():
            templated = {name: templar.template(self._variables[name]) for name in names if name in self._variables}
            self.set_options(task_keys=self._task_keys, var_options={**self._variables, **templated})
            self._host.reset()
        self.close()

    def close(self) -> None:
        """Run the deferred steps and close."""
        host: HostConnection | None = self.__dict__.pop("_host", None)
        self._connected = False
        if host:
            with _errors_as_warnings(), self._convert_errors():
                host.close()


@contextlib.contextmanager
def _errors_as_warnings() -> Iterator[None]:
    """Display errors as warnings: ansible-core ignores errors of close, and an error of reset ends the run."""
    try:
        yield
    except AnsibleError as error:
        display.warning(str(error))
