# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the hosts of a rollout, collect their results, and print its progress and summary."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible import constants as C
from ansible.plugins.loader import connection_loader
from ansible.utils.helpers import pct_to_int

from ..module_utils._api.errors import clean_line, join_first
from ._failure_reason import TIMED_OUT, find_failure_reason, find_unreachable_reason, shorten
from ._retry_file import RetryFile, write_private_file
from ._rollout_progress import CurrentTask

#: Outcomes of hosts to retry; all others are successes.
_RETRY = ("failed", "unreachable", "unknown", "interrupted", "not tried")
_MAX_CAUSES, _MAX_HOSTS, _MAX_NOTES = 20, 5, 20
_HOST_SPECIFIC = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b"), "<address>"),
    (re.compile(r"\b(process|pid) \d+", re.IGNORECASE), r"\1 <number>"),
    (re.compile(r"ansible-tmp-[\w.-]+"), "<folder>"),
)


def count_waves(hosts: int, sizes: Sequence[Any]) -> int:
    """Return the number of batches that ansible-core makes with these values of ``serial``."""
    waves, remaining = 0, hosts
    while remaining > 0:
        size = pct_to_int(sizes[min(waves, len(sizes) - 1)], hosts) if sizes else 0
        waves, remaining = waves + 1, remaining - size if size > 0 else 0
    return waves


def compare_hosts(batch: Iterable[str], variables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Choose the hosts of a wave that create registration tokens, and refuse hosts that share credentials.

    Args:
        variables: the variables of each host. The result of M(herdops.alpacon.alpamon_info) in ``__alpamon_host`` has
            no plan if the module failed.

    Returns:
        ``hosts``: the hosts of the wave.
        ``token_hosts``: the first host that needs a token, by workspace.
        ``shared``: the reason for the refusal, by host.
    """
    plans = {host: (variables[host].get("__alpamon_host") or {}).get("plan") or {} for host in batch}
    token_hosts: dict[str, str] = {}
    records: dict[str, list[str]] = {}
    for host, plan in plans.items():
        # The plan of a failed module is not trusted.
        if plan.get("needs_token") and not plan.get("problems", True):
            token_hosts.setdefault(plan["workspace"], host)
        if plan.get("server_id"):
            records.setdefault(plan["server_id"], []).append(host)
    shared = {}
    for hosts in records.values():
        # If the state of all of them is absent, the shared record may be deleted.
        if len(hosts) > 1 and any(plans[host].get("state") != "absent" for host in hosts):
            for host in hosts:
                shared[host] = (
                    f"The host has the same credentials as {_list_names([other for other in hosts if other != host])}."
                    " One of them is a clone, or they are names of one machine."
                    " Remove /etc/alpamon from a clone, and roll out again."
                )
    return {"hosts": list(plans), "token_hosts": token_hosts, "shared": shared}


def make_host_result(facts: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    host: Mapping[str, Any] = facts.get("__alpamon_host") or {}
    plan: Mapping[str, Any] = host.get("plan") or {}
    registration: Mapping[str, Any] = facts.get("__alpamon_registration") or {}
    latest = facts.get("__alpamon_host_after") or host
    cause = facts.get("rollout_cause") or ""
    version = facts.get("alpamon_installed_version", latest.get("version")) or ""
    if TIMED_OUT.search(cause):
        version = ""  # the host may still be installing another one
    target = {"absent": "removed", "installed": "installed"}.get(plan.get("state", ""), "connected")
    connected = facts.get("alpamon_connected", False)
    # Before ansible-core 2.19, null becomes an empty text.
    unknown = connected is None or connected == ""
    if "rollout_cause" in facts:
        outcome = "unreachable" if host.get("unreachable") else "unknown" if unknown else "failed"
    elif target == "connected" and connected:
        outcome = "connected"
    elif version:
        outcome = "installed"
    else:
        outcome = "removed" if target == "removed" else "not installed"
    if check_mode and outcome not in (target, *_RETRY):
        outcome = f"would be {target}"
    notes = [f"left behind in the workspace: {orphan}" for orphan in facts.get("alpamon_orphans") or ()]
    notes += [f"offline under the same name: {other}" for other in facts.get("alpamon_duplicates") or ()]
    if plan.get("cloned_id"):
        notes.append(f"record of another machine, which stays in the workspace: {plan['cloned_id']}")
    if plan.get("clock") and "rollout_cause" in facts:
        notes.append(plan["clock"])
    if registration.get("key"):  # the role was interrupted
        notes.append(f"its key might not be on the host: {registration['id']}")
    return {
        "outcome": outcome,
        "version": version,
        "server_id": facts.get("alpamon_server_id") or registration.get("id") or plan.get("server_id") or "",
        "server_name": facts.get("alpamon_server_name") or registration.get("name") or "",
        "cause": cause,
        "notes": notes,
    }


def make_host_results(facts: Mapping[str, Any], check_mode: bool, batch: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the result of a host, and of the hosts of its wave that became unreachable, by host.

    Args:
        batch: the hosts of the wave that are still reachable.
    """
    stats = (facts.get("rollout_compared") or {}).get("ansible_stats") or {"data": {"wave": {"hosts": ()}}}
    unreachable = set(stats["data"]["wave"]["hosts"]).difference(batch)
    result = make_host_result(facts, check_mode)
    return {**{host: {"outcome": "unreachable"} for host in unreachable}, facts["inventory_hostname"]: result}


def keep_ssh_alive(arguments: str | None) -> str:
    """Return extra arguments of ssh that end a connection after a minute without an answer from the host.

    Args:
        arguments: the variable ``ansible_ssh_extra_args`` of the host, if it is set. They stay, and come first, since
            ssh uses the first value of an option.
    """
    if arguments is None:
        connection_loader.get("ssh", class_only=True)  # C.config learns its options
        arguments = C.config.get_config_value("ssh_extra_args", plugin_type="connection", plugin_name="ssh")
    return f"{arguments or ''} -o ServerAliveInterval=15 -o ServerAliveCountMax=4".strip()


class Rollout:
    """Collect the results of the hosts of a rollout, write them to files and print the summary.

    Args:
        retry: hosts of earlier rollouts of this run to retry; the rollout adds its own.
        clock: returns seconds.
    """

    def __init__(
        self,
        hosts: Iterable[str],
        results_file: str,
        show: Callable[[str], None],
        warn: Callable[[str], None],
        facts: Callable[[str], Mapping[str, Any]],
        retry: list[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows: dict[str, dict[str, Any]] = {host: {} for host in hosts}
        self._file = os.path.expanduser(str(results_file or ""))
        self._show, self._warn, self._facts = show, warn, facts
        self._retry = [] if retry is None else retry
        self._wave, self._waves, self._limit = 0, 0, 100.0
        self._batch: list[str] = []
        self._unfinished: set[str] = set()
        #: By host that ran a task: the cause of its failure, or empty.
        self._causes: dict[str, str] = {}
        self._task = CurrentTask(clock)
        self._token_hosts: list[str] = []
        self._remaining_tokens: list[str] = []

    def start_wave(self, batch: Sequence[str], sizes: Sequence[Any], limit: float | None) -> None:
        """Start the next wave.

        Args:
            batch: the hosts of the wave.
            sizes: ``serial`` of the play.
            limit: ``max_fail_percentage`` of the play.
        """
        self._end_wave("unknown")
        self._wave, self._waves = self._wave + 1, self._waves or count_waves(len(self._rows), sizes)
        self._batch, self._limit = list(batch), 100.0 if limit is None else limit
        self._unfinished = {host for host in batch if not self._rows.get(host)}
        self._causes = {}

    def task_started(self, name: str) -> None:
        self._task.start(name)

    def host_started(self, host: str) -> None:
        self._causes.setdefault(host, "")
        self._task.start_host(host)

    def host_ended(self, host: str) -> None:
        self._task.end_host(host)

    def hosts_compared(self, comparison: Mapping[str, Any]) -> None:
        """Record which hosts create registration tokens, see :func:`compare_hosts`."""
        self._token_hosts = list(comparison["token_hosts"].values())

    def host_failed(self, host: str, result: Mapping[str, Any]) -> None:
        """Record the cause of a failure, in case the host ends without a result."""
        self._causes[host] = find_failure_reason(result, self._task.name)[0]

    def host_unreachable(self, host: str, result: Mapping[str, Any]) -> None:
        self._finish_early(host, "unreachable", find_unreachable_reason(result))

    def add_results(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        for host, row in rows.items():
            self._finish(host, **row)

    def describe_progress(self) -> str:
        """Return a line about the hosts of the current wave, or an empty text if no host runs a task.

        Another thread may call this.
        """
        running = [f"{host} ({seconds:.0f} s)" for host, seconds in self._task.list_running().items()]
        if not running:
            return ""
        failed = {host for host in self._batch if self._causes.get(host) or self._rows[host].get("outcome") in _RETRY}
        done = f"{len(self._task.ended - failed)} of {len(self._batch)} hosts done"
        counts = ", ".join([done, *([f"{len(failed)} failed"] if failed else [])])
        task = clean_line(self._task.name)
        return f"wave {self._wave} of {self._waves}: {task}: {counts}, running: {_list_names(running)}"

    def end_rollout(self, interrupted: bool = False) -> None:
        self._end_wave("interrupted" if interrupted else "unknown")
        tried = [host for host, row in self._rows.items() if row]
        for host, row in self._rows.items():
            if not row:
                self._add_row(host, "not tried")
        if tried or interrupted:
            self._show_summary(interrupted)

    def _end_wave(self, outcome: str) -> None:
        """Record an outcome for the hosts of the wave that ran a task and have no result."""
        running = self._task.list_running()
        part = "run" if outcome == "interrupted" else "wave"
        # Hosts that failed in an earlier play run no task.
        for host in [host for host in self._batch if host in self._unfinished and host in self._causes]:
            cause = self._causes[host]
            when = "during" if host in running else "after"
            ended = f"The {part} ended {when} the task '{self._task.last[host]}'."
            self._finish_early(host, "failed" if cause else outcome, cause or ended)
        self._task.start("")
        self._find_remaining_tokens()
        if self._unfinished and self._unfinished != set(self._batch):
            self._show_wave()
        self._unfinished = set()

    def _find_remaining_tokens(self) -> None:
        """Find registration tokens that the wave did not delete."""
        for host in self._token_hosts:
            facts = self._facts(host)
            token = facts.get("rollout_token") or {}
            if token.get("key") and (facts.get("rollout_deleted") or {}).get("failed", True):
                self._remaining_tokens.append(
                    f"The registration token {clean_line(token['name'])} may be left in the workspace."
                    f" It expires at {clean_line(token['expires_at'])}."
                )
        self._token_hosts = []

    def _finish_early(self, host: str, outcome: str, cause: str) -> None:
        if host not in self._unfinished:
            return
        facts = self._facts(host)
        first, after = (facts.get(name) or {} for name in ("__alpamon_host", "__alpamon_host_after"))
        if first.get("unreachable"):
            outcome, cause = "unreachable", find_unreachable_reason(first)
        result = {**make_host_result(facts, False), "outcome": outcome, "cause": cause}
        if "alpamon_installed_version" not in facts:
            # The version of the first reading may have changed, and the next one while a rollback runs.
            result["version"] = "" if "__alpamon_failed_cause" in facts else after.get("version")
        self._finish(host, **result)

    def _finish(self, host: str, outcome: str, **values: Any) -> None:
        if host in self._unfinished:
            self._unfinished.discard(host)
            self._add_row(host, outcome, seconds=round(self._task.count_seconds(host), 1), **values)
            if not self._unfinished:
                self._show_wave()

    def _add_row(self, host: str, outcome: str, **values: Any) -> None:
        row: dict[str, Any] = {"host": host, "outcome": shorten(outcome)}
        row.update({key: shorten(values.get(key)) for key in ("version", "server_id", "server_name", "cause")})
        row.update(seconds=values.get("seconds"), notes=[shorten(note) for note in values.get("notes") or ()])
        self._rows[host] = row
        if self._file:
            try:
                write_private_file(self._file, f"{json.dumps(row)}\n", os.O_APPEND)
            except OSError as error:
                self._warn(f"The results cannot be written to {self._file}: {error.strerror}.")
                self._file = ""

    def _show_wave(self) -> None:
        outcomes = [self._rows[host].get("outcome") or "not tried" for host in self._batch]
        self._show(f"wave {self._wave} of {self._waves}: {_format_counts(outcomes)}")

    def _show_summary(self, interrupted: bool) -> None:
        rows = list(self._rows.values())
        self._show(f"rollout: {_format_counts([row['outcome'] for row in rows])}")
        self._show_causes(rows)
        notes = [f"  {clean_line(row['host'])}: {note}" for row in rows for note in row["notes"]]
        self._show_lines(notes, _MAX_NOTES, "notes")
        if interrupted:
            self._show(f"The run was interrupted in wave {self._wave} of {self._waves}.")
        elif self._wave < self._waves:
            counts = _format_counts([self._rows[host]["outcome"] for host in self._batch])
            limit = f"alpamon_max_fail_percentage is {self._limit:g}."
            why = limit if self._limit < 100 else "Ansible stops if all hosts of a wave fail."
            self._show(f"The rollout stopped after wave {self._wave} of {self._waves}: {counts}. {why}")
        self._show_lines(self._remaining_tokens, _MAX_NOTES, "registration tokens")
        if self._file:
            self._show(f"Results: {clean_line(self._file)}")
        self._update_retry_file([row["host"] for row in rows if row["outcome"] in _RETRY])

    def _show_causes(self, rows: Iterable[Mapping[str, Any]]) -> None:
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            if row["cause"]:
                groups.setdefault(_mask_host(row["cause"], (row["host"], row["server_name"])), []).append(row)
        lines = []
        for common, found in sorted(groups.items(), key=lambda item: -len(item[1])):
            names = _list_names([row["host"] for row in found])
            lines.append(f"  {len(found)} x {found[0]['cause'] if len(found) == 1 else common} ({names})")
        self._show_lines(lines, _MAX_CAUSES, "causes")

    def _show_lines(self, lines: Sequence[str], limit: int, kind: str) -> None:
        for line in lines[:limit]:
            self._show(line)
        if len(lines) > limit:
            self._show(f"  and {len(lines) - limit} more {kind}")

    def _update_retry_file(self, hosts: Sequence[str]) -> None:
        self._retry[:] = dict.fromkeys([*self._retry, *hosts])
        file = RetryFile(os.path.join(os.path.dirname(self._file), "rollout.retry"))
        if self._file and hosts:
            file.write(self._retry, self._show, self._warn)
        elif self._file:
            file.remove([host for host, row in self._rows.items() if not row["outcome"].startswith("would be")])


def _list_names(hosts: Sequence[str]) -> str:
    return join_first(list(map(clean_line, hosts)), _MAX_HOSTS)


def _format_counts(outcomes: Sequence[str]) -> str:
    """Count outcomes, successes first: ``180 of 200 connected, 20 failed``."""
    counts = Counter(outcomes)
    first, *others = sorted(counts, key=lambda outcome: _RETRY.index(outcome) if outcome in _RETRY else -1)
    return ", ".join([f"{counts[first]} of {len(outcomes)} {first}", *(f"{counts[other]} {other}" for other in others)])


def _mask_host(cause: str, names: Iterable[str]) -> str:
    """Replace names, ids and addresses in a cause, so that the same cause on several hosts is counted as one."""
    # Shorter names may be ordinary words.
    for name in sorted((clean_line(name) for name in names if len(name) > 3), key=len, reverse=True):
        cause = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "<host>", cause)
    for pattern, replacement in _HOST_SPECIFIC:
        cause = pattern.sub(replacement, cause)
    return cause
