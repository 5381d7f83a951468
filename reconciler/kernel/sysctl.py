"""Kernel settings: read, written, and put back as they were before us.

What was before us stands in one file of the host's run folder, on disk before the first
change. Switching forwarding changes settings of every interface with it (kernel:
networking/ip-sysctl, ip_forward), so those are recorded and put back too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel import files

_ROOT = Path("/proc/sys")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*(/[A-Za-z0-9_][A-Za-z0-9_.@:-]*)+")
_COMPANIONS = {
    "net/ipv4/ip_forward": ("net/ipv4/conf", ("forwarding", "accept_redirects")),
    "net/ipv6/conf/all/forwarding": ("net/ipv6/conf", ("forwarding", "accept_redirects")),
}

Record = dict[str, dict[str, dict[str, str]]]
"""namespace -> setting of ours -> every setting that changes with it -> value before us."""


def read(name: str) -> str | None:
    """The value of ``name`` (slashes) in the namespace that this thread is in, or None."""
    try:
        return _path(name).read_text().strip()
    except OSError:
        return None


def write(name: str, value: str) -> None:
    """Set it. Raises NetapplyError where the kernel has no such setting or refuses the value."""
    try:
        _path(name).write_text(value)
    except FileNotFoundError:
        raise NetapplyError.of(f"this kernel has no sysctl {_dotted(name)}") from None
    except OSError as error:
        raise NetapplyError.of(f"sysctl {_dotted(name)} = {value} was refused: {error.strerror}") from None


def load_record(run_folder: Path) -> Record:
    """What was before us; empty where nothing was changed or the file is lost."""
    try:
        record = json.loads((run_folder / "sysctls.json").read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def save_record(run_folder: Path, record: Record) -> None:
    """Replace the file, on disk before this returns; an empty record removes it."""
    kept = {namespace: settings for namespace, settings in record.items() if settings}
    path = run_folder / "sysctls.json"
    if kept:
        files.write_private(path, json.dumps(kept, sort_keys=True), sync=True)
    else:
        path.unlink(missing_ok=True)


def before(name: str) -> dict[str, str]:
    """The present values of ``name`` and of all that changes with it."""
    values = {name: read(name) or ""}
    folder, settings = _COMPANIONS.get(name, ("", ()))
    if folder:
        for interface in sorted(path.name for path in (_ROOT / folder).iterdir()):
            for setting in settings:
                companion = f"{folder}/{interface}/{setting}"
                value = read(companion)
                if value is not None and companion != name:
                    values[companion] = value
    return values


def restore(name: str, values: dict[str, str]) -> None:
    """Put the setting back, then what changed with it, as far as it still exists and differs."""
    if name in values:
        # That of an interface has gone with it, where a network was left.
        write_if_present(name, values[name])
    for companion, value in values.items():
        present = read(companion)
        if companion != name and present is not None and present != value:
            write(companion, value)


@contextmanager
def kept(names: Iterable[str]) -> Iterator[None]:
    """What changes with forwarding within may be settings of ours: those of ``names`` are afterwards as they were."""
    values = {name: value for name in names if (value := read(name)) is not None}
    yield
    for name, value in sorted(values.items()):
        present = read(name)
        if present is not None and present != value:
            write(name, value)


def write_if_present(name: str, value: str) -> None:
    """Set it, unless the kernel lacks it: an address family that is not there is off already."""
    try:
        _path(name).write_text(value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NetapplyError.of(f"sysctl {_dotted(name)} = {value} was refused: {error.strerror}") from None


def _path(name: str) -> Path:
    if not _NAME.fullmatch(name) or "/../" in name:
        raise NetapplyError.of(f"{name!r} is no name of a sysctl")
    return _ROOT / name


def _dotted(name: str) -> str:
    return name.replace("/", ".")
