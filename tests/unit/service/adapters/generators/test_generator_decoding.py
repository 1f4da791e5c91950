"""The decode loop on small random models: rows that join, leave and share prompts."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from service.adapters.generators.decoding import Batch, Decoder, Row, share_prompts
from service.adapters.generators.kv_cache import SPARE_TOKENS

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}


def llama() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZES))


def sliding_mistral() -> Any:
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=6))


def gpt2() -> Any:
    return GPT2LMHeadModel(GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=2))


def bloom() -> Any:
    return BloomForCausalLM(BloomConfig(vocab_size=60, hidden_size=32, n_layer=2, n_head=2))


def build(make: Callable[[], Any]) -> Any:
    torch.manual_seed(3)
    model = make()
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.6)
    return model.eval()


PLAIN = [llama, gpt2, bloom]


@pytest.fixture(params=PLAIN, ids=lambda f: f.__name__)
def plain_model(request: pytest.FixtureRequest) -> Any:
    return build(request.param)


@pytest.fixture(params=[*PLAIN, sliding_mistral], ids=lambda f: f.__name__)
def model(request: pytest.FixtureRequest) -> Any:
    return build(request.param)


def row(length: int, seed: int, *, temperature: float = 4.0) -> Row:
    prompt = [(7 * i + length) % 60 for i in range(length)]
    return Row(prompt, temperature, 1.0, 200, Random(seed))


def run(decoder: Decoder, batch: Batch, steps: int) -> None:
    for _ in range(steps):
        decoder.draw(batch)
        decoder.advance(batch)


def alone(decoder: Decoder, length: int, seed: int, steps: int) -> list[int]:
    one = row(length, seed)
    run(decoder, decoder.prefill([one]), steps)
    return one.tokens


def test_greedy_is_what_generate_finds(model: Any) -> None:
    one = row(9, 1, temperature=0.0)
    decoder = Decoder(model)
    run(decoder, decoder.prefill([one]), 12)
    out = model.generate(
        torch.tensor([one.prompt]),
        do_sample=False,
        max_new_tokens=12,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert one.tokens == out[0, 9:].tolist()


def test_rows_with_one_prompt_differ_by_their_seed_alone(model: Any) -> None:
    decoder = Decoder(model)
    rows = [row(8, seed) for seed in (1, 2, 1)]
    run(decoder, decoder.prefill(rows), 10)
    assert rows[0].tokens == rows[2].tokens == alone(decoder, 8, 1, 10)
    assert rows[1].tokens == alone(decoder, 8, 2, 10)
    assert rows[0].tokens != rows[1].tokens


def test_joining_and_leaving_change_no_text(plain_model: Any) -> None:
    decoder = Decoder(plain_model)
    rows = [row(5, 1), row(20, 2), row(11, 3)]
    batch = decoder.prefill([rows[0]])
    run(decoder, batch, 4)
    batch.merge(decoder.prefill([rows[1]]))
    run(decoder, batch, 3)
    batch.merge(decoder.prefill([rows[2]]))
    run(decoder, batch, 2)
    batch.keep([0, 2])
    run(decoder, batch, SPARE_TOKENS + 5)
    batch.keep([1])
    run(decoder, batch, 5)
    assert rows[0].tokens == alone(decoder, 5, 1, 9 + SPARE_TOKENS + 5)
    assert rows[1].tokens == alone(decoder, 20, 2, 5)
    assert rows[2].tokens == alone(decoder, 11, 3, 2 + SPARE_TOKENS + 10)


def test_padding_that_no_row_needs_is_dropped() -> None:
    decoder = Decoder(build(llama))
    batch = decoder.prefill([row(5, 1)])
    batch.merge(decoder.prefill([row(20, 2)]))
    assert batch.mask.shape == (2, 20)
    batch.keep([0])
    assert batch.mask.shape == (1, 5)
    assert batch.cache.get_seq_length() == 5


def test_leaving_a_cache_that_cannot_be_joined() -> None:
    decoder = Decoder(build(sliding_mistral))
    rows = [row(8, seed) for seed in (1, 2, 3)]
    batch = decoder.prefill(rows)
    assert not batch.mergeable
    run(decoder, batch, 3)
    batch.keep([0, 2])
    run(decoder, batch, 6)
    assert rows[2].tokens == alone(decoder, 8, 3, 9)
    assert len(rows[1].tokens) == 3


def test_equal_prompts_are_read_once() -> None:
    rows = [row(5, 1), row(6, 2), row(5, 3)]
    assert share_prompts(rows) == [[rows[0], rows[2]], [rows[1]]]
