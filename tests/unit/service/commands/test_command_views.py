"""What a terminal gets to see: nothing that it would obey."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from service.client import Candidate
from service.commands.bodies import read_json
from service.commands.session import sentence
from service.commands.views import choice, plain
from service.remote.errors import FieldError, InvalidRequest, TooLarge, Unavailable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a�[31mb"),
        ("two\nlines\r\x07", "two lines �"),
        ("left \u202eright", "left �right"),
        ("half \ud800", "half �"),
        ("family 👨‍👩‍👧", "family 👨‍👩‍👧"),
    ],
)
def test_what_a_terminal_would_obey_is_replaced(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_text_is_not_markup_and_the_chosen_one_is_marked() -> None:
    shared = {"probability": 0.5, "std": 0.1, "finish_reason": "stop", "tokens": 3}
    candidates = [
        Candidate(
            index=index,
            text=text,
            score=score,
            selection_score=score,
            selected=index == 1,
            truncated=False,
            **shared,
        )
        for index, text, score in ((1, "[bold]Yes[/bold]", 0.9), (0, "No\x1b]0;x\x07", 0.1))
    ]
    console = Console(file=io.StringIO(), width=80)
    console.print(choice("[bold]Yes[/bold]", candidates, "town"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    [marked] = [line for line in shown.splitlines() if line.strip().startswith("chosen")]
    assert "[bold]Yes[/bold]" in marked
    assert "0.900" in marked
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("pointer", "field"),
    [
        ("/preferences/1/distribution", "preferences[1].distribution"),
        ("", "the body"),
        ("/a~1b/~0", "a/b.~"),
        ("/0", "0"),
    ],
)
def test_a_pointer_is_said_as_a_field(pointer: str, field: str) -> None:
    error = TooLarge("No.", status=413, errors=(FieldError(pointer, "at most 3"),))
    assert sentence(error) == f"{field}: at most 3"


def test_a_sentence_says_what_to_do() -> None:
    error = Unavailable("The store is down.", status=503, retry_after_s=2.0, request_id="r-1")
    error.maybe_done = True
    said = sentence(error).splitlines()
    assert said[0] == "The store is down."
    assert said[1] == "Try again in 2 s."
    assert said[2].startswith("It may have been done")
    assert said[3] == "The request id is r-1."
    assert sentence(InvalidRequest("The body is not JSON.", status=400)) == "The body is not JSON."


def test_deep_json_is_refused_in_a_sentence(tmp_path: object) -> None:
    path = f"{tmp_path}/deep.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write("[" * 200_000)
    with pytest.raises(Exception, match="is not JSON"):
        read_json(path)
