from __future__ import annotations

from service.adapters.stores.breaker import Breaker


class Clock:
    """Time that passes when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(threshold=2, pause_s=1.0, trial_s=5.0, clock=clock)
    for _ in range(2):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 0.9
    assert not breaker.allows()


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker(threshold=2, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()


def test_after_the_pause_one_call_tries() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 1.1
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_failed_trial_pauses_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 1.1
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    clock.now += 1.1
    assert breaker.allows()


def test_a_trial_that_never_reports_does_not_block_for_ever() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 1.1
    assert breaker.allows()
    clock.now += 4.9
    assert not breaker.allows()
    clock.now += 0.2
    assert breaker.allows()
