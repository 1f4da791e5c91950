"""Train a module on a survey of your own, serve it, ask it: from nothing to an answer.

The survey is invented: sixteen teams of a sports club, whose answers follow one trait. Training in
earnest takes thousands of steps (docs/training.md); sixty show that everything fits together.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.client import GPOClient

GPO = [sys.executable, "-m", "service"]
MATTERS = ["pitches", "fees", "coaches", "shirts", "travel", "youth teams", "lights", "food"]
SMALL = ["--steps", "60", "--batch", "2", "--d-model", "32", "--layers", "1", "--no-evaluate"]


def write_survey(file: Path) -> None:
    """Every question with the share of each team (docs/data.md); 120 members answered in each."""
    with file.open("w", encoding="utf-8") as rows:
        for number in range(60):
            matter, lean = MATTERS[number % len(MATTERS)], (number * 37 % 11 - 5) / 5
            shares = {f"team:{t}": 0.5 + 0.04 * lean * (t - 7.5) for t in range(16)}
            row = {
                "question": f"Should the club spend more on {matter} in season {number}?",
                "options": ["Yes, more", "No, less"],
                "groups": {team: {"n": 120, "p": [p, 1 - p]} for team, p in shares.items()},
            }
            rows.write(json.dumps(row) + "\n")


@contextmanager
def served(folder: Path, checkpoint: Path) -> Iterator[str]:
    """The service with that checkpoint, on a free port, until the block ends."""
    log = folder / "serve.log"
    settings = {
        **os.environ,
        "GPO_CHECKPOINT": str(checkpoint),
        "GPO_STORE_URL": f"sqlite:///{folder / 'groups.db'}",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*GPO, "serve", "--port", "0"], env=settings, stdout=out, stderr=out
        )
    try:
        while True:
            found = re.search(r"listens on (http://\S+)", log.read_text(errors="replace"))
            if found:
                break
            if process.poll() is not None:
                sys.exit(log.read_text(errors="replace"))
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        yield found[1]
    finally:
        process.terminate()
        process.wait()


with tempfile.TemporaryDirectory() as scratch:
    folder = Path(scratch)
    (folder / "data").mkdir()
    write_survey(folder / "data" / "club.jsonl")
    checkpoint = folder / "club"
    places = ["--data", folder / "data", "--out", checkpoint, "--run", folder / "run"]
    subprocess.run([*GPO, "train", *places, "--cache", folder / "cache", *SMALL], check=True)
    with served(folder, checkpoint) as url, GPOClient(url) as client:
        print(f"\nserved by {client.version().scorer}")
        answer = client.predict(
            "Should the club spend more on coaches in season 99?",
            ["Yes, more", "No, less"],
            preferences=[
                {
                    "question": "Should the club spend more on youth teams in season 98?",
                    "options": ["Yes, more", "No, less"],
                    "distribution": [0.8, 0.2],
                }
            ],
        )
        [prediction] = answer.predictions
        for option, share, (low, high) in zip(
            prediction.options, prediction.distribution, prediction.interval, strict=True
        ):
            print(f"  {option:10} {share:.0%} ({low:.0%} to {high:.0%})")
