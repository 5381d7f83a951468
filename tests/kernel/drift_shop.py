"""The stack to which drift happens: two containers on one network, and two calm ones on another that notice nothing."""

from __future__ import annotations

from tests.kernel.lab import Host

SHOP = """
name: shop
networks:
  front:
    enable_ipv6: true
    ipam: {config: [{subnet: 172.30.1.0/24}, {subnet: "fd30:1::/64"}]}
    driver_opts: {com.docker.network.bridge.name: brfront}
  calm:
    ipam: {config: [{subnet: 172.30.2.0/24}]}
    driver_opts: {com.docker.network.bridge.name: brcalm}
containers:
  web:
    networks: {front: {ipv4_address: 172.30.1.10, ipv6_address: "fd30:1::10"}}
    ports: ["8080:80"]
    sysctls: {net.ipv4.ip_unprivileged_port_start: "70"}
    command: [sleep, "600"]
  app:
    networks: {front: {ipv4_address: 172.30.1.11, ipv6_address: "fd30:1::11"}}
  pair1:
    networks: {calm: {ipv4_address: 172.30.2.10}}
  pair2:
    networks: {calm: {ipv4_address: 172.30.2.11}}
"""


def port_of(host: Host, container: str) -> str:
    """The host's interface that leads to the container."""
    return host.run(["sh", "-c", f"ip -o link | grep -o 'nv-{container}-[a-z0-9]*'"]).stdout.split()[0]
