"""What a plan names, in a form that a test can compare at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.kernel.lab import Host, Snapshot


def named(changes: Iterable[dict[str, Any]]) -> list[str]:
    """``update link shop/web:eth0`` for each change, sorted; the ports that the agent holds follow from the others."""
    return sorted(
        f"{change['action']} {change['kind']} {change['name']}"
        for change in changes
        if not change["name"].endswith(":held ports")
    )


def worst(changes: Iterable[dict[str, Any]]) -> str:
    """The most harmful disruption class among the changes."""
    order = ["none", "connections reset", "endpoint flap", "recreate"]
    return max((change["disruption"] for change in changes), key=order.index, default="none")


def lines(host: Host, *arguments: str) -> list[str]:
    """The lines of the detailed text plan that stand for a change, without what surrounds them."""
    done = host.netapply("plan", "--detail", *arguments, check=False)
    assert done.returncode in {0, 2}, done.stdout + done.stderr
    found = [line.strip() for line in done.stdout.splitlines()]
    return [line for line in found if line.startswith(("+ ", "~ ", "- ")) and not line[2:].startswith("from ")]


def assert_unchanged(before: Snapshot, after: Snapshot) -> None:
    """Fail with every line that is different."""
    difference = before.difference(after)
    assert not difference, "\n".join(difference[:40])
