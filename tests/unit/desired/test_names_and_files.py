"""What containers are told of each other and of the world: pure functions of manifests and an observation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler import manifest
from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.errors import NetapplyError
from reconciler.observation import Facts, HostLink, Observation
from reconciler.resources.container_file import HOSTNAME, HOSTS, RESOLV_CONF, ContainerFile, file_key
from reconciler.resources.process import Process, process_key
from reconciler.resources.resolver import Registration, Resolver, Upstream
from reconciler.snapshot import observation_from_document, observation_to_document
from reconciler.state import Key, Kind, State
from tests.property.simulation import as_observed

CANARY = "canary-5f02"
FACTS = Facts(nameservers=("192.0.2.53",), search=("example.net",), host_name="machine", hosts="192.0.2.1 machine\n")


def observation(*texts: str, facts: Facts = FACTS, on: Observation | None = None) -> Observation:
    """The host after ``up`` of these manifests."""
    before = on or Observation(State(), facts)
    return replace(before, state=as_observed(plan(*texts, on=before)))


def plan(*texts: str, facts: Facts = FACTS, on: Observation | None = None) -> State:
    """What these manifests ask for."""
    read = tuple(manifest.load(["-"], environment={}, stdin=text) for text in texts)
    return desired(Scope(frozenset(each.stack for each in read), read), on or Observation(State(), facts))


def text(state: State, container: str, file_name: str) -> str:
    found = state.get(file_key(container, file_name))
    assert isinstance(found, ContainerFile)
    return found.text


def resolver(state: State, container: str) -> Resolver:
    found = state.get(Key(Kind.AGENT, f"{container}:names"))
    assert isinstance(found, Resolver)
    return found


def process(state: State, container: str) -> Process:
    found = state.get(process_key(container))
    assert isinstance(found, Process)
    return found


def problems(*texts: str, on: Observation | None = None) -> str:
    with pytest.raises(NetapplyError) as caught:
        plan(*texts, on=on)
    return str(caught.value)


NETWORK = "networks: {front: {ipam: {config: [{subnet: 10.7.0.0/24}]}}}\n"


def stack(containers: str, name: str = "shop", networks: str = NETWORK) -> str:
    return f"name: {name}\n{networks}containers:\n{containers}"


def at(address: str, more: str = "") -> str:
    return f"{{networks: {{front: {{ipv4_address: 10.7.0.{address}}}}}{', ' if more else ''}{more}}}"


@pytest.mark.founding("S1-45", "S4-12")
def test_hosts_in_full() -> None:
    """S1-45, S4-12."""
    hosts = "extra_hosts: [a=192.0.2.1, 'b:2001:db8::1', gw=host-gateway, a=192.0.2.2]"
    made = plan(stack(f"  web: {at('9')}\n  app: {at('10', f'hostname: app.example.org, links: [web], {hosts}')}\n"))
    assert text(made, "shop/app", HOSTS) == (
        "127.0.0.1 localhost\n"
        "::1 localhost ip6-localhost ip6-loopback\n"
        "fe00:: ip6-localnet\n"
        "ff00:: ip6-mcastprefix\n"
        "ff02::1 ip6-allnodes\n"
        "ff02::2 ip6-allrouters\n"
        "10.7.0.10 app.example.org app\n"
        "192.0.2.1 a\n"
        "2001:db8::1 b\n"
        "10.7.0.1 gw\n"
        "192.0.2.2 a\n"
        "10.7.0.9 web\n"
    )
    assert text(made, "shop/app", HOSTNAME) == "app.example.org\n"
    assert process_key("shop/app") not in made


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("{internal: true, ipam: {config: [{subnet: 10.8.0.0/24, gateway: 10.8.0.7}]}}", ["10.8.0.7"]),
        ("{ipam: {config: [{subnet: 10.8.0.0/24}, {subnet: 'fd08::/64'}]}}", ["10.8.0.1", "fd08::1"]),
    ],
)
def test_host_gateway(network: str, expected: list[str]) -> None:
    made = plan(
        stack(
            "  app: {networks: [back], extra_hosts: [gw=host-gateway]}\n", networks=f"networks: {{back: {network}}}\n"
        )
    )
    lines = [line.split() for line in text(made, "shop/app", HOSTS).splitlines()]
    assert [line[0] for line in lines if line[1:] == ["gw"]] == expected


def test_host_gateway_skips_networks_without_the_host() -> None:
    networks = (
        "networks:\n  a: {driver_opts: {com.docker.network.bridge.inhibit_ipv4: 'true'}}\n"
        "  b: {ipam: {config: [{subnet: 10.8.0.0/24}]}}\n"
    )
    container = "  app: {networks: [NETWORKS], extra_hosts: [gw=host-gateway]}\n"
    made = plan(stack(container.replace("NETWORKS", "a, b"), networks=networks))
    assert "10.8.0.1 gw\n" in text(made, "shop/app", HOSTS)
    said = problems(stack(container.replace("NETWORKS", "a"), networks=networks))
    assert "container app asks for host-gateway, but on none of its networks is the host" in said


def test_host_gateway_on_a_parent_is_the_hosts_own_address_there() -> None:
    networks = (
        "networks: {lan: {driver: macvlan, driver_opts: {parent: eth0}, x-netapply: {host_address: 192.0.2.200}, "
        "ipam: {config: [{subnet: 192.0.2.0/24, gateway: 192.0.2.254}]}}}\n"
    )
    facts = replace(FACTS, interfaces=frozenset({"eth0"}), links=(HostLink("eth0", "veth"),))
    made = plan(stack("  app: {networks: [lan], extra_hosts: [gw=host-gateway]}\n", networks=networks), facts=facts)
    assert "192.0.2.200 gw\n" in text(made, "shop/app", HOSTS)


def test_a_host_name_that_no_kernel_takes() -> None:
    name = f"{'a' * 40}.{'b' * 40}"
    assert f"hostname {name} of container app has 81 bytes" in problems(
        stack(f"  app: {at('9', f'hostname: {name}')}\n")
    )


def test_names_of_a_container() -> None:
    container = "{hostname: WWW.Example.org, container_name: The-Web, networks: {front: {aliases: [site], ipv4_address: 10.7.0.9}}}"
    made = plan(stack(f"  web: {container}\n"))
    assert resolver(made, "shop/web").registrations == (
        Registration("shop_front", ("web", "site", "the-web", "www.example.org", "www"), ("10.7.0.9",)),
    )


def test_no_resolver_without_a_network_nor_where_servers_are_told_directly() -> None:
    made = plan(
        stack(
            "  none: {network_mode: none}\n  host: {network_mode: host}\n  told: {network_mode: bridge, dns: [192.0.2.8]}\n"
        )
    )
    assert [each for each in made if isinstance(each, Resolver)] == []
    assert "nameserver 192.0.2.8\n" in text(made, "shop/told", RESOLV_CONF)
    assert file_key("shop/host", HOSTS) not in made


@pytest.mark.parametrize(
    ("container", "network", "nameservers", "expected"),
    [
        ("{}", "{}", ("192.0.2.53",), (Upstream("192.0.2.53"),)),
        ("{}", "{}", ("127.0.0.53",), (Upstream("127.0.0.53", from_host=True),)),
        ("{}", "{}", ("2001:db8::53",), (Upstream("2001:db8::53", from_host=True),)),
        ("{}", "{enable_ipv6: true}", ("2001:db8::53",), (Upstream("2001:db8::53"),)),
        ("{}", "{enable_ipv6: true}", ("fe80::1%eth0",), (Upstream("fe80::1%eth0", from_host=True),)),
        ("{}", "{internal: true}", ("192.0.2.53", "127.0.0.53"), ()),
        ("{dns: [10.0.0.53]}", "{internal: true}", ("192.0.2.53",), (Upstream("10.0.0.53"),)),
        ("{dns: [127.0.0.1]}", "{}", ("192.0.2.53",), (Upstream("127.0.0.1"),)),
        (
            "{networks: {default: {gateway: 'service:vpn'}}}",
            "{}",
            ("127.0.0.53", "192.0.2.53"),
            (Upstream("192.0.2.53"),),
        ),
    ],
)
def test_upstream(container: str, network: str, nameservers: tuple[str, ...], expected: tuple[Upstream, ...]) -> None:
    made = plan(
        stack(f"  app: {container}\n  vpn: {{}}\n", networks=f"networks: {{default: {network}}}\n"),
        facts=replace(FACTS, nameservers=nameservers),
    )
    assert resolver(made, "shop/app").upstream == expected


CLIENT = at("10", "links: ['db:my-db'], command: [run]")


@pytest.mark.founding("S1-39", "S1-42", "S1-44")
def test_a_link_in_every_form() -> None:
    """S1-39, S1-42, S1-44."""
    more = (
        f"expose: ['5432', '7000-7001'], ports: ['5353/udp'], environment: {{PASSWORD: {CANARY}, PATH: /x, HOME: /y}}"
    )
    made = plan(stack(f"  db: {at('9', more)}\n  app: {CLIENT}\n"))
    assert "10.7.0.9 my-db db\n" in text(made, "shop/app", HOSTS)
    assert "app" not in text(made, "shop/db", HOSTS)
    assert resolver(made, "shop/app").links == (("my-db", ("10.7.0.9",)),)
    assert resolver(made, "shop/db").links == ()
    found = dict(process(made, "shop/app").link_environment)
    assert found["MY_DB_NAME"] == "/app/my-db"
    assert found["MY_DB_PORT"] == "tcp://10.7.0.9:5353".replace("tcp", "udp")
    assert found["MY_DB_PORT_7001_TCP"] == "tcp://10.7.0.9:7001"
    assert found["MY_DB_PORT_5353_UDP_PROTO"] == "udp"
    assert found["MY_DB_ENV_PASSWORD"] == CANARY
    assert "MY_DB_ENV_PATH" not in found
    assert "MY_DB_ENV_HOME" not in found
    # Secret wherever it is shown or kept.
    document = observation_to_document(Observation(made, FACTS))
    assert CANARY not in str(document)
    assert CANARY not in repr(process(made, "shop/app"))
    assert CANARY not in str(process(made, "shop/app").create())
    assert CANARY not in str(process(made, "shop/app").record())
    assert observation_from_document(document).state.get(process_key("shop/app")) is not None


def test_a_changed_address_is_no_reason_to_restart() -> None:
    def text_of(address: str) -> str:
        return stack(f"  db: {at(address, 'expose: [5432]')}\n  app: {CLIENT}\n")

    before = plan(text_of("9"))
    after = plan(text_of("19"), on=observation(text_of("9")))
    assert process(before, "shop/app") == process(after, "shop/app")
    assert process(before, "shop/app").link_environment != process(after, "shop/app").link_environment
    assert "10.7.0.19 my-db db\n" in text(after, "shop/app", HOSTS)


def test_an_ipv6_target_stands_in_brackets() -> None:
    networks = "networks: {front: {enable_ipv4: false, ipam: {config: [{subnet: 'fd07::/64'}]}}}\n"
    made = plan(
        stack(
            "  db: {expose: [80], networks: {front: {ipv6_address: 'fd07::9'}}}\n"
            "  app: {networks: [front], links: [db], command: [run]}\n",
            networks=networks,
        )
    )
    found = dict(process(made, "shop/app").link_environment)
    assert (found["DB_PORT_80_TCP"], found["DB_PORT_80_TCP_ADDR"]) == ("tcp://[fd07::9]:80", "fd07::9")


OTHER = "networks: {front: {external: true, name: shop_front}}\n"


def test_an_external_link_and_what_it_holds() -> None:
    there = observation(stack(f"  db: {at('9', 'ports: [5432], environment: {A: b}')}\n"))
    billing = stack(
        "  app: {networks: [front], external_links: ['shop/db:ledger'], command: [run]}\n", "billing", OTHER
    )
    made = plan(billing, on=there)
    assert "# link to shop/db\n10.7.0.9 ledger db\n" in text(made, "billing/app", HOSTS)
    assert dict(process(made, "billing/app").link_environment)["LEDGER_PORT"] == "tcp://10.7.0.9:5432"
    both = replace(there, state=as_observed(made))
    said = problems(stack(f"  other: {at('10')}\n"), on=both)
    assert "container shop/db is linked to by billing/app" in said
    moved = stack(
        "  db: {networks: [back]}\n  other: {networks: [front]}\n",
        networks="networks: {front: {ipam: {config: [{subnet: 10.7.0.0/24}]}}, back: {}}\n",
    )
    said = problems(moved, on=both)
    assert "container shop/db is linked to by billing/app, and would share no network with it any more" in said
    # A target of a stack that is not there, and one name in two stacks.
    missing = stack("  app: {networks: [front], external_links: [shop/nobody]}\n", "billing", OTHER)
    assert "container app links to shop/nobody, and there is no such container" in problems(missing, on=there)
    twice = stack("  app: {external_links: [db]}\n", "billing")
    said = problems(twice, on=observation(stack("  db: {}\n", "third", ""), on=there))
    assert "container app links to db, which is in several stacks: shop/db, third/db" in said


def test_a_container_name_can_be_linked_to_from_elsewhere() -> None:
    there = observation(stack("  db: {container_name: the-db, networks: {front: {ipv4_address: 10.7.0.9}}}\n"))
    made = plan(stack("  app: {networks: [front], external_links: [the-db]}\n", "billing", OTHER), on=there)
    assert "10.7.0.9 the-db db\n" in text(made, "billing/app", HOSTS)


@pytest.mark.parametrize(
    ("network_mode", "files", "hostname"),
    [("service:web", "shop/web", "www"), ("container:near", "shop/web", "www"), ("host", "", "")],
)
def test_whose_files_a_command_sees(network_mode: str, files: str, hostname: str) -> None:
    made = plan(
        stack(
            f"  web: {at('9', 'hostname: www')}\n  near: {{network_mode: 'service:web'}}\n"
            f"  app: {{network_mode: '{network_mode}', command: [run]}}\n"
        )
    )
    found = process(made, "shop/app")
    assert (found.files, found.hostname) == (files, hostname)
    assert (file_key("shop/web", HOSTS) in found.needs()) == bool(files)


def test_a_joiner_of_a_container_in_host_mode_sees_what_that_was_told() -> None:
    owner = "  owner: {network_mode: host, extra_hosts: [a=192.0.2.7], hostname: told}\n"
    joiner = "  app: {network_mode: 'SELF', command: [run]}\n"
    made = plan(stack(owner + joiner.replace("SELF", "service:owner")))
    assert (process(made, "shop/app").files, process(made, "shop/app").hostname) == ("shop/owner", "told")
    assert text(made, "shop/owner", HOSTS) == "192.0.2.1 machine\n192.0.2.7 a\n"
    there = observation(stack(owner))
    elsewhere = plan(stack(joiner.replace("SELF", "container:shop/owner"), "billing", ""), on=there)
    assert (process(elsewhere, "billing/app").files, process(elsewhere, "billing/app").hostname) == (
        "shop/owner",
        "told",
    )


def test_link_local_addresses() -> None:
    made = plan(stack("  app: {networks: {front: {link_local_ips: [169.254.8.8, 192.0.2.77]}}}\n"))
    names = {key.name for key, _ in made.items() if key.kind is Kind.ADDRESS}
    assert {"shop/app:eth0 169.254.8.8/16", "shop/app:eth0 192.0.2.77/32"} <= names
    said = problems(stack("  app: {networks: {front: {link_local_ips: ['fe80::8', 'fd00::8']}}}\n"))
    assert "link_local_ips of container app: the kernel gives fe80::8" in said
    assert "link_local_ips of container app: network shop_front has no IPv6 for fd00::8" in said


def changed(before: str, after: str) -> tuple[str, ...]:
    def file(given: str) -> Any:
        return ContainerFile("shop", "shop/web", HOSTS, given)

    found: tuple[str, ...] = file(after).changed_lines(file(before))
    return found


def test_a_plans_line_shows_what_changes_in_a_file() -> None:
    assert changed("a\nb\n", "a\nc\n") == ("- b", "+ c")
    assert changed("", "".join(f"{number}\n" for number in range(9)))[-2:] == ("+ 5", "...")


@pytest.mark.parametrize(
    "links", ["links: ['b:x', 'c:x']", "links: ['b:Zed', 'c:zed']", "links: [b], external_links: ['c:b']"]
)
def test_two_containers_cannot_be_known_by_one_alias(links: str) -> None:
    others = f"  b: {at('8')}\n  c: {at('9')}\n"
    told = problems(stack(f"  a: {at('7', links)}\n{others}"))
    assert "container a knows shop/c by the alias" in told
    assert "by which it knows shop/b too; first at -:4:" in told
    plan(stack(f"  a: {at('7', links.replace('c:', 'b:'))}\n{others}"))
