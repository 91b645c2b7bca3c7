# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provide the filters of the playbooks. Ansible loads filters from this folder beside a playbook."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError
from ansible_collections.herdops.alpacon.plugins.plugin_utils._facts import refuse_settings_of_any_host
from ansible_collections.herdops.alpacon.plugins.plugin_utils._failure_reason import find_failure_reason
from ansible_collections.herdops.alpacon.plugins.plugin_utils._fold import show_results
from ansible_collections.herdops.alpacon.plugins.plugin_utils._gate import (
    explain_command,
    explain_metrics,
    find_gate_problem,
    find_percentage_problem,
    find_wave_problem,
    get_pause,
    parse_percentage,
    parse_waves,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout import (
    compare_hosts,
    keep_ssh_alive,
    make_host_results,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import read_newest_journal
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import SERVER_ID, list_workspaces
from ansible_collections.herdops.alpacon.plugins.plugin_utils._token_acl import compare_acl, require_tasks
from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import (
    find_ignored_names,
    find_misspelt_names,
)


def misspelt_variables(names: Iterable[str], valid: Iterable[str], selection: str) -> list[str]:
    # Ansible caches these, so this reads no file again.
    return find_misspelt_names(names, valid, selection, load_extra_vars(DataLoader()))


def ignored_variables(valid: Iterable[str]) -> list[str]:
    return find_ignored_names(load_extra_vars(DataLoader()), valid)


def list_servers(hosts: Iterable[str], hostvars: Any) -> list[str]:
    """Return the UUID of the server of each host, or its name if the inventory has no UUID.

    Raises:
        AnsibleFilterError: A host returned settings as facts.
    """
    servers = [str(hostvars[host].get(SERVER_ID) or host) for host in hosts]
    try:
        refuse_settings_of_any_host(hostvars)
    except AlpaconError as error:
        raise AnsibleFilterError(str(error)) from None
    return servers


def read_journal(_newest: str) -> dict[str, Any]:
    """Return the newest journal, see :func:`read_newest_journal`.

    Raises:
        AnsibleFilterError: It cannot be read.
    """
    try:
        return read_newest_journal()
    except OSError as error:
        raise AnsibleFilterError(f"The journal cannot be read: {error}") from None


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "compare_acl": compare_acl,
            "compare_hosts": compare_hosts,
            "explain_command": explain_command,
            "explain_metrics": explain_metrics,
            "failure_reason": find_failure_reason,
            "gate_pause": get_pause,
            "gate_problem": find_gate_problem,
            "host_results": make_host_results,
            "ignored_variables": ignored_variables,
            "keep_ssh_alive": keep_ssh_alive,
            "list_servers": list_servers,
            "list_workspaces": list_workspaces,
            "misspelt_variables": misspelt_variables,
            "percentage": parse_percentage,
            "percentage_problem": find_percentage_problem,
            "read_journal": read_journal,
            "require_tasks": require_tasks,
            "show_results": show_results,
            "wave_problem": find_wave_problem,
            "waves": parse_waves,
        }
