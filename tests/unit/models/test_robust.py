"""Group-robust weights: what is predicted worse counts for more, inside its corpus alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from episodes_for_tests import SMALL, vectors_of, write_data

from models.datasets import preference_files, read_corpus
from models.domains import Domain, build_domains
from models.episodes import EpisodeConfig
from models.prior import PriorConfig
from models.robust import GroupWeights
from models.splits import Part, SplitConfig, split_corpora
from models.trainer import TrainConfig, Trainer

EPISODES = EpisodeConfig(max_context=20, share_targets=8, rating_targets=8)
CONFIG = TrainConfig(steps=30, batch=4, warmup=5, evaluate_every=10, robust=0.5)


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> list[Domain]:
    folder = write_data(tmp_path_factory.mktemp("club"))
    corpora = [read_corpus(p) for p in preference_files(folder)]
    splits = split_corpora(corpora, SplitConfig(validation_groups=0.2))
    return build_domains(corpora, [vectors_of(c) for c in corpora], splits, PriorConfig())[0]


def test_a_weight_grows_by_the_exponential_of_the_loss(domains: list[Domain]) -> None:
    weights = GroupWeights(domains, 0.5)
    survey, rated = (d.corpus.name for d in domains)
    first, second, *_ = groups = domains[0].groups(Part.TRAIN).tolist()
    weights.update(survey, [first, second, first], [1.0, 0.2, 2.0])
    found = dict(zip(groups, weights.of(survey, groups).tolist(), strict=True))
    assert found[first] / found[second] == pytest.approx(math.exp(0.5 * (3.0 - 0.2)), rel=1e-4)
    assert sum(found.values()) / len(found) == pytest.approx(1)
    others = domains[1].groups(Part.TRAIN).tolist()
    assert weights.of(rated, others).tolist() == pytest.approx([1.0] * len(others))


def test_without_eta_all_groups_stay_alike(domains: list[Domain]) -> None:
    weights = GroupWeights(domains, 0.0)
    groups = domains[0].groups(Part.TRAIN).tolist()
    weights.update(domains[0].corpus.name, groups[:1], [9.0])
    assert weights.of(domains[0].corpus.name, groups).tolist() == pytest.approx([1.0] * len(groups))


def test_no_weight_overflows_however_long_the_training(domains: list[Domain]) -> None:
    weights = GroupWeights(domains, 1.0)
    groups = domains[0].groups(Part.TRAIN).tolist()
    for _ in range(10):
        weights.update(domains[0].corpus.name, groups, [1e3 + g for g in groups])
    assert torch.isfinite(weights.of(domains[0].corpus.name, groups)).all()


def test_a_robust_run_resumes_with_its_weights(domains: list[Domain], tmp_path: Path) -> None:
    whole = Trainer(domains, SMALL, EPISODES, CONFIG)
    result = whole.run(tmp_path, progress=False)
    saved = json.loads((tmp_path / "state.json").read_text())["group_weights"]
    assert any(v for v in saved[domains[0].corpus.name])
    again = Trainer(domains, SMALL, EPISODES, CONFIG)
    assert again.resume(tmp_path)
    assert again.weights.state() == whole.weights.state()
    assert again.step == result.steps


def test_another_eta_is_another_run(domains: list[Domain], tmp_path: Path) -> None:
    Trainer(domains, SMALL, EPISODES, CONFIG).save(tmp_path)
    with pytest.raises(ValueError, match="another config"):
        Trainer(domains, SMALL, EPISODES, replace(CONFIG, robust=0.1)).resume(tmp_path)


def test_eta_changes_what_is_learned(domains: list[Domain]) -> None:
    plain, robust = (
        Trainer(domains, SMALL, EPISODES, replace(CONFIG, robust=eta)) for eta in (0.0, 20.0)
    )
    ends = [t.run(progress=False).history[-1]["loss"] for t in (plain, robust)]
    assert ends[0] != ends[1]
    assert plain.weights.state() != robust.weights.state()


def test_the_worst_group_is_one_of_the_validation_part(domains: list[Domain]) -> None:
    found = Trainer(domains, SMALL, EPISODES, CONFIG).worst_groups()
    assert [w.corpus for w in found] == [d.corpus.name for d in domains]
    for worst, domain in zip(found, domains, strict=True):
        held = {domain.corpus.groups[g] for g in domain.groups(Part.VALIDATION)}
        assert worst.group in held
        assert worst.loss >= worst.mean > 0
