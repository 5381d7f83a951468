"""What an update changes, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.plan.change import Update
from reconciler.plan.differences import differences
from reconciler.resources.container_file import ContainerFile

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
