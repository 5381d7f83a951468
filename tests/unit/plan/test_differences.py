"""What an update changes, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.plan.change import Update
from reconciler.plan.differences import differences
from reconciler.resources.container_file import ContainerFile
from reconciler.resources.resolver import Registration, Resolver, Upstream

FILE = ContainerFile("shop", "shop/web", "hosts", "10.7.0.2 web\n10.8.0.2 web\n")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (replace(FILE, text="10.7.0.2 web\n10.9.0.2 web\n"), ("- 10.9.0.2 web", "+ 10.8.0.2 web")),
        (replace(FILE, text="10.8.0.2 web\n10.7.0.2 web\n"), ("in another order",)),
        (replace(FILE, linked=False), ("not shown by ip netns exec",)),
    ],
)
def test_of_a_file_the_lines_or_what_else_it_is(before: ContainerFile, said: tuple[str, ...]) -> None:
    assert differences(Update(before, FILE)) == said


FRONT = Registration("shop_front", ("web", "www"), ("10.7.0.2", "fd00::2"))
BACK = Registration("shop_back", ("web",), ("10.8.0.2",))
NAMES = Resolver("shop", "shop/web", (FRONT, BACK), (("db", ("10.8.0.3",)),), (Upstream("192.0.2.53"),))


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (replace(NAMES, registrations=(FRONT,)), ("- web at 10.8.0.2 on shop_back",)),
        (
            replace(NAMES, registrations=(FRONT._replace(names=("web", "site")), BACK)),
            ("- www at 10.7.0.2, fd00::2 on shop_front", "+ site at 10.7.0.2, fd00::2 on shop_front"),
        ),
        (
            replace(NAMES, registrations=(FRONT, BACK._replace(addresses=("10.8.0.9",)))),
            ("- web at 10.8.0.2 on shop_back", "+ web at 10.8.0.9 on shop_back"),
        ),
        (replace(NAMES, registrations=(*NAMES.registrations, Registration("n", (), ()))), ("+ asks on n",)),
        (
            replace(NAMES, links=(), upstream=(Upstream("192.0.2.54"),)),
            ("- link db at 10.8.0.3", "upstream: 192.0.2.53 -> 192.0.2.54"),
        ),
        (replace(NAMES, registrations=(BACK, FRONT)), ("in another order",)),
    ],
)
def test_of_names_what_went_and_came(after: Resolver, said: tuple[str, ...]) -> None:
    assert differences(Update(NAMES, after)) == said


def test_of_many_names_only_some_are_told() -> None:
    many = tuple(Registration(f"n{number}", ("web",), ("10.7.0.2",)) for number in range(30))
    told = differences(Update(NAMES, replace(NAMES, registrations=(*NAMES.registrations, *many))))
    assert len(told) == 7
    assert told[-1] == "and 24 more"
