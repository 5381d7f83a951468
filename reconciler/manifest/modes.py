"""``network_mode``, and what does not go together with each of its values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.manifest.circles import circles
from reconciler.manifest.forms import Part

if TYPE_CHECKING:
    from reconciler.manifest.context import Context
    from reconciler.manifest.models import ContainerPart

MODES = ("none", "host", "bridge", "service:NAME", "container:NAME")
_LISTS = ("ports", "links", "external_links", "extra_hosts", "dns", "dns_search", "dns_opt", "floating_ip", "egress_ip")
_OF_OWNER = (*_LISTS, "open", "hostname", "domainname", "mac_address")
"""Keys that belong to the container whose namespace is shared."""
_MISFITS = {
    "host": (
        ("links", "external_links", "mac_address", "floating_ip", "egress_ip"),
        "which sees the host's own network",
        "remove one of the two",
    ),
    "none": (("mac_address", "floating_ip", "egress_ip"), "which has no network", "remove one of the two"),
    "bridge": (("mac_address",), "the host's default network", "join a network of the stack: networks: [NAME]"),
}
_MOST_LINES = 5


def is_joiner(mode: str | None) -> bool:
    """Whether the mode shares another container's namespace."""
    return bool(mode) and str(mode).startswith(("service:", "container:"))


def convert_mode(name: str, part: ContainerPart, context: Context) -> str | None:
    """The mode as the model has it; what contradicts it is noted."""
    mode = part.network_mode
    if not mode:
        _check_open(name, part, context, "has a network namespace of its own")
        return None
    source = context.at("containers", name, "network_mode")
    kind, colon, owner = mode.partition(":")
    joins = kind in {"service", "container"} and colon
    if part.networks:
        message = f"container '{name}' declares mutually exclusive 'network_mode' and 'networks'"
        message += f"; networks at {context.key_at('containers', name, 'networks')}"
        shared = f"it has the networks of {_owner_text(name, context)}: remove networks here, and add them there"
        hint = shared if joins else "remove one of the two"
        context.faults.add(message, source, hint)
    if joins and not owner:
        context.faults.add(f"network_mode '{mode}' names no {kind}", source, f"write {kind}:NAME")
    elif joins:
        _refuse_of_owner(name, part, mode, context)
    elif mode in _MISFITS:
        keys, why, hint = _MISFITS[mode]
        for key in keys:
            if getattr(part, key):
                message = f"'{key}' does not fit network_mode {mode}, {why}"
                context.faults.add(message, context.key_at("containers", name, key), hint)
        if mode != "host":
            _check_open(name, part, context, f"has network_mode {mode}")
    else:
        hint = (
            context.faults.nearest(mode, MODES)
            or f"one of {', '.join(MODES)}; networks are joined with networks: [NAME]"
        )
        context.faults.add(f"unknown network_mode '{mode}'", source, hint)
    return context.reference(kind, owner) if joins else mode


def _check_open(name: str, part: ContainerPart, context: Context, why: str) -> None:
    if part.open:
        entry = part.open[0]
        port = (entry if isinstance(entry, str) else entry.port).partition("/")[0]
        message = f"'open' is for containers in the host's network; container '{name}' {why}"
        place = context.key_at("containers", name, "open")
        context.faults.add(message, place, f"publish it instead: ports: ['{port}:{port}']")


def _refuse_of_owner(name: str, part: ContainerPart, mode: str, context: Context) -> None:
    """Each key that belongs to the owner of the namespace, with the line to write there."""
    owner = context.owner(name)
    owner_part = context.parts.get(owner)
    host = owner_part is not None and owner_part.network_mode == "host"
    for key in _OF_OWNER:
        value = getattr(part, key)
        if not value:
            continue
        there = "open" if key == "ports" and host else key
        message = f"'{key}' does not fit network_mode {mode}, whose namespace is another container's"
        if key == "ports" and host:
            hint = (
                f"'{owner}' is in the host's network, where nothing is mapped: use open on {_owner_text(name, context)}"
            )
        else:
            hint = _hint(there, value, _owner_text(name, context, key))
        context.faults.add(message, context.key_at("containers", name, key), hint)


def _hint(key: str, value: object, owner: str) -> str:
    """The exact lines that the owner needs."""
    if isinstance(value, str) and key not in _LISTS:
        return f"set it on {owner}: `{key}: {value}`"
    if isinstance(value, dict):
        items = [f"{host}={address}" for host, given in value.items() for address in _several(given)]
    else:
        items = [_line(each) for each in _several(value)]
    lines = ", ".join(f"`- {item}`" for item in items[:_MOST_LINES])
    return f"set it on {owner}: add {lines}{' …' if len(items) > _MOST_LINES else ''} to {key} there"


def _several(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _line(item: object) -> str:
    if isinstance(item, Part):
        return json.dumps(item.model_dump(exclude_none=True), ensure_ascii=False)
    return str(item)


def _owner_text(name: str, context: Context, key: str | None = None) -> str:
    """Who has the namespace in the end, and where that stands."""
    owner = context.owner(name)
    if owner not in context.parts:
        return f"'{owner}', in its own stack's file"
    path = ("containers", owner, key) if key and getattr(context.parts[owner], key) else ("containers", owner)
    return f"'{owner}' ({context.key_at(*path)})"


def check_modes(context: Context) -> None:
    """Note owners that are not there, or are several, and circles."""
    graph: dict[str, list[str]] = {}
    for name, part in context.parts.items():
        if not is_joiner(part.network_mode):
            continue
        kind, _, owner = (part.network_mode or "").partition(":")
        source = context.at("containers", name, "network_mode")
        context.check_target(kind, owner, f"container '{name}' shares the network of", source)
        if key := context.key_of(kind, owner):
            graph[name] = [key]
    for circle in circles(graph):
        message = f"network_mode goes in a circle: {' -> '.join([*circle, circle[0]])}"
        source = context.at("containers", circle[0], "network_mode")
        context.faults.add(message, source, "one of them needs networks")
