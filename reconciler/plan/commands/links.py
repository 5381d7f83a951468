"""rtnetlink requests on links as lines of ``ip link``, and as sysctls where ``ip`` has no word for a setting.

Read from the very bytes that would be sent, so that no line can say anything else than what is done.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.actions import Netlink
from reconciler.netlink import constants as c
from reconciler.netlink.decode import attributes
from reconciler.netlink.sub_interface_kinds import mode_names
from reconciler.plan.commands.place import Place
from reconciler.plan.commands.words import line, remark

_IFINFO = struct.Struct("=BxHiII")
_U32 = struct.Struct("=I")
_STATES = {True: "up", False: "down"}
_ON = {True: "on", False: "off"}
_ADDRESS_MODES = {0: "eui64", 1: "none"}
_SYSCTLS = {
    c.IPV4_DEVCONF_ARP_NOTIFY: "arp_notify",
    c.IPV4_DEVCONF_PROMOTE_SECONDARIES: "promote_secondaries",
    c.IPV4_DEVCONF_ROUTE_LOCALNET: "route_localnet",
}

Settings = dict[str, str]
"""Words of ``ip link`` with their values, in the order in which they are written."""


class Request(NamedTuple):
    """A part of a request: its bytes, and the names of interfaces and namespaces that stand at offsets in it."""

    data: bytes
    start: int
    end: int
    names: dict[int, str]

    def parts(self) -> dict[int, Request]:
        """What it nests, by type."""
        found = attributes(self.data, self.start, self.end)
        return {kind: self._replace(start=start, end=end) for kind, (start, end) in found.items()}

    @property
    def raw(self) -> bytes:
        return self.data[self.start : self.end]

    @property
    def number(self) -> int:
        """Of any width."""
        return int.from_bytes(self.raw, "little" if _U32.pack(1)[0] else "big")

    @property
    def text(self) -> str:
        return self.raw.rstrip(b"\0").decode()

    @property
    def name(self) -> str:
        """The interface or namespace whose number is filled in here; empty: none, which is number 0."""
        return self.names.get(self.start, "")


@dataclass(slots=True)
class Link:
    """What a request says of one link. ``unknown`` are settings that nothing here has a word for."""

    name: str = ""
    parent: str = ""
    settings: Settings = field(default_factory=dict)
    kind: str = ""
    options: list[str] = field(default_factory=list)
    port: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


class LinkLines:
    """The lines for the requests of one change; what was said of a link once is not said again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._said: dict[tuple[str, str], Settings] = {}

    def lines(self, request: Netlink) -> Iterator[str]:
        """Those of one request: RTM_NEWLINK or RTM_DELLINK."""
        link = self._read(request)
        if request.type == c.RTM_DELLINK:
            yield self._ip(request, "delete", "dev", link.name)
            return
        said = self._said.setdefault((request.namespace, link.name), {})
        if request.flags & c.NLM_F_CREATE:
            said.update({"state": "down"} | link.settings)
            yield self._ip(request, "add", *_parent(link), "name", link.name, *_words(link.settings), *_type(link))
        else:
            yield from self._changes(request, link, said)
        for name, value in link.sysctls.items():
            if said.get(name) != value:
                said[name] = value
                yield line(*self._place.setting(request.namespace, f"net/ipv4/conf/{link.name}/{name}", value))
        for each in link.unknown:
            yield remark(f"{link.name}: {each}, which ip has no word for")

    def _changes(self, request: Netlink, link: Link, said: Settings) -> Iterator[str]:
        fresh = {key: value for key, value in link.settings.items() if said.get(key) != value}
        said.update(fresh)
        if link.options:
            yield self._ip(request, "set", "dev", link.name, *_type(link))
        if fresh:
            yield self._ip(request, "set", "dev", link.name, *_words(fresh))
        if link.port:
            yield self._ip(request, "set", "dev", link.name, "type", "bridge_slave", *link.port)

    def _ip(self, request: Netlink, *words: str) -> str:
        return line(*self._place.ip(request.namespace, "link", *words))

    def _read(self, request: Netlink) -> Link:
        names = dict(request.fixups)
        if request.peer_namespace:
            offset, namespace = request.peer_namespace
            names[offset] = self._place.name(namespace) or self._place.namespace_path(namespace)
        return read(Request(request.body, 0, len(request.body), names))


def read(request: Request) -> Link:
    """What an ifinfomsg and the attributes behind it say."""
    link = Link()
    _, _, _, flags, change = _IFINFO.unpack_from(request.data, request.start)
    body = request._replace(start=request.start + _IFINFO.size)
    for kind, part in sorted(body.parts().items(), key=_reading_order):
        reader = _READERS.get(kind)
        if reader:
            reader(link, part)
        else:
            link.unknown.append(f"attribute {kind} is {part.raw.hex()}")
    if change & c.IFF_UP:
        link.settings["state"] = _STATES[bool(flags & c.IFF_UP)]
    return link


def _reading_order(item: tuple[int, Request]) -> int:
    return _ORDER.index(item[0]) if item[0] in _ORDER else len(_ORDER)


def _parent(link: Link) -> list[str]:
    return ["link", link.parent] if link.parent else []


def _type(link: Link) -> list[str]:
    return ["type", link.kind, *link.options] if link.kind else []


def _words(settings: Settings) -> list[str]:
    words: list[str] = []
    for key, value in settings.items():
        if key == "state":
            words.append(value)
        elif key == "master" and not value:
            words.append("nomaster")
        else:
            words += [key, value]
    return words


def _name(link: Link, part: Request) -> None:
    link.name = part.text


def _link(link: Link, part: Request) -> None:
    link.parent = part.name


def _setting(word: str, value: Callable[[Request], str]) -> Callable[[Link, Request], None]:
    def read_setting(link: Link, part: Request) -> None:
        link.settings[word] = value(part)

    return read_setting


def _families(link: Link, part: Request) -> None:
    families = part.parts()
    inet, inet6 = families.pop(c.AF_INET, None), families.pop(c.AF_INET6, None)
    if inet:
        for number, value in inet.parts()[c.IFLA_INET_CONF].parts().items():
            link.sysctls[_SYSCTLS[number]] = str(value.number)
    if inet6:
        mode = inet6.parts()[c.IFLA_INET6_ADDR_GEN_MODE].number
        link.settings["addrgenmode"] = _ADDRESS_MODES[mode]
    link.unknown += [f"settings of address family {family}" for family in families]


_PORT_WORDS = {
    c.IFLA_BRPORT_MODE: "hairpin",
    c.IFLA_BRPORT_LEARNING: "learning",
    c.IFLA_BRPORT_UNICAST_FLOOD: "flood",
    c.IFLA_BRPORT_MCAST_FLOOD: "mcast_flood",
    c.IFLA_BRPORT_BCAST_FLOOD: "bcast_flood",
    c.IFLA_BRPORT_ISOLATED: "isolated",
}


def _information(link: Link, part: Request) -> None:
    parts = part.parts()
    link.kind = parts[c.IFLA_INFO_KIND].text if c.IFLA_INFO_KIND in parts else ""
    data = parts.get(c.IFLA_INFO_DATA)
    if data:
        reader = _OPTIONS.get(link.kind)
        if reader:
            reader(link, data)
        else:
            link.unknown.append(f"options of type {link.kind}")
    port = parts.get(c.IFLA_INFO_SLAVE_DATA)
    if port:
        for number, value in port.parts().items():
            if number in _PORT_WORDS:
                link.port += [_PORT_WORDS[number], _ON[bool(value.number)]]
            else:
                link.unknown.append(f"attribute {number} of a bridge's port")


def _bridge(link: Link, data: Request) -> None:
    words = {c.IFLA_BR_NF_CALL_IPTABLES: "nf_call_iptables", c.IFLA_BR_NF_CALL_IP6TABLES: "nf_call_ip6tables"}
    for number, value in data.parts().items():
        link.options += [words[number], str(value.number)]


def _veth(link: Link, data: Request) -> None:
    peer = read(data.parts()[c.VETH_INFO_PEER])
    link.options += ["peer", "name", peer.name, *_words(peer.settings)]
    link.unknown += [f"at the other end, {each}" for each in peer.unknown]


def _macvlan(link: Link, data: Request) -> None:
    mode, _ = mode_names("macvlan", data.parts()[c.IFLA_MACVLAN_MODE].number, 0)
    link.options += ["mode", mode]


def _ipvlan(link: Link, data: Request) -> None:
    parts = data.parts()
    mode, flag = mode_names("ipvlan", parts[c.IFLA_IPVLAN_MODE].number, parts[c.IFLA_IPVLAN_FLAGS].number)
    link.options += ["mode", mode, flag]


def _vlan(link: Link, data: Request) -> None:
    link.options += ["id", str(data.parts()[c.IFLA_VLAN_ID].number)]


_OPTIONS: dict[str, Callable[[Link, Request], None]] = {
    "bridge": _bridge,
    "veth": _veth,
    "macvlan": _macvlan,
    "ipvlan": _ipvlan,
    "vlan": _vlan,
}
"""What the options of each type of link are in the words of ``ip``."""

_READERS: dict[int, Callable[[Link, Request], None]] = {
    c.IFLA_IFNAME: _name,
    c.IFLA_LINK: _link,
    c.IFLA_GROUP: _setting("group", lambda part: str(part.number)),
    c.IFLA_ADDRESS: _setting("address", lambda part: part.raw.hex(":")),
    c.IFLA_MTU: _setting("mtu", lambda part: str(part.number)),
    c.IFLA_MASTER: _setting("master", lambda part: part.name),
    c.IFLA_NET_NS_FD: _setting("netns", lambda part: part.name),
    c.IFLA_IFALIAS: _setting("alias", lambda part: part.text),
    c.IFLA_AF_SPEC: _families,
    c.IFLA_LINKINFO: _information,
}
_ORDER = list(_READERS)
