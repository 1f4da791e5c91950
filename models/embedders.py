"""Embedders: (prompt, response) pairs to vectors, with an identity that says which vectors.

Owns batching, identity and the cache on disk; knows no groups, no scores. A pair's vector is that
of the prompt and that of the response side by side: a question is embedded once for all of its
options, an option once for all questions, and the bare response is at hand for the consensus.

Texts of one batch are padded to a common length. In fp32 on a CPU a vector differs by less than
2e-7 between batches (measured on texts of 3 to 150 words). Rounding would not help: it would turn
a difference of 1e-8 across a rounding edge into a whole grid step. So vectors stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.embedder_networks import (
    EmbedderError,
    Network,
    load_causal_lm,
    load_sentence_transformer,
    minilm_folder,
    model_folder,
)
from models.texts import TEMPLATE, TokenWindow, quotation, together

__all__ = [
    "Embedder",
    "EmbedderError",
    "EmbedderInfo",
    "EmbeddingCache",
    "embed_cached",
    "load_embedder",
    "text_key",
]

FloatArray = NDArray[np.float32]
Pair = tuple[str, str]

CPU_BATCH_TOKENS = 1024  # 60 % more texts a second than 8192: a batch stays in the caches
GPU_BATCH_TOKENS = 32_768
BATCH_COST = 24  # tokens that a CPU reads in the time that one more batch costs
CACHE_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class EmbedderInfo:
    """Which vectors an embedder makes. Equal digests mean equal vectors.

    Vectors stay as the model makes them: `pooling` says how, and all-MiniLM-L6-v2 for example
    ends in `pooling+normalize`, so its halves have length 1. `layer` is None where the model
    itself defines its output. Empty `languages` means unknown. `dim` counts both halves.
    """

    id: str
    digest: str
    dim: int
    max_tokens: int
    pooling: str
    layer: int | None
    languages: tuple[str, ...] = ()
    template: str = TEMPLATE


class Embedder:
    """Embeds (prompt, response) pairs; refuses what it cannot read whole."""

    def __init__(
        self,
        info: EmbedderInfo,
        window: TokenWindow,
        encode: Callable[[list[str]], FloatArray],
        *,
        batch_tokens: int = CPU_BATCH_TOKENS,
    ) -> None:
        self.info = info
        self._batch_tokens = batch_tokens
        self._window = window
        self._encode = encode

    @property
    def id(self) -> str:
        """The name that it was loaded by."""
        return self.info.id

    @property
    def digest(self) -> str:
        """sha256 over weights, tokenizer, pooling, layer, way of reading, dtype, max_tokens."""
        return self.info.digest

    @property
    def dim(self) -> int:
        """Length D of a pair's vector: the prompt's half, then the response's."""
        return self.info.dim

    @property
    def max_tokens(self) -> int:
        """Most tokens of a pair, special tokens included."""
        return self.info.max_tokens

    def oversized(self, pairs: Sequence[Pair]) -> list[bool]:
        """For each pair: are both parts together longer than `max_tokens`?"""
        texts = [together(*pair) for pair in pairs]
        return [length > self.max_tokens for length in self._window.lengths(texts)]

    def clip(self, prompt: str, response: str) -> tuple[str, str, bool]:
        """The prompt's last 96 and the response's first 152 tokens, and whether text was cut.

        A pair that fits comes back unchanged; the result always fits.
        """
        return self._window.clip(prompt, response)

    def embed(self, pairs: Sequence[Pair], *, progress: bool = False) -> FloatArray:
        """Vectors (n, D) float32, in order. Raises EmbedderError for a text that is too long."""
        parts = [text.strip() for pair in pairs for text in pair]
        return self.embed_texts(parts, progress=progress).reshape(len(pairs), self.dim)

    def embed_texts(self, texts: Sequence[str], *, progress: bool = False) -> FloatArray:
        """Vectors (n, D / 2) of single texts, each embedded once; zeros for an empty one.

        A text that quotes a statement lies between its own vector and that of the statement.
        Raises EmbedderError for a text that is too long.
        """
        quoted = {text: quote for text in texts if (quote := quotation(text))}
        wanted = dict.fromkeys(t for t in (*texts, *quoted.values()) if t)
        distinct = {text: 1 + i for i, text in enumerate(wanted)}
        vectors = np.zeros((1 + len(distinct), self.dim // 2), dtype=np.float32)
        vectors[1:] = self._embed_distinct(list(distinct), progress)
        found = vectors[[distinct.get(text, 0) for text in texts]]
        for i, text in enumerate(texts):
            if text in quoted:
                found[i] = _between(found[i], vectors[distinct[quoted[text]]])
        return found

    def _embed_distinct(self, texts: list[str], progress: bool) -> FloatArray:
        lengths = self._window.lengths(texts)
        if max(lengths, default=0) > self.max_tokens:
            raise EmbedderError(
                f"a text has {max(lengths)} tokens, {self.id} reads {self.max_tokens}; "
                "shorten it, or cut it with clip()"
            )
        vectors = np.empty((len(texts), self.dim // 2), dtype=np.float32)
        with tqdm(total=len(texts), desc="embed", unit="text", disable=not progress) as bar:
            for batch in _batches(lengths, self._batch_tokens):
                vectors[batch] = self._encode([texts[i] for i in batch])
                bar.update(len(batch))
        if not np.isfinite(vectors).all():
            raise EmbedderError(f"{self.id} made a vector that is not finite")
        return vectors


def load_embedder(spec: str, *, device: str = "cpu", dtype: str = "float32") -> Embedder:
    """Load `minilm`, `st:NAME` or `hf:NAME`, where NAME is a folder or a hub name.

    `hf:NAME#layer=K` takes hidden layer K of a causal LM (default -1, the last), mean-pooled over
    the tokens. Raises EmbedderError.
    """
    kind, _, name = spec.partition(":")
    if spec == "minilm":
        network = load_sentence_transformer(minilm_folder(), device=device, dtype=dtype)
        return _build(spec, network, device, dtype, languages=("en",))
    if kind == "st" and name:
        network = load_sentence_transformer(model_folder(name), device=device, dtype=dtype)
        return _build(spec, network, device, dtype)
    if kind == "hf" and name:
        name, _, option = name.partition("#")
        layer = _layer(option, spec)
        folder = model_folder(name)
        network = load_causal_lm(folder, layer=layer, device=device, dtype=dtype)
        return _build(spec, network, device, dtype)
    raise EmbedderError(f"unknown embedder {spec!r} (GPO_EMBEDDER): minilm, st:NAME or hf:NAME")


def embed_cached(
    embedder: Embedder, pairs: Sequence[Pair], cache_dir: Path | str, *, progress: bool = True
) -> FloatArray:
    """Vectors (n, D) of `pairs`; each text is embedded once and then read from `cache_dir`."""
    cache = EmbeddingCache(cache_dir, embedder)
    texts = [text.strip() for pair in pairs for text in pair]
    wanted = {text_key(text): text for text in texts}
    missing = [key for key in wanted if key not in cache.vectors]
    hidden = not progress or not missing
    with tqdm(total=len(missing), desc="embed", unit="text", disable=hidden) as bar:
        for start in range(0, len(missing), CACHE_CHUNK):
            keys = missing[start : start + CACHE_CHUNK]
            cache.add(keys, embedder.embed_texts([wanted[key] for key in keys]))
            bar.update(len(keys))
    if not pairs:
        return np.empty((0, embedder.dim), dtype=np.float32)
    halves = np.stack([cache.vectors[text_key(text)] for text in texts])
    return halves.reshape(len(pairs), embedder.dim)


class EmbeddingCache:
    """Vectors on disk, by embedder digest and text; holds no text.

    Every addition is one new file, written whole: a killed run leaves nothing half-written, and
    several processes may share a folder.
    """

    def __init__(self, folder: Path | str, embedder: Embedder) -> None:
        self._folder = Path(folder) / embedder.digest[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        self.vectors: dict[str, FloatArray] = {}
        for file in sorted(self._folder.glob("*.npz")):
            with np.load(file) as shard:
                self.vectors.update(zip(shard["keys"].tolist(), shard["vectors"], strict=True))

    def add(self, keys: Sequence[str], vectors: FloatArray) -> None:
        """Keep vectors (n, D) under their keys."""
        file = self._folder / f"{uuid.uuid4().hex}.npz"
        temporary = file.with_suffix(".part")
        with temporary.open("wb") as handle:
            np.savez(handle, keys=np.array(keys), vectors=vectors)
        temporary.replace(file)
        self.vectors.update(zip(keys, vectors, strict=True))


def text_key(text: str) -> str:
    """Digest of a stripped text: equal keys mean equal vectors."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _between(a: FloatArray, b: FloatArray) -> FloatArray:
    """The direction in the middle of two vectors (D,), with the length of the first."""
    lengths = [max(float(np.linalg.norm(v)), 1e-9) for v in (a, b)]
    middle = a / lengths[0] + b / lengths[1]
    return np.asarray(middle * lengths[0] / max(float(np.linalg.norm(middle)), 1e-9), np.float32)


def _batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Indices by falling length; at most `tokens` with the padding, or one text.

    A batch ends where padding those of the next length would cost more than another batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batch: list[int] = []
    for length, group in groupby(order, key=lambda i: lengths[i]):
        alike = list(group)
        if batch and len(alike) * (lengths[batch[0]] - length) > BATCH_COST:
            yield batch
            batch = []
        for i in alike:
            if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
                yield batch
                batch = []
            batch.append(i)
    if batch:
        yield batch


def _build(
    spec: str, network: Network, device: str, dtype: str, *, languages: tuple[str, ...] = ()
) -> Embedder:
    described = {
        "weights": network.weights_digest,
        "pooling": network.pooling,
        "layer": network.layer,
        "max_tokens": network.max_tokens,
        "template": TEMPLATE,
        "dtype": dtype,
    }
    info = EmbedderInfo(
        id=spec,
        digest=hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest(),
        dim=2 * network.dim,
        max_tokens=network.max_tokens,
        pooling=network.pooling,
        layer=network.layer,
        languages=languages,
    )
    return Embedder(
        info,
        TokenWindow(network.tokenizer, network.max_tokens),
        network.encode,
        batch_tokens=CPU_BATCH_TOKENS if device == "cpu" else GPU_BATCH_TOKENS,
    )


def _layer(option: str, spec: str) -> int:
    if not option:
        return -1
    key, _, value = option.partition("=")
    try:
        if key == "layer":
            return int(value)
    except ValueError:
        pass
    raise EmbedderError(f"cannot read {spec!r} (GPO_EMBEDDER): write hf:NAME#layer=-1")
