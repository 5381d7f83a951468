"""What decides about packets in the places of a path, and ``reach`` does not follow: looked for where it asks live.

Nothing of it is ours, so the observed state does not know of it. Each place costs four dumps (0.3 ms).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from reconciler.errors import NetapplyError, Problem
from reconciler.firewall import router_layout
from reconciler.kernel import iptables_program, name_redirect, namespaces, netlink, nft_tables, sysctl
from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL
from reconciler.netlink import constants as c
from reconciler.netlink.decode import RouteRecord, RuleRecord
from reconciler.netlink.nft import TABLE_DORMANT

_KERNEL: Final = 2
"""RTPROT_KERNEL of linux/rtnetlink.h."""
_LOCAL, _MAIN, _DEFAULT = 255, c.RT_TABLE_MAIN, 253
_FAMILIES: Final = (c.AF_INET, c.AF_INET6)
_KERNELS_RULES: Final = frozenset(
    {
        (c.AF_INET, 0, _LOCAL),
        (c.AF_INET, 32766, _MAIN),
        (c.AF_INET, 32767, _DEFAULT),
        (c.AF_INET6, 0, _LOCAL),
        (c.AF_INET6, 32766, _MAIN),
    }
)
"""Family, priority and table of the rules that every namespace is born with (ip-rule(8))."""
_OURS: Final = frozenset({(router_layout.FAMILY, router_layout.TABLE), name_redirect.TABLE_NAME})
_LEGACY_NAMES: Final = ("ip_tables_names", "ip6_tables_names")
_GONE: Final = frozenset({errno.ENOENT, errno.EINVAL})


class Place(NamedTuple):
    """A namespace by its path. ``label`` is for people: ``the host``, ``container web``.

    ``forwards`` are the interfaces by which IPv4 packets came that were to go on from there.
    """

    label: str
    path: Path
    is_host: bool
    forwards: tuple[str, ...] = ()


def unfollowed(places: Iterable[Place], hint: str) -> Iterator[Problem]:
    """One warning for each place where something decides that ``reach`` does not follow; none where a place is gone.

    ``hint`` says what to do. Raises OSError where the kernel refuses to say.
    """
    for place in places:
        found = list(_looked_at(place))
        if found:
            *others, last = found
            what = f"{', '.join(others)} and {last}" if others else last
            message = f"{place.label} has {what}, which reach does not follow"
            yield Problem(message, hint=hint, severity="warning")


def _looked_at(place: Place) -> list[str]:
    with namespaces.elsewhere():
        try:
            namespaces.enter_path(place.path)
        except OSError as error:
            if error.errno in _GONE:
                return []
            raise
        found = _routing(place)
        # What the host's own chains do is observed, and followed as far as docs/reach.md says.
        if not place.is_host and _has_tables_of_others():
            found.append("firewall rules of others")
        return [*found, *_forwarding_off(place.forwards)]


def _routing(place: Place) -> list[str]:
    inside = netlink.RouteSocket()
    try:
        found = []
        if any(_is_of_others(rule) for family in _FAMILIES for rule in netlink.rules(inside, family)):
            found.append("policy routing rules of others")
        # The host's own routes are never followed; that stands in docs/reach.md.
        if not place.is_host and _has_routes_of_others(inside):
            found.append("routes of others")
        return found
    finally:
        inside.close()


def _is_of_others(rule: RuleRecord) -> bool:
    if rule.protocol == ROUTE_PROTOCOL:
        return False
    return bool(rule.source) or (rule.family, rule.priority, rule.table) not in _KERNELS_RULES


def _has_routes_of_others(inside: netlink.RouteSocket) -> bool:
    strangers = [
        route
        for family in _FAMILIES
        for route in netlink.routes(inside, family, _MAIN)
        if route.protocol not in {ROUTE_PROTOCOL, _KERNEL}
    ]
    if not strangers:
        return False
    ours = {link.link_index for link in netlink.links(inside) if link.group == LINK_GROUP}
    return not all(_is_observed(route, ours) for route in strangers)


def _is_observed(route: RouteRecord, ours: set[int]) -> bool:
    """Default routes on links of ours are observed whoever made them."""
    return route.destination.endswith("/0") and route.link_index in ours


def _has_tables_of_others() -> bool:
    if any(map(iptables_program.legacy_tables, _LEGACY_NAMES)):
        return True
    try:
        standing = nft_tables.standing()
    except NetapplyError:
        # A kernel without nf_tables.
        return False
    return any(table not in _OURS and not flags & TABLE_DORMANT for table, flags in standing.items())


def _forwarding_off(interfaces: Iterable[str]) -> Iterator[str]:
    """IPv4 asks the interface that a packet came in by, IPv6 the namespace as a whole (kernel: ip-sysctl, forwarding)."""
    if sysctl.read("net/ipv4/ip_forward") != "1":
        return
    for interface in interfaces:
        # A strange name of an interface of the host's cannot be asked for.
        with suppress(NetapplyError):
            if sysctl.read(f"net/ipv4/conf/{interface}/forwarding") == "0":
                yield f"net.ipv4.conf.{interface}.forwarding = 0"
