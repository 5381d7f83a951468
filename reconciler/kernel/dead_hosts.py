"""Clears away what hosts left that are gone: a namespace of ``ip netns`` deleted with stacks still up.

A host given with ``-n`` writes its name into its run folder. It is dead when that name leads
nowhere, or to a namespace with another cookie.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.kernel import agent_control, attached, attachment_records, files, namespaces, runtime
from reconciler.kernel.host import PINNED, RUN, Host, cookie
from reconciler.kernel.runtime_records import all_records

NAME_FILE = "name"


def remember(host: Host) -> None:
    """Write the host's name into its run folder, so that a later run can tell whether it lives."""
    path = host.run / NAME_FILE
    if host.name and not path.exists():
        files.write_private(path, host.name)


def collect(host: Host) -> None:
    """End the agents and commands of dead hosts, unpin their sandboxes, remove their run folders.

    ``host`` itself is never among them. What resists is left for the next run.
    """
    for dead in _dead(host):
        try:
            _bury(dead)
        except (NetapplyError, OSError):
            continue


def _dead(host: Host) -> Iterator[Host]:
    for folder in sorted(RUN.iterdir()):
        if folder.name == host.host_id or not folder.name.isdigit():
            continue
        try:
            name = (folder / NAME_FILE).read_text()
        except OSError:
            continue
        if name and "/" not in name and _cookie_of(PINNED / name) != folder.name:
            yield Host(name, folder.name)


def _cookie_of(path: Path) -> str | None:
    with namespaces.elsewhere():
        try:
            namespaces.enter_path(path)
        except OSError:
            return None
        return str(cookie())


def _bury(dead: Host) -> None:
    agent_control.stop(dead.run)
    runtime.stop_many(dead.run, [records.container for records in all_records(dead.run)])
    for container in attachment_records.records(dead):
        attached.detach(dead, None, container)
    if PINNED.is_dir():
        for path in sorted(PINNED.iterdir()):
            if dead.namespace_of(path.name):
                namespaces.unpin(path)
    shutil.rmtree(dead.run, ignore_errors=True)
