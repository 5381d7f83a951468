"""Texts that name addresses, subnets, MACs, hosts and interfaces, judged and brought to one form."""

from __future__ import annotations

import re
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from reconciler.manifest.faults import FormError, typographic_hint

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

LONGEST_INTERFACE_NAME = 15
"""Bytes; the kernel's IFNAMSIZ is 16 with the closing zero."""

_HOST_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_LONGEST_HOST_NAME = 253
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){4}")
_RESERVED_INTERFACES = frozenset({".", "..", "lo", "all", "default"})


def parse_address(text: str, family: int | None = None) -> Address:
    """An address, optionally of family 4 or 6 only; brackets around IPv6 are taken off.

    Raises:
        FormError: it is no such address; host names are none.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ip_address(bare)
    except (AddressValueError, ValueError):
        hint = typographic_hint(text)
        if not hint:
            hint = "write 127.0.0.1" if bare == "localhost" else "an address is needed here, not a name"
        message = f"'{text}' is not an IP address"
        raise FormError(message, hint) from None
    if "%" in bare:
        message = f"'{text}' has a scope"
        raise FormError(message, f"write {bare.partition('%')[0]}")
    if family is not None and address.version != family:
        message = f"'{text}' is an IPv{address.version} address, IPv{family} is wanted"
        raise FormError(message)
    return address


def parse_subnet(text: str) -> Subnet:
    """A subnet in CIDR form.

    Raises:
        FormError: it is none, or bits of the host part are set; the right one is named.
    """
    base, slash, length = text.partition("/")
    try:
        if not slash or not length.isdecimal():
            message = f"'{text}' has no prefix length"
            raise FormError(message, _with_length(base))
        subnet = ip_network(text, strict=False)
    except (AddressValueError, ValueError):
        message = f"'{text}' is not a subnet"
        raise FormError(message, typographic_hint(text) or "write it as 172.28.0.0/16") from None
    if ip_address(base) != subnet.network_address:
        message = f"'{text}' has host bits set"
        raise FormError(message, f"the subnet is {subnet}")
    return subnet


def parse_source(text: str) -> str:
    """A subnet that packets come from; an address is a subnet of one.

    Raises:
        FormError: it is neither.
    """
    if "/" in text:
        return str(parse_subnet(text))
    address = parse_address(text)
    return f"{address}/{address.max_prefixlen}"


def parse_mac(text: str) -> str:
    """A unicast MAC address in lower case with colons.

    Raises:
        FormError: it is none.
    """
    if not _MAC.fullmatch(text):
        message = f"'{text}' is not a MAC address"
        raise FormError(message, "write six pairs of hexadecimal digits: 02:42:ac:11:00:02")
    canonical = text.lower().replace("-", ":")
    if int(canonical[:2], 16) & 1:
        message = f"'{text}' is a multicast address, no interface can have it"
        raise FormError(message, "make the second digit even")
    if canonical == "00:00:00:00:00:00":
        message = "the MAC address of zeros means none"
        raise FormError(message)
    return canonical


def parse_host_name(text: str) -> str:
    """A host name after RFC 1123; underscores are taken too, as they are in practice.

    Raises:
        FormError: it is none.
    """
    labels = text.removesuffix(".").replace("_", "-").split(".")
    fits = len(text) <= _LONGEST_HOST_NAME and all(_HOST_LABEL.fullmatch(label.strip("-") or "-") for label in labels)
    if not fits:
        message = f"'{text}' is not a host name"
        raise FormError(message, typographic_hint(text) or "letters, digits and '-', in parts of 1 to 63")
    return text


def parse_interface_name(text: str) -> str:
    """A name that the kernel takes for an interface (``dev_valid_name``), and that is free.

    Raises:
        FormError: it does not.
    """
    length = len(text.encode())
    if not text or length > LONGEST_INTERFACE_NAME:
        message = f"interface name '{text}' has {length} bytes; 1 to {LONGEST_INTERFACE_NAME} are possible"
        raise FormError(message)
    if re.search(r"[/:%\s]", text) or not text.isprintable():
        message = f"interface name '{text}' holds a character the kernel refuses"
        raise FormError(message, "no '/', ':', '%' nor whitespace")
    if text in _RESERVED_INTERFACES:
        message = f"interface name '{text}' means something else to the kernel"
        raise FormError(message)
    return text


def _with_length(base: str) -> str:
    try:
        address = ip_address(base)
    except ValueError:
        return "write it as 172.28.0.0/16"
    return f"write {base}/{24 if address.version == 4 else 64}, or the length you mean"  # noqa: PLR2004  # the family
