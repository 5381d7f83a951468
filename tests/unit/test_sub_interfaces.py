"""macvlan, ipvlan and VLAN requests as bytes, with pyroute2 and the numbers of linux/if_link.h as oracles."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from reconciler.actions import HOST, Action, Netlink
from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL
from reconciler.netlink import constants as c
from reconciler.netlink import decode, encode
from reconciler.netlink.sub_interface_kinds import mode_names
from reconciler.resources.shim import Shim, ShimRoute
from reconciler.resources.source_route import PRIORITY, SourceRoute
from reconciler.resources.sub_interface import SubInterface
from reconciler.resources.vlan import Vlan, vlan_of
from reconciler.snapshot import state_from_document, state_to_document
from reconciler.state import State

INDEX, DESCRIPTOR = 0x01020304, 77
_CLASSES = {16: ifinfmsg, 17: ifinfmsg, 24: rtmsg, 25: rtmsg, 32: fibmsg, 33: fibmsg}

MACVLAN = SubInterface(
    "shop", "shop/web", "eth0", "shop/lan", "shop_lan", "macvlan", "bridge", "enp1s0", "02:00:00:00:00:02", 1400
)
IPVLAN = replace(MACVLAN, driver="ipvlan", mode="l2", flag="bridge", mac="52:54:00:00:00:01")
SHIM = Shim(
    "shop", "shop/lan", "shop_lan", "nm-lan-abcdef", "macvlan", "bridge", "enp1s0", "02:00:00:00:00:09", "0" * 16
)
VLAN = Vlan("host", "enp1s0.10", "enp1s0", 10)
ROUTE = SourceRoute("shop", "shop/web", "eth1", "172.18.0.2/16", "172.18.0.1", 0x6E610007)


def filled(action: Action) -> Netlink:
    """The request with numbers in its holes."""
    assert isinstance(action, Netlink)
    body = action.body
    for offset, _ in action.fixups:
        assert body[offset : offset + 4] == bytes(4)
        body = encode.patched(body, offset, INDEX)
    if action.peer_namespace:
        body = encode.patched(body, action.peer_namespace[0], DESCRIPTOR)
    return action._replace(body=body, fixups=(), peer_namespace=None)


def read(action: Action) -> Any:
    """The message as the executor sends it, read by pyroute2."""
    request = filled(action)
    message = _CLASSES[request.type](encode.message(request.type, request.flags, 9, request.body))
    message.decode()
    assert message["header"]["length"] == len(request.body) + 16
    return message


def info_data(action: Action) -> dict[int, bytes]:
    """What stands in IFLA_INFO_DATA, byte for byte, taken apart by hand."""
    body = filled(action).body
    found = decode.attributes(body, 16, len(body))
    info = decode.attributes(body, *found[18])
    return {kind: body[start:end] for kind, (start, end) in decode.attributes(body, *info[2]).items()}


@pytest.mark.parametrize(("mode", "number"), [("private", 1), ("vepa", 2), ("bridge", 4), ("passthru", 8)])
def test_a_macvlan_is_born_in_its_namespace(mode: str, number: int) -> None:
    passthru = mode == "passthru"
    birth, settings = replace(MACVLAN, mode=mode, passthru=passthru).create()
    assert isinstance(birth, Netlink)
    assert isinstance(settings, Netlink)
    message = read(birth)
    assert (birth.namespace, settings.namespace) == (HOST, "shop/web")
    assert (birth.fixups[0][1], birth.peer_namespace) == ("enp1s0", (len(birth.body) - 4, "shop/web"))
    assert birth.flags == c.NLM_F_CREATE | c.NLM_F_EXCL
    assert (message["flags"], message["change"]) == (0, 0)
    assert message.get_attr("IFLA_IFNAME") == "eth0"
    assert message.get_attr("IFLA_LINK") == INDEX
    assert message.get_attr("IFLA_NET_NS_FD") == DESCRIPTOR
    assert message.get_attr("IFLA_GROUP") == LINK_GROUP
    assert message.get_attr("IFLA_MTU") == 1400
    # A MAC that a passthru link is given becomes its parent's too.
    assert message.get_attr("IFLA_ADDRESS") == (None if passthru else "02:00:00:00:00:02")
    assert message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "macvlan"
    assert info_data(birth) == {1: struct.pack("=I", number)}
    second = read(settings)
    assert (second["flags"], second["change"]) == (1, 1)
    assert second.get_attr("IFLA_IFALIAS") == "netapply:sub-interface::shop:lan:shop_lan:"


@pytest.mark.parametrize(("mode", "mode_number"), [("l2", 0), ("l3", 1), ("l3s", 2)])
@pytest.mark.parametrize(("flag", "flag_number"), [("bridge", 0), ("private", 1), ("vepa", 2)])
def test_an_ipvlan_is_born_in_its_namespace(mode: str, mode_number: int, flag: str, flag_number: int) -> None:
    link = replace(IPVLAN, mode=mode, flag=flag)
    birth, settings = link.create()
    message = read(birth)
    assert message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "ipvlan"
    assert info_data(birth) == {1: struct.pack("=H", mode_number), 2: struct.pack("=H", flag_number)}
    assert message.get_attr("IFLA_LINK") == INDEX
    for each in (message, read(settings), read(link.update(replace(link, mtu=1500))[-1])):
        assert each.get_attr("IFLA_ADDRESS") is None  # the parent's, and ipvlan takes no other
    assert mode_names("ipvlan", mode_number, flag_number) == (mode, flag)


def test_what_the_kernel_lacks_is_named() -> None:
    for link, words in (
        (IPVLAN, "the kernel has no ipvlan: load it with modprobe ipvlan"),
        (MACVLAN, "the kernel has no macvlan"),
        (VLAN, "the kernel has no VLAN interfaces: load them with modprobe 8021q"),
        (replace(SHIM, driver="ipvlan", mode="l2", flag="bridge"), "the kernel has no ipvlan"),
    ):
        birth = link.create()[0]
        assert isinstance(birth, Netlink)
        assert dict(birth.explained)[95].startswith(words)  # EOPNOTSUPP


def test_a_mode_changes_in_place() -> None:
    change, settings = MACVLAN.update(replace(MACVLAN, mode="vepa"))
    assert info_data(change) == {1: struct.pack("=I", 4)}
    assert (filled(change).namespace, filled(change).flags) == ("shop/web", 0)
    assert read(settings).get_attr("IFLA_ADDRESS") == "02:00:00:00:00:02"
    assert len(MACVLAN.update(replace(MACVLAN, mtu=1500))) == 1
    assert "passthru" not in SubInterface.live
    assert "parent" not in SubInterface.live


def test_a_vlan_is_born_with_its_label_behind_it() -> None:
    birth, settings = VLAN.create()
    message = read(birth)
    assert (message.get_attr("IFLA_IFNAME"), message.get_attr("IFLA_LINK")) == ("enp1s0.10", INDEX)
    assert message.get_attr("IFLA_GROUP") == LINK_GROUP
    assert message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "vlan"
    assert info_data(birth) == {1: struct.pack("=H", 10)}
    second = read(settings)
    assert (second["flags"], second.get_attr("IFLA_IFALIAS")) == (1, "netapply:vlan::host:enp1s0.10::")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("eth0.10", ("eth0", 10)),
        ("eth0.4094", ("eth0", 4094)),
        ("eth0.4095", None),
        ("eth0.0", None),
        ("eth0", None),
        (".10", None),
        ("eth0.", None),
        ("bond0.10.20", ("bond0.10", 20)),
    ],
)
def test_names_of_vlans(name: str, parts: tuple[str, int] | None) -> None:
    assert vlan_of(name) == parts


def test_a_shim_and_its_routes() -> None:
    birth, first, *_, last = SHIM.create()
    assert info_data(birth) == {1: struct.pack("=I", 4)}
    assert (read(first)["flags"], read(last)["flags"]) == (0, 1)
    assert read(first).get_attr("IFLA_IFALIAS") == f"netapply:shim::shop:lan:shop_lan:{'0' * 16}"
    for destination, scope in (("192.0.2.9/32", 253), ("2001:db8::9/128", 0)):
        route = ShimRoute("shop", "shop/lan", "nm-lan-abcdef", destination)
        message = read(route.create()[0])
        assert (message["scope"], message["proto"], message["table"]) == (scope, ROUTE_PROTOCOL, 254)
        assert f"{message.get_attr('RTA_DST')}/{message['dst_len']}" == destination
        assert message.get_attr("RTA_OIF") == INDEX
        assert message.get_attr("RTA_GATEWAY") is None


@pytest.mark.parametrize(
    ("route", "near"),
    [(ROUTE, "172.18.0.0/16"), (replace(ROUTE, address="fd00::2/64", gateway="fd00::1"), "fd00::/64")],
)
def test_a_source_route_is_two_routes_and_then_a_rule(route: SourceRoute, near: str) -> None:
    first, second, rule = (read(action) for action in route.create())
    assert f"{first.get_attr('RTA_DST')}/{first['dst_len']}" == near
    assert (second.get_attr("RTA_DST"), second["dst_len"]) == (None, 0)
    assert (first.get_attr("RTA_GATEWAY"), second.get_attr("RTA_GATEWAY")) == (None, route.gateway)
    assert first.get_attr("RTA_TABLE") == second.get_attr("RTA_TABLE") == rule.get_attr("FRA_TABLE") == route.table
    assert rule.get_attr("FRA_SRC") == route.address.partition("/")[0]
    assert rule["src_len"] == (128 if ":" in route.address else 32)
    assert (rule.get_attr("FRA_PRIORITY"), rule.get_attr("FRA_PROTOCOL")) == (PRIORITY, ROUTE_PROTOCOL)
    assert rule["action"] == 1
    made = filled(route.create()[2])
    seen = decode.rule(made.body, 0, len(made.body))
    length = 128 if ":" in route.address else 32
    assert seen == (seen.family, f"{route.address.partition('/')[0]}/{length}", route.table, PRIORITY, ROUTE_PROTOCOL)
    # The rule goes before what it leads to.
    assert [filled(action).type for action in route.delete()] == [c.RTM_DELRULE, c.RTM_DELROUTE, c.RTM_DELROUTE]


def reported(kind: str, data: list[tuple[int, bytes]]) -> decode.LinkRecord:
    """A link as a dump shows it, written by hand."""
    body = encode.link_header(c.IFF_UP, index=7) + encode.text(c.IFLA_IFNAME, "eth0") + encode.u32(c.IFLA_LINK, 2)
    body += encode.u32(c.IFLA_LINK_NETNSID, 0)
    nested = b"".join(encode.attribute(number, raw) for number, raw in data)
    info = (encode.attribute(c.IFLA_INFO_KIND, kind.encode() + b"\0"), encode.nest(c.IFLA_INFO_DATA, nested))
    body += encode.nest(c.IFLA_LINKINFO, *info)
    return decode.link(body, 0, len(body))


def test_modes_are_read_back() -> None:
    macvlan = reported("macvlan", [(1, struct.pack("=I", 2)), (2, struct.pack("=H", 1))])
    assert (macvlan.kind, macvlan.mode, macvlan.peer_index, macvlan.peer_netnsid) == ("macvlan", 2, 2, 0)
    assert mode_names("macvlan", macvlan.mode, 0) == ("vepa", "")
    ipvlan = reported("ipvlan", [(1, struct.pack("=H", 1)), (2, struct.pack("=H", 2))])
    assert mode_names("ipvlan", ipvlan.mode, ipvlan.mode_flags) == ("l3", "vepa")
    assert reported("vlan", [(5, b"\x81\x00"), (1, struct.pack("=H", 10))]).mode == 10
    assert reported("veth", [(1, struct.pack("=I", 9))]).mode == 0
    assert mode_names("macvlan", 32, 0) == ("32", "")  # whatever a later kernel adds is drift, and shown


def test_they_go_through_a_snapshot() -> None:
    state = State((MACVLAN, replace(IPVLAN, container="shop/db"), SHIM, VLAN, ROUTE))
    assert state_from_document(state_to_document(state)) == state
