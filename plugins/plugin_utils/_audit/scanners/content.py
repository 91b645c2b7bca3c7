# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks for the lookup benchmark_checks: content on the controller, a profile of XCCDF or of InSpec."""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean

from ..results import MAX_RESULTS, MAX_TEXT, UNKNOWN, RuleResult, ScannerError, clean_result, parse_severity
from .json_results import describe_control, get_objects, json_text, read_json
from .junit_tap import find_children, get_text, read_xml
from .openscap import evaluation_script, shorten_id

#: The benchmarks in a data stream, most of which is OVAL.
_BENCHMARK = re.compile(r"<((?:[\w.-]+:)?Benchmark)[\s>].*?</\1>", re.DOTALL)
_TRUE = ("true", "1")
_Benchmark = tuple[str, str, str, list[RuleResult]]
#: The language of fixes that a person can run, or read, without another tool.
_SHELL = "urn:xccdf:fix:script:sh"


def make_check(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the check that evaluates content on servers.

    Args:
        path: of the content on the controller.
        options: those of the lookup.

    Raises:
        UsageError: the content cannot be read, or has no such profile.
    """
    try:
        status = Path(path).stat()
        digest, content = _read_content(path, status.st_mtime_ns, status.st_size)
        is_xccdf = isinstance(content, list)
        name, title, line, rules = (_make_xccdf if is_xccdf else _make_inspec)(path, digest, content, options)
    except OSError as error:
        raise UsageError("terms", f"{path} cannot be read: {error.strerror}", "Give a file.") from error
    except ScannerError as error:
        remedy = "Give an XCCDF data stream, or a file that inspec json wrote."
        raise UsageError("terms", f"{path}: {error}", remedy) from error
    if not 0 < len(rules) <= MAX_RESULTS:
        raise UsageError("profile", f"it selects {len(rules):,} rules of {path}", f"Choose 1 to {MAX_RESULTS:,}.")
    check = {
        "name": options.get("name") or name,
        "title": title,
        **{key: options.get(key) for key in ("severity", "username", "timeout")},
        "kind": "results",
        "line": line,
        "results": {"format": "xccdf" if is_xccdf else "inspec", "rules": list(map(_to_rule, rules))},
    }
    return {key: value for key, value in check.items() if value is not None}


@functools.lru_cache(maxsize=4)
def _read_content(path: str, _changed: int, _size: int) -> tuple[str, Any]:
    """Return the SHA-256 of a file, and its benchmarks or profile. Hosts that ask for the same file share it."""
    data = Path(path).read_bytes()
    text = data.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        content = read_json(text)
    elif not (content := [read_xml(one[0], "Benchmark") for one in _BENCHMARK.finditer(text)]):
        raise ScannerError("It has no benchmark.")
    return hashlib.sha256(data).hexdigest(), content


def _to_rule(rule: RuleResult) -> dict[str, Any]:
    kept = asdict(clean_result(rule))
    texts = {key: kept[key] for key in ("name", "title", "rationale", "severity", "remedy", "references")}
    return {key: list(value) if key == "references" else value for key, value in texts.items() if value}


def _make_inspec(path: str, _digest: str, profile: dict[str, Any], options: Mapping[str, Any]) -> _Benchmark:
    name = json_text(profile.get("name")) or Path(path).stem
    on_server = shlex.quote(options.get("path") or path)
    command, reporter = options.get("command") or "inspec", options.get("reporter") or "json-min"
    line = f"{command} exec {on_server} --reporter {reporter} --no-color"
    name = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "benchmark"
    rules = list(map(describe_control, get_objects(profile.get("controls"), "controls")))
    return name, json_text(profile.get("title")) or name, line, rules


def _make_xccdf(path: str, digest: str, benchmarks: list[Element], options: Mapping[str, Any]) -> _Benchmark:
    wanted = options.get("profile") or ""
    known = [(benchmark, profile) for benchmark in benchmarks for profile in find_children(benchmark, "Profile")]
    ids = [profile.get("id", "") for _benchmark, profile in known]
    number = next((number for number, one in enumerate(ids) if wanted in (one, shorten_id(one))), None)
    if number is None:
        names = list(map(shorten_id, ids))
        otherwise = f"There are: {', '.join(names)}." if names else "The file has none."
        problem = f"{path} has no profile {wanted}" if wanted else "it is missing"
        raise UsageError("profile", problem, did_you_mean(wanted, names, otherwise))
    benchmark, profile = known[number]
    identifier, of_several = benchmark.get("id", ""), len(benchmarks) > 1
    on_server = options.get("path") or path
    line = evaluation_script(on_server, ids[number], benchmark=identifier if of_several else "", digest=digest)
    title = ": ".join(
        filter(None, (_get_child_text(benchmark, "title") or shorten_id(identifier), _get_child_text(profile, "title")))
    )
    return shorten_id(ids[number]), title, line, list_rules(benchmark, profile)


def list_rules(benchmark: Element, profile: Element) -> list[RuleResult]:
    """Return what a benchmark says about the rules that a profile selects, without outcomes."""
    chain = _list_profiles(benchmark, profile)
    chosen = {key: one.get("selected") in _TRUE for key, one in _by_idref(chain, "select")}
    severities = {key: one.get("severity", "") for key, one in _by_idref(chain, "refine-rule")}
    items = list(_iter_selected(benchmark, chosen))
    on = {item.get("id", "") for item in items}
    values = _collect_values(benchmark, chain)
    return [
        _describe_rule(item, values, severities) for item in items if item.tag == "Rule" and _is_applicable(item, on)
    ]


def _list_profiles(benchmark: Element, profile: Element) -> Sequence[Element]:
    """Return a profile after all that it extends."""
    profiles = {one.get("id", ""): one for one in find_children(benchmark, "Profile")}
    chain: list[Element] = []
    found: Element | None = profile
    while found is not None and found not in chain:
        chain.insert(0, found)
        found = profiles.get(found.get("extends", "").lstrip("~^"))
    return chain


def _by_idref(chain: Sequence[Element], name: str) -> Iterator[tuple[str, Element]]:
    """Yield the elements of a name in profiles, by what they refer to; the last one counts."""
    return ((one.get("idref", ""), one) for profile in chain for one in find_children(profile, name))


def _collect_values(benchmark: Element, chain: Sequence[Element]) -> Mapping[str, str]:
    """Return the texts that stand for elements C(sub)."""
    selectors = {key: one.get("selector", "") for key, one in _by_idref(chain, "refine-value")}
    values = {}
    for value in benchmark.iter("Value"):
        key = value.get("id", "")
        known = {one.get("selector", ""): get_text(one) for one in find_children(value, "value")}
        values[key] = known.get(selectors.get(key, ""), known.get("", ""))
    return ChainMap({key: get_text(one) for key, one in _by_idref(chain, "set-value")}, values)


def _iter_selected(element: Element, chosen: Mapping[str, bool]) -> Iterator[Element]:
    """Yield the groups and rules that are selected; nothing in a group that is not selected is."""
    for child in element:
        if child.tag in ("Group", "Rule") and chosen.get(child.get("id", ""), child.get("selected", "true") in _TRUE):
            yield child
            yield from _iter_selected(child, chosen)


def _is_applicable(rule: Element, on: Collection[str]) -> bool:
    """Return whether all that a rule requires is selected, and nothing that conflicts with it."""
    required = [one.get("idref", "").split() for one in find_children(rule, "requires")]
    conflicts = [one.get("idref", "") for one in find_children(rule, "conflicts")]
    return all(any(name in on for name in names) for names in required) and not any(name in on for name in conflicts)


def _describe_rule(rule: Element, values: Mapping[str, str], severities: Mapping[str, str]) -> RuleResult:
    for reference in rule.iter("sub"):
        reference.text = values.get(reference.get("idref", ""), "")
    identifier, description = rule.get("id", ""), _get_child_text(rule, "description")
    return RuleResult(
        shorten_id(identifier),
        UNKNOWN,
        _get_child_text(rule, "title") or shorten_id(identifier),
        _get_child_text(rule, "rationale") or description,
        parse_severity(severities.get(identifier, "") or rule.get("severity", "")),
        _get_fix(rule) or description,
        tuple(_list_references(rule)),
    )


def _get_child_text(element: Element, name: str) -> str:
    """Return the text of the first element of a name in a benchmark, a profile or a rule."""
    return get_text(next(find_children(element, name), None))


def _get_fix(rule: Element) -> str:
    """Return the text of a fix, or a script for the shell, if a person can read it."""
    texts = [get_text(fix) for fix in find_children(rule, "fixtext")]
    scripts = [get_text(fix) for fix in find_children(rule, "fix") if fix.get("system") in (_SHELL, None)]
    return next((text for text in [*texts, *scripts] if text and len(text) < MAX_TEXT), "")


def _list_references(rule: Element) -> Iterator[str]:
    yield from map(get_text, find_children(rule, "ident"))
    grouped: dict[str, list[str]] = {}
    for reference in find_children(rule, "reference"):
        grouped.setdefault(reference.get("href", ""), []).append(get_text(reference))
    for address, sections in grouped.items():
        yield f"{address} {', '.join(filter(None, dict.fromkeys(sections)))}".strip()
