"""A route of ours in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import ENETUNREACH, ENODEV, ESRCH
from typing import Any, ClassVar

from reconciler.actions import Action, Netlink
from reconciler.errors import Source
from reconciler.naming import ROUTE_PROTOCOL
from reconciler.netlink import constants as c
from reconciler.netlink.encode import attribute, packed, route_header, u32
from reconciler.resources.endpoint import endpoint_key
from reconciler.resources.namespace import namespace_key
from reconciler.resources.parts import PartOfSandbox
from reconciler.state import Key, Kind

DEFAULT_METRIC = {4: 0, 6: 1024}
"""The metric that the kernel gives a route without one, by family."""

DEFAULT_DESTINATION = {4: "0.0.0.0/0", 6: "::/0"}
"""Everything, by family."""

UNICAST = "unicast"
KINDS = {
    UNICAST: c.RTN_UNICAST,
    "blackhole": c.RTN_BLACKHOLE,
    "unreachable": c.RTN_UNREACHABLE,
    "prohibit": c.RTN_PROHIBIT,
}
"""What becomes of packets, in the words of ip-route(8), with the kernel's number."""


def route_key(container: str, destination: str, metric: int) -> Key:
    """The key of the route to ``destination`` (with prefix length) of that metric in ``stack/name``."""
    family = 6 if ":" in destination else 4
    suffix = f" metric {metric}" if metric != DEFAULT_METRIC[family] else ""
    return Key(Kind.ROUTE, f"{container}:{destination}{suffix}")


@dataclass(frozen=True, slots=True)
class Route(PartOfSandbox):
    """``destination`` (with prefix length) through ``gateway`` on ``interface`` of ``container``.

    ``protocol`` is the kernel's number for who made it; ours is ``ROUTE_PROTOCOL``, and a
    default route of another's making on a link of ours is drift.
    ``kind`` other than unicast drops what goes there; such a route has neither gateway nor interface.
    ``reached_by`` is the address that makes the gateway a neighbour, ``after`` what must stand before it is used.
    """

    owner: str
    container: str
    destination: str
    gateway: str
    interface: str
    metric: int
    protocol: int = ROUTE_PROTOCOL
    reached_by: Key | None = field(default=None, compare=False)
    source: Source | None = field(default=None, compare=False)
    kind: str = UNICAST
    after: tuple[Key, ...] = field(default=(), compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"gateway", "interface", "protocol", "kind"})

    @property
    def key(self) -> Key:
        return route_key(self.container, self.destination, self.metric)

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.destination else 4

    @property
    def is_way_out(self) -> bool:
        """Whether it is the default route that a container has as a rule: through a link, and of the usual metric."""
        everything = self.destination == DEFAULT_DESTINATION[self.family]
        return everything and bool(self.interface) and self.metric == DEFAULT_METRIC[self.family]

    def needs(self) -> tuple[Key, ...]:
        place = endpoint_key(self.container, self.interface) if self.interface else namespace_key(self.container)
        return (place, self.reached_by, *self.after) if self.reached_by else (place, *self.after)

    def describe(self) -> str:
        default = self.destination in DEFAULT_DESTINATION.values()
        what = "default route" if default else f"route to {self.destination}"
        metric = f" metric {self.metric}" if self.metric != DEFAULT_METRIC[self.family] else ""
        if self.kind != UNICAST:
            return f"{self.kind} {what}{metric}"
        via = f" via {self.gateway}" if self.gateway else ""
        return f"{what}{via} on {self.interface}{metric}"

    def record(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "destination": self.destination,
            "gateway": self.gateway,
            "interface": self.interface,
            "metric": self.metric,
            "protocol": self.protocol,
            "kind": self.kind,
        }

    def create(self) -> tuple[Action, ...]:
        return (self._request(c.RTM_NEWROUTE, c.NLM_F_CREATE | c.NLM_F_REPLACE, frozenset()),)

    def update(self, before: Route) -> tuple[Action, ...]:
        if self.family == 4 and self.protocol == before.protocol:  # noqa: PLR2004  # the family
            return self.create()
        # IPv6 appends a sibling instead of replacing where the gateway differs, and a route's
        # protocol is part of what a replacement looks for.
        return (*before.delete(), *self.create())

    def delete(self) -> tuple[Action, ...]:
        return (self._request(c.RTM_DELROUTE, 0, frozenset({ESRCH, ENODEV, ENETUNREACH})),)

    def _request(self, kind: int, flags: int, tolerate: frozenset[int]) -> Netlink:
        destination, _, length = self.destination.partition("/")
        family = c.AF_INET6 if ":" in destination else c.AF_INET
        # Nowhere matches whatever scope the route to delete has.
        scope = c.RT_SCOPE_NOWHERE if kind == c.RTM_DELROUTE else 0
        body = route_header(family, int(length), self.protocol, c.RT_TABLE_MAIN, KINDS[self.kind], scope)
        if int(length):
            body += attribute(c.RTA_DST, packed(destination))
        if self.gateway:
            body += attribute(c.RTA_GATEWAY, packed(self.gateway))
        if self.metric:
            body += u32(c.RTA_PRIORITY, self.metric)
        if not self.interface:
            # The kernel takes no device with a route that leads nowhere.
            return Netlink(self.container, kind, flags, body, tolerate=tolerate)
        body += u32(c.RTA_OIF, 0)
        fixups = ((len(body) - 4, self.interface),)
        return Netlink(self.container, kind, flags, body, fixups=fixups, tolerate=tolerate)
