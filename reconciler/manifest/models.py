"""The manifest's document as pydantic models: every key that may stand in it, and its forms.

Only the shape is judged here (keys, kinds of values); what the texts mean is judged when the
document is converted. The published JSON Schema is generated from these models.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Tag, WithJsonSchema

from reconciler.manifest.forms import (
    BY_FORM,
    LIST,
    MAP,
    TEXT,
    Count,
    Flag,
    Number,
    Pairs,
    Part,
    Text,
    Words,
    key,
    needed,
    or_variable,
)
from reconciler.manifest.network_models import NetworkPart, Networks


class PortPart(Part):
    """A published port, long form."""

    target: Text = needed("The port in the container.", 80)
    published: Text | None = key("The port of the host, or a range to choose from. Left out: any free one.", "8080")
    host_ip: Text | None = key("The host's address. Left out: all of them.", "127.0.0.1")
    protocol: Text | None = key("tcp, udp or sctp.", "udp", "tcp")
    name: Text | None = key("A name for the port.", "web")
    sources: Words | None = key("Who may use it: addresses or subnets. Left out: anybody.", ["192.0.2.0/24"])


class SpanPart(Part):
    """A port or range of ports that the host's firewall lets in, long form."""

    port: Text = needed("The port, or a range FIRST-LAST.", "8000-8010")
    protocol: Text | None = key("tcp, udp or sctp.", "udp", "tcp")
    sources: Words | None = key("Who is let in: addresses or subnets. Left out: anybody.", ["192.0.2.0/24"])


class ListenPart(Part):
    """A port that the container's process listens on, long form."""

    port: Text = needed("The port, or a range FIRST-LAST.", 80)
    address: Text | None = key("The address. Left out: every one.", "192.0.2.1")
    protocol: Text | None = key("tcp, udp or sctp.", "udp", "tcp")


class HostAddressPart(Part):
    """An address of the host that belongs to a container, long form."""

    address: Text = needed("The address.", "192.0.2.50")
    interface: Text | None = key("The host's interface that bears it. Left out: by its subnet.", "eth0")


class DeployPart(Part):
    """How the container is rolled out; only the number of replicas matters here."""

    replicas: Count | None = key("How many containers: NAME-1, NAME-2 and so on.", 3, 1)


Restart = Annotated[
    Text,
    WithJsonSchema(
        {"type": "string", "pattern": or_variable("(no|always|on-failure(:[0-9]{1,9})?|unless-stopped)?")},
    ),
]
Open = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[SpanPart, Tag(MAP)], BY_FORM]
Listens = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[ListenPart, Tag(MAP)], BY_FORM]
HostAddress = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[HostAddressPart, Tag(MAP)], BY_FORM]
HostAddresses = Annotated[
    Annotated[Text, Tag(TEXT)] | Annotated[list[HostAddress], Tag(LIST)] | Annotated[HostAddressPart, Tag(MAP)],
    BY_FORM,
]
Port = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[PortPart, Tag(MAP)], BY_FORM]
Hosts = Annotated[Annotated[dict[str, Words], Tag(MAP)] | Annotated[list[Text], Tag(LIST)], BY_FORM]


class EnvFilePart(Part):
    """A file of variables, long form."""

    path: Text = needed("The file.", "web.env")
    required: Flag | None = key("Whether a missing file is an error.", example=False, default=True)
    format: Text | None = key("raw: values are taken as they are.", "raw")


EnvFile = Annotated[Annotated[Text, Tag(TEXT)] | Annotated[EnvFilePart, Tag(MAP)], BY_FORM]
EnvFiles = Annotated[
    Annotated[Text, Tag(TEXT)] | Annotated[list[EnvFile], Tag(LIST)] | Annotated[EnvFilePart, Tag(MAP)], BY_FORM
]


class AttachPart(Part):
    """A network namespace that another program made."""

    pid: Number | None = key("The process whose network namespace it is.", 4242)
    netns: Text | None = key("Its path, or its name below /run/netns.", "/run/netns/lab")


Attach = Annotated[Annotated[Flag, Tag(TEXT)] | Annotated[AttachPart, Tag(MAP)], BY_FORM]


class ContainerPart(Part):
    """A container: its networks, its ports, its process."""

    command: Words | None = key("The process to run. Left out: an empty namespace.", ["sleep", "infinity"])
    entrypoint: Words | None = key("Comes before the command.", ["sh", "-c"])
    env_file: EnvFiles | None = key("Files of environment variables; 'environment' goes before them.", ["web.env"], [])
    environment: Pairs | None = key("Environment variables of the process; never shown.", {"MODE": "test"}, {})
    working_dir: Text | None = key("The directory the process starts in.", "/srv", "/")
    user: Text | None = key("The user, and group, of the process.", "1000:1000", "0:0")
    rootfs: Text | None = key("Directory with the process' root file system. Left out: the host's.", "images/web")
    container_name: Text | None = key("Another name of the container on its networks.", "shop-web")
    hostname: Text | None = key("The host name. Left out: the container's name.", "www")
    domainname: Text | None = key("The domain name.", "example.org")
    sysctls: Pairs | None = key("Kernel settings (net.*) of the namespace.", {"net.core.somaxconn": "1024"}, {})
    expose: list[Text] | None = key("Ports that the container listens on; not published.", ["80", "53/udp"], [])
    networks: Networks | None = key("The networks to join. Left out: the stack's default.", ["front"], ["default"])
    network_mode: Text | None = key("none, host, bridge, service:NAME or container:NAME.", "service:web")
    attach: Attach | None = key("A network namespace that another program made, to be wired.", {"netns": "lab"})
    mac_address: Text | None = key("The MAC address on the network joined first.", "02:42:ac:1c:00:0a")
    publish_all: Flag | None = key(
        "Publish every exposed port, each on a host port of netapply's choice.", example=True, default=False
    )
    ports: list[Port] | None = key("Ports to publish on the host.", ["8080:80", "127.0.0.1:53:53/udp"], [])
    open: list[Open] | None = key("In host mode: ports that the host's firewall lets in.", ["80/tcp"], [])
    listen: list[Listens] | None = key("Where the process listens, in a shared namespace.", ["192.0.2.1:80"], [])
    floating_ip: HostAddresses | None = key("Addresses that lead to this container alone.", ["192.0.2.50"], [])
    egress_ip: HostAddresses | None = key("The address its own connections bear outside.", "192.0.2.51", [])
    links: list[Text] | None = key("Containers to know, as NAME or NAME:ALIAS.", ["db:database"], [])
    external_links: list[Text] | None = key("Containers of other stacks to know.", ["billing/db:ledger"], [])
    extra_hosts: Hosts | None = key("More lines of the hosts file; host-gateway is the host.", ["db=10.0.0.9"], [])
    dns: Words | None = key("Name servers.", ["9.9.9.9"], [])
    dns_search: Words | None = key("Search domains; '.' for none.", ["example.org"], [])
    dns_opt: list[Text] | None = key("Options of the resolver, as in resolv.conf.", ["ndots:2"], [])
    ipc: Text | None = key("The IPC namespace: private, host, service:NAME or container:NAME.", "host", "private")
    pid: Text | None = key("The PID namespace: private, host, service:NAME or container:NAME.", "host", "private")
    uts: Text | None = key("The UTS namespace: private, host, service:NAME or container:NAME.", "host", "private")
    rm: Flag | None = key("Remove the container as soon as its command has ended.", example=True, default=False)
    restart: Restart | None = key("no, always, on-failure, on-failure:TIMES or unless-stopped.", "always", "no")
    scale: Count | None = key("How many containers: NAME-1, NAME-2 and so on.", 3, 1)
    deploy: DeployPart | None = key("How the container is rolled out.", {"replicas": 3}, {})
    privileged: Flag | None = key("Not used; with network_mode host a warning.", example=True, default=False)
    cap_add: list[Text] | None = key("Not used; NET_ADMIN with network_mode host is a warning.", ["NET_RAW"], [])
    depends_on: Any = None
    provider: Any = None
    profiles: list[Text] | None = key("Part of the stack only if one of these is active.", ["debug"], [])


class StackPart(Part):
    """One stack."""

    name: Text | None = key("The stack's name. Left out: from the folder or file.", "shop")
    containers: dict[str, ContainerPart | None] | None = key("The containers, by name.", {"web": {}}, {})
    networks: dict[str, NetworkPart | None] | None = key("The networks, by name.", {"front": {}}, {})
