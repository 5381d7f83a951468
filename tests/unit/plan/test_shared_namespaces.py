"""Who is named as disturbed when a network namespace goes: those that stay, not those that go with it."""

from __future__ import annotations

from reconciler.plan.change import Change, Create, Delete
from reconciler.plan.shared_namespaces import disturbed_members
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.state import State

WEB = Namespace("shop", "shop/web", "o")
FIRST, SECOND = (Joined("shop", f"shop/{name}", "shop/web", "o") for name in ("first", "second"))
OBSERVED = State([WEB, FIRST, SECOND])
GONE = Delete(WEB, "no longer wanted")


def test_who_goes_too_is_not_named() -> None:
    changes = [GONE, Delete(FIRST, "no longer wanted")]
    (warning,) = disturbed_members(changes, OBSERVED)
    assert warning.message == "the network namespace of shop/web is removed; it is also used by shop/second"
    assert not list(disturbed_members([*changes, Delete(SECOND, "no longer wanted")], OBSERVED))


def test_who_moves_into_the_new_one_is_named() -> None:
    changes: list[Change] = [GONE, Create(WEB), Delete(FIRST, "moves"), Create(FIRST)]
    (warning,) = disturbed_members(changes, OBSERVED)
    assert warning.message.endswith("is made anew; it is also used by shop/first, shop/second")
