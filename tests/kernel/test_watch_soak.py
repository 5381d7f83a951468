"""Minutes of random edits and random damage: at the end the host is as the manifests say, and nothing has leaked."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.kernel.lab import Host
from tests.kernel.watching import Watcher, until

SECONDS = float(os.environ.get("NETAPPLY_SOAK_SECONDS", "240"))


def manifest(number: int, dice: random.Random) -> str:
    lines = [f"networks: {{n: {{ipam: {{config: [{{subnet: 172.30.{number}.0/24}}]}}}}}}", "containers:"]
    for name in dice.sample(["a", "b", "c", "d"], dice.randint(1, 3)):
        port = f', ports: ["{8000 + 100 * number + dice.randint(0, 50)}:80"]' if dice.random() < 0.5 else ""
        command = ", command: [sleep, '300'], restart: always" if dice.random() < 0.3 else ""
        lines.append(f"  {name}: {{networks: [n]{port}{command}}}")
    return "\n".join([*lines, ""])


def damage(host: Host, dice: random.Random) -> None:
    running = [each["pid"] for each in host.ps() if each["pid"]] if dice.random() < 0.2 else []
    if running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(dice.choice(running), signal.SIGKILL)
        return
    script = dice.choice(
        [
            "nft flush ruleset",
            "nft delete table inet netapply",
            "for x in $(ip -o link | grep -o 'nv-[a-z]*-[a-z0-9]*' | head -1); do ip link delete $x; done",
            "for x in $(ip -o link | grep -o 'na-[a-z]*-[a-z0-9]*' | head -2); do ip link set $x down; done",
            "for x in $(ip -o link | grep -o 'na-[a-z]*-[a-z0-9]*' | head -1); do ip link delete $x; done",
            "sysctl -qw net.ipv4.ip_forward=0",
            "for p in /run/netns/na.*; do ip -n ${p##*/} route flush default; break; done",
            "for p in /run/netns/na.*; do ip -n ${p##*/} address flush dev eth0; break; done",
            "for p in /run/netns/na.*; do ip netns delete ${p##*/}; break; done",
        ]
    )
    host.run(["sh", "-c", script], check=False)


def held(watcher: Watcher) -> tuple[Counter[str], int]:
    """Descriptors by what they are, but for those of commands, and threads."""
    process = Path(f"/proc/{watcher.process.pid}")
    kinds = Counter(str(path.readlink()).partition("[")[0] for path in (process / "fd").iterdir())
    kinds["anon_inode:"] = 0
    return kinds, len(list((process / "task").iterdir()))


def memory(watcher: Watcher) -> int:
    return int(Path(f"/proc/{watcher.process.pid}/status").read_text().split("VmRSS:")[1].split()[0])


def differing(host: Host) -> list[object]:
    """What status complains of, and what a plan would change."""
    status = host.netapply("status", check=False)
    return ([status.stdout] if status.returncode else []) + list(host.plan("manifests"))


@pytest.mark.long
def test_a_soak(host: Host) -> None:
    seed = int(os.environ.get("NETAPPLY_SOAK_SEED", str(time.time_ns())))
    print(f"NETAPPLY_SOAK_SEED={seed}")  # noqa: T201 - to see a failure again
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    for number in range(4):
        host.write(f"manifests/s{number}.yaml", manifest(number, dice))
    watcher = Watcher(host, "--metrics", "127.0.0.1:9999").wait_ready().wait_quiet()
    before, began, memory_then = held(watcher), time.monotonic(), 0
    while (spent := time.monotonic() - began) < SECONDS:
        if not memory_then and spent > SECONDS / 4:
            memory_then = memory(watcher)
        if dice.random() < 0.4:
            host.write(f"manifests/s{dice.randint(0, 3)}.yaml", manifest(dice.randint(0, 3), dice))
        else:
            damage(host, dice)
        time.sleep(dice.random() / 3)
    for number in range(4):
        host.write(f"manifests/s{number}.yaml", manifest(number, dice))
    # A damage that came again and again was taken for a fight, whose pauses must end.
    until(lambda: not differing(host), lambda: f"in sync: {differing(host)}", 90)
    watcher.wait_quiet()
    assert held(watcher) == before
    assert memory(watcher) - memory_then < 6000
    assert not watcher.lines("internal error")
    wanted = {f"s{number}" for number in range(4)}
    assert {each["stack"] for each in host.ps()} == wanted
