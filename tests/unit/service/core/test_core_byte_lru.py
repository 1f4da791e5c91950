"""The cache never holds more bytes than it may, and drops what was used least recently."""

from __future__ import annotations

import numpy as np

from service.core.byte_lru import ByteLRU


def test_the_least_recently_used_goes_first() -> None:
    cache: ByteLRU[str] = ByteLRU(30)
    for key in "abc":
        cache.put(key, key.upper(), 10)
    assert cache.get("a") == "A"
    cache.put("d", "D", 10)
    assert [cache.peek(key) for key in "abcd"] == ["A", None, "C", "D"]
    assert (cache.bytes, len(cache)) == (30, 3)


def test_peeking_neither_counts_nor_refreshes() -> None:
    cache: ByteLRU[int] = ByteLRU(20)
    cache.put("a", 1, 10)
    cache.put("b", 2, 10)
    assert cache.peek("a") == 1
    assert cache.peek("x") is None
    cache.put("c", 3, 10)
    assert cache.peek("a") is None
    assert (cache.hits, cache.misses) == (0, 0)
    assert cache.get("a") is None
    assert cache.get("c") == 3
    assert (cache.hits, cache.misses) == (1, 1)


def test_what_is_too_large_is_not_kept_and_displaces_nothing() -> None:
    cache: ByteLRU[int] = ByteLRU(20)
    cache.put("a", 1, 15)
    cache.put("b", 2, 21)
    assert (cache.peek("a"), cache.peek("b"), cache.bytes) == (1, None, 15)


def test_replacing_a_value_counts_its_bytes_once() -> None:
    cache: ByteLRU[int] = ByteLRU(20)
    cache.put("a", 1, 15)
    cache.put("a", 2, 5)
    assert (cache.peek("a"), cache.bytes, len(cache)) == (2, 5, 1)


def test_bytes_stay_within_bounds_under_random_use() -> None:
    rng = np.random.default_rng(0)
    cache: ByteLRU[int] = ByteLRU(1000)
    held: dict[str, int] = {}
    for _ in range(2000):
        key, size = str(rng.integers(50)), int(rng.integers(1, 300))
        cache.put(key, size, size)
        held[key] = size
        assert cache.bytes <= 1000
    assert cache.bytes == sum(held[k] for k in held if cache.peek(k) is not None)
