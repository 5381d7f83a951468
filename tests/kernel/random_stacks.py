"""Random stacks for the comparison of ``reach`` with real packets: networks, ports and modes of every kind."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.kernel.talk import Protocol

SERVICES = (80, 81)
"""Every container listens here, for both protocols and families."""
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")
_NAMES = ("web", "app", "db", "mail", "cache")
_OPTION = "com.docker.network.bridge."


@dataclass(slots=True)
class Stack:
    """A manifest for ``host.write`` (JSON is YAML), and what the host is before it and suffers after it."""

    manifest: dict[str, Any]
    backend: str
    before: list[list[str]] = field(default_factory=list)
    """Commands that the host's owner ran."""
    drift: list[list[str]] = field(default_factory=list)
    """Commands that somebody runs afterwards; BRIDGE stands for the bridge of some network."""

    def __repr__(self) -> str:
        return f"Stack({self.manifest}, {self.backend}, before={self.before}, drift={self.drift})"


def random_stack(seed: int) -> Stack:
    """Always the same one for the same seed."""
    dice = random.Random(seed)  # noqa: S311  # a test's examples, no secret
    backend = dice.choice(["nftables", "nftables", "iptables"])
    networks = {f"net{index}": _network(dice, index, backend) for index in range(dice.randint(1, 4))}
    if backend == "nftables":
        _allow(dice, networks)
    if dice.random() < 0.3:
        networks["lan"] = _lan(dice)
    names = _NAMES[: dice.randint(2, 5)]
    containers: dict[str, dict[str, Any]] = {}
    for name in names:
        containers[name] = _container(dice, containers, networks, backend)
    return Stack(
        {"name": "shop", "networks": networks, "containers": containers}, backend, _before(dice), _drift(dice, backend)
    )


def _network(dice: random.Random, index: int, backend: str) -> dict[str, Any]:
    del backend
    internal = dice.random() < 0.25
    options = {}
    if dice.random() < 0.25:
        options[f"{_OPTION}enable_icc"] = "false"
    if not internal:
        if dice.random() < 0.2:
            options[f"{_OPTION}enable_ip_masquerade"] = "false"
        if dice.random() < 0.3:
            options[f"{_OPTION}gateway_mode_ipv4"] = dice.choice(["nat-unprotected", "routed"])
        if dice.random() < 0.3:
            options[f"{_OPTION}gateway_mode_ipv6"] = dice.choice(["nat-unprotected", "routed"])
        if dice.random() < 0.15:
            options[f"{_OPTION}host_binding_ipv4"] = dice.choice(["127.0.0.1", "192.0.2.1"])
        if dice.random() < 0.15:
            options[f"{_OPTION}trusted_host_interfaces"] = "eth0"
    return {
        "internal": internal,
        "enable_ipv6": dice.random() < 0.5,
        "driver_opts": options,
        "ipam": {"config": [{"subnet": f"172.30.{index}.0/24"}]},
    }


def _lan(dice: random.Random) -> dict[str, Any]:
    """A macvlan network on the host's own LAN, with or without the host's way into it."""
    subnets = [{"subnet": "192.0.2.0/24", "ip_range": "192.0.2.128/26", "gateway": "192.0.2.254"}]
    if dice.random() < 0.5:
        subnets.append({"subnet": "2001:db8::/64", "ip_range": "2001:db8::8000/113", "gateway": "2001:db8::ffff:1"})
    mode = dice.choice(["bridge", "bridge", "private"])
    network = {
        "driver": "macvlan",
        "driver_opts": {"parent": "eth0", "macvlan_mode": mode},
        "ipam": {"config": subnets},
    }
    if mode == "bridge" and dice.random() < 0.5:
        network["host_address"] = "192.0.2.250"
    return network


def _allow(dice: random.Random, networks: dict[str, dict[str, Any]]) -> None:
    keys = sorted(networks)
    for key in keys:
        others = [other for other in keys if other != key]
        if others and dice.random() < 0.25:
            target = dice.choice(others)
            ports = ["80/tcp"] if dice.random() < 0.5 else []
            networks[key]["allow"] = [{"network": target, "ports": ports} if ports else target]


def _container(
    dice: random.Random, others: dict[str, dict[str, Any]], networks: dict[str, dict[str, Any]], backend: str
) -> dict[str, Any]:
    owners = [name for name, other in others.items() if "network_mode" not in other]
    mode = dice.random()
    if mode < 0.08:
        return {"network_mode": "none"}
    if mode < 0.2:
        opened: list[Any] = (
            [{"port": 7000, "sources": ["192.0.2.2", "2001:db8::2"]}] if dice.random() < 0.3 else ["7000/tcp"]
        )
        return {"network_mode": "host", "open": opened if dice.random() < 0.7 else []}
    if mode < 0.3 and owners:
        return {"network_mode": f"service:{dice.choice(owners)}"}
    joined = dice.sample(sorted(networks), dice.randint(1, min(3, len(networks))))
    attached: dict[str, dict[str, Any]] = {key: {} for key in joined}
    if dice.random() < 0.3:
        attached[joined[0]]["gw_priority"] = 1
    container: dict[str, Any] = {"networks": attached}
    if any(not networks[key].get("internal") and key != "lan" for key in joined):
        _add_ways_in_and_out(dice, container, len(others), backend)
    _add_routes(dice, container, others, networks)
    return container


def _add_ways_in_and_out(dice: random.Random, container: dict[str, Any], number: int, backend: str) -> None:
    first = 8000 + 100 * number
    container["ports"] = [_port(dice, first + index) for index in range(dice.randint(0, 3))]
    if backend == "nftables" and dice.random() < 0.12:
        container["floating_ip"] = f"192.0.2.{50 + number}"
    elif backend == "nftables" and dice.random() < 0.12:
        container["egress_ip"] = "192.0.2.1"


def _add_routes(
    dice: random.Random,
    container: dict[str, Any],
    others: dict[str, dict[str, Any]],
    networks: dict[str, dict[str, Any]],
) -> None:
    attached = container["networks"]
    first = next(iter(attached))
    routers = [name for name, other in others.items() if _can_route(other, first, networks)]
    if routers and dice.random() < 0.2:
        attached[first]["gateway"] = f"container:{dice.choice(routers)}"
        container.pop("floating_ip", None)
        container.pop("egress_ip", None)
    elif dice.random() < 0.15:
        kind = dice.choice(["blackhole", "unreachable", "prohibit"])
        elsewhere = [f"172.30.{key[-1]}.0/24" for key in networks if key not in {*attached, "lan"}]
        elsewhere += ["192.0.2.3/32"] * ("lan" not in attached)
        if elsewhere:
            attached[first]["routes"] = [{"to": dice.choice(elsewhere), "type": kind}]


def _can_route(other: dict[str, Any], network: str, networks: dict[str, dict[str, Any]]) -> bool:
    options = networks[network]["driver_opts"]
    icc = options.get(f"{_OPTION}enable_icc") != "false" and options.get("macvlan_mode") != "private"
    return icc and network in other.get("networks", ())


def _port(dice: random.Random, number: int) -> dict[str, Any]:
    port: dict[str, Any] = {
        "target": dice.choice(SERVICES),
        "published": number,
        "protocol": dice.choice(["tcp", "tcp", "udp"]),
    }
    chance = dice.random()
    if chance < 0.2:
        port["host_ip"] = dice.choice(["127.0.0.1", "192.0.2.1"])
    if dice.random() < 0.25:
        port["sources"] = dice.choice([["192.0.2.2"], ["192.0.2.2", "2001:db8::2"], ["172.30.0.0/24", "192.0.2.3"]])
    return port


def _before(dice: random.Random) -> list[list[str]]:
    calls = dice.choice("01")
    commands = [
        ["sysctl", "-qw", f"net.bridge.bridge-nf-call-{program}={calls}"] for program in ("iptables", "ip6tables")
    ]
    if dice.random() < 0.35:
        commands += [[program, "-w", "-P", "FORWARD", "DROP"] for program in ("iptables", "ip6tables")]
    if dice.random() < 0.35:
        for program, icmp in (("iptables", "icmp"), ("ip6tables", "ipv6-icmp")):
            rules = ["-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", f"-p {icmp} -j ACCEPT", "-i lo -j ACCEPT"]
            commands += [[program, "-w", "-A", "INPUT", *rule.split()] for rule in rules]
            commands.append([program, "-w", "-P", "INPUT", "DROP"])
    return commands


def _drift(dice: random.Random, backend: str) -> list[list[str]]:
    if dice.random() > 0.25:
        return []
    choices = [
        ["sysctl", "-qw", "net.ipv4.ip_forward=0"],
        ["ip", "link", "set", "BRIDGE", "down"],
        ["iptables", "-w", "-F", "FORWARD"],
    ]
    if backend == "nftables":
        choices.append(["nft", "delete", "table", "inet", "netapply"])
    return [dice.choice(choices)]
