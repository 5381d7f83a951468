"""What makes an answer about an observed state uncertain."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import Problem
from reconciler.firewall.policy import FirewallBase
from reconciler.observation import Facts
from reconciler.state import State


def doubts(state: State, facts: Facts) -> Iterator[Problem]:
    """A warning where somebody changed our fixed rules, which an answer follows as we write them, and of others' rules."""
    yield from facts.warnings
    for resource in state:
        if isinstance(resource, FirewallBase) and not resource.intact:
            message = f"the firewall rules of netapply ({resource.backend}) were changed by somebody"
            hint = "netapply up repairs them; until then packets may fare otherwise than is said here"
            yield Problem(message, hint=hint, severity="warning")
