"""Import and export as commands against real services: whole, refused, interrupted, resumed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.redis_server import free_port
from fixtures.serve_process import environment, serving

from service.client import GPOClient

LAKE = {"prompt": "Describe a good day off.", "response": "A swim in the lake.", "score": 0.9}
SHARE = {"question": "Parks or roads?", "options": ["Parks", "Roads"], "distribution": [0.7, 0.3]}
PAIR = {"prompt": "A meal?", "chosen": 'Soup, "hot"', "rejected": "Cake.\nAnd more.", "weight": 2.5}
COUNTS = {"question": "How?", "options": ["Well", "Badly"], "counts": [3, 1]}


def group(number: int, name: str = "g") -> dict[str, Any]:
    """One of many; the tests share a service, so each has names of its own."""
    share = number % 97 / 97
    return {
        "id": f"{name}{number:05}",
        "name": f"Group {number} – ü",
        **({"description": f"Of {number}.", "metadata": {"n": number}} if number % 3 else {}),
        "preferences": [
            {**SHARE, "distribution": [share, 1 - share]}, LAKE, PAIR, COUNTS,
        ][: number % 5],
    }  # fmt: skip


def write(file: Path, groups: list[Any]) -> Path:
    file.write_text("".join(json.dumps(g) + "\n" for g in groups), encoding="utf-8")
    return file


class Shell:
    """Runs `gpo groups` against a server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.env = {**environment(folder, GPO_URL=url), "PYTHONIOENCODING": "utf-8"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "service", "groups", *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def __call__(self, *arguments: str, status: int = 0, stdin: bytes = b"") -> Any:
        result = subprocess.run(
            [sys.executable, "-m", "service", "groups", *arguments],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            timeout=180,
        )
        assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
        assert b"Traceback" not in result.stderr
        return result.stdout.decode(), result.stderr.decode()


def stored(url: str, name: str = "g") -> list[tuple[str, int]]:
    with GPOClient(url) as client:
        found = [(g.id, g.version) for g in client.groups.list(page_size=1_000)]
    return [(group_id, version) for group_id, version in found if group_id.startswith(name)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service for these tests alone: thousands of groups are not deleted one by one."""
    with serving(tmp_path_factory.mktemp("transfer")) as running:
        yield running.url


@pytest.fixture
def gpo(tmp_path: Path, url: str) -> Shell:
    return Shell(tmp_path, url)


def test_groups_move_between_servers_in_both_formats(
    gpo: Shell, url: str, redis_url: str, tmp_path: Path
) -> None:
    assert stored(url, "") == []  # the first test of all
    groups = [group(number) for number in range(1_000)]
    out, _ = gpo("import", str(write(tmp_path / "in.jsonl", groups)))
    assert out == "1,000 created\n"
    gpo("export", "a.jsonl")
    gpo("export", "a.csv.gz")
    there = tmp_path / "redis"
    there.mkdir()
    with serving(there, GPO_STORE_URL=redis_url) as other:
        second = Shell(tmp_path, other.url)
        assert second("import", "a.csv.gz")[0] == "1,000 created\n"
        assert second("import", "a.jsonl", "--on-conflict", "fail")[0] == "1,000 unchanged\n"
        assert second("export")[0] == (tmp_path / "a.jsonl").read_text(encoding="utf-8")
        second("export", "b.csv")
        assert stored(other.url) == [(g["id"], 1) for g in groups]
    assert (tmp_path / "b.csv").read_bytes() == gzip.decompress(
        (tmp_path / "a.csv.gz").read_bytes()
    )
    assert gpo("import", "b.csv", "--on-conflict", "fail")[0] == "1,000 unchanged\n"
    assert gpo("export", "-")[0] == (tmp_path / "a.jsonl").read_text(encoding="utf-8")
    assert not list(tmp_path.glob("*.gpo-import"))
    assert not list(tmp_path.glob("*.part"))


def test_refused_groups_are_told_with_their_lines(gpo: Shell, url: str) -> None:
    wrong = {**group(1), "id": "refused-wrong", "preferences": [LAKE, {**LAKE, "score": 7}]}
    first = group(1, "refused")
    rest = [group(number, "refused") for number in range(2, 600)]
    groups = [first, wrong, *rest, {**first, "name": "Again"}]
    file = write(gpo.folder / "groups.jsonl", groups)
    with file.open("a", encoding="utf-8") as more:
        more.write("\nnot json\n")
    out, err = gpo("import", "groups.jsonl", "--strict", status=1)
    assert "3 refused" in out
    assert "nothing was written" in out
    assert stored(url, "refused") == []
    told = [line for line in err.splitlines() if line.startswith("groups.jsonl:")]
    assert [line.split(": ")[:2] for line in told] == [
        ["groups.jsonl:2", "/preferences/1/score"],
        ["groups.jsonl:601", "/id"],
        ["groups.jsonl:603", "group"],
    ]
    assert "line 1 " in told[1]
    out, _ = gpo("import", "groups.jsonl", "--json", status=1)
    *refused, summary = [json.loads(line) for line in out.splitlines()]
    assert [(r["line"], r["errors"][0]["pointer"]) for r in refused] == [
        (2, "/preferences/1/score"), (601, "/id"), (603, ""),
    ]  # fmt: skip
    assert (summary["created"], summary["refused"], summary["lines"]) == (599, 3, 603)
    assert len(stored(url, "refused")) == 599
    rows = "group_id,group_name,prompt,response,score\nx,X,Say.,Yes.,0.5\nx,X,Say.,No.,much\n"
    _, err = gpo("import", "-", "--format", "csv", "--strict", status=1, stdin=rows.encode())
    assert "standard input:3: score: " in err
    sound = (json.dumps(group(1, "sound")) + "\n").encode()
    assert "1 created (dry run" in gpo("import", "-", "--dry-run", stdin=sound)[0]
    assert gpo("import", "-", "--strict", stdin=sound)[0] == "1 created\n"
    assert "is neither" in gpo("import", "groups.txt", status=2)[1]
    assert "cannot be read" in gpo("import", "nowhere.csv", status=2)[1]
    gpo.env["GPO_URL"] = "http://127.0.0.1:9"
    _, err = gpo("import", "groups.jsonl", status=1)
    assert "no server answers" in err


def wait_for_journal(file: Path) -> None:
    deadline = time.monotonic() + 120
    while not Path(f"{file}.gpo-import").exists():
        assert time.monotonic() < deadline, "no part was imported"
        time.sleep(0.005)


def test_an_import_that_is_interrupted_goes_on(gpo: Shell, url: str) -> None:
    groups = [group(number, "resumed") for number in range(4_000)]
    file = write(gpo.folder / "groups.jsonl", groups)
    running = gpo.start("import", "groups.jsonl")
    wait_for_journal(file)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "interrupted behind line" in err
    some = len(stored(url, "resumed"))
    assert 0 < some < 4_000
    out, err = gpo("import", "groups.jsonl")
    assert f"going on behind line {some:,}" in err
    assert out == "4,000 created\n"
    assert stored(url, "resumed") == [(g["id"], 1) for g in groups]
    assert not Path(f"{file}.gpo-import").exists()
    assert gpo("import", "groups.jsonl")[0] == "4,000 unchanged\n"


def test_a_journal_is_not_trusted_blindly(gpo: Shell, url: str) -> None:
    groups = [group(number, "trusted") for number in range(2_500)]
    file = write(gpo.folder / "groups.jsonl", groups)
    running = gpo.start("import", "groups.jsonl")
    wait_for_journal(file)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)
    journal = Path(f"{file}.gpo-import")
    kept = journal.read_bytes()
    write(file, [{**groups[0], "name": "Changed"}, *groups[1:]])
    _, err = gpo("import", "groups.jsonl")
    assert "the file has changed" in err
    assert stored(url, "trusted") == [(g["id"], 1 + (g == groups[0])) for g in groups]
    with GPOClient(url) as client:
        client.groups.delete(groups[0]["id"])
    write(file, groups)
    journal.write_bytes(kept)
    out, err = gpo("import", "groups.jsonl")
    assert "has no group 'trusted00000' any more" in err
    assert out == "1 created, 2,499 unchanged\n"


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_server_that_is_killed_in_mid_import(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = {"GPO_PORT": str(free_port())}
    if store == "redis":
        settings["GPO_STORE_URL"] = request.getfixturevalue("redis_url")
    groups = [group(number) for number in range(3_000)]
    file = write(tmp_path / "groups.jsonl", groups)
    at = ("--port", settings["GPO_PORT"])
    with serving(tmp_path, arguments=at, **settings) as server:
        shell = Shell(tmp_path, server.url)
        running = shell.start("import", "groups.jsonl")
        wait_for_journal(file)
        os.kill(server.process.pid, signal.SIGKILL)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 1, err
    assert "the same command goes on from there" in err
    with serving(tmp_path, arguments=at, **settings) as server:
        some = stored(server.url)
        assert 0 < len(some) < 3_000
        assert {version for _, version in some} == {1}
        out, err = shell("import", "groups.jsonl", "--json")
        assert "going on behind line" in err
        summary = json.loads(out.splitlines()[-1])
        assert summary["created"] + summary["unchanged"] == 3_000
        assert summary["updated"] == summary["refused"] == 0
        assert stored(server.url) == [(g["id"], 1) for g in groups]
        with GPOClient(server.url) as client:
            exported = [found.model_dump(exclude_unset=True) for found in client.groups.export()]
        assert exported == groups


@pytest.mark.parametrize("name", ["all.jsonl", "all.csv"])
def test_an_export_goes_on_with_what_is_there(gpo: Shell, url: str, name: str) -> None:
    gpo("import", str(write(gpo.folder / "in.jsonl", [group(n, "out") for n in range(300)])))
    gpo("export", name)
    whole = (gpo.folder / name).read_bytes()
    count = len(stored(url, ""))
    for share in (0.0, 0.001, 0.5, 0.9):
        (gpo.folder / f"{name}.part").write_bytes(whole[: int(len(whole) * share)])
        (gpo.folder / name).unlink()
        _, err = gpo("export", name)
        assert (gpo.folder / name).read_bytes() == whole
        assert err == f"{count:,} groups in {name}\n"
    gpo("export", f"nowhere/{name}", status=2)


def test_probes_are_answered_during_an_import(gpo: Shell, url: str) -> None:
    write(gpo.folder / "groups.jsonl", [group(number, "probed") for number in range(3_000)])
    running = gpo.start("import", "groups.jsonl")
    took: list[float] = []
    with httpx.Client(base_url=url) as client:
        while running.poll() is None:
            began = time.perf_counter()
            assert client.get("/livez").status_code == 200
            took.append(time.perf_counter() - began)
            time.sleep(0.01)
    assert running.returncode == 0
    running.communicate()
    p95 = sorted(took)[int(len(took) * 0.95)]
    print(f"{len(took)} probes, p95 {p95 * 1e3:.0f} ms, the longest {max(took) * 1e3:.0f} ms")
    assert p95 < 0.5
