"""``masquerade_ports``: the source ports that a bridge network's connections leave the host with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.ports import parse_range

if TYPE_CHECKING:
    from reconciler.manifest.context import Context
    from reconciler.manifest.model import Network
    from reconciler.manifest.network_models import NetworkPart

_KEY = "masquerade_ports"
_OPTION = "com.docker.network."


def convert_masquerade_ports(key: str, part: NetworkPart, context: Context) -> tuple[int, int] | None:
    """First and last port, None where none are given; what is wrong with them is noted."""
    return context.take(parse_range, part.masquerade_ports, "networks", key, _KEY)


def check_masquerade_ports(network: Network, context: Context) -> None:
    """Note where the range could have no effect: nothing is masqueraded, or a given address takes its place."""
    place = context.key_at("networks", network.key, _KEY)
    reason = _why_not(network)
    if reason:
        message, hint = reason
        context.faults.add(f"'{_KEY}' has no effect: {message}", place, hint)
        return
    given = {4: network.bridge.snat_ipv4, 6: network.bridge.snat_ipv6}
    for family in _translated_families(network):
        if given[family]:
            option = f"{_OPTION}host_ipv{family}"
            where = context.at("networks", network.key, "driver_opts", option)
            message = f"'{_KEY}' has no effect on IPv{family}: {option} at {where} takes the place of masquerade"
            context.faults.add(message, place, "remove one of the two")


def _why_not(network: Network) -> tuple[str, str] | None:
    """Why nothing of the network is masqueraded, and what to do; None where something is."""
    if network.driver != "bridge":
        return f"a network of driver {network.driver} is not masqueraded", "it is for driver bridge; remove it"
    if network.internal:
        return "nothing leaves an internal network", "remove one of the two"
    if not network.bridge.masquerade:
        option = f"{_OPTION}bridge.enable_ip_masquerade"
        return f"{option} is false", "remove one of the two"
    if not _translated_families(network):
        return "its gateway mode translates no address", "remove it, or choose gateway mode nat"
    return None


def _translated_families(network: Network) -> list[int]:
    """The families whose gateway mode lets their addresses be translated."""
    modes = (
        (4, network.enable_ipv4, network.bridge.gateway_mode_ipv4),
        (6, network.enable_ipv6, network.bridge.gateway_mode_ipv6),
    )
    return [family for family, is_enabled, mode in modes if is_enabled and mode.startswith("nat")]
