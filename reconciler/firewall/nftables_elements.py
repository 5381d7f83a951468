"""What a policy is in the table's sets and maps. The inverse stands in ``nftables_parse``.

A comment on each element names whose it is: ``stack/container`` or ``stack/network``.
nft keeps 128 bytes of it, and stack and name have at most 63 each, so nothing is shortened
or hashed: the owner can always be read back.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from reconciler.errors import NetapplyError
from reconciler.firewall.nftables_layout import COMMENT_MAX, MODES
from reconciler.firewall.policy import NetworkPolicy, PublishedPort

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "sctp": 132}
"""Protocol numbers (IANA), since nft would look the names up in a file."""

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
        return f'{self.key} comment "{self.comment}"{value}'


def is_label(comment: str) -> bool:
    """Whether the comment is one that we write: ``stack/container`` or ``stack/network``."""
    return _LABEL.fullmatch(comment) is not None


def quoted(interface: str) -> str:
    """An interface's name as nft text."""
    return f'"{interface}"'


def elements(policy: NetworkPolicy | PublishedPort) -> frozenset[Element]:
    """All elements of one policy.

    Raises NetapplyError where a name or an address cannot stand in a rule.
    """
    return frozenset(_of_port(policy) if isinstance(policy, PublishedPort) else _of_network(policy))


def _of_port(port: PublishedPort) -> list[Element]:
    label = _checked(_LABEL, port.container, port)
    protocol = PROTOCOLS.get(port.protocol)
    if protocol is None:
        message = f"the protocol {port.protocol!r} cannot be published"
        raise NetapplyError.of(message, port.source, f"one of: {', '.join(PROTOCOLS)}")
    service = f"{protocol} . {int(port.host_port)}"
    address = _checked(_ADDRESS, port.host_address, port)
    if port.routed:
        return [Element(f"routed{port.family}", f"{address} . {service}", "", label)]
    target = f"{_checked(_ADDRESS, port.target_address, port)} . {int(port.target_port)}"
    if address in {"0.0.0.0", "::"}:  # noqa: S104  # compared, never bound
        return [Element(f"ports{port.family}_any", service, target, label)]
    return [Element(f"ports{port.family}", f"{address} . {service}", target, label)]


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
        found.append(Element(f"networks{family}", address, "", label))
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
        # Mode routed means no translation whatever else was chosen.
        verdict = "goto translate" if mode in {"nat", "nat-unprotected"} else "accept"
        found.append(Element(f"outward{family}", bridge, verdict, label))
    if snat:
        found.append(Element(f"snat{family}", bridge, _checked(_ADDRESS, snat, network), label))
    return found


def _subnet_text(subnet: str) -> str:
    """A subnet as nft lists it: a single address without its length."""
    address, _, length = subnet.partition("/")
    return address if length == ("128" if ":" in address else "32") else subnet


def _checked(form: re.Pattern[str], text: str, policy: NetworkPolicy | PublishedPort) -> str:
    """The text, once it is sure that it cannot end the word it stands in."""
    if form.fullmatch(text) is None or len(text) > COMMENT_MAX:
        message = f"{text!r} cannot stand in a firewall rule"
        raise NetapplyError.of(message, policy.source, "use letters, digits, '_', '.' and '-'")
    return text
