"""What ``port`` answers."""

from __future__ import annotations

import pytest

from reconciler.errors import NetapplyError
from reconciler.firewall.policy import PublishedPort
from reconciler.state import State
from reconciler.views.ports import PublishedView, WantedPort, holders, ports_by_container, summary, wanted_port


def port(
    container: str, host: str, host_port: int, target: int, protocol: str = "tcp", *, routed: bool = False
) -> PublishedPort:
    return PublishedPort("shop", container, protocol, host, host_port, "172.18.0.2", target, routed=routed)


def test_the_families_are_separate_entries_ipv4_first() -> None:
    state = State([port("shop/web", "::", 8080, 80), port("shop/web", "0.0.0.0", 8080, 80)])
    ports = ports_by_container(state)["shop/web"]
    assert [(each.inside, each.outside) for each in ports] == [("80/tcp", "0.0.0.0:8080"), ("80/tcp", "[::]:8080")]


def test_ports_are_ordered_by_number_not_by_letters() -> None:
    state = State([port("shop/web", "0.0.0.0", number, number) for number in (1000, 80, 9)])
    assert [each.target for each in ports_by_container(state)["shop/web"]] == [9, 80, 1000]


def test_a_host_port_leads_to_its_containers() -> None:
    state = State(
        [
            port("shop/web", "192.0.2.1", 53, 53, "udp"),
            port("shop/dns", "127.0.0.1", 53, 5353, "udp"),
            port("shop/dns", "127.0.0.1", 53, 5353, "tcp"),
            port("shop/raw", "172.18.0.9", 53, 53, "udp", routed=True),
        ]
    )
    assert [holder.inside for holder in holders(state, WantedPort(53, "udp"))] == [
        "shop/dns:5353/udp",
        "shop/web:53/udp",
    ]
    assert {holder.inside for holder in holders(state, WantedPort(53, None))} == {
        "shop/dns:5353/udp",
        "shop/dns:5353/tcp",
        "shop/web:53/udp",
    }
    # What is asked for is the host's port, not the container's.
    assert holders(state, WantedPort(5353, None)) == ()


def view(host: str, published: int, target: int, protocol: str = "tcp") -> PublishedView:
    return PublishedView(host, published, target, protocol)


def test_neighbouring_ports_are_drawn_together() -> None:
    ports = [view("0.0.0.0", 8000 + step, 80 + step) for step in range(3)]
    assert summary(ports) == "0.0.0.0:8000-8002->80-82/tcp"
    assert summary([*ports, view("0.0.0.0", 9000, 83)]) == "0.0.0.0:8000-8002->80-82/tcp, 0.0.0.0:9000->83/tcp"


def test_neighbours_of_another_protocol_or_address_stay_apart() -> None:
    ports = [view("0.0.0.0", 80, 80), view("0.0.0.0", 81, 81, "udp"), view("127.0.0.1", 81, 81)]
    assert summary(ports) == "0.0.0.0:80->80/tcp, 127.0.0.1:81->81/tcp, 0.0.0.0:81->81/udp"


def test_a_range_on_both_families_is_two_spans() -> None:
    ports = [view(host, number, number) for number in (80, 81) for host in ("::", "0.0.0.0")]
    assert summary(ports) == "0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp"


def test_a_wanted_port_is_read() -> None:
    assert wanted_port("80") == WantedPort(80, None)
    assert wanted_port("53/udp") == WantedPort(53, "udp")


@pytest.mark.parametrize("text", ["", "0", "65536", "80/", "80/http", "-1", "80:80", "٨٠", "80\n"])
def test_what_is_no_port_is_an_error(text: str) -> None:
    with pytest.raises(NetapplyError, match="is not a port"):
        wanted_port(text)
