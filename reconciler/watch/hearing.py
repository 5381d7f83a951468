"""All that the watcher hears of the host: the kernel's events, names of namespaces, files, ends of processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from reconciler.agent.loop import READ, Loop
from reconciler.kernel import agent_control
from reconciler.kernel.host import PINNED, Host
from reconciler.observation import Observation
from reconciler.resources.joined import Joined
from reconciler.resources.namespace import Namespace
from reconciler.state import State
from reconciler.watch.agent_pulse import AgentPulse
from reconciler.watch.file_events import FileEvents
from reconciler.watch.folders import Folders
from reconciler.watch.hints import Hints
from reconciler.watch.kernel_events import FirewallEvents, RouteEvents
from reconciler.watch.pins import Pins
from reconciler.watch.processes import Processes

Source = RouteEvents | FirewallEvents | FileEvents


class Hearing:
    """Opened on a loop. What is heard goes into the hints that ``hints`` gives, and ``soon`` is called after it.

    ``warn`` is told, once, why some files are not heard of.
    """

    def __init__(
        self,
        loop: Loop,
        host: Host,
        hints: Callable[[], Hints],
        soon: Callable[[], None],
        warn: Callable[[str], None],
    ) -> None:
        self._host = host
        self._hints = hints
        self._soon = soon
        self._closing = ExitStack()
        self._routes, self._firewall, self._files = RouteEvents(host), FirewallEvents(), FileEvents(host, warn)
        for source in (self._routes, self._firewall, self._files):
            self._closing.callback(source.close)
            if source is not self._files or self._files.is_open:
                loop.watch(source, READ, self._reader(source))
        self._pins, self._folder = Pins(), Folders()
        self._state: State | None = None
        self._standing: frozenset[str] = frozenset()
        self._removed: frozenset[str] = frozenset()
        self._closing.callback(self._folder.close)
        loop.watch(self._folder, READ, self._on_pin)
        self._processes = Processes(loop, self._on_end)
        self._closing.callback(self._processes.close)
        self._pulse = AgentPulse(loop, host, self._on_silence)
        self._closing.callback(self._pulse.close)

    @property
    def last_writer(self) -> str:
        """Who changed nftables last."""
        return self._firewall.last_writer

    def follow(self, observation: Observation | None, *, is_new: bool) -> None:
        """Hear what there is by now; ``is_new``: something was made, or everything was looked at."""
        if observation is not None and observation.state is not self._state:
            self._state = observation.state
            named = frozenset(each.container for each in self._state if isinstance(each, Namespace | Joined))
            self._removed, self._standing = self._standing - named, named
        if self._folder.watch([str(PINNED)]) or is_new:
            # What was not heard of yet counts as well: a name that is made and then taken away must be missed.
            self._compare_pins()
        if is_new:
            for sandbox in self._routes.hear():
                self._hints().add("new sandbox", sandbox=sandbox)
        if observation is not None:
            self._files.watch(observation.state)
            running = {f"command of {name}": each.pid for name, each in observation.runtimes.items() if each.pid}
            agent = agent_control.status(self._host.run)
            self._processes.watch(running | ({"agent": agent.pid} if agent else {}))

    def close(self) -> None:
        """Let go of all."""
        self._closing.close()

    def _reader(self, source: Source) -> Callable[[], None]:
        def read() -> None:
            source.read(self._hints())
            self._soon()

        return read

    def _on_pin(self) -> None:
        self._folder.drain()
        self._compare_pins()
        self._soon()

    def _compare_pins(self) -> None:
        for name, (before, now) in self._pins.changed().items():
            sandbox = self._host.namespace_of(name) or ""
            made, removed = before is None and sandbox in self._standing, now is None and sandbox in self._removed
            # What of one that others took away is left, and which there are of others, a look at everything tells.
            is_ours = made or removed
            self._hints().add("named namespaces changed", sandbox=sandbox if is_ours else "", full=not is_ours)

    def _on_silence(self) -> None:
        # Whether it hangs, the look decides; all that it did is for the next one to do.
        self._hints().add("agent does not answer", full=True)
        self._soon()

    def _on_end(self, what: str) -> None:
        # With the agent go names and held ports of every stack.
        self._hints().add(f"{what} ended", full=what == "agent")
        self._soon()
