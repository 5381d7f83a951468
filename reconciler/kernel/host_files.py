"""What the host's own hosts and resolv.conf say, and its name: what containers are told follows from it."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.kernel.container_files import NETNS_FILES
from reconciler.kernel.host import Host

_MOST_SERVERS = 3
"""As many nameservers as the C library asks (resolv.conf(5), MAXNS)."""


@dataclass(frozen=True, slots=True)
class HostFiles:
    """Nameservers (with the zone of link-local ones), search domains and options as in resolv.conf(5); hosts' text."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    hosts: str = ""
    name: str = ""


def read(host: Host) -> HostFiles:
    """Those of the machine or, for a host given with ``-n``, those that ``ip netns exec`` shows there."""
    nameservers, search, options = parse_resolv_conf(_text(host, "resolv.conf"))
    return HostFiles(nameservers, search, options, _text(host, "hosts"), os.uname().nodename)


def parse_resolv_conf(text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Nameservers, search domains and options; what is not understood is left out, as the C library does."""
    nameservers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_] if _is_address(address):
                nameservers.append(address)
            case ["search" | "domain", *domains]:
                search = tuple(domains)  # the last of several counts
            case ["options", *words]:
                options.extend(words)
            case _:
                pass
    return tuple(nameservers[:_MOST_SERVERS]), search, tuple(dict.fromkeys(options))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def paths(host: Host) -> tuple[Path, ...]:
    """All files that ``read`` may read, there or not."""
    return (*_places(host, "resolv.conf"), *_places(host, "hosts"))


def _places(host: Host, file_name: str) -> list[Path]:
    """The first that can be read counts."""
    own = [NETNS_FILES / host.name / file_name] if host.name else []
    return [*own, Path("/etc", file_name)]


def _text(host: Host, file_name: str) -> str:
    for place in _places(host, file_name):
        try:
            return place.read_text(errors="replace")
        except OSError:
            continue
    return ""
