"""``floating_ip``, ``egress_ip`` and ``host_address``: addresses of the host itself."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_address, parse_interface_name
from reconciler.manifest.faults import FormError
from reconciler.manifest.model import Container, FloatingAddress, Network, Pool
from reconciler.manifest.models import ContainerPart, HostAddressPart
from reconciler.manifest.parent_options import PARENT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.manifest.context import Context
    from reconciler.manifest.network_models import NetworkPart

_Given = str | list[str | HostAddressPart] | HostAddressPart | None


def convert_floating(name: str, part: ContainerPart, context: Context) -> tuple[FloatingAddress, ...]:
    """The addresses that lead to the container, each once."""
    return _addresses(part.floating_ip, ("containers", name, "floating_ip"), context)


def convert_egress(name: str, part: ContainerPart, context: Context) -> tuple[FloatingAddress, ...]:
    """The addresses that the container's connections bear outside, at most one of each family."""
    found = _addresses(part.egress_ip, ("containers", name, "egress_ip"), context)
    for address in _surplus([each.address for each in found]):
        where = next(each.source for each in found if each.address == address)
        message = f"egress_ip {address}: there is one of that family already"
        context.faults.add(message, where, "one IPv4 and one IPv6 address are possible")
    return found


def convert_host_address(key: str, part: NetworkPart, driver: str, context: Context) -> tuple[str, ...]:
    """The host's own addresses on a network whose members do not reach the host otherwise."""
    path = ("networks", key, "host_address")
    if part.host_address in (None, "", []):
        return ()
    if driver not in PARENT_FIELDS:
        hint = "on this network the host has the gateway's address; remove it"
        context.faults.add("'host_address' is for networks of driver macvlan or ipvlan", context.key_at(*path), hint)
        return ()
    texts = part.host_address if isinstance(part.host_address, list) else [part.host_address or ""]
    several = isinstance(part.host_address, list)
    found = [context.take(_parse, text, *path, *((index,) if several else ())) for index, text in enumerate(texts)]
    addresses = list(dict.fromkeys(address for address in found if address))
    for address in _surplus(addresses):
        message = f"host_address {address}: there is one of that family already"
        context.faults.add(message, context.key_at(*path), "one IPv4 and one IPv6 address are possible")
    return tuple(addresses)


def check_outward(networks: Mapping[str, Network], containers: Iterable[Container], context: Context) -> None:
    """Note addresses that two containers claim, that no network could bring, and those of containers' own subnets."""
    claimed: dict[str, Container] = {}
    pools = [(ip_network(pool.subnet), pool.source) for each in networks.values() for pool in _inner(each)]
    for container in containers:
        for key, each in _claims(container):
            _check_family(container, key, each, networks, context)
            address = ip_address(each.address)
            pool = next((place for subnet, place in pools if address in subnet), None)
            if pool:
                message = f"{key} {each.address} is an address of the containers' own subnet at {pool}"
                context.faults.add(message, each.source, "choose one of a network that the host stands on")
            other = claimed.setdefault(each.address, container) if key == "floating_ip" else container
            if other is not container:
                place = next(first.source for first in other.floating_addresses if first.address == each.address)
                message = f"floating_ip {each.address} is claimed by container '{other.name}' too, at {place}"
                context.faults.add(message, each.source, "an address can lead to one container only")


def _claims(container: Container) -> Iterable[tuple[str, FloatingAddress]]:
    yield from (("floating_ip", each) for each in container.floating_addresses)
    yield from (("egress_ip", each) for each in container.egress_addresses)


def _inner(network: Network) -> Iterable[Pool]:
    """The subnets that only this host knows; a macvlan network's is that of the world outside."""
    return network.pools if network.driver == "bridge" else ()


def _check_family(
    container: Container, key: str, given: FloatingAddress, networks: Mapping[str, Network], context: Context
) -> None:
    joined = [networks[each.network] for each in container.attachments if each.network in networks]
    six = ":" in given.address
    leads = [each for each in joined if each.external or (each.enable_ipv6 if six else each.enable_ipv4)]
    family = 6 if six else 4
    if joined and not leads:
        message = f"{key} {given.address}: container '{container.name}' is on no network with IPv{family}"
        context.faults.add(message, given.source, f"set enable_ipv{family}: true on one of its networks")
    elif joined and all(each.internal for each in leads):
        message = f"{key} {given.address}: container '{container.name}' is on internal networks only"
        context.faults.add(message, given.source, "let it join a network that leads outside")


def _addresses(given: _Given, path: tuple[str | int, ...], context: Context) -> tuple[FloatingAddress, ...]:
    found: dict[str, FloatingAddress] = {}
    several = isinstance(given, list)
    for index, entry in enumerate(given if isinstance(given, list) else [given]):
        if not entry:
            continue
        where = (*path, *((index,) if several else ()))
        each = _address(entry, where, context)
        if each:
            found.setdefault(each.address, each)
    return tuple(found.values())


def _address(entry: str | HostAddressPart, path: tuple[str | int, ...], context: Context) -> FloatingAddress | None:
    if isinstance(entry, str):
        address = context.take(_parse, entry, *path)
        return FloatingAddress(address, None, context.at(*path)) if address else None
    if not entry.address:
        context.faults.add("'address' is empty", context.at(*path, "address"), "write the address")
    address = context.take(_parse, entry.address, *path, "address")
    interface = context.take(parse_interface_name, entry.interface, *path, "interface")
    return FloatingAddress(address, interface, context.at(*path, "address")) if address else None


def _parse(text: str) -> str:
    address = parse_address(text)
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        message = f"'{text}' is not an address that other machines can reach"
        raise FormError(message, "choose one of a network that the host stands on")
    return str(address)


def _surplus(addresses: list[str]) -> list[str]:
    """Those that are not the first of their family."""
    return [
        each for index, each in enumerate(addresses) if any((":" in each) == (":" in one) for one in addresses[:index])
    ]
