"""Checks a built site: nothing is fetched from elsewhere, every local address is a file.

MkDocs checks the links of the pages; this checks what the theme and the HTML load beside them, and
that no block of Markdown was left as text: MkDocs wants a blank line where code hosts do not.
Usage: python scripts/check_site.py FOLDER
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src",),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
}
DESCRIBES = {"canonical", "prev", "next", "alternate"}  # relations that a browser does not load
STYLE_ADDRESS = re.compile(r"""(?:url\(|@import\s+)\s*["']?((?:https?:)?//[^"')\s]+)""")

UNREAD = {
    "a code block": re.compile(r"<p>(?:```|<code>[a-z]+ [^<]*\n)"),
    "a list": re.compile(r"<p>(?:(?!</p>).)*?\n(?:-|1\.) ", re.DOTALL),
    "a table": re.compile(r"<p>(?:(?!</p>).)*?\|\s*:?---", re.DOTALL),
}


class Loads(HTMLParser):
    """Collects what a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the addresses of one element."""
        given = {name: value or "" for name, value in attrs}
        if set(given.get("rel", "").split()) & DESCRIBES:
            return
        self.addresses += [given[name] for name in LOADED.get(tag, ()) if given.get(name)]
        self.addresses += STYLE_ADDRESS.findall(given.get("style", ""))


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the site, one line each."""
    pages = sorted(site.rglob("*.html"))
    if not pages:
        yield f"{site}: no page"
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loads = Loads()
        loads.feed(text)
        for what, pattern in UNREAD.items():
            if pattern.search(text):
                yield f"{page.relative_to(site)}: {what} is shown as text"
        for address in [*loads.addresses, *STYLE_ADDRESS.findall(text)]:
            if (fault := of(address, page, site)) is not None:
                yield f"{page.relative_to(site)}: {fault}"
    for style in sorted([*site.rglob("*.css"), *site.rglob("*.svg")]):
        for address in STYLE_ADDRESS.findall(style.read_text(encoding="utf-8")):
            yield f"{style.relative_to(site)}: loads {address}"


def of(address: str, page: Path, site: Path) -> str | None:
    """What is wrong with an address that a page loads, if anything."""
    parts = urlsplit(address)
    if parts.scheme == "data":
        return None
    if parts.scheme or parts.netloc:
        return f"loads {address}"
    path = unquote(parts.path)
    target = site / path.lstrip("/") if path.startswith("/") else page.parent / path
    return None if target.exists() else f"loads {address}, which is not there"


def main() -> None:
    """Print the faults; the status is 1 if there are any."""
    site = Path(sys.argv[1])
    found = list(faults(site))
    for fault in found:
        print(fault, file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{len(list(site.rglob('*.html')))} pages in {site}/, nothing is loaded from elsewhere")


if __name__ == "__main__":
    main()
