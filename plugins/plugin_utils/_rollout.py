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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible.utils.helpers import pct_to_int

from ..module_utils._api.errors import clean_line

#: Outcomes of hosts to retry; all others are successes.
_RETRY = ("failed", "unreachable", "unknown", "interrupted", "not tried")
#: Search this many lines at the end of an output for a cause, and shorten texts to this many characters.
_MAX_LINES, _MAX_LENGTH = 1000, 300
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
    version = facts.get("alpamon_installed_version", latest.get("version")) or ""
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
        notes.append(f"its key may not be on the host: {registration['id']}")
    return {
        "outcome": outcome,
        "version": version,
        "server_id": facts.get("alpamon_server_id") or registration.get("id") or plan.get("server_id") or "",
        "server_name": facts.get("alpamon_server_name") or registration.get("name") or "",
        "cause": facts.get("rollout_cause") or "",
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
        self._show, self._warn, self._facts, self._clock = show, warn, facts, clock
        self._retry = [] if retry is None else retry
        self._wave, self._waves, self._limit = 0, 0, 100.0
        self._batch: list[str] = []
        self._unfinished: set[str] = set()
        #: By host that ran a task: the cause of its failure, or empty.
        self._causes: dict[str, str] = {}
        self._started_at = 0.0

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
        self._causes, self._started_at = {}, self._clock()

    def host_started(self, host: str) -> None:
        self._causes.setdefault(host, "")

    def host_failed(self, host: str, result: Mapping[str, Any]) -> None:
        """Record the cause of a failure, in case the host ends without a result."""
        self._causes[host] = find_failure_reason(result)[0]

    def host_unreachable(self, host: str, result: Mapping[str, Any]) -> None:
        # no_log hides the message of some tasks.
        cause = find_failure_reason(result)[0] if result.get("msg") else "The host became unreachable."
        self._finish_early(host, "unreachable", cause)

    def add_results(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        for host, row in rows.items():
            self._finish(host, **row)

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
        # Hosts that failed in an earlier play run no task.
        for host in [host for host in self._batch if host in self._unfinished and host in self._causes]:
            self._finish_early(host, "failed" if self._causes[host] else outcome, self._causes[host])
        if self._unfinished and self._unfinished != set(self._batch):
            self._show_wave()
        self._unfinished = set()

    def _finish_early(self, host: str, outcome: str, cause: str) -> None:
        if host in self._unfinished:
            self._finish(host, **{**make_host_result(self._facts(host), False), "outcome": outcome, "cause": cause})

    def _finish(self, host: str, outcome: str, **values: Any) -> None:
        if host in self._unfinished:
            self._unfinished.discard(host)
            self._add_row(host, outcome, seconds=round(self._clock() - self._started_at, 1), **values)
            if not self._unfinished:
                self._show_wave()

    def _add_row(self, host: str, outcome: str, **values: Any) -> None:
        row: dict[str, Any] = {"host": host, "outcome": _shorten(outcome)}
        row.update({key: _shorten(values.get(key)) for key in ("version", "server_id", "server_name", "cause")})
        row.update(seconds=values.get("seconds"), notes=[_shorten(note) for note in values.get("notes") or ()])
        self._rows[host] = row
        if self._file:
            try:
                _write_file(self._file, f"{json.dumps(row)}\n", os.O_APPEND)
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
        if self._file:
            self._show(f"Results: {clean_line(self._file)}")
        self._write_retry_file([row["host"] for row in rows if row["outcome"] in _RETRY])

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

    def _write_retry_file(self, hosts: Sequence[str]) -> None:
        self._retry[:] = dict.fromkeys([*self._retry, *hosts])
        if not (hosts and self._file):
            return
        path = os.path.join(os.path.dirname(self._file), "rollout.retry")
        try:
            _write_file(path, "".join(f"{host}\n" for host in self._retry), os.O_TRUNC)
        except OSError as error:
            self._warn(f"The hosts to retry cannot be written to {path}: {error.strerror}.")
        else:
            self._show(f"To retry the other hosts, add: --limit @{clean_line(path)}")


def _write_file(path: str, text: str, flag: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(text)


def _shorten(value: Any) -> str:
    return "" if value is None else clean_line(value)[:_MAX_LENGTH]


def _list_names(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - _MAX_HOSTS} more" if len(hosts) > _MAX_HOSTS else ""
    return ", ".join(map(clean_line, hosts[:_MAX_HOSTS])) + more


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


# Causes of failures

#: Messages of apt, dnf, zypper, ssh and sudo, root causes first.
_CAUSES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"no space left|enough (free )?space|more space (needed )?on|disk quota exceeded|read-only file system",
        r"could not get lock|is locked by|failed to (obtain|acquire) .*lock",
        r"(is|has) (not valid yet|not yet valid|expired)|expkeysig|not live until|no binding signature at time",
        r"no_pubkey|no public key|badsig|not signed|signature verification failed|bad (gpg|pgp) signature",
        r"could ?n.?t resolve|temporary failure resolving|connection (refused|reset|timed out)|certificate verif",
        r"failed to fetch|status code: [45]\d\d",
        r"unable to locate package|version .* was not found|no match for argument|no package .* available",
        r"no provider of|nothing provides|unmet dependencies|conflicts with",
        r"host key verification failed|too many authentication failures|no route to host",
        r"not in the sudoers|password is required",
        r"permission denied|operation not permitted",
    )
)


def find_failure_reason(result: Mapping[str, Any]) -> list[str]:
    """Return the lines of the message of a failed task, with the cause in the first line."""
    message = result.get("msg") or "It failed as shown above."
    lines = [str(line) for line in message] if isinstance(message, (list, tuple)) else str(message).splitlines()
    first, *others = lines or [""]
    cause = _find_cause(result)
    return [first if not cause or cause in first else f"{first} {cause}".strip(), *others]


def _find_cause(result: Mapping[str, Any]) -> str:
    """Return the line of the cause, or else the last error line; empty if there is none."""
    lines = [_shorten(line) for line in _list_lines(result)]
    for cause in _CAUSES:
        found = next((line for line in lines if cause.search(line)), "")
        if found:
            return found
    message = result.get("msg")
    text = result.get("stderr") or result.get("module_stderr") or (message if isinstance(message, str) else "")
    errors = _split_lines(text) or [""]
    # Programs name the reason last; the shell (126, 127) names it first.
    return _shorten(errors[0 if result.get("rc") in (126, 127) else -1])


def _list_lines(result: Mapping[str, Any]) -> Iterator[str]:
    for name in ("stderr", "failures", "stdout", "msg", "module_stderr"):
        yield from _split_lines(result.get(name))
    for item in result.get("results") or ():
        if isinstance(item, Mapping) and item.get("failed"):
            yield from _list_lines(item)
        elif isinstance(item, str):
            yield from _split_lines(item)


def _split_lines(output: Any) -> list[str]:
    """Return the last lines of a text or a list, without empty ones."""
    text = "\n".join(map(str, output)) if isinstance(output, (list, tuple)) else str(output or "")
    return [line.strip() for line in text.splitlines()[-_MAX_LINES:] if line.strip()]
