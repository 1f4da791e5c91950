"""The bank of own groups: means and departures of the others, never the group's own row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from models import own_bank, own_kernel, own_questions
from models.batches import Expectation, FloatArray, Item, Kind
from models.own_bank import OwnBank, OwnPrior
from models.published import EvenPrior

DIM = 48
Known = tuple[Kind, FloatArray]


class Guess:
    """A base that knows every question from 9 populations, two of them by profile."""

    def expect(self, items: Sequence[Known]) -> list[Expectation]:
        found = []
        for kind, vectors in items:
            mean = np.linspace(1, 2, len(vectors), dtype="f4")
            profile = np.full((len(vectors), 2), 0.1, "f4")
            mean = mean / mean.sum() if kind is not Kind.RATING else np.full(len(mean), 0.8, "f4")
            found.append(Expectation(mean, profile, 9.0, respondents=300.0))
        return found


def question(seed: int, options: int = 3, dim: int = DIM) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(options, dim)).astype("f4")


def share(vectors: FloatArray, *values: float) -> Item:
    return Item(Kind.SHARE, vectors, np.array(values, "f4"))


def rating(vectors: FloatArray, score: float) -> Item:
    return Item(Kind.RATING, vectors[:1], np.array([score], "f4"))


def expected(
    bank: OwnBank, *asked: Item, without: str | None = None, context: Sequence[Item] = ()
) -> list[Expectation]:
    prior = bank.prior_for(context, bank.same_as(without, "nothing"))
    return prior.expect([(item.kind, item.vectors) for item in asked])


def asked(vectors: FloatArray) -> Item:
    return share(vectors, *[0.0] * len(vectors))


def test_an_empty_bank_says_what_its_base_says() -> None:
    items = [asked(question(1)), rating(question(2), 0), Item(Kind.COMPARISON, question(3, 2), [])]
    known = [(item.kind, item.vectors) for item in items]
    for base in (EvenPrior(), Guess()):
        bank = OwnBank(base)
        for ours, theirs in zip(bank.prior_for([]).expect(known), base.expect(known), strict=True):
            assert ours.mean == pytest.approx(theirs.mean)
            assert ours.profile.shape == theirs.profile.shape
            assert (ours.support, ours.respondents) == (theirs.support, theirs.respondents)


def test_a_known_question_gets_the_mean_of_its_groups() -> None:
    q = question(1)
    bank = OwnBank(EvenPrior())
    bank.put("a", [share(q, 0.2, 0.3, 0.5)])
    bank.put("b", [share(q[[2, 0, 1]], 0.7, 0.2, 0.1)])  # the same options in another order
    (found,) = expected(bank, asked(q))
    assert found.support == 2
    said = np.sqrt([[0.2, 0.3, 0.5], [0.2, 0.1, 0.7]])
    assert found.mean == pytest.approx(
        squared(said.sum(0) + own_bank.SHRINK * np.sqrt(1 / 3)), abs=1e-6
    )
    (turned,) = expected(bank, asked(q[::-1].copy()))
    assert turned.mean[::-1] == pytest.approx(found.mean)
    assert turned.profile[::-1] == pytest.approx(found.profile)
    assert found.profile.shape == (3, 2)
    assert found.profile.sum(1) == pytest.approx(np.zeros(3), abs=1e-6)
    assert found.profile[2, 0] * found.profile[2, 1] < 0


@pytest.mark.parametrize(
    "other",
    [question(1, 4), question(1)[[0, 0, 1]], question(2), question(1, 3) * [[1], [1], [-1]]],
)
def test_another_question_is_not_known(other: FloatArray) -> None:
    bank = OwnBank(EvenPrior())
    bank.put("a", [share(question(1), 0.2, 0.3, 0.5)])
    (found,) = expected(bank, asked(np.asarray(other, "f4")))
    assert found.support == 0


@pytest.mark.parametrize("half", [slice(0, DIM // 2), slice(DIM // 2, DIM)])
def test_prompt_and_response_have_to_be_the_same_each(half: slice) -> None:
    """Half of a vector that is off by more than SAME is not made up for by the other half."""
    q = own_questions.unit(question(1))
    other = q.copy()
    # A turn by .04 in one half, whose cosine is .9992: over both halves it would be .9996.
    away = np.roll(q[:, half], 1, axis=1)
    away -= (away * q[:, half]).sum(1, keepdims=True) * q[:, half] * 2
    away /= np.linalg.norm(away, axis=1, keepdims=True) * np.sqrt(2)
    other[:, half] = np.cos(0.04) * q[:, half] + np.sin(0.04) * away
    assert ((q * other).sum(1) > own_questions.SAME).all()
    bank = OwnBank(EvenPrior())
    bank.put("a", [share(q, 0.2, 0.3, 0.5)])
    (found,) = expected(bank, asked(other))
    assert found.support == 0


def test_the_figures_of_the_base_count_for_a_few_groups_and_support_adds_up() -> None:
    q = question(1)
    bank = OwnBank(Guess())
    base = Guess().expect([(Kind.SHARE, q)])[0]
    for n in range(1, 40):
        bank.put(f"g{n}", [share(q, 1.0, 0.0, 0.0)])
        (found,) = expected(bank, asked(q))
        assert (found.support, found.respondents) == (9 + n, 300)
        counted = own_bank.SHRINK + own_bank.BASE_GROUPS
        told = n * np.eye(3)[0] + counted * np.sqrt(base.mean)
        assert found.mean == pytest.approx(squared(told), abs=1e-6)
        # Two populations of the base, then the own groups.
        assert found.profile.shape == (3, 2 + n)
        assert found.profile[:, :2] == pytest.approx(base.profile)


def test_a_group_never_sees_its_own_row() -> None:
    """Registering a group, under any id, changes nothing of what is expected of it."""
    rng = np.random.default_rng(0)
    bank = OwnBank(EvenPrior())
    for n in range(6):
        bank.put(f"g{n}", items_of(rng))
    mine = [*items_of(rng), share(question(77), 0.9, 0.1, 0.0), rating(question(78), 0.99)]
    probes = [*mine, asked(question(500)), rating(question(501), 0)]
    before = expected(bank, *probes, context=mine)
    bank.put("me", mine, content="mine")
    for excluded in (bank.same_as("me", "other"), bank.same_as(None, "mine")):
        prior = bank.prior_for(mine, excluded)
        after = prior.expect([(item.kind, item.vectors) for item in probes])
        assert_equal(before, after)
    seen = expected(bank, *probes, context=mine)
    assert np.abs(seen[0].mean - before[0].mean).max() > 0.01


def test_a_copy_by_another_name_is_the_same_row() -> None:
    bank = OwnBank(EvenPrior())
    bank.put("me", [share(question(1), 0.9, 0.1, 0.0)], content="c")
    bank.put("copy", [share(question(1), 0.9, 0.1, 0.0)], content="c")
    bank.put("else", [share(question(1), 0.9, 0.1, 0.0)], content="d")
    assert len(bank.same_as("me", "c")) == len(bank.same_as(None, "c")) == 2
    assert len(bank.same_as("else", "c")) == 3
    assert bank.same_as("nobody", "x") == frozenset()
    bank.remove("copy")
    assert len(bank.same_as("me", "c")) == 1


def test_any_order_of_writes_leads_to_the_same_figures() -> None:
    """Replaced, deleted and added again, in any order: what counts is what is there."""
    rng = np.random.default_rng(1)
    rows = {f"g{n}": items_of(rng) for n in range(8)}
    straight = OwnBank(EvenPrior())
    for name, items in rows.items():
        straight.put(name, items)
    crooked = OwnBank(EvenPrior())
    for name in ["g3", "g1", "gone", "g7", "g0", "g5"]:
        crooked.put(name, items_of(rng))
    for name in reversed(rows):
        crooked.put(name, rows[name])
        expected(crooked, asked(question(500)))  # fills what is kept between writes
        crooked.remove("gone")
    assert len(crooked) == len(straight) == 8
    probes = [*rows["g0"], asked(question(500)), rating(question(501), 0)]
    ours, theirs = (expected(b, *probes, context=rows["g1"]) for b in (straight, crooked))
    assert_equal(ours, theirs)


def test_a_deleted_group_leaves_nothing() -> None:
    rng = np.random.default_rng(2)
    bank = OwnBank(EvenPrior())
    bank.put("stays", items_of(rng))
    probes = [*items_of(rng), asked(question(77)), rating(question(78), 0)]
    before, cells = expected(bank, *probes), bank.cells
    bank.put("goes", [*items_of(rng), share(question(77), 1, 0, 0), rating(question(78), 1)])
    assert np.abs(expected(bank, *probes)[-2].mean - before[-2].mean).max() > 0.1
    bank.remove("goes")
    bank.remove("goes")
    assert_equal(before, expected(bank, *probes))
    assert bank.cells == cells


def test_ratings_get_a_mean_and_a_profile_and_comparisons_neither() -> None:
    text, pair = question(1, 1), question(2, 2)
    bank = OwnBank(EvenPrior())
    for n, score in enumerate((0.9, 0.8, 0.4)):
        bank.put(f"g{n}", [rating(text, score), Item(Kind.COMPARISON, pair, np.eye(2)[0])])
    known, compared = expected(bank, rating(text, 0), Item(Kind.COMPARISON, pair, np.zeros(2)))
    shrunk = (2.1 + own_bank.SHRINK / 2) / (3 + own_bank.SHRINK)
    assert known.mean == pytest.approx([shrunk])
    assert known.support == 0  # the module meets every rating as a new one
    assert sorted(np.sign(known.profile[0])) == [-1, 1, 1]
    assert compared.mean == pytest.approx([0.5, 0.5])
    assert not compared.profile.any()


def test_new_questions_profit_from_alike_ones() -> None:
    """Questions whose first option wins in the measure of one direction; two camps about it."""
    rng = np.random.default_rng(3)
    bank = OwnBank(EvenPrior())
    asked_before = [leaning(rng) for _ in range(40)]
    for n in range(10):
        side = 0.15 if n % 2 else -0.15
        bank.put(
            f"g{n}",
            [
                share(v, lean + side * sign, 1 - lean - side * sign)
                for v, lean, sign in asked_before
            ],
        )
    new = [leaning(rng) for _ in range(40)]
    found = expected(bank, *(asked(v) for v, _, _ in new))
    leans = np.array([lean for _, lean, _ in new])
    signs = np.array([sign for _, _, sign in new])
    assert np.corrcoef(leans, [e.mean[0] for e in found])[0, 1] > 0.8
    for e in found:
        assert e.support == 0
        assert e.mean.sum() == pytest.approx(1, abs=1e-5)
        assert e.mean.min() > 0
    # How the camps depart is carried over too.
    apart = np.array([e.profile[0, 1] * signs[i] for i, e in enumerate(found)])
    assert abs(np.sign(apart).sum()) > 30


def test_new_texts_profit_from_alike_ratings() -> None:
    rng = np.random.default_rng(4)

    def text() -> tuple[FloatArray, float]:
        v = rng.normal(size=(1, DIM))
        v[0, -1] += rng.choice([-12, 12])
        return v.astype("f4"), 0.85 if v[0, -1] > 0 else 0.15

    bank = OwnBank(EvenPrior())
    texts = [text() for _ in range(30)]
    for n in range(4):
        bank.put(f"g{n}", [rating(v, score) for v, score in texts])
    new = [text() for _ in range(30)]
    found = expected(bank, *(rating(v, 0) for v, _ in new))
    means = np.array([e.mean[0] for e in found])
    scores = np.array([score for _, score in new])
    assert (means[scores > 0.5] > 0.6).all()
    assert (means[scores < 0.5] < 0.4).all()


def test_a_rating_says_nothing_of_a_share() -> None:
    q = question(1, 1)
    bank = OwnBank(EvenPrior())
    bank.put("a", [rating(q, 0.9)])
    (found,) = expected(bank, share(q, 0.0))
    assert found.support == 0
    assert found.mean == pytest.approx([1])


def test_what_was_said_twice_is_averaged_and_counts_once() -> None:
    q = question(1, 2)
    bank = OwnBank(EvenPrior())
    bank.put("a", [share(q, 0.2, 0.8), share(q[::-1].copy(), 0.6, 0.4)])
    (found,) = expected(bank, asked(q))
    assert found.support == 1
    assert found.mean == pytest.approx(
        squared(np.sqrt([0.3, 0.7]) + own_bank.SHRINK * np.sqrt(0.5)), abs=1e-6
    )


def test_profiles_are_of_the_groups_that_answered_most_of_the_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_bank, "COLUMNS", 2)
    bank = OwnBank(EvenPrior())
    context = [share(question(n), 0.2, 0.3, 0.5) for n in range(4)]
    for n, count in enumerate((1, 4, 2, 3, 0)):
        rest = [share(question(100 + n), 1, 0, 0)]
        bank.put(f"g{n}", [share(question(i), *shares(n, i)) for i in range(count)] + rest)
    (found,) = expected(bank, asked(question(0)), context=context)
    assert found.support == 4  # all of them make the mean
    said = np.sqrt([shares(n, 0) for n in range(4)])
    departure = (said - said.mean(0))[[1, 3]].T
    assert found.profile == pytest.approx(departure, abs=1e-5)


def test_questions_beyond_the_bound_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_questions, "MOST", 3)
    bank = OwnBank(EvenPrior())
    bank.put("a", [share(question(n), 1, 0, 0) for n in range(5)])
    bank.put("b", [share(question(n), 1, 0, 0) for n in range(5)])
    supports = [expected(bank, asked(question(n)))[0].support for n in range(5)]
    assert supports == [2, 2, 2, 0, 0]
    bank.remove("a")
    bank.remove("b")
    assert bank.cells == 0


def test_the_kernel_stands_on_a_bounded_number_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_kernel, "CELLS", 7)
    bank = OwnBank(EvenPrior())
    bank.put("a", [share(question(n), 1, 0, 0) for n in range(5)])
    bank.put("b", [share(question(n), 1, 0, 0) for n in (3, 4)])
    ground = bank.ground(Kind.SHARE, frozenset())
    assert ground is not None
    assert {q.vectors.tobytes() for q in ground.questions} == {
        own_questions.unit(question(n)).tobytes() for n in (3, 4)
    }
    assert bank.ground(Kind.RATING, frozenset()) is None


def test_the_base_is_asked_once_for_what_all_kernels_stand_on() -> None:
    """Each group has a ridge of its own; there it costs more than all else."""

    class Counted(Guess):
        asked = 0

        def expect(self, items: Sequence[Known]) -> list[Expectation]:
            self.asked += len(items)
            return super().expect(items)

    base = Counted()
    bank = OwnBank(base)
    for name in "abc":
        bank.put(name, [share(question(n), 1, 0, 0) for n in range(20)])
    first = expected(bank, asked(question(30)))
    assert base.asked == 21
    context = [share(question(31), 0, 1, 0)]
    again = expected(bank, asked(question(30)), context=context)
    assert base.asked == 23, "the question and the context alone"
    np.testing.assert_array_equal(first[0].mean, again[0].mean)
    bank.put("c", [share(question(19), 0, 1, 0)])
    moved = expected(bank, asked(question(30)))
    fresh = OwnBank(Guess())
    for name in "ab":
        fresh.put(name, [share(question(n), 1, 0, 0) for n in range(20)])
    fresh.put("c", [share(question(19), 0, 1, 0)])
    wanted = expected(fresh, asked(question(30)))
    np.testing.assert_allclose(moved[0].mean, wanted[0].mean, rtol=1e-5)


@pytest.mark.parametrize("dim", [3, 700])
def test_vectors_of_any_dimension(dim: int) -> None:
    bank = OwnBank(EvenPrior())
    bank.put("a", [share(question(1, dim=dim), 0.2, 0.3, 0.5)])
    known, new = expected(bank, asked(question(1, dim=dim)), asked(question(2, dim=dim)))
    assert (known.support, new.support) == (1, 0)


def test_hundreds_of_questions_at_once_are_each_found() -> None:
    questions = [question(n, 2) for n in range(700)]
    bank = OwnBank(EvenPrior())
    bank.put("a", [share(v, n / 700, 1 - n / 700) for n, v in enumerate(questions)])
    rng = np.random.default_rng(5)
    noisy = [(v + 1e-4 * rng.normal(size=v.shape)).astype("f4") for v in questions]
    found = expected(bank, *(asked(v) for v in noisy))
    said = np.arange(700) / 700
    wanted = [squared(np.sqrt([p, 1 - p]) + own_bank.SHRINK * np.sqrt(0.5))[0] for p in said]
    assert [e.mean[0] for e in found] == pytest.approx(wanted, abs=1e-5)


def test_a_prior_counts_its_memory() -> None:
    bank = OwnBank(EvenPrior())
    empty = bank.prior_for([]).nbytes
    for n in range(5):
        bank.put(f"g{n}", [share(question(i), 0.2, 0.3, 0.5) for i in range(9)])
    prior: OwnPrior = bank.prior_for([])
    assert prior.nbytes - empty >= 4 * 27 * 6


def squared(root: np.ndarray) -> np.ndarray:
    """Shares from roots."""
    return root**2 / (root**2).sum()


def shares(group: int, number: int) -> FloatArray:
    return np.random.default_rng([group, number]).dirichlet(np.ones(3)).astype("f4")


def items_of(rng: np.random.Generator) -> list[Item]:
    numbers = rng.choice(12, 8, replace=False)
    return [share(question(n), *rng.dirichlet(np.ones(3))) for n in numbers] + [
        rating(question(40 + n, 1), rng.random()) for n in numbers[:4]
    ]


def leaning(rng: np.random.Generator) -> tuple[FloatArray, float, float]:
    """A question, the share of its first option, and which side one of two camps takes."""
    lean, sign = rng.uniform(0.2, 0.8), rng.choice([-1.0, 1.0])
    step = np.zeros(DIM)
    step[-1], step[-2] = 8 * (lean - 0.5), 3 * sign
    common = 0.3 * rng.normal(size=DIM)
    return np.stack([common + step, common - step]).astype("f4"), lean, sign


def assert_equal(ours: Sequence[Expectation], theirs: Sequence[Expectation]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.support == b.support
        assert a.mean == pytest.approx(b.mean, abs=1e-5)
        assert a.profile @ a.profile.T == pytest.approx(b.profile @ b.profile.T, abs=1e-5)
