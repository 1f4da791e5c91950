"""Reading preference files: what is accepted, what is refused and with which words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from episodes_for_tests import write_data

from models.batches import Kind
from models.datasets import DataError, normalise, preference_files, read_corpus

SURVEY = {
    "id": "a",
    "question": "Tea or coffee?",
    "options": ["Tea", "Coffee", "Neither"],
    "groups": {"North": {"n": 50, "p": [0.5, 0.3, 0.2]}, "South": {"p": [0.1, 0.8, 0.1]}},
}
RATING = {
    "study": "s",
    "prompt": "Best drink?",
    "response": "Water, always.",
    "agree": {"North": {"n": 9, "p": 0.4}},
}


CUT_OFF = gzip.compress((json.dumps(RATING) + "\n").encode() * 99)[:-9]


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_survey_becomes_cells_with_gaps(tmp_path: Path) -> None:
    other = SURVEY | {
        "question": "Sugar?",
        "options": ["Yes", "No"],
        "groups": {"South": {"p": [1, 0]}},
    }
    corpus = read_corpus(write(tmp_path / "drinks.jsonl", SURVEY, other))
    assert (corpus.name, corpus.kind, corpus.items) == ("drinks", Kind.SHARE, 2)
    assert corpus.groups == ("North", "South")
    assert corpus.starts.tolist() == [0, 3, 5]
    assert corpus.values[1].tolist() == pytest.approx([0.1, 0.8, 0.1, 1, 0])
    assert np.isnan(corpus.values[0, 3:]).all()
    assert corpus.weights[0, 0] == 50
    assert np.isnan(corpus.weights[1, 0])
    assert corpus.answered(0).tolist() == [0]
    assert corpus.cells(np.array([1])).tolist() == [3, 4]


def test_shares_that_nearly_sum_to_one_are_renormalised(tmp_path: Path) -> None:
    row = SURVEY | {"groups": {"North": {"p": [0.5, 0.3, 0.199]}}}
    corpus = read_corpus(write(tmp_path / "a.jsonl", row))
    assert float(corpus.values.sum()) == pytest.approx(1, abs=1e-6)


def test_ratings_are_read_compressed(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(RATING).encode()))
    corpus = read_corpus(path)
    assert (corpus.name, corpus.kind, corpus.items) == ("answers", Kind.RATING, 1)
    assert corpus.pairs == (("Best drink?", "Water, always."),)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (SURVEY | {"options": ["Tea", "Tea", "Neither"]}, "different options"),
        (SURVEY | {"groups": {"North": {"p": [0.5, 0.5]}}}, "3 shares"),
        (SURVEY | {"groups": {"North": {"p": [0.9, 0.3, 0.2]}}}, "sum to 1"),
        (SURVEY | {"groups": {"North": {"p": [1.2, -0.2, 0]}}}, ">= 0"),
        (SURVEY | {"ordinal": [1, 2]}, "3 positions"),
        (SURVEY | {"ordinal": [1, 1, 1]}, "not all alike"),
        ({"prompt": "only a prompt"}, "KeyError"),
    ],
)
def test_a_bad_row_names_file_and_line(tmp_path: Path, row: dict[str, object], words: str) -> None:
    path = write(tmp_path / "bad.jsonl", SURVEY, row)
    with pytest.raises(DataError, match=f"bad.jsonl, line 2.*{words}"):
        read_corpus(path)


def test_a_rate_outside_of_0_and_1_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.jsonl", RATING | {"agree": {"North": {"n": 9, "p": 40}}})
    with pytest.raises(DataError, match=r"line 1.*from 0 to 1"):
        read_corpus(path)


def test_a_text_may_hold_a_line_separator(tmp_path: Path) -> None:
    row = json.dumps(RATING | {"response": "Water,\u2028always."}, ensure_ascii=False)
    path = tmp_path / "answers.jsonl"
    path.write_text(row + "\n", encoding="utf-8")
    assert read_corpus(path).pairs == (("Best drink?", "Water,\u2028always."),)


@pytest.mark.parametrize("raw", [b"{broken\n", CUT_OFF, b"\xff\n"])
def test_a_damaged_file_is_named(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / ("bad.jsonl.gz" if raw[:2] == b"\x1f\x8b" else "bad.jsonl")
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"bad\.jsonl"):
        [read_corpus(p) for p in preference_files(tmp_path)]


def test_a_folder_without_preferences_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "text.jsonl", {"prompt": "p", "response": "r"})
    with pytest.raises(DataError, match=r"no \.jsonl"):
        list(preference_files(tmp_path))


def test_files_without_preferences_are_passed_over(tmp_path: Path) -> None:
    folder = write_data(tmp_path)
    write(folder / "text.jsonl", {"prompt": "p", "response": "r"})
    assert [p.name for p in preference_files(folder)] == ["club_ratings.jsonl", "club_survey.jsonl"]


def test_wordings_that_differ_in_layout_are_one_question() -> None:
    assert normalise("Is it  GOOD?\n") == normalise("is it good")
    assert normalise("Is it good?") != normalise("Is it bad?")
