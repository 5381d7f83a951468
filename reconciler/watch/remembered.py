"""What the host's watcher remembers over its end: which file made which stack, and which stacks are held.

It stands in the host's run folder, and goes with it: after a reboot there is nothing left to remember.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reconciler.kernel import files
from reconciler.naming import origin_of


@dataclass(frozen=True, slots=True)
class Place:
    """The file that makes a stack, the watched directory that it stands in, and the origin that the stack bears."""

    file: str
    directory: str
    origin: str


class Remembered:
    """``places`` by stack; ``held``: why stacks without a manifest stay until somebody decides. Read from ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.places: dict[str, Place] = {}
        self.held: dict[str, str] = {}
        self._seen: tuple[int, ...] = ()
        self._saved: tuple[dict[str, Place], dict[str, str]] = ({}, {})
        self.refresh()

    def of(self, standing: Mapping[str, str]) -> dict[str, Place]:
        """The places of stacks that stand with the origin that they had then: others were made anew by somebody."""
        return {name: place for name, place in self.places.items() if standing.get(name) == place.origin}

    def note(
        self, standing: Mapping[str, str], made: Mapping[str, Place], faulty: Collection[str], *, adopt: bool
    ) -> None:
        """A round is over: ``standing`` are all stacks with their origins, ``made`` those like a file, ``faulty`` failed.

        What came from the directory, or was a watcher's before, is one from now on; with ``adopt`` all are.
        """
        places = self.of(standing) | {name: place for name, place in self.places.items() if name in faulty}
        for name, place in made.items():
            if name in places or adopt or standing[name] == origin_of(place.directory):
                places[name] = place
        self.places = places

    def refresh(self) -> None:
        """Read it again if another watcher (``--once``) wrote it. What cannot be read was never written."""
        try:
            status = self._path.stat()
            if (now := (status.st_ino, status.st_mtime_ns)) == self._seen:
                return
            found = json.loads(self._path.read_text())
            places = {str(name): Place(**_texts(place)) for name, place in found["places"].items()}
            held = _texts(found["held"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        self._seen, self.places, self.held = now, places, held
        self._saved = (dict(places), dict(held))

    def save(self) -> None:
        """Write it, where it changed; the next time where there is no room for it."""
        if (self.places, self.held) == self._saved:
            return
        with suppress(OSError):
            if self.places or self.held:
                places = {name: asdict(place) for name, place in self.places.items()}
                files.write_private(self._path, json.dumps({"places": places, "held": self.held}))
                status = self._path.stat()
                self._seen = (status.st_ino, status.st_mtime_ns)
            else:
                self._path.unlink(missing_ok=True)
            self._saved = (dict(self.places), dict(self.held))


def _texts(found: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in found.items()}
