"""Simulate a survey: every question, every group, with intervals, as CSV and as a total."""

import csv
import json
import sys
from math import sqrt
from pathlib import Path

from service.client import GPOClient, Prediction

MARKETS = Path(__file__).parent / "markets"
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else "survey.csv")


def lines(name: str) -> list[dict]:
    text = (MARKETS / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def total(found: list[Prediction], weights: dict[str, float], option: int) -> tuple[float, ...]:
    """The weighted share, and its standard deviation if the errors go together, or apart."""
    share = sum(weights[p.group_id] * p.distribution[option] for p in found)
    together = sum(weights[p.group_id] * p.std[option] for p in found)
    apart = sqrt(sum((weights[p.group_id] * p.std[option]) ** 2 for p in found))
    return share, together, apart


with GPOClient() as client:
    groups = lines("markets.jsonl")
    for group in client.groups.import_(groups):
        assert group.status != "refused", group.errors
    questions = lines("questions.jsonl")
    answer = client.predict(questions=questions, group_ids=[g["id"] for g in groups])

with OUT.open("w", newline="", encoding="utf-8") as file:
    table = csv.writer(file)
    table.writerow(["group", "question", "option", "share", "low", "high", "std"])
    for p in answer.predictions:
        for option, share, (low, high), std in zip(
            p.options, p.distribution, p.interval, p.std, strict=True
        ):
            figures = (f"{value:.4f}" for value in (share, low, high, std))
            table.writerow([p.group_id, p.question, option, *figures])

households = {g["id"]: g["metadata"]["households"] for g in groups}
weights = {name: n / sum(households.values()) for name, n in households.items()}
print(f"{len(answer.predictions)} predictions in {OUT.name}, by {answer.model.split('@')[0]}")
for question in questions:
    found = [p for p in answer.predictions if p.question == question["question"]]
    print(f"\n{question['question']}")
    for i, option in enumerate(question["options"]):
        share, together, apart = total(found, weights, i)
        span = [p.distribution[i] for p in found]
        print(
            f"  {option:28} all {share:4.0%}, std {apart:.2f} to {together:.2f}; "
            f"markets from {min(span):.0%} to {max(span):.0%}"
        )
