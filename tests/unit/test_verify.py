"""Whether what was made is there afterwards."""

from __future__ import annotations

from dataclasses import replace

from reconciler.errors import Source
from reconciler.plan.change import Create, Delete
from reconciler.plan.plan import Stage, Step
from reconciler.plan.verify import differences, touched_sandboxes
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.state import State

BRIDGE = Bridge("shop", "shop/front", "shop_front", "na-front", "02:00:00:00:00:01", "")
WEB = Namespace("shop", "shop/web", "", source=Source("a.yaml", 3, 3))
APP = Namespace("shop", "shop/app", "")
LINK = Endpoint("shop", "shop/web", "eth0", "nv-web", "shop_front", "na-front", "02:00:00:00:00:02", "")
OTHER = Namespace("blog", "blog/wiki", "")
STEPS = (Step(Stage.BUILD, Create(WEB)), Step(Stage.BUILD, Create(LINK)), Step(Stage.BUILD, Create(BRIDGE)))


def messages(now: State, wanted: State, pending: tuple[Step, ...] = ()) -> list[str]:
    found = differences(now, wanted, STEPS, pending, "shop", touched_sandboxes(STEPS))
    return [problem.message for problem in found]


def test_only_sandboxes_of_the_steps_are_looked_at() -> None:
    assert touched_sandboxes(STEPS) == {"shop/web"}
    assert touched_sandboxes((Step(Stage.REMOVE, Delete(APP)),)) == {"shop/app"}
    assert messages(State([WEB, LINK, BRIDGE]), State([WEB, LINK, BRIDGE, APP, OTHER])) == []


def test_what_is_missing_extra_or_different_is_named() -> None:
    (missing,) = differences(
        State([LINK, BRIDGE]), State([WEB, LINK, BRIDGE]), STEPS, (), "shop", frozenset({"shop/web"})
    )
    assert missing.message == "shop/web (network namespace) is not there after it was made"
    assert missing.source == WEB.source
    (extra,) = messages(State([WEB, LINK, BRIDGE]), State([WEB, LINK]))
    assert extra == "shop/front:na-front (bridge na-front) is there although it should not be"
    (different,) = messages(State([WEB, LINK, replace(BRIDGE, up=False, mtu=9)]), State([WEB, LINK, BRIDGE]))
    assert different == "shop/front:na-front (bridge na-front) is not as it was made: mtu, up"


def test_what_is_to_be_removed_later_may_still_be_there() -> None:
    pending = (Step(Stage.UNFENCE, Delete(BRIDGE)),)
    assert messages(State([WEB, LINK, BRIDGE]), State([WEB, LINK]), pending) == []
    assert messages(State([WEB, LINK]), State([WEB, LINK]), pending) != []


def test_what_is_to_be_removed_later_may_look_different_by_then() -> None:
    pending = (Step(Stage.UNFENCE, Delete(BRIDGE)),)
    assert messages(State([WEB, LINK, replace(BRIDGE, up=False, mac="")]), State([WEB, LINK]), pending) == []
