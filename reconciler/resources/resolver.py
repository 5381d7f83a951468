"""What the agent's resolver answers one container, and the socket that it answers on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from reconciler.actions import Action, ForgetNames, ServeNames
from reconciler.errors import Source
from reconciler.resources.agent import AGENT_KEY
from reconciler.resources.namespace import namespace_key
from reconciler.resources.parts import PartOfSandbox
from reconciler.state import Key, Kind

_SHOWN_CHANGES = 6


class Registration(NamedTuple):
    """The names that a container has on a network (by its real name), lower case, and its addresses there.

    Every container on that network may ask for them. No names: the container only asks there.
    """

    network: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]


class Upstream(NamedTuple):
    """A server that other questions go to, asked from inside the container or, a host's loopback one, from the host."""

    address: str
    from_host: bool = False


@dataclass(frozen=True, slots=True)
class Resolver(PartOfSandbox):
    """The resolver of ``container`` (``stack/name``), which has a sandbox of its own.

    It knows the names registered on the container's networks and its ``links`` (alias and addresses, for it alone);
    anything else goes to ``upstream``. ``listening`` is false, of an observed one only, where the socket inside or
    the rules that lead to it are not as they should be.
    """

    owner: str
    container: str
    registrations: tuple[Registration, ...] = ()
    links: tuple[tuple[str, tuple[str, ...]], ...] = ()
    upstream: tuple[Upstream, ...] = ()
    listening: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"registrations", "links", "upstream", "listening"})

    @property
    def key(self) -> Key:
        return Key(Kind.AGENT, f"{self.container}:names")

    def needs(self) -> tuple[Key, ...]:
        return (AGENT_KEY, namespace_key(self.container))

    def describe(self) -> str:
        names = sorted({name for registration in self.registrations for name in registration.names})
        links = [f"link {alias}" for alias, _ in self.links]
        return f"names: {', '.join([*names, *links])}" if names or links else "no names"

    def record(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "networks": {
                item.network: {"names": item.names, "addresses": item.addresses} for item in self.registrations
            },
            "links": dict(self.links),
            "upstream": [item.address for item in self.upstream],
            "listening": self.listening,
        }

    def changed_names(self, before: Resolver) -> tuple[str, ...]:
        """``- web at 172.18.0.2 on front`` and ``+ link db at 172.18.0.3``: names and links that went and came."""
        old, new = before._served(), self._served()
        told = []
        for sign, some, others in (("-", old, new), ("+", new, old)):
            for place, names in some.items():
                left = [name for name in names if name not in others.get(place, ())]
                if left or place not in others:
                    told.append(f"{sign} {', '.join(left) or 'asks'}{place}")
        more = len(told) - _SHOWN_CHANGES
        return (*told[:_SHOWN_CHANGES], *([f"and {more} more"] if more > 0 else []))

    def _served(self) -> dict[str, list[str]]:
        """The names by what follows them in words: address and network."""
        found: dict[str, list[str]] = {}
        for network, names, addresses in self.registrations:
            at = f" at {', '.join(addresses)}" if names else ""
            found.setdefault(f"{at} on {network}", []).extend(names)
        for alias, addresses in self.links:
            found.setdefault(f" at {', '.join(addresses)}", []).append(f"link {alias}")
        return found

    def create(self) -> tuple[Action, ...]:
        return (ServeNames(self.container, self.registrations, self.links, self.upstream),)

    def update(self, before: Resolver) -> tuple[Action, ...]:
        del before  # the agent finds what it serves already
        return self.create()

    def delete(self) -> tuple[Action, ...]:
        return (ForgetNames(self.container),)
