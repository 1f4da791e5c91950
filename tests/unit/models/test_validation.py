"""What a training is judged by when the data leave little to choose from."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from episodes_for_tests import SMALL, vectors_of, write_data

from models.datasets import preference_files, read_corpus
from models.domains import Domain, build_domains
from models.episodes import EpisodeConfig
from models.prior import PriorConfig
from models.splits import Part, SplitConfig, split_corpora
from models.trainer import TrainConfig, Trainer
from models.validation import TooLittleDataError, validation_episodes

EPISODES = EpisodeConfig(max_context=20, share_targets=8, rating_targets=8)


def build(folder: Path, split: SplitConfig, *, groups: int, questions: int = 30) -> list[Domain]:
    corpora = [
        read_corpus(p)
        for p in preference_files(write_data(folder, groups=groups, questions=questions))
    ]
    splits = split_corpora(corpora, split)
    return build_domains(corpora, [vectors_of(c) for c in corpora], splits, PriorConfig())[0]


def parts(domains: list[Domain]) -> set[str]:
    return {name.rpartition("/")[0] for name, _ in validation_episodes(domains, EPISODES)}


def test_new_groups_are_validated_on_known_and_on_new_questions(tmp_path: Path) -> None:
    domains = build(tmp_path, SplitConfig(validation_groups=0.2), groups=12)
    names = [d.corpus.name for d in domains]
    assert parts(domains) == {f"{n}/{part}" for n in names for part in ("train", "validation")}
    for name, episodes in validation_episodes(domains, EPISODES):
        domain = next(d for d in domains if name.startswith(d.corpus.name))
        assert {domain.split.groups[e.group] for e in episodes} == {Part.VALIDATION}


def test_without_held_out_questions_known_ones_validate_alone(tmp_path: Path) -> None:
    split = SplitConfig(0, 0.4, 0.2, test_questions=0, validation_questions=0)
    domains = build(tmp_path, split, groups=10)
    assert parts(domains) == {f"{d.corpus.name}/train" for d in domains}
    assert not np.isnan(domains[0].new_mean).any()
    config = TrainConfig(steps=4, batch=2, evaluate_every=2)
    assert Trainer(domains, SMALL, EPISODES, config).run(progress=False).steps == 4


def test_training_groups_stand_in_where_no_group_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        domains = build(tmp_path, SplitConfig(), groups=3)
        assert parts(domains) == {f"{d.corpus.name}/validation" for d in domains}
    assert "no group is left for validation" in caplog.text
    trainer = Trainer(domains, SMALL, EPISODES, TrainConfig(steps=2, batch=2, evaluate_every=1))
    assert len(trainer.run(progress=False).history) == 2
    assert trainer.worst_groups() == []


def test_what_is_missing_is_said_with_a_remedy(tmp_path: Path) -> None:
    domains = build(tmp_path, SplitConfig(), groups=6)
    nobody = np.full_like(domains[1].split.items, Part.TEST)
    nobody[0] = Part.TRAIN
    bare = replace(domains[1], split=replace(domains[1].split, items=nobody))
    with pytest.raises(
        TooLittleDataError,
        match=r"club_survey: .*1 of 30 questions are for training.*two groups.*docs/data\.md",
    ):
        Trainer([domains[0], bare], SMALL, EPISODES, TrainConfig())
