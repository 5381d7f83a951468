"""Reads the table ``inet netapply``, as ``nft -j`` lists it, back into policy.

An element says whose it is in its comment. What is found is policy only if writing that
policy gives exactly those elements; everything else is a stray, and a table with strays, or
whose chains are not what we write, is not intact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from reconciler.errors import NetapplyError
from reconciler.firewall.nftables import REBUILD
from reconciler.firewall.nftables_elements import PROTOCOLS, Element, elements, is_label
from reconciler.firewall.nftables_layout import MODES, PATH
from reconciler.firewall.nftables_listing import Digests, Listing
from reconciler.firewall.policy import FirewallBase, NetworkPolicy, PublishedPort

BACKEND = "nftables"

_PROTOCOL_NAMES = {str(number): name for name, number in PROTOCOLS.items()}
_MODE_NAMES = {verdict: mode for mode, verdict in MODES.items()}


KNOWN: frozenset[Digests] = frozenset(
    {
        # nftables 1.0.6
        Digests(
            "fd5930120e593d23cdcf2dcdf2117b284da10c1cff0e217ba628415c8cca5b22",
            "3b5e140661584a10a8b67f2e3b829d4fe2bf92069fc9c1d065c84aee8c7bc0a9",
        ),
    }
)
"""The fixed part as versions of nft that we know list it. For any other version the caller
loads the fixed part into an empty namespace, lists it, and adds its digests."""


def digests(listing: Mapping[str, Any]) -> Digests:
    """The fixed part of a listing, without handles, elements, the mark, and what is not ours."""
    return Listing(listing).digests()


def parse(
    listing: Mapping[str, Any], references: AbstractSet[Digests]
) -> list[FirewallBase | NetworkPolicy | PublishedPort]:
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
    policies, strays = _explained(table.elements)
    strays += table.others
    intact = not strays and found in references
    return [FirewallBase(BACKEND, intact=intact, mark=table.mark, strays=tuple(strays)), *policies]


def _explained(found: list[Element]) -> tuple[list[NetworkPolicy | PublishedPort], list[str]]:
    """The policies whose elements are all there, and what they do not account for."""
    actual = frozenset(found)
    explained: set[Element] = set()
    policies: list[NetworkPolicy | PublishedPort] = []
    candidates: list[NetworkPolicy | PublishedPort] = [*_networks(found), *_ports(found)]
    for policy in candidates:
        try:
            expected = elements(policy)
        except NetapplyError:
            # A name that we would never write.
            continue
        if expected <= actual:
            explained |= expected
            policies.append(policy)
    return policies, [_stray(element) for element in found if element not in explained]


def _stray(element: Element) -> str:
    return f"element {PATH} {element.set_name} {{ {element.key} }}"


def _ports(found: Iterable[Element]) -> Iterable[PublishedPort]:
    for element in found:
        if element.set_name.startswith(("ports", "routed")) and is_label(element.comment):
            port = _port(element)
            if port is not None:
                yield port


def _port(element: Element) -> PublishedPort | None:
    *address, protocol_number, host_port = element.key.split(" . ")
    family6 = "6" in element.set_name
    protocol = _PROTOCOL_NAMES.get(protocol_number)
    if protocol is None:
        return None
    wildcard = "::" if family6 else "0.0.0.0"  # noqa: S104  # a policy's word, never bound
    host_address = address[0] if address else wildcard
    routed = element.set_name.startswith("routed")
    target_address, _, target_port = (f"{host_address} . {host_port}" if routed else element.value).partition(" . ")
    return PublishedPort(
        owner=element.comment.partition("/")[0],
        container=element.comment,
        protocol=protocol,
        host_address=host_address,
        host_port=int(host_port),
        target_address=target_address,
        target_port=int(target_port),
        routed=routed,
    )


def _networks(found: list[Element]) -> Iterable[NetworkPolicy]:
    index = {(element.set_name, element.key, element.comment): element.value for element in found}
    subnets: dict[tuple[str, str], list[str]] = defaultdict(list)
    trusted: dict[tuple[str, str], list[str]] = defaultdict(list)
    for set_name, key, comment in index:
        if set_name.startswith("homes"):
            bridge, _, subnet = key.partition(" . ")
            if (f"networks{set_name[-1]}", subnet, comment) in index:
                subnets[bridge, comment].append(subnet)
        elif set_name == "trusted":
            interface, _, bridge = key.partition(" . ")
            trusted[bridge, comment].append(interface.strip('"'))
    for set_name, bridge, comment in index:
        loop = ("loops", f"{bridge} . {bridge}", comment)
        if set_name == "bridges" and is_label(comment) and loop in index:
            place = (bridge, comment)
            yield _network(place, index, tuple(subnets[place]), tuple(sorted(trusted[place])))


def _network(
    place: tuple[str, str],
    index: Mapping[tuple[str, str, str], str],
    subnets: tuple[str, ...],
    trusted: tuple[str, ...],
) -> NetworkPolicy:
    bridge, label = place
    return NetworkPolicy(
        owner=label.partition("/")[0],
        network=label,
        interface=bridge.strip('"'),
        subnets=tuple(sorted(_with_length(subnet) for subnet in subnets)),
        internal=("internal", *place) in index,
        icc=("apart", *place) not in index,
        masquerade4=("outward4", *place) in index,
        masquerade6=("outward6", *place) in index,
        snat4=index.get(("snat4", *place), ""),
        snat6=index.get(("snat6", *place), ""),
        mode4=_MODE_NAMES.get(index.get(("inward4", *place), ""), "nat"),
        mode6=_MODE_NAMES.get(index.get(("inward6", *place), ""), "nat"),
        trusted_interfaces=trusted,
    )


def _with_length(subnet: str) -> str:
    return subnet if "/" in subnet else f"{subnet}/{128 if ':' in subnet else 32}"
