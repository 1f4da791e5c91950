import random
from pathlib import Path

import pytest

from models.opinion_lm.config import CorpusOptions
from models.opinion_lm.corpus import Corpus, epoch_cases, load_corpus, mentions, normalise
from models.opinion_lm.scales import option_claim, scale_case
from models.opinion_lm.statements import matter_case, pair_case, state_case
from models.opinion_lm.surveys import clean_survey, content_span, split_item
from models.opinion_lm.templates import Case, gerund, only_case, plan_case, side_case, thing_case

MAKERS = (thing_case, plan_case, side_case, only_case, scale_case)
MORE_MAKERS = (state_case, pair_case, matter_case)


def test_same_folder_and_seed_give_the_same_epoch(corpus: Corpus, data_folder: Path) -> None:
    again = load_corpus(data_folder, corpus.options)
    assert epoch_cases(again, 3) == epoch_cases(corpus, 3)
    assert epoch_cases(corpus, 3) != epoch_cases(corpus, 4)


def test_another_seed_gives_another_split(corpus: Corpus, data_folder: Path) -> None:
    other = load_corpus(data_folder, CorpusOptions(seed=21, held_out_prompts=2))
    assert other.held_topics != corpus.held_topics


def test_nothing_held_out_reaches_an_epoch(corpus: Corpus) -> None:
    cases = epoch_cases(corpus, 0)
    seen = " | ".join(normalise(f"{c.key} {c.prompt}") for c in cases)
    assert len(corpus.held_prompts) == 2
    assert corpus.held_surveys
    for prompt in corpus.held_prompts:
        assert normalise(prompt.prompt) not in seen
        assert not {a for c in cases for a in c.answers} & set(prompt.answers)
    keys = {normalise(c.key) for c in cases}
    assert not keys & {normalise(s.question) for s in corpus.held_surveys}
    made_up = [c for c in cases if c.kind.startswith("topic")]
    assert len(made_up) == 40
    assert not any(mentions(c, corpus.held_topics) for c in made_up)


def test_short_and_repeated_answers_are_dropped(corpus: Corpus) -> None:
    answers = [normalise(a) for p in (*corpus.prompts, *corpus.held_prompts) for a in p.answers]
    assert len(answers) == len(set(answers)) == 600
    assert min(len(a.split()) for a in answers) >= 4


def test_refusals_are_no_options(corpus: Corpus) -> None:
    survey = corpus.surveys[0]
    assert survey.options == ("A great deal", "A little", "Not at all")
    assert sum(survey.shares) == pytest.approx(1.0)


def test_survey_answers_take_different_options_and_name_the_subject(corpus: Corpus) -> None:
    cases = [c for c in epoch_cases(corpus, 0) if c.kind.startswith("survey")]
    answers = [normalise(a) for c in cases for a in c.answers]
    for option in corpus.surveys[0].options:
        assert sum(normalise(option) in a for a in answers) > len(answers) * 0.1
    subjects = ("pond", "market", "railway", "orchestra", "garden", "wall", "room", "rink")
    assert sum(any(s in a for s in subjects) for a in answers) > len(answers) * 0.9


@pytest.mark.parametrize("make", [*MAKERS, *MORE_MAKERS])
def test_made_up_answers_hardly_repeat(make: object) -> None:
    rng = random.Random(1)
    cases: list[Case] = [make(rng, 4) for _ in range(200)]  # type: ignore[operator]
    long = [a for c in cases for a in c.answers if len(a.split()) >= 8]
    assert len(set(long)) > 0.97 * len(long)
    assert all("{" not in text for c in cases for text in (c.prompt, *c.answers))


@pytest.mark.parametrize(
    ("question", "item"),
    [
        ("Do you trust ____ or not? b. the mayor", "the mayor"),
        ("How important is each?...clean streets?", "clean streets"),
        ("How big a problem is this: Loud music", "Loud music"),
        ("Do you like tea?", ""),
    ],
)
def test_items_are_split_off(question: str, item: str) -> None:
    assert split_item(question)[1] == item


def test_span_keeps_the_words_of_the_matter() -> None:
    assert content_span("Do you think the price of bread is too high?") == "the price of bread"


def test_a_question_without_two_options_is_left_out() -> None:
    row = {
        "question": "Do you like tea?",
        "options": ["Yes", "Refused"],
        "groups": {"a": {"p": [1, 0]}},
    }
    assert clean_survey(row, "us") is None


def test_option_claims_hold_option_and_subject() -> None:
    rng = random.Random(0)
    for option in ("Very important", "Not too worried", "Increase", "Only on rainy days"):
        text = normalise(option_claim(rng, option, "green hats"))
        assert normalise(option) in text
        assert "green hats" in text


@pytest.mark.parametrize(
    ("plan", "form"),
    [("ban zoos", "banning zoos"), ("close it", "closing it"), ("pay for tea", "paying for tea")],
)
def test_gerund(plan: str, form: str) -> None:
    assert gerund(plan) == form
