"""States: resources by key."""

from __future__ import annotations

import pytest

from reconciler.errors import Source
from reconciler.resources.namespace import Namespace
from reconciler.state import Key, Kind, State

WEB = Namespace("shop", "shop/web", "0")
APP = Namespace("blog", "blog/app", "0")


def test_equal_whatever_the_order_and_the_source() -> None:
    placed = Namespace("shop", "shop/web", "0", source=Source("a.yaml", 1, 1))
    assert State([WEB, APP]) == State([APP, placed])
    assert State([WEB]) != State([WEB, APP])
    assert State([WEB]) != State([Namespace("shop", "shop/web", "1")])
    assert State() != []


def test_two_resources_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="two resources with one key"):
        State([WEB, Namespace("shop", "shop/web", "1")])


def test_parts_and_unions() -> None:
    both, other = State([WEB, APP]), Namespace("shop", "shop/web", "1")
    assert both.owned_by(frozenset({"blog"})) == State([APP])
    assert both.merged(State([other])) == State([APP, other])
    assert both == State([WEB, APP])
    key = Key(Kind.NAMESPACE, "shop/web")
    assert (key in both, both.get(key), both.get(Key(Kind.LINK, "shop/web")), len(both)) == (True, WEB, None, 2)
    assert list(both.items()) == list(zip(both.keys(), both, strict=True))


def test_equal_objects_are_shared_and_others_are_not() -> None:
    same, other = Namespace("shop", "shop/web", "0"), Namespace("blog", "blog/app", "1")
    new = State([other, same])
    shared = new.sharing(State([WEB, APP, Namespace("gone", "gone/one", "0")]))
    assert shared == new
    assert shared.get(WEB.key) is WEB
    assert shared.get(APP.key) is other
