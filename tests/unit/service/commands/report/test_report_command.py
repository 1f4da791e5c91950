"""What `gpo report` refuses before it asks anything, and the line that it tells."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from test_report_page import report

from service.cli import main
from service.commands.report import command
from service.core.groups import ID_PATTERN

NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["town", "--folds", "1"], "--folds must be 2 or more"),
        (["town", "--out", ""], "--out names no file"),
        (["town", "--questions", "/dev/null"], "/dev/null is neither .jsonl nor .csv\n"),
        ([""], "GROUP: '' is no group id"),
        (["towns/../town"], "GROUP: 'towns/../town' is no group id"),
        (["town", "--compare", "a/b"], "--compare: 'a/b' is no group id"),
    ],
    ids=str,
)
def test_what_can_be_no_report_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", *arguments, "--url", NOBODY])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_id_is_what_the_service_takes_for_one() -> None:
    assert command.GROUP_ID == ID_PATTERN


def test_one_question_is_no_plural() -> None:
    console = Console(file=io.StringIO(), width=200)
    command.tell(console, report(), None, None)
    assert " over 1 question (" in console.file.getvalue()  # type: ignore[attr-defined]
