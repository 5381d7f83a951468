"""The lean decoder and pyroute2 read the same dumps of a real kernel, and find the same in them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from reconciler.netlink import constants as c
from reconciler.netlink import decode, encode
from tests.kernel.lab import Host

_ONE_OF_EVERYTHING = """
link add na-one type bridge nf_call_iptables 1
link add nv-one type veth peer name inside
link set nv-one alias netapply:endpoint::shop:web:shop_front: group 28257 mtu 1400 master na-one up
link set nv-one type bridge_slave hairpin on
link set inside address 02:00:00:00:00:07 up
link set na-one up
addr add 10.7.0.1/24 dev na-one
addr add fd00:7::1/64 dev na-one nodad
addr add 10.8.0.1 peer 10.8.0.2/32 dev na-one
route add 10.9.0.0/16 via 10.7.0.9 proto 110 metric 50
route add 10.10.0.0/16 dev na-one table 300
route add unreachable 10.11.0.0/16
route add fd01::/64 via fd00:7::9 proto 110
route add default via fd00:7::fe metric 2000
"""


@pytest.fixture
def full_host(host: Host) -> Host:
    """A host with one of everything that the decoder reads."""
    host.run(["ip", "-batch", "-"], stdin=_ONE_OF_EVERYTHING.lstrip())
    host.sysctl("net/ipv4/conf/na-one/route_localnet", "1")
    host.sysctl("net/ipv6/conf/inside/disable_ipv6", "1")
    return host


def dump(host: Host, kind: int, body: bytes) -> list[bytes]:
    """All messages of a dump, each with its header."""

    def ask() -> list[bytes]:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(10)
            netlink.send(encode.message(kind, c.NLM_F_REQUEST | c.NLM_F_DUMP, 1, body))
            return list(_messages(netlink))

    return host.inside(ask)


def _messages(netlink: socket.socket) -> Iterator[bytes]:
    while True:
        data = netlink.recv(1 << 17)
        for found, _, _, start, end in decode.messages(data):
            if found == c.NLMSG_DONE:
                return
            assert found != c.NLMSG_ERROR, struct.unpack_from("=i", data, start)
            yield data[start - 16 : end]


def by_oracle(kind: type, message: bytes) -> Any:
    read = kind(message)
    read.decode()
    return read


def test_links(full_host: Host) -> None:
    found = dump(full_host, c.RTM_GETLINK, encode.link_header())
    ours = {}
    for message in found:
        link, oracle = decode.link(message, 16, len(message)), by_oracle(ifinfmsg, message)
        info = oracle.get("linkinfo") or ifinfmsg()
        families = oracle.get("af_spec")
        inet, inet6 = families.get_attr("AF_INET"), families.get_attr("AF_INET6")
        assert link == decode.LinkRecord(
            link_index=oracle["index"],
            name=oracle.get("ifname"),
            up=bool(oracle["flags"] & 1),
            mac=oracle.get("address"),
            mtu=oracle.get("mtu"),
            alias=oracle.get("ifalias") or "",
            group=oracle.get("group"),
            kind=info.get_attr("IFLA_INFO_KIND") or "",
            master_index=oracle.get("master") or 0,
            peer_index=oracle.get("link") or 0,
            peer_netnsid=-1 if oracle.get("link_netnsid") is None else oracle.get("link_netnsid"),
            hairpin=bool(_port(info, "IFLA_BRPORT_MODE")),
            port_altered=_is_altered(info),
            nf_call=bool(_bridge(info, "IFLA_BR_NF_CALL_IPTABLES")),
            route_localnet=bool(inet["route_localnet"]),
            ipv6=bool(inet6) and not inet6.get_attr("IFLA_INET6_CONF")["disable_ipv6"],
        )
        ours[link.name] = link
    assert {"lo", "na-one", "nv-one", "inside"} <= ours.keys()
    bridge, port, inside = ours["na-one"], ours["nv-one"], ours["inside"]
    assert (bridge.kind, bridge.nf_call, bridge.route_localnet, bridge.ipv6) == ("bridge", True, True, True)
    assert (port.master_index, port.peer_index, port.hairpin) == (bridge.link_index, inside.link_index, True)
    assert (port.alias, port.group, port.mtu) == ("netapply:endpoint::shop:web:shop_front:", 28257, 1400)
    assert (inside.mac, inside.ipv6, inside.hairpin) == ("02:00:00:00:00:07", False, False)


def _is_altered(info: Any) -> bool:
    words = ("LEARNING", "UNICAST_FLOOD", "MCAST_FLOOD", "BCAST_FLOOD")
    is_off = [_port(info, f"IFLA_BRPORT_{word}") == 0 for word in words]
    return any(is_off) or bool(_port(info, "IFLA_BRPORT_ISOLATED"))


def _port(info: Any, name: str) -> Any:
    data = info.get_attr("IFLA_INFO_SLAVE_DATA")
    return data.get_attr(name) if data else None


def _bridge(info: Any, name: str) -> Any:
    data = info.get_attr("IFLA_INFO_DATA") if info.get_attr("IFLA_INFO_KIND") == "bridge" else None
    return data.get_attr(name) if data else None


def test_addresses(full_host: Host) -> None:
    ours = set()
    for message in dump(full_host, c.RTM_GETADDR, bytes(8)):
        address, oracle = decode.address(message, 16, len(message)), by_oracle(ifaddrmsg, message)
        text = oracle.get("local") or oracle.get("address")
        protocol = oracle.get_attr("IFA_PROTO") or 0
        assert address == decode.AddressRecord(
            oracle["index"], oracle["family"], f"{text}/{oracle['prefixlen']}", oracle["scope"], protocol
        )
        ours.add(address.address)
    assert {"127.0.0.1/8", "::1/128", "10.7.0.1/24", "fd00:7::1/64", "10.8.0.1/32"} <= ours


def test_routes(full_host: Host) -> None:
    ours = []
    for message in dump(full_host, c.RTM_GETROUTE, bytes(12)):
        route, oracle = decode.route(message, 16, len(message)), by_oracle(rtmsg, message)
        default = "::" if oracle["family"] == c.AF_INET6 else "0.0.0.0"
        assert route == decode.RouteRecord(
            family=oracle["family"],
            destination=f"{oracle.get('dst') or default}/{oracle['dst_len']}",
            gateway=oracle.get("gateway") or "",
            link_index=oracle.get("oif") or 0,
            metric=oracle.get("priority") or 0,
            protocol=oracle["proto"],
            kind=oracle["type"],
            table=oracle.get("table"),
        )
        ours.append(route)
    found = {(route.destination, route.gateway, route.metric, route.protocol, route.table) for route in ours}
    assert ("10.9.0.0/16", "10.7.0.9", 50, 110, 254) in found
    assert ("10.10.0.0/16", "", 0, 3, 300) in found
    assert ("fd01::/64", "fd00:7::9", 1024, 110, 254) in found
    assert ("::/0", "fd00:7::fe", 2000, 3, 254) in found
    assert {route.kind for route in ours if route.destination == "10.11.0.0/16"} == {7}
