# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make checks that run OpenSCAP on servers, and parse the results of XCCDF that they print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ....module_utils._api.errors import UsageError
from ....module_utils._options.values import validate_dictionary
from .evidence import RuleEvidence, parse_evidence
from .results import (
    FAILED,
    MISSING,
    NOT_APPLICABLE,
    PASSED,
    UNKNOWN,
    RuleResult,
    RuleResults,
    ScannerError,
    parse_severity,
)
from .tailoring import ReadFile, Tailoring, read_local_file
from .xccdf import shorten_id

_DIRECTORY = "/usr/share/xml/scap/ssg/content"
BENCHMARK: dict[str, dict[str, Any]] = {
    "file": {"type": "str", "required": True},
    "profile": {"type": "str", "required": True},
    "tailoring": {"type": "str"},
    "tailoring_file": {"type": "str"},
    "evidence": {"type": "bool", "default": False},
}
#: What oscap writes on request: its results (ARF) and its report.
FILES = ("arf.xml", "report.html")
#: Shell code that stops if something is missing.
_PREPARE = r"""stop() { echo "missing-results: $*"; exit; }
packages() (
[ ! -r /etc/os-release ] || . /etc/os-release
case " $ID $ID_LIKE " in
*ubuntu*) echo openscap-scanner and ssg-debderived ;;
*debian*) echo openscap-scanner and ssg-debian ;;
*suse*) echo openscap-utils and scap-security-guide ;;
*) echo openscap-scanner and scap-security-guide ;;
esac
)
command -v oscap >/dev/null || stop "oscap is not installed. Install $(packages)."
[ "$(id -u)" = 0 ] || stop "oscap can read everything only as root. Set audit_username to root."
[ -e "$file" ] || stop "$file is not on this server. Install $(packages), or copy the file."
[ -z "$tailoring" ] || [ -e "$tailoring" ] || stop "$tailoring is not on this server. Copy the file."
"""
_COMPARE = """[ "$(sha256sum <"$file" | cut -c1-64)" = {digest} ] ||
stop "$file differs from the file on the controller."
"""
#: oscap prints each result at once. Its results file adds severities and evidence, and is there only if oscap finished.
_EVALUATE = r"""results=$(mktemp) || stop "mktemp failed."
trap 'rm -f "$results" ${own:+"$own"}' EXIT
trap 'exit 143' TERM
exec 3>&1
said=$(oscap xccdf eval --progress-full --results-arf "$results" --profile "$profile" "$@" "$file" 2>&1 >&3)
code=$?
@KEEP@sed -n '/<rule-result /{N;/>notselected</d
s/.* idref="\([^"]*\)".* severity="\([^"]*\)".*<result>\([a-z]*\)<.*/\1|severity=\2|\3/p
}' "$results"
! command -v explain >/dev/null || explain "$results"
case $code in 0 | 2) exit ;; esac
known=$(for one in "$file" ${tailoring:+"$tailoring"}; do oscap info "$one" 2>/dev/null; done |
sed -n 's/^[[:blank:]]*Id: //p')
for id in $known; do
case $id in *"$profile") known= ;; esac
done
[ -z "$known" ] || stop "$file has no profile $profile. It has: $(echo "$known" | sed 's/.*_profile_//' | xargs)."
stop "oscap ended with exit code $code. $(echo "$said" | tail -n 1)"
"""
#: Files with a dot in front are not sent.
_REPORT = """[ -z "$audit_files" ] || set -- --report "$audit_files/.report" "$@"
"""
#: Keeps whole files that oscap wrote, once they are without the hashes of passwords.
_KEEP = r"""keep() {
[ -s "$1" ] && sed 's/\$[0-9a-z]\{1,8\}\$[./A-Za-z0-9$=,+-]\{20,\}/(hidden)/g
s/\(pbkdf2\.[a-z0-9]*\.[0-9]*\.\)[0-9A-Fa-f.]\{20,\}/\1(hidden)/g
s/\(<[a-z]*-sys:password[^>]*>\)[^<]*/\1(hidden)/g' "$1" >"$audit_files/.part" &&
mv "$audit_files/.part" "$audit_files/$2"
}
if [ "$audit_files" ]; then
keep "$results" arf.xml
keep "$audit_files/.report" report.html
fi
"""
_RESULTS = {
    "pass": (PASSED, ""),
    "fixed": (PASSED, "The scanner has fixed it."),
    "fail": (FAILED, ""),
    "error": (UNKNOWN, "The scanner could not evaluate it: error."),
    "unknown": (UNKNOWN, "The scanner could not evaluate it: unknown."),
    "notchecked": (UNKNOWN, "The scanner has no check for it. Check it yourself."),
    "notapplicable": (NOT_APPLICABLE, "It does not apply to this server."),
    "informational": (NOT_APPLICABLE, "It is for information only."),
}
#: A line of C(oscap xccdf eval --progress), of C(--progress-full) with a title, or of our code with a severity.
_LINE = re.compile(rf"([^\s|]+)(?::|\|(?:severity=(\w*)|(.*))\|)({'|'.join(_RESULTS)})\s*$")


def make_script(
    file: str,
    profile: str,
    tailoring: str = "",
    benchmark: str = "",
    digest: str = "",
    unpack: str = "",
    evidence: bool = False,
) -> str:
    """Return the shell code that evaluates a profile on a server.

    Args:
        benchmark: id of the benchmark, if the file has several.
        digest: SHA-256 that the file must have.
        unpack: code that unpacks a tailoring file.
        evidence: keep the files of oscap.
    """
    variables = {"file": file, "profile": profile, "tailoring": tailoring, "own": ""}
    values = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    options = {"--tailoring-file": tailoring, "--benchmark-id": benchmark}
    arguments = shlex.join(part for option in options.items() if option[1] for part in option)
    compare = _COMPARE.format(digest=digest) if digest else ""
    evaluate = _EVALUATE.replace("@KEEP@", _KEEP if evidence else "")
    return f"{values}set -- {arguments}\n{_PREPARE}{compare}{unpack}{_REPORT if evidence else ''}{evaluate}"


def parse_benchmarks(value: Any, read_file: ReadFile = read_local_file) -> list[dict[str, Any]]:
    """Return the checks of benchmarks. C(functions) is the shell code that runs before each, C(files) its files.

    Args:
        read_file: reads a file on the controller, by the option and the path in it.
    """
    if value is not None and not isinstance(value, (list, tuple)):
        raise UsageError("benchmarks", "it is not a list", "Give a list, each element with file and profile.")
    checks: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(value or (), start=1):
        option = f"benchmarks, entry {number}"
        entry = validate_dictionary(option, BENCHMARK, one)
        profile = entry["profile"]
        if not re.fullmatch(r"\w[\w.-]*", profile):
            remedy = "Give an id, such as cis_level1_server. oscap info FILE lists those of a file."
            raise UsageError(f"{option}: profile", f"'{profile}' is not the id of a profile", remedy)
        file, tailoring = (_resolve_path(f"{option}: {key}", entry[key] or "") for key in ("file", "tailoring"))
        name = shorten_id(profile)
        if name in checks:
            name = f"{name}-{file.rpartition('/')[2]}"
        if name in checks:
            raise UsageError("benchmarks", f"{name} is listed twice", "Leave one of them out.")
        own, evidence = _read_tailoring(option, entry, read_file), entry["evidence"]
        checks[name] = {
            "name": name,
            "title": f"SCAP profile {shorten_id(profile)}",
            "line": make_script(file, profile, tailoring, unpack=own.unpack if own else "", evidence=evidence),
            "references": [own.reference] if own else [],
            # For rules without a severity in the content.
            "severity": "medium",
            "timeout": 1800,
            "results": {"format": "xccdf"},
            "functions": own.functions if own else "",
            "files": FILES if evidence else (),
        }
    return list(checks.values())


def _read_tailoring(option: str, entry: Mapping[str, Any], read_file: ReadFile) -> Tailoring | None:
    path = entry["tailoring_file"]
    if not path:
        return None
    option = f"{option}: tailoring_file"
    if entry["tailoring"]:
        raise UsageError(option, "tailoring is given too", "Leave one of them out.")
    return Tailoring.from_content(option, path, read_file(option, path))


def _resolve_path(option: str, path: str) -> str:
    """Return the absolute path on the servers for a path or the name of a file; empty if it is empty."""
    if not path or path.startswith("/"):
        return path
    if "/" in path:
        raise UsageError(option, f"{path} is a relative path", f"Give an absolute path, or a name in {_DIRECTORY}.")
    return f"{_DIRECTORY}/{path}"


def parse_xccdf(output: str, _options: Mapping[str, Any]) -> RuleResults:
    found = []
    lines = output.replace("\r", "\n").split("\n")
    for line in lines:
        # A longer line is not a result.
        if len(line) > 4000:
            continue
        if line.startswith(f"{MISSING}: "):
            found.append(RuleResult.missing(line.removeprefix(f"{MISSING}: ").strip()))
        elif match := _LINE.match(line):
            outcome, message = _RESULTS[match[4]]
            severity = parse_severity(match[2] or "")
            name, title, manual = shorten_id(match[1]), match[3] or "", match[4] == "notchecked"
            found.append(RuleResult(name, outcome, title, severity=severity, message=message, manual=manual))
    rules = [one for one in found if one.name != MISSING]
    if not rules:
        last = output.strip().rpartition("\n")[2].strip()[:300]
        end = f"It ends with: {last}" if last else "It is empty."
        raise ScannerError(found[0].message if found else f"The output has no result of a rule. {end}")
    if all(rule.outcome == NOT_APPLICABLE for rule in rules):
        raise ScannerError("No rule applies to this server. The content may be for another operating system.")
    evidence = parse_evidence(lines)
    with_evidence = (_add_evidence(one, evidence[one.name]) if one.name in evidence else one for one in found)
    return RuleResults.with_versions(with_evidence, evidence.versions)


def _add_evidence(result: RuleResult, evidence: RuleEvidence) -> RuleResult:
    """Return the result with its references and, if the rule failed, its texts."""
    with_references = replace(result, references=evidence.references)
    if not evidence.texts:
        return with_references
    texts = evidence.texts
    return replace(
        with_references,
        title=texts["title"],
        rationale=texts["rationale"],
        remedy=texts["remedy"],
        output=texts["output"],
    )
