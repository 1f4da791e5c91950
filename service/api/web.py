"""The web page at `/` and its static files, read once and served from memory.

Knows the files that are there and no others: a path is a name to look up, never a path on disk.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

FOLDER = Path(__file__).resolve().parent.parent / "web"
PREFIX = "/web/"
"""Where the files are; they answer without a key, as the page does."""

INDEX = "index.html"
# The system's own table may lack these, or say something else.
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".json": "application/json"}
# Below it a response is one packet either way.
_LEAST_TO_PACK = 1_000


@dataclass(frozen=True, slots=True)
class File:
    """`etag` is of the content: replicas of one version agree on it. `packed` is gzip, or None."""

    content: bytes
    packed: bytes | None
    media_type: str
    etag: str


def read_files(folder: Path = FOLDER) -> dict[str, File]:
    """Every file of the page by its name below the folder, with `/` between parts."""
    return {
        path.relative_to(folder).as_posix(): _read(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def add_page(app: FastAPI, files: Mapping[str, File] | None = None) -> None:
    """Serve the page at `/` and its files below PREFIX."""
    known = dict(read_files() if files is None else files)
    index = known.pop(INDEX)  # whose links are right at / alone

    async def page(request: Request) -> Response:
        return _response(request, index)

    async def file(request: Request, name: str) -> Response:
        if name not in known:
            raise HTTPException(404)
        return _response(request, known[name])

    app.add_api_route("/", page, include_in_schema=False)
    app.add_api_route(PREFIX + "{name:path}", file, include_in_schema=False)


def _read(path: Path) -> File:
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    packed = gzip.compress(content, mtime=0) if len(content) >= _LEAST_TO_PACK else None
    return File(
        content=content,
        packed=packed,
        media_type=media_type or "application/octet-stream",
        etag=hashlib.sha256(content).hexdigest()[:32],
    )


def _response(request: Request, file: File) -> Response:
    """The file, packed if the client takes that, or 304 for the one that it has."""
    packs = file.packed is not None and _takes_gzip(request.headers.get("accept-encoding", ""))
    # Two codings of a file are two representations, so each has an ETag of its own.
    etag = f'"{file.etag}-gzip"' if packs else f'"{file.etag}"'
    headers = {"ETag": etag, "Vary": "Accept-Encoding"}
    if _is_known(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    if packs:
        headers["Content-Encoding"] = "gzip"
    content = file.packed if packs else file.content
    return Response(content, media_type=file.media_type, headers=headers)


def _takes_gzip(header: str) -> bool:
    for coding in header.lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or not weight
    return False


def _is_known(header: str, etag: str) -> bool:
    tags = (tag.strip().removeprefix("W/") for tag in header.split(","))
    return any(tag in ("*", etag) for tag in tags)
