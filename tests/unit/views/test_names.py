"""Which object a name means."""

from __future__ import annotations

import pytest

from reconciler.errors import NetapplyError
from reconciler.views.names import Named, choose, named_containers, named_networks

CONTAINERS = named_containers(["shop/web", "shop/database", "blog/web"])


def refusal(wanted: str, candidates: tuple[Named, ...], what: str = "container") -> str:
    with pytest.raises(NetapplyError) as caught:
        choose(wanted, candidates, what)
    return str(caught.value)


def test_a_short_name_is_enough_where_only_one_has_it() -> None:
    assert choose("database", CONTAINERS, "container").identity == "shop/database"
    assert choose("blog/web", CONTAINERS, "container").identity == "blog/web"


def test_a_name_of_several_is_an_error_that_lists_them() -> None:
    assert refusal("web", CONTAINERS) == (
        "error: web may be: container blog/web, container shop/web\n"
        "  hint: say it with its stack, as STACK/NAME"
    )  # fmt: skip


@pytest.mark.founding("S3-07")
def test_a_name_of_two_kinds_in_one_stack_asks_for_the_kind() -> None:
    networks = named_networks([("shop/web", "shop_web", "web")])
    assert "hint: say which kind is meant" in refusal("shop/web", (*CONTAINERS, *networks))


def test_an_unknown_name_brings_the_nearest() -> None:
    assert refusal("databse", CONTAINERS) == (
        "error: there is no container databse\n"
        "  hint: did you mean database?"
    )  # fmt: skip
    assert "did you mean blog/web" in refusal("blgo/web", CONTAINERS)


def test_what_is_near_may_itself_be_ambiguous_and_is_then_told_in_full() -> None:
    assert "did you mean blog/web or shop/web?" in refusal("webb", CONTAINERS)


def test_where_nothing_is_near_the_hint_says_what_lists_them() -> None:
    assert "netapply ps lists" in refusal("zzz", CONTAINERS)
    assert "netapply network ls lists" in refusal("zzz", (), "network")
    assert "netapply ls lists" in refusal("zzz", (), "container, network or stack")


def test_a_network_goes_by_its_real_name_its_key_and_with_its_stack() -> None:
    networks = named_networks([("shop/front", "shop_front", "front"), ("none", "none", "none")])
    for name in ("shop/front", "shop_front", "front"):
        assert choose(name, networks, "network").identity == "shop/front"
    assert choose("none", networks, "network").identity == "none"
