from __future__ import annotations

from edgeloop.detect.ledger import EVERY, TOGETHER, Ledger


def test_alarms_that_follow_each_other_are_one() -> None:
    ledger = Ledger(10_000.0, 100)
    assert [ledger.spend(at) for at in (0, TOGETHER, TOGETHER + 1, 2 * TOGETHER + 1, 2 * TOGETHER + 2)] == [
        True, False, True, False, True]  # fmt: skip
    assert ledger.alarms == 3


def test_what_was_spent_raises_the_demand_until_it_is_paid_back() -> None:
    ledger = Ledger(1_000.0, 100)
    ledger.watch(100_000)
    quiet = ledger.demand
    for _ in range(3):
        ledger.spend()
        ledger.watch(100)
    assert ledger.demand > quiet + 1.5
    ledger.watch(3_000)
    assert ledger.demand == quiet, "quiet time is not saved up"
    ledger.spend()
    ledger.refund()
    assert ledger.demand == quiet


def test_who_has_watched_little_asks_for_less_but_grows() -> None:
    ledger = Ledger(1e6, 100)
    demands = []
    for _ in range(6):
        ledger.watch(EVERY)
        demands.append(ledger.demand)
    assert demands == sorted(demands)
    ledger.watch(10_000_000)
    assert 6.4 < ledger.demand < 6.5


def test_state() -> None:
    ledger, other = Ledger(1e4, 100), Ledger(1e4, 100)
    ledger.watch(77)
    ledger.spend(3)
    other.restore(ledger.state())
    assert (other.demand, other.spend(20), other.left) == (ledger.demand, False, ledger.left)
