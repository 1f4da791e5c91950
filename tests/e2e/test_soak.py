"""A short soak: the service above its capacity, with clients that leave, loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_above_capacity_only_refusals_and_no_write_is_lost(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    command = [sys.executable, "benchmarks/soak.py", "--store", "sqlite", "--minutes", "0.15"]
    command += ["--generator", "transformers", "--out", str(out)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    [row] = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert row["faults"] == []
    assert row["stuck"] == row["broken"] == 0
    assert row["lost_or_torn"] == []
    assert row["acknowledged_writes"] > 0
    assert row["places_free_again"]
    statuses = {status for counts in row["counts"] for status in counts} - {"route", "p50_ms"}
    assert statuses <= {"200", "201", "204", "404", "409", "412", "503", "left"}
