"""The commands for a running server, as processes: tables, JSON, sentences, statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.raw_http import problem, reply, scripted
from fixtures.serve_process import environment

LAKE = {"prompt": "Describe a good day off.", "response": "A swim in the lake.", "score": 0.9}
TOWN = {"id": "town", "name": "Town\x1b[31m", "preferences": [LAKE]}


class Shell:
    """Runs gpo with a server in the environment."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self.folder = folder
        self.settings = {"GPO_URL": url, "COLUMNS": "100", **settings}

    def __call__(
        self, *arguments: str, stdin: object = None, status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [sys.executable, "-m", "service", *arguments],
            cwd=self.folder,
            env={**environment(self.folder, **self.settings), "PYTHONIOENCODING": "utf-8"},
            input=stdin if isinstance(stdin, str) else json.dumps(stdin),
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
        assert "Traceback" not in result.stderr
        return result

    def file(self, name: str, content: Any) -> str:
        (self.folder / name).write_text(json.dumps(content), encoding="utf-8")
        return name


@pytest.fixture
def gpo(tmp_path: Path, service_url: str) -> Shell:
    for group in httpx.get(f"{service_url}/groups").json()["data"]:
        httpx.delete(f"{service_url}/groups/{group['id']}").raise_for_status()
    return Shell(tmp_path, service_url)


def test_groups_from_the_first_to_the_last(gpo: Shell, service_url: str) -> None:
    assert "no groups" in gpo("groups", "list").stdout
    put = json.loads(gpo("groups", "put", gpo.file("town.json", TOWN), "--json").stdout)
    assert (put["id"], put["preference_count"]) == ("town", 1)
    gpo("groups", "put", "-", "--id", "other", "--create-only", stdin=TOWN)
    version = str(put["version"])
    added = gpo("groups", "append", "town", "-", "--if-match", version, "--json", stdin=[LAKE])
    assert json.loads(added.stdout)["preference_count"] == 2

    raw = httpx.get(f"{service_url}/groups/town", params={"include": "preferences"}).text
    assert gpo("groups", "get", "town", "--preferences", "--json").stdout == raw + "\n"
    listing = gpo("groups", "list").stdout
    assert "town" in listing
    assert "other" in listing
    assert "\x1b" not in listing
    assert "More" not in listing
    pages = gpo("groups", "list", "--limit", "1", "--all", "--json").stdout.splitlines()
    assert [json.loads(page)["data"][0]["id"] for page in pages] == ["other", "town"]
    first = gpo("groups", "list", "--limit", "1").stdout
    assert "--cursor" in first
    assert "town" not in first

    refused = gpo("groups", "delete", "town", "--if-match", version, status=1)
    assert refused.stderr.startswith("gpo: ")
    assert gpo("groups", "delete", "town").stdout == ""
    assert "no group with the id 'town'" in gpo("groups", "get", "town", status=1).stderr


def test_questions_from_options_a_file_and_standard_input(gpo: Shell) -> None:
    gpo("groups", "put", "-", stdin=TOWN)
    question = ("-q", "Would you rather swim?", "-o", "Swim", "-o", "Work")
    shown = gpo("predict", "-g", "town", *question).stdout
    assert "Would you rather swim?" in shown
    assert "━" in shown
    assert "%" in shown
    file = gpo.file("ask.json", {"preferences": [LAKE], "question": "?", "options": ["a", "b"]})
    over = json.loads(gpo("predict", file, "-g", "town", "-q", "Which?", "--json").stdout)
    [prediction] = over["predictions"]
    assert (prediction["group_id"], prediction["question"]) == ("town", "Which?")
    asked = {"prompt": "A day off?", "responses": ["A swim in the lake.", "Hard work."]}
    scored = gpo("score", "-", "--preferences", gpo.file("p.json", [LAKE]), stdin=asked).stdout
    assert scored.index("A swim in the lake.") < scored.index("Hard work.")


def test_an_explanation_shows_what_each_preference_did(gpo: Shell) -> None:
    hike = {"prompt": "Describe a good day off.", "response": "A long hike.", "score": 0.1}
    gpo("groups", "put", "-", stdin={**TOWN, "preferences": [LAKE, hike]})
    question = ("-q", "Would you rather swim?", "-o", "Swim", "-o", "Hike")
    body = json.loads(gpo("predict", "-g", "town", *question, "--explain", "--json").stdout)
    [prediction] = body["predictions"]
    shown = gpo("predict", "-g", "town", *question, "--explain").stdout
    places = [shown.index(entry["preference"][-10:]) for entry in prediction["explanation"]]
    assert places == sorted(places)
    assert "Percentage points" in shown
    for entry in prediction["explanation"]:
        moved = entry["influence"][prediction["options"].index(prediction["top"])]
        assert f"{100 * moved:+.1f}" in shown
    prior = [f"{share:.0%}" for share in prediction["prior"]]
    assert f"Without any: Swim {prior[0]}, Hike {prior[1]}." in " ".join(shown.split())
    assert "Percentage points" not in gpo("predict", "-g", "town", *question).stdout
    alone = ("--preferences", gpo.file("none.json", []))
    assert "has no preferences" in gpo("predict", *alone, *question, "--explain").stdout


def test_a_group_too_large_to_explain_is_predicted_without(gpo: Shell) -> None:
    walks = [{**LAKE, "response": f"Walk number {n}."} for n in range(300)]
    large = ("--preferences", gpo.file("walks.json", walks), "-q", "Swim?", "-o", "Yes", "-o", "No")
    run = gpo("predict", *large, "--explain")
    assert run.stdout == gpo("predict", *large).stdout
    assert "gpo: without an explanation: " in run.stderr
    assert "256" in run.stderr
    [prediction] = json.loads(gpo("predict", *large, "--explain", "--json").stdout)["predictions"]
    assert "explanation" not in prediction


def test_a_csv_of_a_header_alone_is_read(gpo: Shell) -> None:
    (gpo.folder / "wrong.csv").write_text("group_id,colour\n")
    run = gpo("groups", "import", "wrong.csv", status=1)
    assert "colour: is not a column of groups" in run.stderr
    assert "no groups" not in run.stdout
    (gpo.folder / "right.csv").write_text("group_id,group_name\n")
    assert gpo("groups", "import", "right.csv").stdout == "no groups\n"


def test_candidates_come_then_the_choice_is_marked(gpo: Shell) -> None:
    gpo("groups", "put", "-", stdin=TOWN)
    asked = ("generate", "-g", "town", "-p", "A day off?", "-n", "3", "--seed", "4")
    shown = gpo(*asked, "--max-tokens", "12").stdout
    assert len([line for line in shown.splitlines() if line.startswith("  0.")]) == 3
    assert shown.count("chosen") == 1
    assert "town would say" in shown
    assert "seed 4" in shown
    body = json.loads(gpo(*asked, "--max-tokens", "12", "--json").stdout)
    assert [c["selected"] for c in body["candidates"]] == [True, False, False]
    assert (body["seed"], len(body["candidates"])) == (4, 3)


def test_what_is_wrong_is_said_with_its_field(gpo: Shell) -> None:
    wrong = [LAKE, {**LAKE, "score": 7}]
    result = gpo("groups", "put", "-", stdin={**TOWN, "preferences": wrong}, status=1)
    [line] = result.stderr.splitlines()
    assert line.startswith("gpo: preferences[1].score: ")
    result = gpo("predict", "-", stdin={"preferences": [], "colour": 1}, status=1)
    assert "colour: there is no such field" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["predict", "nowhere.json"], "", "nowhere.json cannot be read"),
        (["predict", "-"], "{", "standard input is not JSON"),
        (["score", "-"], "[]", "must hold a JSON object"),
        (["groups", "append", "town", "-"], "3", "must hold a JSON list"),
        (["groups", "put", "-"], '{"name": "x"}', "has no id"),
        (["predict", "-", "--preferences", "-"], "{}", "cannot be"),
        (["groups", "list", "--url", "nonsense"], "", "is no address"),
        (["groups"], "", "usage: gpo groups"),
        (["generate", "-n", "many"], "", "usage: gpo generate"),
        (["predict", "-g", "a", "--preferences", "b"], "", "not allowed with"),
    ],
    ids=str,
)
def test_wrong_use_is_2(tmp_path: Path, arguments: list[str], stdin: str, said: str) -> None:
    result = Shell(tmp_path, "http://127.0.0.1:9")(*arguments, stdin=stdin, status=2)
    assert said in result.stderr


def test_without_a_server_it_says_how_to_start_one(tmp_path: Path) -> None:
    shell = Shell(tmp_path, "http://127.0.0.1:9")
    result = shell("predict", "-g", "town", "-q", "?", "-o", "a", "-o", "b", status=1)
    assert "no server answers at http://127.0.0.1:9" in result.stderr
    assert "gpo serve" in result.stderr


def test_a_key_is_sent_and_asked_for(tmp_path: Path) -> None:
    empty = reply(200, {"data": [], "has_more": False, "next_cursor": None})
    with scripted(problem(401, "unauthorized"), empty, empty) as server:
        refused = Shell(tmp_path, server.url)("groups", "list", status=1)
        Shell(tmp_path, server.url, GPO_API_KEY="from-env")("groups", "list")
        Shell(tmp_path, "http://127.0.0.1:9")(
            "groups", "list", "--url", server.url, "--api-key", "given"
        )
    assert "--api-key" in refused.stderr
    assert "Bearer from-env" in server.heads[1]
    assert "Bearer given" in server.heads[2]


@pytest.mark.parametrize("more", [[], ["--json"]], ids=str)
def test_a_reader_that_leaves_is_no_traceback(gpo: Shell, more: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "service", "groups", "list", *more],
        cwd=gpo.folder,
        env=environment(gpo.folder, **gpo.settings),
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_commands_and_options(tmp_path: Path, shell: str) -> None:
    script = Shell(tmp_path, "http://127.0.0.1:9")("completion", shell).stdout
    for word in ("serve", "generate", "append", "max-tokens", "api-key"):
        assert word in script


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["gpo", "gen"], "generate"),
        (["gpo", "groups", "app"], "append"),
        (["gpo", "generate", "--ste"], "--steering"),
        (["gpo", "generate", "--steering", "d"], "description"),
    ],
    ids=str,
)
def test_bash_completes(tmp_path: Path, words: list[str], expected: str) -> None:
    script = Shell(tmp_path, "http://127.0.0.1:9")("completion", "bash").stdout
    line = " ".join(words)
    ask = (
        f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; "
        f"COMP_POINT={len(line)}; COMPREPLY=(); "
        "_complete=$(complete -p gpo); _complete=${_complete#*-F }; ${_complete%% *} gpo "
        f"'{words[-1]}' '{words[-2]}'; echo \"${{COMPREPLY[@]}}\""
    )
    result = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=30)
    assert expected in result.stdout.split(), (result.stdout, result.stderr)
