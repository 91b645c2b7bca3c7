# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection: names and behaviour may change in any release.

"""XML of scanners, read into a tree without namespaces. A DTD is refused, so nothing is expanded or fetched."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from xml.etree.ElementTree import Element
from xml.parsers import expat

from .results import ScannerError

#: No tree is deeper, or has more elements. Benchmarks with their OVAL definitions have fewer than 400,000 elements.
MOST_DEPTH, MOST_ELEMENTS = 100, 500_000
#: Elements of XHTML that begin on a line of their own.
_BLOCKS = frozenset(("p", "pre", "li", "ul", "ol", "div", "table", "tr", "br"))


def read_xml(text: str, left_out: Collection[str] = ()) -> Element:
    """Return the root of a document.

    Args:
        left_out: names of elements to leave out, with all that is in them.

    Raises:
        ScannerError: it is not XML, has a DTD, or is too deep or too large.
    """
    start = re.search(r"^[ \t]*<[?!A-Za-z]|<\?xml\s", text, re.MULTILINE)
    if not start:
        raise ScannerError("The output has no XML.")
    return _Reader(left_out).read(text[start.start() :].lstrip())


class _Reader:
    """Builds the tree from the events of expat."""

    def __init__(self, left_out: Collection[str]) -> None:
        self._left_out = left_out
        self._open: list[Element] = []
        self._root: Element | None = None
        self._elements = self._depth = self._outside = 0
        self._parser = expat.ParserCreate("utf-8", "}")
        self._parser.buffer_text = True
        self._parser.buffer_size = 1024 * 1024
        self._parser.StartDoctypeDeclHandler = self._refuse_dtd
        self._parser.EntityDeclHandler = self._refuse_dtd
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def read(self, text: str) -> Element:
        """Return the root."""
        data = text.encode("utf-8", "replace")
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            if self._root is None or self._depth:
                raise ScannerError(f"The output is not complete XML: {error}.") from error
            # The document was over already, and other output follows.
            self._refuse_another(data[self._parser.ErrorByteIndex :].decode("utf-8", "replace"), self._root.tag)
        if self._root is None:
            raise ScannerError("The output has no XML.")
        return self._root

    @staticmethod
    def _refuse_another(rest: str, root: str) -> None:
        """Refuse another document like the first: its results would be lost."""
        if re.search(rf"(?:^[ \t]*|<\?xml[^>]{{0,200}}>\s*)<(?:\w+:)?{re.escape(root)}[\s/>]", rest, re.MULTILINE):
            raise ScannerError("The output has more than one XML document. Let the check print one.")

    def _refuse_dtd(self, *_given: object) -> None:
        raise ScannerError("The XML has a DTD.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MOST_DEPTH:
            raise ScannerError(f"The XML is deeper than {MOST_DEPTH} elements.")
        if self._elements > MOST_ELEMENTS:
            raise ScannerError(f"The XML has more than {MOST_ELEMENTS:,} elements.")
        local = _local(name)
        if self._outside or local in self._left_out:
            self._outside += 1
            return
        element = Element(local, {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._outside:
            self._outside -= 1
        else:
            self._open.pop()

    def _text(self, text: str) -> None:
        if self._outside or not self._open:
            return
        parent = self._open[-1]
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + text
        else:
            parent.text = (parent.text or "") + text


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield the elements of this name directly below another."""
    return (child for child in element if child.tag == name)


def outermost(element: Element, name: str) -> Iterator[Element]:
    """Yield the elements of this name in another, or itself, but none that is inside one of them."""
    if element.tag == name:
        yield element
        return
    for child in element:
        yield from outermost(child, name)


def words(element: Element | None) -> str:
    """Return the text of an element, on lines as a browser breaks them."""
    if element is None:
        return ""
    lines = "".join(_pieces(element)).splitlines()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


def _pieces(element: Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        block = child.tag in _BLOCKS
        yield "\n" if block else ""
        yield "- " if child.tag == "li" else ""
        yield from _pieces(child)
        yield "\n" if block and child.tag != "br" else ""
        yield child.tail or ""
