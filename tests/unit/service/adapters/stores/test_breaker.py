from __future__ import annotations

import time

from service.adapters.stores.breaker import Breaker


def opened(*, pause_s: float = 0.2, trial_s: float = 0.2) -> Breaker:
    breaker = Breaker(threshold=2, pause_s=pause_s, trial_s=trial_s)
    for _ in range(2):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    assert not opened(pause_s=60).allows()


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker(threshold=2, pause_s=60)
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()


def test_after_the_pause_one_call_tries() -> None:
    breaker = opened(trial_s=60)
    time.sleep(0.25)
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_failed_trial_pauses_again() -> None:
    breaker = opened()
    time.sleep(0.25)
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    time.sleep(0.25)
    assert breaker.allows()


def test_a_trial_that_never_reports_does_not_block_for_ever() -> None:
    breaker = opened()
    time.sleep(0.25)
    assert breaker.allows()
    assert not breaker.allows()
    time.sleep(0.25)
    assert breaker.allows()
