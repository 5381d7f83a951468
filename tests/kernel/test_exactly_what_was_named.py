"""A plan that was carried out changed exactly the objects that it named: full dumps before and after say so.

Beside the stack ``shop``, whose manifest is edited in every way, stand another stack and things of strangers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.kernel import dump
from tests.kernel.accounting import faults
from tests.kernel.dump import Dump
from tests.kernel.lab import Host, Lab

SHOP = """
name: shop
networks:
  front:
    enable_ipv6: true
    ipam: {config: {four: {subnet: 172.30.1.0/24}, six: {subnet: "fd00:30:1::/64"}}}
    driver_opts: {com.docker.network.bridge.name: brfront}
  back:
    internal: true
    ipam: {config: {four: {subnet: 172.30.2.0/24}}}
    driver_opts: {com.docker.network.bridge.name: brback}
containers:
  web:
    networks: {front: {ipv4_address: 172.30.1.10}}
    ports: {first: {target: 80, published: 8080}, second: "8081:81"}
    sysctls: {net.core.somaxconn: 1000}
  app:
    networks: {front: {ipv4_address: 172.30.1.11}, back: {}}
    links: [web]
    command: [sleep, "600"]
  database: {networks: {back: {}}}
  router: {networks: {front: {}, back: {}}}
  side: {network_mode: "service:web"}
  monitor: {network_mode: host, open: [9100/tcp]}
"""
"""Ports and subnets have names here, so that an edit can change one of them."""

EDITS = {
    "ports more": "containers: {web: {ports: {a: '8082:82', b: '5300:53/udp', c: '127.0.0.1:8083:83'}}}",
    "a port moves to another host port": "containers: {web: {ports: {first: {published: 8088}}}}",
    "a port moves to another container": "containers: {web: {ports: {second: null}}, app: {ports: {second: '8081:81'}}}",
    "sources of a port": "containers: {web: {ports: {first: {sources: [192.0.2.0/24, '2001:db8::/64']}}}}",
    "a network joined": "containers: {web: {networks: {back: {}}}}",
    "a container more": """
        containers: {extra: {networks: {front: {}, back: {}}, ports: {a: '8084:80'}, command: [sleep, '600']}}""",
    "another fixed address": "containers: {app: {networks: {front: {ipv4_address: 172.30.1.21}}}}",
    "another setting, and one more": """
        containers: {web: {sysctls: {net.core.somaxconn: 2000, net.ipv4.ip_default_ttl: 50}}}""",
    "extra hosts": "containers: {web: {extra_hosts: ['db=10.0.0.9']}}",
    "an alias": "containers: {web: {networks: {front: {aliases: [www]}}}}",
    "other name servers": "containers: {app: {dns: [192.0.2.2], dns_search: [example.org]}}",
    "another host name": "containers: {database: {hostname: db1}}",
    "members apart": "networks: {front: {driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}}",
    "no masquerading": "networks: {front: {driver_opts: {com.docker.network.bridge.enable_ip_masquerade: 'false'}}}",
    "a way out": "networks: {back: {internal: false}}",
    "another MTU": "networks: {back: {driver_opts: {com.docker.network.driver.mtu: '1400'}}}",
    "IPv6 on a network": "networks: {back: {enable_ipv6: true, ipam: {config: {six: {subnet: 'fd00:30:2::/64'}}}}}",
    "another subnet": "networks: {back: {ipam: {config: {four: {subnet: 172.30.7.0/24}}}}}",
    "a network allowed": "networks: {front: {allow: [back]}}",
    "a network more": """
        {networks: {third: {ipam: {config: {four: {subnet: 172.30.3.0/24}}}}},
        containers: {app: {networks: {third: {}}}}}""",
    "a macvlan network": """
        {networks: {lan: {driver: macvlan, driver_opts: {parent: eth0}, host_address: 192.0.2.250,
        ipam: {config: {four: {subnet: 192.0.2.0/24, ip_range: 192.0.2.128/26, gateway: 192.0.2.254}}}}},
        containers: {app: {networks: {lan: {}}}}}""",
    "the default network": "containers: {plain: {network_mode: bridge, ports: {a: '8085:80'}}}",
    "no translation": "networks: {front: {driver_opts: {com.docker.network.bridge.gateway_mode_ipv6: routed}}}",
    "another MAC and name": """
        containers: {router: {networks: {front: {mac_address: '02:00:5e:10:00:77', interface_name: outer}}}}""",
    "more addresses": "containers: {database: {networks: {back: {link_local_ips: [169.254.8.8, 10.1.2.3]}}}}",
    "another way out first": "containers: {router: {networks: {back: {gw_priority: 5}}}}",
    "a router in between": "containers: {app: {networks: {back: {gateway: 'service:router'}}}}",
    "static routes": """
        {containers: {web: {networks: {front: {routes: [{to: 10.9.0.0/16, via: 172.30.1.77},
        {to: 10.8.0.0/16, type: blackhole}, {to: 'fd00:99::/64', via: 'fd00:30:1::77'}]}}}}}""",
    "another command": "containers: {app: {command: [sleep, '700']}}",
    "another's network no more": "containers: {side: {network_mode: none}}",
    "the host opened": "containers: {monitor: {open: [9200-9210/udp]}}",
    "an address for what leaves": "containers: {web: {egress_ip: [192.0.2.1]}}",
    "a floating address": "containers: {web: {floating_ip: [192.0.2.50]}}",
}

HALF = (len(EDITS) + 1) // 2

WITH_IPTABLES = [
    ("ports more", "sources of a port", "members apart", "a way out"),
    ("a port moves to another host port", "a port moves to another container", "no masquerading", "another subnet"),
    ("the host opened", "ports more", "members apart"),
]
"""What a backend of the firewall has to do with; several in a step, which takes it long."""

NFTABLES_ONLY = {"a network allowed", "an address for what leaves", "a floating address"}

OTHER = """
name: other
networks: {side: {enable_ipv6: true, driver_opts: {com.docker.network.bridge.name: brother}}}
containers:
  one: {networks: [side], ports: ["9000:90"], sysctls: {net.core.somaxconn: 3000}, extra_hosts: ["db=10.0.0.9"]}
  two: {networks: [side], command: [sleep, "600"]}
  here: {network_mode: host, open: [9100/tcp, 9900/tcp]}
"""

STRANGERS = """
ip link add stranger0 address 02:00:5e:10:00:01 type bridge
ip link set stranger0 addrgenmode none up
ip address add 198.51.100.1/24 dev stranger0
ip route add 203.0.113.0/24 via 198.51.100.7
ip rule add from 198.51.100.0/24 lookup 77
ip neighbour add 198.51.100.9 lladdr 02:00:5e:10:00:09 dev stranger0 nud permanent
nft add table inet stranger
nft 'add chain inet stranger forward { type filter hook forward priority 0; policy drop; }'
nft 'add chain inet stranger input { type filter hook input priority 0; policy drop; }'
nft add rule inet stranger input ip saddr 198.51.100.66 drop
nft add rule inet stranger forward ct state established accept
iptables-legacy -w -A INPUT -s 198.51.100.67 -j DROP
sysctl -qw net.ipv4.tcp_fin_timeout=33
"""

THEIRS = """
ip link show stranger0; ip address show stranger0; ip neighbour show dev stranger0
ip route show dev stranger0; ip rule; sysctl net.ipv4.tcp_fin_timeout
nft list table inet stranger; iptables-legacy-save -t filter | grep -v '^[#:]'
"""


def manifest(edits: Iterable[str]) -> str:
    """The stack with these edits, as JSON, which is YAML."""
    stack = _loaded(SHOP)
    for edit in edits:
        _lay_over(stack, _loaded(EDITS[edit]))
    for network in stack["networks"].values():
        network["ipam"]["config"] = list(network["ipam"]["config"].values())
    for container in stack["containers"].values():
        container["ports"] = [port for port in container.get("ports", {}).values() if port]
    return json.dumps(stack, indent=1)


def _loaded(text: str) -> Any:
    return YAML(typ="safe").load(text)


def _lay_over(below: dict[str, Any], edit: dict[str, Any]) -> None:
    """Mappings merge, other values give way; but what is open to the host becomes more."""
    for key, value in edit.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        elif isinstance(value, list) and key == "open":
            below[key] = [*below[key], *value]
        else:
            below[key] = value


class World:
    """A host with strangers on it; each step is held against its plan."""

    def __init__(self, host: Host, backend: str) -> None:
        self.host = host
        self.backend = backend
        host.run(["sh", "-ec", STRANGERS])
        self.theirs = self._theirs()
        self.first = self.seen = dump.take(host.path)

    def stack(self, name: str, text: str, *command: str, saved: bool = False) -> bool:
        """Plan that manifest, carry it out (by ``command``, or as the saved plan), and compare; whether it had changes."""
        self.host.write(f"{name}.yaml", text)
        file_name = f"{name}.plan" if saved else f"{name}.yaml"
        changes = self._planned(f"{name}.yaml", *(["--out", file_name] if saved else []))
        self._netapply(*(command or ("up", file_name)))
        before, self.seen = self.seen, dump.take(self.host.path)
        found = faults(changes, before, self.seen)
        assert not found, "\n".join([f"{len(found)} faults", *found[:40]])
        self._assert_others_untouched(name, before)
        return bool(changes)

    def down(self, name: str) -> None:
        """Carry out ``down``, which has to do what a manifest without anything would."""
        self.stack(name, f"name: {name}\n", "down", "-p", name)

    def _planned(self, *arguments: str) -> list[dict[str, Any]]:
        done = self._netapply("plan", "--format", "json", *arguments)
        changes: list[dict[str, Any]] = json.loads(done)["changes"]
        return changes

    def _netapply(self, *arguments: str) -> str:
        done = self.host.netapply("--firewall", self.backend, *arguments, check=False)
        expected = {0, 2} if arguments[0] == "plan" else {0}
        assert done.returncode in expected, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def _assert_others_untouched(self, stack_name: str, before: Dump) -> None:
        other = "shop" if stack_name == "other" else "other"
        assert _part(before, other) == _part(self.seen, other)
        assert self._theirs() == self.theirs

    def _theirs(self) -> list[str]:
        """What programs say of the strangers' things, without our own rules among them."""
        text = self.host.run(["sh", "-ec", THEIRS]).stdout
        return [line for line in text.splitlines() if "netapply" not in line]


def _part(whole: Dump, word: str) -> Dump:
    return {item: look for item, look in whole.items() if word in look or word in item.name or word in item.place}


def walk(host: Host, backend: str, steps: Sequence[tuple[str, ...]], *, saved: bool = False) -> None:
    """Both stacks up, the edits of each step made or taken back, both down; in the end nothing is left.

    Each edit does something; taken back, maybe nothing: a way out stays as it is among equal ones.
    """
    world = World(host, backend)
    world.stack("other", OTHER)
    assert _part(world.seen, "other")
    world.stack("shop", manifest(()))
    made: list[str] = []
    for number, step in enumerate(steps, 1):
        made = [edit for edit in EDITS if (edit in made) != (edit in step)]
        try:
            changed = world.stack("shop", manifest(made), saved=saved)
            assert changed or not set(step) & set(made), "these edits are none"
        except AssertionError as error:
            error.add_note(f"in step {number}, {step}, which left: {made}")
            raise
    world.down("shop")
    world.down("other")
    left = dump.differences(world.first, world.seen)
    assert not left, "\n".join(map(str, left[:40]))


def test_every_edit(lab: Lab) -> None:
    edits = list(EDITS)
    # Two in each step, of different kinds as they stand, for half the time.
    walk(lab.host(), "nftables", [tuple(edits[at::HALF]) for at in range(HALF)])


def test_edits_with_iptables(lab: Lab) -> None:
    pytest.importorskip("iptc", reason="the extra netapply[iptables] is not installed")
    walk(lab.host(), "iptables", WITH_IPTABLES)


DRIFT = """
ip netns exec {web} ip address del 172.30.1.10/24 dev eth0
ip netns exec {app} ip -6 route del default
ip netns exec {web} sysctl -qw net.core.somaxconn=77
ip netns exec {database} ip link set eth0 mtu 1300
ip link set brback down
nft delete element inet netapply ports4_any '{{ tcp . 8080 }}'
nft add element inet netapply apart '{{ "brfront" comment "shop/front" }}'
nft flush chain inet netapply spoofed
echo 10.0.0.66 evil >> /etc/netns/{app}/hosts
"""


def test_what_was_changed_by_hand_is_all_that_is_put_right(lab: Lab) -> None:
    world = World(lab.host(), "nftables")
    world.stack("other", OTHER)
    world.stack("shop", manifest(()))
    pins = {each["name"]: Path(each["netns"]).name for each in world.host.ps()}
    world.host.run(["sh", "-ec", DRIFT.format(**pins)])
    right, world.seen = world.seen, dump.take(world.host.path)
    world.stack("shop", manifest(()))
    # The shared chains were made anew as a whole, so that they have other numbers now.
    left = [each for each in dump.differences(right, world.seen) if each.item.sort not in {"chain", "rule"}]
    assert not left, "\n".join(map(str, left[:40]))
    world.host.netapply("--firewall", "nftables", "plan", "shop.yaml")


def random_steps(seed: int, edits: Sequence[str], count: int) -> list[tuple[str, ...]]:
    """Some edits in each, made if they are not and taken back if they are; always the same for one seed."""
    dice = random.Random(seed)  # noqa: S311  # a test's examples, no secret
    return [tuple(dice.sample(edits, dice.randint(1, 4))) for _ in range(count)]


@pytest.mark.parametrize("seed", [1])
def test_edits_in_any_order(lab: Lab, seed: int) -> None:
    walk(lab.host(), "nftables", random_steps(seed, list(EDITS), 6), saved=True)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_edit_by_edit(lab: Lab, backend: str) -> None:
    walk(lab.host(), backend, [(edit,) for edit in EDITS if backend == "nftables" or edit not in NFTABLES_ONLY])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_many_edits_in_any_order(lab: Lab, seed: int) -> None:
    backend = "iptables" if seed % 4 == 0 else "nftables"
    edits = [edit for edit in EDITS if backend == "nftables" or edit not in NFTABLES_ONLY]
    walk(lab.host(), backend, random_steps(seed, edits, 30), saved=bool(seed % 2))
