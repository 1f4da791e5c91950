"""A MkDocs hook: what the pages say to a code host and to tests, said to MkDocs.

The pages link to files beside them (`../CONTRIBUTING.md`, `../examples/…`), which a code host
shows. On the site such a Markdown file becomes a page, any other file a download under `files/`.
Links to what does not exist stay as they are, so that the strict build names them. A word behind a
block's language (```bash server), by which a test finds it, is left out: MkDocs knows no such word.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs"
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LINK = re.compile(r"(?P<before>\]\()(?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?(?=\))")
FENCE = re.compile(
    r"^(?P<open>[ \t]*(?P<fence>`{3,})\S*)[^\n]*(?P<body>\n.*?^[ \t]*(?P=fence)[ \t]*)$",
    re.MULTILINE | re.DOTALL,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root, and every file that a page links to."""
    from mkdocs.structure.files import File

    for source, target in PAGES.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    texts = [(path, path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("docs/**/*.md"))]
    texts += [(ROOT / name, (ROOT / name).read_text(encoding="utf-8")) for name in PAGES]
    for path, text in texts:
        for linked in outside(text, path.relative_to(ROOT).as_posix()):
            target = site_path(linked)
            if files.get_file_from_path(target) is None:
                files.append(File.generated(config, target, abs_src_path=str(ROOT / linked)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page as the site takes it."""
    return rewritten(markdown, in_repository(page.file.src_uri))


def rewritten(text: str, source: str) -> str:
    """`text` of the file `source` (a path in the repository), as the site takes it."""
    here = posixpath.dirname(site_path(source))

    def link(match: re.Match[str]) -> str:
        target = repository_path(match["path"], source)
        if target is None:
            return match[0]
        path = posixpath.relpath(site_path(target), here or ".")
        return match["before"] + path + (match["anchor"] or "")

    return "".join(
        FENCE.sub(r"\g<open>\g<body>", part) if fenced else LINK.sub(link, part)
        for fenced, part in parts(text)
    )


def parts(text: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces, each with whether it is a fenced block, which holds no links."""
    at = 0
    for match in FENCE.finditer(text):
        yield False, text[at : match.start()]
        yield True, match[0]
        at = match.end()
    yield False, text[at:]


def outside(text: str, source: str) -> Iterator[str]:
    """The files out of docs/ that `text` of `source` links to, as paths in the repository."""
    for fenced, part in parts(text):
        for match in LINK.finditer("" if fenced else part):
            target = repository_path(match["path"], source)
            if target is not None and not target.startswith(f"{DOCS}/") and target not in PAGES:
                yield target


def repository_path(link: str, source: str) -> str | None:
    """The file that a relative link in `source` names; None if there is none in the repository."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return None if path.startswith("../") or not (ROOT / path).is_file() else path


def site_path(path: str) -> str:
    """Where a file of the repository is on the site."""
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    return PAGES.get(path, f"files/{path.removesuffix('.md')}{'.txt' * path.endswith('.md')}")


def in_repository(path: str) -> str:
    """The inverse of site_path for pages."""
    names = {target: source for source, target in PAGES.items()}
    return names.get(path, f"{DOCS}/{path}")
