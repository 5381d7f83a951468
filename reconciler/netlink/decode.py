"""The lean decoder of the hot read path: links, addresses and routes out of dump replies.

Only what netapply compares is taken out of each message; pyroute2 is its oracle in the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address
from typing import NamedTuple

from reconciler.netlink import constants as c

_MESSAGE = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U16 = struct.Struct("=H")
_U32 = struct.Struct("=I")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_IPV6_LENGTH = 16
_TYPE_MASK = 0x3FFF

_WANTED_LINK = frozenset(
    {
        c.IFLA_ADDRESS, c.IFLA_IFNAME, c.IFLA_MTU, c.IFLA_LINK, c.IFLA_MASTER, c.IFLA_LINKINFO,
        c.IFLA_IFALIAS, c.IFLA_AF_SPEC, c.IFLA_GROUP, c.IFLA_LINK_NETNSID,
    }
)  # fmt: skip  # one row reads better


class LinkRecord(NamedTuple):
    """A link as the kernel reports it. ``peer_index`` and ``master_index`` are 0 where there is none.

    ``peer_index`` is a veth's other half, or the parent of a sub-interface; ``peer_netnsid`` is
    -1 where that is in the same namespace. ``mode`` and ``mode_flags`` are macvlan's or ipvlan's
    numbers; of a VLAN, ``mode`` is its number.
    """

    link_index: int
    name: str
    up: bool
    mac: str
    mtu: int
    alias: str
    group: int
    kind: str
    master_index: int
    peer_index: int
    peer_netnsid: int
    hairpin: bool
    port_altered: bool
    nf_call: bool
    route_localnet: bool
    ipv6: bool
    mode: int = 0
    mode_flags: int = 0


class AddressRecord(NamedTuple):
    """An address: ``address`` with its prefix length, as ``172.18.0.2/16``; ``protocol`` says who made it."""

    link_index: int
    family: int
    address: str
    scope: int
    protocol: int = 0


class RuleRecord(NamedTuple):
    """A rule of policy routing: ``source`` with prefix length, empty where it asks for none."""

    family: int
    source: str
    table: int
    priority: int
    protocol: int


class RouteRecord(NamedTuple):
    """A route: ``destination`` with prefix length (``0.0.0.0/0``, ``::/0`` for default)."""

    family: int
    destination: str
    gateway: str
    link_index: int
    metric: int
    protocol: int
    kind: int
    table: int


def messages(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Each message in a datagram: type, flags, sequence, start and end of its body."""
    offset, end = 0, len(data)
    while offset + 16 <= end:
        length, kind, flags, sequence, _ = _MESSAGE.unpack_from(data, offset)
        if length < _MESSAGE.size:
            return
        yield kind, flags, sequence, offset + 16, offset + length
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int, end: int) -> dict[int, tuple[int, int]]:
    """Start and end of each attribute's payload, by type."""
    found = {}
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = (offset + 4, offset + length)
        offset += (length + 3) & ~3
    return found


def _u16(data: bytes, span: tuple[int, int] | None) -> int:
    return _U16.unpack_from(data, span[0])[0] if span else 0


def _u32(data: bytes, span: tuple[int, int] | None) -> int:
    return _U32.unpack_from(data, span[0])[0] if span else 0


def _text(data: bytes, span: tuple[int, int] | None) -> str:
    return data[span[0] : span[1]].rstrip(b"\0").decode(errors="replace") if span else ""


def link(data: bytes, start: int, end: int) -> LinkRecord:
    """A link out of RTM_NEWLINK."""
    _, _, index, flags, _ = _IFINFO.unpack_from(data, start)
    found: dict[int, tuple[int, int]] = {}
    offset = start + 16
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        kind &= _TYPE_MASK
        if kind in _WANTED_LINK:
            found[kind] = (offset + 4, offset + length)
        offset += (length + 3) & ~3
    get = found.get
    kind_name, hairpin, port_altered, nf_call = _link_info(data, get(c.IFLA_LINKINFO))
    route_localnet, ipv6 = _families(data, get(c.IFLA_AF_SPEC))
    mode, mode_flags = _mode(data, kind_name, get(c.IFLA_LINKINFO))
    mac_span = get(c.IFLA_ADDRESS)
    netnsid = get(c.IFLA_LINK_NETNSID)
    return LinkRecord(
        index,
        _text(data, get(c.IFLA_IFNAME)),
        bool(flags & c.IFF_UP),
        data[mac_span[0] : mac_span[1]].hex(":") if mac_span else "",
        _u32(data, get(c.IFLA_MTU)),
        _text(data, get(c.IFLA_IFALIAS)),
        _u32(data, get(c.IFLA_GROUP)),
        kind_name,
        _u32(data, get(c.IFLA_MASTER)),
        _u32(data, get(c.IFLA_LINK)),
        _u32(data, netnsid) if netnsid else -1,
        hairpin,
        port_altered,
        nf_call,
        route_localnet,
        ipv6,
        mode,
        mode_flags,
    )


def _mode(data: bytes, kind: str, span: tuple[int, int] | None) -> tuple[int, int]:
    """Mode and flags of a sub-interface; zeros for any other kind."""
    if span is None or kind not in {"macvlan", "ipvlan", "vlan"}:
        return 0, 0
    own = attributes(data, *span).get(c.IFLA_INFO_DATA)
    found = attributes(data, *own) if own else {}
    if kind == "macvlan":
        return _u32(data, found.get(c.IFLA_MACVLAN_MODE)), 0
    if kind == "ipvlan":
        return _u16(data, found.get(c.IFLA_IPVLAN_MODE)), _u16(data, found.get(c.IFLA_IPVLAN_FLAGS))
    return _u16(data, found.get(c.IFLA_VLAN_ID)), 0


def _link_info(data: bytes, span: tuple[int, int] | None) -> tuple[str, bool, bool, bool]:
    if span is None:
        return "", False, False, False
    info = attributes(data, *span)
    kind = _text(data, info.get(c.IFLA_INFO_KIND))
    hairpin = port_altered = nf_call = False
    slave = info.get(c.IFLA_INFO_SLAVE_DATA)
    if slave and _text(data, info.get(c.IFLA_INFO_SLAVE_KIND)) == "bridge":
        hairpin, port_altered = port_settings(data, attributes(data, *slave))
    own = info.get(c.IFLA_INFO_DATA)
    if own and kind == "bridge":
        call = attributes(data, *own).get(c.IFLA_BR_NF_CALL_IPTABLES)
        nf_call = bool(call and data[call[0]])
    return kind, hairpin, port_altered, nf_call


def port_settings(data: bytes, found: Mapping[int, tuple[int, int]]) -> tuple[bool, bool]:
    """Of a bridge's port: whether it is a hairpin, and whether others changed how it switches frames."""
    mode = found.get(c.IFLA_BRPORT_MODE)
    altered = any(data[span[0]] != usual for kind, usual in c.USUAL_PORT.items() if (span := found.get(kind)))
    return bool(mode and data[mode[0]]), altered


def _families(data: bytes, span: tuple[int, int] | None) -> tuple[bool, bool]:
    """route_localnet and whether IPv6 is on, out of the devconf arrays in IFLA_AF_SPEC."""
    if span is None:
        return False, False
    families = attributes(data, *span)
    localnet, ipv6 = False, False
    inet = families.get(c.AF_INET)
    if inet:
        array = attributes(data, *inet).get(c.IFLA_INET_CONF)
        if array:
            localnet = bool(_U32.unpack_from(data, array[0] + 4 * (c.IPV4_DEVCONF_ROUTE_LOCALNET - 1))[0])
    inet6 = families.get(c.AF_INET6)
    if inet6:
        array = attributes(data, *inet6).get(c.IFLA_INET6_CONF)
        if array:
            ipv6 = not _U32.unpack_from(data, array[0] + 4 * c.DEVCONF_DISABLE_IPV6)[0]
    return localnet, ipv6


def ip_text(raw: bytes) -> str:
    """Canonical text of 4 or 16 address bytes."""
    return str(IPv6Address(raw)) if len(raw) == _IPV6_LENGTH else f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"


def address(data: bytes, start: int, end: int) -> AddressRecord:
    """An address out of RTM_NEWADDR."""
    family, prefix_length, _, scope, index = _IFADDR.unpack_from(data, start)
    found = attributes(data, start + 8, end)
    span = found.get(c.IFA_LOCAL) or found[c.IFA_ADDRESS]
    made_by = found.get(c.IFA_PROTO)
    protocol = data[made_by[0]] if made_by else 0
    return AddressRecord(index, family, f"{ip_text(data[span[0] : span[1]])}/{prefix_length}", scope, protocol)


def route(data: bytes, start: int, end: int) -> RouteRecord:
    """A route out of RTM_NEWROUTE."""
    family, prefix_length, _, _, table, protocol, _, kind, _ = _RTMSG.unpack_from(data, start)
    found = attributes(data, start + 12, end)
    span, gateway = found.get(c.RTA_DST), found.get(c.RTA_GATEWAY)
    default = "::" if family == c.AF_INET6 else "0.0.0.0"  # noqa: S104  # a route's destination, nothing is bound
    destination = ip_text(data[span[0] : span[1]]) if span else default
    return RouteRecord(
        family,
        f"{destination}/{prefix_length}",
        ip_text(data[gateway[0] : gateway[1]]) if gateway else "",
        _u32(data, found.get(c.RTA_OIF)),
        _u32(data, found.get(c.RTA_PRIORITY)),
        protocol,
        kind,
        _u32(data, found.get(c.RTA_TABLE)) or table,
    )


def rule(data: bytes, start: int, end: int) -> RuleRecord:
    """A rule out of RTM_NEWRULE."""
    family, _, length, _, table, _, _, _, _ = _RTMSG.unpack_from(data, start)
    found = attributes(data, start + 12, end)
    span, protocol = found.get(c.FRA_SRC), found.get(c.FRA_PROTOCOL)
    return RuleRecord(
        family,
        f"{ip_text(data[span[0] : span[1]])}/{length}" if span else "",
        _u32(data, found.get(c.FRA_TABLE)) or table,
        _u32(data, found.get(c.FRA_PRIORITY)),
        data[protocol[0]] if protocol else 0,
    )
