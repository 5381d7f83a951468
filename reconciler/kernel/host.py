"""The host that a run is about: the network namespace we are in, and where its files stand."""

from __future__ import annotations

import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel import namespaces
from reconciler.resources.joined import FOREIGN

RUN = Path("/run/netapply")
PINNED = Path("/run/netns")
_SO_NETNS_COOKIE = 71
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,200}")


@dataclass(frozen=True, slots=True)
class Host:
    """``name`` is the namespace given with ``-n``, empty for the machine's own.

    ``host_id`` is the namespace's cookie (socket(7) has no page for it: SO_NETNS_COOKIE,
    kernel 5.14), which, unlike an inode number, is never used twice.
    """

    name: str
    host_id: str

    @property
    def run(self) -> Path:
        """The root-only folder of everything of this host that is not in the kernel."""
        return RUN / self.host_id

    @property
    def prefix(self) -> str:
        """How the pinned namespaces of this host begin."""
        return f"na.{self.host_id}." if self.name else ""

    def namespace_path(self, namespace: str) -> Path:
        """Where the sandbox of ``stack/container`` is pinned; a form that ``ip netns exec`` takes too.

        Of ``netns:NAME`` where that namespace of somebody else's is.
        """
        if namespace.startswith(FOREIGN):
            return PINNED / _checked_name(namespace.removeprefix(FOREIGN))
        stack, _, container = namespace.partition("/")
        return PINNED / f"{self.prefix}{stack}.{container}"

    def namespace_of(self, file_name: str) -> str | None:
        """``stack/container`` for a name below /run/netns that could be a sandbox of this host."""
        if not file_name.startswith(self.prefix):
            return None
        stack, dot, container = file_name[len(self.prefix) :].partition(".")
        if not (stack and dot and container) or (not self.prefix and file_name.startswith("na.")):
            return None
        return f"{stack}/{container}"

    def make_run_folder(self) -> None:
        """Make it, root-only; what somebody else put in its place is refused."""
        for folder in (RUN, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                raise NetapplyError.of(f"{folder} is not a folder of ours", hint="remove it and run again")
            if stat.S_IMODE(status.st_mode) != 0o700:  # noqa: PLR2004  # the mode that was asked for
                folder.chmod(0o700)


def enter(name: str) -> Host:
    """Become a process of the host ``name`` (a namespace of ``ip netns``), or stay where we are if empty.

    Raises NetapplyError where there is no such namespace or no right to enter it.
    """
    if name:
        if not _HOST_NAME.fullmatch(name):
            raise NetapplyError.of(f"{name!r} is no name of a network namespace")
        try:
            namespaces.enter_path(PINNED / name)
        except FileNotFoundError:
            raise NetapplyError.of(
                f"there is no network namespace {name}", hint=f"make it with: ip netns add {name}"
            ) from None
        except OSError as error:
            raise NetapplyError.of(
                f"cannot enter the network namespace {name}: {error.strerror}", hint=_rights_hint(error)
            ) from None
    return Host(name, str(cookie()))


def _checked_name(name: str) -> str:
    if not _HOST_NAME.fullmatch(name):
        raise NetapplyError.of(f"{name!r} is no name of a network namespace")
    return name


def _rights_hint(error: OSError) -> str:
    return "run as root (CAP_SYS_ADMIN and CAP_NET_ADMIN are needed)" if isinstance(error, PermissionError) else ""


def cookie() -> int:
    """The cookie of the network namespace that this thread is in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), "little")
