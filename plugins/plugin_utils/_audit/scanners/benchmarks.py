# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a check from a benchmark file on the controller, XCCDF or InSpec, for the lookup benchmark_checks."""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from ....module_utils._api.errors import UsageError, did_you_mean
from .json_results import format_value, get_objects, parse_control, parse_json
from .junit_tap import get_text, parse_xml
from .openscap import make_script
from .results import MAX_RESULTS, RuleResult, ScannerError, clean_result
from .xccdf import get_child_text, parse_rule, shorten_id

#: A benchmark in a data stream, most of which is OVAL.
_BENCHMARK = re.compile(r"<((?:[\w.-]+:)?Benchmark)[\s>].*?</\1>", re.DOTALL)


def make_check(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the check that evaluates on servers the benchmark in a file of the controller.

    Args:
        options: those of the lookup.
    """
    try:
        status = Path(path).stat()
        digest, content = _read_content(path, status.st_mtime_ns, status.st_size)
        is_xccdf = isinstance(content, list)
        parts = _make_xccdf(path, digest, content, options) if is_xccdf else _make_inspec(path, content, options)
    except OSError as error:
        raise UsageError("terms", f"{path} cannot be read: {error.strerror}", "Give a file.") from None
    except ScannerError as error:
        remedy = "Give an XCCDF data stream, or a file that inspec json wrote."
        raise UsageError("terms", f"{path}: {error}", remedy) from None
    rules = parts.pop("rules")
    if not 0 < len(rules) <= MAX_RESULTS:
        raise UsageError("profile", f"it selects {len(rules):,} rules of {path}", f"Choose 1 to {MAX_RESULTS:,}.")
    return {
        **parts,
        "name": options.get("name") or parts["name"],
        **{key: options[key] for key in ("username", "timeout") if options.get(key) is not None},
        "results": {"format": "xccdf" if is_xccdf else "inspec", "rules": list(map(_to_rule, rules))},
    }


@functools.lru_cache(maxsize=4)
def _read_content(path: str, _mtime: int, _size: int) -> tuple[str, Any]:
    """Return the SHA-256 of a file, and its list of XCCDF benchmarks or its InSpec profile.

    The lookup runs once for each host, so the content is cached until the file changes.
    """
    data = Path(path).read_bytes()
    text = data.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        content = parse_json(text)
    elif not (content := [parse_xml(one[0], "Benchmark") for one in _BENCHMARK.finditer(text)]):
        raise ScannerError("It has no benchmark.")
    return hashlib.sha256(data).hexdigest(), content


def _to_rule(rule: RuleResult) -> dict[str, Any]:
    texts = asdict(clean_result(rule))
    texts["references"] = list(texts["references"])
    return {key: value for key, value in texts.items() if value and key not in ("outcome", "message")}


def _make_inspec(path: str, profile: dict[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    name = format_value(profile.get("name")) or Path(path).stem
    name = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "benchmark"
    command, reporter = options.get("command") or "inspec", options.get("reporter") or "json-min"
    return {
        "name": name,
        "title": format_value(profile.get("title")) or name,
        "line": f"{command} exec {shlex.quote(options.get('path') or path)} --reporter {reporter} --no-color",
        "rules": list(map(parse_control, get_objects(profile.get("controls"), "controls"))),
    }


def _make_xccdf(path: str, digest: str, benchmarks: list[Element], options: Mapping[str, Any]) -> dict[str, Any]:
    wanted = options.get("profile") or ""
    pairs = [(benchmark, profile) for benchmark in benchmarks for profile in benchmark.findall("Profile")]
    names = [shorten_id(profile.get("id", "")) for _benchmark, profile in pairs]
    found = next((pair for pair, name in zip(pairs, names, strict=True) if wanted in (name, pair[1].get("id"))), None)
    if found is None:
        otherwise = f"Available: {', '.join(names)}." if names else "The file has none."
        problem = f"{path} has no profile {wanted}" if wanted else "it is missing"
        raise UsageError("profile", problem, did_you_mean(wanted, names, otherwise))
    benchmark, profile = found
    benchmark_id, profile_id = benchmark.get("id", ""), profile.get("id", "")
    titles = (get_child_text(benchmark, "title") or shorten_id(benchmark_id), get_child_text(profile, "title"))
    wanted_benchmark = benchmark_id if len(benchmarks) > 1 else ""
    return {
        "name": shorten_id(profile_id),
        "title": ": ".join(filter(None, titles)),
        "line": make_script(options.get("path") or path, profile_id, benchmark=wanted_benchmark, digest=digest),
        "rules": _list_rules(benchmark, profile),
    }


def _list_rules(benchmark: Element, profile: Element) -> list[RuleResult]:
    """Return the texts of the rules that a profile and the profiles that it extends select."""
    by_id = {one.get("id", ""): one for one in benchmark.findall("Profile")}
    # The last setting counts, so a profile stands after those that it extends.
    profiles: list[Element] = []
    base: Element | None = profile
    while base is not None and base not in profiles:
        profiles.insert(0, base)
        base = by_id.get(base.get("extends", "").lstrip("~^"))

    def get_settings(name: str) -> dict[str, Element]:
        return {setting.get("idref", ""): setting for one in profiles for setting in one.findall(name)}

    severities, selectors = get_settings("refine-rule"), get_settings("refine-value")
    values = {}
    for value in benchmark.iter("Value"):
        texts = {one.get("selector", ""): get_text(one) for one in value.findall("value")}
        key = value.get("id", "")
        selector = selectors[key].get("selector", "") if key in selectors else ""
        values[key] = texts.get(selector, texts.get("", ""))
    values.update({key: get_text(one) for key, one in get_settings("set-value").items()})
    items = list(_iter_selected(benchmark, get_settings("select")))
    selected = {item.get("id", "") for item in items}
    rules = [item for item in items if item.tag == "Rule" and _is_applicable(item, selected)]
    return [parse_rule(rule, values, severities.get(rule.get("id", ""), rule)) for rule in rules]


def _iter_selected(element: Element, selections: Mapping[str, Element]) -> Iterator[Element]:
    for child in element:
        selection = selections.get(child.get("id", ""), child)
        if child.tag in ("Group", "Rule") and selection.get("selected", "true") in ("true", "1"):
            yield child
            yield from _iter_selected(child, selections)


def _is_applicable(rule: Element, selected: set[str]) -> bool:
    """Return True if the rules that this rule requires are selected, and those that conflict with it are not."""
    required = [one.get("idref", "").split() for one in rule.findall("requires")]
    conflicts = [one.get("idref", "") for one in rule.findall("conflicts")]
    return all(not selected.isdisjoint(names) for names in required) and selected.isdisjoint(conflicts)
