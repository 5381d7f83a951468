"""``open`` and ``listen``: the ports of containers that have no network namespace to themselves; and ``sources``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_address, parse_source
from reconciler.manifest.faults import FormError
from reconciler.manifest.model import Listen, PortSpan
from reconciler.manifest.models import ContainerPart, ListenPart, SpanPart
from reconciler.manifest.ports import parse_listen, parse_protocol, parse_span

if TYPE_CHECKING:
    from reconciler.manifest.context import Context


def convert_open(name: str, part: ContainerPart, context: Context) -> tuple[PortSpan, ...]:
    """What the host's firewall is to let in; equal entries count once."""
    found: dict[PortSpan, None] = {}
    for index, entry in enumerate(part.open or ()):
        path = ("containers", name, "open", index)
        text = entry.port if isinstance(entry, SpanPart) else entry
        given = entry if isinstance(entry, SpanPart) else None
        try:
            first, last, protocol = parse_span(text)
            if given and given.protocol:
                protocol = _protocol(text, given.protocol)
        except FormError as error:
            context.faults.add_form(error, context.at(*path, *(("port",) if given else ())))
            continue
        sources = convert_sources(given.sources, (*path, "sources"), context) if given else ()
        found.setdefault(PortSpan(first, last, protocol, sources, context.at(*path)))
    return tuple(found)


def convert_listen(name: str, part: ContainerPart, context: Context) -> tuple[Listen, ...]:
    """Where the container's process listens, port by port; equal entries count once."""
    found: dict[Listen, None] = {}
    for index, entry in enumerate(part.listen or ()):
        source = context.at("containers", name, "listen", index)
        try:
            address, first, last, protocol = _listen(entry) if isinstance(entry, ListenPart) else parse_listen(entry)
        except FormError as error:
            context.faults.add_form(error, source)
            continue
        for port in range(first, last + 1):
            found.setdefault(Listen(port, protocol, address, source))
    return tuple(found)


def convert_sources(value: str | list[str] | None, path: tuple[str | int, ...], context: Context) -> tuple[str, ...]:
    """The subnets that may come in, in one form; none given: every one.

    An entry that became empty by interpolation is a fault: to pass over it would let everybody in.
    """
    if value is None:
        return ()
    texts = value if isinstance(value, list) else [value]
    found: dict[str, None] = {}
    for index, text in enumerate(texts):
        try:
            found.setdefault(parse_source(text))
        except FormError as error:
            context.faults.add_form(error, context.at(*path, *((index,) if isinstance(value, list) else ())))
    if not texts:
        context.faults.add("a list of no sources lets nobody in", context.key_at(*path), "remove it to let anybody in")
    return tuple(found)


def _protocol(text: str, given: str) -> str:
    protocol = parse_protocol(given)
    if "/" in text and parse_span(text)[2] != protocol:
        message = f"two protocols: '{text}' and {protocol}"
        raise FormError(message, "remove one of them")
    return protocol


def _listen(part: ListenPart) -> tuple[str | None, int, int, str]:
    first, last, protocol = parse_span(part.port)
    address = str(parse_address(part.address)) if part.address else None
    return address, first, last, _protocol(part.port, part.protocol) if part.protocol else protocol
