"""Files of groups, record by record, and journals of how far an import came."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from service.commands.bodies import InputError
from service.commands.group_files import Record, Records, format_given, format_of, open_to_read
from service.commands.import_parts import Part, parts
from service.commands.journal import Digest, Journal, Progress


def records(content: bytes, format: str) -> list[tuple[int, str | None, bytes]]:
    found = Records(io.BytesIO(content), format)
    return [(r.line, r.id, r.content) for r in found]


def test_lines_of_json() -> None:
    content = b'\xef\xbb\xbf{"id": "a"}\n\n \n{"name": "x"}\n{"id": 3}\nnonsense\n{"id": "z"}'
    assert records(content, "jsonl") == [
        (1, "a", b'{"id": "a"}\n'),
        (4, None, b'{"name": "x"}\n'),
        (5, None, b'{"id": 3}\n'),
        (6, None, b"nonsense\n"),
        (7, "z", b'{"id": "z"}'),
    ]


def test_rows_of_a_group_stay_together() -> None:
    rows = [
        b"group_name,group_id,response\n",
        b"A,a,one\n",
        b'A,a,"two\nlines"\n',
        b"\n",
        b",,three\n",
        b"Other,,four\n",
        b"B,b,five\n",
        b"C,,six\n",
        b"C,,seven\n",
        b"D,,eight",
    ]
    found = Records(io.BytesIO(b"".join(rows)), "csv")
    assert [(r.line, r.id, r.content) for r in found] == [
        (2, "a", b"".join(rows[1:5])),
        (7, None, rows[5]),
        (8, "b", rows[6]),
        (9, None, rows[7] + rows[8]),
        (11, None, rows[9]),
    ]
    assert found.header == rows[0]


def test_csv_that_cannot_be_read_is_still_sent() -> None:
    content = b'group_id\na\n"\xff\nb\n'
    assert b"".join(c for _, _, c in records(content, "csv")) == content.partition(b"\n")[2]


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_nothing_holds_no_records(format: str) -> None:
    assert records(b"", format) == []
    assert records(b"\n\n", format) == []


def test_the_name_tells_the_format(tmp_path: Path) -> None:
    names = {"a.jsonl": "jsonl", "a.b.NDJSON": "jsonl", "x/a.csv.gz": "csv", "-": "jsonl"}
    for name, format in names.items():
        assert format_of(name) == format_given(name, None) == format
    assert format_given("a.txt", "csv") == "csv"
    for name in ("groups", "a.txt", ".gz"):
        with pytest.raises(InputError, match="--format"):
            format_given(name, None)
        with pytest.raises(InputError, match=r"is neither \.jsonl nor \.csv$"):
            format_of(name)


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    whole = tmp_path / "a.jsonl.gz"
    whole.write_bytes(gzip.compress(b"one\ntwo\n"))
    with open_to_read(str(whole)) as stream:
        assert stream.read() == b"one\ntwo\n"
    whole.write_bytes(gzip.compress(b"one\ntwo\n" * 99)[:-12])
    with pytest.raises(InputError, match="cannot be read"), open_to_read(str(whole)) as stream:
        stream.read()
    with pytest.raises(InputError, match="No such file"), open_to_read(str(tmp_path / "none.csv")):
        pass


def test_parts_leave_out_ids_that_came_before() -> None:
    lines = [b'{"id": "a"}\n', b'{"id": "b"}\n', b"{}\n", b'{"id": "a"}\n', b"{}\n"]
    digest, seen = Digest(), {"b": 0}
    [part] = parts(iter(Records(iter(lines), "jsonl")), seen, digest, read=7, size=100)
    assert [r.line for r in part.records] == [1, 3, 5]
    assert [(r.line, first) for r, first in part.twice] == [(2, 0), (4, 1)]
    assert (part.read, part.size, part.line) == (12, 100 + sum(map(len, lines)), 5)
    assert part.digest == str(digest)


def test_parts_are_of_bounded_size() -> None:
    large = [Record(i + 1, b"x" * 700_000 + b"\n", None) for i in range(5)]
    many = [Record(i + 6, b"{}\n", None) for i in range(1_200)]
    found: list[Part] = list(parts(iter(large + many), {}, Digest(), read=0, size=0))
    assert [len(part.records) for part in found] == [3, 500, 500, 202]
    assert [part.read for part in found] == [3, 503, 1_003, 1_205]


def test_a_journal_is_for_one_target(tmp_path: Path) -> None:
    journal = Journal.beside(str(tmp_path / "a.jsonl"))
    assert journal.read("here") is None
    progress = Progress("here", records=5, digest="d", line=7, counts={"created": 5}, first="a")
    journal.write(progress)
    assert journal.read("here") == progress
    assert progress.witnesses == ["a"]
    assert journal.read("there") is None
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl.gpo-import"]
    (tmp_path / "a.jsonl.gpo-import").write_text("{")
    assert journal.read("here") is None
    journal.remove()
    assert list(tmp_path.iterdir()) == []
    journal.remove()


def test_a_journal_that_cannot_be_written_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal.beside(str(tmp_path / "nowhere" / "a.jsonl"))
    assert journal.is_kept
    journal.write(Progress("here"))
    journal.write(Progress("here"))
    assert not journal.is_kept
    assert capsys.readouterr().err.count("begin anew") == 1
