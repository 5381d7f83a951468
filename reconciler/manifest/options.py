"""``driver_opts``: the options of Docker's bridge driver, and those of an endpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.manifest.addresses import parse_address, parse_interface_name
from reconciler.manifest.faults import FormError
from reconciler.manifest.model import BridgeOptions

GATEWAY_MODES = ("nat", "nat-unprotected", "routed", "isolated")
LOWEST_MTU = 68
"""The least that IPv4 works with (RFC 791); IPv6 wants 1280 (RFC 8200)."""
HIGHEST_MTU = 65535
_LONGEST_PREFIX = 11

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SYSCTL = re.compile(r"[a-zA-Z0-9_-]+(?:[./][a-zA-Z0-9_-]+)+")
_SPACED_PAIR = re.compile(rf"({_SYSCTL.pattern})(?: ?:|\s)\s*([^\s:=]+)")
"""A name and its value with something else than ``=`` between them."""


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What the options of a network say. ``enable_ipv4``, ``enable_ipv6``: the old form of the keys."""

    bridge: BridgeOptions = field(default_factory=BridgeOptions)
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """What the options of a container's place on a network say."""

    sysctls: tuple[tuple[str, str], ...] = ()
    interface_name: str | None = None
    unused: tuple[str, ...] = ()


def parse_flag(text: str) -> bool:
    """A bool as Docker's options have it (Go's ``strconv.ParseBool``).

    Raises:
        FormError: it is none.
    """
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    message = f"'{text}' is neither true nor false"
    raise FormError(message)


def parse_mtu(text: str) -> int:
    """A number of bytes.

    Raises:
        FormError: it is none that a link can have.
    """
    if not text.isascii() or not text.isdecimal() or not LOWEST_MTU <= int(text[:9]) <= HIGHEST_MTU:
        message = f"'{text}' is not an MTU"
        raise FormError(message, f"a number of bytes from {LOWEST_MTU} to {HIGHEST_MTU}")
    return int(text)


def _mode(text: str) -> str:
    if text not in GATEWAY_MODES:
        message = f"'{text}' is not a gateway mode"
        raise FormError(message, f"one of {', '.join(GATEWAY_MODES)}", near=(text, GATEWAY_MODES))
    return text


def _interfaces(text: str) -> tuple[str, ...]:
    return tuple(parse_interface_name(name) for name in text.split(":") if name)


def parse_prefix(text: str) -> str:
    """What the names of interfaces begin with.

    Raises:
        FormError: it leaves no room for a number, or the kernel refuses it.
    """
    if len(text) > _LONGEST_PREFIX:
        message = f"interface prefix '{text}' leaves no room for a number"
        raise FormError(message, f"at most {_LONGEST_PREFIX} characters")
    return parse_interface_name(text + "0")[:-1]


def _address4(text: str) -> str:
    return str(parse_address(text, 4))


def _address6(text: str) -> str:
    return str(parse_address(text, 6))


_BRIDGE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "com.docker.network.bridge.name": ("bridge_name", parse_interface_name),
    "com.docker.network.bridge.enable_ip_masquerade": ("masquerade", parse_flag),
    "com.docker.network.bridge.enable_icc": ("icc", parse_flag),
    "com.docker.network.bridge.host_binding_ipv4": ("host_binding_ipv4", _address4),
    "com.docker.network.bridge.gateway_mode_ipv4": ("gateway_mode_ipv4", _mode),
    "com.docker.network.bridge.gateway_mode_ipv6": ("gateway_mode_ipv6", _mode),
    "com.docker.network.bridge.inhibit_ipv4": ("inhibit_ipv4", parse_flag),
    "com.docker.network.bridge.trusted_host_interfaces": ("trusted_host_interfaces", _interfaces),
    "com.docker.network.driver.mtu": ("mtu", parse_mtu),
    "com.docker.network.container_iface_prefix": ("interface_prefix", parse_prefix),
    "com.docker.network.host_ipv4": ("snat_ipv4", _address4),
    "com.docker.network.host_ipv6": ("snat_ipv6", _address6),
}
BRIDGE_FIELDS = {option: attribute for option, (attribute, _) in _BRIDGE.items()}
"""Each option of the bridge driver with the field of `BridgeOptions` that carries it."""

SWITCHES = {
    "com.docker.network.enable_ipv4": "enable_ipv4",
    "com.docker.network.enable_ipv6": "enable_ipv6",
}
"""The old form of two of a network's keys."""
_DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge"
ENDPOINT_SYSCTLS = "com.docker.network.endpoint.sysctls"
_INTERFACE = "com.docker.network.endpoint.ifname"
_UNUSED_ENDPOINT = frozenset({"com.docker.network.advertise_addr_nmsgs", "com.docker.network.advertise_addr_ms"})


def _not_default_bridge(text: str) -> None:
    if parse_flag(text):
        message = f"{_DEFAULT_BRIDGE} marks Docker's own docker0"
        raise FormError(message, "remove it")


def unknown(name: str, owner: str, known: set[str]) -> FormError:
    """What to say of an option that there is not; its last word says more of what is meant than those before it."""
    last = name.rpartition(".")[2]
    same = next((each for each in sorted(known) if each.rpartition(".")[2] == last), "")
    hint = f"did you mean '{same}'?" if same else ""
    return FormError(f"unknown option '{name}' of {owner}", hint, near=None if same else (name, known))


Note = Callable[[str, FormError], None]
"""Told the option's name and what is wrong with it."""


def parse_bridge_options(options: Mapping[str, str | None], note: Note) -> NetworkOptions:
    """The options of a bridge network; ``note`` is told every unknown one and every bad value."""
    result = NetworkOptions()
    for name, value in options.items():
        try:
            if name in _BRIDGE:
                attribute, parse = _BRIDGE[name]
                result = replace(result, bridge=replace(result.bridge, **{attribute: parse(value or "")}))
            elif name in SWITCHES:
                switch: dict[str, Any] = {SWITCHES[name]: parse_flag(value or "")}
                result = replace(result, **switch)
            elif name == _DEFAULT_BRIDGE:
                _not_default_bridge(value or "")
            else:
                note(name, unknown(name, "driver bridge", {*_BRIDGE, *SWITCHES}))
        except FormError as error:
            note(name, error)
    return result


def parse_endpoint_options(options: Mapping[str, str | None], note: Note) -> EndpointOptions:
    """The options of a container's place on a network; ``note`` as in `parse_bridge_options`."""
    result = EndpointOptions()
    for name, value in options.items():
        try:
            if name == ENDPOINT_SYSCTLS:
                result = replace(result, sysctls=_endpoint_sysctls(value or ""))
            elif name == _INTERFACE:
                result = replace(result, interface_name=parse_interface_name(value or ""))
            elif name in _UNUSED_ENDPOINT:
                result = replace(result, unused=(*result.unused, name))
            else:
                note(name, unknown(name, "an endpoint", {ENDPOINT_SYSCTLS, _INTERFACE, *_UNUSED_ENDPOINT}))
        except FormError as error:
            note(name, error)
    return result


def parse_sysctl_name(text: str) -> str:
    """A kernel setting's name with dots; it cannot leave /proc/sys.

    Raises:
        FormError: it is no such name.
    """
    if not _SYSCTL.fullmatch(text):
        message = f"'{text}' is not the name of a kernel setting"
        pair = _SPACED_PAIR.fullmatch(text)
        raise FormError(message, f"write {pair[1]}={pair[2]}" if pair else "write it as net.ipv4.ip_forward")
    return text.replace("/", ".") if "." not in text else text


def _endpoint_sysctls(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or "IFNAME" not in re.split("[./]", name) or not name.startswith("net"):
            message = f"'{part}' is not a setting of the interface"
            raise FormError(message, "write it as net.ipv4.conf.IFNAME.log_martians=1")
        pairs.append((parse_sysctl_name(name), value))
    return tuple(dict(pairs).items())
