"""Advice: what is possible, but seldom meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.manifest.nodes import Mapping, scalars, source_of
from reconciler.manifest.ports import span_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.manifest.context import Context
    from reconciler.manifest.faults import Faults
    from reconciler.manifest.model import Container

_MIGHTY = frozenset({"ALL", "NET_ADMIN", "CAP_NET_ADMIN"})
_SUSPECT = re.compile("(?:^|(?<=\\s))[\u2010-\u2015\u2212]|^[\u2018-\u201f]|[\u2018-\u201f]$")
"""A dash that begins a word, a quote that begins or ends the text: a word processor's, not the writer's."""
_PROSE = frozenset({"annotations", "environment", "labels"})


def advise(containers: Iterable[Container], context: Context) -> None:
    """Note, as warnings, what deserves a second look; each kind once a stack, at its first place."""
    on_bridge: list[Container] = []
    opened: list[str] = []
    first_open = None
    for container in containers:
        if container.network_mode == "bridge":
            on_bridge.append(container)
        _advise_on_loopback(container, context)
        for span in container.open:
            if not span.sources:
                first_open = first_open or span.source
                opened.append(f"{span_text(span.first, span.last, span.protocol)} of {container.name}")
    for name in context.parts:
        _advise_on_might(name, context)
    # Whoever links them knows that there are no other names.
    if on_bridge and not any(container.links or container.external_links for container in on_bridge):
        names = ", ".join(container.name for container in on_bridge)
        message = f"on the default network bridge containers do not find each other by name: {names}"
        context.faults.note(message, on_bridge[0].mode_source, "join a network of the stack: networks: [NAME]")
    if opened:
        message = f"open to any source, at every address of the host: {', '.join(opened)}"
        context.faults.note(message, first_open, "sources: [SUBNET] says who is let in")


def _advise_on_loopback(container: Container, context: Context) -> None:
    """IPv6 has no route_localnet: an answer to ::1 that comes by a bridge is dropped (kernel: net/ipv6/ip6_input.c)."""
    for mapping in container.ports:
        if mapping.host_address == "::1":
            message = (
                f"nothing reaches port {mapping.target} of {container.name} at [::1]: the kernel drops the answers"
            )
            context.faults.warn(message, mapping.source, "publish it at 127.0.0.1, which localhost means as well")


def _advise_on_might(name: str, context: Context) -> None:
    """A container that may change every rule of the host."""
    part = context.parts[name]
    if not part.privileged and not part.cap_add:
        return
    owner = context.parts.get(context.owner(name))
    if owner is None or owner.network_mode != "host":
        return
    hint = "declare what it needs: open: [PORT]; or give it a network of its own"
    if part.privileged:
        message = f"container '{name}' is privileged in the host's network: it may change every rule there"
        context.faults.warn(message, context.key_at("containers", name, "privileged"), hint)
    for index, word in enumerate(part.cap_add or ()):
        if word.upper() in _MIGHTY:
            message = f"container '{name}' has {word} in the host's network: it may change every rule there"
            context.faults.warn(message, context.at("containers", name, "cap_add", index), hint)


def advise_on_characters(root: Mapping, faults: Faults) -> None:
    """Warn of dashes and quotes of word processors, in keys and values; environments and labels may hold prose."""
    for scalar in scalars(root, _is_prose, keys=True):
        found = _SUSPECT.search(scalar.text)
        if found:
            character = found.group()
            plain = (
                "- or --" if character not in "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f" else "a plain quote"
            )
            message = f"'{character}' (U+{ord(character):04X}) stands where {plain} is usual"
            faults.warn(message, source_of(scalar), "word processors put it there; did you mean the plain one?")


def _is_prose(key: str) -> bool:
    return key in _PROSE or (key.startswith("x-") and key != "x-netapply")
