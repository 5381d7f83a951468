"""rtnetlink requests on addresses, routes and rules as lines of ``ip``."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from reconciler.actions import Netlink
from reconciler.netlink import constants as c
from reconciler.netlink.decode import ip_text
from reconciler.plan.commands.links import Request
from reconciler.plan.commands.place import Place
from reconciler.plan.commands.words import line, remark

_IFADDR = struct.Struct("=BBBBI")
_LIFETIMES = struct.Struct("=IIII")
_FOREVER = 0xFFFFFFFF
_RTMSG = struct.Struct("=BBBBBBBBI")
_INDEX = 4
"""Where the interface's number stands in an ifaddrmsg."""
_ADDRESS_PARTS = {c.IFA_LOCAL, c.IFA_ADDRESS, c.IFA_FLAGS, c.IFA_CACHEINFO, c.IFA_PROTO}
_SCOPES = {c.RT_SCOPE_LINK: "link", c.RT_SCOPE_HOST: "host"}
_ROUTE_KINDS = {c.RTN_BLACKHOLE: "blackhole", c.RTN_UNREACHABLE: "unreachable", c.RTN_PROHIBIT: "prohibit"}
"""A unicast route needs no word."""
_RTA_PREFSRC = 7
_RTNH_F_ONLINK = 4


def address_lines(request: Netlink, place: Place) -> Iterator[str]:
    """Those of RTM_NEWADDR and RTM_DELADDR."""
    _, length, _, scope, _ = _IFADDR.unpack_from(request.body)
    parts = Request(request.body, _IFADDR.size, len(request.body), {}).parts()
    address = parts.get(c.IFA_LOCAL) or parts[c.IFA_ADDRESS]
    words = [f"{ip_text(address.raw)}/{length}", "dev", dict(request.fixups)[_INDEX]]
    if scope in _SCOPES:
        words += ["scope", _SCOPES[scope]]
    if c.IFA_FLAGS in parts and parts[c.IFA_FLAGS].number & c.IFA_F_NODAD:
        words.append("nodad")
    if c.IFA_CACHEINFO in parts:
        preferred, valid, _, _ = _LIFETIMES.unpack(parts[c.IFA_CACHEINFO].raw)
        words += ["preferred_lft", _lifetime(preferred), "valid_lft", _lifetime(valid)]
    is_new = request.type == c.RTM_NEWADDR
    yield line(*place.ip(request.namespace, "address", "add" if is_new else "delete", *words))
    if is_new and c.IFA_PROTO in parts:
        yield remark(
            f"with proto {parts[c.IFA_PROTO].number} at its end where iproute2 takes that: it says that it is ours"
        )
    for kind in parts.keys() - _ADDRESS_PARTS:
        yield remark(f"attribute {kind} of the address, which ip has no word for")


def _lifetime(seconds: int) -> str:
    return "forever" if seconds == _FOREVER else str(seconds)


def route_lines(request: Netlink, place: Place) -> Iterator[str]:
    """Those of RTM_NEWROUTE and RTM_DELROUTE."""
    family, length, _, _, table, protocol, scope, kind, flags = _RTMSG.unpack_from(request.body)
    parts = Request(request.body, _RTMSG.size, len(request.body), dict(request.fixups)).parts()
    destination = f"{ip_text(parts[c.RTA_DST].raw)}/{length}" if c.RTA_DST in parts else "default"
    words = [*([_ROUTE_KINDS[kind]] if kind in _ROUTE_KINDS else []), destination]
    for number, (word, value) in _ROUTE_WORDS.items():
        if number in parts:
            words += [word, value(parts[number])]
    words += ["proto", str(protocol)]
    if table not in {0, c.RT_TABLE_MAIN} and c.RTA_TABLE not in parts:
        words += ["table", str(table)]
    words += _scope(request, parts, family, scope, kind)
    if flags & _RTNH_F_ONLINK:
        words.append("onlink")
    # Not told by a default destination, which both families have.
    six = ["-6"] if family == c.AF_INET6 else []
    yield line(*place.ip(request.namespace, *six, "route", _verb(request), *words))
    for number in parts.keys() - {c.RTA_DST, *_ROUTE_WORDS}:
        yield remark(f"attribute {number} of the route, which ip has no word for")


def rule_lines(request: Netlink, place: Place) -> Iterator[str]:
    """Those of RTM_NEWRULE and RTM_DELRULE, on rules that lead from a source to a table."""
    family, _, length, _, _, _, _, _, _ = _RTMSG.unpack_from(request.body)
    parts = Request(request.body, _RTMSG.size, len(request.body), dict(request.fixups)).parts()
    words = ["from", f"{ip_text(parts[c.FRA_SRC].raw)}/{length}"] if c.FRA_SRC in parts else ["from", "all"]
    for number, word in _RULE_WORDS.items():
        if number in parts:
            words += [word, str(parts[number].number)]
    six = ["-6"] if family == c.AF_INET6 else []
    verb = "add" if request.type == c.RTM_NEWRULE else "delete"
    yield line(*place.ip(request.namespace, *six, "rule", verb, *words))
    for number in parts.keys() - {c.FRA_SRC, *_RULE_WORDS}:
        yield remark(f"attribute {number} of the rule, which ip has no word for")


def _scope(request: Netlink, parts: dict[int, Request], family: int, scope: int, kind: int) -> list[str]:
    if scope in _SCOPES:
        return ["scope", _SCOPES[scope]]
    # Without a word, ip takes a new IPv4 route that has no gateway for one of scope link.
    new = request.type == c.RTM_NEWROUTE and family == c.AF_INET and kind == c.RTN_UNICAST
    return ["scope", "global"] if new and scope == 0 and c.RTA_GATEWAY not in parts else []


def _verb(request: Netlink) -> str:
    if request.type == c.RTM_DELROUTE:
        return "delete"
    return "replace" if request.flags & c.NLM_F_REPLACE else "add"


_ROUTE_WORDS: dict[int, tuple[str, Callable[[Request], str]]] = {
    c.RTA_GATEWAY: ("via", lambda part: ip_text(part.raw)),
    c.RTA_OIF: ("dev", lambda part: part.name),
    _RTA_PREFSRC: ("src", lambda part: ip_text(part.raw)),
    c.RTA_PRIORITY: ("metric", lambda part: str(part.number)),
    c.RTA_TABLE: ("table", lambda part: str(part.number)),
}
_RULE_WORDS = {c.FRA_PRIORITY: "priority", c.FRA_TABLE: "table", c.FRA_PROTOCOL: "protocol"}
