"""``driver_opts`` of the networks on an interface of the host: macvlan and ipvlan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.manifest.addresses import parse_interface_name
from reconciler.manifest.faults import FormError
from reconciler.manifest.model import ParentOptions
from reconciler.manifest.options import SWITCHES, NetworkOptions, Note, parse_flag, parse_mtu, parse_prefix, unknown

MACVLAN_MODES = ("bridge", "private", "vepa", "passthru")
IPVLAN_MODES = ("l2", "l3", "l3s")
IPVLAN_FLAGS = ("bridge", "private", "vepa")
_HIGHEST_VLAN = 4094
"""IEEE 802.1Q: 0 and 4095 are reserved."""


def _parent(text: str) -> str:
    parse_interface_name(text)
    vlan = text.rpartition(".")[2] if "." in text else ""
    if vlan.isdecimal() and not 1 <= int(vlan) <= _HIGHEST_VLAN:
        message = f"'{text}' names VLAN {vlan}"
        raise FormError(message, f"a VLAN has a number from 1 to {_HIGHEST_VLAN}")
    return text


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            message = f"'{text}' is not possible here"
            raise FormError(message, f"one of {', '.join(words)}", near=(text, words))
        return text

    return parse


_COMMON: dict[str, tuple[str, Callable[[str], Any]]] = {
    "parent": ("parent", _parent),
    "com.docker.network.driver.mtu": ("mtu", parse_mtu),
    "com.docker.network.container_iface_prefix": ("interface_prefix", parse_prefix),
}
_OF_DRIVER = {
    "macvlan": {**_COMMON, "macvlan_mode": ("mode", _one_of(MACVLAN_MODES))},
    "ipvlan": {
        **_COMMON,
        "ipvlan_mode": ("mode", _one_of(IPVLAN_MODES)),
        "ipvlan_flag": ("flag", _one_of(IPVLAN_FLAGS)),
    },
}
PARENT_FIELDS = {
    driver: {option: attribute for option, (attribute, _) in options.items()} for driver, options in _OF_DRIVER.items()
}
"""Each option of these drivers with the field of `ParentOptions` that carries it."""


def parse_parent_options(
    driver: str, options: Mapping[str, str | None], note: Note
) -> tuple[ParentOptions, NetworkOptions]:
    """The options of a macvlan or ipvlan network; ``note`` is told every unknown one and every bad value."""
    known = _OF_DRIVER[driver]
    result, switches = ParentOptions(), NetworkOptions()
    for name, value in options.items():
        try:
            if name in known:
                attribute, parse = known[name]
                result = replace(result, **{attribute: parse(value or "")})
            elif name in SWITCHES:
                switch: dict[str, Any] = {SWITCHES[name]: parse_flag(value or "")}
                switches = replace(switches, **switch)
            else:
                note(name, unknown(name, f"driver {driver}", {*known, *SWITCHES}))
        except FormError as error:
            note(name, error)
    return result, switches
