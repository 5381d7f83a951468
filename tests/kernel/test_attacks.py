"""What a container, and a user without rights, try against the host."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.kernel.lab import Host, Lab, Machine
from tests.kernel.test_isolation import BACKENDS, needs
from tests.kernel.watching import Watcher

_SERVICE = 7777
_NOBODY = 65534


def forged(source: str, target: str, text: bytes) -> bytes:
    """An IPv4 packet (RFC 791) with a datagram to the service; UDP may go without a checksum (RFC 768)."""
    ends = ip_address(source).packed + ip_address(target).packed
    header = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(text), 1, 0, 64, socket.IPPROTO_UDP, 0) + ends
    total = sum(struct.unpack(">10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack(">H", ~total & 0xFFFF) + header[12:]
    return header + struct.pack(">HHHH", 5555, _SERVICE, 8 + len(text), 0) + text


def send(machine: Machine, packet: bytes, receiver: str = "ff:ff:ff:ff:ff:ff") -> None:
    """To that MAC, or everybody, on the wire of its ``eth0``, as whoever has CAP_NET_RAW may."""
    target = bytes.fromhex(receiver.replace(":", ""))

    def frame() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            wire.send(target + wire.getsockname()[4] + struct.pack(">H", 0x0800) + packet)

    machine.inside(frame)


def received(listener: socket.socket) -> list[bytes]:
    """What has come by the time that nothing more comes."""
    found = []
    try:
        while True:
            found.append(listener.recv(100))
    except TimeoutError:
        return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_container_claims_to_be_a_program_of_the_host(host: Host, outside: Machine, backend: str) -> None:
    """Bridges have route_localnet, so the kernel lets 127.0.0.2 in there, and services trust 127/8."""
    needs(backend)
    host.write("stack.yaml", "containers: {web: {}}")
    host.netapply("--firewall", backend, "up", "stack.yaml")
    web = host.container("web")

    def listening() -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("0.0.0.0", _SERVICE))
        listener.settimeout(1.0)
        return listener

    with host.inside(listening) as listener:
        for machine in (web, outside):
            send(machine, forged("127.0.0.2", host.ipv4, b"forged"))
            send(machine, forged(machine.ipv4, host.ipv4, b"honest"))
        assert received(listener) == [b"honest", b"honest"]


_FORWARDING_HOST = """
from pathlib import Path
from reconciler.kernel import namespaces
leave = namespaces.leave_for_new
def leave_and_inherit():
    leave()
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
namespaces.leave_for_new = leave_and_inherit
"""
"""What the kernel does to new namespaces of a machine whose first one forwards; tests may not switch that on."""


def test_a_container_on_two_networks_is_no_way_between_them(host: Host) -> None:
    host.write(
        "manifests/stack.yaml",
        "networks: {front: {}, back: {internal: true}}\ncontainers:\n  thief: {networks: [front]}\n"
        "  middle: {networks: [front, back]}\n  vault: {networks: [back]}\n  guest: {networks: [back]}\n",
    )
    Watcher(host, beforehand=_FORWARDING_HOST).wait_ready()
    thief, middle, vault, guest = (host.container(name) for name in ("thief", "middle", "vault", "guest"))
    listener = vault.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with listener:
        listener.settimeout(1.0)
        listener.bind(("", _SERVICE))
        (way_out,) = json.loads(middle.run(["ip", "-j", "route", "show", "default"]).stdout)
        (wire,) = json.loads(middle.run(["ip", "-j", "link", "show", way_out["dev"]]).stdout)
        send(thief, forged(thief.ipv4, vault.ipv4, b"theft"), wire["address"])
        send(guest, forged(guest.ipv4, vault.ipv4, b"visit"))
        assert received(listener) == [b"visit"]


@contextmanager
def pretender(*arguments: str) -> Iterator[int]:
    """A process of a user without rights that has these arguments, and lets nobody trace it."""
    # PR_SET_DUMPABLE: its files in /proc are root's then (proc_pid(5)).
    user = f"import ctypes, os, time; os.setgid({_NOBODY}); os.setuid({_NOBODY}); ctypes.CDLL(None).prctl(4, 0)"
    command = [sys.executable, "-I", "-c", f"{user}; print(flush=True); time.sleep(60)", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    try:
        assert process.stdout.readline()
        yield process.pid
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_user_pretends_to_be_what_runs_of_a_container(host: Host) -> None:
    """Commands and agents without their records are known by their arguments, but those of anybody are no proof."""
    host.write("stack.yaml", "name: s\ncontainers: {web: {}}")
    host.netapply("up")
    run = next(path for path in Path("/run/netapply").iterdir() if path.is_dir())
    with pretender("--bundle", f"{run}/processes/s/../../etc"), pretender("--bundle", f"{run}/processes/s/web"):
        assert [each["name"] for each in host.ps()] == ["web"]
        assert host.plan() == []
        host.write("stack.yaml", "name: s\ncontainers: {web: {}, late: {}}")
        host.netapply("up")
    os.kill(int((run / "agent.lock").read_text()), 9)
    (run / "agent.lock").unlink()
    with pretender("reconciler.agent", str(run), "1"):
        host.netapply("down")


def test_a_container_leaves_a_pipe_where_its_users_stood(lab: Lab, tmp_path: Path) -> None:
    """Its root may write there, and the next ``up`` of a root file system reads it, with the host locked."""
    host = lab.host()
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    os.mkfifo(root / "etc/passwd")
    host.write("stack.yaml", f"containers: {{web: {{command: [/missing], rootfs: {root}}}}}")
    done = host.netapply("up", "stack.yaml", check=False, timeout=20)
    assert "cannot start the command" in done.stderr
