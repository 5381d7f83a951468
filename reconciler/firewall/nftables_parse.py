"""Reads the table ``inet netapply``, as ``nft -j`` lists it, back into policy.

An element says whose it is in its comment. What is found is policy only if writing that
policy gives exactly those elements; everything else is a stray, and a table with strays, or
whose chains are not what we write, is not intact.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from reconciler.errors import NetapplyError
from reconciler.firewall.nftables import REBUILD
from reconciler.firewall.nftables_candidates import candidates
from reconciler.firewall.nftables_elements import Element, elements, ranges, shared
from reconciler.firewall.nftables_layout import PATH
from reconciler.firewall.nftables_listing import Digests, Listing
from reconciler.firewall.nftables_masquerade import masquerade_chain
from reconciler.firewall.policy import FirewallBase, StackPolicy

BACKEND = "nftables"


KNOWN: frozenset[Digests] = frozenset(
    {
        # nftables 1.0.6
        Digests(
            "3792cc88a844db1ff2b8472c5f545bc92cfa3313687cfa661adbca980429eb94",
            "910ced1ab0882967020d4a20aa660c330a0e9819a09f3430e58ec54b335cdbb0",
        ),
    }
)
"""The fixed part as versions of nft that we know list it. For any other version the caller
loads the fixed part into an empty namespace, lists it, and adds its digests."""


def digests(listing: Mapping[str, Any]) -> Digests:
    """The fixed part of a listing, without handles, elements, the mark, and what is not ours."""
    return Listing(listing).digests()


def parse(listing: Mapping[str, Any], references: AbstractSet[Digests]) -> list[FirewallBase | StackPolicy]:
    """The policies that the listed table carries out; the FirewallBase is always the first.

    ``listing`` is the JSON of ``list table inet netapply`` with numeric output, and
    ``references`` are digests that count as intact. Where the sets and maps themselves are
    damaged no policy is returned but the FirewallBase, whose repair makes the table anew.
    Subnets and interfaces are sorted by their text.
    """
    table = Listing(listing)
    found = table.digests()
    if table.alien or found.sets not in {reference.sets for reference in references}:
        return [FirewallBase(BACKEND, intact=False, mark=table.mark, strays=(REBUILD,))]
    policies, strays, is_whole = _explained(table.elements)
    used = ranges(policies)
    strays += [*table.others, *(f"chain {PATH} {masquerade_chain(ports)}" for ports in sorted(table.ranges - used))]
    intact = is_whole and not strays and found in references and all(map(table.masquerades, used))
    return [FirewallBase(BACKEND, intact=intact, mark=table.mark, strays=tuple(strays)), *policies]


def _explained(found: list[Element]) -> tuple[list[StackPolicy], list[str], bool]:
    """The policies whose elements are all there, what they do not account for, and whether they lack nothing shared."""
    actual = frozenset(found)
    explained: set[Element] = set()
    policies: list[StackPolicy] = []
    for policy in candidates(found):
        try:
            expected = elements(policy)
        except NetapplyError:
            # A name that we would never write.
            continue
        if expected <= actual:
            explained |= expected
            policies.append(policy)
    together = shared(policies)
    explained |= together
    strays = [_stray(element) for element in found if element not in explained]
    return policies, strays, together <= actual


def _stray(element: Element) -> str:
    return f"element {PATH} {element.set_name} {{ {element.key} }}"
