"""What the host's interface of a network is called."""

from __future__ import annotations

from reconciler.desired.known import Known
from reconciler.errors import Problem
from reconciler.manifest.model import Network
from reconciler.naming import BRIDGE_PREFIX, SHIM_PREFIX, interface_name
from reconciler.netlink.sub_interface_kinds import SUB_INTERFACE_KINDS


class InterfaceNames:
    """Names for bridges: the given one, the one that is there, or one by hash that nobody has."""

    def __init__(self, known: Known) -> None:
        self._known = known
        ours = {bridge.interface: network for network, bridge in known.bridges.items()}
        self._holders: dict[str, str] = dict.fromkeys(known.observation.facts.interfaces, "")
        self._holders.update(ours)
        self._holders.update((shim.interface, network) for network, shim in known.shims.items())

    def choose(self, identity: str, network: Network, problems: list[Problem]) -> str:
        """The name for ``stack/key``; empty where a network on a parent has no interface of the host's own."""
        if network.driver in SUB_INTERFACE_KINDS:
            return self._free(SHIM_PREFIX, identity, network) if network.host_addresses else ""
        given = network.bridge.bridge_name
        if given:
            if self._holders.get(given, identity) != identity:
                holder = self._holders[given]
                what = f"is the bridge of {holder}" if holder else "exists on the host and is not ours"
                problems.append(Problem(f"interface {given} {what}", network.source, "choose another bridge name"))
            self._holders[given] = identity
            return given
        present = self._known.bridges.get(identity)
        if present and present.interface.startswith(BRIDGE_PREFIX):
            return present.interface
        return self._free(BRIDGE_PREFIX, identity, network)

    def _free(self, prefix: str, identity: str, network: Network) -> str:
        attempt = 0
        while True:
            name = interface_name(prefix, network.key, identity, attempt=attempt)
            if self._holders.get(name, identity) == identity:
                self._holders[name] = identity
                return name
            attempt += 1
