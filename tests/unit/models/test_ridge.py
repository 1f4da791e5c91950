"""Groups that hold firm views, unlike any in the training: the context decides, and only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from episodes_for_tests import DIM, POPULATIONS, SMALL, random_items
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import Expectation, Item, Kind, Tokens, collate
from models.gpo import GPO, residuals
from models.ridge import (
    EXPERTS,
    PARTS,
    RIVAL_TOKENS,
    Fit,
    Frame,
    InContextRidge,
    Middle,
    _precision,
)

HALF = DIM // 2
AXES = 6  # directions in which the statements differ; the rest of a vector is common wording
SURVEYS = 2  # ridges for groups as surveys have them; the others are for firm views
Form = Callable[[np.ndarray, np.ndarray], list[Item]]
seeds = st.integers(0, 10_000)
slow = settings(max_examples=15, deadline=None)


def network() -> GPO:
    """An untrained network: its heads are zero, so the ridges alone answer."""
    torch.manual_seed(0)
    return GPO(SMALL).eval()


def statements(count: int, *, seed: int = 0) -> np.ndarray:
    """(count, HALF): alike wording, different content."""
    vectors = np.ones((count, HALF))
    vectors[:, :AXES] += 2.0 * np.random.default_rng(seed).normal(size=(count, AXES))
    return vectors.astype(np.float32)


def quoted(vectors: np.ndarray, yes: np.ndarray) -> list[Item]:
    """Each statement as a yes/no question, of which the share `yes` says yes."""
    options = np.ones((2, HALF), np.float32)
    options[:, -1] = 1.5, 0.5
    even = Expectation(np.full(2, 0.5, np.float32), np.zeros((2, POPULATIONS), np.float32))
    return [
        Item(
            Kind.SHARE,
            np.stack([np.concatenate([v, option]) for option in options]),
            np.array([y, 1 - y], np.float32),
            None,
            even,
        )
        for v, y in zip(vectors, yes, strict=True)
    ]


def rated(vectors: np.ndarray, rates: np.ndarray) -> list[Item]:
    """Each statement as a response to one prompt, with its rate of approval."""
    prompt = np.ones(HALF, np.float32)
    half = Expectation(np.full(1, 0.5, np.float32), np.zeros((1, POPULATIONS), np.float32))
    return [
        Item(Kind.RATING, np.concatenate([prompt, v])[None], np.array([r], np.float32), None, half)
        for v, r in zip(vectors, rates, strict=True)
    ]


def agrees(vectors: np.ndarray, *, seed: int = 1) -> np.ndarray:
    """(n,) bool: which statements lie on this persona's side."""
    side: np.ndarray = vectors[:, :AXES] @ np.random.default_rng(seed).normal(size=AXES) > 1.0
    return side


def fit(items: list[list[Item]], ridge: InContextRidge | None = None) -> Fit:
    context = collate(items, dim=DIM)
    frame = Frame.of(context)
    with torch.inference_mode():
        return (ridge or InContextRidge()).fit(frame, context, residuals(context))


def answers(context: list[Item], asked: list[Item]) -> np.ndarray:
    """The first value of each item that an untrained network predicts."""
    module = network()
    with torch.inference_mode():
        encoded = module.encode(collate([context], dim=DIM))
        mean = module.decode(encoded, collate([asked], dim=DIM)).mean[0]
    return np.asarray(mean.reshape(len(asked), -1)[:, 0])


@pytest.mark.parametrize("form", [quoted, rated])
def test_a_persona_is_followed_to_new_statements(form: Form) -> None:
    right = []
    for seed in range(10):
        vectors = statements(80, seed=seed)
        side = agrees(vectors, seed=seed)
        items = form(vectors, np.where(side, 0.97, 0.03))
        right.append(np.mean((answers(items[:20], items[20:]) > 0.5) == side[20:]))
    assert np.mean(right) > 0.85


def test_the_answer_is_the_same_whatever_the_order_of_the_options() -> None:
    vectors = statements(30)
    items = quoted(vectors, np.where(agrees(vectors), 0.97, 0.03))
    turned = [
        replace(
            item,
            vectors=item.vectors[::-1].copy(),
            values=item.values[::-1].copy(),
        )
        for item in items
    ]
    yes = answers(items[:20], items[20:])
    assert answers(turned[:20], items[20:]) == pytest.approx(yes, abs=1e-5)
    assert answers(items[:20], turned[20:]) == pytest.approx(1 - yes, abs=1e-5)


@pytest.mark.parametrize("form", [quoted, rated])
def test_an_ordinary_group_is_left_to_the_ridges_of_surveys(form: Form) -> None:
    vectors = statements(20)
    lean = 0.5 + 0.03 * np.random.default_rng(2).normal(size=20)
    assert fit([form(vectors, lean)]).likely[0, SURVEYS:].sum() < 0.05


@pytest.mark.parametrize("form", [quoted, rated])
def test_a_firm_context_is_one_of_a_group_with_firm_views(form: Form) -> None:
    vectors = statements(20)
    firm = form(vectors, np.where(agrees(vectors), 0.97, 0.03))
    assert fit([firm]).likely[0, SURVEYS:].sum() > 0.9


@slow
@given(seed=seeds, size=st.integers(1, 16))
def test_every_kernel_of_a_context_is_a_covariance(seed: int, size: int) -> None:
    """Or a sum of them with any weights might have no Cholesky factor."""
    rng = np.random.default_rng(seed)
    items = random_items(rng, size)
    zero = replace(items[0], vectors=np.zeros_like(items[0].vectors))
    frame = Frame.of(collate([[*items, zero], items[:1]], dim=DIM))
    kernels = frame.kernels(frame, Middle.of(frame)).double()
    kernels = kernels * (frame.mask[:, :, None] & frame.mask[:, None, :])[:, None]
    assert kernels.shape[:2] == (2, PARTS)
    assert torch.allclose(kernels, kernels.mT, atol=1e-6)
    least = torch.linalg.eigvalsh((kernels + kernels.mT) / 2)[..., 0]
    scale = kernels.diagonal(dim1=2, dim2=3).amax(2).clamp(min=1e-3)
    assert (least > -1e-5 * scale).all(), least


@slow
@given(seed=seeds, size=st.integers(0, 14))
def test_the_ridges_share_one_probability_whatever_the_order(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    items, other = random_items(rng, size), random_items(rng, 5)
    found = fit([items, other])
    assert found.likely.shape == (2, EXPERTS)
    assert (found.likely >= 0).all()
    assert torch.allclose(found.likely.sum(1), torch.ones(2), atol=1e-5)
    shuffled = [items[i] for i in rng.permutation(size)]
    for turned in (fit([shuffled, other]).likely, fit([other, items]).likely.flip(0)):
        assert torch.allclose(turned, found.likely, atol=1e-4)
    assert torch.allclose(fit([items]).likely[0], found.likely[0], atol=1e-4)


def test_without_a_context_the_ridges_are_as_likely_as_they_were_at_first() -> None:
    ridge = InContextRidge()
    found = fit([[]], ridge)
    assert torch.allclose(found.likely[0], torch.softmax(ridge.log_likely, 0))
    assert found.dual.shape == (1, PARTS, 0)


def test_more_respondents_leave_less_noise() -> None:
    """And comparisons, which are ones and zeros, leave more than shares."""
    (item,) = random_items(np.random.default_rng(0), 1)
    share = replace(item, kind=Kind.RATING, vectors=item.vectors[:1], values=item.values[:1])
    share = replace(share, expected=Expectation(*(np.full(s, 0.5, "f4") for s in ((1,), (1, 3)))))
    rows = [replace(share, weight=n) for n in (10.0, 100.0, 1000.0)]
    noise = InContextRidge().noise(collate([rows], dim=DIM))
    assert noise.shape == (1, EXPERTS, 3)
    assert (noise.diff(dim=2) < 0).all()
    compared = replace(share, kind=Kind.COMPARISON, weight=1000.0)
    more = InContextRidge().noise(collate([[rows[2], compared]], dim=DIM))
    assert (more[..., 1] > more[..., 0]).all()


@slow
@given(seed=seeds)
def test_padding_takes_no_part_in_a_fit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = random_items(rng, 4)
    alone, beside = fit([items]), fit([items, random_items(rng, 15)])
    width = alone.dual.shape[2]
    assert torch.allclose(beside.dual[0, :, :width], alone.dual[0], atol=1e-3, rtol=1e-3)
    assert not beside.dual[0, :, width:].any()


def pairs(count: int, *, alike: bool) -> list[Item]:
    """Ratings of pairs of nearly the same text, both alike or one against the other."""
    rng = np.random.default_rng(6)
    vectors = np.repeat(statements(count), 2, axis=0)
    vectors += 0.1 * rng.normal(size=vectors.shape).astype(np.float32)
    first = rng.choice([0.05, 0.95], count)
    return rated(vectors, np.stack([first, first if alike else 1 - first], 1).ravel())


def test_ratings_that_near_texts_contradict_are_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The two sides of a debate use its words: what is liked then does not lie in them."""
    asked = rated(statements(40, seed=9), np.zeros(40))
    moved = [np.ptp(answers(pairs(10, alike=alike), asked)) for alike in (True, False)]
    monkeypatch.setattr("models.ridge._believed", lambda *_: torch.ones(1, 1))
    plain = [np.ptp(answers(pairs(10, alike=alike), asked)) for alike in (True, False)]
    assert moved[0] > 0.9 * plain[0]
    assert moved[1] < 0.5 * plain[1]


def test_what_is_not_believed_of_ratings_leaves_shares_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = statements(12)
    shares = quoted(vectors, np.where(agrees(vectors), 0.97, 0.03))
    items = [*pairs(6, alike=False), *shares]
    found = fit([items])
    monkeypatch.setattr("models.ridge._believed", lambda *_: torch.ones(1, 1))
    plain = fit([items])
    kept, moved = slice(12, None), slice(0, 12)
    assert torch.allclose(found.dual[:, :, kept], plain.dual[:, :, kept])
    assert found.dual[:, :, moved].abs().sum() < 0.5 * plain.dual[:, :, moved].abs().sum()
    assert torch.allclose(found.likely, plain.likely)


def test_the_level_of_all_ratings_is_believed_even_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever likes everything a little more than others is met there, whatever the texts say."""
    asked = rated(statements(40, seed=9), np.zeros(40))
    high = pairs(10, alike=False)
    for item in high:
        item.values[:] = 0.6 + 0.4 * item.values
    lift = answers(high, asked).mean() - 0.5
    monkeypatch.setattr("models.ridge._believed", lambda *_: torch.ones(1, 1))
    plain = answers(high, asked).mean() - 0.5
    assert plain > 0.05
    assert lift > 0.9 * plain


def test_each_rating_is_told_by_all_the_others() -> None:
    """The residual less the dual over the precision is what a fit without that rating predicts."""
    rng = np.random.default_rng(4)
    root = rng.normal(size=(8, 8))
    gram, noise, y = root @ root.T, np.diag(rng.uniform(0.5, 2, 8)), rng.normal(size=8)
    factor = torch.linalg.cholesky(torch.from_numpy(gram + noise))[None, None]
    dual = np.linalg.solve(gram + noise, y)
    told = y - dual / _precision(factor)[0, 0].numpy()
    for i in range(8):
        rest = np.delete(np.arange(8), i)
        system = (gram + noise)[np.ix_(rest, rest)]
        assert told[i] == pytest.approx(gram[i, rest] @ np.linalg.solve(system, y[rest]))


def test_by_rows_is_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    items = [random_items(rng, 12), random_items(rng, 7)]
    whole = fit(items)
    monkeypatch.setattr("models.ridge.ROWS", 5)
    parts = fit(items)
    assert torch.allclose(parts.likely, whole.likely, atol=1e-5)
    assert torch.allclose(parts.dual, whole.dual, atol=1e-3, rtol=1e-3)


def test_a_context_above_the_limit_has_the_first_ridge_alone() -> None:
    """Also beside a small one in the same batch, which keeps its own ridges."""
    vectors = statements(RIVAL_TOKENS + 1)
    items = rated(vectors, np.where(agrees(vectors), 0.97, 0.03))
    large, small = fit([items, items[:20]]).likely
    assert large.tolist() == pytest.approx([1, 0, 0, 0, 0])
    assert small[SURVEYS:].sum() > 0.9
    assert torch.allclose(small, fit([items[:20]]).likely[0], atol=1e-4)


def test_a_large_context_is_still_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first ridge: nearer to the truth than what was expected."""
    monkeypatch.setattr("models.ridge.RIVAL_TOKENS", 100)
    vectors = statements(300)
    side = agrees(vectors)
    items = rated(vectors, np.where(side, 0.6, 0.4))
    found = answers(items[:200], items[200:])
    assert np.isfinite(found).all()
    assert np.corrcoef(found, side[200:])[0, 1] > 0.5


def test_the_ridges_learn_from_what_they_answer() -> None:
    """Every scale has a slope, the probabilities too."""
    rng = np.random.default_rng(5)
    context = collate([random_items(rng, 9)], dim=DIM)
    targets: Tokens = collate([random_items(rng, 6)], dim=DIM)
    ridge, frame = InContextRidge(), Frame.of(context)
    found = ridge.fit(frame, context, residuals(context))
    hint = found(Frame.of(targets).kernels(frame, found.middle))
    (hint - residuals(targets)).square().sum().backward()
    for name, parameter in ridge.named_parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
