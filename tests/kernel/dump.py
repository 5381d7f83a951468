"""Every object of a host and of all sandboxes on it, one by one, so that each difference can be accounted for.

A ``Snapshot`` says whether anything changed; a dump says which object did, down to an element of a firewall set and
an entry of the agent's. The kernel is asked through iproute2, nft and /proc, never with netapply's own code; only what
lives nowhere but in the agent's memory is asked of the agent.
"""

from __future__ import annotations

import gc
import json
import os
import re
import stat
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.kernel import agent_control
from tests.kernel import snapshot
from tests.kernel.isolation import inside

HOST = "host"
RUN = Path("/run/netapply")
_PINS = Path("/run/netns")
_NETNS_FILES = Path("/etc/netns")
_UNSTEADY = re.compile(r"netfilter/nf_conntrack_count|ipv[46]/route/flush|ipv6/conf/[^/]+/stable_secret")
"""Settings that change by themselves, or that nobody can read."""
_MOMENTARY = frozenset({"operstate", "promiscuity", "allmulti"})
"""What a link's neighbours make of it: a bridge has a carrier as soon as it has a port, which forwards if that is up."""
_MOMENTARY_FLAGS = frozenset({"LOWER_UP", "NO-CARRIER", "RUNNING", "M-DOWN"})
_LATE = re.compile(r"fe80::|ff00::/8$")
"""What the kernel makes on each link with IPv6, seconds after it came up (RFC 4862, 5.4): its link-local address, and
routes to that and to groups."""
_OF_A_FAMILY = ("address", "neighbour show nud permanent", "route show table all", "rule")
_BLOCK = 4096
_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state of sockets that wait for somebody (linux/net/tcp_states.h), by the file that lists them."""


class Item(NamedTuple):
    """One object: ``place`` is ``host`` or the ``stack/container`` of a sandbox, ``sort`` what kind of thing it is."""

    place: str
    sort: str
    name: str


Dump = Mapping[Item, str]
"""What each object looks like."""

Found = Iterator[tuple[str, str, Any]]
"""Sort, name and look of objects of one place."""


class Difference(NamedTuple):
    """An object that is like that before only (``-``) or after only (``+``)."""

    sign: str
    item: Item
    value: str

    def __str__(self) -> str:
        place, sort, name = self.item
        return f"{self.sign} {place}: {sort} {name} = {self.value}"


def differences(before: Dump, after: Dump) -> list[Difference]:
    """In what two dumps differ; an object that changed gives one of either sign."""
    gone = [Difference("-", item, value) for item, value in before.items() if after.get(item) != value]
    return gone + [Difference("+", item, value) for item, value in after.items() if before.get(item) != value]


def take(host: Path) -> Dump:
    """Look at the host that is this network namespace, and at every sandbox of netapply's on it."""
    gc.disable()  # it would go through all dumps that are kept, again and again
    try:
        return _taken({HOST: host, **_sandboxes()})
    finally:
        gc.enable()


def _taken(places: Mapping[str, Path]) -> Dump:
    found = [(place, each) for place, path in places.items() for each in inside(path, lambda: list(_network()))]
    found += _processes(places)
    found += [(HOST, each) for each in [*_pins(), *_files(RUN, _NETNS_FILES), *_mounts(), *_memory_of_agents()]]
    dump = {Item(place, sort, name): json.dumps(look) for place, (sort, name, look) in found}
    hidden = {each: count for each, count in Counter((place, *each[:2]) for place, each in found).items() if count > 1}
    assert not hidden, f"objects of one name, of which one hides the others: {hidden}"
    return dump


def _sandboxes() -> dict[str, Path]:
    """Their pins by ``stack/container``; a container in another one's namespace has no sandbox."""
    joined = {file.name for file in RUN.glob("*/joined/*")}
    names = {path.name.split(".", 2)[2]: path for path in sorted(_PINS.glob("na.*"))}
    return {name.replace(".", "/", 1): path for name, path in names.items() if name not in joined}


def _network() -> Found:
    """What the network namespace has in which the calling thread stands."""
    yield from _links_and_routes()
    for each in json.loads(_output("nft", "-s", "-j", "list ruleset"))["nftables"][1:]:
        ((sort, body),) = each.items()
        yield from _firewall(sort, body)
    for command in ("iptables-legacy-save", "ip6tables-legacy-save"):
        if _proc_net(command.replace("tables-legacy-save", "_tables_names")):
            # Without the line's number, which tells what stands before it; of equal ones, which of them it is.
            lines = [re.sub(r" [0-9]+ ", " ", line, count=1) for line in snapshot._legacy(command)]
            yield from (("legacy", f"{line} #{lines[:at].count(line)}", None) for at, line in enumerate(lines))
    yield from _sysctls()
    yield from _sockets()


def _links_and_routes() -> Found:
    links, *lists4 = _ip("-4", "link", *_OF_A_FAMILY)
    for link in links:
        flags = [flag for flag in link["flags"] if flag not in _MOMENTARY_FLAGS]
        link.get("linkinfo", {}).get("info_slave_data", {}).pop("state", None)
        settled = {key: value for key, value in snapshot._steady(link).items() if key not in _MOMENTARY}
        yield "link", link["ifname"], {**settled, "flags": flags}
    for version, lists in (("4", lists4), ("6", _ip("-6", *_OF_A_FAMILY))):
        holders, neighbours, routes, rules = lists
        for holder in holders:
            for address in holder["addr_info"]:
                full = f"{address['local']}/{address['prefixlen']}"
                if version == "4" or not _LATE.match(full):
                    yield "address", f"{holder['ifname']} {full}", snapshot._steady(address)
        for neighbour in neighbours:
            yield "neighbour", f"{neighbour['dev']} {neighbour['dst']}", neighbour
        for route in routes:
            if version == "4" or route["protocol"] != "kernel" or not _LATE.match(route["dst"]):
                where = [str(route.get(key, "-")) for key in ("dev", "dst", "type", "table", "metric")]
                flags = [flag for flag in route["flags"] if flag != "linkdown"]
                yield "route", " ".join([version, *where]), {**snapshot._steady(route), "flags": flags}
        for rule in rules:
            yield "rule", f"{version} {json.dumps(rule)}", None


def _ip(family: str, *commands: str) -> list[Any]:
    """What each command of ip(8) lists."""
    done = subprocess.run(
        ["ip", family, "-d", "-j", "-batch", "-"],
        input="\n".join(commands),
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    decoder, lists, text = json.JSONDecoder(), [], done.stdout.strip()
    while text:
        value, end = decoder.raw_decode(text)
        lists.append([each for each in value if each])
        text = text[end:].lstrip()
    assert len(lists) == len(commands), done.stdout
    return lists


def _firewall(sort: str, body: dict[str, Any]) -> Found:
    """One object of nft's listing, and the elements of a set or map each as one of its own."""
    place = " ".join(str(body[key]) for key in ("family", "table") if key in body)
    name = body.get("name", "")
    if sort == "rule":
        yield sort, f"{place} {body['chain']} {body['handle']}", body
        return
    for element in body.pop("elem", ()) if sort in {"set", "map"} else ():
        key, *value = element if sort == "map" else [element]
        told = key["elem"] if isinstance(key, dict) and "elem" in key else {"val": key}
        yield "element", f"{place} {name} {json.dumps(told['val'])}", {"comment": told.get("comment"), "value": value}
    yield sort, f"{place} {name}", body


def _sysctls() -> Found:
    for folder, _, names in os.walk("/proc/sys/net"):
        for name in names:
            path = f"{folder}/{name}"
            short = path.removeprefix("/proc/sys/")
            if not _UNSTEADY.fullmatch(short.removeprefix("net/")):
                yield "sysctl", short, _read(path).decode().strip()


def _sockets() -> Found:
    for file_name, state in _LISTENING.items():
        for line in _proc_net(file_name).splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                yield "socket", f"{file_name} {fields[1]} {fields[9]}", None


def _proc_net(name: str) -> str:
    file = Path("/proc/thread-self/net") / name
    return file.read_text() if file.exists() else ""


def _processes(places: Mapping[str, Path]) -> Iterator[tuple[str, tuple[str, str, Any]]]:
    """Those in each place's namespace, with the place."""
    names = {snapshot.identity(path): place for place, path in places.items()}
    for pid, command in snapshot.processes_in(set(names)):
        with suppress(OSError):  # it ended while we looked
            yield names[snapshot.identity(Path(f"/proc/{pid}/ns/net"))], ("process", str(pid), command)


def _pins() -> Found:
    for path in _PINS.iterdir():
        yield "pin", path.name, snapshot.identity(path)


def _mounts() -> Found:
    yield from (("mount", line, None) for line in set(snapshot._mounts()) if " nsfs " not in line)


def _files(*roots: Path) -> Found:
    """Files below these folders, and folders that are empty, for nobody should leave these behind."""
    for root in roots:
        for folder, folders, names in os.walk(root):
            links = [name for name in folders if os.path.islink(f"{folder}/{name}")]  # noqa: PTH114 - os.walk
            for name in [*names, *links]:
                if name != "lock":  # it must outlive its holders to work, so it is no state
                    yield from _file(f"{folder}/{name}")
            if not folders and not names and Path(folder) not in roots:
                yield "file", f"{_short(folder)}/", None


def _file(path: str) -> Found:
    status = os.lstat(path)
    who = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    short = _short(path)
    if stat.S_ISLNK(status.st_mode):
        yield "file", short, [who, os.readlink(path)]  # noqa: PTH115 - os.walk
    elif not stat.S_ISREG(status.st_mode):
        yield "file", short, [who]
    elif short == "run/sysctls.json" or re.fullmatch(r"run/agent/[^/]+\.json", short):
        entries = dict(_entries(json.loads(_read(path))))
        yield from (("entry", f"{short} {name}", [who, value]) for name, value in entries.items())
        if not entries:
            yield "file", short, [who]
    else:
        yield "file", short, [who, _read(path).decode(errors="replace")]


def _entries(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of each thing that a file of several things holds; ``generation`` is a digest of the others."""
    for section, content in data.items():
        if isinstance(content, dict):
            yield from ((f"{section} {name}", value) for name, value in content.items())
        elif isinstance(content, list):
            yield from ((f"{section} {json.dumps(value)}", None) for value in content)


def _short(path: str) -> str:
    """``run/name`` for what stands in the run folder of whichever host."""
    return re.sub(rf"^{RUN}/\d+", "run", path)


def _memory_of_agents() -> Found:
    for folder in RUN.glob("*"):
        status = agent_control.status(folder)
        if status is None:
            continue
        yield "memory", "agent", [status.pid, status.version]
        for stack_name, pins in status.pins.items():
            yield from (("memory", f"{stack_name} holds {json.dumps(pin)}", None) for pin in pins)
        yield from (("memory", f"{container} names", list(served)) for container, served in status.names.items())
        yield from (("memory", f"{container} removal", None) for container in status.jobs)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def _read(path: str) -> bytes:
    """All of the file; there are a thousand in each namespace, for which pathlib takes too long."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # In small blocks: the kernel makes room for as much as is asked for, before it looks how little there is.
        return b"".join(iter(lambda: os.read(descriptor, _BLOCK), b""))
    finally:
        os.close(descriptor)
