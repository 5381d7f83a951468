"""The host that manifests speak of, where nobody looked at one: with the interfaces and addresses that they count on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_interface

from reconciler.manifest.model import FloatingAddress, Manifest
from reconciler.observation import Facts, HostLink

_OUTSIDE = "outside"
"""An interface for addresses of which the manifest does not say where they belong."""


def assumed_facts(manifests: Iterable[Manifest]) -> Facts:
    """Facts of a host on which the manifests find what has to be there before: parents, interfaces, addresses."""
    manifests = tuple(manifests)
    containers = [container for manifest in manifests for container in manifest.containers]
    floating = [each for container in containers for each in container.floating_addresses]
    networks = [network for manifest in manifests for network in manifest.networks]
    parents = {network.parent.parent.partition(".")[0] for network in networks if network.parent.parent}
    bearing = {each.interface for each in floating if each.interface}
    own = [each for container in containers for each in container.egress_addresses]
    # A floating address may not be the host's own already; an egress address that floats too is netapply's.
    floats = {each.address for each in floating}
    host_networks = (
        *(_subnets(each for each in floating if not each.interface)),
        *((_OUTSIDE, _whole(each)) for each in own if each.address not in floats),
    )
    return Facts(
        interfaces=frozenset({*parents, *bearing}),
        links=tuple(HostLink(name) for name in sorted({*parents, *bearing})),
        host_networks=tuple(sorted(set(host_networks))),
    )


def _subnets(floating: Iterable[FloatingAddress]) -> Iterator[tuple[str, str]]:
    for each in floating:
        network = ip_interface(f"{each.address}/{64 if ':' in each.address else 24}").network
        yield _OUTSIDE, f"{network.network_address}/{network.prefixlen}"


def _whole(each: FloatingAddress) -> str:
    return f"{each.address}/{128 if ':' in each.address else 32}"
