import numpy as np
import pytest

from models.opinion_lm.measures import (
    AnswerIndex,
    distinct,
    entropy_share,
    nearest_ranks,
    option_taken,
    stance,
)


def test_distinct_counts_different_ngrams() -> None:
    assert distinct(["a b", "a b"], 1) == 0.5
    assert distinct(["a b", "c d"], 2) == 1.0
    assert distinct([], 1) == 0.0


def test_the_longest_option_counts() -> None:
    options = ("Important", "Not too important", "No")
    assert option_taken("Tea is not too important to me.", options) == 1
    assert option_taken("Nobody knows.", options) is None


def test_entropy_share_runs_from_zero_to_one() -> None:
    assert entropy_share([1, 1, 1], 3) == entropy_share([2], 3) == 0.0
    assert entropy_share([0, 1, 2], 3) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Yes. I support longer hours because it is fair.", "for"),
        ("I am against longer hours, because I like sleep.", "against"),
        ("It depends on the details of the plan.", "mixed"),
        ("Blue.", "unclear"),
    ],
)
def test_stance_is_read_from_cue_words(text: str, label: str) -> None:
    assert stance(text) == label


def test_ranks_count_nearer_prompts() -> None:
    prompts = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0, 0], [0.9, 0.1, 0]], dtype=np.float32)
    assert list(nearest_ranks(texts, prompts, [0, 1])) == [0, 1]


def test_only_whole_long_answers_count_as_repeated() -> None:
    index = AnswerIndex(["One two three four five six seven eight nine", "Too short to count"])
    assert index.repeats("Well, one two three four five six seven eight nine!")
    assert not index.repeats("one two three four five six seven eight ten")
    assert index.shares_run("one two three four five six seven eight ten")
    assert not index.shares_run("too short to count")
