"""What we send and how we read, with pyroute2 as oracle for both."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from reconciler.actions import HOST, Action, Netlink
from reconciler.naming import LINK_GROUP, ROUTE_PROTOCOL
from reconciler.netlink import constants as c
from reconciler.netlink import decode, encode
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.route import Route

INDEX, DESCRIPTOR = 0x01020304, 77
_CLASSES = {16: ifinfmsg, 17: ifinfmsg, 20: ifaddrmsg, 21: ifaddrmsg, 24: rtmsg, 25: rtmsg}

BRIDGE = Bridge("shop", "shop/front", "shop_front", "na-front-abcdef", "02:00:00:00:00:01", "0" * 16, mtu=1400)
ENDPOINT = Endpoint(
    "shop",
    "shop/web",
    "eth0",
    "nv-web-abcdef",
    "shop_front",
    "na-front-abcdef",
    "02:00:00:00:00:02",
    "0" * 16,
    mtu=1400,
)


def sent(action: Action) -> Any:
    """The message as the executor sends it, read by pyroute2."""
    assert isinstance(action, Netlink)
    body = action.body
    for offset, _ in action.fixups:
        assert body[offset : offset + 4] == bytes(4)
        body = encode.patched(body, offset, INDEX)
    if action.peer_namespace:
        body = encode.patched(body, action.peer_namespace[0], DESCRIPTOR)
    message = _CLASSES[action.type](encode.message(action.type, action.flags, 9, body))
    message.decode()
    assert (message["header"]["type"], message["header"]["sequence_number"]) == (action.type, 9)
    assert message["header"]["length"] == len(body) + 16
    return message


def netlink(actions: Iterable[Action]) -> list[Any]:
    return [sent(action) for action in actions if isinstance(action, Netlink)]


def test_a_bridge_is_born_named_grouped_and_addressed() -> None:
    born, named, settings = netlink(BRIDGE.create())
    assert born["header"]["flags"] == c.NLM_F_CREATE | c.NLM_F_EXCL
    assert (born.get("ifname"), born.get("group")) == ("na-front-abcdef", LINK_GROUP)
    assert born.get("address") == "02:00:00:00:00:01"
    assert born.get(("linkinfo", "kind")) == "bridge"
    assert born.get(("linkinfo", "data", "br_nf_call_iptables")) == 0
    assert {message.get("ifalias") for message in (named, settings)} == {str(BRIDGE.label)}
    assert (settings.get("mtu"), settings["flags"] & 1, settings["change"]) == (1400, 1, 1)


@pytest.mark.parametrize("calls", [True, False])
def test_a_bridge_gets_its_calls(calls: bool) -> None:
    one = Bridge(BRIDGE.owner, BRIDGE.network, "n", "na-x", BRIDGE.mac, "", nf_call=calls)
    other = Bridge(BRIDGE.owner, BRIDGE.network, "n", "na-x", BRIDGE.mac, "", nf_call=not calls)
    message = netlink(one.update(other))[0]
    data = message.get(("linkinfo", "data"))
    assert (data.get("br_nf_call_iptables"), data.get("br_nf_call_ip6tables")) == (calls, calls)


def test_a_veth_pair_is_born_in_its_places() -> None:
    born, host_side, inside = netlink(ENDPOINT.create())
    assert (born.get("ifname"), born.get("master"), born.get("group")) == ("nv-web-abcdef", INDEX, LINK_GROUP)
    assert (born.get("mtu"), born["flags"] & 1) == (1400, 1)
    assert born.get(("linkinfo", "kind")) == "veth"
    peer = born.get(("linkinfo", "data")).get_attr("VETH_INFO_PEER")
    assert (peer.get("ifname"), peer.get("group"), peer.get("mtu")) == ("eth0", LINK_GROUP, 1400)
    assert (peer.get("address"), peer.get("net_ns_fd")) == ("02:00:00:00:00:02", DESCRIPTOR)
    assert peer["flags"] == 0
    assert host_side.get("ifalias") == str(ENDPOINT.label)
    assert host_side.get("master") is None
    assert host_side.get(("linkinfo", "slave_kind")) == "bridge"
    assert (inside.get("ifname"), inside["flags"] & 1) == ("eth0", 1)
    (_, _, last) = ENDPOINT.create()
    assert isinstance(last, Netlink)
    assert last.namespace == "shop/web"


def test_a_veth_is_attached_again() -> None:
    loose = Endpoint("shop", "shop/web", "eth0", "nv-web-abcdef", "shop_front", "", ENDPOINT.mac, "0" * 16, mtu=1400)
    message, port = netlink(ENDPOINT.update(loose))
    assert (message.get("ifname"), message.get("master")) == ("nv-web-abcdef", INDEX)
    assert port.get("master") is None
    down = Endpoint("shop", "shop/web", "eth0", "nv-web-abcdef", "n", "na-x", "02:00:00:00:00:09", "", up=False)
    inside = netlink(ENDPOINT.update(down))[-1]
    assert (inside.get("address"), inside.get("mtu"), inside["flags"] & 1) == (ENDPOINT.mac, 1400, 1)


def test_links_are_removed_by_name() -> None:
    half = Endpoint("shop", "shop/web", "eth0", "", "", "", "", "")
    gone = [*BRIDGE.delete(), *ENDPOINT.delete(), *half.delete()]
    assert [(each.get("ifname"), each["index"]) for each in netlink(gone)] == [
        ("na-front-abcdef", 0), ("nv-web-abcdef", 0), ("eth0", 0),
    ]  # fmt: skip
    assert [each.namespace for each in gone if isinstance(each, Netlink)] == [HOST, HOST, "shop/web"]


@given(st.ip_addresses(), st.data())
def test_an_address_is_written_as_pyroute2_reads_it(address: Any, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, 128 if address.version == 6 else 32))
    resource = Address("shop", "shop/web", "shop/web", "eth0", f"{address}/{length}")
    for message in netlink((*resource.create(), *resource.delete())):
        assert (message["family"], message["prefixlen"]) == ({4: 2, 6: 10}[address.version], length)
        assert message["index"] == INDEX
        assert ip_address(message.get("address")) == address
        assert message.get("flags", 0) == (c.IFA_F_NODAD if address.version == 6 else 0)
        assert address.version == 6 or message.get("local") == str(address)


@given(st.sampled_from(["0.0.0.0/0", "10.1.0.0/16", "::/0", "fd00::/8"]), st.integers(0, 2**32 - 1), st.booleans())
def test_a_route_is_written_as_pyroute2_reads_it(destination: str, metric: int, gateway: bool) -> None:
    version6 = ":" in destination
    via = ("fe80::1" if version6 else "10.9.9.1") if gateway else ""
    resource = Route("shop", "shop/web", destination, via, "eth0", metric)
    base, _, length = destination.partition("/")
    for message in netlink((*resource.create(), *resource.delete())):
        assert (message["dst_len"], message["proto"], message["table"]) == (int(length), ROUTE_PROTOCOL, 254)
        assert message["type"] == c.RTN_UNICAST
        assert message.get("dst", "") == (base if int(length) else "")
        assert message.get("gateway", "") == via
        assert (message.get("priority", 0) or 0) == metric
        assert message.get("oif") == INDEX
    _, removal = netlink((*resource.create(), *resource.delete()))
    assert removal["scope"] == 255


def body(message: Any) -> tuple[bytes, int, int]:
    """A message encoded by pyroute2: data, start and end of its body."""
    message.encode()
    data = bytes(message.data)
    ((_, _, _, start, end),) = decode.messages(data)
    return data, start, end


macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))


@given(
    st.integers(1, 2**31 - 1),
    st.text("abcé-", min_size=1, max_size=6),
    macs,
    st.integers(68, 65535),
    st.booleans(),
    st.text(max_size=40).filter(lambda text: "\0" not in text),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["bridge", "veth", "dummy"]),
    st.integers(0, 2**31 - 1),
)
def test_a_link_is_read_as_pyroute2_writes_it(
    index: int, name: str, mac: str, mtu: int, up: bool, alias: str, group: int, kind: str, other: int
) -> None:  # fmt: skip
    message = ifinfmsg()
    message["index"], message["flags"] = index, int(up)
    message["header"]["type"] = 16
    message["attrs"] = [
        ("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), ("IFLA_MTU", mtu), ("IFLA_GROUP", group), ("IFLA_IFALIAS", alias),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind)]}), ("IFLA_MASTER", other), ("IFLA_LINK", other),
    ]  # fmt: skip
    found = decode.link(*body(message))
    assert found[:8] == (index, name, up, mac, mtu, alias, group, kind)
    assert (found.master_index, found.peer_index, found.peer_netnsid) == (other, other, -1)
    assert (found.hairpin, found.nf_call, found.route_localnet, found.ipv6) == (False, False, False, False)


@given(st.ip_addresses(), st.data(), st.sampled_from([0, 253, 254]))
def test_an_address_is_read_as_pyroute2_writes_it(address: Any, data: st.DataObject, scope: int) -> None:
    length = data.draw(st.integers(0, 128 if address.version == 6 else 32))
    message = ifaddrmsg()
    message["family"], message["prefixlen"] = {4: 2, 6: 10}[address.version], length
    message["index"], message["scope"] = 7, scope
    # On a point-to-point link IFA_ADDRESS is the other end, and only IFA_LOCAL is ours.
    message["attrs"] = [("IFA_ADDRESS", "10.0.0.9"), ("IFA_LOCAL", str(address))] if address.version == 4 else [
        ("IFA_ADDRESS", str(address))
    ]  # fmt: skip
    protocol = data.draw(st.sampled_from([0, 110]))
    message["attrs"] += [("IFA_PROTO", protocol)] * bool(protocol)
    assert decode.address(*body(message)) == (7, message["family"], f"{address}/{length}", scope, protocol)


@given(
    st.sampled_from([(2, "10.1.0.0", 16, "10.9.0.1"), (10, "fd00::", 8, "fe80::1"), (2, "", 0, ""), (10, "", 0, "")]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 254, 300, 70_000]),
)
def test_a_route_is_read_as_pyroute2_writes_it(route: tuple[int, str, int, str], metric: int, table: int) -> None:
    family, destination, length, gateway = route
    message = rtmsg()
    message["family"], message["dst_len"], message["proto"], message["type"] = family, length, 110, 1
    message["table"] = table if table < 256 else 252
    attributes = {
        "RTA_DST": destination,
        "RTA_GATEWAY": gateway,
        "RTA_OIF": 5,
        "RTA_PRIORITY": metric,
        "RTA_TABLE": table,
    }
    message["attrs"] = [(name, value) for name, value in attributes.items() if value]
    wanted = f"{destination or ('::' if family == 10 else '0.0.0.0')}/{length}"
    assert decode.route(*body(message)) == (family, wanted, gateway, 5, metric, 110, 1, table)


@given(st.lists(st.tuples(st.integers(16, 25), st.integers(0, 2**32 - 1), st.binary(max_size=40)), max_size=5))
def test_messages_of_one_datagram_are_told_apart(parts: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(encode.message(kind, 5, sequence, content) for kind, sequence, content in parts)
    found = [(kind, sequence, data[start:end]) for kind, _, sequence, start, end in decode.messages(data)]
    assert found == parts


@given(st.binary(max_size=80), st.sampled_from([decode.link, decode.address, decode.route]))
def test_damaged_messages_end_in_a_record_or_a_known_error(data: bytes, read: Any) -> None:
    list(decode.messages(data))
    decode.attributes(data, 0, len(data))
    with contextlib.suppress(struct.error, IndexError, KeyError, ValueError):
        read(data, 0, len(data))
