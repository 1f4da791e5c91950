"""Several checkpoints on the same tasks, and the report of it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from episodes_for_tests import vectors_of, write_data
from fixtures.checkpoints import write_checkpoint
from statements_for_tests import DIM, as_new, debates

from models.checkpoint import CheckpointError
from models.compare import load_rivals
from models.contenders import Contender
from models.corpora import Corpora
from models.datasets import preference_files, read_corpus
from models.embedders import Embedder, load_embedder
from models.evaluation import evaluate
from models.page import write_report
from models.report import to_markdown
from models.result import Evaluation
from models.scorer import GPOScorer
from models.splits import SplitConfig, split_corpora

RELEASED = Path(__file__).resolve().parents[3] / "models" / "released" / "minilm"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    """A club's survey and ratings with their splits, and debates that are all new."""
    place = write_data(tmp_path_factory.mktemp("club"), groups=12, questions=200)
    found = tuple(read_corpus(p) for p in preference_files(place))
    new, vectors = as_new(debates()), tuple(vectors_of(c) for c in found)
    return Corpora(
        (*found, *new.corpora),
        (*vectors, *new.vectors),
        (*split_corpora(found, SplitConfig()), *new.splits),
        (*vectors, *new.answers),
    )


@pytest.fixture(scope="module")
def result(corpora: Corpora, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    place = tmp_path_factory.mktemp("checkpoints")
    one, other = (
        GPOScorer.load(write_checkpoint(place / str(s), digest="0" * 64, dim=DIM, seed=s))
        for s in range(2)
    )
    rival = Contender("second", other, corpora.corpora, corpora.vectors)
    rows = evaluate(one, corpora, seeds=(0,), progress=False, rivals=[rival])
    data = {c.name: "ab" * 32 for c in corpora.corpora}
    card = replace(one.card, name="<first> & best")
    settings = {"seeds": [0], "held_out": "auto"}
    return Evaluation(card, tuple(rows), data, settings, {"second": other.card}, ("a <note>",))


def test_both_answer_the_same_tasks(result: Evaluation) -> None:
    found = {(r.regime, r.source, r.role, r.context): r for r in result.rows}
    for regime in "BCFXD":
        gain = found[regime, "second", "gain", 20]
        assert gain.predictor == "second, gain from 20"
        one, other = (found[regime, s, "module", 20] for s in ("module", "second"))
        assert one.by_group.keys() == other.by_group.keys()
        assert one.mean != other.mean


def test_a_checkpoint_that_is_compared_does_as_well_as_alone(
    result: Evaluation, corpora: Corpora, tmp_path: Path
) -> None:
    same = GPOScorer.load(write_checkpoint(tmp_path, digest="0" * 64, dim=DIM, seed=1))
    alone = evaluate(same, corpora, seeds=(0,), progress=False)
    for row in (r for r in alone if r.source == "module"):
        (compared,) = (
            r
            for r in result.rows
            if (r.regime, r.data, r.source, r.role, r.context)
            == (row.regime, row.data, "second", row.role, row.context)
        )
        assert compared.mean == pytest.approx(row.mean)
        assert compared.coverage == row.coverage


def test_every_baseline_of_new_questions_is_there(result: Evaluation) -> None:
    names = {r.predictor for r in result.rows if r.regime == "C"}
    assert names >= {
        "uniform",
        "linear from the embedding",
        "neighbours with the same options",
        "neighbours + kernel ridge",
        "the same + residual ridge",
    }


def test_the_table_starts_with_the_baselines(result: Evaluation) -> None:
    own = [r.role for r in result.rows if r.regime == "B" and r.source in ("", "module")]
    assert (
        own == sorted(own, key=["baseline", "swapped", "module", "prior", "gain"].index)
        or own.index("prior") == own.index("module") + 1
    )
    assert own[-1] == "gain"


class _Page(HTMLParser):
    """Pictures, links and ids of a page; raises for a tag that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.outside: list[str] = []
        self.ids: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {k: v or "" for k, v in attrs}
        if tag not in ("meta", "img", "source", "link", "br"):
            self.open.append(tag)
        for key in ("src", "srcset", "href"):
            value = found.get(key, "")
            if value.startswith("data:image/png;base64,"):
                self.pictures.append(value)
            elif value.startswith("#"):
                self.anchors.add(value[1:])
            elif value:
                self.outside.append(value)
        if "id" in found:
            self.ids.add(found["id"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(result: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(result, tmp_path_factory.mktemp("written") / "report")


def test_the_report_is_one_page_with_its_plots(result: Evaluation, report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.outside == []
    assert page.anchors == page.ids
    assert len(page.ids) == len({(r.regime, r.data) for r in result.rows})
    files = sorted(report.parent.glob("*.png"))
    assert len(page.pictures) == len(files) == 6 * len(page.ids)
    for picture in page.pictures:
        assert base64.b64decode(picture.split(",")[1]).startswith(PNG)
    assert "&lt;first&gt; &amp; best" in text
    assert "a &lt;note&gt;." in text
    assert "ab" * 32 in text
    for row in result.rows:
        assert f"{row.mean:.4f}" in text
    assert not re.search(r"https?://", text)


def test_the_figures_are_beside_it(result: Evaluation, report: Path) -> None:
    figures = json.loads((report.parent / "report.json").read_text())
    assert figures["rows"] == json.loads(json.dumps([asdict(r) for r in result.rows]))
    assert figures["compared"]["second"]["name"] == "random"
    assert figures["settings"]["seeds"] == [0]
    assert to_markdown(result.rows) in (report.parent / "report.md").read_text()


def test_the_same_figures_give_the_same_pictures(result: Evaluation, tmp_path: Path) -> None:
    part = replace(result, rows=tuple(r for r in result.rows if r.regime == "D"))
    for name in ("a", "b"):
        write_report(part, tmp_path / name)
    files = list((tmp_path / "a").iterdir())
    assert len(files) == 3 + 6
    for file in files:
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def no_vectors(embedder: Embedder) -> tuple[np.ndarray, ...]:
    raise AssertionError(f"{embedder} has the same vectors")


def test_each_checkpoint_has_a_name_of_its_own(tmp_path: Path) -> None:
    card = GPOScorer.load(RELEASED).card
    none = Corpora((), (), ())
    rivals, notes = load_rivals([RELEASED] * 3, card, none, no_vectors, device="cpu")
    assert [r.name for r in rivals] == ["gpo-minilm", "minilm", "gpo-minilm 2"]
    assert not notes
    other = write_checkpoint(tmp_path, digest=load_embedder("minilm").digest, dim=768)
    _, notes = load_rivals([other], card, none, no_vectors, device="cpu")
    assert len(notes) == 1
    assert notes[0].startswith("random was trained on other files")


def test_vectors_of_another_embedder_are_refused(tmp_path: Path) -> None:
    damaged = write_checkpoint(tmp_path, digest="0" * 64, dim=768)
    card = GPOScorer.load(RELEASED).card
    with pytest.raises(CheckpointError, match="other vectors"):
        load_rivals([damaged], card, Corpora((), (), ()), no_vectors, device="cpu")
