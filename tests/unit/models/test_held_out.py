"""What counts as new to a checkpoint, told from the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from episodes_for_tests import write_data
from statements_for_tests import debates, personas

from models.checkpoint import Card, CardData, load_card
from models.corpora import Corpora
from models.datasets import Corpus, preference_files, read_corpus
from models.held_out import CHANGED, HeldOut, hold_out, on_other_data
from models.splits import Part, SplitConfig, split_corpora

RELEASED = Path(__file__).resolve().parents[3] / "models" / "released" / "minilm"


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Corpus, ...]:
    return tuple(read_corpus(p) for p in preference_files(write_data(tmp_path)))


def card_of(corpora: tuple[Corpus, ...]) -> Card:
    data = tuple(CardData(c.name, c.sha256, "", c.rows, "") for c in corpora)
    return replace(load_card(RELEASED), data=data)


def test_files_other_than_those_of_the_training_are_noticed(trained: tuple[Corpus, ...]) -> None:
    """A survey left out, or one changed, moves the split, and with it what counts as new."""
    card = card_of(trained)
    assert not on_other_data(card, Corpora(trained, (), ()))
    assert on_other_data(card, Corpora(trained[:1], (), ()))
    changed = (replace(trained[0], sha256="0" * 64), *trained[1:])
    assert on_other_data(card, Corpora(changed, (), ()))
    assert hold_out(Corpora(changed, (), ()), card)[1] == [CHANGED]


def test_the_files_of_the_training_are_split_as_there(trained: tuple[Corpus, ...]) -> None:
    found, notes = hold_out(Corpora(trained, (), ()), card_of(trained))
    assert not notes
    for a, b in zip(found.splits, split_corpora(trained, SplitConfig()), strict=True):
        assert (a.groups == b.groups).all()
        assert (a.items == b.items).all()


def test_a_file_that_the_training_never_had_is_all_new(trained: tuple[Corpus, ...]) -> None:
    both = (*trained, debates(), personas())
    found, notes = hold_out(Corpora(both, (), ()), card_of(trained))
    assert notes == ["debates, personas: not in the training, so all of its groups and questions "
                     "count as new"]  # fmt: skip
    for split in found.splits[2:]:
        assert (split.groups == Part.TEST).all()
        assert (split.items == Part.TEST).all()
    for a, b in zip(found.splits, split_corpora(trained, SplitConfig()), strict=False):
        assert (a.groups == b.groups).all()


def test_what_a_new_file_shares_with_the_training_is_not_new(trained: tuple[Corpus, ...]) -> None:
    survey = next(c for c in trained if c.name == "club_survey")
    groups = ("TEAM:A", *(f"OTHER:{g}" for g in survey.groups[1:]))
    again = replace(survey, name="again", sha256="1", groups=groups)
    found, _ = hold_out(Corpora((*trained, again), (), ()), card_of(trained))
    assert found.splits[-1].groups.tolist() == [Part.TRAIN] + [Part.TEST] * (len(groups) - 1)
    assert (found.splits[-1].items == Part.TRAIN).all()


def test_a_user_can_ask_for_either(trained: tuple[Corpus, ...]) -> None:
    corpora, card = Corpora((*trained, debates(20)), (), ()), card_of(trained)
    everything, notes = hold_out(corpora, card, held_out=HeldOut.ALL)
    assert all((s.items == Part.TEST).all() for s in everything.splits)
    assert len(notes) == 1
    split, notes = hold_out(corpora, card, held_out=HeldOut.SPLIT)
    assert {int(p) for p in split.splits[-1].groups} == {0, 1, 2}
    assert notes == [CHANGED]
    assert np.isin(split.splits[-1].items, [0, 1, 2]).all()
