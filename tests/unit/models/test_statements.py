"""Files of personas and debates: what they become, what is refused, and how they are split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.batches import Kind
from models.datasets import DataError, preference_files
from models.statements import (
    PHRASINGS,
    Debate,
    Persona,
    debate_corpus,
    holds_statements,
    persona_corpus,
    read_statements,
)

PERSONA = {
    "persona": "A lighthouse keeper",
    "would_say": ["I like storms.", "Birds are company."],
    "would_not_say": ["I need a crowd."],
}
DEBATE = {
    "debate": "Should the harbour have a crane?",
    "statements": ["It brings work.", "It spoils the view."],
    "groups": {"dockers": [0.9, None], "painters": [0.2, 1]},
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_persona_becomes_questions_that_quote(tmp_path: Path) -> None:
    found = read_statements(write(tmp_path / "people.jsonl", PERSONA))
    assert found.personas[0] == Persona(
        "A lighthouse keeper", ("I like storms.", "Birds are company."), ("I need a crowd.",)
    )
    corpus = found.corpus()
    assert (corpus.name, corpus.kind, corpus.items) == ("people", Kind.SHARE, 3)
    assert corpus.groups == ("A lighthouse keeper",)
    assert corpus.statements
    assert corpus.values[0].tolist() == [1, 0, 1, 0, 0, 1]
    for statement, (question, _) in zip(
        PERSONA["would_say"] + PERSONA["would_not_say"], corpus.pairs[::2], strict=True
    ):
        assert statement in question


def test_phrasings_are_fixed_by_the_statement_and_differ_between_them() -> None:
    many = Persona("A poet", tuple(f"I wrote verse number {i}." for i in range(60)), ())
    one = persona_corpus([many])
    turned = persona_corpus([Persona("A poet", tuple(reversed(many.would_say)), ())])
    assert set(one.pairs) == set(turned.pairs)
    heads = {q.split("“")[0] for q, _ in one.pairs}
    assert len(heads) == len({p.split("“")[0] for p, _ in PHRASINGS})


def test_a_statement_of_two_personas_is_one_question() -> None:
    corpus = persona_corpus(
        [Persona("A", ("Tea, please!",), ()), Persona("B", (), ("tea please",))]
    )
    assert corpus.items == 1
    assert corpus.values.tolist() == [[1, 0], [0, 1]]


def test_a_debate_becomes_rated_responses_with_gaps(tmp_path: Path) -> None:
    found = read_statements(write(tmp_path / "talks.jsonl", DEBATE))
    corpus = found.corpus()
    assert (corpus.kind, corpus.items) == (Kind.RATING, 2)
    assert corpus.groups == tuple(f"{DEBATE['debate']}: {g}" for g in ("dockers", "painters"))
    assert corpus.values[0, 0] == pytest.approx(0.9)
    assert np.isnan(corpus.values[0, 1])
    assert set(corpus.question.tolist()) == {0}
    assert debate_corpus(found.debates, name="talks", sha256=found.sha256).pairs == corpus.pairs
    assert isinstance(found.debates[0], Debate)


def test_a_data_folder_may_hold_them(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.jsonl", PERSONA), write(tmp_path / "b.jsonl", DEBATE)]
    assert list(preference_files(tmp_path)) == paths
    assert all(holds_statements(p) for p in paths)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (PERSONA | {"would_say": "I like storms."}, "list of texts"),
        (PERSONA | {"would_say": ["I need a crowd"]}, "share 'i need a crowd'"),
        (PERSONA | {"would_say": ["Storms.", "storms"]}, "twice"),
        (PERSONA | {"persona": " "}, "persona must be a text"),
        (PERSONA | {"would_say": [], "would_not_say": []}, "needs a statement"),
        (DEBATE | {"groups": {"dockers": [0.5]}}, "1 rates for 2 statements"),
        (DEBATE | {"groups": {"dockers": [0.5, 1.5]}}, "from 0 to 1 or null"),
        (DEBATE | {"groups": {"dockers": [0.5, True]}}, "from 0 to 1 or null"),
        ({"persona": "A"}, "would_say"),
        ([1], "line 2"),
    ],
)
def test_what_is_refused_names_file_and_line(tmp_path: Path, row: object, words: str) -> None:
    fine = {"persona": "Somebody else", "would_say": ["Hello."], "would_not_say": []}
    path = write(tmp_path / "bad.jsonl", fine, row)
    with pytest.raises(DataError, match=r"bad\.jsonl, line 2") as caught:
        read_statements(path)
    assert words in str(caught.value)


def test_the_same_persona_twice_and_mixed_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2.*earlier line"):
        read_statements(write(tmp_path / "a.jsonl", PERSONA, PERSONA))
    with pytest.raises(DataError, match="personas or debates"):
        read_statements(write(tmp_path / "b.jsonl", PERSONA, DEBATE))
