"""What the servers are asked: a group, prompts that never come twice, questions. Sends nothing."""

from __future__ import annotations

from typing import Any

PLACES = (
    "harbour",
    "market square",
    "library",
    "old mill",
    "river bank",
    "station",
    "park",
    "hall",
)
ACTS = ("be rebuilt", "be sold", "open at night", "stay as it is", "host concerts", "cost nothing")
FORMS = (
    "What should the town do about its {place}? Case {number}.",
    "Should the {place} {act}? Say why. Case {number}.",
    "Write one sentence on whether the {place} should {act}, for case {number}.",
)


def prompt(number: int) -> str:
    """The prompt of this number; no two are alike."""
    return FORMS[number % len(FORMS)].format(
        place=PLACES[number // 3 % len(PLACES)], act=ACTS[number % len(ACTS)], number=number
    )


def question(number: int) -> dict[str, Any]:
    """A question with its options, as /predict takes it."""
    place, act = PLACES[number % len(PLACES)], ACTS[number // len(PLACES) % len(ACTS)]
    return {
        "question": f"Should the {place} {act} in year {number}?",
        "options": ["Yes, soon", "Yes, later", "No"],
    }


def preference(number: int) -> dict[str, Any]:
    """A question with what the group answered."""
    first = 10 + 7 * number % 60
    return {**question(number), "counts": [first, 20, 90 - first]}


def group(identifier: str, *, questions: int) -> dict[str, Any]:
    """A group that has answered so many questions."""
    return {
        "id": identifier,
        "name": identifier.title(),
        "preferences": [preference(i) for i in range(questions)],
    }
