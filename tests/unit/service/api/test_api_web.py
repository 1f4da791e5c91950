"""The page's files: served as they are, to anyone, and nothing beside them."""

from __future__ import annotations

import gzip
import re
import tomllib
from pathlib import Path, PurePosixPath

import httpx
import pytest
from fixtures.service_app import Bench

from service.api.web import FOLDER, PREFIX, read_files

ROOT = Path(__file__).resolve().parents[4]
NAMES = sorted(read_files())
MOST_BYTES = 60_000
"""Of the whole page as it is sent, packed."""


async def test_the_page_is_at_the_root(bench: Bench) -> None:
    page = await bench.client.get("/", headers={"Accept": "*/*"})
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.content == (FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "index.html"])
async def test_each_file_is_served_as_it_is(bench: Bench, name: str) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    expected = types.get(PurePosixPath(name).suffix)
    for coding in ("gzip", "identity"):
        got = await bench.client.get(PREFIX + name, headers={"Accept-Encoding": coding})
        assert got.content == (FOLDER / name).read_bytes()
        assert got.headers["Vary"] == "Accept-Encoding"
        assert expected is None or got.headers["Content-Type"].startswith(expected)


async def test_a_file_is_packed_for_who_takes_that(bench: Bench) -> None:
    address = PREFIX + "css/style.css"
    packed, plain = [
        (await bench.client.get(address, headers={"Accept-Encoding": coding})).headers
        for coding in ("br, gzip;q=0.5", "gzip;q=0, identity")
    ]
    assert packed["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain
    assert int(packed["Content-Length"]) < int(plain["Content-Length"]) / 2
    assert packed["ETag"] != plain["ETag"]


@pytest.mark.parametrize("address", ["/", PREFIX + "js/main.js"])
@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_what_is_known_is_not_sent_again(bench: Bench, address: str, coding: str) -> None:
    takes = {"Accept-Encoding": coding}
    first = await bench.client.get(address, headers=takes)
    assert first.headers["Cache-Control"] == "private, no-cache"
    etag = first.headers["ETag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        again = await bench.client.get(address, headers={**takes, "If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == etag
    other = await bench.client.get(address, headers={**takes, "If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_the_etag_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1;")
    before = read_files(tmp_path)["a.js"].etag
    (tmp_path / "a.js").touch()
    assert read_files(tmp_path)["a.js"].etag == before
    (tmp_path / "a.js").write_text("2;")
    assert read_files(tmp_path)["a.js"].etag != before


@pytest.mark.parametrize(
    "path",
    [
        "../app.py",
        "../../pyproject.toml",
        "js/../../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "js%2f..%2f..%2fapp.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "js",
        "js/",
        "",
        "index.html",
        "css/style.css/",
        "js/main.js%00.css",
        "JS/MAIN.JS",
    ],
)
async def test_there_is_nothing_beside_them(bench: Bench, path: str) -> None:
    # As it stands: a client of HTTP would take the dots out itself.
    url = httpx.URL("http://test").copy_with(raw_path=(PREFIX + path).encode())
    response = await bench.client.get(url)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("address", ["/", PREFIX + "js/main.js"])
async def test_methods_are_those_of_other_routes(bench: Bench, address: str) -> None:
    head, got = await bench.client.head(address), await bench.client.get(address)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    refused = await bench.client.post(address)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")


async def test_the_page_leads_to_no_file_that_is_not_there(bench: Bench) -> None:
    """From the page by every link, import and fetch of a file; and each file is reached."""
    page = (FOLDER / "index.html").read_text()
    linked = re.findall(r'(?:href|src)="(web/[^"]+)"', page)
    seen = {address.removeprefix("web/") for address in linked}
    waiting = [name for name in seen if name.endswith(".js")]
    while waiting:
        at = waiting.pop()
        text = (FOLDER / at).read_text()
        found = re.findall(r'(?:from|import)[ (]["`](\.[^"`$]+)', text)
        for name in {Path(FOLDER / at).parent.joinpath(one).resolve() for one in found}:
            relative = name.relative_to(FOLDER).as_posix()
            if relative not in seen:
                seen.add(relative)
                waiting.append(relative)
        if "example-groups" in text:
            files = re.findall(r'"([a-z-]+\.json)"', text)
            assert files
            seen |= {f"example-groups/{one}" for one in files}
    assert sorted(seen | {"index.html"}) == NAMES
    for name in seen:
        assert (await bench.client.get(PREFIX + name)).status_code == 200, name


def test_addresses_are_relative_and_of_this_host() -> None:
    """So the page works behind a prefix, and asks nobody else for anything."""
    page = (FOLDER / "index.html").read_text()
    for address in re.findall(r'(?:href|src)="([^"]+)"', page):
        assert re.match(r"(#|web/|docs$)", address), address
    for name in NAMES:
        text = (FOLDER / name).read_text(encoding="utf-8")
        foreign = re.findall(r"https?://[^\s\"'`)]+", text)
        assert set(foreign) <= {"http://www.w3.org/2000/svg"}, name


def test_nothing_that_the_policy_forbids_is_in_the_page() -> None:
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", page)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".js")])
def test_data_never_become_markup(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )


def test_the_page_is_small() -> None:
    sent = sum(
        len(gzip.compress((FOLDER / name).read_bytes()))
        for name in NAMES
        if not name.startswith("example-groups")
    )
    assert sent < MOST_BYTES


def test_the_files_are_in_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["service"]
    covered = {path for pattern in patterns for path in (ROOT / "service").glob(pattern)}
    assert {FOLDER / name for name in NAMES} <= covered
