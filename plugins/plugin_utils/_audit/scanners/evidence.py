# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print on a server what OpenSCAP found for failed rules, the references of all rules and versions, and parse it.

OpenSCAP prints only the results of rules. Its file of results (ARF) also has the benchmark, the tests of OVAL that a
rule consists of, and the items that they found. Of these 10 to 20 MB, the server prints what belongs to failed rules,
compressed: less than 1 kB for each. It hides passwords and their hashes. Of each rule, it prints the references to
catalogues that most auditors ask for: about 50 bytes.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from .junit_tap import get_text, parse_xml
from .results import ScannerError
from .xccdf import join_references, parse_rule, shorten_id

#: The beginning of the lines that the server prints.
EVIDENCE = "evidence|"
#: The largest evidence of a server, in bytes before and in characters after its compression.
_MAX_EVIDENCE = 2_000_000
#: Tests of a rule, items of a test, and characters of a rule's evidence.
_MAX_TESTS, _MAX_ITEMS, _MAX_CHARACTERS = 10, 5, 1500
#: Fields of items that describe how the test searched, or change with each scan.
_HIDDEN = ("pattern", "instance", "line", "a_time", "c_time", "m_time", "has_extended_acl")
#: Fields of a file, in the order in which ls shows them.
_MODE = [f"{who}{right}" for who in "ugo" for right in ("read", "write", "exec")]
#: Shell function that prints the evidence in a file of results. In its first pass, awk collects the IDs of failed rules
#: and tests, and of what these found. In its second pass, it prints them.
FUNCTIONS = r"""explain() {
awk '
function a(n) {
return match($0, " " n "=\"[^\"]*") ? substr($0, RSTART + length(n) + 3, RLENGTH - length(n) - 3) : ""
}
FNR == NR {
if (/<rule-result /) r = a("idref")
else if (/<\/rule-result>/) r = ""
else if (/<result>(fail|error|unknown)</) bad[r] = all[r] = 1
else if (/<result>/ && !/>notselected</) all[r] = 1
else if (/<definition definition_id=/) d = a("result") == "false"
else if (/<TestResult /) { w = a("test-system"); v = a("version") }
else if (/<profile idref=/) f = a("idref")
else if (/<criterion / && d && a("result") == "false") bad[a("test_ref")]
else if (/<test /) t = a("test_id")
else if (/<tested_item / && t in bad && n[t, a("result")]++ < 5) bad[a("item_id")]
next
}
FNR == 1 && w { print "<version system=\"" w "\" content=\"" v "\"/>" }
/<([^ :]*:)?Benchmark / { h = "benchmark" }
/<([^ :]*:)?Profile / && f && a("id") == f { h = "profile" }
h && /<([^ :]*:)?title[ >]/ && match($0, />[^<]+<\//) {
print "<" h substr($0, RSTART, RLENGTH) h ">"
h = ""
}
/<([^ :]*:)?Rule / { q = a("id") in all ? a("id") : "" }
q && /<([^ :]*:)?reference .*(800-53|cisecurity.org.benchmark|pcisecurity|srg-stig-tools|gouv.fr|bsi.bund.de)/ {
if (match($0, />[^<]+<\//)) {
s = substr($0, RSTART, RLENGTH)
print "<ref rule=\"" q "\" href=\"" a("href") "\"" s "ref>"
}
}
/<([^ :]*:)?Rule / && a("id") in bad { rule = 1 }
rule {
if (skip) { if (index($0, "</" skip ">")) skip = ""; next }
if (match($0, /<([^ :>]*:)?(reference|ident|fix|check)[ >]/)) {
skip = substr($0, RSTART + 1, RLENGTH - 2)
if (index($0, "</" skip ">") || /\/>$/) skip = ""
next
}
print
k = split($0, p, "sub idref=\"")
while (k > 1) { sub(/".*/, "", p[k]); bad[p[k--]] }
if (/<\/([^ :]*:)?Rule>/) rule = 0
next
}
/<set-value / { if (a("idref") in bad) print; next }
/<rule-result / { r = a("idref"); next }
/<check-content-ref / && r in bad { print "<why rule=\"" r "\" definition=\"" a("name") "\"/>"; next }
/<message [^>]*>[^<]*<\/message>/ && r in bad { print "<why rule=\"" r "\">" $0 "</why>"; next }
/<\/rule-result>/ { r = ""; next }
/_test id=/ {
if (a("id") in bad && !c[a("id")]++) print "<comment id=\"" a("id") "\" text=\"" a("comment") "\"/>"
next
}
/<definition definition_id=/ { d = a("result") == "false" ? a("definition_id") : ""; next }
/<(criterion|extend_definition) / {
if (d && a("result") == "false") {
printf "<part of=\"%s\" test=\"%s\" ", d, a("test_ref")
print "definition=\"" a("definition_ref") "\" negate=\"" a("negate") "\"/>"
}
next
}
/<test / { t = a("test_id"); next }
/<tested_item / {
if (t in bad && a("item_id") in bad) {
print "<item of=\"" t "\" id=\"" a("item_id") "\" result=\"" a("result") "\"/>"
}
next
}
/_item id=/ { i = a("id"); next }
/<\/[^>]*_item>/ { i = ""; next }
i in bad && length < 400 && match($0, /<[^>]*>[^<]+<\//) && m[i]++ < 30 {
s = substr($0, RSTART + 1, RLENGTH - 3)
k = index(s, ">")
v = substr(s, k + 1)
s = substr(s, 1, k - 1)
sub(/ .*/, "", s)
sub(/.*:/, "", s)
if (s == "password" || v ~ /\$[0-9a-z]+\$|pbkdf2/) v = "(hidden)"
print "<value of=\"" i "\" name=\"" s "\">" v "</value>"
}
' "$1" "$1" | head -c 2000000 | gzip -9 | base64 | sed 's/^/evidence|/'
}
"""


@dataclass(frozen=True)
class RuleEvidence:
    """The texts of a rule in the benchmark on a server, and what its tests found there.

    Attributes:
        texts: title, rationale, remedy and output of a failed rule; empty for others.
    """

    references: tuple[str, ...]
    texts: Mapping[str, str]


class Evidence(dict[str, RuleEvidence]):
    """The evidence by the names of rules, and the versions of the scanner and the benchmark."""

    versions: tuple[str, ...] = ()


def parse_evidence(lines: Iterable[str]) -> Evidence:
    """Return the evidence; none if it is missing or damaged.

    Args:
        lines: of an output.
    """
    encoded = "".join(line.removeprefix(EVIDENCE) for line in lines if line.startswith(EVIDENCE))
    if not encoded:
        return Evidence()
    try:
        text = zlib.decompressobj(wbits=31).decompress(base64.b64decode(encoded), _MAX_EVIDENCE)
        root = parse_xml(f"<evidence>{text.decode('utf-8', 'replace')}</evidence>", "evidence")
    except (binascii.Error, zlib.error, ScannerError):
        return Evidence()
    values = {one.get("idref", ""): one.text or "" for one in root.findall("set-value")}
    rules = {rule.name: rule for rule in (parse_rule(one, values, one) for one in root.findall("Rule"))}
    found = _Found(root)
    outputs = {shorten_id(name): found.describe(name) for name in found.rules}
    references = {shorten_id(name): tuple(join_references(same)) for name, same in _group(root, "ref", "rule").items()}
    texts = {
        name: {
            "title": rule.title,
            "rationale": rule.rationale,
            "remedy": rule.remedy,
            "output": outputs.get(name, ""),
        }
        for name, rule in rules.items()
    }
    names = {**references, **texts}
    evidence = Evidence({name: RuleEvidence(references.get(name, ()), texts.get(name, {})) for name in names})
    evidence.versions = tuple(_list_versions(root))
    return evidence


def _list_versions(root: Element) -> Iterator[str]:
    """Yield the scanner with its version, the benchmark with its version, and the title of the profile."""
    version = root.find("version")
    system, content = (version.get("system", ""), version.get("content", "")) if version is not None else ("", "")
    if system:
        # The scanner names itself as in a CPE.
        name, _colon, number = system.rpartition(":")
        yield f"OpenSCAP {number}" if name.endswith(":openscap") else system
    benchmark = get_text(root.find("benchmark"))
    if benchmark or content:
        yield f"{benchmark or 'Benchmark'} {content}".strip()
    if profile := get_text(root.find("profile")):
        yield f"Profile {profile}"


class _Found:
    """The tests of failed rules, and what they found."""

    def __init__(self, root: Element) -> None:
        self._comments = {one.get("id", ""): one.get("text", "") for one in root.findall("comment")}
        #: By rules, definitions, tests and items.
        self.rules = _group(root, "why", "rule")
        self._parts = _group(root, "part", "of")
        self._items = _group(root, "item", "of")
        self._values = _group(root, "value", "of")

    def describe(self, rule: str) -> str:
        lines = [text for why in self.rules[rule] if (text := get_text(why))]
        tests: dict[tuple[str, bool], None] = {}
        for why in self.rules[rule]:
            tests.update(dict.fromkeys(self._iter_tests(why.get("definition", ""), set())))
        for test, negated in list(tests)[:_MAX_TESTS]:
            words = "Met, and must not be" if negated else "Not met"
            lines.append(f"{words}: {' '.join(self._comments.get(test, test).split())}")
            items = list(dict.fromkeys(filter(None, map(self._describe_item, self._list_culprits(test, negated)))))
            lines += [f"  found: {item}" for item in items] or ["  Nothing was found."]
        if len(tests) > _MAX_TESTS:
            lines.append(f"And {len(tests) - _MAX_TESTS} more.")
        text = "\n".join(lines)
        return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}\u2026"

    def _iter_tests(self, definition: str, seen: set[str]) -> Iterator[tuple[str, bool]]:
        """Yield the tests because of which a definition is not met, and whether they are met and must not be."""
        if definition in seen:
            return
        seen.add(definition)
        for part in self._parts.get(definition, ()):
            negated = part.get("negate") == "true"
            if test := part.get("test"):
                yield test, negated
            elif not negated:
                yield from self._iter_tests(part.get("definition", ""), seen)

    def _list_culprits(self, test: str, negated: bool) -> list[Element]:
        """Return the items that decided a test, or else those that it found."""
        items = self._items.get(test, [])
        culprits = [item for item in items if item.get("result") == ("true" if negated else "false")]
        return (culprits or items)[:_MAX_ITEMS]

    def _describe_item(self, item: Element) -> str:
        fields = {one.get("name", ""): one.text or "" for one in self._values.get(item.get("id", ""), ())}
        hidden = {*_HIDDEN, *_MODE, *(("path", "filename") if "filepath" in fields else ())}
        if set(_MODE) <= fields.keys():
            rights = zip(_MODE, "rwxrwxrwx", strict=True)
            fields["mode"] = "".join(letter if fields[right] == "true" else "-" for right, letter in rights)
            hidden |= {name for name in ("suid", "sgid", "sticky") if fields.get(name) == "false"}
        return ", ".join(f"{name} {' '.join(text.split())}" for name, text in fields.items() if name not in hidden)


def _group(root: Element, tag: str, key: str) -> dict[str, list[Element]]:
    groups: dict[str, list[Element]] = {}
    for one in root.findall(tag):
        groups.setdefault(one.get(key, ""), []).append(one)
    return groups
