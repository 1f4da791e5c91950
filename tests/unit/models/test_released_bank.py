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
    """A departure and the mean root make the root of a figure; squared, it is a rounded one."""
    prior = GPOScorer.load(RELEASED).prior
    assert isinstance(prior, PopulationPrior)
    starts = np.flatnonzero(np.diff(prior.bank_item, prepend=-1))
    many = starts[prior.bank_groups[starts] >= 15]
    assert len(many) > 100
    chosen = np.random.default_rng(0).choice(many, 100, replace=False)
    rounded = [
        on_grid(prior.bank_profile[cell], float(np.sqrt(prior.bank_mean[cell]))) for cell in chosen
    ]
    # Two spellings of one population are averaged, which leaves the grid.
    assert min(rounded) > 0.8
    assert np.median(rounded) > 0.9


def test_a_figure_that_was_not_rounded_is_off_the_grid() -> None:
    root = np.sqrt(np.random.default_rng(0).uniform(0.1, 0.6, (2, 20)))
    root[1] = np.sqrt(np.round(root[1] ** 2, DIGITS))
    free, rounded = (on_grid((r - r.mean()).astype(np.float16), float(r.mean())) for r in root)
    assert free < 0.7
    assert rounded == 1


def on_grid(profile: np.ndarray, about: float) -> float:
    """The part of the populations (P,) whose figures are hundredths, at the likeliest mean root.

    What ships is a mean with a little of the kernel prior in it, so the mean is looked for.
    """
    told = profile[profile != 0].astype(np.float64)
    levels = np.arange(about - 0.1, about + 0.1, 5e-5)
    share = (np.maximum(levels[:, None] + told, 0)) ** 2
    off = np.abs(share - np.round(share, DIGITS))
    # float16 keeps a departure of .2 to .0001.
    return float((off < 6e-4).mean(1).max())
