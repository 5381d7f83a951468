"""Containers with everything decided that the rest of planning asks: networks, addresses, interfaces, namespace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.desired.known import Known
from reconciler.desired.members import Member
from reconciler.manifest.model import Container


@dataclass(frozen=True, slots=True)
class Wired:
    """One container of the run.

    ``identity`` is ``stack/name``. ``members``: its places on networks, the one that gives the default route first;
    ``interfaces``: the name inside by network identity (``stack/key``). ``namespace``: ``stack/name`` of the sandbox
    that it uses, ``netns:NAME`` for one not made by netapply, empty for the host's; ``own``: that sandbox is its own.
    """

    stack: str
    identity: str
    origin: str
    spec: Container
    members: tuple[Member, ...]
    interfaces: dict[str, str]
    namespace: str
    own: bool

    @property
    def ipv6(self) -> bool:
        """Whether it stands on a network with IPv6."""
        return any(6 in member.addresses for member in self.members)  # noqa: PLR2004  # the family


def by_gateway_preference(members: Iterable[Member], known: Known) -> tuple[Member, ...]:
    """The network that gives the IPv4 default route first, then that of IPv6, then the others as they would."""
    found = list(members)
    leaders = {family: next(iter(in_order(found, family, known)), None) for family in (4, 6)}
    return tuple(sorted(found, key=lambda each: (each is not leaders[4], each is not leaders[6], _preference(each))))


def in_order(members: Iterable[Member], family: int, known: Known) -> list[Member]:
    """The networks that could give the default route of one family, the preferred first.

    One with a ``gateway:`` before all; then Docker's order: priority, not internal, name. Of networks of one
    priority, the one that gives it already: what a container says to the outside must not be cut because it joins
    one more network. Family by family, so that the order is the same when it has joined.
    """

    def preference(member: Member) -> tuple[tuple[bool, int, bool], bool, str]:
        leads = known.is_gateway(member.container, member.network.name, family)
        return _preference(member)[0], not leads, member.network.name

    return sorted((member for member in members if family in member.addresses), key=preference)


def by_priority(members: Iterable[Member]) -> list[Member]:
    """Docker's order by the manifest alone: what is written into files must not depend on what leads out now."""
    return sorted(members, key=_preference)


def _preference(member: Member) -> tuple[tuple[bool, int, bool], str]:
    attachment, network = member.attachment, member.network
    return (not attachment.gateway, -attachment.gw_priority, network.internal), network.name


def interface_names(
    identity: str, members: Sequence[Member], known: Known, strangers: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Interface names inside: given ones, those that are there, then the lowest free number in order of priority.

    ``strangers`` are names of links there that are not ours.
    """
    chosen: dict[str, str] = {}
    for member in members:
        if member.attachment.interface_name:
            chosen[member.network.network] = member.attachment.interface_name
    for member in members:
        present = known.interface(identity, member.network.name)
        if member.network.network not in chosen and present and present not in chosen.values():
            prefix = member.network.options.interface_prefix
            if present.removeprefix(prefix).isdigit():
                chosen[member.network.network] = present
    for member in sorted(members, key=lambda m: (-m.attachment.priority, m.network.name)):
        if member.network.network not in chosen:
            prefix = member.network.options.interface_prefix
            taken = {*chosen.values(), *strangers}
            number = next(n for n in range(len(members) + len(taken) + 1) if f"{prefix}{n}" not in taken)
            chosen[member.network.network] = f"{prefix}{number}"
    return chosen
