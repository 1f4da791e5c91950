"""The checkpoint that ships: what its card and the pages say of it, and that its context counts."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import numpy as np
import pytest

from models.batches import Item, Kind
from models.corpora import Corpora
from models.datasets import preference_files, read_corpus
from models.embedders import load_embedder
from models.evaluation import evaluate
from models.held_out import without_held_out
from models.scorer import GPOScorer
from models.splits import SplitConfig, split_corpora

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ROOT / "models" / "released" / "minilm"
DATA = Path(os.environ.get("TEST_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="module")
def scorer() -> GPOScorer:
    return GPOScorer.load(RELEASED)


def test_the_table_of_results_is_of_the_checkpoint_that_ships(scorer: GPOScorer) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text()
    table = page.split("<!-- evaluate:begin -->")[1].split("<!-- evaluate:end -->")[0]
    assert re.findall(r"digest ([0-9a-f]{12})", table) == [scorer.card.digest]


def test_the_short_table_of_the_readme_is_of_it_too(scorer: GPOScorer) -> None:
    readme = (ROOT / "README.md").read_text()
    assert re.findall(r"digest ([0-9a-f]{12})", readme) == [scorer.card.digest]


def test_the_card_names_data_licences_and_limits(scorer: GPOScorer) -> None:
    public, invented = {"rated_answers", "us_survey", "world_survey"}, {"personas", "debates"}
    assert {d.name for d in scorer.card.data} == public | invented
    assert all("not stated" not in (d.licence, d.source) for d in scorer.card.data)
    assert any("non-commercial" in limit for limit in scorer.card.limits)


def test_it_steers_towards_what_a_context_says(scorer: GPOScorer) -> None:
    """Two invented groups, asked something that neither was asked."""
    embedder = load_embedder("minilm")
    told = {
        "Would you support or oppose a new cycle path in the high street?": ("Support", "Oppose"),
        "Would you support or oppose lower speed limits in town?": ("Support", "Oppose"),
        "Would you support or oppose fewer parking places in the centre?": ("Support", "Oppose"),
        "Would you support or oppose a toll for cars at rush hour?": ("Support", "Oppose"),
        "Would you support or oppose more money for trams?": ("Support", "Oppose"),
    }
    asked = "Would you support or oppose closing the old town to cars?"
    question = embedder.embed([(asked, option) for option in ("Support", "Oppose")])
    first = []
    for share in (0.9, 0.1):
        values = np.array([share, 1 - share], np.float32)
        items = [
            Item(Kind.SHARE, embedder.embed([(q, o) for o in options]), values)
            for q, options in told.items()
        ]
        first.append(scorer.predict(scorer.encode_context(items), [question])[0].mean[0])
    assert first[0] - first[1] > 0.1


TRAFFIC = [
    "a new cycle path in the high street", "lower speed limits in town", "a toll at rush hour",
    "fewer parking places in the centre", "more money for trams", "a bus lane on the ring road",
    "wider pavements on the bridge", "a car-free Sunday each month", "cameras near the schools",
    "turning the market square over to walkers", "higher fees for parking", "free trams for pupils",
    "more racks for bicycles at the station", "night buses at the weekend", "humps in side streets",
    "trees in place of kerbside parking", "a ban on lorries in the old town",
    "street lamps along the canal path", "a second tram line to the hospital",
    "longer green phases for people on foot",
]  # fmt: skip
NEW = [
    "closing the old town to cars", "a bicycle street past the park", "cheaper bus tickets",
    "a park-and-ride place at the edge of town", "a roundabout at the crossroads",
    "shared cars in every quarter", "a ferry across the river", "more zebra crossings",
    "a wider motorway past the town", "more parking places under the market",
]  # fmt: skip


def question(matter: str) -> list[tuple[str, str]]:
    asked = f"Would you support or oppose {matter}?"
    return [(asked, option) for option in ("Support", "Oppose")]


def answer(matter: str) -> tuple[str, str]:
    return "What should the town do about its traffic?", f"I want {matter}."


def widths(scorer: GPOScorer, context: list[Item], kind: Kind) -> dict[int, float]:
    """Mean width of the 90 % intervals of NEW with 0, 5 (each of four fives) and 20 items."""
    embedder = load_embedder("minilm")
    questions = [embedder.embed(question(matter)) for matter in NEW]
    answers = embedder.embed([answer(matter) for matter in NEW])
    found: dict[int, list[float]] = {}
    for items in ([], *(context[i::4] for i in range(4)), context):
        encoded = scorer.encode_context(items)
        if kind is Kind.SHARE:
            scored = scorer.predict(encoded, questions)
        else:
            scored = [scorer.score(encoded, answers)]
        width = float(np.mean([s.high - s.low for s in scored]))
        found.setdefault(len(items), []).append(width)
    return {size: float(np.mean(each)) for size, each in found.items()}


@pytest.mark.parametrize(("support", "sizes"), [(0.7, (0, 5)), (0.8, (0, 5, 20)), (0.9, (5, 20))])
def test_more_questions_narrow_what_is_said_of_the_next(
    scorer: GPOScorer, support: float, sizes: tuple[int, ...]
) -> None:
    """A few answers as one-sided as nine in ten tell of a group unlike others: those may widen."""
    values = np.array([support, 1 - support], np.float32)
    embedder = load_embedder("minilm")
    told = [Item(Kind.SHARE, embedder.embed(question(matter)), values) for matter in TRAFFIC]
    width = widths(scorer, told, Kind.SHARE)
    assert width[20] < 0.9 * width[0], width
    for fewer, more in itertools.pairwise(sizes):
        assert width[more] < 0.95 * width[fewer], width


@pytest.mark.parametrize("approval", [0.2, 0.7, 0.9])
def test_more_rated_answers_narrow_what_is_said_of_the_next(
    scorer: GPOScorer, approval: float
) -> None:
    """From five to twenty; without any the interval is that of a usual segment, and narrower."""
    values = np.array([approval], np.float32)
    embedder = load_embedder("minilm")
    told = [Item(Kind.RATING, embedder.embed([answer(matter)]), values) for matter in TRAFFIC]
    width = widths(scorer, told, Kind.RATING)
    assert width[20] < 0.9 * width[5], width


@pytest.mark.data
def test_twenty_questions_beat_none_on_held_out_groups(scorer: GPOScorer) -> None:
    if not DATA.is_dir():
        pytest.skip(f"the survey data is not at {DATA} (TEST_DATA names another folder)")
    read = [read_corpus(path) for path in preference_files(DATA)]
    splits = split_corpora(read, SplitConfig(**scorer.card.config["split"]))
    number = next(i for i, corpus in enumerate(read) if corpus.name == "us_survey")
    vectors = load_embedder("minilm").embed(read[number].pairs)
    survey = Corpora((read[number],), (vectors,), (splits[number],))
    rows = evaluate(without_held_out(scorer, survey), survey, progress=False)
    gain = next(r for r in rows if r.regime == "B" and r.predictor.startswith("gain"))
    assert gain.mean > 2 * gain.error
    assert gain.mean > 0.01
