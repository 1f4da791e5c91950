"""Training learns from the context, resumes where it was killed, and stops when it should."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from episodes_for_tests import DIM, SMALL, random_items, vectors_of, write_data

from models.batches import Kind, collate
from models.datasets import preference_files, read_corpus
from models.domains import Domain, build_domains
from models.episodes import EpisodeConfig, EpisodeSampler
from models.losses import distance_losses, item_losses
from models.prior import PriorConfig
from models.published import PublishedConfig
from models.splits import Part, SplitConfig, split_corpora
from models.trainer import TrainConfig, Trainer

PUBLISHED = PublishedConfig(embedding_dim=DIM, d_model=16, layers=2, heads=2, d_ff=16)
EPISODES = EpisodeConfig(max_context=20, share_targets=8, rating_targets=8)


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> list[Domain]:
    """The club's data, with vectors that show what each text leans to."""
    folder = write_data(tmp_path_factory.mktemp("club"))
    corpora = [read_corpus(p) for p in preference_files(folder)]
    vectors = [vectors_of(c) for c in corpora]
    config = SplitConfig(validation_groups=0.2)
    return build_domains(corpora, vectors, split_corpora(corpora, config), PriorConfig())[0]


def config(**changes: object) -> TrainConfig:
    plain = {"steps": 60, "batch": 4, "warmup": 5, "evaluate_every": 20, "learning_rate": 3e-3}
    return TrainConfig(**(plain | changes))  # type: ignore[arg-type]


def test_context_and_targets_never_share_a_question(domains: list[Domain]) -> None:
    sampler = EpisodeSampler(domains, EPISODES, np.random.default_rng(0))
    batches = sampler.batches(4)
    for _ in range(50):
        for episode in next(batches):
            seen = {item.vectors.tobytes() for item in episode.context}
            assert not seen & {item.vectors.tobytes() for item in episode.targets}


def test_context_sizes_start_at_zero_and_reach_the_largest(domains: list[Domain]) -> None:
    sampler = EpisodeSampler(domains, EPISODES, np.random.default_rng(0))
    batches = sampler.batches(1)
    sizes = {len(next(batches)[0].context) for _ in range(300)}
    assert 0 in sizes
    assert max(sizes) >= 15


def test_episodes_hold_training_groups_and_questions_alone(domains: list[Domain]) -> None:
    sampler = EpisodeSampler(domains, EPISODES, np.random.default_rng(0))
    held: set[bytes] = set()
    for domain in domains:
        for i in np.flatnonzero(domain.split.items != Part.TRAIN):
            span = slice(domain.corpus.starts[i], domain.corpus.starts[i + 1])
            held |= {row.tobytes() for row in domain.vectors[span]}
    batches = sampler.batches(4)
    for _ in range(30):
        for episode in next(batches):
            for item in (*episode.context, *episode.targets):
                assert not held & {row.tobytes() for row in item.vectors}


def test_what_is_expected_of_a_group_does_not_contain_its_own_answer(
    domains: list[Domain],
) -> None:
    survey = next(d for d in domains if d.corpus.kind is Kind.SHARE)
    group = int(survey.groups(Part.TRAIN)[0])
    number = int(survey.items(group, Part.TRAIN)[0])
    item = survey.item(number, group, known=True)
    span = slice(survey.corpus.starts[number], survey.corpus.starts[number + 1])
    others = [int(g) for g in survey.groups(Part.TRAIN) if g != group]
    answers = np.sqrt(np.round(survey.corpus.values[others, span], 2))
    root = (answers.sum(0) + 0.5 * np.sqrt(survey.new_mean[span])) / (len(others) + 0.5)
    assert item.expected is not None
    assert item.expected.mean == pytest.approx(root**2 / (root**2).sum(), abs=1e-5)
    # Nor can it be read off the departures of the others, which sum to 0 without the group.
    assert item.expected.profile[:, survey.column[group]].tolist() == [0, 0]
    assert item.expected.profile.sum(1) == pytest.approx([0, 0], abs=1e-5)


def test_training_learns_to_use_the_context(domains: list[Domain]) -> None:
    """The club's groups differ along one trait, which a context reveals."""
    trainer = Trainer(domains, SMALL, EPISODES, config(steps=300, evaluate_every=100, batch=8))
    result = trainer.run(progress=False)
    best = min(result.history, key=lambda row: row["loss"])
    assert best["club_survey/train/0"] == pytest.approx(0, abs=1e-6)
    assert best["club_survey/train/20"] < -0.2


def test_the_correction_counts_as_far_as_it_helps_held_out_groups(domains: list[Domain]) -> None:
    """A network that only does harm is switched off, kind by kind."""
    trainer = Trainer(domains, SMALL, EPISODES, config())
    with torch.no_grad():
        trainer.network.delta.weight.normal_(generator=torch.Generator().manual_seed(0))
    harm = trainer._measure(0.0)["loss"]
    trainer.fit_correction()
    helped = trainer._measure(0.0)["loss"]
    assert helped < harm
    factors = trainer.network.correction
    assert factors[1, 1] == 1, "no rating is of a known question: that factor stays as it is"
    assert factors[:, 0].max() < 1
    for cell in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1)):
        kept = factors[cell].item()
        for other in (0.0, 0.5, 1.0):
            factors[cell] = other
            assert trainer._measure(0.0)["loss"] >= helped - 1e-5
        factors[cell] = kept


def test_a_killed_run_resumes_exactly(domains: list[Domain], tmp_path: Path) -> None:
    whole = Trainer(domains, SMALL, EPISODES, config()).run(progress=False)
    first = Trainer(domains, SMALL, EPISODES, config(steps=40))
    # The learning rate follows the steps that were asked for.
    first.config = config()
    while first.step < 40:
        first._update(next(first.sampler.batches(4)))
        if first.step % 20 == 0:
            first._evaluate(0.0)
    first.save(tmp_path)
    second = Trainer(domains, SMALL, EPISODES, config())
    assert second.resume(tmp_path)
    assert second.step == 40
    resumed = second.run(tmp_path, progress=False)
    assert [r["loss"] for r in resumed.history] == pytest.approx([r["loss"] for r in whole.history])
    for name, weights in whole.weights.items():
        assert torch.allclose(weights, resumed.weights[name], atol=1e-6), name
    assert json.loads((tmp_path / "state.json").read_text())["step"] == 60
    assert len(list(tmp_path.glob("state-*.safetensors"))) == 1


def test_the_state_of_another_run_is_refused(domains: list[Domain], tmp_path: Path) -> None:
    Trainer(domains, SMALL, EPISODES, config()).save(tmp_path)
    other = Trainer(domains, SMALL, EPISODES, config(seed=5))
    with pytest.raises(ValueError, match="another config"):
        other.resume(tmp_path)


def test_a_run_on_another_split_is_refused(domains: list[Domain], tmp_path: Path) -> None:
    """Its weights have seen groups and questions that this run holds out."""
    Trainer(domains, SMALL, EPISODES, config()).save(tmp_path)
    groups = np.roll(domains[0].split.groups, 1)
    moved = replace(domains[0], split=replace(domains[0].split, groups=groups))
    other = Trainer([moved, *domains[1:]], SMALL, EPISODES, config())
    with pytest.raises(ValueError, match="another split"):
        other.resume(tmp_path)


def test_a_run_with_other_vectors_is_refused(domains: list[Domain], tmp_path: Path) -> None:
    """Another embedder may have the same dimension."""
    one, other = ({"embedder": digest} for digest in ("ab" * 32, "cd" * 32))
    Trainer(domains, SMALL, EPISODES, config(), origin=one).save(tmp_path)
    assert Trainer(domains, SMALL, EPISODES, config(), origin=one).resume(tmp_path)
    with pytest.raises(ValueError, match="another embedder"):
        Trainer(domains, SMALL, EPISODES, config(), origin=other).resume(tmp_path)


def test_a_run_of_another_architecture_is_refused(domains: list[Domain], tmp_path: Path) -> None:
    Trainer(domains, SMALL, EPISODES, config()).save(tmp_path)
    with pytest.raises(ValueError, match="another architecture"):
        Trainer(domains, PUBLISHED, EPISODES, config()).resume(tmp_path)


def test_a_run_of_another_number_of_processes_is_refused(
    domains: list[Domain], tmp_path: Path
) -> None:
    Trainer(domains, SMALL, EPISODES, config()).save(tmp_path)
    file = tmp_path / "state.json"
    file.write_text(file.read_text().replace('"processes": 1', '"processes": 4'))
    with pytest.raises(ValueError, match="of 4 processes, not 1"):
        Trainer(domains, SMALL, EPISODES, config()).resume(tmp_path)


def test_the_published_module_is_trained_and_judged_by_the_same_run(
    domains: list[Domain], tmp_path: Path
) -> None:
    trainer = Trainer(domains, PUBLISHED, EPISODES, config(evaluate_every=5, batch=8))
    same = Trainer(domains, SMALL, EPISODES, config())
    assert [name for name, *_ in trainer.validation] == [name for name, *_ in same.validation]
    for (_, *one), (_, *other) in zip(trainer.validation, same.validation, strict=True):
        assert all(torch.equal(a.y, b.y) for a, b in zip(one, other, strict=True))
    result = trainer.run(tmp_path, progress=False)
    assert result.history[-1]["loss"] < result.history[0]["loss"] - 0.01
    again = Trainer(domains, PUBLISHED, EPISODES, config(evaluate_every=5, batch=8))
    assert again.resume(tmp_path)
    assert again.step == 60


def test_there_is_nothing_to_resume_in_an_empty_folder(
    domains: list[Domain], tmp_path: Path
) -> None:
    assert not Trainer(domains, SMALL, EPISODES, config()).resume(tmp_path)


def test_training_stops_when_validation_no_longer_improves(domains: list[Domain]) -> None:
    trainer = Trainer(domains, SMALL, EPISODES, config(steps=500, learning_rate=0.0, patience=2))
    result = trainer.run(progress=False)
    assert result.steps == 60
    assert result.stopped == "early stop on validation"


def test_the_loss_is_zero_for_the_truth_and_grows_with_the_error(domains: list[Domain]) -> None:
    survey = next(d for d in domains if d.corpus.kind is Kind.SHARE)
    group = int(survey.groups(Part.TRAIN)[0])
    items = [survey.item(int(i), group, known=True) for i in survey.items(group, Part.TRAIN)[:4]]
    targets = collate([items], dim=DIM)
    network = Trainer(domains, SMALL, EPISODES, config()).network.eval()
    output = network(collate([[]], dim=DIM), targets)
    right = type(output)(targets.y.log(), targets.y, output.std)
    wrong = type(output)((1 - targets.y).log(), 1 - targets.y, output.std)
    for losses in (item_losses, distance_losses):
        assert float(losses(right, targets).sum()) == pytest.approx(0, abs=1e-5)
        assert float(losses(wrong, targets).sum()) > 0.01
    apart = np.sqrt(np.stack([i.values for i in items])) - np.sqrt(
        1 - np.stack([i.values for i in items])
    )
    hellinger = np.linalg.norm(apart, axis=1) / np.sqrt(2)
    assert distance_losses(wrong, targets).item() == pytest.approx(hellinger.sum(), abs=0.005)


def test_the_distance_counts_each_item_once_and_no_padding(domains: list[Domain]) -> None:
    rng = np.random.default_rng(6)
    items = random_items(rng, 5)
    network = Trainer(domains, SMALL, EPISODES, config()).network.eval()
    empty = collate([[], []], dim=DIM)
    targets = collate([items, items[:2]], dim=DIM)
    both = distance_losses(network(empty, targets), targets)
    alone = []
    for item in items:
        one = collate([[item]], dim=DIM)
        alone.append(distance_losses(network(collate([[]], dim=DIM), one), one).item())
    assert both.tolist() == pytest.approx([sum(alone), sum(alone[:2])], abs=1e-5)
    both.sum().backward()
    slopes = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(torch.isfinite(slope).all() for slope in slopes)
