import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.opinion_lm.config import MAX_CARD_BYTES
from models.opinion_lm.release import CARD, WEIGHTS, digest, readme
from models.opinion_lm.sample import Sampler

RELEASED = Path(__file__).parents[4] / "models" / "released" / "opinion-lm"


@pytest.fixture(scope="module")
def card() -> dict[str, object]:
    loaded: dict[str, object] = json.loads((RELEASED / CARD).read_text("utf-8"))
    return loaded


def test_digest_in_the_card_is_that_of_the_file(card: dict[str, dict[str, str]]) -> None:
    assert card["sha256"][WEIGHTS] == digest(RELEASED / WEIGHTS)


def test_folder_is_small_and_readme_is_made_from_the_card(card: dict[str, object]) -> None:
    assert sum(p.stat().st_size for p in RELEASED.iterdir()) <= MAX_CARD_BYTES
    assert (RELEASED / "README.md").read_text("utf-8") == readme(card)


def test_card_tells_licence_and_measures(card: dict[str, dict[str, object]]) -> None:
    assert "NC" in str(card["licence"])
    for name in ("perplexity_per_token", "distinct_of_8", "survey_stance", "on_topic"):
        assert name in card["metrics"]
    memorised = card["metrics"]["memorisation"]
    assert isinstance(memorised, dict)
    assert memorised["samples"] == 1000
    assert memorised["share_repeating_an_answer"] < 0.05


def test_model_loads_with_the_facts_of_the_card(card: dict[str, object]) -> None:
    model = AutoModelForCausalLM.from_pretrained(RELEASED, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(RELEASED, local_files_only=True)
    config = model.config
    assert type(model).__name__ == card["architecture"]
    assert model.dtype == torch.bfloat16
    assert model.num_parameters() == card["parameters"]
    assert config.head_dim == 64
    assert config.tie_word_embeddings
    assert config.max_position_embeddings == 1024
    assert len(tokenizer) == config.vocab_size
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_eight_samples_differ() -> None:
    prompt = "Should cities close their centres to private cars? Yes / No / Only at weekends"
    texts = Sampler(RELEASED).draw([prompt], n=8, seed=1, max_new_tokens=32)[0]
    assert len(set(texts)) >= 6
    assert all(texts)
