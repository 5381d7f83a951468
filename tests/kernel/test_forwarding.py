"""Forwarding and what hangs on it: recorded, set, and put back; a host that lives on router advertisements."""

from __future__ import annotations

import json
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.kernel.changes import assert_unchanged, named
from tests.kernel.lab import Host, Lab, Machine

WEB = "name: web\nnetworks: {front: {enable_ipv6: true}}\ncontainers: {web: {networks: [front]}}\n"
OLD = "name: old\ncontainers: {old: {}}\n"
FORWARD4, FORWARD6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"


def advertise(router: Machine, lifetime: int = 1800) -> None:
    """Send one router advertisement (RFC 4861, 4.2) to all nodes, without any prefix."""

    def send() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            index = socket.if_nametoindex("eth0")
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            # Type, code, checksum (the kernel's work), hop limit, flags, lifetime, two timers.
            raw.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0), ("ff02::1", 0, 0, index))

    router.inside(send)


def default_routes(host: Host) -> list[str]:
    """The protocols of the host's IPv6 default routes."""
    found = json.loads(host.run(["ip", "-6", "-j", "route", "show", "default"]).stdout or "[]")
    return [route["protocol"] for route in found]


def wait_for_route(host: Host) -> None:
    deadline = time.monotonic() + 30
    while default_routes(host) != ["ra"]:
        assert time.monotonic() < deadline, "the advertisement made no route"
        time.sleep(0.02)


@pytest.fixture
def router(host: Host, lab: Lab) -> Machine:
    """A neighbour that says it is the router; its link-local address has to be ready for that."""
    made = lab.machine("router")
    made.sysctl(FORWARD6, "1")
    deadline = time.monotonic() + 30
    while "tentative" in made.run(["ip", "-6", "address", "show", "scope", "link"]).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return made


def test_a_host_that_lives_on_router_advertisements_keeps_its_default_route(host: Host, router: Machine) -> None:
    host.sysctl("net/ipv6/conf/eth0/accept_ra", "1")
    advertise(router)
    wait_for_route(host)
    before = host.snapshot()
    host.write("web.yaml", WEB)
    host.netapply("up", "web.yaml")
    assert default_routes(host) == ["ra"]
    assert (host.sysctl(FORWARD6), host.sysctl("net/ipv6/conf/eth0/accept_ra")) == ("1", "2")
    # It is not only kept, it is also still renewed.
    host.run(["ip", "-6", "route", "delete", "default"])
    advertise(router)
    wait_for_route(host)
    assert host.plan("web.yaml") == []
    host.netapply("down", "web.yaml")
    assert default_routes(host) == ["ra"]
    assert_unchanged(before, host.snapshot())
    advertise(router, lifetime=0)


def test_without_accept_ra_the_kernel_would_drop_that_route(host: Host, router: Machine) -> None:
    """The trap is real on this kernel, so that the test above proves something."""
    host.sysctl("net/ipv6/conf/eth0/accept_ra", "1")
    advertise(router)
    wait_for_route(host)
    host.sysctl(FORWARD6, "1")
    assert default_routes(host) == []


@pytest.mark.founding("S1-29")
@pytest.mark.parametrize("already", ["0", "1"])
def test_settings_are_put_back_when_the_last_stack_goes(host: Host, already: str) -> None:
    for name in (FORWARD4, FORWARD6):
        host.sysctl(name, already)
    # Switching forwarding off again sets all of these to what the kernel thinks is right, which it is not here.
    host.sysctl("net/ipv4/conf/all/accept_redirects", already)
    host.sysctl("net/ipv4/conf/eth0/forwarding", "1")
    host.sysctl("net/ipv6/conf/default/forwarding", "1")
    host.sysctl("net/ipv6/conf/eth0/accept_ra", "1")
    before = host.snapshot()
    host.write("web.yaml", WEB)
    host.write("old.yaml", OLD)
    host.netapply("up", "web.yaml", "old.yaml")
    host.netapply("down", "web.yaml")
    # The other stack has IPv4 only: what only the first one needed is back already.
    assert (host.sysctl(FORWARD4), host.sysctl(FORWARD6)) == ("1", already)
    assert host.sysctl("net/ipv6/conf/eth0/accept_ra") == "1"
    host.netapply("down", "old.yaml")
    assert_unchanged(before, host.snapshot())


def test_an_internal_stack_needs_no_forwarding(host: Host) -> None:
    host.write("in.yaml", "name: in\nnetworks: {back: {internal: true}}\ncontainers: {db: {networks: [back]}}\n")
    host.netapply("up", "in.yaml")
    assert host.sysctl(FORWARD4) == "0"
    assert host.plan("in.yaml") == []


def test_the_first_value_counts_whatever_is_set_meanwhile(host: Host) -> None:
    before = host.snapshot()
    host.write("old.yaml", OLD)
    host.netapply("up", "old.yaml")
    host.sysctl(FORWARD4, "0")
    assert named(host.plan("old.yaml")) == [f"update sysctl host:{FORWARD4}"]
    host.netapply("up", "old.yaml")
    host.netapply("up", "old.yaml")
    host.netapply("down", "old.yaml")
    assert host.sysctl(FORWARD4) == "0"
    assert_unchanged(before, host.snapshot())


def test_the_record_is_written_before_the_first_change_and_goes_with_the_last(host: Host) -> None:
    host.write("web.yaml", WEB)
    host.netapply("up", "web.yaml")
    (record,) = Path("/run/netapply").glob("*/sysctls.json")
    assert record.stat().st_mode & 0o777 == 0o600
    assert json.loads(record.read_text())[""][FORWARD4][FORWARD4] == "0"
    host.netapply("down", "web.yaml")
    assert not record.exists()


def test_an_interface_that_left_meanwhile_is_no_trouble(host: Host) -> None:
    before = host.snapshot()
    host.run(["ip", "link", "add", "usb0", "type", "bridge"])
    host.sysctl("net/ipv6/conf/usb0/accept_ra", "1")
    host.write("web.yaml", WEB)
    host.netapply("up", "web.yaml")
    assert host.sysctl("net/ipv6/conf/usb0/accept_ra") == "2"
    host.run(["ip", "link", "delete", "usb0"])
    assert host.plan("web.yaml") == []
    host.netapply("down", "web.yaml")
    assert_unchanged(before, host.snapshot())
    assert not list(Path("/run/netapply").glob("*/sysctls.json"))


def test_a_containers_own_settings_are_put_back_when_they_leave_the_file(host: Host) -> None:
    text = "name: one\ncontainers:\n  web: {%s}\n"
    setting = "net/ipv4/ip_default_ttl"
    host.write("one.yaml", text % "sysctls: {net.ipv4.ip_default_ttl: '33'}")
    host.netapply("up", "one.yaml")
    web = host.container("web")
    assert web.sysctl(setting, "44") == "44"
    host.netapply("up", "one.yaml")
    assert web.sysctl(setting) == "33"
    assert host.sysctl(setting) == "64"
    host.write("one.yaml", text % "")
    assert named(host.plan("one.yaml")) == ["delete sysctl one/web:net/ipv4/ip_default_ttl"]
    host.netapply("up", "one.yaml")
    assert web.sysctl(setting) == "64"
