"""What a policy is in the table's sets and maps. The inverse stands in ``nftables_parse``.

A comment on each element names whose it is: ``stack/container`` or ``stack/network``.
nft keeps 128 bytes of it, and stack and name have at most 63 each, so nothing is shortened
or hashed: the owner can always be read back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from reconciler.errors import NetapplyError
from reconciler.firewall.allow import AllowPolicy
from reconciler.firewall.nftables_layout import COMMENT_MAX, MODES
from reconciler.firewall.nftables_masquerade import EVERY_PORT, Ports, masquerade_chain
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import NetworkPolicy, PublishedPort, StackPolicy
from reconciler.firewall.spans import OpenSpan, disjoint, outermost
from reconciler.firewall.translation import EgressPolicy, FloatingPolicy

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "sctp": 132}
"""Protocol numbers (IANA), since nft would look the names up in a file."""

SHARED_SETS: Final = ("opened", "opened4", "opened6", "networks4", "networks6")
"""The sets whose elements belong to no policy alone."""

_LABEL = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_ADDRESS = re.compile(r"[0-9a-f:][0-9a-f:.]*(/[0-9]{1,3})?")
_INTERFACE = re.compile(r"[A-Za-z0-9_.@+=-]{1,15}")


class Element(NamedTuple):
    """One element; ``key`` and ``value`` are in nft's words, ``value`` is empty in a set."""

    set_name: str
    key: str
    value: str
    comment: str

    def text(self) -> str:
        """The element as an ``add element`` command lists it."""
        value = f" : {self.value}" if self.value else ""
        comment = f' comment "{self.comment}"' if self.comment else ""
        return f"{self.key}{comment}{value}"


def is_label(comment: str) -> bool:
    """Whether the comment is one that we write: ``stack/container`` or ``stack/network``."""
    return _LABEL.fullmatch(comment) is not None


def quoted(interface: str) -> str:
    """An interface's name as nft text."""
    return f'"{interface}"'


def elements(policy: StackPolicy) -> frozenset[Element]:
    """All elements of one policy.

    Raises NetapplyError where a name or an address cannot stand in a rule.
    """
    match policy:
        case PublishedPort():
            return frozenset(_of_port(policy))
        case NetworkPolicy():
            return frozenset(_of_network(policy))
        case Opening():
            return frozenset(_of_opening(policy))
        case FloatingPolicy():
            return frozenset([_translated("floating", policy, policy.address, policy.target_address)])
        case EgressPolicy():
            return frozenset([_translated("egress", policy, policy.target_address, policy.address)])
        case AllowPolicy():
            return frozenset(_of_allow(policy))


def united(openings: Iterable[Opening]) -> frozenset[Element]:
    """The elements that open what these openings ask for together; they belong to none of them alone."""
    spans = [OpenSpan(each.protocol, each.first, each.last, each.sources) for each in openings]
    return frozenset(
        Element(name, key, "", "")
        for span in disjoint(spans)
        for name, key in _opened("opened", "", (PROTOCOLS[span.protocol], span.first, span.last), span.sources)
    )


def shared(policies: Collection[StackPolicy]) -> frozenset[Element]:
    """The elements that these policies ask for together, and that belong to none of them alone."""
    return united(policy for policy in policies if isinstance(policy, Opening)) | _claimed(policies)


def _claimed(policies: Iterable[StackPolicy]) -> frozenset[Element]:
    """The subnets of these networks: one hands its subnet to another while both stand."""
    found = {subnet for policy in policies if isinstance(policy, NetworkPolicy) for subnet in policy.subnets}
    return frozenset(
        Element(f"networks{6 if ':' in subnet else 4}", _subnet_text(subnet), "", "") for subnet in outermost(found)
    )


def ranges(policies: Iterable[StackPolicy]) -> frozenset[Ports]:
    """The ranges that these networks masquerade to, each in a chain that they share; that of every port stands anyway."""
    found = {policy.masquerade_ports for policy in policies if isinstance(policy, NetworkPolicy)}
    return frozenset(ports for ports in found if ports not in {None, EVERY_PORT})


def _of_port(port: PublishedPort) -> list[Element]:
    label = _checked(_LABEL, port.container, port)
    service = f"{_number(port.protocol, port)} . {int(port.host_port)}"
    address = _checked(_ADDRESS, port.host_address, port)
    wildcard = address in {"0.0.0.0", "::"}  # noqa: S104  # compared, never bound
    family = f"{port.family}_any" if wildcard else str(port.family)
    key = service if wildcard else f"{address} . {service}"
    found = [
        Element(f"sources{family}", f"{_subnet_text(_checked(_ADDRESS, source, port))} . {key}", "", label)
        for source in port.sources
    ]
    if port.routed:
        return found or [Element(f"routed{family}", key, "", label)]
    target = f"{_checked(_ADDRESS, port.target_address, port)} . {int(port.target_port)}"
    found += [Element(f"limited{family}", key, "", label)] * bool(port.sources)
    return [Element(f"ports{family}", key, target, label), *found]


def _of_opening(opening: Opening) -> list[Element]:
    label = _checked(_LABEL, opening.container, opening)
    service = (_number(opening.protocol, opening), opening.first, opening.last)
    sources = tuple(_checked(_ADDRESS, source, opening) for source in opening.sources)
    found = _opened("openings", f"{quoted(holder(label))} . ", service, sources)
    return [Element(name, key, "", label) for name, key in found]


def holder(label: str) -> str:
    """What tells one container's openings from another's: a digest that fits into an interface's name."""
    return hashlib.sha256(label.encode()).hexdigest()[:15]


def _opened(kind: str, head: str, service: tuple[int, int, int], sources: tuple[str, ...]) -> list[tuple[str, str]]:
    """Set and key of each element that opens a span of ports."""
    tail = _service(*service)
    if not sources:
        return [(kind, f"{head}{tail}")]
    return [(f"{kind}{6 if ':' in source else 4}", f"{head}{_subnet_text(source)} . {tail}") for source in sources]


def _service(protocol_number: int, first: int, last: int) -> str:
    ports = str(int(first)) if first == last else f"{int(first)}-{int(last)}"
    return f"{protocol_number} . {ports}"


def _translated(kind: str, policy: FloatingPolicy | EgressPolicy, key: str, value: str) -> Element:
    label = _checked(_LABEL, policy.container, policy)
    family = 6 if ":" in key else 4
    return Element(f"{kind}{family}", _checked(_ADDRESS, key, policy), _checked(_ADDRESS, value, policy), label)


def _of_allow(allow: AllowPolicy) -> list[Element]:
    label = _checked(_LABEL, allow.network, allow)
    interfaces = (allow.interface, allow.target_interface)
    pair = " . ".join(quoted(_checked(_INTERFACE, name, allow)) for name in interfaces)
    found = [Element("answered", pair, "", label)]
    for protocol, first, last in allow.ports:
        service = _service(_number(protocol, allow), first, last)
        found.append(Element("allowed_ports", f"{pair} . {service}", "", label))
    return found if allow.ports else [*found, Element("allowed", pair, "", label)]


def _number(protocol: str, policy: PublishedPort | Opening | AllowPolicy) -> int:
    number = PROTOCOLS.get(protocol)
    if number is None:
        message = f"the protocol {protocol!r} cannot be published"
        raise NetapplyError.of(message, policy.source, f"one of: {', '.join(PROTOCOLS)}")
    return number


def _of_network(network: NetworkPolicy) -> list[Element]:
    label = _checked(_LABEL, network.network, network)
    bridge = quoted(_checked(_INTERFACE, network.interface, network))
    found = [Element("bridges", bridge, "", label), Element("loops", f"{bridge} . {bridge}", "", label)]
    found += [Element("apart", bridge, "", label)] * (not network.icc)
    found += [Element("internal", bridge, "", label)] * network.internal
    for interface in network.trusted_interfaces:
        pair = f"{quoted(_checked(_INTERFACE, interface, network))} . {bridge}"
        found.append(Element("trusted", pair, "", label))
    for subnet in network.subnets:
        family = 6 if ":" in subnet else 4
        address = _subnet_text(_checked(_ADDRESS, subnet, network))
        found.append(Element(f"homes{family}", f"{bridge} . {address}", "", label))
    found += _of_family(network, bridge, label, 4, (network.masquerade4, network.snat4, network.mode4))
    found += _of_family(network, bridge, label, 6, (network.masquerade6, network.snat6, network.mode6))
    return found


def _of_family(
    network: NetworkPolicy, bridge: str, label: str, family: int, choice: tuple[bool, str, str]
) -> list[Element]:
    masquerade, snat, mode = choice
    found = []
    if mode in MODES:
        found.append(Element(f"inward{family}", bridge, MODES[mode], label))
    if masquerade:
        chain = masquerade_chain(network.masquerade_ports) if network.masquerade_ports else "translate"
        # Mode routed means no translation whatever else was chosen.
        verdict = f"goto {chain}" if mode in {"nat", "nat-unprotected"} else "accept"
        found.append(Element(f"outward{family}", bridge, verdict, label))
    if snat:
        found.append(Element(f"snat{family}", bridge, _checked(_ADDRESS, snat, network), label))
    return found


def _subnet_text(subnet: str) -> str:
    """A subnet as nft lists it: a single address without its length."""
    address, _, length = subnet.partition("/")
    return address if length == ("128" if ":" in address else "32") else subnet


def _checked(form: re.Pattern[str], text: str, policy: StackPolicy) -> str:
    """The text, once it is sure that it cannot end the word it stands in."""
    if form.fullmatch(text) is None or len(text) > COMMENT_MAX:
        message = f"{text!r} cannot stand in a firewall rule"
        raise NetapplyError.of(message, policy.source, "use letters, digits, '_', '.' and '-'")
    return text
