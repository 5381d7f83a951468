"""One backend holds the rules of a host; while it changes, two do. What is observed, and what is written, then.

The new backend takes over every policy in one step; the old one goes last, with its base.
Between the two both carry out the same policies, so nothing that flows is disturbed: what a
connection was translated to stands in connection tracking, not in either of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconciler.firewall.iptables import supports
from reconciler.firewall.iptables_parse import BACKEND as IPTABLES
from reconciler.firewall.pair import Pair
from reconciler.firewall.policy import FirewallBase, StackPolicy

BACKENDS = ("nftables", "iptables")

Held = FirewallBase | StackPolicy


def combined(chosen: Sequence[Held], other: Sequence[Held]) -> tuple[Held, ...]:
    """What is observed when ``chosen`` is to hold the rules and ``other`` may still hold some.

    A policy that only the other holds is observed, so that the stack it belongs to keeps it;
    a base of the chosen backend that lacks it is then not intact, and its repair takes it over.
    What the chosen one cannot carry out it does not lack: it goes with the other, and until then stands there.
    """
    left = missing(chosen, other)
    bases = [policy for policy in other if isinstance(policy, FirewallBase)]
    kept = [
        replace(policy, intact=False) if isinstance(policy, FirewallBase) and _to_take_over(left, policy) else policy
        for policy in chosen
    ]
    return (*kept, *bases, *left)


def missing(chosen: Sequence[Held], other: Sequence[Held]) -> tuple[StackPolicy, ...]:
    """The policies that only the other backend holds."""
    keys = {policy.key for policy in chosen}
    return tuple(policy for policy in other if not isinstance(policy, FirewallBase) and policy.key not in keys)


def of_backend(pairs: Iterable[Pair], backend: str) -> list[Pair]:
    """The changes without the bases of other backends."""
    return [
        pair for pair in pairs if all(not isinstance(each, FirewallBase) or each.backend == backend for each in pair)
    ]


def with_takeover(pairs: Sequence[Pair], chosen: Sequence[Held], other: Sequence[Held]) -> list[Pair]:
    """The changes of the chosen backend; where they make or repair its base, it takes over what it lacks."""
    base = next((after for _, after in pairs if isinstance(after, FirewallBase)), None)
    if base is None:
        return list(pairs)
    changed = {each.key for pair in pairs for each in pair if each is not None}
    taken = _to_take_over(missing(chosen, other), base)
    return [*pairs, *((None, policy) for policy in taken if policy.key not in changed)]


def _to_take_over(policies: Iterable[StackPolicy], base: FirewallBase) -> list[StackPolicy]:
    """Those that the backend of the base can carry out."""
    return [policy for policy in policies if base.backend != IPTABLES or supports(policy)]


def still_valid(pairs: Iterable[Pair], held: Sequence[Held]) -> list[Pair]:
    """What of the changes the other backend can follow, so that it does not contradict the chosen one until it goes."""
    by_key = {policy.key: policy for policy in held if not isinstance(policy, FirewallBase)}
    found: list[Pair] = []
    for before, after in pairs:
        subject = before or after
        if isinstance(subject, StackPolicy):
            present = by_key.get(subject.key)
            if present is not None or after is not None:
                found.append((present, after))
    return found
