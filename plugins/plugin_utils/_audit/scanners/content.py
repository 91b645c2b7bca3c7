# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Checks made of content for scanners: a profile of an XCCDF data stream, or a profile of InSpec."""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean

from ..verdict import UNKNOWN
from .benchmark import LEFT_OUT, Benchmark, benchmarks, short_id
from .inspec import controls_of
from .json_text import read_json, text_of
from .results import MOST_RESULTS, NamedResult, ScannerError, shown
from .xccdf import with_short_names
from .xml_tree import read_xml

#: No content is larger, in bytes.
_LARGEST = 128 * 1024 * 1024


@dataclass(frozen=True)
class Wanted:
    """What a user says about the check that is to be made; None where they say nothing.

    Attributes:
        path: of the content on servers.
        timeout: how many seconds the scanner may take.
    """

    path: str | None = None
    name: str | None = None
    severity: str | None = None
    username: str | None = None
    timeout: int | None = None


def xccdf_check(path: str, profile: str, wanted: Wanted, *, same_content: bool = True) -> dict[str, Any]:
    """The check that evaluates a profile of a data stream by OpenSCAP.

    Args:
        path: of the data stream on the controller.
        profile: its id, whole or without what all ids begin with.
        same_content: whether a server whose data stream is another one is not evaluated.

    Raises:
        UsageError: the content cannot be read, has no such profile, or the profile selects nothing.
    """
    digest, known = _read_xccdf(*_identity(path))
    found = [(one, chosen) for one in known if (chosen := one.profile(profile))]
    if not found:
        names = [short_id(name) for one in known for name in one.profiles]
        otherwise = f"There are: {', '.join(names)}." if names else "The file has none."
        raise UsageError("profile", f"{path} has no profile {profile}", did_you_mean(profile, names, otherwise))
    benchmark, chosen = found[0]
    rules = with_short_names(benchmark.rules(chosen))
    if not rules:
        raise UsageError("profile", f"the profile {profile} of {path} selects no rule", "Give another one.")
    evaluate = ["oscap", "xccdf", "eval", "--progress", "--profile", chosen.id]
    if len(known) > 1:
        evaluate += ["--benchmark-id", benchmark.id]
    on_server = shlex.quote(wanted.path or path)
    differs = shlex.quote(f"{wanted.path or path} is not there, or has other content than on the controller")
    line = f"{shlex.join(evaluate)} {on_server}"
    if same_content:
        line = f'[ "$(sha256sum < {on_server} | cut -c1-64)" = {digest} ] || {{ echo {differs}; exit 1; }}; {line}'
    title = ": ".join(filter(None, (benchmark.title or short_id(benchmark.id), chosen.title)))
    return _check(_name(short_id(chosen.id)), title, line, "xccdf", rules, wanted)


def inspec_check(path: str, command: str, wanted: Wanted, reporter: str = "json-min") -> dict[str, Any]:
    """The check that runs a profile by InSpec or one of its relatives.

    Args:
        path: of what ``inspec json`` wrote, on the controller.
        command: the program.
        reporter: ``json-min``, or ``json``, which alone has the impacts of controls on the server.

    Raises:
        UsageError: the content cannot be read, or has no control.
    """
    try:
        profile = read_json(_text(path))
        if not isinstance(profile, dict):
            raise ScannerError("The JSON is not a profile of InSpec.")
        rules = controls_of(profile)
    except ScannerError as error:
        raise UsageError("terms", f"{path}: {error}", "Give a file that inspec json wrote.") from error
    if not rules:
        raise UsageError("terms", f"the profile in {path} has no control", "Give another one.")
    name = text_of(profile.get("name")) or Path(path).stem
    line = f"{command} exec {shlex.quote(wanted.path or path)} --reporter {reporter} --no-color"
    return _check(_name(name), text_of(profile.get("title")) or name, line, "inspec", rules, wanted)


def _check(name: str, title: str, line: str, kind: str, rules: Iterable[NamedResult], wanted: Wanted) -> dict[str, Any]:
    given = {
        "name": wanted.name or name,
        "title": title,
        "severity": wanted.severity,
        "username": wanted.username,
        "timeout": wanted.timeout,
        "kind": "results",
        "line": line,
        "results": {"format": kind, "rules": [_rule(rule) for rule in shown(_named(rules))]},
    }
    return {key: value for key, value in given.items() if value is not None}


def _named(rules: Iterable[NamedResult]) -> list[NamedResult]:
    listed = [replace(rule, outcome=UNKNOWN) for rule in rules]
    if len(listed) > MOST_RESULTS:
        raise UsageError("terms", f"it has {len(listed):,} rules", f"Choose at most {MOST_RESULTS:,}.")
    return listed


def _rule(rule: NamedResult) -> dict[str, Any]:
    given = {
        "name": rule.name,
        "title": rule.title,
        "rationale": rule.rationale,
        "severity": rule.severity,
        "remedy": rule.remedy,
        "references": list(rule.references),
    }
    return {key: value for key, value in given.items() if value}


def _name(text: str) -> str:
    """A text as the name of a check."""
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-") or "benchmark"


def _identity(path: str) -> tuple[str, int, int]:
    """A file, and what changes where its content does."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise UsageError("terms", f"{path} cannot be read: {error.strerror}", "Give a file.") from error
    return path, status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=4)
def _read_xccdf(path: str, _changed: int, _size: int) -> tuple[str, list[Benchmark]]:
    """The SHA-256 of a file and its benchmarks; hosts that ask for the same one share them."""
    text = _text(path)
    try:
        found = benchmarks(read_xml(text, LEFT_OUT))
    except ScannerError as error:
        raise UsageError("terms", f"{path}: {error}", "Give an XCCDF data stream.") from error
    if not found:
        raise UsageError("terms", f"{path} has no benchmark", "Give an XCCDF data stream.")
    return hashlib.sha256(Path(path).read_bytes()).hexdigest(), found


def _text(path: str) -> str:
    try:
        if Path(path).stat().st_size > _LARGEST:
            raise UsageError("terms", f"{path} is larger than {_LARGEST:,} bytes", "Give another file.")
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError("terms", f"{path} cannot be read: {reason}", "Give a file.") from error
