"""A language model of a given size with random weights, for measurements of speed.

Its tokenizer and chat template are the bundled model's. Each next token is nearly uniform over the
vocabulary, so that texts are word salad of realistic length and almost never end early.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from .machine import ROOT

BUNDLED = ROOT / "models" / "released" / "opinion-lm"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def write_random_lm(folder: Path, *, layers: int = 16, width: int = 1024, seed: int = 0) -> int:
    """Write the model into `folder`; its number of parameters (218 million by default).

    Input and output embeddings are apart: tied ones would repeat the last token for ever.
    """
    bundled = json.loads((BUNDLED / "config.json").read_text(encoding="utf-8"))
    config = LlamaConfig(
        vocab_size=bundled["vocab_size"],
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        max_position_embeddings=bundled["max_position_embeddings"],
        bos_token_id=bundled["bos_token_id"],
        eos_token_id=bundled["eos_token_id"],
        pad_token_id=bundled["pad_token_id"],
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        config, dtype=torch.bfloat16
    )
    model.save_pretrained(folder)  # 436 MB for 218 million
    for name in _TOKENIZER:
        shutil.copy(BUNDLED / name, folder / name)
    return sum(parameter.numel() for parameter in model.parameters())
