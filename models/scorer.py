"""The scorer: numpy in, numpy out, around the network, its prior and its calibration.

Encodes a context once, then answers any question or response from it. Knows no text, no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from models.batches import Expectation, FloatArray, Item, Kind, Reals, Tokens, collate
from models.calibration import NORMAL, Calibration
from models.checkpoint import Card, CheckpointError, load_checkpoint, load_file, save_checkpoint
from models.gpo import GPO, EncodedContext, Output
from models.graphs import POSSIBLE, Graphs
from models.networks import (
    ARCHITECTURES,
    RESIDUAL,
    Encoded,
    Network,
    arch_of,
    build,
    config_of,
    decode,
)
from models.prior import PopulationPrior, Prior, PriorConfig
from models.published import EvenPrior
from models.stacks import apart, packed, padded, stacked

T = TypeVar("T")
ARCH = RESIDUAL
BANK = "bank.safetensors"
CONSENSUS = "consensus_weight"  # in a card's config
MAX_CONTEXT_TOKENS = 8192
CELLS = 2_000_000  # attention cells (targets x context) at a time, which bounds memory
ENCODING_CELLS = 500_000  # the same where contexts meet themselves: each cell has five ridges


class ContextTooLargeError(ValueError):
    """A context holds more (prompt, response) pairs than the scorer takes."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Predicted values (n,) with their std and 90 % interval: 0 <= low <= mean <= high <= 1.

    Both are calibrated: the interval is that of a normal law with this std, cut to [0, 1].
    """

    mean: FloatArray
    std: FloatArray
    low: FloatArray
    high: FloatArray


ScoredQuestion = Scored
ScoredResponses = Scored


@dataclass(frozen=True, slots=True)
class Asked:
    """A context with what it is asked: option vectors (k, D), or responses (n, D) to be scored.

    `prior` says what is expected of them, in place of the released one.
    """

    context: Encoded
    targets: Sequence[FloatArray]
    prior: Prior | None = None


@dataclass(frozen=True, slots=True)
class GPOScorer:
    """A loaded checkpoint, ready to score. Not thread-safe; one worker owns it.

    `prior` is the bank of the residual module, and says nothing for the published one. `graphs`
    take the network's place where they are there.
    """

    network: Network
    prior: PopulationPrior | EvenPrior
    card: Card
    calibration: Calibration = field(default_factory=Calibration)
    graphs: Graphs | None = None

    @property
    def consensus_weight(self) -> float:
        """How much the consensus of candidates counts beside their scores, 0 where not fitted."""
        return float(self.card.config.get(CONSENSUS, 0.0))

    @classmethod
    def load(cls, path: Path | str, *, device: str = "cpu") -> GPOScorer:
        """As `load_scorer`."""
        return load_scorer(path, device=device)

    def traced(self) -> GPOScorer:
        """The same answers in less time, for a network that is trained no further.

        This scorer itself where the network or this Python has no graphs.
        """
        if not POSSIBLE or not isinstance(self.network, GPO):
            return self
        scorer = replace(self, graphs=Graphs(self.network))
        scorer._try_out()
        return scorer

    def save(self, path: Path | str, *, card: Card | None = None) -> GPOScorer:
        """Write a checkpoint folder; the card gets this scorer's configuration and digests."""
        card = card or self.card
        config = {
            **card.config,
            "network": asdict(self.network.config),
            "calibration": {k: list(row) for k, row in self.calibration.factors.items()},
        }
        files = {}
        if isinstance(self.prior, PopulationPrior):
            config["prior"] = asdict(self.prior.config)
            files[BANK] = self.prior.tensors()
        card = replace(card, arch=arch_of(self.network), config=config)
        written = save_checkpoint(path, self.network.state_dict(), card, files=files)
        return replace(self, card=written)

    def encode_context(self, items: Sequence[Item], *, prior: Prior | None = None) -> Encoded:
        """Keys, values and ridge of a context. Raises ContextTooLargeError over the limit.

        `prior` says what is expected of the items, in place of the released one.
        """
        return self.encode_contexts([items], priors=[prior])[0]

    def encode_contexts(
        self, contexts: Sequence[Sequence[Item]], *, priors: Sequence[Prior | None] | None = None
    ) -> list[Encoded]:
        """`encode_context` for several; those of about one size share a pass."""
        widths = [sum(len(item.values) for item in items) for items in contexts]
        if max(widths, default=0) > MAX_CONTEXT_TOKENS:
            raise ContextTooLargeError(
                f"the context has {max(widths)} (prompt, response) pairs, "
                f"at most {MAX_CONTEXT_TOKENS} fit"
            )
        chosen = priors or [None] * len(contexts)
        filled = [self._filled(i, p or self.prior) for i, p in zip(contexts, chosen, strict=True)]
        found: dict[int, Encoded] = {}
        for members in self._passes([(i, w, w) for i, w in enumerate(widths)], ENCODING_CELLS):
            with torch.inference_mode():
                batch = (self.graphs or self.network).encode(
                    self._collated([filled[i] for i in members])
                )
                parts = (
                    apart(batch, [widths[i] for i in members])
                    if isinstance(batch, EncodedContext)
                    else [batch]
                )
            found.update(zip(members, parts, strict=True))
        return [found[i] for i in range(len(contexts))]

    def predict(self, context: Encoded, questions: Sequence[FloatArray]) -> list[ScoredQuestion]:
        """For each question's option vectors (k, D): the group's distribution, in their order."""
        return self.predict_many([context], questions)[0]

    def predict_many(
        self,
        contexts: Sequence[Encoded],
        questions: Sequence[FloatArray],
        *,
        priors: Sequence[Prior] | None = None,
    ) -> list[list[ScoredQuestion]]:
        """`predict` for several contexts; a prior that they share is asked once.

        `priors`: what is expected for each of the contexts, in place of the released prior.
        """
        return self.predict_each(_each(contexts, questions, priors))

    def predict_each(self, asked: Sequence[Asked]) -> list[list[ScoredQuestion]]:
        """`predict` for several contexts, each with questions of its own."""
        return self._answer(asked, Kind.SHARE)

    def score(self, context: Encoded, responses: FloatArray) -> ScoredResponses:
        """Expected approval of responses (n, D), each independent of the others."""
        return self.score_many([context], responses)[0]

    def score_many(
        self,
        contexts: Sequence[Encoded],
        responses: FloatArray,
        *,
        priors: Sequence[Prior] | None = None,
    ) -> list[ScoredResponses]:
        """`score` for several contexts; `priors` as in `predict_many`."""
        return [one for (one,) in self.score_each(_each(contexts, [responses], priors))]

    def score_each(self, asked: Sequence[Asked]) -> list[list[ScoredResponses]]:
        """`score` for several contexts, each with lists (n, D) of responses of its own."""
        rows = {id(v): [row[None] for row in v] for one in asked for v in one.targets}
        alone = [
            replace(one, targets=[row for v in one.targets for row in rows[id(v)]]) for one in asked
        ]
        found = []
        for one, answers in zip(asked, self._answer(alone, Kind.RATING), strict=True):
            left = iter(answers)
            found.append([_join(list(islice(left, len(v)))) for v in one.targets])
        return found

    def compare(self, context: Encoded, pair: FloatArray) -> Scored:
        """How likely the group prefers each of two responses (2, D)."""
        return self._answer([Asked(context, [pair])], Kind.COMPARISON)[0][0]

    def _try_out(self) -> None:
        """Answer once for each kind: figures of the wrong shape show here, not in a request."""
        vectors = np.eye(2, self.network.config.embedding_dim, dtype=np.float32)
        even = np.full(2, 0.5, np.float32)
        sizes = {Kind.SHARE: 2, Kind.RATING: 1, Kind.COMPARISON: 2}
        context = self.encode_context([Item(k, vectors[:n], even[:n]) for k, n in sizes.items()])
        self.predict(context, [vectors])
        self.score(context, vectors)
        self.compare(context, vectors)

    def _answer(self, asked: Sequence[Asked], kind: Kind) -> list[list[Scored]]:
        pieces = [
            ((i, chunk), sum(len(item.values) for item in chunk), one.context.width + 1)
            for i, (one, items) in enumerate(zip(asked, self._targets(asked, kind), strict=True))
            for chunk in _chunks(items, max(CELLS // (one.context.width + 1), 1))
        ]
        found: list[list[Scored]] = [[] for _ in asked]
        for members in self._passes(pieces, CELLS):
            contexts = [asked[i].context for i, _ in members]
            targets = self._collated([chunk for _, chunk in members])
            with torch.inference_mode():
                context = self._stacked(contexts)
                output = self._decode(context, targets)
            means, stds = (t.double().cpu().numpy() for t in (output.mean, output.std))
            sizes = context.items.tolist()
            for row, (i, chunk) in enumerate(members):
                found[i] += self._split(means[row], stds[row], chunk, sizes[row])
        return found

    def _stacked(self, contexts: Sequence[Encoded]) -> Encoded:
        if len(contexts) == 1:
            return contexts[0]
        pad = padded if self.graphs is None else self.graphs.padded
        return stacked([c for c in contexts if isinstance(c, EncodedContext)], pad=pad)

    def _decode(self, context: Encoded, targets: Tokens) -> Output:
        if self.graphs is not None and isinstance(context, EncodedContext):
            return self.graphs.decode(context, targets)
        return decode(self.network, context, targets)

    def _passes(self, pieces: Sequence[tuple[T, int, int]], cells: int) -> list[list[T]]:
        # The published module is there for comparison; it takes one context at a time.
        if not isinstance(self.network, GPO):
            return [[work] for work, _, _ in pieces]
        return packed(pieces, cells)

    def _split(self, mean: Reals, std: Reals, items: Sequence[Item], size: int) -> list[Scored]:
        """Means and errors (T,) of one context's targets by item, calibrated."""
        found, start = [], 0
        for item in items:
            cells = slice(start, start + len(item.values))
            start = cells.stop
            m, s = mean[cells], std[cells]
            if item.kind is not Kind.RATING:
                m = m / m.sum()
            known = item.expected is not None and item.expected.support > 0
            half = s * self.calibration.factor(item.kind, known=known, size=size)
            s = half / NORMAL
            found.append(Scored(*_float32(m, s, np.maximum(m - half, 0), np.minimum(m + half, 1))))
        return found

    def _filled(self, items: Sequence[Item], prior: Prior) -> list[Item]:
        """With what is expected, where an item does not say."""
        missing = [item for item in items if item.expected is None]
        found = iter(prior.expect([(item.kind, item.vectors) for item in missing]))
        return [i if i.expected else _told(i, next(found)) for i in items]

    def _targets(self, asked: Sequence[Asked], kind: Kind) -> list[list[Item]]:
        """What is asked, as items; each prior is asked once for all that it has to say."""
        wanted: dict[int, tuple[Prior, dict[int, FloatArray]]] = {}
        for one in asked:
            prior = one.prior or self.prior
            _, vectors = wanted.setdefault(id(prior), (prior, {}))
            vectors.update((id(v), v) for v in one.targets)
        items: dict[tuple[int, int], Item] = {}
        for number, (prior, vectors) in wanted.items():
            expected = prior.expect([(kind, v) for v in vectors.values()])
            for (key, v), e in zip(vectors.items(), expected, strict=True):
                items[number, key] = Item(kind, v, np.zeros(len(v), np.float32), expected=e)
        return [[items[id(one.prior or self.prior), id(v)] for v in one.targets] for one in asked]

    def _collated(self, episodes: Sequence[Sequence[Item]]) -> Tokens:
        device = next(self.network.parameters()).device
        return collate(episodes, dim=self.network.config.embedding_dim).to(device)


def _told(item: Item, expected: Expectation) -> Item:
    """An item with what is expected of it. Shares that come without a number of respondents are
    taken as if as many had been asked as in the survey that the question is from.
    """
    weight = item.weight or expected.respondents or None
    return replace(item, expected=expected, weight=weight)


def load_scorer(path: Path | str, *, device: str = "cpu") -> GPOScorer:
    """Read a checkpoint folder of any architecture that its card names. Raises CheckpointError."""
    tensors, card = load_checkpoint(path, device=device)
    if card.arch not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise CheckpointError(f"{path} holds the architecture {card.arch!r}; known are {known}")
    try:
        network = build(config_of(card.arch, card.config["network"]))
        network.load_state_dict(tensors)
        prior = _prior(path, card)
        rows = card.config["calibration"].items()
        calibration = Calibration({name: tuple(row) for name, row in rows})
        GPOScorer(network.eval(), prior, card, calibration)._try_out()
    except KeyError as exc:
        raise CheckpointError(f"{path}: the files or the card lack {exc}") from exc
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as exc:
        raise CheckpointError(f"{path}: the weights do not fit their card: {exc}") from exc
    return GPOScorer(network.to(device), prior, card, calibration)


def _prior(path: Path | str, card: Card) -> PopulationPrior | EvenPrior:
    if card.arch != RESIDUAL:
        return EvenPrior()
    return PopulationPrior(load_file(path, card, BANK), PriorConfig(**card.config["prior"]))


def _each(
    contexts: Sequence[Encoded], targets: Sequence[FloatArray], priors: Sequence[Prior] | None
) -> list[Asked]:
    chosen: Sequence[Prior | None] = priors or [None] * len(contexts)
    return [Asked(c, targets, prior) for c, prior in zip(contexts, chosen, strict=True)]


def _chunks(items: Sequence[Item], room: int) -> list[list[Item]]:
    """Consecutive items with at most `room` tokens together, at least one item each."""
    chunks: list[list[Item]] = []
    used = room + 1
    for item in items:
        used += len(item.values)
        if used > room:
            chunks.append([])
            used = len(item.values)
        chunks[-1].append(item)
    return chunks


def _join(parts: Sequence[Scored]) -> Scored:
    if not parts:
        return Scored(*(np.zeros(0, np.float32) for _ in Scored.__slots__))
    return Scored(*(np.concatenate([getattr(p, n) for p in parts]) for n in Scored.__slots__))


def _float32(*arrays: Any) -> tuple[FloatArray, ...]:
    return tuple(np.asarray(a, np.float32) for a in arrays)
