"""``link_local_ips``: further addresses of a container on a network, outside of its subnets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network

from reconciler.desired.known import Known
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.resources.address import Address
from reconciler.state import Resource

_LINK_LOCAL4 = ip_network("169.254.0.0/16")
"""RFC 3927, 2.1; whoever has an address of it reaches the others on the link."""


def link_local_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """An address on the interface for each; IPv6's own link-local addresses are the kernel's to give (RFC 4862, 5.3)."""
    del known
    for each in wired:
        for member in each.members:
            for text in member.attachment.link_local_ips:
                address = ip_address(text)
                place = member.attachment.source
                if address.version == 6 and (address.is_link_local or 6 not in member.addresses):  # noqa: PLR2004  # the family
                    why = (
                        "the kernel gives"
                        if address.is_link_local
                        else f"network {member.network.name} has no IPv6 for"
                    )
                    message = f"link_local_ips of container {each.spec.name}: {why} {text}"
                    problems.append(Problem(message, place, "remove it, or give an IPv4 address such as 169.254.8.8"))
                    continue
                length = 16 if address in _LINK_LOCAL4 else address.max_prefixlen
                interface = each.interfaces[member.network.network]
                yield Address(each.stack, each.identity, each.identity, interface, f"{text}/{length}", source=place)
