# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provide the filters of the playbooks. Ansible loads filters from this folder beside a playbook."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

from ansible_collections.herdops.alpacon.plugins.plugin_utils._fold import show_results
from ansible_collections.herdops.alpacon.plugins.plugin_utils._rollout import (
    compare_hosts,
    find_failure_reason,
    make_host_results,
)
from ansible_collections.herdops.alpacon.plugins.plugin_utils._settings import list_workspaces
from ansible_collections.herdops.alpacon.plugins.plugin_utils._token_acl import compare_acl
from ansible_collections.herdops.alpacon.plugins.plugin_utils._variable_names import (
    find_ignored_names,
    find_misspelt_names,
)


def misspelt_variables(names: Iterable[str], known: Iterable[str], selection: str) -> list[str]:
    # Ansible caches these, so this reads no file again.
    return find_misspelt_names(names, known, selection, load_extra_vars(DataLoader()))


def ignored_variables(known: Iterable[str]) -> list[str]:
    return find_ignored_names(load_extra_vars(DataLoader()), known)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "compare_acl": compare_acl,
            "compare_hosts": compare_hosts,
            "failure_reason": find_failure_reason,
            "host_results": make_host_results,
            "ignored_variables": ignored_variables,
            "list_workspaces": list_workspaces,
            "misspelt_variables": misspelt_variables,
            "show_results": show_results,
        }
