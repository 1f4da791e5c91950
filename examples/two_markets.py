"""Compare what two markets would answer to new questions, and whether the difference is one."""

import json
from pathlib import Path

from service.client import GPOClient, Prediction

MARKETS = Path(__file__).parent / "markets"
PAIR = ["cedar-city", "birch-valley"]


def lines(name: str) -> list[dict]:
    text = (MARKETS / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def apart(one: Prediction, other: Prediction, option: int) -> str:
    """A difference is clear where neither prediction is inside the other's interval."""
    inside = (
        other.interval[option][0] <= one.distribution[option] <= other.interval[option][1]
        or one.interval[option][0] <= other.distribution[option] <= one.interval[option][1]
    )
    return "within the uncertainty" if inside else "clear"


with GPOClient() as client:
    for group in client.groups.import_(lines("markets.jsonl")):
        assert group.status != "refused", group.errors

    questions = lines("questions.jsonl")
    found = client.predict(questions=questions, group_ids=PAIR).predictions
    # Group after group: all questions of the first, then all of the second.
    for one, other in zip(found[: len(questions)], found[len(questions) :], strict=True):
        print(f"\n{one.question}")
        for i, option in enumerate(one.options):
            sides = "   ".join(
                f"{p.distribution[i]:4.0%} ({p.interval[i][0]:3.0%} to {p.interval[i][1]:4.0%})"
                for p in (one, other)
            )
            difference = one.distribution[i] - other.distribution[i]
            print(f"  {option:24} {sides}   {difference:+.2f} {apart(one, other, i)}")
