"""A least-recently-used cache bounded in bytes, safe between threads. Knows no values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class ByteLRU(Generic[V]):
    """Values by key; the caller says how many bytes each one takes.

    A value that is larger than the whole cache is not kept. `hits`, `misses` and `bytes` are
    plain counters for whoever wants to publish them.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> V | None:
        """The value, now the most recently used, or None; counts a hit or a miss."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def peek(self, key: str) -> V | None:
        """The value or None, without counting and without making it more recent."""
        with self._lock:
            entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: str, value: V, nbytes: int) -> None:
        """Keep a value, dropping the least recently used ones until it fits."""
        if nbytes > self.max_bytes:
            return
        with self._lock:
            old = self._entries.pop(key, None)
            self.bytes += nbytes - (old[1] if old else 0)
            self._entries[key] = (value, nbytes)
            while self.bytes > self.max_bytes:
                _, (_, freed) = self._entries.popitem(last=False)
                self.bytes -= freed
