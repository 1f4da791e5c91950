"""The tour against a service of a few lines that answers as the REST contract says."""

import json
import re
import sys
from pathlib import Path

import pytest

from service.demo import FILES, GROUPS, LEAST_DIFFERENCE, OPTIONS, QUESTION, run

FAKE = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

shares = json.loads(sys.argv[1])
registered = []

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {"status": "ok"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/groups":
            registered.append(body["id"])
            return self.answer(201, {"id": body["id"]})
        if body["group_ids"] != registered:
            return self.answer(404, {"code": "group_not_found"})
        if self.path == "/predict":
            predictions = [
                {"group_id": g, "distribution": [p, 1 - p]} for g, p in zip(registered, shares)
            ]
            return self.answer(200, {"predictions": predictions})
        choices = []
        for best, g in enumerate(registered):
            candidates = [
                {"index": i, "text": f"Draft [{i}]", "score": 0.5 + 0.1 * (i == best),
                 "selected": i == best, "std": 0.1}
                for i in range(body["n"])
            ]
            candidates.sort(key=lambda c: -c["score"])
            choices.append({"group_id": g, "text": candidates[0]["text"], "candidates": candidates})
        self.answer(200, {"choices": choices})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    script = tmp_path / "fake_service.py"
    script.write_text(FAKE)
    return script


def command(script: Path, *shares: float) -> tuple[str, ...]:
    return (sys.executable, str(script), json.dumps(shares))


def test_both_groups_are_shown_side_by_side(
    fake: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert run([], command=command(fake, 0.81, 0.36)) == 0
    out = capsys.readouterr().out
    (first,) = [line for line in out.splitlines() if OPTIONS[0] in line]
    assert re.findall(r"\d+%", first) == ["81%", "36%"]
    left, right = re.findall(r"━+", first)
    assert len(left) > len(right)
    # Each chosen draft stands once in the table, marked, and once as the group's answer.
    assert out.count("Draft [0]") == out.count("Draft [1]") == 2
    assert out.count("chosen") == 2
    assert "+0.45" in out


def test_the_question_stays_indented_on_a_narrow_terminal(
    fake: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert run([], command=command(fake, 0.81, 0.36)) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"  {QUESTION[:20]}"))
    assert " ".join(line.strip() for line in lines[first : first + 2]) == QUESTION
    assert re.match(r"  \S", lines[first + 1])


def test_json_is_the_only_thing_on_stdout(fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json"], command=command(fake, 0.7, 0.3)) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["ok"]
    assert outcome["difference"] == pytest.approx(0.4)
    assert [group["text"] for group in outcome["groups"]] == ["Draft [0]", "Draft [1]"]


@pytest.mark.parametrize("shares", [(0.3, 0.7), (0.5, 0.5), (0.5, 0.45)])
def test_a_direction_that_the_contexts_do_not_say_fails(
    fake: Path, shares: tuple[float, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([], command=command(fake, *shares)) == 1
    assert "The check failed" in capsys.readouterr().out


def test_a_service_that_does_not_start_is_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('the checkpoint [minilm] is not there')\n")
    assert run([], command=(sys.executable, str(script))) == 1
    out = capsys.readouterr().out
    assert "ended with status 1" in out
    assert "the checkpoint [minilm] is not there" in out


def test_an_error_of_the_service_is_quoted(fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake.write_text(FAKE.replace('registered.append(body["id"])', "pass"))
    assert run([], command=command(fake, 0.7, 0.3)) == 1
    assert "group_not_found" in capsys.readouterr().out


def test_missing_examples_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--groups", str(tmp_path / "none")], command=("false",)) == 1
    assert "--groups DIR" in " ".join(capsys.readouterr().out.split())


def test_the_users_settings_do_not_reach_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GPO_STORE_URL", "redis://elsewhere")
    monkeypatch.setenv("GPO_MODEL", "elsewhere")
    script = tmp_path / "shows.py"
    script.write_text("import os; print({k: v for k, v in os.environ.items() if 'GPO' in k})\n")
    assert run([], command=(sys.executable, str(script))) == 1
    out = capsys.readouterr().out
    assert "elsewhere" not in out
    assert "sqlite:///" in out


def test_example_groups_contrast_and_do_not_hold_the_question() -> None:
    groups = [json.loads((GROUPS / name).read_text()) for name in FILES]
    for group in groups:
        asked = [p.get("question") or p["prompt"] for p in group["preferences"]]
        assert QUESTION not in asked
        assert not any("raise the rent" in text or "limits how much" in text for text in asked)
        kinds = {frozenset(preference) for preference in group["preferences"]}
        assert kinds == {
            frozenset({"question", "options", "distribution"}),
            frozenset({"question", "options", "counts"}),
            frozenset({"prompt", "response", "score"}),
            frozenset({"prompt", "chosen", "rejected"}),
        }
        assert 12 <= len(group["preferences"]) <= 20
    assert LEAST_DIFFERENCE >= 0.1
