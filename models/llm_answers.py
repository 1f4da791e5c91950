"""Asks a causal language model of transformers how it would answer survey questions.

Keeps each answer on disk, by model and by the digest of the text; keeps no text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2.exceptions import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from models.batches import FloatArray
from models.llm_prior import flat, listings, ranks, shares_of, worded
from models.option_logprobs import option_logprobs
from models.option_tokens import join


class LlmError(ValueError):
    """A language model cannot be loaded or asked; the message names it."""


class LlmAnswers:
    """One model with the answers that it gave before."""

    def __init__(self, model: Any, tokenizer: Any, *, name: str, cache: Path) -> None:
        """`cache` is the file of its answers: one JSON line for each question."""
        self.name = name
        self._model = model
        self._tokenizer = tokenizer
        self._cache = cache
        self._known = _read(cache)

    @classmethod
    def load(cls, source: str, *, device: str, cache: Path) -> LlmAnswers:
        """Load a folder or a hub name; float32 on the CPU, else the dtype of the checkpoint.

        Answers are kept under the folder `cache`. Raises LlmError.
        """
        disable_progress_bar()  # type: ignore[no-untyped-call]
        local = Path(source).is_dir()
        dtype = torch.float32 if device == "cpu" else "auto"
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
            model: Any = AutoModelForCausalLM.from_pretrained(
                source, local_files_only=local, dtype=dtype
            )
        except (OSError, ValueError) as exc:
            raise LlmError(f"--llm-prior: the model {source!r} cannot be loaded: {exc}") from exc
        if not tokenizer.chat_template:
            raise LlmError(f"--llm-prior: the model {source!r} has no chat template")
        # As the service names it, which looks up the weight under this name.
        name = Path(source).resolve().name if local else source
        file = cache / "llm-answers" / f"{_digest(source, model)}.jsonl"
        return cls(model.to(device).eval(), tokenizer, name=name, cache=file)

    def shares(self, question: str, options: Sequence[str]) -> FloatArray:
        """Shares (k,) in the order of the options, which does not change them. Raises LlmError."""
        order = ranks(options)
        ranked = [flat(options[i]) for i in order]
        key = hashlib.sha256(repr([question.strip(), *ranked]).encode()).hexdigest()
        if key not in self._known:
            found = self._ask(question, ranked)
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            with self._cache.open("a") as file:
                file.write(json.dumps({"key": key, "shares": found.tolist()}) + "\n")
            self._known[key] = found
        return self._known[key][np.argsort(order)]

    def _ask(self, question: str, options: Sequence[str]) -> FloatArray:
        rows = []
        for listed in listings(options):
            turns = [{"role": "user", "content": worded(question, listed)}]
            try:
                joined = join(self._tokenizer, turns, options)
            except (TemplateError, ValueError) as exc:
                raise LlmError(f"--llm-prior: {self.name!r} cannot be asked: {exc}") from exc
            rows.append(option_logprobs(self._model, joined))
        return shares_of(options, rows)


def _read(file: Path) -> dict[str, FloatArray]:
    """What was answered before; a line that a killed run left unfinished is passed over."""
    found: dict[str, FloatArray] = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
            found[row["key"]] = np.array(row["shares"], np.float32)
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _digest(source: str, model: Any) -> str:
    """Which weights: the hub's commit, or the path with sizes and times of the files."""
    parts = [source, str(getattr(model.config, "_commit_hash", None))]
    if Path(source).is_dir():
        files = sorted(Path(source).resolve().glob("*"))
        parts += [f"{f} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
