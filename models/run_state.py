"""The state of a training run on disk, from which a killed run goes on.

Safetensors and JSON. Refuses the state of a run with other settings, data, vectors or processes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.domains import Domain

if TYPE_CHECKING:
    from models.trainer import Trainer

MAY_DIFFER = ("device", "steps", "patience")


def save_state(trainer: Trainer, folder: Path) -> None:
    """Write the whole state; the JSON comes last, so a kill leaves the older state valid.

    Every process takes part, and the first one writes.
    """
    generators = trainer.ranks.gather(_generators(trainer))
    if not trainer.ranks.first:
        return
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"network.{k}": v for k, v in trainer.network.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in trainer.best.items()}
    for number, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{k}": torch.as_tensor(v) for k, v in state.items()}
    for number, (random, _) in enumerate(generators):
        tensors |= {f"random.{number}.{k}": v for k, v in random.items()}
    name = f"state-{trainer.step}.safetensors"
    save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, folder / name)
    state = {
        "file": name,
        "step": trainer.step,
        "stale": trainer.stale,
        "seconds": trainer.seconds,
        "best_loss": trainer.best_loss,
        "history": trainer.history,
        "numpy_rng": [numpy for _, numpy in generators],
        "group_weights": trainer.weights.state(),
        **_identity(trainer),
    }
    partial = folder / "state.json.part"
    partial.write_text(json.dumps(state))
    partial.replace(folder / "state.json")
    for old in folder.glob("state-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_state(trainer: Trainer, folder: Path) -> bool:
    """Continue from a saved state; False if there is none.

    Raises ValueError when it belongs to a run with other settings, other data or another split:
    its weights may have seen what is held out here.
    """
    if not (folder / "state.json").exists():
        return False
    state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    _require_same(folder, state, trainer)
    tensors = load_file(folder / state["file"])
    network = _part(tensors, "network.")
    trainer.network.load_state_dict(network)
    trainer.best = _part(tensors, "best.")
    optimizer = trainer.optimizer.state_dict()
    for name, tensor in _part(tensors, "optimizer.").items():
        number, _, key = name.partition(".")
        optimizer["state"].setdefault(int(number), {})[key] = tensor
    trainer.optimizer.load_state_dict(optimizer)
    random = _part(tensors, f"random.{trainer.ranks.number}.")
    torch.set_rng_state(random["cpu"])
    if trainer.device.type == "cuda" and "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"], trainer.device)
    trainer.rng.bit_generator.state = state["numpy_rng"][trainer.ranks.number]
    trainer.weights.load(state["group_weights"])
    trainer.step, trainer.stale = state["step"], state["stale"]
    trainer.seconds, trainer.best_loss = state["seconds"], state["best_loss"]
    trainer.history = state["history"]
    return True


def fingerprint(domain: Domain) -> str:
    """Digest of a corpus's file and of its split."""
    split = domain.split.groups.tobytes() + domain.split.items.tobytes()
    return hashlib.sha256(domain.corpus.sha256.encode() + split).hexdigest()


def _identity(trainer: Trainer) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    return {
        "config": asdict(trainer.config),
        "network": asdict(trainer.network.config),
        "architecture": type(trainer.network).__name__,
        "processes": trainer.ranks.size,
        "origin": dict(trainer.origin),
        "data": trainer.data,
    }


def _require_same(folder: Path, state: Mapping[str, Any], trainer: Trainer) -> None:
    mine = _identity(trainer)
    for key in ("architecture", "network", "config"):
        if _settled(state.get(key)) != _settled(mine[key]):
            raise ValueError(f"{folder} holds a run with another {key}; choose another --out")
    if state["processes"] != mine["processes"]:
        raise ValueError(
            f"{folder} holds a run of {state['processes']} processes, not {mine['processes']}: "
            "resume it with as many, or choose another --out"
        )
    for name in sorted({*state["origin"], *mine["origin"]}):
        if state["origin"].get(name) != mine["origin"].get(name):
            raise ValueError(f"{folder} holds a run with another {name}; use another --out")
    if state["data"] != mine["data"]:
        raise ValueError(f"{folder} holds a run on other data or another split; use another --out")


def _settled(part: Any) -> Any:
    if isinstance(part, dict):
        return {k: v for k, v in part.items() if k not in MAY_DIFFER}
    return part


def _generators(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    random = {"cpu": torch.get_rng_state()}
    if trainer.device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(trainer.device)
    numpy: dict[str, Any] = dict(trainer.rng.bit_generator.state)
    return random, numpy


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
