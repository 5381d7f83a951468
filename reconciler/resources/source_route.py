"""The way back for answers: from one address of a sandbox everything leaves through that address's own network.

A container on a LAN and on a bridge network has two ways to a neighbour on the LAN. What came in through a
published port has to go back through the bridge, or the host cannot translate it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EAFNOSUPPORT, ENETUNREACH, ENODEV, ENOENT, ESRCH
from ipaddress import ip_interface
from typing import Any, ClassVar

from reconciler.actions import Action, Netlink
from reconciler.errors import Source
from reconciler.naming import ROUTE_PROTOCOL
from reconciler.netlink import constants as c
from reconciler.netlink.encode import attribute, packed, route_header, rule_header, u8, u32
from reconciler.resources.address import address_key
from reconciler.resources.endpoint import endpoint_key
from reconciler.resources.parts import PartOfSandbox
from reconciler.state import Key, Kind

PRIORITY = 11000
"""Of the rules: after the local table (0), before the main one (32766)."""


@dataclass(frozen=True, slots=True)
class SourceRoute(PartOfSandbox):
    """What has ``address`` (with prefix length) for its source takes ``gateway`` on ``interface``, by ``table``.

    An empty ``gateway``: everybody is a neighbour there. ``whole`` is false where only a part of it was found.
    """

    owner: str
    container: str
    interface: str
    address: str
    gateway: str
    table: int
    whole: bool = True
    source: Source | None = field(default=None, compare=False)
    live: ClassVar[frozenset[str]] = frozenset({"interface", "gateway", "table", "whole"})

    @property
    def key(self) -> Key:
        return Key(Kind.ROUTE, f"{self.container}:from {self.address}")

    @property
    def _family(self) -> int:
        return c.AF_INET6 if ":" in self.address else c.AF_INET

    def needs(self) -> tuple[Key, ...]:
        if not self.interface:
            return ()
        address = address_key(self.container, self.interface, self.address)
        return (endpoint_key(self.container, self.interface), address)

    def describe(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        return f"answers from {self.address.partition('/')[0]}{via} on {self.interface}"

    def record(self) -> Mapping[str, Any]:
        return {
            "container": self.container,
            "interface": self.interface,
            "address": self.address,
            "gateway": self.gateway,
            "table": self.table,
            "whole": self.whole,
        }

    def create(self) -> tuple[Action, ...]:
        # The rule last: until the table is full it must not lead anybody there.
        flags = c.NLM_F_CREATE | c.NLM_F_REPLACE
        routes = (self._near(c.RTM_NEWROUTE, flags), self._default(c.RTM_NEWROUTE, flags))
        return (*routes, self._rule(c.RTM_NEWRULE, c.NLM_F_CREATE | c.NLM_F_EXCL, frozenset()))

    def update(self, before: SourceRoute) -> tuple[Action, ...]:
        return (*before.delete(), *self.create())

    def delete(self) -> tuple[Action, ...]:
        rule = self._rule(c.RTM_DELRULE, 0, frozenset({ENOENT, EAFNOSUPPORT}))
        return (rule, self._default(c.RTM_DELROUTE, 0), self._near(c.RTM_DELROUTE, 0))

    def _rule(self, kind: int, flags: int, tolerate: frozenset[int]) -> Netlink:
        raw = packed(self.address.partition("/")[0])
        body = rule_header(self._family, 8 * len(raw)) + b"".join(
            (
                attribute(c.FRA_SRC, raw),
                u32(c.FRA_PRIORITY, PRIORITY),
                u32(c.FRA_TABLE, self.table),
                u8(c.FRA_PROTOCOL, ROUTE_PROTOCOL),
            )
        )
        return Netlink(self.container, kind, flags, body, tolerate=tolerate)

    def _near(self, kind: int, flags: int) -> Netlink:
        network = ip_interface(self.address).network
        return self._route(kind, flags, (str(network.network_address), network.prefixlen), "")

    def _default(self, kind: int, flags: int) -> Netlink:
        return self._route(kind, flags, ("", 0), self.gateway)

    def _route(self, kind: int, flags: int, destination: tuple[str, int], gateway: str) -> Netlink:
        address, length = destination
        delete = kind == c.RTM_DELROUTE
        near = c.RT_SCOPE_LINK if self._family == c.AF_INET and not gateway else 0
        scope = c.RT_SCOPE_NOWHERE if delete else near
        body = route_header(self._family, length, ROUTE_PROTOCOL, 0, c.RTN_UNICAST, scope) + u32(
            c.RTA_TABLE, self.table
        )
        if address:
            body += attribute(c.RTA_DST, packed(address))
        if delete:
            gone = frozenset({ESRCH, ENODEV, ENOENT, ENETUNREACH, EAFNOSUPPORT})
            return Netlink(self.container, kind, flags, body, tolerate=gone)
        if gateway:
            body += attribute(c.RTA_GATEWAY, packed(gateway))
        body += u32(c.RTA_OIF, 0)
        return Netlink(self.container, kind, flags, body, fixups=((len(body) - 4, self.interface),))
