"""The checkpoint folder: what goes in comes out, and everything damaged is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.checkpoint import (
    Card,
    CardData,
    CardEmbedder,
    CardTraining,
    CheckpointError,
    load_card,
    load_checkpoint,
    load_file,
    save_checkpoint,
)

CARD = Card(
    name="toy",
    arch="gpo",
    config={"d_model": 8, "heads": ["share", "rating"]},
    embedder=CardEmbedder("minilm", "ab" * 32, 768, "prompt-beside-response/2", "mean"),
    data=(CardData("invented", "cd" * 32, "Apache-2.0", 3, "written for this test"),),
    training=CardTraining((1, 2, 3), 100, "20 evaluations without a gain", 1.5),
    metrics={"B": {"20": 0.9}},
    limits=("not for people",),
    created="2026-01-02",
)


def tensors() -> dict[str, torch.Tensor]:
    return {
        "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,
        "bias": torch.ones(3, dtype=torch.bfloat16),
    }


def test_round_trip(tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path / "a" / "b", tensors(), CARD)
    loaded, card = load_checkpoint(tmp_path / "a" / "b")
    assert card == saved
    assert card == replace(CARD, weights_sha256=card.weights_sha256)
    assert loaded.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    file = tmp_path / "a" / "b" / "model.safetensors"
    assert card.weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card.digest == card.weights_sha256[:12]
    assert sorted(p.name for p in file.parent.iterdir()) == ["card.json", "model.safetensors"]


def test_saving_again_replaces_everything(tmp_path: Path) -> None:
    first = save_checkpoint(tmp_path, tensors(), CARD)
    second = save_checkpoint(tmp_path, {"weight": torch.zeros(4)}, replace(CARD, name="other"))
    loaded, card = load_checkpoint(tmp_path)
    assert card == second
    assert card.digest != first.digest
    assert set(loaded) == {"weight"}


def test_further_files_are_verified_and_read(tmp_path: Path) -> None:
    bank = {"vectors": torch.full((2, 4), 0.5)}
    save_checkpoint(tmp_path, tensors(), CARD, files={"bank.safetensors": bank})
    _, card = load_checkpoint(tmp_path)
    assert torch.equal(load_file(tmp_path, card, "bank.safetensors")["vectors"], bank["vectors"])
    with pytest.raises(CheckpointError, match=r"lists no file 'other'.*bank\.safetensors"):
        load_file(tmp_path, card, "other")
    (tmp_path / "bank.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(CheckpointError, match=r"bank\.safetensors has sha256"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["../bank.safetensors", "bank.pt", "model.safetensors", ".x"])
def test_a_further_file_stays_inside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="no name for a further file"):
        save_checkpoint(tmp_path / "c", tensors(), CARD, files={name: tensors()})
    assert not (tmp_path / "c").exists()
    save_checkpoint(tmp_path / "c", tensors(), CARD)
    edit(tmp_path / "c", files={name: "00"})
    with pytest.raises(CheckpointError, match="no name for a further file"):
        load_card(tmp_path / "c")


@pytest.mark.parametrize("name", ["card.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, tensors(), CARD)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name} does not exist.*GPO_CHECKPOINT"):
        load_checkpoint(tmp_path)


def test_a_changed_weight_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, tensors(), CARD)
    file = tmp_path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="its card says"):
        load_checkpoint(tmp_path)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, tensors(), CARD)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    edit(tmp_path, weights_sha256=hashlib.sha256(b"nothing").hexdigest())
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("device", ["cuda:99", "no-such-device"])
def test_a_device_that_is_not_there_is_named(tmp_path: Path, device: str) -> None:
    save_checkpoint(tmp_path, tensors(), CARD)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors to the device '{device}'"):
        load_checkpoint(tmp_path, device=device)


@pytest.mark.parametrize("text", ["{", "[]", "\x00"])
def test_a_broken_card_is_refused(tmp_path: Path, text: str) -> None:
    save_checkpoint(tmp_path, tensors(), CARD)
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"card\.json"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version 2, this release reads 1"),
        ({"format_version": None}, "format_version None"),
        ({"surprise": 1}, r"unknown \['surprise'\]"),
        ({"embedder": {"id": "minilm"}}, "does not describe a checkpoint"),
        ({"data": [3]}, "does not describe a checkpoint"),
    ],
)
def test_a_card_of_another_shape_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    save_checkpoint(tmp_path, tensors(), CARD)
    edit(tmp_path, **change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_a_card_with_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not valid JSON"):
        save_checkpoint(tmp_path / "c", tensors(), replace(CARD, metrics={"B": float("nan")}))
    assert not (tmp_path / "c").exists()


def edit(folder: Path, **change: object) -> None:
    file = folder / "card.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
