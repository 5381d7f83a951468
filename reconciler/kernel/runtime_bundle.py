"""The OCI bundle of a container's command: config.json, and what it takes to write it.

The format is the Open Containers runtime specification 1.0.2 (config.md, config-linux.md).
Everything here is a function of its arguments; only ``submounts`` and ``identity`` read files.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.actions import StartProcess
from reconciler.errors import NetapplyError

PATH_VARIABLE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Docker's default set without CAP_MKNOD: no device cgroup stands behind it here, so that a device
# node made inside would reach the host's disks. Without CAP_NET_ADMIN nobody inside changes our rules.
CAPABILITIES = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

# The kernel's own secrets and switches, as every container engine hides them.
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# Secrets of the host that its own root may read, and so could root inside.
MASKED_HOST_PATHS = (
    "/etc/NetworkManager/system-connections",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/wireguard",
    "/var/lib/netapply",
)
# Hidden too, but programs expect to write there.
FRESH_HOST_DIRECTORIES = (("/root", "700"), ("/run", "755"))

# Not files of the host: of the kernel, or (autofs, fuse) answered by a program that may never answer.
_NO_FILES = frozenset(
    {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs"}
    | {"fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs"}
    | {"tracefs"}
)
_LARGEST_TABLE = 4 * 1024 * 1024  # bytes of a passwd-like file

SCRATCH = ("/tmp", "/var/tmp")  # noqa: S108 - names of mount points, nothing is created there
"""Where programs expect to write: as mounts of their own, copy-on-write like the root instead of read-only."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the command runs as, resolved within its root file system."""

    uid: int
    gid: int
    additional_gids: tuple[int, ...]
    home: str


def identity(user: str, root: Path) -> Identity:
    """Resolve ``user`` (empty, name, uid, and either with ``:group``) in the passwd and group files below ``root``.

    Raises NetapplyError for a name that is not there. A number need not be there.
    """
    user_name, _, group_name = user.partition(":")
    users = _table(root / "etc/passwd", 7)
    groups = _table(root / "etc/group", 4)
    wanted = user_name or "0"
    entry = next((row for row in users if wanted in (row[0], row[2])), None)
    if entry is None and not wanted.isdecimal():
        message = f"user {user_name!r} is not in {root / 'etc/passwd'}"
        raise NetapplyError.of(message, hint="name a user of that file, or give a number")
    uid = int(entry[2]) if entry else int(wanted)
    gid = int(entry[3]) if entry else 0
    additional = [int(row[2]) for row in groups if entry and entry[0] in row[3].split(",")]
    if group_name:
        gid, additional = _group(group_name, groups, root), []
    home = entry[5] if entry and entry[5] else "/"
    return Identity(uid, gid, tuple(sorted(set(additional) - {gid})), home)


def _group(name: str, groups: list[list[str]], root: Path) -> int:
    for row in groups:
        if name in (row[0], row[2]):
            return int(row[2])
    if name.isdecimal():
        return int(name)
    message = f"group {name!r} is not in {root / 'etc/group'}"
    raise NetapplyError.of(message, hint="name a group of that file, or give a number")


def _table(path: Path, columns: int) -> list[list[str]]:
    """The well-formed rows of a passwd-like file; none where no such file stands.

    Root in the container may have put anything there: a pipe would hold us for ever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return []
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor, which cannot be exchanged any more
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        text = file.read(_LARGEST_TABLE).decode(errors="surrogateescape")
    rows = [line.split(":") for line in text.splitlines()]
    return [row for row in rows if len(row) == columns and row[2].isdecimal() and (columns == 4 or row[3].isdecimal())]  # noqa: PLR2004 - group(5) has four columns


def submounts(mount_information: str) -> tuple[str, ...]:
    """The mount points, parents first, below / whose files belong to the host's view (proc_pid_mountinfo(5))."""
    hidden = ("/proc", "/sys", "/dev", *(path for path, _ in FRESH_HOST_DIRECTORIES), *MASKED_HOST_PATHS)
    found: dict[str, None] = {}
    for line in mount_information.splitlines():
        fields, _, rest = line.partition(" - ")
        mount_point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields.split()[4])
        file_system = rest.split()[0]
        if mount_point == "/" or file_system in _NO_FILES or file_system.startswith("fuse."):
            continue
        if not any(_within(mount_point, path) for path in hidden):
            found[mount_point] = None
    return tuple(sorted(found))


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def configuration(
    start: StartProcess,
    who: Identity,
    *,
    root: str,
    cgroup: str,
    namespace_path: Path | None,
    host_mounts: Iterable[str] = (),
    files: Mapping[str, Path] | None = None,
    shared: Mapping[str, Path | None] | None = None,
) -> dict[str, Any]:
    """config.json of a container.

    ``root`` is its root directory, absolute or relative to the bundle; ``cgroup`` the path of the
    control group of a runtime that cannot do without. ``namespace_path`` None:
    the network namespace of whoever starts it. ``host_mounts`` are the host's mount points to show
    read-only; ``files`` are files of ours to show at a path inside. ``shared`` leads, by kind (``ipc``, ``pid``,
    ``uts``), to another's namespace, None being that of whoever starts it.
    """
    of_host = not start.rootfs
    shared = shared or {}
    # Whose name it is who shares it: setting it here would rename the other one.
    named = start.hostname and "uts" not in shared
    return {
        "ociVersion": "1.0.2",
        "process": _process(start, who),
        "root": {"path": root, "readonly": False},
        **({"hostname": start.hostname} if named else {}),
        "mounts": _mounts(of_host, host_mounts, files or {}),
        "linux": {
            # No "resources" and no "rlimits": both need rights that a confined root may lack.
            "cgroupsPath": cgroup,
            "namespaces": _namespaces(namespace_path, shared),
            "maskedPaths": [*MASKED_PATHS, *(MASKED_HOST_PATHS if of_host else ())],
            "readonlyPaths": list(READ_ONLY_PATHS),
        },
    }


def _process(start: StartProcess, who: Identity) -> dict[str, Any]:
    named = {"HOSTNAME": start.hostname} if start.hostname else {}
    defaults = {"PATH": PATH_VARIABLE, "HOME": who.home, **named}
    # What the manifest says goes before what follows from links.
    environment = {**defaults, **dict(start.link_environment), **dict(start.environment)}
    # Ambient capabilities stay empty: only root inside has these.
    sets = ("bounding", "effective", "permitted")
    return {
        "terminal": False,
        "user": {"uid": who.uid, "gid": who.gid, "additionalGids": list(who.additional_gids)},
        "args": list(start.command),
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": posixpath.normpath(start.working_dir or "/"),
        "capabilities": {name: list(CAPABILITIES) for name in sets},
        "noNewPrivileges": True,
    }


def _namespaces(namespace_path: Path | None, shared: Mapping[str, Path | None]) -> list[dict[str, str]]:
    own = [{"type": kind} for kind in ("pid", "mount", "uts", "ipc") if kind not in shared]
    joined = {"network": namespace_path, **shared}
    return [{"type": kind, "path": str(path)} for kind, path in joined.items() if path is not None] + own


def _mounts(of_host: bool, host_mounts: Iterable[str], files: Mapping[str, Path]) -> list[dict[str, Any]]:
    mounts = [_bind(path, path) for path in host_mounts] if of_host else []
    mounts += [_mount("/proc", "proc", "nosuid", "noexec", "nodev")]
    if of_host:
        mounts += [_temporary(path, mode, "64m", "nodev") for path, mode in FRESH_HOST_DIRECTORIES]
    mounts += [
        _temporary("/dev", "755", "64k", "noexec"),
        _mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        _temporary("/dev/shm", "1777", "64m", "noexec", "nodev"),  # noqa: S108 - a mount point inside
        _mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
    ]
    return mounts + [_bind(str(source), inside) for inside, source in files.items()]


def _mount(destination: str, file_system: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": file_system, "source": file_system, "options": list(options)}


def _temporary(destination: str, mode: str, size: str, *options: str) -> dict[str, Any]:
    return _mount(destination, "tmpfs", "nosuid", *options, f"mode={mode}", f"size={size}")


def _bind(source: str, destination: str) -> dict[str, Any]:
    # A remount that names only "ro" would take nosuid and nodev off the host's own choice.
    options = ["bind", "ro", "nosuid", "nodev"]
    return {"destination": destination, "type": "bind", "source": source, "options": options}
