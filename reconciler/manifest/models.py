"""The manifest's document as pydantic models: every key that may stand in it, and its forms.

Only the shape is judged here (keys, kinds of values); what the texts mean is judged when the
document is converted. The published JSON Schema is generated from these models.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from reconciler.manifest.scalars import as_text

TEXT, LIST, MAP = "~text", "~list", "~map"
"""Tags of the forms a value may have; they show up in the place of an error and are skipped there."""


def _form(value: object) -> str:
    if isinstance(value, dict):
        return MAP
    return LIST if isinstance(value, list) else TEXT


Text = Annotated[str, BeforeValidator(as_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""Text; a number or bool counts as what was written."""
# A variable is text until it is replaced, so that the published schema takes text everywhere.
Flag = Annotated[bool, WithJsonSchema({"type": ["boolean", "string"]})]
Number = Annotated[int, WithJsonSchema({"type": ["integer", "string"]})]

_BY_FORM = Discriminator(_form)
Words = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[list[Text], Tag(LIST)], _BY_FORM]
Pairs = Annotated[Annotated[dict[str, Text | None], Tag(MAP)] | Annotated[list[Text], Tag(LIST)], _BY_FORM]


def _key(description: str, example: Any, default: Any = None) -> Any:
    """A key that may be left out; ``default`` is what that means, None where there is no one value."""
    return Field(None, description=description, examples=[example], json_schema_extra={"default": default})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class PoolPart(_Part):
    """A subnet of a network."""

    subnet: Text | None = _key("The subnet in CIDR form.", "172.28.0.0/16")
    gateway: Text | None = _key("The bridge's address. Left out: the subnet's first.", "172.28.0.1")
    ip_range: Text | None = _key("The part of the subnet that automatic addresses come from.", "172.28.5.0/24")
    aux_addresses: dict[str, Text] | None = _key("Addresses to leave free, by name.", {"printer": "172.28.0.9"}, {})


class IpamPart(_Part):
    """Address management of a network."""

    driver: Text | None = _key("Only 'default'.", "default", "default")
    config: list[PoolPart] | None = _key(
        "The network's subnets. None: netapply chooses.", [{"subnet": "172.28.0.0/16"}], []
    )


class ExternalPart(_Part):
    """The old long form of ``external``."""

    name: Text | None = _key("The network's real name.", "shop_front")


External = Annotated[Annotated[Flag, Tag(TEXT)] | Annotated[ExternalPart, Tag(MAP)], _BY_FORM]


class NetworkPart(_Part):
    """A network of the stack."""

    name: Text | None = _key("The real name. Left out: STACK_KEY, of an external network the key.", "shop_front")
    driver: Text | None = _key("The kind of network.", "bridge", "bridge")
    driver_opts: dict[str, Text | None] | None = _key(
        "Options of the driver, with Docker's names.", {"com.docker.network.driver.mtu": "1400"}, {}
    )
    external: External | None = _key("The network is made elsewhere and only joined.", example=True, default=False)
    internal: Flag | None = _key("No way out of the network, no published ports.", example=True, default=False)
    enable_ipv4: Flag | None = _key("Give IPv4 addresses.", example=False, default=True)
    enable_ipv6: Flag | None = _key(
        "Give IPv6 addresses. Left out: if there is an IPv6 subnet.", example=True, default=False
    )
    ipam: IpamPart | None = _key("Subnets and gateways.", {"config": [{"subnet": "172.28.0.0/16"}]}, {})


class AttachmentPart(_Part):
    """A container's place on a network."""

    aliases: list[Text] | None = _key("More names of the container on this network.", ["www"], [])
    ipv4_address: Text | None = _key("A fixed IPv4 address inside one of the subnets.", "172.28.0.10")
    ipv6_address: Text | None = _key("A fixed IPv6 address inside one of the subnets.", "fd00:28::10")
    link_local_ips: list[Text] | None = _key("More addresses, outside of the subnets.", ["169.254.8.8"], [])
    mac_address: Text | None = _key("The interface's MAC address.", "02:42:ac:1c:00:0a")
    interface_name: Text | None = _key("The interface's name in the container.", "eth0")
    driver_opts: dict[str, Text | None] | None = _key(
        "Options of this endpoint, with Docker's names.",
        {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"},
        {},
    )
    gw_priority: Number | None = _key("The network with the highest is the way out.", 10, 0)
    priority: Number | None = _key("Networks with a higher one are joined first.", 10, 0)


class PortPart(_Part):
    """A published port, long form."""

    target: Text = Field(description="The port in the container.", examples=[80], json_schema_extra={"default": None})
    published: Text | None = _key("The port of the host, or a range to choose from. Left out: any free one.", "8080")
    host_ip: Text | None = _key("The host's address. Left out: all of them.", "127.0.0.1")
    protocol: Text | None = _key("tcp, udp or sctp.", "udp", "tcp")
    name: Text | None = _key("A name for the port.", "web")


Port = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[PortPart, Tag(MAP)], _BY_FORM]
Networks = Annotated[
    Annotated[dict[str, AttachmentPart | None], Tag(MAP)] | Annotated[list[Text], Tag(LIST)],
    _BY_FORM,
]


Hosts = Annotated[Annotated[dict[str, Words], Tag(MAP)] | Annotated[list[Text], Tag(LIST)], _BY_FORM]


class EnvFilePart(_Part):
    """A file of variables, long form."""

    path: Text = Field(description="The file.", examples=["web.env"], json_schema_extra={"default": None})
    required: Flag | None = _key("Whether a missing file is an error.", example=False, default=True)
    format: Text | None = _key("raw: values are taken as they are.", "raw")


EnvFile = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[EnvFilePart, Tag(MAP)], _BY_FORM]
EnvFiles = Annotated[
    Annotated[Text, Tag(TEXT)] | Annotated[list[EnvFile], Tag(LIST)] | Annotated[EnvFilePart, Tag(MAP)], _BY_FORM
]


class ContainerPart(_Part):
    """A container: its networks, its ports, its process."""

    command: Words | None = _key("The process to run. Left out: an empty namespace.", ["sleep", "infinity"])
    entrypoint: Words | None = _key("Comes before the command.", ["sh", "-c"])
    env_file: EnvFiles | None = _key("Files of environment variables; 'environment' goes before them.", ["web.env"], [])
    environment: Pairs | None = _key("Environment variables of the process; never shown.", {"MODE": "test"}, {})
    working_dir: Text | None = _key("The directory the process starts in.", "/srv", "/")
    user: Text | None = _key("The user, and group, of the process.", "1000:1000", "0:0")
    rootfs: Text | None = _key("Directory with the process' root file system. Left out: the host's.", "images/web")
    container_name: Text | None = _key("Another name of the container on its networks.", "shop-web")
    hostname: Text | None = _key("The host name. Left out: the container's name.", "www")
    domainname: Text | None = _key("The domain name.", "example.org")
    sysctls: Pairs | None = _key("Kernel settings (net.*) of the namespace.", {"net.core.somaxconn": "1024"}, {})
    expose: list[Text] | None = _key("Ports that the container listens on; not published.", ["80", "53/udp"], [])
    networks: Networks | None = _key("The networks to join. Left out: the stack's default.", ["front"], ["default"])
    network_mode: Text | None = _key("none, host, bridge, service:NAME or container:NAME.", "service:web")
    mac_address: Text | None = _key("The MAC address on the network joined first.", "02:42:ac:1c:00:0a")
    ports: list[Port] | None = _key("Ports to publish on the host.", ["8080:80", "127.0.0.1:53:53/udp"], [])
    links: list[Text] | None = _key("Containers to know, as NAME or NAME:ALIAS.", ["db:database"], [])
    external_links: list[Text] | None = _key("Containers of other stacks to know.", ["billing/db:ledger"], [])
    extra_hosts: Hosts | None = _key("More lines of the hosts file; host-gateway is the host.", ["db=10.0.0.9"], [])
    dns: Words | None = _key("Name servers.", ["9.9.9.9"], [])
    dns_search: Words | None = _key("Search domains; '.' for none.", ["example.org"], [])
    dns_opt: list[Text] | None = _key("Options of the resolver, as in resolv.conf.", ["ndots:2"], [])
    profiles: list[Text] | None = _key("Part of the stack only if one of these is active.", ["debug"], [])


class StackPart(_Part):
    """One stack."""

    name: Text | None = _key("The stack's name. Left out: from the folder or file.", "shop")
    containers: dict[str, ContainerPart | None] | None = _key("The containers, by name.", {"web": {}}, {})
    networks: dict[str, NetworkPart | None] | None = _key("The networks, by name.", {"front": {}}, {})
