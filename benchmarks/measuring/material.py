"""What the servers are asked: a group, prompts that never come twice, questions. Sends nothing."""

from __future__ import annotations

from random import Random
from typing import Any

WORDS = [
    "city",
    "park",
    "road",
    "tax",
    "school",
    "health",
    "work",
    "train",
    "river",
    "market",
    "energy",
    "music",
    "language",
    "history",
    "water",
    "farm",
    "street",
    "law",
    "choir",
    "winter",
    "summer",
    "village",
    "bridge",
    "factory",
    "garden",
    "library",
    "hospital",
]
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


def new_question(draw: Random) -> dict[str, Any]:
    """A question of 6 to 16 words with four options of 1 to 5, which nobody has asked before."""

    def words(fewest: int, most: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.randint(fewest, most)))

    number = draw.getrandbits(32)
    return {
        "question": f"Should {words(5, 15)} for {number}?",
        "options": [f"{start} {words(1, 4)}" for start in ("Yes", "No", "Perhaps", "Never")],
    }


def answered(question: dict[str, Any], draw: Random) -> dict[str, Any]:
    """The question with the counts of a group's answers."""
    return {**question, "counts": [draw.randint(1, 60) for _ in question["options"]]}
