"""Which changes of a plan account for what is different in the firewall: by table, by set, and by the comment."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise
from typing import Any

from tests.kernel.account import Account, Culprits
from tests.kernel.dump import HOST, Difference

NFTABLES = "host:firewall/nftables"
IPTABLES = "host:firewall/iptables"
_EVERY_ADDRESS = {"4": "0.0.0.0", "6": "::"}


def table(account: Account, difference: Difference) -> Culprits:
    """A table, or what is fixed in it: on a host the shared rules, in a sandbox those of its names or of a router."""
    place, name = difference.item.place, difference.item.name.split()[1]
    owners = {"netapply": ("agent", f"{place}:names"), "netapply_router": ("router", place)}
    if place == HOST:
        owners = {"netapply": ("rule", NFTABLES)}
    return account.called(*owners[name]) if name in owners else ()


def element(account: Account, difference: Difference) -> Culprits:
    """An element of one of our sets: its comment says whose it is, the set what it is about."""
    family, table, set_name, value = difference.item.name.split(" ", 3)
    if (difference.item.place, family, table) != (HOST, "inet", "netapply"):
        return ()
    key, look = json.loads(value), json.loads(difference.value)
    fields = key["concat"] if isinstance(key, dict) and "concat" in key else [key]
    stem = re.sub(r"[46]?(_any)?$", "", set_name)
    owner, sign = look["comment"], difference.sign
    match stem:
        case "ports" | "limited" | "sources" | "routed":
            protocol, port = fields[-2:]
            version = re.sub(r"\D", "", set_name)
            address = _EVERY_ADDRESS[version] if set_name.endswith("_any") else fields[-3]
            return account.named(sign, "port", container=owner, protocol=protocol, host_port=port, host_address=address)
        case "openings" | "opened":
            protocol, span = fields[-2:]
            first, last = span["range"] if isinstance(span, dict) else (span, span)
            # What is open for several at once stands there once, for none of them alone.
            whose = {"container": owner} if stem == "openings" else {}
            named = account.named(sign, "port", protocol=protocol, **whose)
            return [
                each
                for each in named
                if (each.record(sign).get("first"), each.record(sign).get("last")) == (first, last)
            ]
        case "networks":
            # So is the subnet of a network that takes another's place, which may hold it.
            span = ip_network(f"{key['prefix']['addr']}/{key['prefix']['len']}")
            return [
                each
                for each in account.named("", "policy", target_interface=None)
                for record in (each.before, each.after)
                if any(_overlap(ip_network(subnet), span) for subnet in record.get("subnets", ()))
            ]
        case "floating":
            return account.called("port", f"{owner}:floating {fields[0]}")
        case "egress":
            return account.called("port", f"{owner}:egress from {fields[0]}")
        case "answered" | "allowed" | "allowed_ports":
            return account.named(sign, "policy", network=owner, interface=fields[0], target_interface=fields[1])
        case _:
            return account.named(sign, "policy", network=owner, target_interface=None)


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def legacy(account: Account, difference: Difference) -> Culprits:
    """A rule of a legacy table; its comment says whose it is. Chains, and what is for all, are the shared rules'."""
    words, sign = shlex.split(difference.item.name), difference.sign
    table, chain = words[1].removeprefix("*"), words[2]
    told = dict(pairwise(words))
    if chain != "-A":
        # A table in which nothing is has no chains either.
        return account.called("rule", IPTABLES) if told[chain] != "DROP" else ()
    if (comment := told.get("--comment", "")) == "netapply":
        family = "ip6" if words[0].startswith("ip6") else "ip"
        accepted = account.named(sign, "rule", engine="iptables-legacy", family=family, table=table, chain=told["-A"])
        return accepted if "--mark" in told else account.called("rule", IPTABLES)
    owner = comment.partition(" ")[0]
    if "--dport" not in told:
        return account.named(sign, "policy", network=owner)
    ports = account.named(sign, "port", container=owner, protocol=told["-p"])
    return [each for each in ports if _is_met(each.record(sign), words[0].startswith("ip6"), told)]


def _is_met(port: Mapping[str, Any], version6: bool, told: Mapping[str, str]) -> bool:
    """Whether a legacy rule is about that port, or opening, of either kind."""
    first, _, last = told["--dport"].partition(":")
    if "host_port" not in port:
        return (port["first"], port["last"]) == (int(first), int(last or first))
    address = "" if port["host_address"] in _EVERY_ADDRESS.values() else port["host_address"]
    same_place = told.get("-d", "").partition("/")[0] == address and (":" in port["host_address"]) == version6
    return same_place and port["host_port"] == int(first)
