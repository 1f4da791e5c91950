"""Two real processes that torchrun starts train one checkpoint, and one of them speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from episodes_for_tests import write_data

from models.parallel import Ranks
from models.scorer import GPOScorer

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["--batch", "2", "--d-model", "16", "--layers", "1", "--threads", "1"]
QUICK = ["--no-evaluate", "--no-leanings"]


def torchrun(place: Path, steps: int) -> list[tuple[str, str]]:
    """Standard output and error of each of two processes that trained `place`/club."""
    logs = place / f"logs-{steps}"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "--redirects", "3", "--log-dir", str(logs), "-m", "--", "models.train",
         "--data", str(place / "data"), "--out", str(place / "club"), "--run", str(place / "run"),
         "--cache", str(place / "cache"), "--steps", str(steps), *SMALL, *QUICK],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    errors = "".join(file.read_text() for file in logs.rglob("stderr.log"))
    assert done.returncode == 0, done.stderr + errors
    found = sorted(logs.rglob("stdout.log"), key=lambda file: file.parent.name)
    return [(out.read_text(), out.with_name("stderr.log").read_text()) for out in found]


def test_two_processes_train_one_checkpoint_and_go_on_with_it(tmp_path: Path) -> None:
    write_data(tmp_path / "data", questions=20)
    first, second = torchrun(tmp_path, 6)
    assert "6 steps, all steps done" in first[0]
    assert "6/6" in first[1]
    assert second[0] == ""
    assert "step" not in second[1], "one progress bar"
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert (state["step"], state["processes"]) == (6, 2)
    drawn = [generator["state"] for generator in state["numpy_rng"]]
    assert drawn[0] != drawn[1], "each draws episodes of its own"
    loaded = GPOScorer.load(tmp_path / "club")
    assert loaded.card.training.steps == 6

    first, second = torchrun(tmp_path, 9)
    assert "resuming at step 6" in first[0]
    assert second[0] == ""
    again = GPOScorer.load(tmp_path / "club")
    assert again.card.training.steps == 9
    assert sorted(p.name for p in tmp_path.glob("club*")) == ["club"]


def test_a_batch_is_shared_out_and_never_leaves_a_process_without_any() -> None:
    assert [Ranks(number, 3).portion(8) for number in range(3)] == [3, 3, 2]
    with pytest.raises(ValueError, match="--batch 2 is fewer than the 3 processes"):
        Ranks(0, 3).portion(2)
