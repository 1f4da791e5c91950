"""What ships of the surveys: no small cell, and no figure finer than a hundredth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from episodes_for_tests import vectors_of, write_data

from models.datasets import Corpus, read_corpus
from models.domains import DIGITS, SMALL_CELL, build_domains
from models.prior import PopulationPrior, PriorConfig
from models.scorer import GPOScorer
from models.splits import Part, Split, SplitConfig, split_corpora

RELEASED = Path(__file__).resolve().parents[3] / "models" / "released" / "minilm"


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Split]:
    folder = write_data(tmp_path_factory.mktemp("data"))
    corpus = read_corpus(folder / "club_survey.jsonl")
    (split,) = split_corpora([corpus], SplitConfig())
    return corpus, split


def shipped(corpus: Corpus, split: Split) -> PopulationPrior:
    return build_domains([corpus], [vectors_of(corpus)], [split], PriorConfig())[1]


def tensors(prior: PopulationPrior) -> dict[str, np.ndarray]:
    return {name: t.float().numpy() for name, t in prior.tensors().items()}


def with_weights(corpus: Corpus, group: int, people: float) -> Corpus:
    weights = corpus.weights.copy()
    weights[group] = people
    return replace(corpus, weights=weights)


def test_the_rules_are_those_that_were_promised() -> None:
    assert (SMALL_CELL, DIGITS) == (100, 2)


def test_a_small_cell_leaves_no_trace(survey: tuple[Corpus, Split]) -> None:
    """Whatever 99 people said, what ships is the same."""
    corpus, split = survey
    group = int(np.flatnonzero(split.groups == Part.TRAIN)[0])
    small = with_weights(corpus, group, 99)
    told = tensors(shipped(small, split))
    values = small.values.copy()
    values[group] = values[group][::-1]
    for name, other in tensors(shipped(replace(small, values=values), split)).items():
        assert np.array_equal(told[name], other), name
    # With one person more it counts.
    large = tensors(shipped(with_weights(corpus, group, 100), split))
    assert (large["bank_groups"] == told["bank_groups"] + 1).all()
    assert not np.allclose(large["bank_mean"], told["bank_mean"])


def test_nothing_finer_than_a_hundredth_shows(survey: tuple[Corpus, Split]) -> None:
    corpus, split = survey
    rounded = replace(corpus, values=np.round(corpus.values, 2))
    shift = np.where(np.arange(corpus.values.shape[1]) % 2, 0.004, -0.004).astype(np.float32)
    moved = replace(corpus, values=rounded.values + shift)
    plain = tensors(shipped(rounded, split))
    for name, other in tensors(shipped(moved, split)).items():
        assert np.array_equal(plain[name], other), name


def test_the_figures_that_ship_lie_on_a_grid_of_hundredths() -> None:
    """The difference of two departures is that of two figures, each of them rounded."""
    prior = GPOScorer.load(RELEASED).prior
    assert isinstance(prior, PopulationPrior)
    on_grid = []
    for item in np.unique(prior.bank_item):
        cells = prior.bank_item == item
        groups = int(prior.bank_groups[cells][0])
        if groups < 15:
            continue
        profile = prior.bank_profile[cells].astype(np.float64)  # (k, P); float16 as shipped
        apart = profile[:, :, None] - profile[:, None, :]
        off = np.abs(apart - np.round(apart, 2)).max(0)
        on_grid.append((off < 3e-4).sum(1).max() / groups)
    assert len(on_grid) > 100
    # Two spellings of one population are averaged, which leaves the grid.
    assert min(on_grid) > 0.8
    assert np.median(on_grid) > 0.9
