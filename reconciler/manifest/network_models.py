"""The models of networks, and of containers' places on them: every key, and its forms.

As in `models`, only the shape is judged here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Tag

from reconciler.manifest.forms import BY_FORM, LIST, MAP, TEXT, Flag, Number, Part, Text, Words, key, needed


class PoolPart(Part):
    """A subnet of a network."""

    subnet: Text | None = key("The subnet in CIDR form.", "172.28.0.0/16")
    gateway: Text | None = key("The bridge's address. Left out: the subnet's first.", "172.28.0.1")
    ip_range: Text | None = key("The part of the subnet that automatic addresses come from.", "172.28.5.0/24")
    aux_addresses: dict[str, Text] | None = key("Addresses to leave free, by name.", {"printer": "172.28.0.9"}, {})


class IpamPart(Part):
    """Address management of a network."""

    driver: Text | None = key("Only 'default'.", "default", "default")
    config: list[PoolPart] | None = key(
        "The network's subnets. None: netapply chooses.", [{"subnet": "172.28.0.0/16"}], []
    )


class ExternalPart(Part):
    """The old long form of ``external``."""

    name: Text | None = key("The network's real name.", "shop_front")


External = Annotated[Annotated[Flag, Tag(TEXT)] | Annotated[ExternalPart, Tag(MAP)], BY_FORM]


class AllowancePart(Part):
    """Another network that this one's containers may open connections to, long form."""

    network: Text = needed("The other network.", "back")
    ports: list[Text] | None = key("To these ports only. Left out: to all.", ["5432/tcp", "8000-8010"], [])


Allowance = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[AllowancePart, Tag(MAP)], BY_FORM]


class NetworkPart(Part):
    """A network of the stack."""

    name: Text | None = key("The real name. Left out: STACK_KEY, of an external network the key.", "shop_front")
    driver: Text | None = key("The kind of network.", "bridge", "bridge")
    driver_opts: dict[str, Text | None] | None = key(
        "Options of the driver, with Docker's names.", {"com.docker.network.driver.mtu": "1400"}, {}
    )
    external: External | None = key("The network is made elsewhere and only joined.", example=True, default=False)
    internal: Flag | None = key("No way out of the network, no published ports.", example=True, default=False)
    enable_ipv4: Flag | None = key("Give IPv4 addresses.", example=False, default=True)
    enable_ipv6: Flag | None = key(
        "Give IPv6 addresses. Left out: if there is an IPv6 subnet.", example=True, default=False
    )
    ipam: IpamPart | None = key("Subnets and gateways.", {"config": [{"subnet": "172.28.0.0/16"}]}, {})
    allow: list[Allowance] | None = key("Networks that its containers may open connections to.", ["back"], [])
    host_address: Words | None = key("The host's own address on a macvlan or ipvlan network.", "192.0.2.250", [])
    masquerade_ports: Text | None = key("Source ports that masqueraded connections leave the host with.", "40000-49999")


class RoutePart(Part):
    """A static route of a container."""

    to: Text = needed("The destination, a subnet.", "10.0.0.0/8")
    via: Text | None = key("The next hop, an address on this network.", "192.0.2.1")
    type: Text | None = key("unicast, blackhole, unreachable or prohibit.", "blackhole", "unicast")
    metric: Number | None = key("Of two routes to one destination the lower wins.", 100)


class AttachmentPart(Part):
    """A container's place on a network."""

    aliases: list[Text] | None = key("More names of the container on this network.", ["www"], [])
    ipv4_address: Text | None = key("A fixed IPv4 address inside one of the subnets.", "172.28.0.10")
    ipv6_address: Text | None = key("A fixed IPv6 address inside one of the subnets.", "fd00:28::10")
    link_local_ips: list[Text] | None = key("More addresses, outside of the subnets.", ["169.254.8.8"], [])
    mac_address: Text | None = key("The interface's MAC address.", "02:42:ac:1c:00:0a")
    interface_name: Text | None = key("The interface's name in the container.", "eth0")
    driver_opts: dict[str, Text | None] | None = key(
        "Options of this endpoint, with Docker's names.",
        {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"},
        {},
    )
    gw_priority: Number | None = key("The network with the highest is the way out.", 10, 0)
    priority: Number | None = key("Networks with a higher one are joined first.", 10, 0)
    gateway: Text | None = key("The container that all goes through: service:NAME or container:NAME.", "service:vpn")
    routes: list[RoutePart] | None = key("Static routes.", [{"to": "10.0.0.0/8", "via": "192.0.2.1"}], [])


Networks = Annotated[
    Annotated[dict[str, AttachmentPart | None], Tag(MAP)] | Annotated[list[Text], Tag(LIST)],
    BY_FORM,
]
