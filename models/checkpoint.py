"""A checkpoint: a folder with `model.safetensors` and the `card.json` that describes it.

Owns the card, its digests and the atomic write; knows nothing of the network inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
CARD = "card.json"
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.safetensors")


class CheckpointError(Exception):
    """A checkpoint cannot be written or read; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class CardEmbedder:
    """The embedder whose vectors the weights were trained on."""

    id: str
    digest: str
    dim: int
    template: str
    pooling: str
    layer: int | None = None


@dataclass(frozen=True, slots=True)
class CardData:
    """One data set that the weights were trained on."""

    name: str
    sha256: str
    licence: str
    rows: int
    source: str


@dataclass(frozen=True, slots=True)
class CardTraining:
    """How the weights came about; `seconds` is wall-clock time."""

    seeds: tuple[int, ...]
    steps: int
    stopping_rule: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Card:
    """What a checkpoint is, where it comes from and what it must not be used for.

    `weights_sha256` is the digest of `model.safetensors`, `files` that of every further
    safetensors file in the folder; both are filled in by `save_checkpoint`.
    """

    name: str
    arch: str
    config: Mapping[str, Any]
    embedder: CardEmbedder
    data: tuple[CardData, ...]
    training: CardTraining
    metrics: Mapping[str, Any]
    limits: tuple[str, ...]
    created: str
    weights_sha256: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def digest(self) -> str:
        """The first 12 hex digits of the weights' digest."""
        return self.weights_sha256[:12]


def save_checkpoint(
    path: Path | str,
    tensors: Mapping[str, Tensor],
    card: Card,
    *,
    files: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> Card:
    """Write `tensors` and further named safetensors `files`, then the card; return the card.

    Every file is replaced as a whole and the card comes last, so a reader sees the old
    checkpoint, the new one, or a digest that does not match, never a mixture that loads.
    Raises CheckpointError.
    """
    folder = Path(path)
    further = dict(files or {})
    for name in further:
        _require_file_name(name, folder)
    payloads = {name: _serialise(content) for name, content in further.items()}
    weights = _serialise(tensors)
    card = replace(
        card,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        files={name: hashlib.sha256(data).hexdigest() for name, data in payloads.items()},
        format_version=FORMAT_VERSION,
    )
    try:
        text = json.dumps(asdict(card), indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise CheckpointError(f"the card for {folder} is not valid JSON: {exc}") from exc
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in payloads.items():
            _replace_file(folder / name, data)
        _replace_file(folder / WEIGHTS, weights)
        _replace_file(folder / CARD, (text + "\n").encode())
    except OSError as exc:
        raise CheckpointError(f"cannot write the checkpoint {folder}: {exc}") from exc
    return card


def load_checkpoint(path: Path | str, *, device: str = "cpu") -> tuple[dict[str, Tensor], Card]:
    """Read the weights and the card; every digest in the card is verified first.

    Raises CheckpointError for a missing file, an unknown format, bad JSON or a wrong digest.
    """
    folder = Path(path)
    card = load_card(folder)
    for name, digest in card.files.items():
        _read_verified(folder / name, digest)
    weights = _read_verified(folder / WEIGHTS, card.weights_sha256)
    return _parse(weights, folder / WEIGHTS, device), card


def load_file(path: Path | str, card: Card, name: str, *, device: str = "cpu") -> dict[str, Tensor]:
    """Read one of the further safetensors files that the card lists. Raises CheckpointError."""
    file = Path(path) / name
    if name not in card.files:
        listed = ", ".join(sorted(card.files)) or "none"
        raise CheckpointError(f"{Path(path) / CARD} lists no file {name!r} (listed: {listed})")
    return _parse(_read_verified(file, card.files[name]), file, device)


def load_card(path: Path | str) -> Card:
    """Read the card alone, without the weights. Raises CheckpointError."""
    file = Path(path) / CARD
    try:
        raw = json.loads(_read(file))
    except ValueError as exc:
        raise CheckpointError(
            f"{file} is not valid JSON ({exc}); restore the file or train again with `gpo train`"
        ) from exc
    if not isinstance(raw, dict):
        raise CheckpointError(f"{file} must hold a JSON object, not {type(raw).__name__}")
    version = raw.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{file} has format_version {version!r}, this release reads {FORMAT_VERSION}; "
            "use the release that wrote it or train again with `gpo train`"
        )
    card = _card_from(raw, file)
    for name in card.files:
        _require_file_name(name, file)
    return card


def _card_from(raw: dict[str, Any], file: Path) -> Card:
    known = {f.name for f in fields(Card)}
    if raw.keys() != known:
        missing, unknown = sorted(known - raw.keys()), sorted(raw.keys() - known)
        raise CheckpointError(
            f"{file} does not describe a checkpoint: missing {missing}, unknown {unknown}"
        )
    try:
        return Card(
            **{
                **raw,
                "embedder": CardEmbedder(**raw["embedder"]),
                "data": tuple(CardData(**row) for row in raw["data"]),
                "training": CardTraining(
                    **{**raw["training"], "seeds": tuple(raw["training"]["seeds"])}
                ),
                "limits": tuple(raw["limits"]),
                "files": dict(raw["files"]),
            }
        )
    except (TypeError, KeyError, ValueError) as exc:
        raise CheckpointError(f"{file} does not describe a checkpoint: {exc}") from exc


def _require_file_name(name: str, where: Path) -> None:
    if name == WEIGHTS or not _FILE_NAME.fullmatch(name):
        raise CheckpointError(
            f"{where}: {name!r} is no name for a further file; "
            "it must be a plain name that ends in .safetensors"
        )


def _serialise(tensors: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save(
        {name: t.detach().to("cpu").contiguous() for name, t in tensors.items()}
    )


def _parse(data: bytes, file: Path, device: str) -> dict[str, Tensor]:
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as exc:
        raise CheckpointError(f"{file} is not a safetensors file: {exc}") from exc
    try:
        return {name: tensor.to(device) for name, tensor in tensors.items()}
    # A torch without CUDA says so with an AssertionError.
    except (RuntimeError, AssertionError) as exc:
        raise CheckpointError(f"cannot move {file} to the device {device!r}: {exc}") from exc


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as exc:
        raise CheckpointError(
            f"{file} does not exist; a checkpoint is a folder with {WEIGHTS} and {CARD} "
            "(GPO_CHECKPOINT, or train one with `gpo train`)"
        ) from exc
    except OSError as exc:
        raise CheckpointError(f"cannot read {file}: {exc}") from exc


def _read_verified(file: Path, digest: str) -> bytes:
    data = _read(file)
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise CheckpointError(
            f"{file} has sha256 {found}, its card says {digest}; "
            "the file is damaged or belongs to another card: copy the whole folder again"
        )
    return data


def _replace_file(file: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
