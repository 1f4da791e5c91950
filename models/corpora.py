"""A folder of preference files, read, embedded and split: what training and evaluation share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.batches import FloatArray, Kind
from models.datasets import Corpus, preference_files, read_corpus
from models.embedders import Embedder, embed_cached
from models.splits import Split, SplitConfig, split_corpora
from models.statements import holds_statements, quoted, read_statements

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Corpora:
    """Corpora with their vectors (N, D) and their splits, in the same order.

    answers: vectors (I, D) of the statements that the items of personas quote, (0, D) for other
    corpora; only an evaluation needs them.
    """

    corpora: tuple[Corpus, ...]
    vectors: tuple[FloatArray, ...]
    splits: tuple[Split, ...]
    answers: tuple[FloatArray, ...] = ()

    def of(self, kind: Kind) -> Iterator[tuple[Corpus, FloatArray, Split]]:
        """The corpora of one kind."""
        for corpus, vectors, split in zip(self.corpora, self.vectors, self.splits, strict=True):
            if corpus.kind is kind:
                yield corpus, vectors, split


def load_corpora(
    folder: Path,
    embedder: Embedder,
    split: SplitConfig,
    *,
    cache: Path | None,
    progress: bool,
    answers: bool,
) -> Corpora:
    """Read and embed every preference file of a folder. Raises DataError, EmbedderError.

    Each text is embedded once and kept in `cache` (default: the user's cache folder). Pairs that
    are longer than the embedder reads are clipped, and their number is logged. With `answers` the
    statements that personas are asked are embedded on their own too.
    """
    corpora = tuple(_read(p) for p in preference_files(folder))
    place = cache or default_cache()

    def embed(name: str, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        return embed_cached(embedder, _clipped(name, pairs, embedder), place, progress=progress)

    return Corpora(
        corpora,
        tuple(embed(c.name, c.pairs) for c in corpora),
        tuple(split_corpora(corpora, split)),
        tuple(embed(c.name, _bare(c)) for c in corpora) if answers else (),
    )


def _read(path: Path) -> Corpus:
    return read_statements(path).corpus() if holds_statements(path) else read_corpus(path)


def _bare(corpus: Corpus) -> list[tuple[str, str]]:
    """What a persona says, without the question around it."""
    if corpus.statements and corpus.kind is Kind.SHARE:
        return [("", quoted(corpus.pairs[start][0])) for start in corpus.starts[:-1]]
    return []


def _clipped(
    name: str, pairs: Sequence[tuple[str, str]], embedder: Embedder
) -> list[tuple[str, str]]:
    clipped = [embedder.clip(*pair) for pair in pairs]
    cut = sum(truncated for *_, truncated in clipped)
    if cut:
        log.warning("%s: %d of %d texts were clipped", name, cut, len(clipped))
    return [(prompt, response) for prompt, response, _ in clipped]


def default_cache() -> Path:
    """Where vectors are kept between runs: XDG_CACHE_HOME or ~/.cache, then gpo-serve."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpo-serve"
