"""What a run that was killed left half done in a host's run folder. Whoever clears it away holds the host's lock."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress

from reconciler.kernel import agent_control, attachment_records, container_files, jobs, joiners
from reconciler.kernel.agent_protocol import DATA_DIRECTORY
from reconciler.kernel.host import Host
from reconciler.kernel.runtime_records import bundles_directory, left_overs

_DRAFT = re.compile(r"\..+\.\d+")


def collect(host: Host) -> None:
    """Remove drafts of files that never got their name, and commands that were half made or half removed."""
    for folder in (host.run, host.run / DATA_DIRECTORY):
        if folder.is_dir():
            for path in folder.iterdir():
                if _DRAFT.fullmatch(path.name):
                    path.unlink(missing_ok=True)
    for path in left_overs(host.run):
        shutil.rmtree(path, ignore_errors=True)
    container_files.collect(host)


def remove_unused(host: Host) -> None:
    """Remove the files of an agent that does not run, and the folders that hold nothing any more."""
    agent_control.forget_dead(host.run)
    container_files.remove_unused(host.run)
    bundles = bundles_directory(host.run)
    ours = (
        host.run / name
        for name in ("oci", joiners.DIRECTORY, attachment_records.DIRECTORY, jobs.DIRECTORY, DATA_DIRECTORY)
    )
    for folder in (*sorted(bundles.glob("*")), bundles, *ours):
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()
