"""The grammar of published ports, and of exposed ones.

It is that of Compose's reference parser (docker/go-connections): split at every colon; the
last part is the container's port, the one before it the host's, all before that the address.
So ``::1:80:80`` is understood without brackets as well.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from reconciler.manifest.addresses import parse_address
from reconciler.manifest.faults import FormError, typographic_hint
from reconciler.manifest.hints import one_by_one

PROTOCOLS = ("tcp", "udp", "sctp")
HIGHEST_PORT = 65535

_FORMS = "the forms are 80, 8080:80, 127.0.0.1:8080:80, 8000-8010:8000-8010, each with /udp where wanted"
_SPANS = "the forms are 80, 8000-8010, each with /udp where wanted"
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


class Published(NamedTuple):
    """One mapping: ``published`` is None for a free host port, else the range to choose from."""

    target: int
    published: tuple[int, int] | None
    host_address: str | None
    protocol: str


def parse_short(text: str) -> list[Published]:
    """The mappings that a short form stands for, ranges dealt out port by port.

    Raises:
        FormError: the text is no such form.
    """
    try:
        return _parse_short(text)
    except FormError:
        if several := one_by_one(text, _parse_short):
            message = f"'{text}' is more than one mapping"
            raise FormError(message, f"write each as an item of its own: [{several}]") from None
        raise


def _parse_short(text: str) -> list[Published]:
    address_text, parts = _split(text)
    target_text, _, protocol_text = parts[-1].partition("/")
    host_address = _host_address(address_text, text)
    if not target_text:
        message = f"'{text}' names no port of the container"
        raise FormError(message, _FORMS)
    targets = _ports(target_text, text)
    try:
        published = _ports(parts[-2], text, lowest=0) if len(parts) > 1 and parts[-2] else None
    except FormError:
        _refuse_address_alone(parts[-2] if not address_text else "", parts[-1], text)
        raise
    return _pair(targets, published, host_address, parse_protocol(protocol_text), text)


def parse_target(text: str) -> int:
    """The container's port of a long form.

    Raises:
        FormError: it is none.
    """
    first, last = _ports(text, text, hint="")
    if first != last:
        message = f"target '{text}' is a range; a long form publishes one port"
        raise FormError(message, "write the short form, or one entry for each port")
    return first


def parse_published(text: str) -> tuple[int, int] | None:
    """The host's ports of a long form, to choose from; None for any free one.

    Raises:
        FormError: it names none.
    """
    return _fixed(_ports(text, text, lowest=0, hint=""))


def parse_span(text: str) -> tuple[int, int, str]:
    """First port, last port and protocol of ``PORT[-PORT][/PROTOCOL]``.

    Raises:
        FormError: the text is no such form.
    """
    ports, _, protocol = text.partition("/")
    if ":" in ports:
        message = f"'{text}' is a mapping of ports, and nothing is mapped here"
        raise FormError(message, f"write {text.rpartition(':')[2]}; only a container's 'ports' are mapped")
    first, last = _ports(ports, text, hint=_SPANS)
    return first, last, parse_protocol(protocol)


def span_text(first: int, last: int, protocol: str) -> str:
    """What `parse_span` reads, in one form: ``80/tcp``, ``8000-8010/udp``."""
    return f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}"


def parse_range(text: str) -> tuple[int, int]:
    """First and last port of ``FIRST-LAST``.

    Raises:
        FormError: the text is no such form.
    """
    form = _RANGE.fullmatch(text)
    if form is None or form[2] is None:
        message = f"'{text}' is not a range of ports"
        raise FormError(message, typographic_hint(text) or "write the first and the last one: 40000-49999")
    first, last = int(form[1]), int(form[2])
    if not 1 <= first <= HIGHEST_PORT or not 1 <= last <= HIGHEST_PORT:
        message = f"'{text}' names a port that there is not"
        raise FormError(message, f"a port is a number from 1 to {HIGHEST_PORT}")
    if first > last:
        message = f"the range {text} ends before it begins"
        raise FormError(message, f"write {last}-{first}")
    return first, last


def range_text(ports: tuple[int, int]) -> str:
    """What `parse_range` reads."""
    return f"{ports[0]}-{ports[1]}"


def parse_exposed(text: str) -> str:
    """An ``expose`` entry as ``PORT/PROTOCOL`` or ``FIRST-LAST/PROTOCOL``.

    Raises:
        FormError: the text is no such form.
    """
    return span_text(*parse_span(text))


def parse_listen(text: str) -> tuple[str | None, int, int, str]:
    """Address (None: every one), first port, last port and protocol of ``[ADDRESS:]PORT[-PORT][/PROTOCOL]``.

    Raises:
        FormError: the text is no such form.
    """
    address, colon, span = text.rpartition(":")
    if colon and not address:
        message = f"'{text}' names no address before the colon"
        raise FormError(message, f"write {span}, or ADDRESS:{span}")
    return (str(parse_address(address)) if colon else None, *parse_span(span))


def parse_protocol(text: str) -> str:
    """The protocol in lower case; none is tcp.

    Raises:
        FormError: it is not one that ports have.
    """
    protocol = text.lower() or "tcp"
    if protocol not in PROTOCOLS:
        message = f"'{text}' is not a protocol"
        raise FormError(message, "write tcp, udp or sctp")
    return protocol


def _pair(
    targets: tuple[int, int],
    published: tuple[int, int] | None,
    host_address: str | None,
    protocol: str,
    text: str,
) -> list[Published]:
    first, last = targets
    if first == last:
        return [Published(first, _fixed(published), host_address, protocol)]
    if published is None:
        return [Published(port, None, host_address, protocol) for port in range(first, last + 1)]
    if published[1] - published[0] != last - first:
        message = f"'{text}' pairs {published[1] - published[0] + 1} ports of the host with {last - first + 1}"
        raise FormError(message, "give both ranges the same length")
    shift = published[0] - first
    return [Published(port, (port + shift, port + shift), host_address, protocol) for port in range(first, last + 1)]


def _fixed(published: tuple[int, int] | None) -> tuple[int, int] | None:
    """Host port 0 asks for any free one, as it does in bind(2)."""
    return None if published == (0, 0) else published


def _split(text: str) -> tuple[str, list[str]]:
    """The host's address, and the one or two parts behind it."""
    if text.startswith("["):
        address, _, rest = text.partition("]")
        parts = rest.removeprefix(":").split(":")
        if rest.startswith(":") and len(parts) == 1:
            _refuse_address_alone(f"{address}]", parts[0], text)
        if rest.startswith(":") and len(parts) == 2:  # noqa: PLR2004  # the host's and the container's
            return f"{address}]", parts
        if rest and not rest.startswith(":"):
            message = f"'{text}': a ':' is missing behind the address"
            raise FormError(message, f"write {address}]:{rest}")
    parts = text.split(":")
    return ":".join(parts[:-2]), parts[-2:]


def _refuse_address_alone(address_text: str, port_text: str, text: str) -> None:
    """Raises FormError where nothing but an address stands before the container's port."""
    try:
        address = parse_address("127.0.0.1" if address_text == "localhost" else address_text)
        first, last = _ports(port_text.partition("/")[0], text)
    except FormError:
        return
    host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004  # the family
    ports = str(first) if first == last else f"{first}-{last}"
    message = f"'{text}' names an address, but no port of the host"
    raise FormError(message, f"write {host}:{ports}:{port_text}, or {host}::{port_text}, which takes any free port")


def _host_address(host_text: str, text: str) -> str | None:
    if not host_text:
        return None
    try:
        return str(parse_address(host_text))
    except FormError as error:
        _refuse_address_alone(*text.rpartition(":")[::2], text)
        hint = error.hint
        container = text.rpartition(":")[2]
        if re.fullmatch(r"[0-9]+(-[0-9]+)?", host_text):
            hint = f"one colon: {host_text}:{container}"
        elif "::" in text and re.fullmatch(r"[0-9.]+:[0-9-]+", host_text):
            hint = f"one colon before the container's port: {host_text}:{container}"
        elif "%" in host_text:
            hint = "a port cannot be published at one link alone: name an address of the host that is not link-local"
        message = f"'{text}': {error}"
        raise FormError(message, hint) from None


def _ports(range_text: str, text: str, *, lowest: int = 1, hint: str = _FORMS) -> tuple[int, int]:
    form = _RANGE.fullmatch(range_text)
    first, last = (int(form[1]), int(form[2] or form[1])) if form else (-1, -1)
    if not lowest <= first <= HIGHEST_PORT or last > HIGHEST_PORT:
        message = f"'{range_text}' in '{text}' is not a port" if range_text != text else f"'{text}' is not a port"
        forms = f"a port is a number from {lowest} to {HIGHEST_PORT}{hint and '; '}{hint}"
        raise FormError(message, typographic_hint(text) or forms)
    if first > last:
        message = f"the range {range_text} ends before it begins"
        raise FormError(message, f"write {last}-{first}")
    return first, last
