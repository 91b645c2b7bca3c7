# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Checks for the lookup benchmark_checks: content on the controller, a profile of XCCDF or of InSpec."""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean

from .inspec import controls_of
from .json_path import read_json, text_of
from .openscap import evaluation, short_id
from .results import MOST_RESULTS, NamedResult, ScannerError, shown
from .xccdf import LEFT_OUT, Benchmark, benchmarks, text_in, with_short_names
from .xml_tree import read_xml

#: Options of the lookup that are keys of the check.
OF_CHECK = ("severity", "username", "timeout")


def check_of(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the check that evaluates content on servers.

    Args:
        path: of the content on the controller.
        options: those of the lookup.

    Raises:
        UsageError: the content cannot be read, or has no such profile.
    """
    try:
        status = Path(path).stat()
        digest, content = _read(path, status.st_mtime_ns, status.st_size)
        is_xccdf = isinstance(content, list)
        name, title, line, rules = (_xccdf if is_xccdf else _inspec)(path, digest, content, options)
    except OSError as error:
        raise UsageError("terms", f"{path} cannot be read: {error.strerror}", "Give a file.") from error
    except ScannerError as error:
        remedy = "Give an XCCDF data stream, or a file that inspec json wrote."
        raise UsageError("terms", f"{path}: {error}", remedy) from error
    if not 0 < len(rules) <= MOST_RESULTS:
        raise UsageError("profile", f"it selects {len(rules):,} rules of {path}", f"Choose 1 to {MOST_RESULTS:,}.")
    check = {
        "name": options.get("name") or name,
        "title": title,
        **{key: options.get(key) for key in OF_CHECK},
        "kind": "results",
        "line": line,
        "results": {"format": "xccdf" if is_xccdf else "inspec", "rules": list(map(_rule, shown(rules)))},
    }
    return {key: value for key, value in check.items() if value is not None}


_Told = tuple[str, str, str, list[NamedResult]]


def _xccdf(path: str, digest: str, known: list[Benchmark], options: Mapping[str, Any]) -> _Told:
    wanted = options.get("profile") or ""
    found = [(one, chosen) for one in known if (chosen := one.profile(wanted)) is not None]
    if not found:
        names = [short_id(name) for one in known for name in one.profiles]
        otherwise = f"There are: {', '.join(names)}." if names else "The file has none."
        problem = f"{path} has no profile {wanted}" if wanted else "it is missing"
        raise UsageError("profile", problem, did_you_mean(wanted, names, otherwise))
    benchmark, chosen = found[0]
    profile = chosen.get("id", "")
    line = evaluation(
        options.get("path") or path, profile, benchmark=benchmark.id if len(known) > 1 else "", digest=digest
    )
    title = ": ".join(filter(None, (benchmark.title or short_id(benchmark.id), text_in(chosen, "title"))))
    return short_id(profile), title, line, with_short_names(benchmark.rules(chosen))


def _inspec(path: str, _digest: str, profile: dict[str, Any], options: Mapping[str, Any]) -> _Told:
    name = text_of(profile.get("name")) or Path(path).stem
    on_server = shlex.quote(options.get("path") or path)
    command, reporter = options.get("command") or "inspec", options.get("reporter") or "json-min"
    line = f"{command} exec {on_server} --reporter {reporter} --no-color"
    name = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "benchmark"
    return name, text_of(profile.get("title")) or name, line, controls_of(profile)


def _rule(rule: NamedResult) -> dict[str, Any]:
    keys = ("name", "title", "rationale", "severity", "remedy")
    texts = {key: getattr(rule, key) for key in keys} | {"references": list(rule.references)}
    return {key: value for key, value in texts.items() if value}


@functools.lru_cache(maxsize=4)
def _read(path: str, _changed: int, _size: int) -> tuple[str, Any]:
    """Return the SHA-256 of a file, and its benchmarks or profile. Hosts that ask for the same file share it."""
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8")
    except ValueError:
        raise ScannerError("It is not UTF-8.") from None
    content: Any
    if text.lstrip().startswith("{"):
        content = read_json(text)
    else:
        content = benchmarks(read_xml(text, LEFT_OUT))
        if not content:
            raise ScannerError("It has no benchmark.")
    return hashlib.sha256(data).hexdigest(), content
