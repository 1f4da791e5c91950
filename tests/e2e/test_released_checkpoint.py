"""The checkpoint that ships: what its card and the README say, and that it uses its context."""

from __future__ import annotations

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


def test_the_table_of_the_readme_is_of_the_checkpoint_that_ships(scorer: GPOScorer) -> None:
    readme = (ROOT / "README.md").read_text()
    table = readme.split("<!-- evaluate:begin -->")[1].split("<!-- evaluate:end -->")[0]
    assert re.findall(r"digest ([0-9a-f]{12})", table) == [scorer.card.digest]


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
