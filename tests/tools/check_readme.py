# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the pages that Galaxy shows as it does, from the tarball, and follow their links to files of the release."""

from __future__ import annotations

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token

#: What certification asks for.
HEADINGS = [
    "Description",
    "Requirements",
    "Installation",
    "Use Cases",
    "Testing",
    "Support",
    "Release Notes and Roadmap",
    "Related Information",
    "License Information",
]
MOST_LINES = 200
#: Pages of the repository that are no files.
PAGES = ("", "/issues", "/releases")


class Release:
    """The files of a tarball, and where they are on the web."""

    def __init__(self, tarball: Path) -> None:
        with tarfile.open(tarball) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            self.files = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]
        about = json.loads(self.files["MANIFEST.json"])["collection_info"]
        self.repository: str = about["repository"]
        self.version: str = about["version"]
        raw = self.repository.replace("//github.com/", "//raw.githubusercontent.com/")
        self.bases = (f"{self.repository}/blob/{self.version}/", f"{raw}/{self.version}/")
        self._own = (self.repository, raw)

    def problems(self) -> list[str]:
        """What is wrong with README.md and those of the roles, a line each."""
        pages = [name for name in self.files if re.fullmatch(r"(roles/\w+/)?README\.md", name)]
        return [f"{page}: {problem}" for page in pages for problem in self._problems(page)]

    def _problems(self, page: str) -> Iterator[str]:
        text = self.files[page].decode()
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        if page == "README.md":
            missing = [heading for heading in HEADINGS if heading not in headings(tokens, "h2")]
            if missing:
                yield f"it has no heading {', '.join(missing)}"
            if len(text.splitlines()) > MOST_LINES:
                yield f"it has {len(text.splitlines())} lines, more than {MOST_LINES}"
        yield from (f"[{label}] is not defined" for label in undefined(tokens))
        for target in links(tokens):
            problem = self._follow(page, target)
            if problem:
                yield f"{target} {problem}"

    def _follow(self, page: str, target: str) -> str:
        """What is wrong with a link, or nothing."""
        url, _hash, anchor = target.partition("#")
        if not url:
            return self._anchor(page, anchor)
        base = next((base for base in self.bases if url.startswith(base)), None)
        if base:
            return self._anchor(url.removeprefix(base), anchor)
        if re.match(r"\w+:", url):
            outside = not url.startswith(self._own) or url.removeprefix(self.repository) in PAGES
            return "" if outside else f"is no page of the repository for version {self.version}"
        return f"leads nowhere on Galaxy, which needs a full address: {self.bases[0]}{PurePosixPath(page).parent / url}"

    def _anchor(self, name: str, anchor: str) -> str:
        if name not in self.files:
            return f"is no file of the tarball: {name}"
        return "" if not anchor or anchor in anchors(name, self.files[name].decode()) else f"is no heading of {name}"


def walk(tokens: list[Token]) -> Iterator[Token]:
    """Tokens, and those within them."""
    for token in tokens:
        yield token
        yield from walk(token.children or [])


def links(tokens: list[Token]) -> list[str]:
    """Where links lead and where images are."""
    names = {"link_open": "href", "image": "src"}
    return [str(token.attrs[names[token.type]]) for token in walk(tokens) if token.type in names]


def headings(tokens: list[Token], tag: str = "") -> list[str]:
    """The text of headings, of one level or of all."""
    following = pairwise(tokens)
    return [text.content for opened, text in following if opened.type == "heading_open" and opened.tag.startswith(tag)]


def undefined(tokens: list[Token]) -> list[str]:
    """Labels that were to be links, and stayed text."""
    texts = [token.content for token in walk(tokens) if token.type == "text"]
    return [label for text in texts for label in re.findall(r"\[([a-z_-]+)\]", text)]


def anchors(name: str, text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    if name.endswith(".md"):
        titles = headings(MarkdownIt("commonmark").parse(text))
    else:
        titles = re.findall(r"^(\S.*)\n[=-]{3,}$", text, re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    seen: Counter[str] = Counter()
    for position, slug in enumerate(slugs):
        slugs[position] = f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1
    return set(slugs)
