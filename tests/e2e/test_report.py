"""`gpo report` as a process against the real service: pages, pictures, JSON, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.raw_http import problem, scripted
from fixtures.serve_process import serving
from test_commands import Shell

EXAMPLES = Path(__file__).resolve().parents[2] / "service" / "web" / "example-groups"
GROUPS = ("city-tenants", "small-landlords")


@pytest.fixture(scope="module", autouse=True)
def groups(service_url: str) -> None:
    for name in GROUPS:
        body = (EXAMPLES / f"{name}.json").read_bytes()
        httpx.put(f"{service_url}/groups/{name}", content=body).raise_for_status()


@pytest.fixture
def gpo(tmp_path: Path, service_url: str) -> Shell:
    return Shell(tmp_path, service_url)


def test_each_preference_is_predicted_from_the_others(gpo: Shell, service_url: str) -> None:
    shown = gpo("report", "city-tenants").stdout
    assert "alignment 0." in shown
    assert "written: report-city-tenants.html" in shown
    page = (gpo.folder / "report-city-tenants.html").read_text(encoding="utf-8")
    assert page.endswith("</html>\n")
    assert page.count("<article") == 20
    assert "20 of 2,000" in page

    found = json.loads(gpo("report", "city-tenants", "--json").stdout)
    stored = httpx.get(f"{service_url}/groups/city-tenants?include=preferences").json()
    preferences = stored["preferences"]
    assert len(found["items"]) == len(preferences) == 20
    first = predicted(service_url, preferences[0], preferences[1:])
    [side] = found["items"][0]["groups"]
    assert side["predicted"] == pytest.approx(first["distribution"], abs=1e-6)
    assert side["left_out"] is True
    assert side["answered"] == pytest.approx(preferences[0]["distribution"])
    prior = predicted(service_url, preferences[0], [])
    assert side["without_preferences"] == pytest.approx(prior["distribution"], abs=1e-6)
    assert found["groups"][0]["figures"]["alignment"]["n"] == 12
    assert found["bank"] == "released"
    assert not list(gpo.folder.glob("*.part"))


def predicted(url: str, asked: dict[str, Any], preferences: list[Any]) -> dict[str, Any]:
    body = {"preferences": preferences} | {k: asked[k] for k in ("question", "options")}
    answer = httpx.post(f"{url}/predict", json=body).json()
    found: dict[str, Any] = answer["predictions"][0]
    return found


def test_fewer_folds_leave_out_more(gpo: Shell, service_url: str) -> None:
    each = json.loads(gpo("report", "city-tenants", "--json").stdout)
    half = json.loads(gpo("report", "city-tenants", "--json", "--folds", "2").stdout)
    assert each["items"][0] != half["items"][0]
    preferences = httpx.get(f"{service_url}/groups/city-tenants?include=preferences").json()
    preferences = preferences["preferences"]
    others = predicted(service_url, preferences[0], preferences[1::2])
    [side] = half["items"][0]["groups"]
    assert side["predicted"] == pytest.approx(others["distribution"], abs=1e-6)


def test_two_groups_and_a_file_of_questions(gpo: Shell, service_url: str) -> None:
    pytest.importorskip("matplotlib")
    (gpo.folder / "asked.csv").write_text(
        "question,option,group,share\n"
        "Should rents be capped?,Yes,city-tenants,0.8\n"
        "Should rents be capped?,No,city-tenants,0.2\n"
        "Is the town too loud?,Yes,,\n"
        "Is the town too loud?,No,,\n",
        encoding="utf-8",
    )
    shown = gpo(
        "report", "city-tenants", "--compare", "small-landlords", "--questions", "asked.csv",
        "--out", "two.html", "--png", "pictures", "--json",
    ).stdout  # fmt: skip
    capped, loud = json.loads(shown)["items"]
    tenants, landlords = capped["groups"]
    assert tenants["answered"] == [0.8, 0.2]
    assert landlords["answered"] is None
    assert (tenants["left_out"], tenants["predicted"][0] > landlords["predicted"][0]) == (
        False,
        True,
    )
    asked = {"question": "Is the town too loud?", "options": ["Yes", "No"]}
    stored = httpx.post(
        f"{service_url}/predict", json={"group_id": "small-landlords", **asked}
    ).json()["predictions"][0]
    assert loud["groups"][1]["predicted"] == pytest.approx(stored["distribution"], abs=1e-6)
    page = (gpo.folder / "two.html").read_text(encoding="utf-8")
    assert page.count("<article") == 2
    assert "The two differ most" in page
    pictures = sorted(p.name for p in (gpo.folder / "pictures").iterdir())
    assert pictures == ["calibration.png", "predictions.png"]


def test_what_is_wrong_is_a_sentence_and_leaves_what_is_there(gpo: Shell) -> None:
    (gpo.folder / "kept.html").write_text("before")
    gone = gpo("report", "nobody", "--out", "kept.html", status=1)
    assert "no group with the id 'nobody'" in gone.stderr
    (gpo.folder / "bad.jsonl").write_text('{"question": "?", "options": ["a"]}\n')
    bad = gpo("report", "city-tenants", "--questions", "bad.jsonl", "--out", "kept.html", status=2)
    assert "bad.jsonl:1: options: must be two or more" in bad.stderr
    long = json.dumps({"question": "long " * 4_000, "options": ["a", "b"]})
    (gpo.folder / "long.jsonl").write_text(long)
    too = gpo("report", "city-tenants", "--questions", "long.jsonl", "--out", "kept.html", status=1)
    assert "questions[0].question" in too.stderr
    assert (gpo.folder / "kept.html").read_text() == "before"
    assert not list(gpo.folder.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--out", "nowhere/a.html"], "there is no folder nowhere"),
        (["a", "--out", "."], "is a folder"),
        (["a", "--folds", "0"], "--folds must be 2 or more"),
        (["a", "--compare", "a"], "--compare must name another group"),
        (["a", "--questions", "nowhere.csv"], "nowhere.csv cannot be read"),
        ([], "usage: gpo report"),
    ],
    ids=str,
)
def test_wrong_use_is_told_before_anything_is_asked(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = Shell(tmp_path, "http://127.0.0.1:9")("report", *arguments, status=2)
    assert said in result.stderr


def test_a_service_that_fails_leaves_no_page(tmp_path: Path) -> None:
    failing = [problem(500, "internal_error")] * 3
    with scripted(*failing) as server:
        result = Shell(tmp_path, server.url)("report", "town", status=1)
    assert "internal_error" in result.stderr
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".html"] == []


def test_a_bank_that_holds_the_answers_is_told(tmp_path: Path, service_url: str) -> None:
    own = json.loads(Shell(tmp_path, service_url)("report", "city-tenants", "--json").stdout)
    honest = own["groups"][0]["figures"]["alignment"]["value"]
    with serving(tmp_path, GPO_BANK="both") as service:
        gpo = Shell(tmp_path, service.url)
        gpo("groups", "put", str(EXAMPLES / "city-tenants.json"))
        shown = gpo("report", "city-tenants")
        assert "too good" in shown.stdout
        found = json.loads(gpo("report", "city-tenants", "--json").stdout)
    assert found["own_answers_in_bank"] is True
    # The answers that were left out come back from the bank: this is what is warned of.
    assert found["groups"][0]["figures"]["alignment"]["value"] > honest + 0.1
    assert "GPO_BANK=both" in (tmp_path / "report-city-tenants.html").read_text(encoding="utf-8")
