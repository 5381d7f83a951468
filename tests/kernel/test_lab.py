"""The lab itself: a harness that lies would make every kernel test lie."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests.kernel.lab import Answer, Host, Lab, Machine, Protocol, Question
from tests.kernel.snapshot import processes_in

PARENT = Path("/proc") / str(os.getppid())
"""Whoever started the tests stands on the machine."""
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")


def test_the_test_process_stands_in_a_network_of_its_own() -> None:
    for kind in ("net", "mnt", "uts"):
        assert Path(f"/proc/self/ns/{kind}").stat().st_ino != (PARENT / "ns" / kind).stat().st_ino


def test_pins_and_files_are_invisible_to_the_machine(host: Host) -> None:
    Path("/etc/netns/somebody").mkdir()
    outside_view = PARENT / "root"
    assert Path("/run/netns/host").exists()
    assert (outside_view / "etc/passwd").exists()
    assert not (outside_view / "run/netns/host").exists()
    assert not (outside_view / "etc/netns/somebody").exists()
    assert host.sysctl("net/ipv4/ip_forward", "1") == "1"


def test_every_protocol_and_family_is_answered_with_name_and_peer(host: Host, outside: Machine) -> None:
    host.serve(80)
    for address, peer in ((host.ipv4, outside.ipv4), (host.ipv6, outside.ipv6)):
        for protocol in PROTOCOLS:
            answer = outside.ask(address, 80, protocol)
            assert answer is not None, (address, protocol)
            assert (answer.name, answer.peer_address) == ("host", peer)


def test_a_reason_is_given_where_nothing_answers(host: Host, outside: Machine) -> None:
    host.serve(81, protocols=["tcp"])
    ruleset = "table inet t { chain i { type filter hook input priority 0; tcp dport 81 drop; }; }"
    host.run(["nft", "-f", "-"], stdin=ruleset)
    assert outside.attempt(host.ipv4, 80) == "refused"
    assert outside.attempt(host.ipv4, 81, timeout=0.3) == "timed out"
    assert outside.ask(host.ipv4, 81, timeout=0.3) is None


def test_a_kept_connection_notices_when_it_is_cut(host: Host, outside: Machine) -> None:
    server = host.serve(80)
    connection = outside.connect(host.ipv4, 80)
    assert connection.alive()
    server.close()
    assert not connection.alive(timeout=0.5)


def test_a_datagram_is_answered_from_the_address_that_was_asked(host: Host, outside: Machine) -> None:
    host.run(["ip", "address", "add", "192.0.2.77/24", "dev", "eth0"])
    host.serve(53, protocols=["udp"])
    assert isinstance(outside.attempt("192.0.2.77", 53, "udp"), Answer)


def test_many_silent_questions_cost_one_timeout(host: Host, outside: Machine, lab: Lab) -> None:
    host.serve(80)
    started = time.monotonic()
    silent: list[Question] = [(outside, "192.0.2.200", 80, "tcp")] * 20
    answers = lab.ask_all([(outside, host.ipv4, 80, "tcp"), *silent], timeout=0.5)
    assert time.monotonic() - started < 5
    assert [answer is not None for answer in answers] == [True, *([False] * 20)]


def test_a_snapshot_sees_what_changed_and_nothing_else(host: Host) -> None:
    before = host.snapshot()
    assert before.difference(host.snapshot()) == []
    host.run(["ip", "link", "add", "br9", "type", "bridge"])
    host.run(["ip", "address", "add", "203.0.113.9/24", "dev", "eth0"])
    host.run(["ip", "route", "add", "203.0.114.0/24", "dev", "eth0"])
    host.run(["ip", "rule", "add", "pref", "77", "lookup", "77"])
    host.run(["nft", "add table inet foreign"])
    host.run(["iptables-legacy", "-A", "FORWARD", "-j", "DROP"])
    host.run(["ip", "netns", "add", "left-over"])
    host.spawn(["sleep", "60"])
    host.sysctl("net/ipv4/ip_forward", "1")
    Path("/run/netapply").mkdir()
    Path("/run/netapply/file").touch()
    time.sleep(0.1)
    changed = before.difference(host.snapshot())
    for section in before.sections:
        assert any(line.startswith(f"{section} +") for line in changed), section
    assert "sysctls - ipv4/ip_forward = 0" in changed


def test_closing_kills_what_still_runs_and_unpins_everything(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    host = lab.host()
    inode = {(host.path.stat().st_dev, host.path.stat().st_ino)}
    # A daemon that nobody waits for, in a namespace that then loses its pin.
    host.run(["sh", "-c", "setsid sleep 300 >/dev/null 2>&1 &"])
    lab.note_processes()
    (pid, _), *_ = processes_in(inode)
    subprocess.run(["umount", "/run/netns/host"], check=True)
    lab.close()
    assert not list(processes_in(inode))
    assert not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text()
    assert not Path("/run/netns/switch").exists()
