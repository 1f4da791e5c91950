"""schemathesis over the OpenAPI document of a running service, every check on: no failure.

Real socket, released module, bundled language model. The caps are small so that arrays of the
largest size and every generation stay cheap; the document states them. What JSON Schema cannot
say of a valid request is put right by fixtures/schemathesis_hooks.py, and the two longer lists of
statuses in schemathesis.toml have their reasons beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fixtures.document import routes
from fixtures.serve_process import ServeProcess, serving

from service.settings import Settings

# With keys where the service knows them: then every check of authentication has something to do.
KEY = "a key of the checks"
HAS_KEYS = "api_keys" in Settings.model_fields
KEYED = {"Authorization": f"Bearer {KEY}"} if HAS_KEYS else {}
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# The whole of it; the phases end by themselves or with the time.
SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "100"))
EXAMPLES = "15"
CAPS = {
    "GPO_MAX_TOKENS": "8",
    "GPO_MAX_N": "3",
    "GPO_BEST_OF": "2",
    "GPO_MAX_OPTIONS": "6",
    "GPO_MAX_PREFERENCES": "40",
    "GPO_MAX_QUESTIONS": "3",
    "GPO_MAX_RESPONSES": "6",
    "GPO_MAX_GROUPS": "3",
    "GPO_MAX_LIST": "20",
    "GPO_LOG_LEVEL": "warning",
}
# The group that the document's examples speak of.
GROUP = {
    "name": "City dwellers",
    "preferences": [{"prompt": "What is good?", "response": "A park.", "score": 0.9}],
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    keys = {"GPO_API_KEYS": f"checks:{digest}"} if HAS_KEYS else {}
    with serving(tmp_path_factory.mktemp("schemathesis"), **CAPS, **keys) as running:
        made = httpx.put(f"{running.url}/groups/city-dwellers", json=GROUP, headers=KEYED)
        made.raise_for_status()
        yield running
        assert "Traceback" not in running.said


def test_the_running_service_is_what_its_document_says(
    service: ServeProcess, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli"]
    command += ["--config-file", str(HERE / "schemathesis.toml"), "run"]
    command += [f"{service.url}/openapi.json", "--checks", "all", "--continue-on-failure"]
    command += ["--max-examples", EXAMPLES, "--max-time", str(SECONDS), "--request-timeout", "60"]
    command += ["--generation-deterministic", "--no-color"]
    command += ["--report", "json", "--report-json-path", str(report)]
    for name, value in KEYED.items():
        command += ["--header", f"{name}: {value}"]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "SCHEMATHESIS_HOOKS": "fixtures.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
    )
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-2_000:]
    # It tried every operation, and in earnest.
    document = httpx.get(f"{service.url}/openapi.json", headers=KEYED).json()
    operations = {route.name for route in routes(document)}
    [tested] = re.findall(r"Tested: (\d+)", result.stdout)
    assert int(tested) == len(operations), result.stdout
    [(generated, passed)] = re.findall(r"(\d+) generated, (\d+) passed", result.stdout)
    assert generated == passed
    assert int(generated) > 50 * len(operations), result.stdout
    assert json.loads(report.read_text(encoding="utf-8"))
    print(result.stdout)
