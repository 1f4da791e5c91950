"""Small preference data that the tests write themselves: groups that differ along one axis."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import torch

from models.batches import Expectation, Item, Kind
from models.datasets import Corpus
from models.gpo import GPO, GPOConfig

DIM = 16
POPULATIONS = 4
SMALL = GPOConfig(embedding_dim=DIM, d_model=16, layers=2, heads=2, d_ff=32)


def lively_network(seed: int = 0, config: GPOConfig = SMALL) -> GPO:
    """A network in evaluation mode whose heads are not zero, so that every input matters."""
    torch.manual_seed(seed)
    network = GPO(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def random_item(rng: np.random.Generator, kind: Kind = Kind.SHARE, k: int = 3) -> Item:
    """One preference with random vectors and a random expectation."""
    k = {Kind.SHARE: k, Kind.RATING: 1, Kind.COMPARISON: 2}[kind]
    values = {
        Kind.SHARE: rng.dirichlet(np.ones(k)),
        Kind.RATING: rng.random(1),
        Kind.COMPARISON: np.array([1.0, 0.0]),
    }[kind]
    mean = rng.uniform(0.1, 0.9, 1) if kind is Kind.RATING else rng.dirichlet(np.full(k, 3.0))
    profile = 0.1 * rng.normal(size=(k, POPULATIONS))
    expected = Expectation(_f32(mean), _f32(profile), float(rng.integers(0, 9)))
    vectors = _f32(rng.normal(size=(k, DIM)))
    weight = float(rng.integers(1, 500)) if rng.random() < 0.5 else None
    return Item(kind, vectors, _f32(values), weight, expected)


def _f32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def random_items(rng: np.random.Generator, count: int) -> list[Item]:
    """Preferences of all kinds."""
    kinds = rng.choice(np.array(list(Kind), dtype=object), count)
    return [random_item(rng, kind, int(rng.integers(2, 5))) for kind in kinds]


def vectors_of(corpus: Corpus) -> np.ndarray:
    """Vectors (N, D), prompts beside responses, each text's own."""
    return np.stack([np.concatenate([_text(p), _text(r)]) for p, r in corpus.pairs])


def _text(text: str) -> np.ndarray:
    """(D / 2,): a little noise around what the text leans to, and whether it says "Never"."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    vector = 0.05 * np.random.default_rng(seed).normal(size=DIM // 2)
    lean = re.findall(r"[+-]\d\.\d\d", text)
    vector[:3] += 1, float(lean[-1]) if lean else 0, -1 if text == "Never" else 1
    return _f32(vector)


def write_data(folder: Path, *, groups: int = 12, questions: int = 30) -> Path:
    """A survey and a ratings file in which a hidden trait of each group decides its answers."""
    rng = np.random.default_rng(7)
    trait = {f"TEAM:{chr(65 + g)}": float(t) for g, t in enumerate(np.linspace(-1, 1, groups))}
    survey = []
    for q in range(questions):
        lean = rng.normal()
        answers = {}
        for name, t in trait.items():
            yes = 1 / (1 + np.exp(-(lean * t + 0.2)))
            answers[name] = {"n": 200, "p": [round(yes, 4), round(1 - round(yes, 4), 4)]}
        survey.append(
            {
                "id": f"q{q}",
                "question": f"Would you join plan {q} of the club, which leans {lean:+.2f}?",
                "options": ["Gladly", "Never"],
                "ordinal": [1.0, 2.0],
                "groups": answers,
            }
        )
    ratings = [
        {
            "study": "club",
            "prompt": f"What should the club do about matter {p}?",
            "response": f"It should choose way {r}, which leans {np.sin(p + r):+.2f}.",
            "agree": {
                name: {"n": 40, "p": round(float(0.5 + 0.4 * t * np.sin(p + r)), 3)}
                for name, t in trait.items()
            },
        }
        for p in range(10)
        for r in range(20)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("club_survey", survey), ("club_ratings", ratings)):
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{name}.jsonl").write_text(text + "\n")
    return folder
