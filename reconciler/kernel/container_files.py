"""The files that containers see in place of the host's: hosts, resolv.conf, hostname.

They stand in ``files/STACK/NAME`` of the host's run folder, and ``/etc/netns/PIN`` leads there, where
``ip netns exec`` looks (ip-netns(8)). A file is written in place: behind a bind mount a new one would stay invisible.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reconciler.errors import NetapplyError, Problem
from reconciler.kernel.host import RUN, Host
from reconciler.resources.container_file import FILE_NAMES, HOSTS, ContainerFile
from reconciler.resources.joined import FOREIGN

NETNS_FILES = Path("/etc/netns")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OURS = re.compile(re.escape(str(RUN)) + r"/([0-9]+)/files/[^/]+/[^/]+")


def files_directory(run_directory: Path) -> Path:
    """Where the folders of all containers' files stand."""
    return run_directory / "files"


def folder_of(run_directory: Path, container: str) -> Path:
    """Where the files of ``stack/name`` stand. Raises NetapplyError for a name that is no safe part of a path."""
    stack_name, slash, name = container.partition("/")
    if not slash or not _NAME.fullmatch(stack_name) or not _NAME.fullmatch(name):
        raise NetapplyError.of(f"{container!r} is not a container's name (stack/name)")
    return files_directory(run_directory) / stack_name / name


def shown(host: Host, files: str) -> dict[str, Path]:
    """Path inside and file, for whoever sees the files of ``files``: ``stack/name``, ``netns:NAME``, empty for none."""
    if not files:
        return {}
    foreign = files.startswith(FOREIGN)
    folder = NETNS_FILES / host.namespace_path(files).name if foreign else folder_of(host.run, files)
    return {f"/etc/{name}": folder / name for name in FILE_NAMES if (folder / name).is_file()}


def observe(host: Host, only: frozenset[str] | None = None) -> Iterator[ContainerFile]:
    """All files of containers (of those in ``only``, where given), with their texts."""
    places = _Places(host)
    for container, folder in _folders(host.run):
        if only is not None and container not in only:
            continue
        owner = container.partition("/")[0]
        for file_name in FILE_NAMES:
            text = _read(f"{folder}/{file_name}")
            if text is not None:
                linked = file_name != HOSTS or places.lead(container)
                yield ContainerFile(owner, container, file_name, text, linked)


def obstructions(host: Host) -> Iterator[Problem]:
    """A warning for each container whose files ``ip netns exec`` does not show, because somebody else's stand there."""
    places = _Places(host)
    for container, _ in _folders(host.run):
        if places.obstructed(container):
            message = f"{places.path(container)} is not netapply's, so it stays as it is"
            hint = f"move it away: ip netns exec then shows the files of container {container}"
            yield Problem(message, hint=hint, severity="warning")


def write(host: Host, container: str, file_name: str, text: str) -> None:
    """Write it in place, readable by all who get to see it. Raises OSError."""
    folder = folder_of(host.run, container)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = text.encode()
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder / file_name, flags, 0o644)
    try:
        # Whatever the umask is: a command that does not run as root reads it too.
        os.fchmod(descriptor, 0o644)
        # In one write, and cut only then, so that no reader ever meets an empty file.
        os.write(descriptor, data)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)
    if file_name == HOSTS:
        lead(host, container, container)


def remove(host: Host, container: str, file_name: str) -> None:
    """Remove it, and with a container's last file all that leads there. What is gone already is fine."""
    folder = folder_of(host.run, container)
    if any((folder / name).exists() for name in FILE_NAMES if name != file_name):
        (folder / file_name).unlink(missing_ok=True)
        return
    # First what leads there: without any file nobody would look for it any more.
    place = NETNS_FILES / host.namespace_path(container).name
    if _target(place) == str(folder):  # not where it leads to another's files by now
        unlead(host, container)
    shutil.rmtree(folder, ignore_errors=True)
    _remove_empty(folder.parent, folder.parent.parent)


def lead(host: Host, container: str, owner: str) -> None:
    """Have ``ip netns exec`` show in ``container`` the files of ``owner``, unless somebody else's stand in that place."""
    place, wanted = NETNS_FILES / host.namespace_path(container).name, str(folder_of(host.run, owner))
    target = _target(place)
    if target == wanted or (target is None and os.path.lexists(place)) or (target and not _OURS.fullmatch(target)):
        return
    # A convenience for people; a file system that is read-only there must not stop what containers need.
    with suppress(OSError):
        if not NETNS_FILES.is_dir():
            NETNS_FILES.mkdir(exist_ok=True)
            NETNS_FILES.chmod(0o755)  # whatever the umask is: it is not ours alone
        place.unlink(missing_ok=True)
        place.symlink_to(wanted)


def unlead(host: Host, container: str) -> None:
    """Take that away, where it is ours."""
    place = NETNS_FILES / host.namespace_path(container).name
    if _OURS.fullmatch(_target(place) or ""):
        with suppress(OSError):
            place.unlink(missing_ok=True)


def collect(host: Host) -> None:
    """Remove what leads to files that are gone: of this host, or of one whose run folder is gone (after a reboot)."""
    try:
        places = list(NETNS_FILES.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for place in places:
        found = _OURS.fullmatch(_target(place) or "")
        if found and not place.exists() and (found[1] == host.host_id or not (RUN / found[1]).exists()):
            with suppress(OSError):
                place.unlink()


def remove_unused(run_directory: Path) -> None:
    """Remove the folders that hold nothing."""
    directory = files_directory(run_directory)
    _remove_empty(*sorted(directory.glob("*/*")), *sorted(directory.glob("*")), directory)


class _Places:
    """The names below /etc/netns, as they are at one moment: a thousand containers ask."""

    def __init__(self, host: Host) -> None:
        self._host = host
        try:
            with os.scandir(NETNS_FILES) as entries:
                self._found = {entry.name: _target(entry) or "" for entry in entries}
        except (FileNotFoundError, NotADirectoryError):
            self._found = {}
        self._writable: bool | None = None

    def path(self, container: str) -> Path:
        return NETNS_FILES / self._name(container)

    def _name(self, container: str) -> str:
        # As Host.namespace_path has it, of which a thousand paths take longer than all the rest.
        return f"{self._host.prefix}{container.replace('/', '.', 1)}"

    def obstructed(self, container: str) -> bool:
        """Whether something that is not ours stands there."""
        target = self._found.get(self._name(container))
        return target is not None and not _OURS.fullmatch(target)

    def lead(self, container: str) -> bool:
        """Whether it leads to the container's files, or cannot, so that there is nothing to be done."""
        target = self._found.get(self._name(container))
        if target == f"{self._host.run}/files/{container}" or self.obstructed(container):
            return True
        return not self._may_write()

    def _may_write(self) -> bool:
        if self._writable is None:
            folder = NETNS_FILES if NETNS_FILES.exists() else NETNS_FILES.parent
            self._writable = folder.is_dir() and os.access(folder, os.W_OK)
        return self._writable


def _folders(run_directory: Path) -> Iterator[tuple[str, str]]:
    """``stack/name`` and folder of every container that has files, by name."""
    directory = os.fspath(files_directory(run_directory))
    for stack in _names(directory):
        for name in _names(f"{directory}/{stack}"):
            yield f"{stack}/{name}", f"{directory}/{stack}/{name}"


def _names(directory: str) -> list[str]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - only the names are wanted
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if _NAME.fullmatch(name))


def _read(path: str) -> str | None:
    """Its text; None where there is no such file, or something else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        blocks = []
        while block := os.read(descriptor, 65536):
            blocks.append(block)
        return b"".join(blocks).decode(errors="replace")
    except IsADirectoryError:
        return None
    finally:
        os.close(descriptor)


def _target(place: os.PathLike[str]) -> str | None:
    """Where a symbolic link leads; None where there is none."""
    try:
        return os.readlink(place)  # noqa: PTH115 - the text as it stands, not a path made of it
    except OSError:
        return None


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()
