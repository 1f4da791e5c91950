"""Files of statements: what a persona would say, and which statements a debate's groups hold.

Reads the two formats of docs/data.md and turns them into corpora. Knows no split, no embedder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.batches import Kind
from models.datasets import Corpus, DataError, first_row, normalise, read_text

PHRASINGS = (
    ("Is the following statement something you would say? “{}”", ("Yes", "No")),
    ("Would you say this? “{}”", ("Yes, I would", "No, I would not")),
    ("Would this person agree: “{}”?", ("Agree", "Disagree")),
    ("Do you agree or disagree with this statement? “{}”", ("Agree", "Disagree")),
    ("“{}” Is that your view?", ("Yes", "No")),
    ("Somebody says: “{}” Could that have been you?", ("Yes", "No")),
)


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody, in words, with statements that they would and would not make."""

    persona: str
    would_say: tuple[str, ...]
    would_not_say: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Debate:
    """A question with S statements on it, and by group the share (S,) that agrees or None."""

    debate: str
    statements: tuple[str, ...]
    groups: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class Statements:
    """One file of personas or of debates; the other is empty."""

    name: str
    personas: tuple[Persona, ...] = ()
    debates: tuple[Debate, ...] = ()
    sha256: str = ""

    def corpus(self) -> Corpus:
        """The file as a corpus under its name."""
        if self.personas:
            return persona_corpus(self.personas, name=self.name, sha256=self.sha256)
        return debate_corpus(self.debates, name=self.name, sha256=self.sha256)


def holds_statements(path: Path) -> bool:
    """Whether the first row of a file is a persona or a debate. Raises DataError."""
    return ".jsonl" in path.name and bool(first_row(path).keys() & {"persona", "debate"})


def read_statements(path: Path) -> Statements:
    """Read one .jsonl or .jsonl.gz file. Raises DataError naming the file and the line."""
    raw = path.read_bytes()
    rows: dict[str, Persona | Debate] = {}
    # Not splitlines(): a text may hold a line separator such as U+2028 as it is.
    for number, line in enumerate(read_text(path, raw).split("\n"), 1):
        if not line.strip():
            continue
        try:
            title, row = _row(json.loads(line))
            if title in rows:
                raise ValueError(f"{title!r} stands in an earlier line too")
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise DataError(f"{path}, line {number}: {type(exc).__name__}: {exc}") from exc
        rows[title] = row
    personas = tuple(r for r in rows.values() if isinstance(r, Persona))
    debates = tuple(r for r in rows.values() if isinstance(r, Debate))
    if bool(personas) == bool(debates):
        raise DataError(f"{path}: a file holds personas or debates, one kind of them")
    return Statements(path.name.split(".")[0], personas, debates, hashlib.sha256(raw).hexdigest())


def persona_corpus(
    personas: Sequence[Persona], *, name: str = "personas", sha256: str = ""
) -> Corpus:
    """Yes/no questions that quote a statement each; the option of those who say it comes first.

    A group is a persona. Statements of several personas in the same words are one question.
    """
    answers: dict[str, dict[str, float]] = {}
    texts: dict[str, str] = {}
    for p in personas:
        for said, value in ((p.would_say, 1.0), (p.would_not_say, 0.0)):
            for statement in said:
                key = texts.setdefault(normalise(statement), statement)
                answers.setdefault(key, {})[p.persona] = value
    asked = [_ask(statement) for statement in answers]
    return _corpus(
        name,
        Kind.SHARE,
        [[(question, option) for option in options] for question, options in asked],
        [question for question, _ in asked],
        [{g: [v, 1 - v] for g, v in found.items()} for found in answers.values()],
        sha256,
    )


def debate_corpus(debates: Sequence[Debate], *, name: str = "debates", sha256: str = "") -> Corpus:
    """One rated response for each statement; a group is named after its debate and itself."""
    items = [
        (d.debate, s, {f"{d.debate}: {g}": rates[i] for g, rates in d.groups.items()})
        for d in debates
        for i, s in enumerate(d.statements)
    ]
    return _corpus(
        name,
        Kind.RATING,
        [[(debate, statement)] for debate, statement, _ in items],
        [debate for debate, _, _ in items],
        [{g: [r] for g, r in rates.items() if r is not None} for _, _, rates in items],
        sha256,
    )


def quoted(question: str) -> str:
    """The statement that a question of a persona's corpus quotes."""
    return question[question.index("“") + 1 : question.rindex("”")]


def _ask(statement: str) -> tuple[str, tuple[str, str]]:
    """One of the phrasings, always the same for a statement."""
    digest = hashlib.sha256(normalise(statement).encode()).digest()
    phrasing, options = PHRASINGS[digest[0] % len(PHRASINGS)]
    return phrasing.format(statement.strip()), options


def _corpus(
    name: str,
    kind: Kind,
    pairs: Sequence[Sequence[tuple[str, str]]],
    questions: Sequence[str],
    answers: Sequence[Mapping[str, Sequence[float]]],
    sha256: str,
) -> Corpus:
    groups = sorted({g for found in answers for g in found})
    number = {g: i for i, g in enumerate(groups)}
    starts = np.cumsum([0, *(len(p) for p in pairs)]).astype(np.int64)
    values = np.full((len(groups), int(starts[-1])), np.nan, np.float32)
    for i, found in enumerate(answers):
        for g, v in found.items():
            values[number[g], starts[i] : starts[i + 1]] = v
    distinct = {q: i for i, q in enumerate(dict.fromkeys(normalise(q) for q in questions))}
    return Corpus(
        name=name,
        kind=kind,
        pairs=tuple(pair for item in pairs for pair in item),
        starts=starts,
        question=np.array([distinct[normalise(q)] for q in questions], np.int64),
        values=values,
        weights=np.full((len(groups), len(pairs)), np.nan, np.float32),
        ordinal=np.full(int(starts[-1]), np.nan, np.float32),
        groups=tuple(groups),
        sha256=sha256,
        rows=len(pairs),
        statements=True,
    )


def _row(row: Mapping[str, Any]) -> tuple[str, Persona | Debate]:
    if "persona" in row:
        persona = _persona(row)
        return persona.persona, persona
    debate = _debate(row)
    return debate.debate, debate


def _persona(row: Mapping[str, Any]) -> Persona:
    would, not_would = _texts(row, "would_say"), _texts(row, "would_not_say")
    both = {normalise(s) for s in would} & {normalise(s) for s in not_would}
    if both:
        raise ValueError(f"would_say and would_not_say share {sorted(both)[0]!r}")
    if not would + not_would:
        raise ValueError("a persona needs a statement")
    return Persona(_text(row, "persona"), would, not_would)


def _debate(row: Mapping[str, Any]) -> Debate:
    statements = _texts(row, "statements")
    groups = {str(g): tuple(_rate(v) for v in rates) for g, rates in row["groups"].items()}
    for group, rates in groups.items():
        if len(rates) != len(statements):
            raise ValueError(f"{group!r} has {len(rates)} rates for {len(statements)} statements")
    return Debate(_text(row, "debate"), statements, groups)


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} must be a text")
    return value.strip()


def _texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = row[key]
    if not isinstance(values, list) or not all(isinstance(v, str) and v.strip() for v in values):
        raise ValueError(f"{key} must be a list of texts")
    if len({normalise(v) for v in values}) < len(values):
        raise ValueError(f"{key} has a text twice")
    return tuple(v.strip() for v in values)


def _rate(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"a rate is a share from 0 to 1 or null, got {value!r}")
    return float(value)
