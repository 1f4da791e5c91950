"""`gpo train` and `gpo evaluate` from files to a checkpoint that the service loads."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import pytest

from models.checkpoint import load_card
from models.llm_prior import Fit
from models.scorer import GPOScorer

LM = Path(__file__).resolve().parents[2] / "models" / "released" / "opinion-lm"
SMALL = ["--steps", "60", "--batch", "2", "--d-model", "32", "--layers", "1", "--threads", "1"]


def club(folder: Path) -> Path:
    """A survey and ratings of a sports club, in which a trait decides what a team answers."""
    folder.mkdir()
    teams = [f"TEAM:{letter}" for letter in "ABCDEFGHIJKLMNOP"]
    matters = ["pitches", "fees", "coaches", "shirts", "travel", "youth", "lights", "food"]
    with (folder / "club_survey.jsonl").open("w") as lines:
        for q in range(60):
            matter, lean = matters[q % 8], (q * 37 % 11 - 5) / 5
            shares = {t: 0.5 + 0.04 * lean * (i - 7.5) for i, t in enumerate(teams)}
            row = {
                "question": f"Should the club spend more on {matter} in season {q}?",
                "options": ["Yes, more", "No, less"],
                "groups": {t: {"n": 90, "p": [p, 1 - p]} for t, p in shares.items()},
            }
            lines.write(json.dumps(row) + "\n")
    with (folder / "club_ratings.jsonl").open("w") as lines:
        for prompt in range(12):
            for answer in range(24):
                matter = matters[answer % 8]
                row = {
                    "prompt": f"What matters most for member {prompt}?",
                    "response": f"More {matter}, and {answer} more reasons for it.",
                    "agree": {
                        t: {"n": 30, "p": 0.2 + 0.6 * ((answer + i) % 7) / 7}
                        for i, t in enumerate(teams)
                    },
                }
                lines.write(json.dumps(row) + "\n")
    return folder


def gpo(*args: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "service", *args], capture_output=True, text=True, **kwargs
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The data, the checkpoint and what training printed."""
    place = tmp_path_factory.mktemp("train")
    data = club(place / "data")
    notes = place / "notes.json"
    told = {"club_survey": {"licence": "CC0", "source": "the club"}}
    notes.write_text(json.dumps({"name": "club", "limits": ["one club"], "data": told}))
    done = gpo(
        "train", "--data", str(data), "--out", str(place / "club"), "--run", str(place / "run"),
        "--notes", str(notes), "--cache", str(place / "cache"), "--llm-prior", str(LM), *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return data, place / "club", done.stdout


def test_training_saves_a_checkpoint_with_a_card(trained: tuple[Path, Path, str]) -> None:
    _, out, printed = trained
    card = load_card(out)
    assert card.name == "club"
    assert card.limits == ("one club",)
    assert {d.name: d.licence for d in card.data} == {
        "club_ratings": "not stated",
        "club_survey": "CC0",
    }
    assert card.config["split"]["seed"] == 0
    assert card.digest in printed
    assert GPOScorer.load(out).card.digest == card.digest


def test_training_says_when_every_group_is_too_small_for_the_bank(
    trained: tuple[Path, Path, str],
) -> None:
    """The teams of the club have 90 members each."""
    assert "the bank stays empty: no group of the surveys has 100 respondents" in trained[2]


def test_the_weight_of_a_language_model_is_in_the_card(trained: tuple[Path, Path, str]) -> None:
    _, out, printed = trained
    stored = load_card(out).config["llm_prior"]
    fit = Fit.of(stored)
    assert fit.model == "opinion-lm"
    assert fit.figures["questions"] == 6
    assert fit.figures["kl_both"] <= min(fit.figures["kl_bank"], fit.figures["kl_llm"])
    assert f"opinion-lm: weight {fit.both.weight:g}" in printed
    answers = list((out.parent / "cache" / "llm-answers").glob("*.jsonl"))
    assert len(answers) == 1
    assert "season" not in answers[0].read_text(), "no text is kept"


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--llm-prior", "/no/such/model"], "/no/such/model"),
     (["--llm-prior", str(LM), "--arch", "published"], "--arch published")],
)  # fmt: skip
def test_a_language_model_that_cannot_be_used_ends_it_before_the_training(
    trained: tuple[Path, Path, str], tmp_path: Path, more: list[str], said: str
) -> None:
    data, out, _ = trained
    cache = str(out.parent / "cache")
    done = gpo("train", "--data", str(data), "--out", str(tmp_path / "c"), "--cache", cache, *SMALL,
               *more, cwd=tmp_path, env={**os.environ, "HF_HUB_OFFLINE": "1"})  # fmt: skip
    assert done.returncode == 2
    assert "--llm-prior" in done.stderr
    assert said in done.stderr
    assert not (tmp_path / "c").exists()


def test_evaluation_prints_every_regime_with_its_baselines(
    trained: tuple[Path, Path, str],
) -> None:
    data, out, _ = trained
    table, figures = out.parent / "table.md", out.parent / "figures.json"
    done = gpo(
        "evaluate", "--data", str(data), "--checkpoint", str(out), "--threads", "1",
        "--cache", str(out.parent / "cache"), "--json", str(figures), "--markdown", str(table),
        "--compare", str(out), "--report", str(out.parent / "report"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "new" not in done.stderr
    report = json.loads(figures.read_text())
    assert report["checkpoint"]["digest"] == load_card(out).digest
    found = {(r["regime"], r["predictor"]) for r in report["rows"]}
    for expected in (
        ("B", "uniform"),
        ("B", "mean of the other groups"),
        ("B", "CF-ridge"),
        ("B", "linear from the embedding"),
        ("B", "module, 0 context questions"),
        ("B", "module, 20 context questions"),
        ("B", "gain from 20 context questions"),
        ("F", "consensus of the candidates"),
        ("F", "module, 20, swapped context"),
        ("B", "module, 20, swapped context"),
        ("B", "module, 5 context questions"),
        ("B", "Dirichlet around the prior"),
        ("X", "module, 20 context questions"),
    ):
        assert expected in found
    for row in report["rows"]:
        assert len(row["seeds"]) == 3
        assert row["mean"] == pytest.approx(sum(row["seeds"]) / 3)
        if row["source"] == "club":
            same = [r for r in report["rows"] if r["source"] == "module"]
            assert row["seeds"] in [r["seeds"] for r in same]
    assert "CF-ridge" in table.read_text()
    assert "CF-ridge" in done.stdout
    page = (out.parent / "report" / "index.html").read_text(encoding="utf-8")
    assert load_card(out).weights_sha256 in page
    assert json.loads((out.parent / "report" / "report.json").read_text()) == report
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href|srcset)=["'](?!data:|#)""", page), "it loads nothing"
    pictures = list((out.parent / "report").glob("*.png"))
    assert pictures
    assert all(f"base64,{b64encode(p.read_bytes()).decode()}" in page for p in pictures)
    assert not list((out.parent / "report").glob("*.part"))


def statements(folder: Path) -> Path:
    """Personas and debates of another club, which no training saw."""
    folder.mkdir()
    matters = ["pitches", "fees", "coaches", "shirts", "travel", "youth", "lights", "food"]
    with (folder / "members.jsonl").open("w") as lines:
        for p, name in enumerate(("A keeper", "A treasurer", "A fan")):
            said = [
                f"I, {name.lower()}, count {i} reasons for {matters[i % 8]}." for i in range(28)
            ]
            row = {"persona": name, "would_say": said[p % 2 :: 2]}
            row["would_not_say"] = said[1 - p % 2 :: 2]
            lines.write(json.dumps(row) + "\n")
    with (folder / "meetings.jsonl").open("w") as lines:
        for d in range(2):
            texts: list[str] = [
                f"At meeting {d} speaker {i} wants better {matters[i % 8]}." for i in range(30)
            ]
            sides = {
                "players": [i % 8 / 8 for i in range(30)],
                "fans": [0.9 - i / 40 for i in range(30)],
            }
            row = {"debate": f"What should meeting {d} decide?", "statements": texts}
            row["groups"] = sides
            lines.write(json.dumps(row) + "\n")
    return folder


def test_files_that_the_training_never_had_are_all_new(trained: tuple[Path, Path, str]) -> None:
    _, out, _ = trained
    data, figures = statements(out.parent / "statements"), out.parent / "statements.json"
    command = [
        "evaluate", "--data", str(data), "--checkpoint", str(out), "--threads", "1",
        "--cache", str(out.parent / "cache"), "--json", str(figures),
    ]  # fmt: skip
    done = gpo(*command)
    assert done.returncode == 0, done.stderr
    assert "meetings, members: not in the training" in done.stderr
    report = json.loads(figures.read_text())
    groups = {(r["regime"], r["predictor"]): r["groups"] for r in report["rows"]}
    for regime, count in (("D", 4), ("P", 3)):
        assert groups[regime, "in-context ridge"] == count
        assert groups[regime, "module, 0 context questions"] == count
        assert groups[regime, "module, 20, swapped context"] == count
        assert groups[regime, "gain from 20 context questions"] == count
    done = gpo(*command, "--held-out", "split")
    assert done.returncode == 0, done.stderr
    report = json.loads(figures.read_text())
    found = {(r["regime"], r["groups"]) for r in report["rows"]}
    assert found == {("P", 1)}  # of three personas one is held out, of two debates none


def test_a_checkpoint_and_its_evaluation_are_reproducible(
    trained: tuple[Path, Path, str],
) -> None:
    data, out, _ = trained
    again = out.parent / "again"
    done = gpo(
        "train", "--data", str(data), "--out", str(again), "--run", str(out.parent / "run2"),
        "--cache", str(out.parent / "cache"), "--no-evaluate", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert load_card(again).digest == load_card(out).digest


def test_a_killed_training_goes_on_where_it_was(trained: tuple[Path, Path, str]) -> None:
    data, out, _ = trained
    run, place = out.parent / "run3", out.parent / "killed"
    command = [
        sys.executable, "-m", "service", "train", "--data", str(data), "--out", str(place),
        "--run", str(run), "--cache", str(out.parent / "cache"), "--no-evaluate",
        *SMALL[2:], "--steps", "5000",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 240
        while not (run / "state.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    state = json.loads((run / "state.json").read_text())
    assert not place.exists()
    done = gpo(*command[3:-1], str(state["step"] + 10), cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    assert f"resuming at step {state['step']}" in done.stdout
    assert load_card(place).training.steps == state["step"] + 10


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--data", "{data}", "--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_named(trained: tuple[Path, Path, str], args: list[str], words: str) -> None:
    done = gpo("evaluate", *(a.replace("{data}", str(trained[0])) for a in args))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_data_too_small_to_hold_any_out_is_refused(tmp_path: Path) -> None:
    row = {"id": "Q1", "question": "Tea?", "options": ["Yes", "No"]}
    groups = {name: {"p": [0.4, 0.6]} for name in ("age:18-29", "age:65+")}
    (tmp_path / "club.jsonl").write_text(json.dumps(row | {"groups": groups}) + "\n")
    done = gpo("evaluate", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "too few groups" in done.stderr
    assert "Checkpoint" not in done.stdout


def test_data_with_a_bad_line_is_refused(tmp_path: Path, trained: tuple[Path, Path, str]) -> None:
    shutil.copytree(trained[0], tmp_path / "data")
    with (tmp_path / "data" / "club_survey.jsonl").open("a") as lines:
        lines.write('{"question": "Half a row", "options": ["a"\n')
    done = gpo("train", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "club_survey.jsonl, line 61" in done.stderr
    assert not (tmp_path / "out").exists()
