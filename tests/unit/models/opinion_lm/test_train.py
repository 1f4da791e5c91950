import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from models.opinion_lm.config import TrainOptions
from models.opinion_lm.corpus import Corpus, epoch_cases
from models.opinion_lm.packing import Batch, Tree, collate, encode, pack
from models.opinion_lm.train import Trainer, answer_loss, epoch_rows, learning_rate_scale


def _trainer(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    corpus: Corpus,
    options: TrainOptions,
    out: Path,
) -> Trainer:
    return Trainer(copy.deepcopy(model), tokenizer, corpus, options, out)


def _loss(model: LlamaForCausalLM, batch: Batch) -> float:
    with torch.inference_mode():
        return float(answer_loss(model, model.model, batch))


def test_packed_branches_equal_separate_sequences(tiny_model: LlamaForCausalLM) -> None:
    trees = [Tree([7, 8, 9], [[20, 21, 2], [30, 2]]), Tree([10, 11], [[40, 41, 42, 2]])]
    packed = collate(list(pack(trees, 24)), 24, pad=0)
    assert packed.ids.shape == (1, 24)
    total, count = 0.0, 0
    for tree in trees:
        for answer in tree.answers:
            alone = collate(list(pack([Tree(tree.prompt, [answer])], 24)), 24, pad=0)
            total += _loss(tiny_model, alone) * len(answer)
            count += len(answer)
    assert _loss(tiny_model, packed) == pytest.approx(total / count, rel=1e-4)


def test_packing_loses_no_answer(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    cases = epoch_cases(corpus, 0)[:60]
    trees = encode(cases, tokenizer, corpus.options, seed="t")
    rows = list(pack(trees, 256))
    assert all(len(row.ids) <= 256 for row in rows)
    assert sum(len(r.pairs) for r in rows) == sum(len(a) for t in trees for a in t.answers)


def test_tiny_model_learns(
    tiny_model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    corpus: Corpus,
    tiny_options: TrainOptions,
    tmp_path: Path,
) -> None:
    trainer = _trainer(tiny_model, tokenizer, corpus, tiny_options, tmp_path)
    rows = epoch_rows(corpus, tokenizer, tiny_options, 0)[: tiny_options.rows]
    for _ in range(25):
        trainer.progress.batch = 0
        trainer._step(rows)
    assert trainer.progress.losses[-1] < trainer.progress.losses[0] * 0.6


def test_resumed_run_equals_uninterrupted(
    tiny_model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    corpus: Corpus,
    tiny_options: TrainOptions,
    tmp_path: Path,
) -> None:
    whole = _trainer(tiny_model, tokenizer, corpus, tiny_options, tmp_path / "whole")
    whole.run(minutes=5, max_steps=4)
    first = _trainer(tiny_model, tokenizer, corpus, tiny_options, tmp_path / "parts")
    first.run(minutes=5, max_steps=2)
    second = _trainer(tiny_model, tokenizer, corpus, tiny_options, tmp_path / "parts")
    second.resume()
    second.run(minutes=5, max_steps=4)
    assert second.progress.losses == whole.progress.losses
    for one, other in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_schedule_warms_up_stays_and_decays() -> None:
    options = replace(TrainOptions(), warmup_steps=10, decay_steps=20)
    assert learning_rate_scale(0, options, None) == pytest.approx(0.1)
    assert learning_rate_scale(500, options, None) == 1.0
    assert learning_rate_scale(510, options, 500) == pytest.approx(0.5)
    assert learning_rate_scale(520, options, 500) == 0.0
