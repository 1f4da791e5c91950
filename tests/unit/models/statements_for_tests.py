"""Personas and debates in which one direction of the vectors tells who would say what."""

from __future__ import annotations

import numpy as np

from models.corpora import Corpora
from models.datasets import Corpus
from models.splits import Part, Split
from models.statements import Debate, Persona, debate_corpus, persona_corpus

DIM = 16


def personas(count: int = 3, statements: int = 20) -> Corpus:
    """Persona p would say what leans its way; every statement is its own."""
    return persona_corpus(
        [
            Persona(
                f"person {p}",
                tuple(f"Person {p} likes thing {i}, leans {_sign(p)}." for i in range(statements)),
                tuple(
                    f"Person {p} likes toy {i}, leans {_sign(p + 1)}." for i in range(statements)
                ),
            )
            for p in range(count)
        ]
    )


def debates(count: int = 3, statements: int = 31) -> Corpus:
    """Two groups on every bridge: what one holds, the other does not."""
    found = []
    for d in range(count):
        leans = [(-1) ** i for i in range(statements)]
        found.append(
            Debate(
                f"Should bridge {d} be built?",
                tuple(f"Bridge {d} has merit {i}, leans {_sign(i)}." for i in range(statements)),
                {
                    "walkers": tuple(0.5 + 0.3 * v + 0.001 * i for i, v in enumerate(leans)),
                    "drivers": tuple(0.5 - 0.3 * v + 0.001 * i for i, v in enumerate(leans)),
                },
            )
        )
    return debate_corpus(found)


def as_new(*corpora: Corpus) -> Corpora:
    """All groups and items of the test part, with vectors that hold the lean of a text."""
    vectors = tuple(_vectors([p + r for p, r in c.pairs]) for c in corpora)
    answers = tuple(
        _vectors([p + r for p, r in (c.pairs[s] for s in c.starts[:-1])]) for c in corpora
    )
    splits = tuple(
        Split(np.full(len(c.groups), Part.TEST, np.int8), np.full(c.items, Part.TEST, np.int8))
        for c in corpora
    )
    return Corpora(corpora, vectors, splits, answers)


def _sign(number: int) -> str:
    return "right" if number % 2 else "left"


def _vectors(texts: list[str]) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = 0.05 * rng.normal(size=(len(texts), DIM))
    x[:, 0] += 1
    x[:, 1] += [1.0 if "leans right" in text else -1.0 for text in texts]
    return x.astype(np.float32)
