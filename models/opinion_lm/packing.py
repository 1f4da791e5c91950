"""Cases as token rows: one prompt shared by several answers, several prompts in a row.

Each answer sees its prompt and itself only, and its positions go on from the prompt, so a shared
prompt is computed once (about a third fewer tokens here than one row for each pair).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from models.opinion_lm.config import BOS, END, CorpusOptions
from models.opinion_lm.layouts import system_line
from models.opinion_lm.templates import Case
from models.opinion_lm.tokenizer import chat_text

_RAW = ("{p}\n", "Question: {p}\nAnswer:", "{p}\nAnswer:", "Q: {p}\nA:", "{p}\n\n")


@dataclass(frozen=True, slots=True)
class Tree:
    """Token ids of a prompt and of the answers that branch off it (each with the end token)."""

    prompt: list[int]
    answers: list[list[int]]


@dataclass(slots=True)
class Row:
    """One row being filled; `pairs` are (position, next token) to be predicted."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    trees: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of B rows of T tokens; `index` and `target` (N,) point into the flattened B*T."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor  # (B, 1, T, T) bool, True where a query may look
    index: torch.Tensor
    target: torch.Tensor


def prompt_text(rng: random.Random, case: Case, options: CorpusOptions) -> tuple[str, str]:
    """The text before the answer, and what joins them: chat mostly, bare text sometimes."""
    if rng.random() < options.raw_share:
        pattern = rng.choice(_RAW)
        return BOS + pattern.format(p=case.prompt), "" if pattern.endswith("\n") else " "
    system = system_line(rng) if rng.random() < options.system_share else None
    return chat_text(case.prompt, system), ""


def encode(
    cases: Iterable[Case], tokenizer: PreTrainedTokenizerFast, options: CorpusOptions, *, seed: str
) -> list[Tree]:
    """Tokenize cases; prompts that are too long are left out, answers are cut."""
    rng = random.Random(seed)
    end = tokenizer.convert_tokens_to_ids(END)
    ready = [(*prompt_text(rng, case, options), case.answers) for case in cases]
    prompts = tokenizer([p for p, _, _ in ready], add_special_tokens=False)["input_ids"]
    flat = [join + a for _, join, answers in ready for a in answers]
    coded = iter(tokenizer(flat, add_special_tokens=False)["input_ids"])
    trees = []
    for prompt, (_, _, answers) in zip(prompts, ready, strict=True):
        tails = [[*next(coded)[: options.max_answer_tokens], end] for _ in answers]
        if len(prompt) <= options.max_prompt_tokens:
            trees.append(Tree(prompt, tails))
    return trees


def pack(trees: Iterable[Tree], row_tokens: int) -> Iterator[Row]:
    """Fill rows in order; a tree that does not fit is cut between answers and goes on next row."""
    row = Row()
    for tree in trees:
        waiting = list(tree.answers)
        while waiting:
            room = row_tokens - len(row.ids) - len(tree.prompt)
            taken = 0
            while taken < len(waiting) and len(waiting[taken]) <= room:
                room -= len(waiting[taken])
                taken += 1
            if taken:
                _add(row, tree.prompt, waiting[:taken])
                waiting = waiting[taken:]
            elif not row.ids:
                waiting = waiting[1:]
            if waiting and row.ids:
                yield row
                row = Row()
    if row.ids:
        yield row


def _add(row: Row, prompt: list[int], answers: list[list[int]]) -> None:
    tree = row.trees[-1] + 1 if row.trees else 0
    start = len(row.ids)
    row.ids += prompt
    row.positions += range(len(prompt))
    row.trees += [tree] * len(prompt)
    row.branches += [0] * len(prompt)
    last = start + len(prompt) - 1
    for number, answer in enumerate(answers, start=1):
        first = len(row.ids)
        row.pairs.append((last, answer[0]))
        row.pairs += [(first + i, token) for i, token in enumerate(answer[1:])]
        row.ids += answer
        row.positions += range(len(prompt), len(prompt) + len(answer))
        row.trees += [tree] * len(answer)
        row.branches += [number] * len(answer)


def collate(rows: list[Row], row_tokens: int, *, pad: int, device: str = "cpu") -> Batch:
    """Pad rows to `row_tokens` and build the mask; a padding token sees padding only."""
    ids = _grid([r.ids for r in rows], row_tokens, pad)
    positions = _grid([r.positions for r in rows], row_tokens, 0)
    trees = _grid([r.trees for r in rows], row_tokens, -1)
    branches = _grid([r.branches for r in rows], row_tokens, 0)
    same = trees[:, :, None] == trees[:, None, :]
    seen = (branches[:, None, :] == 0) | (branches[:, :, None] == branches[:, None, :])
    causal = torch.ones(row_tokens, row_tokens, dtype=torch.bool).tril()
    index = [b * row_tokens + at for b, row in enumerate(rows) for at, _ in row.pairs]
    target = [token for row in rows for _, token in row.pairs]
    mask = (same & seen & causal).unsqueeze(1)
    return Batch(
        ids.to(device),
        positions.to(device),
        mask.to(device),
        torch.tensor(index, device=device),
        torch.tensor(target, device=device),
    )


def _grid(values: list[list[int]], width: int, fill: int) -> torch.Tensor:
    grid: NDArray[np.int64] = np.full((len(values), width), fill, dtype=np.int64)
    for line, value in zip(grid, values, strict=True):
        line[: len(value)] = value
    return torch.from_numpy(grid)
