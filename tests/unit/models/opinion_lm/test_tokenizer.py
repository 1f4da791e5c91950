from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from models.opinion_lm.config import ASSISTANT, BOS, END, PAD, SYSTEM, USER
from models.opinion_lm.tokenizer import chat_text


@pytest.mark.parametrize(
    "text", ["The pond, isn't it?", "naïve café ☕ — 42 %", "two\nlines\n", "x"]
)
def test_text_comes_back_unchanged(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_special_tokens_are_single_and_known(tokenizer: PreTrainedTokenizerFast) -> None:
    for token in (BOS, PAD, END, SYSTEM, USER, ASSISTANT):
        assert len(tokenizer(token, add_special_tokens=False)["input_ids"]) == 1
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (BOS, END, PAD)
    assert tokenizer("Hello")["input_ids"][0] == tokenizer.bos_token_id


@pytest.mark.parametrize("system", [None, "You answer as a neighbour."])
def test_template_writes_what_training_writes(
    tokenizer: PreTrainedTokenizerFast, system: str | None
) -> None:
    messages = [{"role": "user", "content": " Keep the ice rink? "}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == chat_text("Keep the ice rink?", system)
    messages.append({"role": "assistant", "content": "Yes."})
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert whole == text + "Yes." + END


def test_saved_tokenizer_loads_by_auto_class(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert again("the pond")["input_ids"] == tokenizer("the pond")["input_ids"]
    assert again.chat_template == tokenizer.chat_template
