"""The network ``bridge``: the host's own, for containers with ``network_mode: bridge``; made on first use."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.desired.known import Known
from reconciler.desired.networks import PlannedNetwork, whole_pool
from reconciler.desired.subnet import parse_subnet
from reconciler.desired.subnet_chooser import SubnetChooser
from reconciler.errors import Problem
from reconciler.manifest.model import BridgeOptions, Manifest, Network
from reconciler.naming import BRIDGE_PREFIX, interface_name
from reconciler.resources.bridge import Bridge
from reconciler.state import HOST_OWNER

NAME = "bridge"
IDENTITY = f"{HOST_OWNER}/{NAME}"
PREDEFINED = frozenset({NAME, "host", "none"})
"""Network names that are the host's own, as with Docker."""

_USUAL = parse_subnet("172.17.0.0/16")
"""Docker's default for docker0; where Docker has it, another one is chosen."""


def wants_default_bridge(manifests: Sequence[Manifest], known: Known) -> bool:
    """Whether a container of this run, or one of another stack, stands on it."""
    asked = any(container.network_mode == NAME for manifest in manifests for container in manifest.containers)
    joined = any(network.external and network.name == NAME for manifest in manifests for network in manifest.networks)
    return (
        asked
        or joined
        or any(
            endpoint.network_name == NAME and endpoint.owner not in known.scope
            for endpoints in known.endpoints.values()
            for endpoint in endpoints
        )
    )


def plan_default_bridge(chooser: SubnetChooser, known: Known) -> PlannedNetwork | None:
    """The network as it stands, else with Docker's subnet where that is free, else with any free one."""
    network = Network(NAME, NAME)
    subnet = chooser.automatic(4, IDENTITY, network, 1, preferred=(_USUAL,))
    if subnet is None:
        return None
    return PlannedNetwork(
        owner=HOST_OWNER,
        network=IDENTITY,
        name=NAME,
        driver="bridge",
        interface=_interface(known),
        pools=(whole_pool(subnet),),
        internal=False,
        options=BridgeOptions(),
        origin="",
        source=None,
    )


def check_names(manifests: Sequence[Manifest], problems: list[Problem]) -> None:
    """No network of a stack may bear a predefined name; of these only ``bridge`` can be joined as an external one."""
    for manifest in manifests:
        for network in manifest.networks:
            if network.name not in PREDEFINED or (network.external and network.name == NAME):
                continue
            hint = f"write network_mode: {network.name}" if network.external else "give it another name"
            problems.append(Problem(f"network name {network.name} is the host's own", network.source, hint))


def _interface(known: Known) -> str:
    present = known.bridges.get(IDENTITY)
    if present:
        return present.interface
    wanted = f"{BRIDGE_PREFIX}{NAME}"
    taken = known.observation.facts.interfaces
    return wanted if wanted not in taken else interface_name(BRIDGE_PREFIX, NAME, IDENTITY)


def is_default_bridge(resource: Bridge) -> bool:
    """Whether an observed bridge is that of the network ``bridge``."""
    return resource.network == IDENTITY
