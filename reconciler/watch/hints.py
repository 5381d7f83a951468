"""What an event says: when to look again, and where. Never what to do."""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST_CAUSES = 5
_MOST_PLACES = 200
"""With more sandboxes than this, one look at everything is as good."""


@dataclass(slots=True)
class Hints:
    """Where to look. ``full``: everywhere; else at the host and into ``sandboxes`` (``stack/container``).

    ``interfaces`` are names of links of the host whose other ends are to be looked at too. ``causes`` are for the log.
    """

    full: bool = False
    sandboxes: set[str] = field(default_factory=set)
    interfaces: set[str] = field(default_factory=set)
    causes: dict[str, None] = field(default_factory=dict)
    firewall: bool = False
    """Whether rules may have changed."""
    drift: bool = False
    """Whether something on the host gave the hint, rather than a timer or a file."""

    def add(
        self, cause: str, *, sandbox: str = "", interface: str = "", firewall: bool = False, full: bool = False
    ) -> None:
        """One more; what happened, for the log, and where."""
        if len(self.causes) < _MOST_CAUSES:
            self.causes[cause] = None
        self.drift = True
        self.firewall = self.firewall or firewall
        self.full = self.full or full
        if sandbox:
            self.sandboxes.add(sandbox)
        if interface:
            self.interfaces.add(interface)
        if len(self.sandboxes) + len(self.interfaces) > _MOST_PLACES:
            self.full = True
            self.sandboxes.clear()
            self.interfaces.clear()

    def add_timer(self, cause: str, *, full: bool = False) -> None:
        """The time has come; nothing happened."""
        if len(self.causes) < _MOST_CAUSES:
            self.causes[cause] = None
        self.full = self.full or full

    def __bool__(self) -> bool:
        return bool(self.causes)

    @property
    def cause(self) -> str:
        """In a few words."""
        return ", ".join(self.causes)
