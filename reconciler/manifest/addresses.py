"""Texts that name addresses, subnets, MACs, hosts and interfaces, judged and brought to one form."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING

from reconciler.manifest.faults import FormError, typographic_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

LONGEST_INTERFACE_NAME = 15
"""Bytes; the kernel's IFNAMSIZ is 16 with the closing zero."""

_HOST_LABEL = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?")
_LONGEST_HOST_NAME = 253
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){4}")
_WITH_PORT = re.compile(r"\[([^]]+)\]:[0-9]+|([0-9.]+):[0-9]+")
_DOTTED = re.compile(r"[0-9.]+")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F:.]+")
_SPECIAL: tuple[tuple[Subnet, str], ...] = tuple(
    (ip_network(text), what)
    for text, what in (
        ("0.0.0.0/8", "addresses that mean the host itself"),
        ("127.0.0.0/8", "loopback addresses"),
        ("224.0.0.0/4", "multicast addresses"),
        ("240.0.0.0/4", "reserved addresses"),
        ("::/127", "the unspecified and the loopback address"),
        ("fe80::/10", "link-local addresses"),
        ("ff00::/8", "multicast addresses"),
    )
)
"""What no network's subnet may hold (RFC 6890, RFC 4291): every link has it already, or none can."""
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
        message = f"'{text}' is not an IP address"
        raise FormError(message, typographic_hint(text) or _instead_of_address(bare)) from None
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
            if span := _subnet_of_span(text):
                message = f"'{text}' is a range of addresses, not a subnet"
                raise FormError(message, f"the smallest subnet that holds it is {span}")
            message = f"'{text}' has no prefix length"
            raise FormError(message, _from_netmask(text) or _with_length(base))
        subnet = ip_network(text, strict=False)
    except (AddressValueError, ValueError):
        message = f"'{text}' is not a subnet"
        raise FormError(
            message, typographic_hint(text) or "write it as ADDRESS/LENGTH, such as 172.28.0.0/16"
        ) from None
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
    labels = text.removesuffix(".").split(".")
    if len(text) > _LONGEST_HOST_NAME or not all(map(_HOST_LABEL.fullmatch, labels)):
        message = f"'{text}' is not a host name"
        hint = "letters, digits and '-', which is neither first nor last, in parts of 1 to 63"
        raise FormError(message, typographic_hint(text) or hint)
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


def why_no_subnet(subnet: Subnet) -> str:
    """Why no network can have the subnet: the other sort of addresses that it holds; nothing where it can."""
    for special, what in _SPECIAL:
        if subnet.version == special.version and subnet.overlaps(special):
            return f"{what} ({special})"
    return ""


def subnet_around(texts: Iterable[str | None]) -> str:
    """An example of a subnet that holds these addresses and subnets, but for those that are of another family."""
    parts: list[Subnet] = []
    for text in filter(None, texts):
        with suppress(ValueError):
            parts.append(ip_network(text, strict=False))
    if not parts:
        return "172.28.0.0/16"
    longest = 24 if parts[0].version == 4 else 64  # noqa: PLR2004  # the family
    return str(_around([each for each in parts if each.version == parts[0].version], longest))


def _around(parts: Sequence[Subnet], longest: int) -> Subnet:
    """The smallest subnet that holds all ``parts``, of one family, with a prefix of ``longest`` bits at most."""
    first = min(int(part.network_address) for part in parts)
    last = max(int(part.broadcast_address) for part in parts)
    length = min(longest, parts[0].max_prefixlen - (first ^ last).bit_length())
    return type(parts[0])((first, length), strict=False)


def _subnet_of_span(text: str) -> Subnet | None:
    """The subnet that was meant by ``FIRST-LAST``, the last one also by its last number alone; None for other texts."""
    first_text, _, last_text = (part.strip() for part in text.partition("-"))
    if last_text.isdecimal():
        last_text = f"{first_text.rpartition('.')[0]}.{last_text}"
    try:
        first, last = ip_network(first_text), ip_network(last_text)
    except ValueError:
        return None
    is_span = first.version == last.version and int(first.network_address) <= int(last.network_address)
    return _around([first, last], first.max_prefixlen) if is_span else None


def _instead_of_address(text: str) -> str:
    """What is meant by a text that is no address."""
    if text == "localhost":
        return "write 127.0.0.1"
    address, slash, length = text.partition("/")
    if slash and length.isdecimal() and _is_address(address):
        return f"write it without the prefix length: {address}"
    bracketed = _WITH_PORT.fullmatch(text)
    if bracketed and _is_address(bracketed[1] or bracketed[2]):
        return f"write it without the port: {bracketed[1] or bracketed[2]}"
    if _DOTTED.fullmatch(text):
        return "an IPv4 address is four numbers from 0 to 255, without leading zeros"
    if _HEXADECIMAL.fullmatch(text) and text.count(":") > 1:
        return "an IPv6 address is eight groups of four hexadecimal digits, '::' once in place of groups of zeros"
    return "an address is needed here, not a name"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _from_netmask(text: str) -> str:
    """The subnet as it is written, of one that has a netmask (255.255.0.0) in place of a prefix length."""
    try:
        subnet = ip_network(text, strict=False)
    except ValueError:
        return ""
    return f"write {subnet}" if "/" in text else ""


def _with_length(base: str) -> str:
    try:
        address = ip_address(base)
    except ValueError:
        return "write it as ADDRESS/LENGTH, such as 172.28.0.0/16"
    return f"write {base}/{24 if address.version == 4 else 64}, or the length you mean"  # noqa: PLR2004  # the family
