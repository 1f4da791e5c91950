"""A tiny data folder written for these tests, and a tiny corpus, tokenizer and model."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from models.opinion_lm.config import CorpusOptions, ModelShape, TrainOptions
from models.opinion_lm.corpus import Corpus, epoch_cases, load_corpus
from models.opinion_lm.tokenizer import train_tokenizer
from models.opinion_lm.train import new_model

SUBJECTS = (
    "the village pond", "the evening market", "the hill railway", "the town orchestra",
    "the winter garden", "the harbour wall", "the reading room", "the ice rink",
)  # fmt: skip
VERDICTS = ("is worth every penny", "needs a new roof", "should stay open longer")
WHO = ("my sister", "our baker", "the old teacher", "a good friend", "the whole street")


def _real_rows() -> list[dict[str, str]]:
    return [
        {
            "source": "made-up/one",
            "prompt": f"What is your opinion on this topic: We should keep {subject}?",
            "response": f"I think {subject} {verdict}, and {who} says so in year {year}",
        }
        for subject in SUBJECTS
        for verdict in VERDICTS
        for who in WHO
        for year in range(5)
    ]


def _survey_row(number: int, subject: str) -> dict[str, object]:
    return {
        "id": f"S{number}",
        "question": f"How much, if at all, do you enjoy visiting {subject} number {number}?",
        "options": ["A great deal", "A little", "Not at all", "DK/Refused"],
        "groups": {
            "North": {"n": 9, "p": [0.5, 0.3, 0.1, 0.1]},
            "South": {"p": [0.1, 0.3, 0.5, 0.1]},
        },
    }


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors are faster on one thread than on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = [*_real_rows(), {"source": "x", "prompt": "Anything?", "response": "too short"}]
    with gzip.open(folder / "opinion_text.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    for name in ("us_survey.jsonl", "world_survey.jsonl"):
        surveys = [_survey_row(i, SUBJECTS[i % 8]) for i in range(40 if name[0] == "u" else 20)]
        (folder / name).write_text("\n".join(json.dumps(row) for row in surveys), "utf-8")
    return folder


@pytest.fixture(scope="session")
def corpus(data_folder: Path) -> Corpus:
    return load_corpus(data_folder, CorpusOptions(topic_prompts=40, held_out_prompts=2))


@pytest.fixture(scope="session")
def tokenizer(corpus: Corpus) -> PreTrainedTokenizerFast:
    cases = epoch_cases(corpus, 0)
    texts = (text for case in cases for text in (case.prompt, *case.answers))
    return train_tokenizer(texts, vocab_size=700)


@pytest.fixture
def tiny_options() -> TrainOptions:
    return replace(TrainOptions(), rows=2, row_tokens=96, warmup_steps=2, other_lr=5e-3)


@pytest.fixture
def tiny_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return new_model(ModelShape(hidden_size=64, layers=2, mlp_size=96), tokenizer)
