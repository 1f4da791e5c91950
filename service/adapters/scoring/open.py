"""Opens the embedder and the scorer that the settings name; refuses a pair that does not fit."""

from __future__ import annotations

import os
from functools import partial

import torch
from threadpoolctl import threadpool_limits

from models.checkpoint import Card, CheckpointError
from models.devices import find_device
from models.embedders import Embedder, EmbedderError, load_embedder
from models.networks import RESIDUAL
from models.published import EvenPrior
from models.scorer import load_scorer
from service.adapters.scoring.banks import TenantBanks
from service.adapters.scoring.embedding import CachingEmbedder
from service.adapters.scoring.pools import Pools
from service.adapters.scoring.scoring import ModuleScorer
from service.adapters.scoring.worker import Worker
from service.settings import Settings, SettingsError

MB = 1_000_000


def open_scoring(settings: Settings) -> tuple[CachingEmbedder, ModuleScorer]:
    """Load both and start the one worker that they share; closing either one stops it.

    Raises SettingsError when one cannot be loaded or the checkpoint needs another embedder.
    """
    device = _device(settings.device)
    try:
        module = load_scorer(settings.checkpoint, device=device).traced()
    except CheckpointError as exc:
        raise SettingsError(f"GPO_CHECKPOINT: {exc}") from exc
    try:
        model = load_embedder(settings.embedder, device=device)
    except EmbedderError as exc:
        raise SettingsError(f"GPO_EMBEDDER: {exc}") from exc
    check_fit(module.card, model, settings)
    check_bank(module.card, settings)
    pools = None if settings.prior == "bank" else _pools(module.card, settings)
    worker = Worker(
        max_batch=settings.batch_size,
        window_s=settings.batch_window_ms / 1e3,
        prepare=partial(_use_threads, settings.threads or default_threads()),
    )
    base = module.prior if settings.bank in ("released", "both") else EvenPrior()
    scorer = ModuleScorer(
        module,
        worker,
        cache_bytes=settings.context_cache_mb * MB,
        prior=base,
        banks=TenantBanks(worker, base) if settings.uses_own_groups else None,
        pools=pools,
    )
    return (
        CachingEmbedder(model, worker, cache_bytes=settings.embedding_cache_mb * MB),
        scorer,
    )


def default_threads() -> int:
    """Half of the cores.

    On two cores a second thread made batches of the scorer slower by half: each of its many
    small operations waits for both threads, and one of them has requests to read.
    """
    return max((os.cpu_count() or 1) // 2, 1)


def _use_threads(count: int) -> None:
    """In the worker's thread; torch's number is of the thread, that of numpy's BLAS of all."""
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


def check_bank(card: Card, settings: Settings) -> None:
    """A module without a prior has no use for a bank. Raises SettingsError."""
    if card.arch != RESIDUAL and settings.uses_own_groups:
        raise SettingsError(
            f"GPO_BANK={settings.bank} needs a checkpoint that reads a bank, and "
            f"GPO_CHECKPOINT={settings.checkpoint} has the architecture {card.arch}; "
            "set GPO_BANK=released"
        )


def check_fit(card: Card, model: Embedder, settings: Settings) -> None:
    """Vectors of one embedder mean nothing to weights trained on another. Raises SettingsError."""
    needed = card.embedder
    if (needed.digest, needed.dim) != (model.digest, model.dim):
        raise SettingsError(
            f"GPO_CHECKPOINT={settings.checkpoint} was trained on the embedder {needed.id} "
            f"({needed.digest[:12]}, {needed.dim} dimensions), but GPO_EMBEDDER="
            f"{settings.embedder} is {model.id} ({model.digest[:12]}, {model.dim} dimensions); "
            "set GPO_EMBEDDER to what the checkpoint needs, or GPO_CHECKPOINT to one that fits"
        )


def _pools(card: Card, settings: Settings) -> Pools:
    if card.arch != RESIDUAL:
        raise SettingsError(
            f"GPO_PRIOR={settings.prior} needs a module that corrects a prior, but the one in "
            f"GPO_CHECKPOINT={settings.checkpoint} ({card.arch}) has none; set GPO_PRIOR=bank"
        )
    try:
        return Pools.of_card(card, settings.prior)
    except ValueError as exc:
        raise SettingsError(f"GPO_CHECKPOINT={settings.checkpoint}: {exc}") from exc


def _device(wanted: str) -> str:
    try:
        return find_device(wanted)
    except ValueError as exc:
        raise SettingsError(f"GPO_DEVICE={exc}") from exc
