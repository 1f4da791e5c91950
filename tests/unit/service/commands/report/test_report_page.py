"""The page: whole, safe whatever the texts are, and honest about what the service knows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from models.page import STYLE as OTHER
from service.client import Group, Version
from service.commands.report.gathering import Report, Subject
from service.commands.report.items import Item, Kind, Row, Side, Told, known
from service.commands.report.json_form import to_json
from service.commands.report.page import STYLE, to_html
from service.commands.report.plots import to_png
from service.commands.report.rounds import Caps
from service.commands.report.wording import NBSP

NASTY = "<script>alert(\"x\")</script> & 'y' $a$"
ASKED = Item(Kind.QUESTION, NASTY, ("Yes <b>", "No"))
RATED = Item(Kind.RATING, "A day off?", ("A swim.",))
PAIR = Item(Kind.COMPARISON, "A meal?", ("Soup.", "Cake."))
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Reader(HTMLParser):
    """Checks that every element is closed, and notes what a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        found = dict(attrs)
        assert not found.keys() & {"src", "srcset", "data", "xlink:href"}, (tag, attrs)
        self.ids += [v for k, v in attrs if k == "id" and v]
        self.targets += [v for k, v in attrs if k == "href" and v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def told(*shares: float) -> Told:
    return Told(
        shares, tuple(max(0, s - 0.2) for s in shares), tuple(min(1, s + 0.2) for s in shares)
    )


def subject(name: str, *preferences: dict[str, object]) -> Subject:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    group = Group(
        id=name.lower(),
        name=name,
        description=NASTY,
        metadata=None,
        version=3,
        preference_count=len(preferences),
        context_tokens=5,
        embedder="minilm@0",
        created_at=when,
        updated_at=when,
        preferences=list(preferences),
    )
    return Subject(group, tuple(known(p) for p in preferences))


def report(number: int = 1, *, bank: str = "released", file: str | None = None) -> Report:
    share = {"question": NASTY, "options": ["Yes <b>", "No"], "counts": [70, 30]}
    rating = {"prompt": "A day off?", "response": "A swim.", "score": 0.9, "weight": 12}
    pair = {"prompt": "A meal?", "chosen": "Soup.", "rejected": "Cake."}
    subjects = tuple(subject(name, share, rating, pair) for name in ("Town", "Village")[:number])
    sides = (
        Side(told(0.4, 0.6), told(0.5, 0.5), (0.7, 0.3), 100, left_out=True),
        Side(told(0.8), told(0.5), (0.9,), 12, left_out=True),
        Side(told(0.6, 0.5), told(0.4, 0.5), (1.0, 0.0), left_out=True),
    )
    rows = [Row(i, (s,) * number) for i, s in zip((ASKED, RATED, PAIR), sides, strict=True)]
    return Report(
        subjects=subjects,
        rows=tuple(rows),
        about=Version(version="1", generator="lm", scorer="gpo", embedder="minilm", bank=bank),
        caps=Caps(preferences=2_000),
        url="http://127.0.0.1:8000",
        made=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        folds=None,
        file=file,
    )


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("file", [None, "asked<i>.csv"])
def test_the_page_is_whole_and_runs_nothing(number: int, file: str | None) -> None:
    page = to_html(report(number, file=file))
    found = Reader(page)
    assert "script" not in found.seen
    assert "b" in found.seen
    assert found.seen.count("article") == 3
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|https?://(?!127)", page)
    assert {t.removeprefix("#") for t in found.targets} <= set(found.ids)
    assert len(set(found.ids)) == len(found.ids)
    assert "&lt;script&gt;" in page


def test_predicted_true_and_uncertainty_stand_beside_each_other() -> None:
    page = to_html(report())
    told = f"<b>40{NBSP}%</b> (20–60{NBSP}%), answered <b>70{NBSP}%</b>"
    assert told in page
    assert f"<b>60{NBSP}%</b> (40–80{NBSP}%)</span>" in page, "a comparison is no share"
    assert "comes out right" in page
    assert f"3 of 2,000 (0{NBSP}%)" in page
    assert "100 people" in page
    assert f"Yes &lt;b&gt;: predicted 40{NBSP}%, answered 70{NBSP}%" in page
    assert "version 3" in page


def test_a_bank_of_own_groups_is_warned_of() -> None:
    for bank in ("own", "both"):
        assert "GPO_BANK=released" in to_html(report(bank=bank))
    assert "GPO_BANK=released" not in to_html(report())
    new = report(bank="both")
    rows = [replace(r, sides=tuple(replace(s, left_out=False) for s in r.sides)) for r in new.rows]
    assert "GPO_BANK=released" not in to_html(replace(new, rows=tuple(rows)))


def test_a_group_without_preferences_is_no_empty_page() -> None:
    page = to_html(replace(report(), subjects=(subject("Nobody"),), rows=()))
    Reader(page)
    assert "has no preferences" in page
    assert "--questions FILE" in page
    assert "At a glance" not in page


def test_the_json_has_the_figures_and_every_item() -> None:
    found = json.loads(to_json(report(2)))
    assert [g["id"] for g in found["groups"]] == ["town", "village"]
    assert found["groups"][0]["figures"]["covered"]["n"] == 3
    assert [i["kind"] for i in found["items"]] == ["question", "rating", "comparison"]
    assert found["items"][0]["groups"][1]["predicted"] == [0.4, 0.6]
    assert found["own_answers_in_bank"] is False


@pytest.mark.parametrize("number", [1, 2])
def test_the_pictures_are_the_same_each_time(number: int) -> None:
    pytest.importorskip("matplotlib")
    pictures = to_png(report(number))
    assert sorted(pictures) == ["calibration.png", "predictions.png"]
    assert all(png.startswith(b"\x89PNG") for png in pictures.values())
    assert to_png(report(number)) == pictures
    assert to_png(replace(report(), rows=())) == {}


def test_a_picture_has_a_size_that_can_be_drawn() -> None:
    pytest.importorskip("matplotlib")
    long = Item(Kind.QUESTION, "Which?", tuple(f"Number {n}" for n in range(64)))
    even = told(*[1 / 64] * 64)
    rows = tuple(Row(long, (Side(even, even),)) for _ in range(16))
    png = to_png(replace(report(), rows=rows))["predictions.png"]
    height = int.from_bytes(png[20:24], "big")
    assert 5_000 < height < 15_000


def test_the_two_reports_have_the_same_colours() -> None:
    """The page of an evaluation is another module's, which this one may not import."""
    own, other = (
        {
            block: dict(re.findall(r"--(\w+): (#\w+)", block))
            for block in re.findall(r":root {[^}]*}", css)
        }
        for css in (STYLE.read_text(encoding="utf-8"), OTHER.read_text(encoding="utf-8"))
    )
    assert len(own) == len(other) == 3, "light, dark and print"
    for mine, theirs in zip(own.values(), other.values(), strict=True):
        assert theirs.items() <= mine.items()
