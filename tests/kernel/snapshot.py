"""Everything of a host that netapply could change, in a form that can be compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kernel.isolation import inside

_VOLATILE = frozenset(
    {"valid_life_time", "preferred_life_time", "expires", "stats", "stats64", "gc_timer", "hello_timer", "tcn_timer"}
    | {"forward_delay_timer", "message_age_timer", "hold_timer"}
    | {"topology_change_timer", "topology_change", "topology_change_detected"}
)
_COUNTERS = re.compile(r" ?\[\d+:\d+\]")


@dataclass(frozen=True)
class Snapshot:
    """What was seen: by section (``links``, ``routes``, ``sysctls``, ...), one line for each object."""

    sections: dict[str, tuple[str, ...]]

    def difference(self, after: Snapshot) -> list[str]:
        """What is different in ``after``: ``section - was`` and ``section + is`` lines; empty if nothing."""
        lines: list[str] = []
        for section, old in self.sections.items():
            new = after.sections[section]
            lines += [f"{section} - {line}" for line in old if line not in new]
            lines += [f"{section} + {line}" for line in new if line not in old]
        return lines


def take(namespace: Path) -> Snapshot:
    """Look at the host that is this network namespace, and at the mounts and pins around it."""
    sections = inside(namespace, _seen_from_inside)
    sections["processes"] = tuple(f"{pid} {command}" for pid, command in processes_in({identity(namespace)}))
    sections["pins"] = tuple(sorted(path.name for path in Path("/run/netns").iterdir()))
    sections["mounts"] = tuple(sorted(_mounts()))
    sections["files"] = tuple(sorted(_files(Path("/run/netapply"), Path("/etc/netns"))))
    return Snapshot(sections)


def identity(namespace: Path) -> tuple[int, int]:
    """What tells this namespace from others as long as it lives: device and inode."""
    status = namespace.stat()
    return status.st_dev, status.st_ino


def processes_in(namespaces: set[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """Pid and command line of every process that stands in one of these network namespaces."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if identity(folder / "ns/net") in namespaces:
                yield int(folder.name), (folder / "cmdline").read_text().replace("\0", " ").strip()
        except OSError:  # it ended while we looked
            continue


def _seen_from_inside() -> dict[str, tuple[str, ...]]:
    return {
        "links": _objects("ip", "-d", "-j", "link"),
        "addresses": _objects("ip", "-j", "address"),
        "routes": _objects("ip", "-4", "-j", "route", "show", "table", "all")
        + _objects("ip", "-6", "-j", "route", "show", "table", "all"),
        "rules": _objects("ip", "-4", "-j", "rule") + _objects("ip", "-6", "-j", "rule"),
        "nftables": tuple(
            json.dumps(_steady(each)) for each in _json("nft", "-s", "-j", "list", "ruleset")["nftables"][1:]
        ),
        "iptables-legacy": tuple(_legacy("iptables-legacy-save") + _legacy("ip6tables-legacy-save")),
        "sysctls": tuple(_sysctls()),
    }


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def _json(*command: str) -> Any:
    return json.loads(_output(*command) or "[]")


def _objects(*command: str) -> tuple[str, ...]:
    return tuple(sorted(json.dumps(_steady(each)) for each in _json(*command) if each))


def _steady(value: Any) -> Any:
    """The value without what changes by itself, and the elements of a set in one order: they have none."""
    if isinstance(value, dict):
        kept = {key: _steady(each) for key, each in value.items() if key not in _VOLATILE}
        return kept | ({"elem": sorted(kept["elem"], key=json.dumps)} if isinstance(kept.get("elem"), list) else {})
    return [_steady(each) for each in value] if isinstance(value, list) else value


def _legacy(command: str) -> list[str]:
    """The rules of the legacy tables, in order; a table without rules is as good as none.

    (A legacy table that was once made stays until its namespace goes, whoever made it.)
    """
    lines: list[str] = []
    table: list[str] = []
    for line in _COUNTERS.sub("", _output(command)).splitlines():
        if line.startswith("*"):
            table = [line]
        elif line == "COMMIT":
            if any(not each.endswith(" ACCEPT") or each.startswith("-A") for each in table[1:]):
                lines += [f"{command} {table[0]} {number} {each}" for number, each in enumerate(table[1:])]
        elif not line.startswith("#"):
            table.append(line)
    return lines


def _sysctls() -> Iterator[str]:
    root = Path("/proc/sys/net")
    for pattern in ("ipv4/*", "ipv6/*", "bridge/*", "ipv4/conf/*/*", "ipv6/conf/*/*"):
        for file in sorted(root.glob(pattern)):
            if file.is_file() and os.access(file, os.R_OK) and file.name != "flush":
                try:
                    yield f"{file.relative_to(root)} = {file.read_text().strip()}"
                except OSError:  # stable_secret answers EIO until it is set
                    continue


def _mounts() -> Iterator[str]:
    for line in Path("/proc/thread-self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind, source = fields[fields.index("-") + 1 : fields.index("-") + 3]
        yield f"{fields[4]} {kind} {source} {fields[3] if kind != 'nsfs' else ''}".rstrip()


def _files(*roots: Path) -> Iterator[str]:
    """Files below these folders. An empty lock file is no state: it must outlive its holders to work."""
    for root in roots:
        for folder, _, names in os.walk(root):
            yield from (os.path.join(folder, name) for name in names if not name.endswith("lock"))  # noqa: PTH118 - os.walk
