"""Names of files that stand in a manifest: how they are joined, compared, and which are no files at all."""

from __future__ import annotations

import re
from posixpath import abspath, join, normpath

_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|oci:", re.IGNORECASE)


def joined(folder: str, name: str) -> str:
    """The path of ``name`` as seen from ``folder``, ``..`` resolved by the words alone, as Compose does it."""
    return normpath(join(folder, name))


def identity(path: str) -> str:
    """What two ways to write one path have in common; symbolic links are not looked at."""
    return abspath(path)


def remote(name: str) -> str:
    """What is wrong with a name that is an address elsewhere; nothing for a file's."""
    return f"'{name}' is not a file of this host: remote manifests are not supported" if _ELSEWHERE.match(name) else ""
