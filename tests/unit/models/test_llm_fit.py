"""Asking a language model, and the weight of its answers beside the kernel prior."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.batches import Expectation, FloatArray, Kind
from models.corpora import Corpora
from models.datasets import Corpus
from models.llm_answers import LlmAnswers, LlmError
from models.llm_fit import fit_pool
from models.splits import Part, Split

LM = Path(__file__).resolve().parents[3] / "models" / "released" / "opinion-lm"
OPTIONS = ["Once a week", "Once a month", "Never"]
QUESTIONS = 40


def corpora(*, part: Part = Part.VALIDATION) -> Corpora:
    """Groups that answer almost alike, each question with shares of its own."""
    rng = np.random.default_rng(3)
    truth = rng.dirichlet([2, 2, 2], QUESTIONS).astype(np.float32)
    values = np.stack([truth.ravel()] * 4)
    corpus = Corpus(
        name="invented",
        kind=Kind.SHARE,
        pairs=tuple((f"Question {i}?", o) for i in range(QUESTIONS) for o in OPTIONS),
        starts=np.arange(QUESTIONS + 1) * 3,
        question=np.arange(QUESTIONS),
        values=values,
        weights=np.full((4, QUESTIONS), 100, np.float32),
        ordinal=np.full(QUESTIONS * 3, np.nan, np.float32),
        groups=("a", "b", "c", "d"),
    )
    vectors = np.repeat(np.arange(QUESTIONS, dtype=np.float32), 3)[:, None] + 1
    groups = np.array([Part.VALIDATION, Part.VALIDATION, Part.TRAIN, Part.TEST], np.int8)
    return Corpora((corpus,), (vectors,), (Split(groups, np.full(QUESTIONS, part, np.int8)),))


class Kernel:
    """Knows the first question; of the others it says the same."""

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        mean = np.array([0.4, 0.35, 0.25], np.float32)
        none = np.zeros((3, 0), np.float32)
        return [Expectation(mean, none, float(v[0, 0] == 1)) for _, v in items]


def truth_of(question: str) -> FloatArray:
    number = int(question.split()[1].rstrip("?"))
    found: FloatArray = corpora().corpora[0].values[0, 3 * number : 3 * number + 3]
    return found


def test_a_model_that_knows_it_all_gets_all_the_weight() -> None:
    fit = fit_pool("oracle", lambda q, o: truth_of(q), corpora(), Kernel(), progress=False)
    assert (fit.both.weight, fit.both.temperature) == (1.0, 1.0)
    assert fit.alone.temperature == 1.0
    assert fit.figures["questions"] == QUESTIONS - 1
    assert fit.figures["kl_both"] < 0.005 < fit.figures["kl_bank"]


def test_a_model_that_exaggerates_is_tempered() -> None:
    def loud(question: str, options: Sequence[str]) -> FloatArray:
        squared = truth_of(question) ** 2
        return np.asarray(squared / squared.sum(), np.float32)

    fit = fit_pool("loud", loud, corpora(), Kernel(), progress=False)
    assert fit.alone.temperature == 2.0
    assert fit.both.weight / fit.both.temperature == pytest.approx(0.5, abs=0.1)


def test_a_model_that_knows_nothing_gets_no_weight() -> None:
    def noise(question: str, options: Sequence[str]) -> FloatArray:
        return np.roll(truth_of(f"Question {(int(question.split()[1][:-1]) + 7) % 40}?"), 1)

    fit = fit_pool("noise", noise, corpora(), Kernel(), progress=False)
    assert fit.both.weight / fit.both.temperature < 0.1
    assert fit.figures["kl_both"] <= fit.figures["kl_bank"] < fit.figures["kl_llm"] + 0.05


def test_without_validation_questions_there_is_nothing_to_fit() -> None:
    with pytest.raises(LlmError, match="validation questions"):
        fit_pool("any", lambda q, o: truth_of(q), corpora(part=Part.TRAIN), Kernel())


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[LlmAnswers, Path]:
    cache = tmp_path_factory.mktemp("cache")
    return LlmAnswers.load(str(LM), device="cpu", cache=cache), cache


def test_the_order_of_the_options_does_not_matter(answers: tuple[LlmAnswers, Path]) -> None:
    llm, _ = answers
    assert llm.name == "opinion-lm"
    straight = llm.shares("How often do you swim?", OPTIONS)
    mixed = llm.shares(" How often do you swim?", [OPTIONS[2], OPTIONS[0], " Once a  month "])
    np.testing.assert_array_equal(straight[[2, 0, 1]], mixed)
    assert straight.sum() == pytest.approx(1, abs=1e-5)


def test_an_answer_is_asked_once(answers: tuple[LlmAnswers, Path]) -> None:
    llm, cache = answers
    asked = llm.shares("How often do you read?", OPTIONS)
    (file,) = (cache / "llm-answers").iterdir()
    assert "read?" not in file.read_text()
    with file.open("a") as lines:
        lines.write('{"key": "cut o')
    again = LlmAnswers(None, None, name="no model", cache=file)
    np.testing.assert_array_equal(again.shares("How often do you read?", OPTIONS), asked)
    with pytest.raises(AttributeError):
        again.shares("A question that nobody asked?", OPTIONS)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LlmError, match=str(tmp_path)):
        LlmAnswers.load(str(tmp_path), device="cpu", cache=tmp_path)
