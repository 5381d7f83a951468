"""Declared listeners in the host's network, beside what else has its ports and addresses."""

from __future__ import annotations

import pytest

from reconciler.firewall.policy import PublishedPort
from tests.unit.desired.runs import message, plan, refused, up

HOST = "name: s1\ncontainers:\n  h: {network_mode: host, listen: [%s]}\n"
PORTS = "name: s2\ncontainers:\n  w: {ports: ['%s']}\n"
BOTH = HOST + "  w: {ports: ['%s']}\n"


@pytest.mark.parametrize(
    ("listen", "port"),
    [
        ("'8080'", "8080:80"),
        ("'8080'", "192.0.2.1:8080:80"),
        ("'192.0.2.1:8080'", "8080:80"),
        ("'192.0.2.1:8080'", "192.0.2.1:8080:80"),
        ("'8080/udp'", "8080:80/udp"),
    ],
)
def test_a_port_that_is_published_cannot_be_listened_on(listen: str, port: str) -> None:
    number = port.rpartition(":")[0].rpartition(":")[2]
    what = (
        f"port {number}/{'udp' if 'udp' in port else 'tcp'} of the host, where container h is to listen, is published"
    )
    told = message(BOTH % (listen, port))
    assert told.startswith(f"-:3:36: error: {what} for container s1/w, at -:4:15")
    assert f"{what} for container s2/w, at -:3:15" in message(HOST % listen, PORTS % port)
    assert f"{what} for container s2/w\n" in message(HOST % listen, on=up(PORTS % port))


@pytest.mark.parametrize(
    ("listen", "port"),
    [
        ("'8080'", "8081:80"),
        ("'8080'", "8080:80/udp"),
        ("'192.0.2.1:8080'", "127.0.0.1:8080:80"),
        ("'[::1]:8080'", "8080:80"),
    ],
)
def test_what_does_not_meet_is_let_be(listen: str, port: str) -> None:
    plan(BOTH % (listen, port))


def test_nobody_listens_at_an_address_that_leads_to_a_container() -> None:
    floating = "name: s2\ncontainers:\n  w: {floating_ip: 192.0.2.50}\n"
    listens = HOST % "'192.0.2.50:80'"
    what = "-:3:36: error: 192.0.2.50, where container h is to listen, is the floating address of container s2/w"
    assert message(listens, floating).startswith(f"{what}, at -:3:20")
    assert message(listens, on=up(floating)).startswith(what)
    plan(HOST % "'80'", floating)


def test_listeners_that_meet_in_both_families_are_told_of_once() -> None:
    (problem,) = refused(
        "name: s\ncontainers:\n  a: {network_mode: host, listen: ['80']}\n  b: {network_mode: host, expose: ['80']}\n"
    )
    assert "containers a and b both listen on port 80/tcp in the host's network" in problem.message


def test_a_free_choice_of_a_port_goes_round_what_is_listened_on() -> None:
    observed = up(BOTH % ("'8000', '8001/udp'", "8000-8002:80"))
    ports = [each.host_port for each in observed.state if isinstance(each, PublishedPort)]
    assert set(ports) == {8001}
