"""CSV tables of preferences: what is accepted, and what is refused with file, line and column."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from models.batches import Kind
from models.datasets import DataError, preference_files, read_corpus

SURVEY = """question,option,group,share,n,ordinal
"Tea, or coffee?",Tea,North,0.5,50,1
"Tea, or coffee?",Coffee,North,0.3,50,2
"Tea, or coffee?",Neither,North,0.2,50,3
"Tea, or coffee?",Coffee,South,0.8,,2
"Tea, or coffee?",Tea,South,0.1,,1
"Tea, or coffee?",Neither,South,0.1,,3
Sugar?,Yes,South,1,20,
Sugar?,No,South,0,20,
"""
RATINGS = """prompt,response,group,share,n
Best drink?,"Water, always.",North,0.4,9
Best drink?,"Milk
with honey.",North,0.7,
Best drink?,"Water, always.",South,0.9,12
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_survey_table_reads_like_its_json(tmp_path: Path) -> None:
    rows = [
        {
            "question": "Tea, or coffee?",
            "options": ["Tea", "Coffee", "Neither"],
            "ordinal": [1, 2, 3],
            "groups": {"North": {"n": 50, "p": [0.5, 0.3, 0.2]}, "South": {"p": [0.1, 0.8, 0.1]}},
        },
        {
            "question": "Sugar?",
            "options": ["Yes", "No"],
            "groups": {"South": {"n": 20, "p": [1, 0]}},
        },
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    one = read_corpus(write(tmp_path / "drinks.jsonl", lines))
    other = read_corpus(write(tmp_path / "table.csv", SURVEY))
    assert (other.name, other.kind, other.rows) == ("table", Kind.SHARE, 2)
    assert (one.pairs, one.groups) == (other.pairs, other.groups)
    for name in ("starts", "question", "values", "weights", "ordinal"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


def test_rated_answers_may_hold_commas_and_lines(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path / "drinks.csv", RATINGS))
    assert corpus.kind is Kind.RATING
    assert corpus.pairs == (
        ("Best drink?", "Water, always."),
        ("Best drink?", "Milk\nwith honey."),
    )
    assert corpus.values[:, 0].tolist() == pytest.approx([0.4, 0.9])
    assert np.isnan(corpus.values[1, 1])
    assert np.isnan(corpus.weights[0, 1])


def test_a_table_may_be_compressed_and_marked_as_by_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "drinks.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + SURVEY.replace("\n", "\r\n").encode()))
    assert list(preference_files(tmp_path)) == [path]
    assert read_corpus(path).groups == ("North", "South")


def test_an_id_keeps_two_rounds_of_a_question_apart(tmp_path: Path) -> None:
    text = (
        "id,question,option,group,share\n"
        "w1,Tea?,Yes,North,0.6\nw1,Tea?,No,North,0.4\n"
        "w2,Tea?,Yes,North,0.7\nw2,Tea?,No,North,0.3\n"
    )
    corpus = read_corpus(write(tmp_path / "waves.csv", text))
    assert corpus.items == 2
    assert corpus.question.tolist() == [0, 0]


def test_a_cell_of_several_lines_does_not_move_the_place(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.csv", RATINGS.replace('honey.",North,0.7', 'honey.",North,7'))
    with pytest.raises(DataError, match=r"bad\.csv, line 3, column share"):
        read_corpus(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("North,0.5,50,1", "North,half,50,1", "line 2, column share: 'half' is no number"),
        ("North,0.5,50,1", "North,50,50,1", "line 2, column share: a share is from 0 to 1"),
        ("North,0.5,50,1", "North,nan,50,1", "line 2, column share: 'nan' is no finite number"),
        ("North,0.5,50,1", "North,0.4,50,1", "line 2, column share: .*'North'.* sum to 0.9"),
        ("North,0.3,50,2", "North,0.3,51,2", "line 3, column n: .*another n"),
        ("North,0.3,50,2", "North,0.3,-5,2", "line 3, column n: .*above 0"),
        ("North,0.3,50,2", ",0.3,50,2", "line 3, column group: empty"),
        ("North,0.3,50,2", "North,0.3,50", "line 3: 5 cells for 6 columns"),
        ("South,0.8,,2", "South,0.8,,7", "line 5, column ordinal: 'Coffee' has another"),
        (
            ",Tea,South,0.1,,1",
            ",Coffee,South,0.1,,2",
            "line 6, column option: .*'South' has a share",
        ),
        ("Neither,South", "Nothing,South", "line 2, column option: .*no share for 'Nothing'"),
        ("Sugar?,No,South,0,20,\n", "", "line 8, column option: .*two or more"),
        ("Sugar?,No,South,0,20,", "Sugar?,No,South,0,20,2", "line 8, column ordinal: .*every"),
        ("share,n,ordinal", "share,n,position", "line 1, column position: unknown"),
        ("share,n,ordinal", "share,n,n", "line 1, column n: twice"),
        ("question,option", "question;option", "line 1: the columns are question, option"),
        ("Sugar?,No", '"Sugar?"x,No', r"line 9: .*expected after"),
    ],
)
def test_a_bad_cell_names_file_line_and_column(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in SURVEY
    path = write(tmp_path / "bad.csv", SURVEY.replace(old, new, 1))
    with pytest.raises(DataError, match=rf"bad\.csv, {words}"):
        read_corpus(path)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"empty\.csv, line 1: the columns are"):
        read_corpus(write(tmp_path / "empty.csv", ""))


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "drinks.csv", SURVEY)
    row = {"prompt": "p", "response": "r", "agree": {"North": {"p": 0.5}}}
    write(tmp_path / "drinks.jsonl", json.dumps(row))
    with pytest.raises(DataError, match=r"drinks\.jsonl: .*confuse it with drinks\.csv"):
        list(preference_files(tmp_path))
