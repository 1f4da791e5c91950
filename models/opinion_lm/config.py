"""The sizes, seeds and schedules of the small language model.

Owns plain options only; nothing here touches a file, a tensor or the environment.
"""

from __future__ import annotations

from dataclasses import dataclass

BOS = "<|bos|>"
PAD = "<|pad|>"
END = "<|end|>"
SYSTEM = "<|system|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
SPECIAL_TOKENS = (PAD, BOS, END, SYSTEM, USER, ASSISTANT)

MAX_CARD_BYTES = 30_000_000
"""Upper limit for the whole released folder."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of the Llama network; the head dimension is always 64."""

    vocab_size: int = 6144
    hidden_size: int = 256
    layers: int = 6
    mlp_size: int = 704
    max_positions: int = 1024

    @property
    def heads(self) -> int:
        """Number of attention heads, each of 64 dimensions."""
        return self.hidden_size // 64


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """What one epoch holds, and what is held out of every epoch."""

    seed: int = 20
    held_out_prompts: int = 10
    held_out_share: float = 0.05
    real_answers_per_prompt: int = 6
    survey_passes: int = 2
    topic_prompts: int = 6000
    borrowed_share: float = 0.5
    system_share: float = 0.2
    raw_share: float = 0.05
    max_prompt_tokens: int = 150
    max_answer_tokens: int = 96


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """One stage of training; a stage may stop early and be resumed exactly.

    The learning rate follows warmup-stable-decay over wall-clock stages: it warms up once, stays,
    and falls linearly to zero over `decay_steps` after a further `stable_steps`, when a stage is
    asked to finish.
    """

    rows: int = 16
    row_tokens: int = 256
    matrix_lr: float = 3e-3
    other_lr: float = 2e-3
    weight_decay: float = 0.1
    warmup_steps: int = 60
    stable_steps: int = 0
    decay_steps: int = 0
    save_minutes: float = 4.0
    clip: float = 1.0
    device: str = "cpu"
    threads: int = 1
    seed: int = 20
