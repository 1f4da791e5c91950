"""Files of questions: the documented forms, and what is wrong with its line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.commands.bodies import InputError
from service.commands.report.questions import Answered, read_questions

PARKS = {"question": "Parks or roads?", "options": ["Parks", "Roads"]}


def read(folder: Path, *rows: dict[str, Any] | str, name: str = "asked.jsonl") -> list[Answered]:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return read_questions(str(folder / name))


def test_lines_alone_with_answers_and_of_a_survey(tmp_path: Path) -> None:
    survey = {"id": "Q7", "ordinal": [1, 2], "groups": {"town": {"n": 200, "p": [0.25, 0.75]}}}
    alone, said, counted, surveyed = read(
        tmp_path,
        PARKS,
        "",
        {**PARKS, "distribution": [0.6, 0.4]},
        {**PARKS, "counts": [30, 10]},
        {**PARKS, **survey},
    )
    assert (alone.item.prompt, alone.item.texts) == ("Parks or roads?", ("Parks", "Roads"))
    assert alone.of("town", "Town") is None
    assert said.of("town", "Town") == ((0.6, 0.4), None)
    assert counted.of("town", "Town") == ((0.75, 0.25), 40)
    assert surveyed.of("town-1", "town") == ((0.25, 0.75), 200)
    assert surveyed.of("village", "Village") is None
    assert surveyed.item.scale == (1, 2)


def test_rows_of_an_exported_file_and_of_a_survey(tmp_path: Path) -> None:
    exported = [
        "group_id,group_name,question,option,count,prompt,response,score",
        "town,Town,Parks or roads?,Parks,30,,,",
        ",,Parks or roads?,Roads,10,,,",
        "town,Town,,,,A day off?,A swim.,0.9",
    ]
    [found] = read(tmp_path, *exported, name="groups.csv")
    assert found.of("town", "Town") == ((0.75, 0.25), 40)
    survey = [
        "question,option,group,share,n,ordinal",
        "How often?,Daily,town,0.2,90,2",
        "How often?,Never,town,0.8,90,1",
        "How often?,Daily,village,0.6,50,2",
        "How often?,Never,village,0.4,50,1",
        "More trees?,Yes,,,,",
        "More trees?,No,,,,",
    ]
    often, trees = read(tmp_path, *survey, name="survey.csv")
    assert often.of("village", "") == ((0.6, 0.4), 50)
    assert (often.item.texts, often.item.scale) == (("Daily", "Never"), (2, 1))
    assert (trees.item.texts, trees.item.scale) == (("Yes", "No"), None)
    assert trees.of("town", "Town") is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "asked.jsonl:2 is not JSON"),
        ("[1]", "asked.jsonl:2 must hold a JSON object"),
        ({**PARKS, "colour": 1}, "asked.jsonl:2: colour: there is no such field"),
        ({"options": ["a", "b"]}, "asked.jsonl:2: question: must be a text"),
        ({"question": "?", "options": "ab"}, "asked.jsonl:2: options: must be a list of texts"),
        ({"question": "?", "options": ["a", "a"]}, "options: must be two or more, no two alike"),
        ({**PARKS, "distribution": [0.6, 0.6]}, "distribution: must sum to 1 within 0.01"),
        ({**PARKS, "distribution": [1]}, "distribution: must be a list of 2 numbers"),
        ({**PARKS, "distribution": [1.5, -0.5]}, "distribution: must not be negative"),
        ({**PARKS, "distribution": [True, False]}, "distribution: must be a number"),
        ({**PARKS, "counts": [10**400, 1]}, "counts: must be a number"),
        ({**PARKS, "counts": [0, 0]}, "counts: nobody answered"),
        ({**PARKS, "counts": [1, 2], "distribution": [0, 1]}, "distribution or counts, not both"),
        ({**PARKS, "ordinal": [1, 1]}, "ordinal: the positions are all equal"),
        ({**PARKS, "groups": {"town": [1]}}, "groups.town: must be an object"),
        ({**PARKS, "groups": {"town": {"p": [0.5, "x"]}}}, "groups.town.p: must be a number"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, row: dict[str, Any] | str, said: str
) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, PARKS, row)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["question,share", "a,1"], "must name the columns question and option"),
        (["question,option,share", "q,a,half"], "asked.csv:2: share: must be a number"),
        (
            ["question,option,share", "q,a,1", "q,a,0"],
            "asked.csv:3: option: 'a' stands there twice",
        ),
        (
            ["question,option,share,group", "q,a,1,t", "q,b,0,t", "q,c,1,v"],
            "the answers of t lack the option 'c'",
        ),
        (["question,option", "q,a"], "options: must be two or more"),
        (["question,option"], "holds no question"),
    ],
    ids=str,
)
def test_what_is_wrong_in_rows(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, *lines, name="asked.csv")
    assert said in str(refused.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_questions(str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(InputError, match="neither"):
        read(tmp_path, PARKS, name="asked.txt")
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe4"}')
    with pytest.raises(InputError, match="is not UTF-8"):
        read_questions(str(tmp_path / "latin.jsonl"))
