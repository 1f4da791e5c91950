"""Sampling from a released folder, in batches, for the measurements and the tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from models.opinion_lm.tokenizer import chat_text, load_tokenizer
from models.opinion_lm.train import load_model


class Sampler:
    """The model and tokenizer of a folder; draws answers with the folder's generation config."""

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        self.tokenizer: PreTrainedTokenizerFast = load_tokenizer(folder)
        self.model: LlamaForCausalLM = load_model(folder).to(device).eval()  # type: ignore[arg-type]
        self.device = device

    @torch.inference_mode()
    def draw(
        self,
        prompts: Sequence[str],
        *,
        seed: int,
        n: int = 1,
        batch: int = 64,
        max_new_tokens: int = 64,
    ) -> list[list[str]]:
        """`n` answers to each user prompt at the temperature of the generation config."""
        torch.manual_seed(seed)
        flat = [chat_text(prompt) for prompt in prompts for _ in range(n)]
        texts: list[str] = []
        for start in tqdm(range(0, len(flat), batch), desc="sample", unit="batch"):
            coded = self.tokenizer(
                flat[start : start + batch],
                return_tensors="pt",
                padding=True,
                add_special_tokens=False,
            ).to(self.device)
            coded.pop("token_type_ids", None)
            made = self.model.generate(  # type: ignore[misc]
                **coded, max_new_tokens=max_new_tokens
            )
            tails = made[:, coded["input_ids"].shape[1] :]
            texts += self.tokenizer.batch_decode(tails, skip_special_tokens=True)
        clean = [text.strip() for text in texts]
        return [clean[i * n : (i + 1) * n] for i in range(len(prompts))]
