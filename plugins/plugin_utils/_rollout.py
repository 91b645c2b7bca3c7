# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""What is left to do for a rollout that ended early, since Ansible carries out no further play then."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.template import Templar

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import AlpaconError, clean
from ansible_collections.herdops.alpacon.plugins.module_utils._tasks.registration_token import run_registration_token
from ansible_collections.herdops.alpacon.plugins.plugin_utils._run import current_run
from ansible_collections.herdops.alpacon.plugins.plugin_utils._workspaces import find_settings, run_folder

#: The variable of a play that has the summary of a rollout.
SUMMARY = "rollout_summary"
#: How long the end of ansible-playbook waits for a request, and for a workspace that fails, in seconds.
_PATIENCE = 5


def end_early(play: Any, interrupted: bool) -> str:
    """Delete the registration tokens of the run, and give the summary; empty where no host was to be treated yet.

    Args:
        play: the play that rolls out, in the process of ansible-playbook itself.
    """
    variables = play.get_variable_manager().get_vars(play=play)
    hosts = variables["hostvars"]
    # Others may have facts of another rollout.
    treated = [hosts[name] for name in variables["ansible_play_hosts_all"]]
    known = next((facts for facts in treated if "rollout_hosts" in facts), None)
    if known is None:
        return ""
    chosen = {name for facts in treated for name in (facts.get("rollout_makers") or {}).values()}
    makers = sorted(name for name in chosen if (hosts[name].get("rollout_token") or {}).get("key"))
    variables = {
        **variables,
        "rollout_hosts": known["rollout_hosts"],
        "rollout_deletions": [{"item": name, **_delete_token(hosts[name])} for name in makers],
        "rollout_interrupted": interrupted,
    }
    templar = Templar(loader=play.get_loader(), variables=variables)
    return clean(templar.template(variables[SUMMARY]))


def _delete_token(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Delete the registration token that the host of these variables made, and give the result of such a task."""
    given: dict[str, Any] = {"url": variables["rollout_needs"], "request_timeout": _PATIENCE}
    if "alpamon_token" in variables:
        given["token"] = variables["alpamon_token"]
    if "alpamon_validate_certs" in variables:
        given["validate_certs"] = boolean(variables["alpamon_validate_certs"])
    # Where the role has found alpamon_ca_cert.
    if variables.get("__alpamon_ca_note"):
        given["ca_path"] = variables["__alpamon_ca_note"]
    task = {"state": "absent", "name": variables["rollout_token"]["name"], **given}
    try:
        found = find_settings(given, variables, os.environ, folder=run_folder())
        return run_registration_token({**task, **found.options}, current_run(), _PATIENCE)
    except AlpaconError as error:
        return {"msg": str(error)}
