"""Splits: nothing of the test part leaks under another name, and shares are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from episodes_for_tests import write_data

from models.datasets import Corpus, preference_files, read_corpus
from models.splits import Part, SplitConfig, population, split_corpora
from models.statements import Debate, Persona, debate_corpus, persona_corpus
from models.train_options import parser, split_config


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("S. Korea", "South Korea"),
        ("Britain", "Great Britain"),
        ("S. Africa (Non-national sample)", "South Africa"),
        ("POLPARTY:Democrat", "party:Democrat"),
        ("SEX:Male", "gender:Male"),
    ],
)
def test_one_population_has_one_name(one: str, other: str) -> None:
    assert population(one) == population(other)


def test_different_populations_keep_different_names() -> None:
    assert population("POLPARTY:Democrat") != population("POLPARTY:Other")
    assert population("North Korea") != population("South Korea")


def test_a_group_is_in_the_same_part_in_every_file(tmp_path: Path) -> None:
    corpora = [read_corpus(p) for p in preference_files(write_data(tmp_path))]
    for seed in range(5):
        first, second = split_corpora(corpora, SplitConfig(seed=seed))
        assert corpora[0].groups == corpora[1].groups
        assert first.groups.tolist() == second.groups.tolist()
        assert {Part.TRAIN, Part.VALIDATION, Part.TEST} == set(first.groups.tolist())


def test_a_split_depends_on_the_seed_and_on_nothing_else(tmp_path: Path) -> None:
    corpora = [read_corpus(p) for p in preference_files(write_data(tmp_path))]
    one = split_corpora(corpora, SplitConfig(seed=1))
    turned = split_corpora(corpora[::-1], SplitConfig(seed=1))[::-1]
    other = split_corpora(corpora, SplitConfig(seed=2))
    for a, b in zip(one, turned, strict=True):
        assert (a.groups == b.groups).all()
        assert (a.items == b.items).all()
    assert any((a.items != b.items).any() for a, b in zip(one, other, strict=True))


def test_all_items_of_a_question_are_in_one_part(tmp_path: Path) -> None:
    corpora = [read_corpus(p) for p in preference_files(write_data(tmp_path))]
    for corpus, split in zip(corpora, split_corpora(corpora, SplitConfig()), strict=True):
        for question in np.unique(corpus.question):
            assert len(set(split.items[corpus.question == question].tolist())) == 1


def test_the_parts_have_about_their_shares(tmp_path: Path) -> None:
    corpora = [read_corpus(p) for p in preference_files(write_data(tmp_path, groups=20))]
    for split in split_corpora(corpora, SplitConfig()):
        assert (split.groups == Part.TEST).sum() == 4
        assert (split.groups == Part.VALIDATION).sum() == 2


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_the_published_protocol_holds_out_groups_alone(tmp_path: Path, share: float) -> None:
    args = parser("").parse_args(["--data", "d", "--out", "o", "--paper", str(share)])
    corpora = [read_corpus(p) for p in preference_files(write_data(tmp_path, groups=20))]
    for split in split_corpora(corpora, split_config(args)):
        assert (split.groups == Part.TRAIN).sum() == round(20 * share)
        assert (split.groups == Part.VALIDATION).sum() == 1
        assert (split.items == Part.TRAIN).all()


def personas(shared: str = "") -> Corpus:
    found = [
        Persona(f"person {p}", tuple(f"I like thing {p}-{i}." for i in range(6)), (shared,))
        for p in range(20)
    ]
    return persona_corpus(found if shared else [replace(p, would_not_say=()) for p in found])


def debates(count: int = 20) -> Corpus:
    return debate_corpus(
        [
            Debate(
                f"Should we: build bridge {d}?",
                tuple(f"Bridge {d} has merit {i}." for i in range(5)),
                {"walkers": (0.1,) * 5, "drivers": (0.9, None, 0.8, 0.7, 0.6)},
            )
            for d in range(count)
        ]
    )


def test_a_debate_is_held_out_with_its_groups_and_statements() -> None:
    corpus = debates()
    (split,) = split_corpora([corpus], SplitConfig())
    assert (split.groups == Part.TEST).sum() == 8
    assert (split.groups == Part.VALIDATION).sum() == 4
    for group in range(len(corpus.groups)):
        assert set(split.items[corpus.answered(group)].tolist()) == {split.groups[group]}


def test_a_persona_is_held_out_with_its_statements() -> None:
    corpus = personas()
    (split,) = split_corpora([corpus], SplitConfig())
    assert (split.groups == Part.TEST).sum() == 4
    for group in range(len(corpus.groups)):
        assert set(split.items[corpus.answered(group)].tolist()) == {split.groups[group]}


def test_a_statement_of_several_personas_is_not_new_to_any() -> None:
    corpus = personas("I like what all like.")
    (split,) = split_corpora([corpus], SplitConfig())
    shared = [i for i in range(corpus.items) if (~np.isnan(corpus.values[:, 2 * i])).all()]
    assert split.items[shared].tolist() == [Part.TRAIN]


def test_statements_do_not_move_the_split_of_a_survey(tmp_path: Path) -> None:
    corpora = [read_corpus(p) for p in preference_files(write_data(tmp_path))]
    alone = split_corpora(corpora, SplitConfig())
    beside = split_corpora([*corpora, debates(), personas()], SplitConfig())
    for a, b in zip(alone, beside, strict=False):
        assert (a.groups == b.groups).all()
        assert (a.items == b.items).all()
