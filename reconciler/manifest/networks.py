"""The networks of the document -> the model's."""

from __future__ import annotations

from functools import lru_cache, partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from reconciler.manifest import vocabulary
from reconciler.manifest.addresses import Subnet, parse_address, parse_subnet, subnet_around, why_no_subnet
from reconciler.manifest.allowances import convert_allow
from reconciler.manifest.faults import FormError
from reconciler.manifest.masquerade import check_masquerade_ports, convert_masquerade_ports
from reconciler.manifest.model import Network, ParentOptions, Pool
from reconciler.manifest.network_models import ExternalPart, NetworkPart, PoolPart
from reconciler.manifest.options import NetworkOptions, parse_bridge_options
from reconciler.manifest.outward import convert_host_address
from reconciler.manifest.parent_options import PARENT_FIELDS, parse_parent_options

if TYPE_CHECKING:
    from reconciler.manifest.context import Context

_IPV6 = 6
_LOWEST_IPV6_MTU = 1280


def convert_network(key: str, part: NetworkPart, context: Context) -> Network:
    """One network; what is wrong with it is noted."""
    source = context.key_at("networks", key)
    context.check_name("network", key, source)
    external = _external_name(key, part, context)
    if external is not None:
        return Network(key, external, external=True, source=source)
    if part.name:
        context.check_name("network", part.name, context.at("networks", key, "name"))
        if part.name in vocabulary.DOCKER_NETWORKS:
            message = f"network name {part.name} is the host's own"
            context.faults.add(message, context.at("networks", key, "name"), "give it another name")
    driver = _driver(key, part, context)
    options, parent = NetworkOptions(), ParentOptions()
    note = partial(_note, key, context)
    known = driver == "bridge" or driver in PARENT_FIELDS
    if driver == "bridge":
        options = parse_bridge_options(part.driver_opts or {}, note)
    elif driver in PARENT_FIELDS:
        parent, options = parse_parent_options(driver, part.driver_opts or {}, note)
    pools = _pools(key, part, context)
    ipv4, ipv6 = _families(key, part, options, pools, context)
    network = Network(
        key=key,
        name=part.name or f"{context.stack_name}_{key}",
        driver=driver,
        internal=bool(part.internal),
        enable_ipv4=ipv4,
        enable_ipv6=ipv6,
        pools=pools,
        bridge=options.bridge,
        source=source,
        parent=parent,
        allow=convert_allow(key, part, context) if part.allow else (),
        host_addresses=convert_host_address(key, part, driver, context),
        masquerade_ports=convert_masquerade_ports(key, part, context),
        options=() if known else tuple((name, value or "") for name, value in (part.driver_opts or {}).items()),
    )
    _check_options(network, context)
    if network.masquerade_ports:
        check_masquerade_ports(network, context)
    return network


def _note(key: str, context: Context, option: str, error: FormError) -> None:
    place = context.key_at if str(error).startswith("unknown") else context.at
    context.faults.add_form(error, place("networks", key, "driver_opts", option))


def _external_name(key: str, part: NetworkPart, context: Context) -> str | None:
    """The real name of an external network, None for one of our own."""
    if not part.external:
        return None
    given = part.external.name if isinstance(part.external, ExternalPart) else None
    external = context.key_at("networks", key, "external")
    if given and part.name and part.name != given:
        message = f"network '{key}': name and external.name conflict; name at {context.at('networks', key, 'name')}"
        context.faults.add(message, context.at("networks", key, "external", "name"), "only use name")
    for other in sorted(part.model_fields_set - {"name", "external"}):
        if getattr(part, other) not in (None, [], {}):
            message = f"network '{key}' is external, so '{other}' cannot be set here; external at {external}"
            context.faults.add(message, context.key_at("networks", key, other), "set it where the network is made")
    name = part.name or given or key
    source = context.at("networks", key, *(("external", "name") if given and not part.name else ("name",)))
    context.check_name("network", name, source)
    if name in vocabulary.HOST_NETWORKS:
        context.faults.add(f"network name {name} is the host's own", source, vocabulary.HOST_NETWORKS[name])
    return name


def _driver(key: str, part: NetworkPart, context: Context) -> str:
    driver = part.driver or "bridge"
    source = context.at("networks", key, "driver")
    if driver not in vocabulary.DRIVERS and driver not in vocabulary.OTHER_DRIVERS:
        known = {*vocabulary.DRIVERS, *vocabulary.OTHER_DRIVERS}
        hint = context.faults.nearest(driver, known) or f"one of {', '.join(sorted(vocabulary.DRIVERS))}"
        context.faults.add(f"unknown network driver '{driver}'", source, hint)
    ipam_driver = part.ipam.driver if part.ipam else None
    if ipam_driver not in (None, "", "default"):
        source = context.at("networks", key, "ipam", "driver")
        context.faults.add(f"unknown ipam driver '{ipam_driver}'", source, "leave it out, or write default")
    return driver


def _pools(key: str, part: NetworkPart, context: Context) -> tuple[Pool, ...]:
    parts = (part.ipam.config if part.ipam else None) or []
    pools = (_pool(entry, context, ("networks", key, "ipam", "config", index)) for index, entry in enumerate(parts))
    return tuple(pool for pool in pools if pool)


def _pool(part: PoolPart, context: Context, path: tuple[str | int, ...]) -> Pool | None:
    if not part.subnet:
        if part.model_fields_set - {"subnet"}:
            within = subnet_around([part.gateway, part.ip_range, *(part.aux_addresses or {}).values()])
            context.faults.add("a pool without its subnet", context.at(*path), f"add subnet: {within}")
        return None
    subnet = context.take(parse_subnet, part.subnet, *path, "subnet")
    if subnet is None:
        context.unclear_networks.add(str(path[1]))
        return None
    hint = "private are 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fd00::/8"
    if why := why_no_subnet(subnet):
        message = f"no network can have the subnet {subnet}: it holds {why}"
        context.faults.add(message, context.at(*path, "subnet"), hint)
        context.unclear_networks.add(str(path[1]))
        return None
    if subnet.is_global:
        message = f"{subnet} is public address space; hosts there become unreachable"
        context.faults.warn(message, context.at(*path, "subnet"), hint)
    return Pool(
        subnet=str(subnet),
        gateway=_inside("gateway", part.gateway, subnet, context, (*path, "gateway")),
        ip_range=_range(part.ip_range, subnet, context, (*path, "ip_range")),
        aux_addresses=tuple(
            (name, address)
            for name, text in (part.aux_addresses or {}).items()
            if (address := _inside("aux address", text, subnet, context, (*path, "aux_addresses", name)))
        ),
        source=context.at(*path, "subnet"),
    )


def _inside(
    what: str,
    text: str | None,
    subnet: Subnet,
    context: Context,
    path: tuple[str | int, ...],
) -> str | None:
    address = context.take(parse_address, text, *path)
    if address is None:
        return None
    if address not in subnet:
        hint = f"choose one inside it, such as {subnet[1]}" if subnet.num_addresses > 1 else ""
        context.faults.add(f"{what} {address} is outside the subnet {subnet}", context.at(*path), hint)
    elif not is_host(str(address), str(subnet)):
        context.faults.add(f"{what} {address} is the first or last of {subnet}, no host can have it", context.at(*path))
    return str(address)


@lru_cache(maxsize=256)
def subnet_of(text: str) -> Subnet:
    """A pool's subnet; it is asked for once for every member."""
    return ip_network(text)


def is_host(address_text: str, subnet_text: str) -> bool:
    """Whether a host can have the address: not the network's own, nor IPv4's broadcast address.

    In subnets of one or two addresses every one is a host's (RFC 3021, RFC 6164).
    """
    subnet, address = subnet_of(subnet_text), ip_address(address_text)
    if subnet.num_addresses <= 2:  # noqa: PLR2004  # the two of RFC 3021
        return True
    return address != subnet.network_address and (subnet.version == _IPV6 or address != subnet.broadcast_address)


def gateway_of(pool: Pool) -> str:
    """The gateway's address: as given, else the first that a host can have and that no aux address takes."""
    if pool.gateway:
        return pool.gateway
    subnet = subnet_of(pool.subnet)
    taken = {address for _, address in pool.aux_addresses}
    first = int(subnet.network_address) + (subnet.num_addresses > 2)  # noqa: PLR2004  # the two of RFC 3021
    build = type(subnet.network_address)
    last = int(subnet.broadcast_address)
    return str(build(next((each for each in range(first, last) if str(build(each)) not in taken), last)))


def _range(text: str | None, subnet: Subnet, context: Context, path: tuple[str | int, ...]) -> str | None:
    inner = context.take(parse_subnet, text, *path)
    if inner is None:
        return None
    if inner.network_address not in subnet or inner.broadcast_address not in subnet:
        context.faults.add(f"ip_range {inner} is outside the subnet {subnet}", context.at(*path))
    return str(inner)


def _families(
    key: str,
    part: NetworkPart,
    options: NetworkOptions,
    pools: tuple[Pool, ...],
    context: Context,
) -> tuple[bool, bool]:
    """The families in use. A subnet of IPv6 by itself says that IPv6 is wanted, unless a key denies it."""
    ipv4 = _first_given(part.enable_ipv4, options.enable_ipv4, default=True)
    ipv6 = _first_given(part.enable_ipv6, options.enable_ipv6, default=any(pool.family == _IPV6 for pool in pools))
    if not ipv4 and not ipv6:
        context.faults.add(f"network '{key}' has neither IPv4 nor IPv6", context.key_at("networks", key))
    for pool in pools:
        if not (ipv6 if pool.family == _IPV6 else ipv4):
            message = f"subnet {pool.subnet} is not used: enable_ipv{pool.family} is false"
            context.faults.warn(message, pool.source)
    return ipv4, ipv6


def _first_given(*values: bool | None, default: bool) -> bool:
    return next((value for value in values if value is not None), default)


def _check_options(network: Network, context: Context) -> None:
    bridge = network.bridge
    prefix = "com.docker.network.bridge.gateway_mode_ipv"
    for family, mode in (("4", bridge.gateway_mode_ipv4), ("6", bridge.gateway_mode_ipv6)):
        if mode == "isolated" and not network.internal:
            source = context.at("networks", network.key, "driver_opts", prefix + family)
            context.faults.add("gateway mode 'isolated' is for internal networks", source, "add internal: true")
    mtu = bridge.mtu or network.parent.mtu
    if network.enable_ipv6 and mtu is not None and mtu < _LOWEST_IPV6_MTU:
        source = context.at("networks", network.key, "driver_opts", "com.docker.network.driver.mtu")
        context.faults.add(f"IPv6 needs an MTU of at least {_LOWEST_IPV6_MTU}", source)
