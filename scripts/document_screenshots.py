"""Takes the pictures of the page that the documentation shows, into docs/images.

Needs a Chromium on the PATH. Usage: python scripts/document_screenshots.py [SCENE …]
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # the scenes are those that the tests check

from fixtures.pages import CHROMIUM, QUIET  # noqa: E402
from fixtures.scenes import SCENES, SCHEMES, WIDTHS, Scene, open_scene, register  # noqa: E402
from fixtures.serve_process import serving  # noqa: E402

MOST_BYTES = 150_000
MOST_HEIGHT = 1_400
"""Longer pages are cut off there."""

COLOURS = 128
TIMEOUT_MS = 60_000


def main() -> None:
    """Take the pictures of the scenes that are named, else of all."""
    wanted = set(sys.argv[1:]) or {scene.name for scene in SCENES}
    if unknown := wanted - {scene.name for scene in SCENES}:
        sys.exit(f"there is no such scene: {', '.join(sorted(unknown))}")
    if CHROMIUM is None:
        sys.exit("there is no chromium on the PATH")
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder)) as service,
        sync_playwright() as running,
    ):
        browser = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for scene in (scene for scene in SCENES if scene.name in wanted):
            register(service.url, groups=scene.groups)
            take(browser, service.url, scene)
        browser.close()


def take(browser: Browser, url: str, scene: Scene) -> None:
    """The pictures of one scene: each width in each colour."""
    for width, height in WIDTHS.items():
        for scheme in SCHEMES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            open_scene(page, url, scene)
            file = IMAGES / f"{scene.name}-{width}-{scheme}.png"
            file.write_bytes(small(picture(page, width, height)))
            context.close()
            size = file.stat().st_size
            print(f"{file.relative_to(ROOT)}  {size / 1000:.0f} kB")
            if size > MOST_BYTES:
                sys.exit(f"{file.name} is larger than {MOST_BYTES / 1000:.0f} kB")


def picture(page: Page, width: int, height: int) -> bytes:
    """The window, made as high as what is in it: a bar at its end is at its end, then."""
    # What has the focus has a ring, which is not what the picture is about.
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.mouse.move(0, 0)  # and what lies under the pointer looks chosen
    needed = int(page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": width, "height": min(max(height, needed), MOST_HEIGHT)})
    return page.screenshot()


def small(png: bytes) -> bytes:
    """The same with few colours, of which a page has not many."""
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    few.save(packed, format="PNG", optimize=True)
    return packed.getvalue()


if __name__ == "__main__":
    main()
