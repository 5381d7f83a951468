"""The kinds of link that stand on a parent interface, as the kernel numbers them (uapi linux/if_link.h)."""

from __future__ import annotations

from reconciler.netlink import constants as c
from reconciler.netlink.encode import attribute, nest, u16, u32

_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8, "source": 16}
_IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
_IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}

SUB_INTERFACE_KINDS = frozenset({"macvlan", "ipvlan"})
"""Drivers, and kinds of link, that put a container's interface on a parent of the host's."""


def link_info(driver: str, mode: str, flag: str) -> bytes:
    """IFLA_LINKINFO of a macvlan (``flag`` is empty) or ipvlan link."""
    if driver == "macvlan":
        data = u32(c.IFLA_MACVLAN_MODE, _MACVLAN_MODES[mode])
    else:
        data = u16(c.IFLA_IPVLAN_MODE, _IPVLAN_MODES[mode]) + u16(c.IFLA_IPVLAN_FLAGS, _IPVLAN_FLAGS[flag])
    return nest(c.IFLA_LINKINFO, _kind(driver), nest(c.IFLA_INFO_DATA, data))


def vlan_info(number: int) -> bytes:
    """IFLA_LINKINFO of a VLAN sub-interface (802.1Q) with that number."""
    return nest(c.IFLA_LINKINFO, _kind("vlan"), nest(c.IFLA_INFO_DATA, u16(c.IFLA_VLAN_ID, number)))


def mode_names(driver: str, mode: int, flags: int) -> tuple[str, str]:
    """Mode and flag in words, from what the kernel reports; a number that has no word stands as such."""
    if driver == "macvlan":
        return _word(_MACVLAN_MODES, mode), ""
    return _word(_IPVLAN_MODES, mode), _word(_IPVLAN_FLAGS, flags)


def _word(words: dict[str, int], number: int) -> str:
    return next((word for word, value in words.items() if value == number), str(number))


def _kind(name: str) -> bytes:
    return attribute(c.IFLA_INFO_KIND, name.encode() + b"\0")
