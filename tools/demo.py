"""A web shop in a throwaway host: up, one page fetched from outside, nothing left to do, down.

The host and its neighbour are two network namespaces that this script makes and that are joined
only to each other; the machine's own network is never touched. KEEP=1 leaves all of it in place.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
MANIFEST = "manifests/webshop.yaml"
HOST = "netapply-demo"
OUTSIDE = "netapply-demo-outside"
HOST_ADDRESS = "192.0.2.1"
OUTSIDE_ADDRESS = "192.0.2.2"
PAGE = f"http://{HOST_ADDRESS}:8080/"
PINS = Path("/run/netns")

FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode(), end='')"


class DemoError(Exception):
    """Something did not turn out as the demonstration says; the message tells what."""


def main() -> int:
    """Run it; 0 if everything happened as it says."""
    if os.geteuid() != 0:
        print("demo: needs root, to make network namespaces; 'make demo' asks for it", file=sys.stderr)
        return 1
    started = time.monotonic()
    _tear_down()  # what a kept or a killed run left
    pins = _pins()
    try:
        _set_up()
        _show()
        if os.environ.get("KEEP"):
            _say_how_to_look()
            return 0
        _take_down(pins)
    except (DemoError, OSError, subprocess.TimeoutExpired) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        if not os.environ.get("KEEP"):
            _tear_down()
    print(f"\nDone in {time.monotonic() - started:.1f} s; nothing is left.")
    return 0


def _show() -> None:
    _section("What would be made?")
    _netapply("plan", MANIFEST, expected=2)
    _section("Make it")
    _netapply("up", MANIFEST)
    _section("The page, as another machine sees it through the published port")
    page = _fetch()
    if f"You come from {OUTSIDE_ADDRESS}." not in page or "bread" not in page:
        raise DemoError("the page is not what web, app and database make together")
    _section("The containers")
    _netapply("ps", "-p", "webshop")
    _section("And again: is there anything left to do?")
    _netapply("plan", MANIFEST)


def _take_down(pins_before: set[str]) -> None:
    _section("Take everything down")
    _netapply("down", MANIFEST)
    if left := _pins() - pins_before - {HOST, OUTSIDE}:
        raise DemoError(f"left behind in {PINS}: {', '.join(sorted(left))}")


def _set_up() -> None:
    """Two machines with one cable between them."""
    for name in (HOST, OUTSIDE):
        _run(["ip", "netns", "add", name])
        _run(["ip", "-n", name, "link", "set", "lo", "up"])
    _run(["ip", "-n", HOST, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", OUTSIDE])
    for name, address in ((HOST, HOST_ADDRESS), (OUTSIDE, OUTSIDE_ADDRESS)):
        _run(["ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0"])
        _run(["ip", "-n", name, "link", "set", "eth0", "up"])


def _tear_down() -> None:
    """Remove both machines and what netapply made on the host, as far as it is there."""
    if HOST in _pins():
        _run(_command("down", "-p", "webshop"), check=False)
    for name in {HOST, OUTSIDE} & _pins():
        _run(["ip", "netns", "delete", name], check=False)


def _fetch() -> str:
    """The page, as soon as its servers have started."""
    command = ["ip", "netns", "exec", OUTSIDE, sys.executable, "-c", FETCH, PAGE]
    print(f"$ ip netns exec {OUTSIDE} curl {PAGE}", flush=True)
    deadline = time.monotonic() + 15
    while (done := _run(command, check=False)).returncode != 0:
        if time.monotonic() > deadline:
            raise DemoError(f"no page at {PAGE}:\n{done.stderr}")
        time.sleep(0.1)
    print(done.stdout, end="", flush=True)
    return done.stdout


def _netapply(*arguments: str, expected: int = 0) -> None:
    """Show the command and what it prints."""
    print(f"$ netapply -n {HOST} {' '.join(arguments)}", flush=True)
    done = subprocess.run(_command(*arguments), check=False, cwd=REPOSITORY, timeout=60)
    if done.returncode != expected:
        raise DemoError(f"netapply {arguments[0]} ended with {done.returncode} instead of {expected}")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "reconciler", "-n", HOST, *arguments]


def _run(command: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        raise DemoError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done


def _pins() -> set[str]:
    return {path.name for path in PINS.iterdir()} if PINS.is_dir() else set()


def _section(title: str) -> None:
    print(f"\n== {title}", flush=True)


def _say_how_to_look() -> None:
    netapply = Path(sys.executable).with_name("netapply")
    print(f"\nKept. To look around, as root: {netapply} -n {HOST} ps")
    print(f"To remove it: {netapply} -n {HOST} down -p webshop; ip netns delete {HOST}; ip netns delete {OUTSIDE}")


if __name__ == "__main__":
    sys.exit(main())
