"""Opening the scoring parts: a checkpoint and an embedder that do not fit never start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fixtures.checkpoints import write_checkpoint
from pydantic import ValidationError

from models.checkpoint import Card, CardEmbedder, CardTraining, load_card
from models.embedders import load_embedder
from models.networks import PUBLISHED
from models.published import EvenPrior, Published, PublishedConfig
from models.scorer import MAX_CONTEXT_TOKENS, GPOScorer
from models.texts import TEMPLATE
from service.adapters.scoring import open as opening
from service.adapters.scoring.open import open_scoring
from service.settings import Settings, SettingsError


@pytest.fixture(scope="module")
def digest() -> str:
    return load_embedder("minilm").digest


def refusal(**settings: object) -> str:
    with pytest.raises(SettingsError) as caught:
        open_scoring(Settings(**settings))
    return str(caught.value)


async def test_torch_takes_the_threads_that_are_set_else_half(
    tmp_path: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_checkpoint(tmp_path, digest=digest, dim=768)
    before = torch.get_num_threads()
    monkeypatch.setattr(opening, "TORCH_THREADS", 6)
    try:
        for chosen, threads in ((0, 3), (2, 2), (0, 3)):
            embedder, _ = open_scoring(Settings(checkpoint=folder, torch_threads=chosen))
            await embedder.close()
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


async def test_a_pair_that_fits_opens_and_closes(tmp_path: Path, digest: str) -> None:
    folder = write_checkpoint(tmp_path, digest=digest, dim=768)
    embedder, scorer = open_scoring(
        Settings(checkpoint=folder, embedding_cache_mb=3, context_cache_mb=5)
    )
    assert (embedder.identity.id, embedder.identity.dim) == ("minilm", 768)
    assert embedder.identity.digest == digest
    assert embedder.identity.languages == ("en",)
    assert embedder.cache.max_bytes == 3_000_000
    assert scorer.cache.max_bytes == 5_000_000
    await embedder.check()
    await scorer.close()
    await embedder.close()


@pytest.mark.parametrize(("changed", "dim"), [(True, 768), (False, 12)])
def test_a_checkpoint_of_another_embedder_is_refused(
    tmp_path: Path, digest: str, changed: bool, dim: int
) -> None:
    wrong = digest[::-1] if changed else digest
    folder = write_checkpoint(tmp_path, digest=wrong, dim=dim, embedder="st:elsewhere")
    message = refusal(checkpoint=folder)
    for part in ("GPO_CHECKPOINT", "GPO_EMBEDDER", "st:elsewhere", wrong[:12], digest[:12]):
        assert part in message


def test_what_cannot_be_loaded_names_its_setting(tmp_path: Path, digest: str) -> None:
    assert "GPO_CHECKPOINT" in refusal(checkpoint=tmp_path / "none")
    folder = write_checkpoint(tmp_path, digest=digest, dim=768)
    assert "GPO_EMBEDDER" in refusal(checkpoint=folder, embedder="word2vec")
    assert "GPO_DEVICE='abacus'" in refusal(checkpoint=folder, device="abacus")


async def test_a_prior_that_a_checkpoint_cannot_serve_is_refused(
    tmp_path: Path, digest: str
) -> None:
    folder = write_checkpoint(
        tmp_path / "odd", digest=digest, dim=768, config={"llm_prior": {"weight": 2}}
    )
    message = refusal(checkpoint=folder, prior="both")
    assert "GPO_CHECKPOINT" in message
    assert "llm_prior" in message
    _, scorer = open_scoring(Settings(checkpoint=folder))  # the bank alone reads none of it
    await scorer.close()
    minilm = CardEmbedder("minilm", digest, 768, TEMPLATE, "mean")
    network = Published(PublishedConfig(embedding_dim=768, layers=1)).eval()
    card = replace(load_card(folder), arch="", embedder=minilm, config={})
    GPOScorer(network, EvenPrior(), card).save(tmp_path / "published")
    message = refusal(checkpoint=tmp_path / "published", prior="llm")
    for part in ("GPO_PRIOR=llm", "GPO_CHECKPOINT", "GPO_PRIOR=bank"):
        assert part in message


def test_no_setting_lets_in_a_context_that_the_module_refuses() -> None:
    assert Settings().max_context_tokens == MAX_CONTEXT_TOKENS
    with pytest.raises(ValidationError):
        Settings(max_context_tokens=MAX_CONTEXT_TOKENS + 1)


@pytest.mark.parametrize("bank", ["own", "both"])
def test_a_module_without_a_prior_has_no_use_for_own_groups(
    tmp_path: Path, digest: str, bank: str
) -> None:
    network = Published(PublishedConfig(d_model=16, layers=1, heads=2, d_ff=16, depth=2))
    card = Card(
        name="published",
        arch=PUBLISHED,
        config={},
        embedder=CardEmbedder("minilm", digest, 768, TEMPLATE, "mean"),
        data=(),
        training=CardTraining((0,), 0, "none", 0.0),
        metrics={},
        limits=(),
        created="2026-01-02",
    )
    GPOScorer(network.eval(), EvenPrior(), card).save(tmp_path)
    message = refusal(checkpoint=tmp_path, bank=bank)
    for part in (f"GPO_BANK={bank}", "GPO_CHECKPOINT", "GPO_BANK=released"):
        assert part in message


async def test_only_own_groups_need_a_bank(tmp_path: Path, digest: str) -> None:
    folder = write_checkpoint(tmp_path, digest=digest, dim=768)
    for bank, used in (("released", False), ("none", False), ("own", True), ("both", True)):
        _, scorer = open_scoring(Settings(checkpoint=folder, bank=bank))
        assert (scorer.banks is not None) is used
        await scorer.close()
