# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""Checks that let OpenSCAP evaluate content that is on the servers, such as the SCAP Security Guide."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from ansible_collections.herdops.alpacon.plugins.module_utils._api.errors import UsageError, did_you_mean

#: The directory in which packages of the SCAP Security Guide put their content.
DIRECTORY = "/usr/share/xml/scap/ssg/content"
#: How long an evaluation may take, in seconds.
TIMEOUT = 1800
#: The keys of a benchmark.
BENCHMARK: dict[str, dict[str, Any]] = {
    "file": {"type": "str", "required": True},
    "profile": {"type": "str", "required": True},
    "tailoring": {"type": "str"},
}
#: Code that says what is missing.
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
[ "$(id -u)" = 0 ] || stop "oscap sees everything only as root. Set audit_username to root."
[ -e "$file" ] || stop "$file is not on this server. Install $(packages), or copy the file."
[ -z "$tailoring" ] || [ -e "$tailoring" ] || stop "$tailoring is not on this server. Copy the file."
"""
_COMPARE = """[ "$(sha256sum <"$file" | cut -c1-64)" = {digest} ] ||
stop "$file has other content than on the controller."
"""
#: oscap prints each result at once. Its file of results adds the severities, and shows that it came to its end.
_EVALUATE = r"""results=$(mktemp) || stop "mktemp failed."
trap 'rm -f "$results"' EXIT
trap 'exit 143' TERM
exec 3>&1
said=$(oscap xccdf eval --progress-full --results "$results" --profile "$profile" "$@" "$file" 2>&1 >&3)
code=$?
sed -n '/<rule-result /{N;/>notselected</d
s/.* idref="\([^"]*\)".* severity="\([^"]*\)".*<result>\([a-z]*\)<.*/\1|severity=\2|\3/p
}' "$results"
case $code in 0 | 2) exit ;; esac
known=$(for one in "$file" ${tailoring:+"$tailoring"}; do oscap info "$one" 2>/dev/null; done |
sed -n 's/^[[:blank:]]*Id: //p')
for id in $known; do
case $id in *"$profile") known= ;; esac
done
[ -z "$known" ] || stop "$file has no profile $profile. It has: $(echo "$known" | sed 's/.*_profile_//' | xargs)."
stop "oscap ended with exit code $code. $(echo "$said" | tail -n 1)"
"""


def evaluation(file: str, profile: str, tailoring: str = "", benchmark: str = "", digest: str = "") -> str:
    """Return the code that evaluates a profile on a server.

    Args:
        benchmark: id of the benchmark, for content that has several.
        digest: SHA-256 that the file must have.
    """
    variables = {"file": file, "profile": profile, "tailoring": tailoring}
    values = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    options = {"--tailoring-file": tailoring, "--benchmark-id": benchmark}
    given = shlex.join(part for option in options.items() if option[1] for part in option)
    compare = _COMPARE.format(digest=digest) if digest else ""
    return f"{values}set -- {given}\n{_PREPARE}{compare}{_EVALUATE}"


def short_id(identifier: str) -> str:
    """Return the id of a rule, profile or benchmark without its kind and name space."""
    return re.sub(r"^xccdf_[^_]+_(?:rule|profile|benchmark)_", "", identifier)


def read_benchmarks(given: Any) -> list[dict[str, Any]]:
    """Return a check for each entry of the option C(benchmarks).

    Raises:
        UsageError: which entry is wrong, and why.
    """
    if given is None:
        return []
    if not isinstance(given, (list, tuple)):
        raise UsageError("benchmarks", "it is not a list", "Give a list, each element with file and profile.")
    checks: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(given, start=1):
        values = _entry(f"benchmarks, entry {number}", entry)
        name = short_id(values["profile"])
        if name in checks:
            name = f"{name}-{values['file'].rpartition('/')[2]}"
        if name in checks:
            raise UsageError("benchmarks", f"{name} is there twice", "Leave one of them out.")
        checks[name] = {
            "name": name,
            "title": f"SCAP profile {short_id(values['profile'])}",
            "line": evaluation(**values),
            # Of rules for which the content names none.
            "severity": "medium",
            "timeout": TIMEOUT,
            "kind": "results",
            "results": {"format": "xccdf"},
        }
    return list(checks.values())


def _entry(option: str, entry: Any) -> dict[str, str]:
    if not isinstance(entry, Mapping):
        raise UsageError(option, "it is not a dictionary", "Give file and profile, and perhaps tailoring.")
    for key in entry:
        if key not in BENCHMARK:
            remedy = did_you_mean(key, BENCHMARK, f"It may have: {', '.join(BENCHMARK)}.")
            raise UsageError(f"{option}: {key}", "there is no such key", remedy)
    profile = entry.get("profile")
    if not isinstance(profile, str) or not re.fullmatch(r"\w[\w.-]*", profile):
        remedy = "Give an id, such as cis_level1_server. oscap info FILE lists those of a file."
        raise UsageError(
            f"{option}: profile", f"'{profile}' is not the id of a profile" if profile else "it is missing", remedy
        )
    paths = {"file": _path(f"{option}: file", entry.get("file"))}
    if entry.get("tailoring"):
        paths["tailoring"] = _path(f"{option}: tailoring", entry["tailoring"])
    return {**paths, "profile": profile}


def _path(option: str, value: Any) -> str:
    """Return an absolute path on the servers."""
    if not isinstance(value, str) or not value:
        raise UsageError(
            option, "it is not a path" if value else "it is missing", "Give the path of a file on the servers."
        )
    if not value.isprintable():
        raise UsageError(option, "it has a line break or another control character", "Take it out.")
    if "/" in value and not value.startswith("/"):
        raise UsageError(option, f"{value} is a relative path", f"Give an absolute path, or a name in {DIRECTORY}.")
    return value if value.startswith("/") else f"{DIRECTORY}/{value}"
