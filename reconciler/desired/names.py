"""The names of containers: what the agent's resolver answers each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.desired import default_bridge
from reconciler.desired.known import Known
from reconciler.desired.links import ResolvedLink, resolved_links
from reconciler.desired.members import Member
from reconciler.desired.process import hostname_of
from reconciler.desired.resolving import has_resolver, upstream
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.resources.resolver import Registration, Resolver
from reconciler.state import Resource


def name_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """A resolver for each container with a sandbox on a network; faults of links are found with the hosts files."""
    del problems
    links = resolved_links(wired, known, [])
    for each in wired:
        if has_resolver(each):
            yield Resolver(
                owner=each.stack,
                container=each.identity,
                registrations=tuple(_registrations(each)),
                links=_aliases(links.get(each.identity, ())),
                upstream=upstream(each, known.observation.facts),
                source=each.spec.source,
            )


def _registrations(wired: Wired) -> Iterator[Registration]:
    """Its names on each network; on ``bridge``, as with Docker, nobody has any."""
    for member in sorted(wired.members, key=lambda each: each.network.name):
        if member.network.network != default_bridge.IDENTITY:
            addresses = tuple(address.partition("/")[0] for _, address in sorted(member.addresses.items()))
            yield Registration(member.network.name, _names(wired, member), addresses)


def _names(wired: Wired, member: Member) -> tuple[str, ...]:
    spec = wired.spec
    hostname = hostname_of(spec)
    service = (spec.service,) if spec.service else ()
    names = (spec.name, *service, *member.attachment.aliases, hostname, hostname.partition(".")[0])
    # Names are compared without regard to case (RFC 4343).
    return tuple(dict.fromkeys(name.lower().removesuffix(".") for name in names))


def _aliases(links: Iterable[ResolvedLink]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Aliases with all their addresses; several links may share an alias."""
    found: dict[str, dict[str, None]] = {}
    for link in links:
        found.setdefault(link.alias.lower(), {}).update(dict.fromkeys(link.addresses))
    return tuple((alias, tuple(addresses)) for alias, addresses in sorted(found.items()))
