"""All networks of a run: the stacks' own, the host's default bridge, and what each stack sees of them."""

from __future__ import annotations

from collections import defaultdict

from reconciler.desired.default_bridge import IDENTITY as DEFAULT_BRIDGE
from reconciler.desired.default_bridge import plan_default_bridge, wants_default_bridge
from reconciler.desired.drivers import DRIVERS
from reconciler.desired.known import Known
from reconciler.desired.networks import PlannedNetwork, external_network, plan_networks, used_networks
from reconciler.desired.scope import Scope
from reconciler.desired.subnet_chooser import SubnetChooser
from reconciler.errors import Problem
from reconciler.manifest.model import Manifest
from reconciler.manifest.vocabulary import OTHER_DRIVERS


def networks_of_run(
    scope: Scope, known: Known, origins: dict[str, str], problems: list[Problem]
) -> dict[str, PlannedNetwork]:
    """All networks of the run by identity, with the host's own where somebody stands on it."""
    manifests = scope.manifests
    chooser = SubnetChooser(known, problems)
    wanted = wants_default_bridge(manifests, known)
    # Where it stands it keeps its subnet; where not, the stacks choose first.
    standing = plan_default_bridge(chooser, known) if wanted and DEFAULT_BRIDGE in known.bridges else None
    planned = plan_networks(manifests, known, origins, chooser, problems)
    default = standing or (plan_default_bridge(chooser, known) if wanted else None)
    return {**planned, DEFAULT_BRIDGE: default} if default else planned


def networks_of_stack(
    manifest: Manifest, known: Known, planned: dict[str, PlannedNetwork], problems: list[Problem]
) -> dict[str, PlannedNetwork]:
    """The stack's networks by key; an external one that is nowhere is a problem."""
    networks = {}
    for network in used_networks(manifest):
        if network.external:
            found = external_network(network, known, planned)
        else:
            found = planned.get(f"{manifest.stack}/{network.key}")
        if found:
            networks[network.key] = found
        elif network.external:
            message = f"external network {network.name} does not exist on this host"
            hint = "bring up the stack that makes it first, or name both manifests in one run"
            problems.append(Problem(message, network.source, hint))
    return networks


def check_drivers(planned: dict[str, PlannedNetwork], problems: list[Problem]) -> None:
    """Networks of an unknown kind are taken out, so that the rest can be judged in the same run."""
    for identity, network in list(planned.items()):
        if network.driver not in DRIVERS:
            del planned[identity]
            message = f"driver {network.driver} of network {network.name} is not supported; "
            message += f"there is: {', '.join(sorted(DRIVERS))}"
            problems.append(Problem(message, network.source, OTHER_DRIVERS.get(network.driver, "")))


def check_joined(scope: Scope, known: Known, planned: dict[str, PlannedNetwork], problems: list[Problem]) -> None:
    """A network that containers of other stacks stand on cannot go."""
    kept = {network.interface for network in planned.values()}
    going = {bridge.interface: bridge for bridge in known.bridges.values() if bridge.owner in scope.stacks}
    members: dict[str, list[str]] = defaultdict(list)
    for container, endpoints in known.endpoints.items():
        for endpoint in endpoints:
            if endpoint.owner not in scope.stacks and endpoint.bridge in going and endpoint.bridge not in kept:
                members[endpoint.bridge].append(container)
    for interface, containers in sorted(members.items()):
        message = f"network {going[interface].network_name} is in use by {', '.join(sorted(containers))}"
        problems.append(Problem(message, hint="take those containers off it, or their stacks down, first"))
