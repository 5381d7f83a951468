"""Addresses on the host's own interfaces: those of ours among them, and all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.firewall.translation import FloatingPolicy
from reconciler.kernel.observe_links import HostLinks
from reconciler.naming import ADDRESS_PROTOCOL, LINK_GROUP
from reconciler.netlink import constants as c
from reconciler.netlink.decode import AddressRecord
from reconciler.resources.host_address import HostAddress
from reconciler.state import HOST_OWNER, Resource

_ALONE = {c.AF_INET: "/32", c.AF_INET6: "/128"}


def of_ours(found: HostLinks, policies: Iterable[Resource]) -> Iterator[HostAddress]:
    """Floating addresses that stand on the host: they bear our protocol number, or lead to a container.

    Before Linux 5.18 an address bears no number. Whose it is says the firewall; where nothing
    leads anywhere from one that is ours, it is the host's.
    """
    leads = {policy.address: policy for policy in policies if isinstance(policy, FloatingPolicy)}
    for record in _on_foreign_links(found):
        address = record.address.partition("/")[0]
        if _is_ours(record, leads):
            policy = leads.get(address)
            owner, container = (policy.owner, policy.container) if policy else (HOST_OWNER, "")
            yield HostAddress(owner, container, found.names[record.link_index], address)


def of_others(found: HostLinks, policies: Iterable[Resource]) -> tuple[tuple[str, str], ...]:
    """Interface and address, with prefix length, of everything else that others reach there, sorted."""
    leads = {policy.address: policy for policy in policies if isinstance(policy, FloatingPolicy)}
    return tuple(
        sorted(
            (found.names[record.link_index], record.address)
            for record in _on_foreign_links(found)
            if record.scope not in {c.RT_SCOPE_LINK, c.RT_SCOPE_HOST} and not _is_ours(record, leads)
        )
    )


def _is_ours(record: AddressRecord, leads: Iterable[str]) -> bool:
    address, _, length = record.address.partition("/")
    alone = _ALONE.get(record.family) == f"/{length}"
    return alone and (record.protocol == ADDRESS_PROTOCOL or address in leads)


def _on_foreign_links(found: HostLinks) -> Iterator[AddressRecord]:
    ours = {link.link_index for link in found.links if link.group == LINK_GROUP}
    return (record for record in found.addresses if record.link_index not in ours and record.link_index in found.names)
