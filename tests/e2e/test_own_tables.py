"""A user's own CSV tables, from `gpo train` to the service that answers from what was trained."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fixtures.serve_process import environment, serving

from models.checkpoint import load_card

TEAMS = [f"team:{letter}" for letter in "ABCDEFGHIJKL"]
MATTERS = ["pitches", "fees", "coaches", "shirts", "travel", "youth", "lights", "food"]
SMALL = ["--steps", "10", "--batch", "2", "--d-model", "16", "--layers", "1", "--threads", "1"]
QUICK = ["--no-evaluate", "--no-leanings"]
# Every team says nearly the same to this one, which no prior of a foreign survey knows.
AGREED = "Should the club's badge stay a blue heron?"


def write_tables(folder: Path) -> Path:
    """A survey and rated answers of a club's teams, a line for each cell."""
    folder.mkdir()
    with (folder / "survey.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["question", "option", "group", "share", "n"])
        for q in range(32):
            text = f"Should the club spend more on {MATTERS[q % 8]}, or less, in season {q}?"
            for t, team in enumerate(TEAMS):
                share = round(0.5 + 0.04 * (q * 37 % 11 - 5) / 5 * (t - 5.5), 3)
                table.writerow([text, "More", team, share, 150])
                table.writerow([text, "Less", team, round(1 - share, 3), 150])
        for team in TEAMS:
            table.writerows([[AGREED, "Yes", team, 0.95, 150], [AGREED, "No", team, 0.05, 150]])
    with (folder / "ratings.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["prompt", "response", "group", "share", "n"])
        for prompt in range(6):
            for answer in range(16):
                said = f"More {MATTERS[answer % 8]}, and {answer} more reasons for it."
                for t, team in enumerate(TEAMS):
                    share = round(0.2 + 0.6 * ((answer + t) % 7) / 7, 3)
                    table.writerow([f"What matters to member {prompt}?", said, team, share, 30])
    return folder


def train(place: Path, *more: str) -> str:
    """What `gpo train` prints; its checkpoint is `place`/club."""
    done = subprocess.run(
        [sys.executable, "-m", "service", "train", "--data", str(place / "tables"),
         "--out", str(place / "club"), "--run", str(place / "run"),
         "--cache", str(place / "cache"), *SMALL, *QUICK, *more],
        env=environment(place), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tables_become_a_checkpoint_that_the_service_answers_from(tmp_path: Path) -> None:
    write_tables(tmp_path / "tables")
    out = tmp_path / "club"
    assert f"saved {out}" in train(tmp_path).replace("\n", "")
    card = load_card(out)
    assert {d.name: d.rows for d in card.data} == {"survey": 33, "ratings": 96}
    told = {"question": "Should the club buy new nets?", "options": ["Yes", "No"], "counts": [9, 1]}
    asked = {"question": AGREED, "options": ["No", "Yes"]}
    with serving(tmp_path, GPO_CHECKPOINT=str(out)) as service:
        assert f"from {out}" in service.said
        with httpx.Client(base_url=service.url, timeout=60) as client:
            answer = client.post("/predict", json={"preferences": [told], **asked})
            version = client.get("/version").json()
        assert service.stop() == 0
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == version["scorer"]
    assert version["scorer"] == f"club@{card.digest}"
    [no, yes] = answer.json()["predictions"][0]["distribution"]
    assert no + yes == pytest.approx(1, abs=1e-6)
    assert yes > 0.8, "the bank is that of the tables"
