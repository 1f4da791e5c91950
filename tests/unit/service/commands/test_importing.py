"""What an import says when it ends early: an interruption only where going on can help."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures.raw_http import HANG_UP, problem, scripted

from service.cli import main
from service.commands.journal import Digest, Journal, Progress

BAD_HEADER = problem(422, "validation_error")
DOWN = problem(503, "store_unavailable")
UNREADY = problem(500, "internal_error")
GROUP = json.dumps({"id": "town", "name": "Town", "preferences": []}) + "\n"


def imported(file: Path, *answers: bytes) -> object:
    with scripted(*answers) as server, pytest.raises(SystemExit) as ended:
        main(["groups", "import", str(file), "--url", server.url])
    return ended.value.code


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"group_id\n\xff\n"])
def test_a_file_that_is_wrong_is_no_interruption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    file = tmp_path / "groups.csv"
    file.write_bytes(content)
    assert imported(file, BAD_HEADER) == 1
    said = capsys.readouterr().err
    assert "It is validation_error." in said
    assert "interrupted" not in said


@pytest.mark.parametrize("failure", [DOWN, UNREADY, HANG_UP])
def test_a_failure_that_passes_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], failure: bytes
) -> None:
    file = tmp_path / "groups.jsonl"
    file.write_text(GROUP)
    assert imported(file, *[failure] * 5) == 1
    assert "the same command goes on from there" in capsys.readouterr().err


def test_what_is_in_is_told_whatever_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "groups.jsonl"
    file.write_text(GROUP + "{}\n")
    digest = Digest()
    digest.add(GROUP.encode())
    with scripted(problem(403, "forbidden")) as server:
        target = f"{server.url} - jsonl skip"
        done = Progress(target, records=1, digest=str(digest), line=1, counts={"created": 1})
        Journal.beside(str(file)).write(done)
        command = ["groups", "import", str(file), "--url", server.url, "--on-conflict", "skip"]
        with pytest.raises(SystemExit):
            main(command)
    said = capsys.readouterr().err
    assert "behind line 1, 1 group is in; the same command goes on from there" in said
    assert "It is forbidden." in said


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_csv_without_a_header_is_wrong_and_an_empty_jsonl_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    file = tmp_path / "groups.csv"
    file.write_bytes(content)
    assert imported(file) == 2
    assert f"{file} has no header" in capsys.readouterr().err
    empty = tmp_path / "groups.jsonl"
    empty.write_bytes(b"")
    assert imported(empty) == 0
    assert capsys.readouterr().out == "no groups\n"
