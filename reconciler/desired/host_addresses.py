"""Who has the addresses that stand on the host."""

from __future__ import annotations

from reconciler.desired.known import Known
from reconciler.resources.host_address import HostAddress


def holders_on_host(known: Known) -> dict[str, str]:
    """Each address that stays on the host whatever this run decides, with who has it, in words.

    A floating address of a stack of this run is none of them: it goes, or the run claims it again.
    """
    floating = {each.address: each for each in known.observation.state if isinstance(each, HostAddress)}
    found = {}
    for address in known.observation.facts.addresses:
        ours = floating.get(address)
        if ours is None or not ours.container:
            found[address] = "the host"
        elif ours.owner not in known.scope:
            found[address] = f"the floating address of container {ours.container}"
    return found
