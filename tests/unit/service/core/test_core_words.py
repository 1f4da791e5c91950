"""Reasoning blocks, steering prompts and the arithmetic of preferences and probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import preferences
from service.core.candidates import consensus_of
from service.core.contexts import GroupContext
from service.core.domain import (
    ChatPrompt,
    ComparisonPreference,
    Context,
    Message,
    Preference,
    RatingPreference,
    SharePreference,
)
from service.core.errors import InvalidInput
from service.core.limits import Limits
from service.core.reasoning import split_reasoning
from service.core.score import list_probability
from service.core.steering import Steering, steer_prompt, strongest

USER = Message("user", "Why?")


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("An answer.", "An answer.", None),
        ("  spaced  ", "  spaced  ", None),
        ("<think>a</think>b", "b", "a"),
        ("<think>\na\n</think>\n\nb\n", "b", "a"),
        ("<think>a", "", "a"),
        ("b <think>a</think> c", "b  c", "a"),
        ("<think>a</think>b<think>c</think>d", "bd", "a\nc"),
        ("<think>a</think>b<think>c", "b", "a\nc"),
        ("a</think>b", "b", "a"),
        ("a</think>b<think>c</think>d", "bd", "a\nc"),
        ("<think></think>b", "b", ""),
        ("", "", None),
        ("1 < 2 and <thinking> is no tag", "1 < 2 and <thinking> is no tag", None),
    ],
)
def test_reasoning_is_taken_out(text: str, answer: str, reasoning: str | None) -> None:
    assert split_reasoning(text) == (answer, reasoning)


def group(*held: Preference, description: str | None = None) -> GroupContext:
    return GroupContext("g", 1, description, held, Context("d", ()))


def steer(*messages: Message, **changes: object) -> list[Message]:
    fields: dict[str, object] = {
        "system_prompt": None, "steering": Steering.NONE, "groups": [group()], **changes,
    }  # fmt: skip
    return list(steer_prompt(ChatPrompt(messages), **fields).messages)  # type: ignore[arg-type]


def test_nothing_to_say_adds_no_system_message() -> None:
    assert steer(USER) == [USER]
    system = Message("system", "Rhyme.")
    assert steer(system, USER) == [system, USER]


def test_the_operator_comes_first_then_the_group_then_the_client() -> None:
    [system, user] = steer(
        Message("system", "Rhyme."),
        USER,
        system_prompt="Be kind.",
        steering=Steering.DESCRIPTION,
        groups=[group(description="Sailors.")],
    )
    assert user == USER
    places = [system.content.index(text) for text in ("Be kind.", "Sailors.", "Rhyme.")]
    assert places == sorted(places)
    assert places[0] == 0


@pytest.mark.parametrize(
    ("steering", "groups"),
    [
        (Steering.DESCRIPTION, [group()]),
        (Steering.DESCRIPTION, [group(description=" ")]),
        (Steering.PREFERENCES, [group()]),
        (Steering.DESCRIPTION, [group(description="a"), group(description="b")]),
    ],
)
def test_steering_needs_one_group_with_something_to_say(
    steering: Steering, groups: list[GroupContext]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        steer(USER, steering=steering, groups=groups)
    assert caught.value.errors[0].pointer == "/steering"


def test_the_strongest_preferences_are_put_into_words() -> None:
    mild = SharePreference("Mild?", ("Yes", "No"), (0.51, 0.49))
    strong = SharePreference("Strong?", ("Yes", "No"), (0.02, 0.98))
    rated = RatingPreference("Say.", "Never\n again.", 0.1)
    pair = ComparisonPreference("Pick.", "This.", "That.")
    lines = strongest([mild, strong, rated, pair])
    assert lines == [
        'Asked "Pick.", they prefer "This." to "That.".',
        'Asked "Strong?", 98 % answer "No".',
        'Of "Never again." as an answer to "Say.", 10 % approve.',
        'Asked "Mild?", 51 % answer "Yes".',
    ]
    many = strongest([RatingPreference("p" * 900, "r" * 900, 1.0)] * 100)
    assert 1 <= len(many) <= 8
    assert sum(map(len, many)) <= 4_000


shares = st.lists(st.floats(0.001, 1), min_size=2, max_size=20)


@given(shares, st.floats(0.99, 1.01))
def test_a_distribution_is_renormalised(values: list[float], total: float) -> None:
    scale = total / sum(values)
    options = [str(index) for index in range(len(values))]
    share = preferences.share(
        "q", options, distribution=[v * scale for v in values], counts=None, at="", limits=Limits()
    )
    assert sum(share.distribution) == pytest.approx(1, abs=1e-12)
    assert all(0 <= value <= 1 for value in share.distribution)
    for value, kept in zip(values, share.distribution, strict=True):
        assert kept == pytest.approx(value / sum(values))


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=20))
def test_counts_give_shares_and_weight(counts: list[int]) -> None:
    options = [str(index) for index in range(len(counts))]
    if sum(counts) == 0:
        with pytest.raises(InvalidInput):
            preferences.share(
                "q", options, distribution=None, counts=counts, at="", limits=Limits()
            )
        return
    share = preferences.share(
        "q", options, distribution=None, counts=counts, at="", limits=Limits()
    )
    assert share.weight == sum(counts)
    assert sum(share.distribution) == pytest.approx(1, abs=1e-12)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1))
def test_a_scale_is_mapped_to_the_unit_interval(low: float, width: float, at: float) -> None:
    high = low + width
    score = min(max(low + at * width, low), high)
    made = preferences.rating("p", "r", score, scale=[low, high], weight=None, at="")
    assert 0 <= made.score <= 1
    assert made.score == pytest.approx((score - low) / (high - low), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_probabilities_sum_to_one_in_the_order_of_the_scores(scores: list[float]) -> None:
    found = list_probability(np.array(scores))
    assert sum(found) == pytest.approx(1)
    order = np.argsort(scores, kind="stable")
    assert np.all(np.diff(np.array(found)[order]) >= 0)


def test_two_scores_have_the_odds_of_their_difference_in_log_odds() -> None:
    first, second = list_probability(np.array([0.8, 0.5]))
    assert first / second == pytest.approx(4.0)


def test_consensus_is_the_mean_cosine_to_the_others() -> None:
    vectors = np.array([[2, 0], [0, 3], [1, 1]], dtype=np.float32)
    half = np.sqrt(0.5)
    assert consensus_of(vectors) == pytest.approx([half / 2, half / 2, half])
    assert consensus_of(vectors[:1]) == [0.0]
    assert consensus_of(np.zeros((2, 2), dtype=np.float32)) == [0.0, 0.0]
