"""The manifest's document as pydantic models: every key that may stand in it, and its forms.

Only the shape is judged here (keys, kinds of values); what the texts mean is judged when the
document is converted. The published JSON Schema is generated from these models.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from reconciler.manifest.scalars import as_text

TEXT, LIST, MAP = "~text", "~list", "~map"
"""Tags of the forms a value may have; they show up in the place of an error and are skipped there."""


def _form(value: object) -> str:
    if isinstance(value, dict):
        return MAP
    return LIST if isinstance(value, list) else TEXT


Text = Annotated[str, BeforeValidator(as_text)]
"""Text; a number or bool counts as what was written."""

_BY_FORM = Discriminator(_form)
Words = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[list[Text], Tag(LIST)], _BY_FORM]
Pairs = Annotated[Annotated[dict[str, Text | None], Tag(MAP)] | Annotated[list[Text], Tag(LIST)], _BY_FORM]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class PoolPart(_Part):
    """A subnet of a network."""

    subnet: Text | None = Field(None, description="The subnet in CIDR form.", examples=["172.28.0.0/16"])
    gateway: Text | None = Field(None, description="The bridge's address. Default: the subnet's first address.")
    ip_range: Text | None = Field(None, description="The part of the subnet that automatic addresses come from.")
    aux_addresses: dict[str, Text] | None = Field(None, description="Addresses to leave free, by name.")


class IpamPart(_Part):
    """Address management of a network."""

    driver: Text | None = Field(None, description="Only 'default'.")
    config: list[PoolPart] | None = Field(None, description="The network's subnets; none: netapply chooses.")


class ExternalPart(_Part):
    """The old long form of ``external``."""

    name: Text | None = Field(None, description="The network's real name.")


External = Annotated[Annotated[bool, Tag(TEXT)] | Annotated[ExternalPart, Tag(MAP)], _BY_FORM]


class NetworkPart(_Part):
    """A network of the stack."""

    name: Text | None = Field(None, description="The real name. Default: STACK_KEY.")
    driver: Text | None = Field(None, description="The kind of network. Default: bridge.", examples=["bridge"])
    driver_opts: dict[str, Text | None] | None = Field(None, description="Options of the driver.")
    external: External | None = Field(None, description="The network is made elsewhere and only joined.")
    internal: bool | None = Field(None, description="No way out of the network. Default: false.")
    enable_ipv4: bool | None = Field(None, description="Give IPv4 addresses. Default: true.")
    enable_ipv6: bool | None = Field(None, description="Give IPv6 addresses. Default: false.")
    ipam: IpamPart | None = Field(None, description="Subnets and gateways.")


class AttachmentPart(_Part):
    """A container's place on a network."""

    aliases: list[Text] | None = Field(None, description="More names of the container on this network.")
    ipv4_address: Text | None = Field(None, description="A fixed IPv4 address inside one of the subnets.")
    ipv6_address: Text | None = Field(None, description="A fixed IPv6 address inside one of the subnets.")
    link_local_ips: list[Text] | None = Field(None, description="Link-local addresses.")
    mac_address: Text | None = Field(None, description="The interface's MAC address.")
    interface_name: Text | None = Field(None, description="The interface's name in the container.", examples=["eth0"])
    driver_opts: dict[str, Text | None] | None = Field(None, description="Options of this endpoint.")
    gw_priority: int | None = Field(None, description="The network with the highest is the way out. Default: 0.")
    priority: int | None = Field(None, description="Networks with a higher one are joined first. Default: 0.")


class PortPart(_Part):
    """A published port, long form."""

    target: Text = Field(description="The port in the container.", examples=["80"])
    published: Text | None = Field(None, description="The port of the host, or a range to choose from.")
    host_ip: Text | None = Field(None, description="The host's address. Default: all.")
    protocol: Text | None = Field(None, description="tcp, udp or sctp. Default: tcp.")
    name: Text | None = Field(None, description="A name for the port.")


Port = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[PortPart, Tag(MAP)], _BY_FORM]
Networks = Annotated[
    Annotated[dict[str, AttachmentPart | None], Tag(MAP)] | Annotated[list[Text], Tag(LIST)],
    _BY_FORM,
]


Hosts = Annotated[Annotated[dict[str, Words], Tag(MAP)] | Annotated[list[Text], Tag(LIST)], _BY_FORM]


class ContainerPart(_Part):
    """A container: its networks, its ports, its process."""

    command: Words | None = Field(None, description="The process to run; none: an empty namespace.")
    entrypoint: Words | None = Field(None, description="Comes before the command.")
    environment: Pairs | None = Field(None, description="Environment variables of the process.")
    working_dir: Text | None = Field(None, description="The directory the process starts in.")
    user: Text | None = Field(None, description="The user, and group, of the process.", examples=["1000:1000"])
    rootfs: Text | None = Field(None, description="Directory with the process' root file system. Default: the host's.")
    container_name: Text | None = Field(None, description="Another name of the container on its networks.")
    hostname: Text | None = Field(None, description="The host name. Default: the container's name.")
    domainname: Text | None = Field(None, description="The domain name.")
    sysctls: Pairs | None = Field(None, description="Kernel settings of the container's namespace.")
    expose: list[Text] | None = Field(None, description="Ports that the container listens on; not published.")
    networks: Networks | None = Field(None, description="The networks to join. Default: the stack's own.")
    network_mode: Text | None = Field(None, description="none, host, bridge, service:NAME or container:NAME.")
    mac_address: Text | None = Field(None, description="The MAC address on the network joined first.")
    ports: list[Port] | None = Field(None, description="Ports to publish on the host.", examples=[["8080:80"]])
    links: list[Text] | None = Field(None, description="Containers to know, as NAME or NAME:ALIAS.")
    external_links: list[Text] | None = Field(None, description="Containers of other stacks to know.")
    extra_hosts: Hosts | None = Field(None, description="More lines for the hosts file.", examples=[["db=10.0.0.9"]])
    dns: Words | None = Field(None, description="Name servers.")
    dns_search: Words | None = Field(None, description="Search domains.")
    dns_opt: list[Text] | None = Field(None, description="Options of the resolver.")
    profiles: list[Text] | None = Field(None, description="The container is part of the stack only with one of these.")


class StackPart(_Part):
    """One stack."""

    name: Text | None = Field(None, description="The stack's name.")
    containers: dict[str, ContainerPart | None] | None = Field(None, description="The containers, by name.")
    networks: dict[str, NetworkPart | None] | None = Field(None, description="The networks, by name.")
