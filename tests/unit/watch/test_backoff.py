"""When the watcher tries again."""

from __future__ import annotations

from reconciler.state import HOST_OWNER, Key, Kind
from reconciler.watch.backoff import Backoff, Fights, Restarts

LINK = Key(Kind.LINK, "shop/web:eth0")


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(1.0, 5.0)
    assert [backoff.fail(0.0) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.waits(4.9)
    assert not backoff.waits(5.0)


def test_a_forgiven_failure_does_not_count() -> None:
    backoff = Backoff(1.0, 60.0)
    backoff.fail(0.0)
    backoff.forgive(0.5)
    assert not backoff.waits(0.5)
    assert backoff.fail(1.0) == 2.0


def test_a_command_starts_again_at_once_and_then_more_and_more_seldom() -> None:
    restarts = Restarts()
    now = 100.0
    pauses = []
    for _ in range(5):
        began = now
        while restarts.postponed("shop/web", None, now):
            now += 0.05
        pauses.append(round(now - began, 2))
        restarts.started("shop/web", now)
    assert pauses[0] == 0.0
    assert pauses[1:] == sorted(pauses[1:])
    assert 0.7 <= pauses[4] <= 0.9


def test_one_that_ran_long_starts_again_at_once() -> None:
    restarts = Restarts()
    for now in (100.0, 100.0, 100.2):
        restarts.postponed("shop/web", None, now)
        restarts.started("shop/web", now)
    assert not restarts.postponed("shop/web", None, 120.0)


def test_a_limit_is_kept() -> None:
    restarts = Restarts(first=0.0)
    for now in range(3):
        assert not restarts.postponed("shop/web", 3, float(now))
        restarts.started("shop/web", float(now))
    assert restarts.postponed("shop/web", 3, 4.0)
    assert restarts.next(4.0) is None


def test_whoever_asks_ends_the_waiting_but_not_the_counting() -> None:
    restarts = Restarts(first=50.0)
    for container, limit in (("shop/web", None), ("shop/job", 1)):
        restarts.postponed(container, limit, 100.0)
        restarts.started(container, 100.0)
        assert restarts.postponed(container, limit, 101.0)
    restarts.end_waiting()
    assert not restarts.postponed("shop/web", None, 101.0)
    assert restarts.postponed("shop/job", 1, 101.0)


def test_what_is_healed_now_and_then_is_no_fight() -> None:
    fights = Fights(patience=3, window=10.0)
    assert [fights.healed(LINK, "shop", "eth0", now) for now in (0.0, 11.0, 22.0, 33.0)] == [None] * 4


def test_what_is_undone_again_and_again_is_one_and_waits_longer_each_time() -> None:
    fights = Fights(patience=3, window=10.0)
    found = [fights.healed(LINK, "shop", "eth0", now) for now in (0.0, 1.0, 2.0, 4.0, 7.0)]
    assert [fight and fight.until for fight in found] == [None, None, 3.0, 6.0, 11.0]
    assert fights.waiting(10.0) == {"shop"}
    assert fights.stack_waits("shop", 10.0)
    assert not fights.stack_waits("other", 10.0)
    assert fights.waiting(12.0) == frozenset()


def test_a_fight_never_leaves_a_host_unhealed_for_longer_than_half_a_minute() -> None:
    fights = Fights()
    now, waits = 0.0, []
    for _ in range(50):
        fight = fights.healed(LINK, "shop", "eth0", now)
        waits.append(fight.until - now if fight else 0.0)
        now = fight.until + 1.0 if fight else now + 1.0
    assert waits[:20] == [0.0] * 19 + [1.0]
    assert waits[-1] == max(waits) == 30.0


def test_a_fight_over_what_all_share_concerns_all() -> None:
    fights = Fights(patience=1)
    fights.healed(LINK, HOST_OWNER, "table", 0.0)
    fights.healed(LINK, HOST_OWNER, "table", 0.1)
    assert fights.stack_waits("other", 0.2)
