"""What the bank is fitted on: the training part, or all that there is for the checkpoint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from episodes_for_tests import vectors_of, write_data

from models.batches import FloatArray, Kind
from models.datasets import Corpus, preference_files, read_corpus
from models.domains import Domain, build_domains, fit_on_all
from models.prior import PopulationPrior, PriorConfig
from models.splits import Part, SplitConfig, split_corpora

Built = tuple[list[Corpus], list[FloatArray], list[Domain], PopulationPrior]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = write_data(tmp_path_factory.mktemp("club"))
    corpora = [read_corpus(p) for p in preference_files(folder)]
    vectors = [vectors_of(c) for c in corpora]
    splits = split_corpora(corpora, SplitConfig(validation_groups=0.2))
    return corpora, vectors, *build_domains(corpora, vectors, splits, PriorConfig())


def survey(domains: list[Domain]) -> Domain:
    return next(d for d in domains if d.corpus.kind is Kind.SHARE)


def question(domain: Domain, number: int) -> FloatArray:
    return domain.vectors[domain.corpus.starts[number] : domain.corpus.starts[number + 1]]


def test_the_bank_of_the_training_knows_its_questions_and_groups_alone(built: Built) -> None:
    _, _, domains, prior = built
    domain = survey(domains)
    groups = len(domain.groups(Part.TRAIN))
    assert 0 < groups < len(domain.corpus.groups)
    for number, part in enumerate(domain.split.items):
        found = prior.known(question(domain, number))
        assert (found is not None) == (part == Part.TRAIN)
        if found is not None:
            assert found.support == groups
            assert found.profile.shape[1] == groups


def test_the_bank_of_all_knows_every_question_by_every_group(built: Built) -> None:
    corpora, vectors, domains, _ = built
    whole = fit_on_all(corpora, vectors, PriorConfig())
    domain = survey(domains)
    assert (domain.split.items != Part.TRAIN).any()
    for number in range(domain.corpus.items):
        cells = slice(domain.corpus.starts[number], domain.corpus.starts[number + 1])
        found = whole.known(question(domain, number))
        assert found is not None
        assert found.support == len(domain.corpus.groups)
        root = np.sqrt(np.round(domain.corpus.values[:, cells], 2)).mean(0)
        assert found.mean == pytest.approx(root**2 / (root**2).sum(), abs=0.03)


def test_figures_of_the_training_hold_no_answer_of_a_held_out_group(built: Built) -> None:
    """Neither its answers nor its name move what is expected of a training cell."""
    corpora, vectors, domains, prior = built
    held = [np.flatnonzero(d.split.groups != Part.TRAIN) for d in domains]
    values = [c.values.copy() for c in corpora]
    for array, groups in zip(values, held, strict=True):
        array[groups] = np.roll(array[groups], 1, axis=1)
    changed = [replace(c, values=v) for c, v in zip(corpora, values, strict=True)]
    splits = [d.split for d in domains]
    again, other = build_domains(changed, vectors, splits, PriorConfig())
    for name, tensor in prior.tensors().items():
        assert tensor.equal(other.tensors()[name]), name
    for before, after in zip(domains, again, strict=True):
        np.testing.assert_array_equal(before.new_mean, after.new_mean)
        np.testing.assert_array_equal(before.figures, after.figures)


def test_profiles_are_differences_of_roots(built: Built) -> None:
    _, _, domains, _ = built
    domain = survey(domains)
    number = int(np.flatnonzero(domain.split.items == Part.TRAIN)[0])
    held = int(domain.groups(Part.VALIDATION)[0])
    item = domain.item(number, held, known=True)
    cells = slice(domain.corpus.starts[number], domain.corpus.starts[number + 1])
    groups = domain.groups(Part.TRAIN)
    root = np.sqrt(np.round(domain.corpus.values[groups, cells], 2))
    assert item.expected is not None
    found = item.expected.profile[:, domain.column[groups]]
    assert found == pytest.approx((root - root.mean(0)).T, abs=1e-5)
