"""A folder of preference files, read, embedded and split: what training and evaluation share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.batches import FloatArray, Kind
from models.datasets import Corpus, preference_files, read_corpus
from models.embedders import Embedder, embed_cached
from models.splits import Split, SplitConfig, split_corpora

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Corpora:
    """Corpora with their vectors (N, D) and their splits, in the same order."""

    corpora: tuple[Corpus, ...]
    vectors: tuple[FloatArray, ...]
    splits: tuple[Split, ...]

    def of(self, kind: Kind) -> Iterator[tuple[Corpus, FloatArray, Split]]:
        """The corpora of one kind."""
        for corpus, vectors, split in zip(self.corpora, self.vectors, self.splits, strict=True):
            if corpus.kind is kind:
                yield corpus, vectors, split


def load_corpora(
    folder: Path, embedder: Embedder, split: SplitConfig, *, cache: Path | None, progress: bool
) -> Corpora:
    """Read and embed every preference file of a folder. Raises DataError, EmbedderError.

    Each text is embedded once and kept in `cache` (default: the user's cache folder). Pairs that
    are longer than the embedder reads are clipped, and their number is logged.
    """
    corpora = tuple(read_corpus(p) for p in preference_files(folder))
    place = cache or default_cache()
    vectors = tuple(
        embed_cached(embedder, _clipped(c, embedder), place, progress=progress) for c in corpora
    )
    return Corpora(corpora, vectors, tuple(split_corpora(corpora, split)))


def _clipped(corpus: Corpus, embedder: Embedder) -> list[tuple[str, str]]:
    clipped = [embedder.clip(*pair) for pair in corpus.pairs]
    cut = sum(truncated for *_, truncated in clipped)
    if cut:
        log.warning("%s: %d of %d texts were clipped", corpus.name, cut, len(clipped))
    return [(prompt, response) for prompt, response, _ in clipped]


def default_cache() -> Path:
    """Where vectors are kept between runs: XDG_CACHE_HOME or ~/.cache, then gpo-serve."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpo-serve"
