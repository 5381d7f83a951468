"""``reach``: would this packet arrive, and by which rule, route or gap."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

from reconciler.errors import NetapplyError
from reconciler.observation import Facts
from reconciler.reach.packet import CLIENT_PORT, Packet, family_of
from reconciler.reach.parties import DeadOutside, Origin, address_in, destinations, origin_of, outsider_for
from reconciler.reach.rules import Rules, rules
from reconciler.reach.verdict import Hop, Verdict
from reconciler.reach.walk import GONE, Outsider, Walk
from reconciler.reach.world import OUTSIDE, World, world
from reconciler.state import State


def reach(state: State, facts: Facts, origin: str, target: str, port: int, protocol: str = "tcp") -> Verdict:
    """Whether a packet from ``origin`` reaches ``port`` of ``target``, and the answer comes back.

    Both are a container (``name`` or ``stack/name``), ``host``, ``outside`` (a machine on the host's LAN that no rule
    names, and that routes what it does not know to the host), or an address. Where the target has several addresses,
    it is reached if one of them is. Whether a program listens there is not looked at.

    Raises NetapplyError: no container, or several, are called so; an address is no machine's; or nothing is known of a
    namespace of others.
    """
    return Reacher(state, facts).reach(origin, target, port, protocol)


@dataclass(slots=True, init=False)
class Reacher:
    """Many questions about one state."""

    world: World
    rules: Rules

    def __init__(self, state: State, facts: Facts) -> None:
        self.world = world(state, facts)
        self.rules = rules(state, facts)

    def reach(self, origin: str, target: str, port: int, protocol: str = "tcp") -> Verdict:
        """As the function ``reach``."""
        asker = origin_of(self.world, origin)
        found = destinations(self.world, self.rules, asker, target, (port, protocol))
        family = family_of(asker.address) if asker.address else 0
        if family and address_in(target) and family_of(found[0]) != family:
            message = f"{asker.address} is an IPv{family} address, {found[0]} is none"
            raise NetapplyError.of(
                message, hint="FROM and TO must be of one family: no packet goes from one to the other"
            )
        verdicts = []
        for address in found:
            if family and family_of(address) != family:
                continue
            verdict = self.ask(asker, Packet(protocol, asker.address, CLIENT_PORT, address, port))
            if verdict.reachable:
                return verdict
            verdicts.append(verdict)
        return verdicts[0] if verdicts else self._nothing_to_ask(target, family if found else 0)

    def holds(self, verdict: Verdict, origin: str, target: str, port: int, protocol: str = "tcp") -> bool:
        """Whether the verdict on that question is certain although somebody may have changed our rules.

        What is left of changed ones is not known; it is certain where none at all would have made no difference.
        """
        base = self.rules.base
        if base is None or base.intact:
            return True
        other = copy(self)
        other.rules = replace(self.rules, base=None)
        without = other.reach(origin, target, port, protocol)
        return (without.reachable, without.answered_by) == (verdict.reachable, verdict.answered_by)

    def ask(self, origin: Origin, question: Packet) -> Verdict:
        """The verdict on one packet; its source may be empty."""
        outsider: Outsider | None = None
        if origin.place == OUTSIDE:
            found = outsider_for(self.world, self.rules, origin, question.destination)
            if isinstance(found, DeadOutside):
                return Verdict(
                    reachable=False, path=(Hop(OUTSIDE, f"the host has no IPv{found.family} network there"),)
                )
            outsider, question = found, question._replace(source=found.address)
        return Walk(self.world, self.rules, outsider).ask(origin.place, question)

    def landings(self, origin: str, asked: Packet) -> tuple[tuple[str, int], ...]:
        """Places of ours and ports where that packet may arrive from the place ``origin``, translated or not."""
        target = self.rules.target(asked)
        found = [(asked.destination, asked.destination_port)]
        if target is not None:
            found.append((target.target_address, getattr(target, "target_port", asked.destination_port)))
        places = {(place, port) for address, port in found for place in self.world.owners.get(address, ())}
        if self.world.owns(origin, asked.destination):
            places.add((origin, asked.destination_port))
        return tuple(sorted(places))

    def _nothing_to_ask(self, target: str, family: int) -> Verdict:
        place = next(
            (
                place
                for container, place in self.world.homes.items()
                if target in {container, self.world.short(container)}
            ),
            "",
        )
        what = f"{target} has no address that could be asked: it is on no network"
        if place in self.world.gone:
            what = GONE
        elif family:
            what = f"{target} has no IPv{family} address"
        sandbox = self.world.sandboxes.get(place)
        return Verdict(reachable=False, path=(Hop(target, what, sandbox.source if sandbox else None),))
