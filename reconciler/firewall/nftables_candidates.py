"""What the elements of the table could be policies of, by their comments and sets; ``nftables_parse`` judges it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.nftables_elements import PROTOCOLS, Element, is_label
from reconciler.firewall.nftables_layout import LEDGERS, MODES
from reconciler.firewall.nftables_masquerade import Ports, ports_of
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import NetworkPolicy, PublishedPort, StackPolicy
from reconciler.firewall.spans import ordered
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy

_PROTOCOL_NAMES = {str(number): name for name, number in PROTOCOLS.items()}
_MODE_NAMES = {verdict: mode for mode, verdict in MODES.items()}


def candidates(found: list[Element]) -> Iterator[StackPolicy]:
    """Every policy that one of the elements speaks of, whether or not all of it is there."""
    labelled = [element for element in found if is_label(element.comment)]
    yield from _networks(labelled)
    yield from _ports(labelled)
    yield from _openings(labelled)
    yield from _translations(labelled)
    yield from _allowed(labelled)


def _owner(element: Element) -> str:
    return element.comment.partition("/")[0]


def _ports(found: list[Element]) -> Iterator[PublishedPort]:
    sources: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    limited = set()
    for element in found:
        name = element.set_name
        if name.startswith("sources"):
            source, _, port = element.key.partition(" . ")
            sources[name.removeprefix("sources"), port, element.comment].append(source)
        elif name.startswith("limited"):
            limited.add((name.removeprefix("limited"), element.key, element.comment))
    for element in found:
        if element.set_name.startswith(("ports", "routed")):
            routed = element.set_name.startswith("routed")
            place = (element.set_name.removeprefix("routed").removeprefix("ports"), element.key, element.comment)
            yield from _port(place, element.value, () if routed else sources[place], routed=routed)
    for place, subnets in list(sources.items()):
        # Of a port without translation there is nothing but its sources.
        if place not in limited and not place[0].endswith("any"):
            yield from _port(place, "", subnets, routed=True)


def _port(place: tuple[str, str, str], target: str, sources: Iterable[str], *, routed: bool) -> Iterator[PublishedPort]:
    """``place``: family (with ``_any``), key and comment; ``target``: the element's value."""
    family, key, comment = place
    *address, protocol_number, host_port = key.split(" . ")
    protocol = _PROTOCOL_NAMES.get(protocol_number)
    if protocol is None:
        return
    wildcard = "::" if family.startswith("6") else "0.0.0.0"  # noqa: S104  # a policy's word, never bound
    host_address = address[0] if address else wildcard
    target_address, _, target_port = (f"{host_address} . {host_port}" if routed else target).partition(" . ")
    yield PublishedPort(
        owner=comment.partition("/")[0],
        container=comment,
        protocol=protocol,
        host_address=host_address,
        host_port=int(host_port),
        target_address=target_address,
        target_port=int(target_port),
        routed=routed,
        sources=ordered(sources),
    )


def _openings(found: list[Element]) -> Iterator[Opening]:
    sources: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for element in found:
        if element.set_name in LEDGERS:
            _, *source, protocol_number, ports = element.key.split(" . ")
            sources[element.comment, protocol_number, ports] += source
    for (label, protocol_number, ports), subnets in sources.items():
        protocol = _PROTOCOL_NAMES.get(protocol_number)
        if protocol is not None:
            first, last = _span(ports)
            yield Opening(label.partition("/")[0], label, protocol, first, last, ordered(subnets))


def _span(ports: str) -> tuple[int, int]:
    first, _, last = ports.partition("-")
    return int(first), int(last or first)


def _translations(found: list[Element]) -> Iterator[FloatingPolicy | EgressPolicy]:
    for element in found:
        if element.set_name.startswith("floating"):
            yield FloatingPolicy(_owner(element), element.comment, element.key, element.value)
        elif element.set_name.startswith("egress"):
            yield EgressPolicy(_owner(element), element.comment, element.value, element.key)


def _allowed(found: list[Element]) -> Iterator[AllowPolicy]:
    everything = {(e.key, e.comment) for e in found if e.set_name == "allowed"}
    spans: dict[tuple[str, str], list[tuple[str, int, int]]] = defaultdict(list)
    subnets: dict[str, list[str]] = defaultdict(list)
    names = {element.key: element.comment for element in found if element.set_name == "bridges"}
    for element in found:
        if element.set_name == "allowed_ports":
            *pair, protocol_number, ports = element.key.split(" . ")
            if protocol_number in _PROTOCOL_NAMES:
                spans[" . ".join(pair), element.comment].append((_PROTOCOL_NAMES[protocol_number], *_span(ports)))
        elif element.set_name.startswith("homes"):
            bridge, _, subnet = element.key.partition(" . ")
            subnets[bridge].append(_with_length(subnet))
    for element in found:
        if element.set_name == "answered":
            bridge, _, target = element.key.partition(" . ")
            place = (element.key, element.comment)
            yield AllowPolicy(
                owner=_owner(element),
                network=element.comment,
                interface=bridge.strip('"'),
                target_interface=target.strip('"'),
                ports=() if place in everything else tuple(sorted(spans[place])),
                subnets=tuple(subnets[bridge]),
                target_subnets=tuple(subnets[target]),
                target_name=names.get(target, "").partition("/")[2],
            )


def _networks(found: list[Element]) -> Iterable[NetworkPolicy]:
    index = {(element.set_name, element.key, element.comment): element.value for element in found}
    subnets: dict[tuple[str, str], list[str]] = defaultdict(list)
    trusted: dict[tuple[str, str], list[str]] = defaultdict(list)
    for set_name, key, comment in index:
        if set_name.startswith("homes"):
            bridge, _, subnet = key.partition(" . ")
            subnets[bridge, comment].append(subnet)
        elif set_name == "trusted":
            interface, _, bridge = key.partition(" . ")
            trusted[bridge, comment].append(interface.strip('"'))
    for set_name, bridge, comment in index:
        loop = ("loops", f"{bridge} . {bridge}", comment)
        if set_name == "bridges" and is_label(comment) and loop in index:
            place = (bridge, comment)
            yield _network(place, index, tuple(subnets[place]), tuple(sorted(trusted[place])))


def _network(
    place: tuple[str, str],
    index: Mapping[tuple[str, str, str], str],
    subnets: tuple[str, ...],
    trusted: tuple[str, ...],
) -> NetworkPolicy:
    bridge, label = place
    return NetworkPolicy(
        owner=label.partition("/")[0],
        network=label,
        interface=bridge.strip('"'),
        subnets=tuple(sorted(_with_length(subnet) for subnet in subnets)),
        internal=("internal", *place) in index,
        icc=("apart", *place) not in index,
        masquerade4=("outward4", *place) in index,
        masquerade6=("outward6", *place) in index,
        snat4=index.get(("snat4", *place), ""),
        snat6=index.get(("snat6", *place), ""),
        mode4=_MODE_NAMES.get(index.get(("inward4", *place), ""), "nat"),
        mode6=_MODE_NAMES.get(index.get(("inward6", *place), ""), "nat"),
        trusted_interfaces=trusted,
        masquerade_ports=_masquerade_ports(index.get((f"outward{family}", *place), "") for family in (4, 6)),
    )


def _masquerade_ports(verdicts: Iterable[str]) -> Ports | None:
    """The range of the first verdict that leads to one."""
    return next(filter(None, (ports_of(verdict.removeprefix("goto ")) for verdict in verdicts)), None)


def _with_length(subnet: str) -> str:
    return subnet if "/" in subnet else f"{subnet}/{128 if ':' in subnet else 32}"
