"""What counts as a lost or a torn write."""

from __future__ import annotations

from measuring.ledger import Ledger, State

OLD, NEW, TORN = ("old", ("a",)), ("new", ("a", "b")), ("new", ("a",))


def written() -> Ledger:
    ledger = Ledger()
    ledger.acknowledge("g", State(OLD, 1))
    return ledger


def test_what_was_acknowledged_may_be_seen_again() -> None:
    ledger = written()
    ledger.see("g", State(OLD, 1))
    assert ledger.faults == []
    assert ledger.acknowledged == 1


def test_an_acknowledged_write_that_is_gone_is_lost() -> None:
    ledger = written()
    ledger.acknowledge("g", State(NEW, 2))
    ledger.see("g", State(OLD, 1))
    assert len(ledger.faults) == 1


def test_a_deletion_that_came_back_is_a_fault() -> None:
    ledger = written()
    ledger.acknowledge("g", State())
    ledger.see("g", State(OLD, 1))
    assert len(ledger.faults) == 1


def test_a_write_of_unknown_outcome_may_have_happened_or_not() -> None:
    for seen in (State(OLD, 1), State(NEW, 2)):
        ledger = written()
        ledger.lose_sight("g", NEW)
        ledger.see("g", seen)
        assert ledger.faults == []
        assert ledger.known("g") == seen


def test_it_may_happen_even_after_it_was_seen_not_to_have() -> None:
    ledger = written()
    ledger.lose_sight("g", NEW)
    ledger.see("g", State(OLD, 1))
    assert not ledger.is_certain("g")
    ledger.see("g", State(NEW, 2))
    assert ledger.faults == []
    assert ledger.is_certain("g")


def test_half_of_a_write_is_torn() -> None:
    ledger = written()
    ledger.lose_sight("g", NEW)
    ledger.see("g", State(TORN, 2))
    assert len(ledger.faults) == 1


def test_an_acknowledged_write_rules_out_an_older_one_of_unknown_outcome() -> None:
    ledger = written()
    ledger.lose_sight("g", NEW)
    ledger.acknowledge("g", State(("other", ("c",)), 2))
    ledger.see("g", State(NEW, 3))
    assert len(ledger.faults) == 1


def test_a_version_is_never_given_twice_not_even_after_a_deletion() -> None:
    ledger = written()
    ledger.acknowledge("g", State())
    ledger.acknowledge("g", State(NEW, 1))
    assert len(ledger.faults) == 1
